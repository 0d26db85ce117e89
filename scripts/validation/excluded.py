"""What pairs and triples of particles exclude in a rectangular container, walls included."""

import functools
import math

import numpy as np

from gputhermo.entropy import INTERACTION_STRENGTH, VIRIAL_RATIOS, second_virial

N_CLUSTERS = 1_000_000
"""Random clusters of three particles; their averages are good to a thousandth."""


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


@functools.cache
def clusters() -> tuple[np.ndarray, np.ndarray]:
    """Two discs of diameter 1 that overlap a third.

    What all three centres span, float64 [N_CLUSTERS, 2], and whether the two overlap each other as well.
    """
    random = np.random.default_rng(0)
    angle = random.uniform(0.0, 2.0 * math.pi, (N_CLUSTERS, 2))
    distance = np.sqrt(random.uniform(size=(N_CLUSTERS, 2)))
    places = np.zeros((N_CLUSTERS, 3, 2))
    places[:, 1:, 0], places[:, 1:, 1] = distance * np.cos(angle), distance * np.sin(angle)
    return np.ptp(places, axis=1), ((places[:, 1] - places[:, 2]) ** 2).sum(axis=1) < 1.0


def triple_fractions(width: float, height: float, diameter: float) -> tuple[float, float]:
    """Chance that two of three discs overlap the third, and that all three overlap one another."""
    span, closed = clusters()
    inside = (1.0 - diameter * span[:, 0] / width) * (1.0 - diameter * span[:, 1] / height)
    both = (math.pi * diameter**2 / (width * height)) ** 2
    return both * float(inside.mean()), both * float((inside * closed).mean())


def wall_entropy(n_particles: int, width: float, height: float, temperature: float) -> float:
    """What N and walls change of the entropy of the virial series, to second order in density.

    With p, c and t the chances of an overlap, of two in a chain and of three in a triangle, the configurations of N
    discs are area^N times exp[-(N over 2)(p + p^2 / 2) + 3 (N over 3)(c - p^2) - (N over 3) t + ...]. Away from walls
    and for many particles that is exp(-N [B2 rho + B3 rho^2 / 2]).
    """
    diameter = effective_diameter(temperature)
    p = pair_fraction(width, height, diameter)
    c, t = triple_fractions(width, height, diameter)
    pairs, triples = math.comb(n_particles, 2), math.comb(n_particles, 3)
    confined = -pairs * (p + 0.5 * p**2) + 3.0 * triples * (c - p**2) - triples * t
    reduced = 0.5 * math.pi * diameter**2 * n_particles / (width * height)
    return confined + n_particles * (reduced + 0.5 * VIRIAL_RATIOS[1] * reduced**2)
