"""Processes of a dataset, simulated side by side."""

from collections.abc import Callable, Sequence
from typing import Any

from .backend import Backend
from .generate import slot_bytes
from .initialize import draw
from .parameters import Settings
from .process import Process, compile_process
from .simulate import Recording, Simulation


def draw_process(process: Process, settings: Settings, backend: Backend) -> tuple[Any, Any]:
    """The initial state of a process of the dataset: positions and velocities, float64 [n_particles, 2], on the device.

    It depends on the dataset's seed and the process's index alone.
    """
    gas = settings.gas
    positions, velocities = draw(
        process.n_particles,
        gas.box_length,
        gas.box_length,
        seed=settings.seed,
        stream=process.index,
        temperature=gas.temperature,
        kinetic_energy=process.n_particles * gas.temperature if gas.exact_energy else None,
        backend=backend,
    )
    return positions[0], velocities[0]


class ProcessRun:
    """Several processes of a dataset in as many slots as the device has room for, the longest first."""

    def __init__(
        self,
        processes: Sequence[Process],
        settings: Settings,
        backend: Backend,
        start: Callable[[Process], tuple[Any, Any]],
    ):
        """`start` gives the initial state of each; at least one process is needed."""
        self.settings = settings
        self.start = start
        self.tables = {process.index: compile_process(process, settings) for process in processes}
        self.waiting = sorted(processes, key=self.cost)
        self.flying: dict[int, Process] = {}
        n_max = max(process.n_particles for process in processes)
        room = backend.slot_memory // slot_bytes(n_max, list(self.tables.values()))
        self.simulation = Simulation(
            n_slots=max(1, min(backend.n_slots, len(processes), room)),
            n_max=n_max,
            timetables=list(self.tables.values()),
            integrator=settings.integrator,
            backend=backend,
        )

    def cost(self, process: Process) -> float:
        """Estimated cost of a process: contacts in a unit of time grow with the square of N."""
        return float(self.tables[process.index].n_steps) * process.n_particles**2

    @property
    def unfinished(self) -> bool:
        """Whether there is more to do."""
        return bool(self.waiting or self.flying)

    @property
    def shares(self) -> dict[int, float]:
        """The share that is done of each process in flight, by its index."""
        return {
            process.index: self.simulation.counters(slot)["steps"] / self.tables[process.index].n_steps
            for slot, process in self.flying.items()
        }

    def advance(self) -> list[tuple[Process, Recording]]:
        """Run those in flight for one launch; returns the ones that it finished.

        Their recordings are views of memory that the next call overwrites.
        """
        for slot in range(self.simulation.n_slots):
            if self.waiting and slot not in self.flying:
                self._load(slot, self.waiting.pop())
        return [(self.flying.pop(slot), self.simulation.recording(slot)) for slot in self.simulation.advance()]

    def _load(self, slot: int, process: Process) -> None:
        positions, velocities = self.start(process)
        self.simulation.load(
            slot,
            positions,
            velocities,
            self.settings.gas.interaction_strength,
            process.protocol,
            self.tables[process.index],
            name=f"process {process.index}",
        )
        self.flying[slot] = process
