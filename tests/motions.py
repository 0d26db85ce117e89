"""Runs of 2000 steps that other computations of them are held against, and how alike they have to be."""

import numpy as np
from gases import random_gas

from gputhermo import Hold, Protocol, Recording, ReplicaBatch, Stroke, simulate
from gputhermo.backend import Backend
from gputhermo.simulate import Buffers

L = 300.0
MOTIONS = {
    "still": (L, [Hold(2.0)]),
    "push": (0.75 * L, [Stroke(to=0.75 * L - 1.0, speed=0.5, record=True)]),
    "pull": (0.5 * L, [Stroke(to=0.5 * L + 1.0, speed=0.5, record=True)]),
}
"""Of the piston: where it stands, and what it does."""


def run(
    n_particles: int, motion: str, backend: Backend, n_replicas: int = 1, buffers: Buffers | None = None
) -> list[Recording]:
    """Replicas of one gas in different states; the same motion for all."""
    length, actions = MOTIONS[motion]
    states = [random_gas(n_particles, length, L, seed=n_particles + r) for r in range(n_replicas)]
    batch = ReplicaBatch.from_arrays([x for x, _ in states], [v for _, v in states])
    return simulate(batch, Protocol(length, L, actions), device=backend, frames=1, buffers=buffers)


def assert_alike(ours: Recording, theirs: Recording) -> None:
    """The same trajectory but for last bits: compilers contract products and sums."""
    points = ours.backend.to_host(ours.phase_points), theirs.backend.to_host(theirs.phase_points)
    np.testing.assert_allclose(*points, rtol=0.0, atol=1e-8)
    for name in ("kinetic_energy", "potential_energy", "work"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-8, atol=1e-8)
    for name in ("steps", "contacts"):
        assert ours.counters[name] == theirs.counters[name]
