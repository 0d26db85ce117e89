"""An ideal gas from an engine whose particles repel: each flies along x on a lane of its own and meets no other."""

from collections.abc import Iterator

import numpy as np

from gputhermo import Protocol, Recording, ReplicaBatch
from gputhermo.backend import Backend

from .replicas import in_batches

SPACING = 2.5
"""Between lanes; from 2R on, particles on neighbouring lanes do not touch. R from the walls as well."""


def height(n_lanes: int) -> float:
    """Ly of a container with that many lanes."""
    return SPACING * (n_lanes + 1)


def lane_gases(
    n_lanes: int, protocol: Protocol, n_replicas: int, backend: Backend, *, seed: int, **how: object
) -> Iterator[Recording]:
    """Recordings of gases that are canonical along x at T = 1 and at rest along y."""
    y = SPACING * np.arange(1, n_lanes + 1)

    def draw(numbers: list[int]) -> ReplicaBatch:
        positions, velocities = [], []
        for number in numbers:
            random = np.random.default_rng((seed, number))
            x = random.uniform(1.0, protocol.length - 1.0, n_lanes)
            positions.append(np.stack([x, y], axis=1))
            velocities.append(np.stack([random.normal(size=n_lanes), np.zeros(n_lanes)], axis=1))
        return ReplicaBatch.from_arrays(positions, velocities)

    return in_batches(draw, protocol, n_replicas, backend, **how)
