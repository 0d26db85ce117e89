"""Twins of processes: the same protocol from another microscopic state of the same energy, volume and number (A1)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .backend import Backend
from .parameters import Settings
from .process import Process
from .process_run import ProcessRun, draw_process

TWINS = 0
"""What random numbers are drawn for: a part of the address of the seed."""


def draw_twin(process: Process, settings: Settings, seed: int, backend: Backend) -> tuple[Any, Any]:
    """The initial state of a process's twin: positions and velocities, float64 [n_particles, 2] on the device.

    `settings` are those of the dataset. The process's own initial state is drawn again for its energy, which is kinetic
    alone; the twin, drawn from `seed`, has velocities scaled to it.
    """
    _, velocities = draw_process(process, settings, backend)
    energy = 0.5 * float((velocities**2).sum())
    twin_seed = int(np.random.SeedSequence((seed, TWINS)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return draw_process(process, settings, backend, seed=twin_seed, kinetic_energy=energy)


def run_twins(processes: Sequence[Process], settings: Settings, seed: int, backend: Backend) -> ProcessRun:
    """The twins of several processes, ready to be simulated side by side; `settings` and `seed` as in `draw_twin`."""
    return ProcessRun(
        processes,
        settings,
        backend,
        lambda process: draw_twin(process, settings, seed, backend),
        name="twin of process",
    )
