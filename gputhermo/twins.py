"""Twins of processes: the same protocol from another microscopic state of the same energy, volume and number (A1)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .backend import Backend
from .generate import slot_bytes
from .initialize import draw
from .parameters import Settings
from .process import Process, compile_process
from .simulate import Recording, Simulation

TWINS = 0
"""What random numbers are drawn for: a part of the address of the seed."""


def draw_twin(process: Process, settings: Settings, seed: int, backend: Backend) -> tuple[Any, Any]:
    """The initial state of a process's twin: positions and velocities, float64 [n_particles, 2] on the device.

    `settings` are those of the dataset. The process's own initial state is drawn again for its energy, which is kinetic
    alone; the twin, drawn from `seed`, has velocities scaled to it.
    """
    gas, n = settings.gas, process.n_particles
    container: dict[str, Any] = {
        "n_particles": n,
        "length": gas.box_length,
        "height": gas.box_length,
        "temperature": gas.temperature,
        "stream": process.index,
        "backend": backend,
    }
    exact = n * gas.temperature if gas.exact_energy else None
    _, velocities = draw(seed=settings.seed, kinetic_energy=exact, **container)
    energy = 0.5 * float((velocities[0] ** 2).sum())
    twin_seed = int(np.random.SeedSequence((seed, TWINS)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    positions, velocities = draw(seed=twin_seed, kinetic_energy=energy, **container)
    return positions[0], velocities[0]


class TwinRun:
    """Twins of several processes of a dataset, simulated side by side, the longest first."""

    def __init__(self, processes: Sequence[Process], settings: Settings, seed: int, backend: Backend):
        """`settings` are those of the dataset; at least one process is needed."""
        self.settings = settings
        self.seed = seed
        self.backend = backend
        self.tables = {process.index: compile_process(process, settings) for process in processes}
        self.waiting = sorted(processes, key=lambda p: self.tables[p.index].n_steps * p.n_particles**2)
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

    @property
    def unfinished(self) -> bool:
        """Whether there is more to do."""
        return bool(self.waiting or self.flying)

    @property
    def shares(self) -> dict[int, float]:
        """The share that is done of each twin in flight, by process."""
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
                self._start(slot, self.waiting.pop())
        return [(self.flying.pop(slot), self.simulation.recording(slot)) for slot in self.simulation.advance()]

    def _start(self, slot: int, process: Process) -> None:
        positions, velocities = draw_twin(process, self.settings, self.seed, self.backend)
        self.simulation.load(
            slot,
            positions,
            velocities,
            self.settings.gas.interaction_strength,
            process.protocol,
            self.tables[process.index],
            name=f"twin of process {process.index}",
        )
        self.flying[slot] = process
