"""Processes of a dataset, simulated side by side."""

from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any

import numpy as np

from .backend import Backend, layout
from .errors import InputError
from .initialize import draw
from .parameters import Settings
from .process import Process, Timetable, compile_process, estimated_cost, steps_between_samples
from .simulate import Buffers, Recording, Simulation

State = tuple[Any, Any]
"""Positions and velocities, float64 [n_particles, 2] each, on the device."""


def draw_processes(
    processes: Sequence[Process],
    settings: Settings,
    backend: Backend,
    *,
    seeds: Sequence[int] | None = None,
    kinetic_energies: Sequence[float] | None = None,
) -> list[State]:
    """The initial states of processes of the dataset, drawn in one launch.

    Each depends on the dataset's seed and the process's index alone. Other `seeds`, one for each, draw other states;
    `kinetic_energies` set that of the particles, which is the whole energy: nothing overlaps.
    """
    gas, counts = settings.gas, [process.n_particles for process in processes]
    if kinetic_energies is None and gas.exact_energy:
        kinetic_energies = [n * gas.temperature for n in counts]
    positions, velocities = draw(
        counts,
        gas.box_length,
        gas.box_length,
        seed=settings.seed if seeds is None else seeds,
        stream=[process.index for process in processes],
        temperature=gas.temperature,
        kinetic_energy=kinetic_energies,
        backend=backend,
    )
    return [(positions[k, :n], velocities[k, :n]) for k, n in enumerate(counts)]


def slot_bytes(n_max: int, tables: Sequence[Timetable], sample_steps: int = 0) -> int:
    """About what a slot takes: its record, buffers, and a third of a kilobyte of state and workspace a particle.

    `sample_steps` are those between two entries of the time series, 0 without.
    """
    n_snapshots = max(len(table.snapshot_step) for table in tables)
    n_clips = max(table.n_clips for table in tables)
    n_samples = max(table.n_steps for table in tables) // sample_steps if sample_steps else 0
    return n_max * (8 * n_snapshots + 32 * n_clips + 372) + Buffers().fixed_bytes + 8 * layout.N_SUMS * n_samples


class ProcessRun:
    """Several processes of a dataset in as many slots as the device has room for, the longest first.

    waiting  processes that have not begun
    flying   those in flight, by slot
    resumed  counters of each process when this run took it up, by index; those of a checkpoint are not zero
    """

    def __init__(
        self,
        processes: Sequence[Process],
        settings: Settings,
        backend: Backend,
        start: Callable[[Sequence[Process]], Sequence[State]],
        *,
        name: str = "process",
        series_interval: float = 0.0,
        checkpoint: Callable[[int], dict[str, np.ndarray] | None] = lambda index: None,
    ):
        """`start` gives the initial states of processes, in their order; `name` is what errors call them.

        `checkpoint` gives what an earlier run saved of a process, by its index, if there is such. At least one process
        is needed. InputError if the device has too little memory for one of them.
        """
        self.settings = settings
        self.start = start
        self.name = name
        self.checkpoint = checkpoint
        self.resumed: dict[int, dict[str, int]] = {}
        self.tables = {process.index: compile_process(process, settings) for process in processes}
        self.waiting = sorted(processes, key=self.cost)
        self.flying: dict[int, Process] = {}
        tables = list(self.tables.values())
        n_max = max(process.n_particles for process in processes)
        size = slot_bytes(n_max, tables, steps_between_samples(series_interval, settings.integrator.grid_step))
        if size > backend.memory:
            raise InputError(
                f"plan.n_particles = {n_max}, {max(len(table.snapshot_step) for table in tables)} snapshots and "
                f"series.interval = {series_interval:g} are not allowed: a process of them takes {size / 1e9:.3g} GB, "
                f"and {backend.name} has {backend.memory / 1e9:.3g} GB of memory"
            )
        self.simulation = Simulation(
            n_slots=max(1, min(backend.n_slots, len(tables), backend.slot_memory // size)),
            n_max=n_max,
            timetables=tables,
            integrator=settings.integrator,
            backend=backend,
            series_interval=series_interval,
        )

    def cost(self, process: Process) -> float:
        """Estimated cost of a process."""
        return estimated_cost(self.tables[process.index].n_steps, process.n_particles)

    def skip(self, done: Set[int]) -> None:
        """Leave out processes that have not begun, by their indices; slots stay such that a checkpoint of any fits."""
        self.waiting = [process for process in self.waiting if process.index not in done]

    @property
    def unfinished(self) -> bool:
        """Whether there is more to do."""
        return bool(self.waiting or self.flying)

    @property
    def shares(self) -> dict[int, float]:
        """The share that is done of each process in flight, by its index."""
        return {index: counters["steps"] / self.tables[index].n_steps for index, counters in self.counters().items()}

    def counters(self) -> dict[int, dict[str, int]]:
        """Steps, contacts and executed particle-steps of each process in flight, by its index."""
        return {process.index: self.simulation.counters(slot) for slot, process in self.flying.items()}

    def checkpoints(self) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Index and state of each process in flight, for a later run to go on from."""
        for slot, process in self.flying.items():
            yield process.index, self.simulation.checkpoint(slot)

    def advance(self) -> list[tuple[Process, Recording]]:
        """Run those in flight for one launch; returns the ones that it finished.

        Their recordings are views of memory that the next call overwrites.
        """
        free = [slot for slot in range(self.simulation.n_slots) if slot not in self.flying][: len(self.waiting)]
        if free:
            processes = [self.waiting.pop() for _ in free]
            for slot, process, state in zip(free, processes, self.start(processes), strict=True):
                self._load(slot, process, state)
        return [(self.flying.pop(slot), self.simulation.recording(slot)) for slot in self.simulation.advance()]

    def _load(self, slot: int, process: Process, state: State) -> None:
        self.simulation.load(
            slot,
            *state,
            self.settings.gas.interaction_strength,
            process.protocol,
            self.tables[process.index],
            name=f"{self.name} {process.index}",
        )
        saved = self.checkpoint(process.index)
        if saved is not None:
            self.simulation.restore(slot, saved)
        self.resumed[process.index] = self.simulation.counters(slot)
        self.flying[slot] = process
