"""Pressure on the walls against the virial series at the density away from them."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from gputhermo import Hold, Protocol
from gputhermo.backend import Backend, as_numpy
from gputhermo.entropy import INTERACTION_STRENGTH, VIRIAL_RATIOS, second_virial
from gputhermo.figures import BLUE, GREY, ORANGE, STYLE, new_figure

from .check import Check, mean
from .replicas import gases

PACKING_FRACTIONS = (0.05, 0.1, 0.2, 0.3)
LENGTH, HEIGHT = 40.0, 400.0
"""Narrow, so that corners, where the pressure on a wall is higher, weigh little: they add less than 0.1%."""
MARGIN = 8.0
"""Layers at the walls end within four diameters."""
SETTLE, N_INTERVALS = 100.0, 200
SOURCE = "virial coefficients 2 to 10, Clisby and McCoy, J. Stat. Phys. 122 (2006) 15, doi:10.1007/s10955-005-8080-0"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """By packing fraction, each float64 [n_replicas].

    density   away from the walls
    z         P / (density T), P from the impulses on the two long walls
    expected  the same by the virial series
    """

    density: dict[float, np.ndarray]
    z: dict[float, np.ndarray]
    expected: dict[float, np.ndarray]
    n_steps: dict[float, int]


def compressibility(density: np.ndarray | float, temperature: np.ndarray | float) -> np.ndarray:
    """Z = P / (rho T) of the virial series for hard discs that have the B2 of the soft ones."""
    reduced = second_virial(np.asarray(temperature), INTERACTION_STRENGTH) * density
    return 1.0 + sum(ratio * reduced**k for k, ratio in enumerate(VIRIAL_RATIOS, start=1))


def bulk_density(phase_points: np.ndarray, length: float, height: float) -> float:
    """Particles an area away from the walls, mean over states: phase_points float64 [n_states, n_particles, 4]."""
    x, y = phase_points[:, :, 0], phase_points[:, :, 1]
    inside = (np.abs(x - length / 2.0) < length / 2.0 - MARGIN) & (np.abs(y - height / 2.0) < height / 2.0 - MARGIN)
    return inside.sum(axis=1).mean() / ((length - 2.0 * MARGIN) * (height - 2.0 * MARGIN))


def interval(packing_fraction: float) -> float:
    """Time between two states: longer where particles are few, so that each density costs as much."""
    return round(2.0 * (0.2 / packing_fraction) ** 2, 1)


def measure(
    backend: Backend, n_replicas: int = 64, packing_fractions: tuple[float, ...] = PACKING_FRACTIONS
) -> Measured:
    """Gases at rest between two long walls."""
    found = Measured(density={}, z={}, expected={}, n_steps={})
    for packing_fraction in packing_fractions:
        n_particles = round(packing_fraction / np.pi * (LENGTH - 2.0) * (HEIGHT - 2.0))
        holds = [Hold(interval(packing_fraction))] * N_INTERVALS
        protocol = Protocol(LENGTH, HEIGHT, [Hold(SETTLE, record=False), *holds])
        rows, n_steps = [], 0
        for recording in gases(n_particles, protocol, n_replicas, backend, seed=4, series_interval=SETTLE):
            density = bulk_density(as_numpy(recording.phase_points), LENGTH, HEIGHT)
            temperature = recording.kinetic_energy.mean() / n_particles
            pressure = recording.series.pressure[1:, :2].mean() * HEIGHT / (HEIGHT - 2.0)
            rows.append((density, pressure / (density * temperature), compressibility(density, temperature)))
            n_steps += recording.counters["steps"]
        columns = np.transpose(rows)
        found.density[packing_fraction], found.z[packing_fraction], found.expected[packing_fraction] = columns
        found.n_steps[packing_fraction] = n_steps
    return found


def checks(measured: Measured) -> list[Check]:
    """Z over that of the series."""
    return [
        Check(
            name=f"equation of state, packing fraction {packing_fraction:g}: Z / Z of the virial series",
            measured=mean(z / measured.expected[packing_fraction]),
            relation="is",
            reference=1.0,
            resolution=0.015,
            source=SOURCE,
            n_steps=measured.n_steps[packing_fraction],
        )
        for packing_fraction, z in measured.z.items()
    ]


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """Z against density, and what is left of it."""
    figure = new_figure(5.0, 4.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    density = np.linspace(0.0, 0.32 / np.pi, 100)
    above.plot(density * np.pi, compressibility(density, 1.0), color=GREY, label="virial series to B10")
    above.plot(density * np.pi, 1.0 + 2.0 * np.pi * density, color=GREY, ls=":", label="B2 of hard discs alone")
    below.axhline(0.0, color=GREY)
    for packing_fraction, z in measured.z.items():
        place = np.pi * measured.density[packing_fraction].mean()
        above.plot(place, z.mean(), "o", color=ORANGE)
        off = mean(100.0 * (z / measured.expected[packing_fraction] - 1.0))
        below.errorbar(place, off.value, off.half_width, fmt="o", color=BLUE, capsize=3)
    above.set(ylabel="Z = P / (ρ T)", title="Pressure on the walls, density away from them")
    above.legend()
    below.set(xlabel="packing fraction away from the walls", ylabel="off by / %")
    return figure
