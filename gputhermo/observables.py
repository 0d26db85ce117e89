"""What is measured: from recorded sums and phase points to thermodynamic quantities.

Units: energy kB T0, length R, mass m, time R sqrt(m / kB T0); kB = 1.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .backend import layout
from .process import Partition, Protocol, Timetable

TINY = 1e-300
WALLS = ("left", "piston", "bottom", "top", "partition_low", "partition_high")


@dataclass(frozen=True, kw_only=True)
class Series:
    """Time series of one replica, each float64 [n_samples] except `pressure`.

    time                   end of the interval that an entry stands for
    piston_position        then
    kinetic_temperature_x  2 K_x / N, K_x the kinetic energy of motion along x
    kinetic_temperature_y
    potential_energy
    work                   done by the piston since t = 0
    pressure               [n_samples, 6], mean over the interval of the force per length on each of WALLS; NaN for the
                           faces of a partition that is not there
    """

    time: np.ndarray
    piston_position: np.ndarray
    kinetic_temperature_x: np.ndarray
    kinetic_temperature_y: np.ndarray
    potential_energy: np.ndarray
    work: np.ndarray
    pressure: np.ndarray


def series_from_sums(
    sums: np.ndarray, n_particles: int, protocol: Protocol, table: Timetable, interval_steps: int
) -> Series:
    """Time series from the sums recorded on the device, float64 [n_samples, N_SUMS], one row each `interval_steps`."""
    steps = interval_steps * np.arange(len(sums) + 1)
    piston = piston_position(steps, table)
    impulse = np.diff(sums[:, layout.FIRST_IMPULSE :], axis=0, prepend=np.zeros((1, layout.N_WALLS)))
    width = 0.5 * (piston[1:] + piston[:-1])
    height, none = np.full_like(width, protocol.height), np.full_like(width, math.nan)
    across = none if protocol.partition is None else height if protocol.partition.axis == "x" else width
    length = np.stack([height, height, width, width, across, across], axis=1)
    return Series(
        time=steps[1:] * table.grid_step,
        piston_position=piston[1:],
        kinetic_temperature_x=2.0 * sums[:, layout.KINETIC_X] / n_particles,
        kinetic_temperature_y=2.0 * sums[:, layout.KINETIC_Y] / n_particles,
        potential_energy=sums[:, layout.POTENTIAL],
        work=sums[:, layout.WORK],
        pressure=impulse / (length * interval_steps * table.grid_step),
    )


def piston_position(steps: np.ndarray, table: Timetable) -> np.ndarray:
    """Lx at the given steps, float64, of their shape."""
    segment = np.minimum(np.searchsorted(table.segment_end, steps), len(table.segment_end) - 1)
    begin = np.concatenate([[0], table.segment_end[:-1]])[segment]
    return table.segment_piston[segment] + table.segment_speed[segment] * (steps - begin) * table.grid_step


def mode_amplitudes(phase_points: Any, length: Any, height: float, xp: Any) -> tuple[Any, Any]:
    """Amplitudes of the first flow and density mode along x and y, in thermal units.

    phase_points float64 [..., n, 4], length a number or float64 [...]; returns flow and density, each float64 [..., 2].
    With z = (x - R) / (Lx - 2R),

        flow = sum v_x sin(pi z) / sqrt(N T / 2),    density = sum cos(pi z) / sqrt(N / 2),

    and likewise along y; T is the mean kinetic energy a particle. In equilibrium both have mean square 1 (an ideal gas;
    repulsion makes the density's a little smaller). A gas at rest has no flow.
    """
    n = phase_points.shape[-2]
    velocities = phase_points[..., 2:]
    temperature = xp.maximum(0.5 * (velocities**2).sum(axis=(-2, -1)) / n, TINY)
    length = xp.asarray(length)
    accessible = xp.stack([length, xp.full_like(length, height)], axis=-1)[..., None, :] - 2.0
    phase = math.pi * (phase_points[..., :2] - 1.0) / accessible
    flow = (velocities * xp.sin(phase)).sum(axis=-2) / xp.sqrt(0.5 * n * temperature)[..., None]
    density = xp.cos(phase).sum(axis=-2) / math.sqrt(0.5 * n)
    return flow, density


def energy_scale(velocities: Any, xp: Any) -> Any:
    """Half of the mean square of the kinetic energies of particles over their mean, float64 [...]; 0 at rest.

    velocities float64 [..., n, 2]. It is T in equilibrium, and what contacts have where few particles have most energy.
    """
    doubled = (velocities**2).sum(axis=-1)
    return 0.25 * (doubled**2).sum(axis=-1) / xp.maximum(doubled.sum(axis=-1), TINY)


def overlaps(positions: Any, length: Any, height: float, partition: Partition | None, xp: Any) -> tuple[Any, Any, Any]:
    """Overlaps of all pairs (2R - r) and of particles with walls (R - d), from positions alone.

    positions float64 [..., n, 2], length (Lx) a number or float64 [...]. Returns the sum of the squared overlaps, the
    deepest overlap of a pair and that with a wall, 0 if nothing touches; each float64 [...]. The first, times C / 2, is
    the potential energy, Eq. (3). Particles on either side of a partition do not touch.
    """
    x, y = positions[..., 0], positions[..., 1]
    length = xp.asarray(length)[..., None]
    walls = [x, length - x, y, height - y]
    if partition is not None:
        across = x if partition.axis == "x" else y
        walls.append(xp.abs(across - partition.position))
        # Those on the high side are moved away by 2R, so that no pair is left that touches through the partition.
        away = 2.0 * (across >= partition.position)
        x, y = (x + away, y) if partition.axis == "x" else (x, y + away)
    depths = xp.stack([xp.maximum(1.0 - distance, 0.0) for distance in walls])
    squares, deepest_wall = (depths**2).sum(axis=(0, -1)), depths.max(axis=(0, -1))
    deepest_pair = xp.zeros_like(deepest_wall)
    # In the order along the longer side, pairs that are k places apart, until all of those are too far apart to touch.
    first, second = (x, y) if float(length.max()) > height else (y, x)
    order = xp.argsort(first, axis=-1)
    first, second = xp.take_along_axis(first, order, axis=-1), xp.take_along_axis(second, order, axis=-1)
    for k in range(1, first.shape[-1]):
        along, aside = first[..., k:] - first[..., :-k], second[..., k:] - second[..., :-k]
        if not float(along.min()) < 2.0:
            break
        depth = 2.0 - xp.sqrt(xp.minimum(along**2 + aside**2, 4.0))
        deepest_pair = xp.maximum(deepest_pair, depth.max(axis=-1))
        squares = squares + (depth**2).sum(axis=-1)
    return squares, deepest_pair, deepest_wall
