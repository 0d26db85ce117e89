"""States that tests start from, made without the package."""

import numpy as np


def random_gas(
    n_particles: int, length: float, height: float, *, seed: int, temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """A gas in which nothing touches: positions and Maxwell velocities, float64 [n_particles, 2].

    Particles are placed one after the other where there is room (random sequential addition; up to a packing fraction
    of about 0.45).
    """
    rng = np.random.default_rng(seed)
    positions = np.empty((n_particles, 2))
    placed = 0
    while placed < n_particles:
        trial = rng.uniform(1.0, [length - 1.0, height - 1.0])
        if (((positions[:placed] - trial) ** 2).sum(axis=1) > 4.0).all():
            positions[placed] = trial
            placed += 1
    return positions, rng.normal(scale=np.sqrt(temperature), size=(n_particles, 2))
