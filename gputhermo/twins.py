"""Twins of processes: the same protocol from another microscopic state of the same energy, volume and number (A1)."""

from collections.abc import Sequence

import numpy as np

from .backend import Backend
from .parameters import Settings
from .process import Process
from .process_run import ProcessRun, State, draw_processes

TWINS = 0
"""What random numbers are drawn for: a part of the address of the seed."""


def draw_twins(processes: Sequence[Process], settings: Settings, seed: int, backend: Backend) -> list[State]:
    """The initial states of the twins of processes.

    `settings` are those of the dataset. The processes' own initial states are drawn again for their energies, which are
    kinetic alone; the twins, drawn from `seed`, have velocities scaled to them.
    """
    own = draw_processes(processes, settings, backend)
    energies = [0.5 * float((velocities**2).sum()) for _, velocities in own]
    twin_seed = int(np.random.SeedSequence((seed, TWINS)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    seeds = [twin_seed] * len(processes)
    return draw_processes(processes, settings, backend, seeds=seeds, kinetic_energies=energies)


def run_twins(processes: Sequence[Process], settings: Settings, seed: int, backend: Backend) -> ProcessRun:
    """The twins of several processes, ready to be simulated side by side; `settings` and `seed` as in `draw_twins`."""
    return ProcessRun(
        processes,
        settings,
        backend,
        lambda some: draw_twins(some, settings, seed, backend),
        name="twin of process",
    )
