"""The area that pairs of particles exclude in a rectangular container, walls included."""

import math

import numpy as np

from gputhermo.entropy import INTERACTION_STRENGTH, second_virial


def effective_diameter(temperature: float = 1.0) -> float:
    """Of hard discs with the second virial coefficient of the soft ones, pi sigma^2 / 2."""
    return math.sqrt(2.0 * second_virial(np.array(temperature), INTERACTION_STRENGTH) / math.pi)


def pair_fraction(width: float, height: float, diameter: float) -> float:
    """Chance that two discs, their centres anywhere in width x height, overlap.

    The integral of (width - |x|)(height - |y|) over |r| < diameter, divided by the squared area. The term in the
    perimeter is what walls take from the excluded area pi diameter^2.
    """
    area, perimeter = width * height, 2.0 * (width + height)
    excluded = math.pi * diameter**2 * area - 2.0 / 3.0 * diameter**3 * perimeter + 0.5 * diameter**4
    return excluded / area**2


def wall_entropy(n_particles: int, width: float, height: float, temperature: float) -> float:
    """What a small container adds to the entropy of the virial series, to first order in density.

    There are N (N - 1) / 2 pairs, not N^2 / 2, and near walls they exclude less.
    """
    diameter = effective_diameter(temperature)
    bulk = math.pi * diameter**2 / (width * height)
    return 0.5 * n_particles * (n_particles * bulk - (n_particles - 1) * pair_fraction(width, height, diameter))
