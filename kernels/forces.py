"""Pair and wall laws (Kuroyanagi and Yuge, Eq. 3): harmonic repulsion, in units R = m = kB T0 = 1.

A pair at distance r < 2R has the energy C/2 (2R - r)^2, a particle at distance d < R from a wall C/2 (R - d)^2.
"""

import math

from .targets import block_program, maximum

RADIUS = 1.0
CONTACT_DISTANCE = 2.0 * RADIUS
CONTACT_DISTANCE_SQUARED = CONTACT_DISTANCE * CONTACT_DISTANCE


@block_program
def pair_force(dx, dy, stiffness):
    """Force on the first of two particles in contact, (dx, dy) pointing to it from the second."""
    r = math.sqrt(dx * dx + dy * dy)
    scale = stiffness * (CONTACT_DISTANCE - r) / r
    return scale * dx, scale * dy


@block_program
def pair_energy(dx, dy, stiffness):
    """Energy of a pair in contact."""
    overlap = CONTACT_DISTANCE - math.sqrt(dx * dx + dy * dy)
    return 0.5 * stiffness * overlap * overlap


@block_program
def wall_force(distance, stiffness):
    """Force away from a wall at `distance`; zero from R on. Behind the wall it goes on growing."""
    return stiffness * maximum(RADIUS - distance, 0.0)


@block_program
def wall_energy(distance, stiffness):
    """Energy of a particle at `distance` from a wall."""
    overlap = maximum(RADIUS - distance, 0.0)
    return 0.5 * stiffness * overlap * overlap
