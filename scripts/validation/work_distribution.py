"""The work of compression: Crooks and Jarzynski's gamma law for a slow one, Jarzynski's equality for a fast one."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from gputhermo import Hold, Protocol, Stroke
from gputhermo.backend import Backend, as_numpy
from gputhermo.figures import BLUE, GREEN, GREY, ORANGE, STYLE, new_figure
from gputhermo.parameters import IntegratorSettings

from .check import Check, exactly, ks_distance, mean
from .excluded import effective_diameter, pair_fraction
from .lanes import height, lane_gases
from .replicas import gases

N_LANES = 256
FULL, HALF = 52.0, 27.0
SLOW, FAST = 0.002, 0.5
PARTICLES = (1, 4, 16)
"""Of the ideal gases along x that the lanes are taken together to."""
N_PARTICLES, SIDE, SPEED = 8, 114.0, 0.0025
"""Of a dilute gas that is canonical in the plane; its container and its piston."""
GAMMA_LAW = "gamma law: Crooks and Jarzynski, Phys. Rev. E 75 (2007) 021116, doi:10.1103/PhysRevE.75.021116"
EQUALITY = (
    "Jarzynski, Phys. Rev. Lett. 78 (1997) 2690, doi:10.1103/PhysRevLett.78.2690: exp(-W / T) is L1 / L0 on average"
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Work in kB T.

    slow      float64 [n_replicas, N_LANES]  of each particle that flies along x, slow piston
    fast      the same, fast piston
    unpaid    largest difference between the piston's work on a replica and the energies that its particles gained
    dilute    float64 [n_gases]  of dilute gases in the plane
    """

    slow: np.ndarray
    fast: np.ndarray
    unpaid: float
    dilute: np.ndarray
    n_steps: dict[str, int]


def measure(backend: Backend, n_replicas: int = 64, n_gases: int = 1024) -> Measured:
    """`n_replicas` of lanes for each speed, and `n_gases` in the plane."""
    works, n_steps, unpaid = {}, {}, 0.0
    for name, speed in (("slow", SLOW), ("fast", FAST)):
        # The first clip is the state before the stroke, the last one comes when every contact has ended.
        actions = [Hold(0.001), Stroke(HALF, speed), Hold(0.1)]
        rows, steps = [], 0
        protocol = Protocol(FULL, height(N_LANES), actions)
        for recording in lane_gases(
            N_LANES, protocol, n_replicas, backend, seed=6, integrator=IntegratorSettings(substeps=4)
        ):
            before, after = 0.5 * (as_numpy(recording.phase_points)[:, :, 2:] ** 2).sum(axis=2)
            energy = recording.kinetic_energy + recording.potential_energy
            unpaid = max(unpaid, abs(energy[1] - energy[0] - recording.work[1]))
            rows.append(after - before)
            steps += recording.counters["steps"]
        works[name], n_steps[name] = np.array(rows), steps
    protocol = Protocol(SIDE, SIDE, [Stroke(SIDE / 2.0, SPEED, record=True)])
    dilute, n_steps["dilute"] = [], 0
    for recording in gases(N_PARTICLES, protocol, n_gases, backend, seed=7):
        dilute.append(recording.work[0])
        n_steps["dilute"] += recording.counters["steps"]
    return Measured(slow=works["slow"], fast=works["fast"], unpaid=unpaid, dilute=np.array(dilute), n_steps=n_steps)


def heated_along_x() -> float:
    """E1 / E0 of particles that fly along x: their speed times the length that they have is constant."""
    return ((FULL - 2.0) / (HALF - 2.0)) ** 2


def heated_in_the_plane() -> float:
    """E1 / E0 of the dilute gas: E^N times the phase space of positions is constant, pairs in the first order."""
    diameter = effective_diameter()
    ratio = (SIDE - 2.0) / (SIDE / 2.0 - 2.0)
    before, after = (pair_fraction(width, SIDE - 2.0, diameter) for width in (SIDE - 2.0, SIDE / 2.0 - 2.0))
    return ratio * np.exp(0.5 * (N_PARTICLES - 1) * (after - before))


def laws(measured: Measured) -> list[tuple[str, np.ndarray, stats.rv_continuous, int]]:
    """Of each gas under the slow piston: its name, works, their distribution, and the time steps."""
    found = []
    for n in PARTICLES:
        works = measured.slow.reshape(-1, n).sum(axis=1)
        law = stats.gamma(n / 2.0, scale=heated_along_x() - 1.0)
        found.append((f"{n} along x", works, law, measured.n_steps["slow"]))
    law = stats.gamma(N_PARTICLES, scale=heated_in_the_plane() - 1.0)
    found.append((f"{N_PARTICLES} in the plane", measured.dilute, law, measured.n_steps["dilute"]))
    return found


def checks(measured: Measured) -> list[Check]:
    """Distances from the gamma law, Jarzynski's average, and the energy balance."""
    found = []
    for name, works, law, n_steps in laws(measured):
        distance, limit = ks_distance(works, law, len(works))
        found.append(
            Check(
                name=f"work, {name}: Kolmogorov's distance from the gamma law",
                measured=distance,
                relation="below",
                reference=limit,
                source=GAMMA_LAW,
                n_steps=n_steps,
            )
        )
    free = (HALF - 2.0) / (FULL - 2.0)
    return [
        *found,
        Check(
            name=f"work at speed {FAST:g}: average of exp(-W / T) over L1 / L0",
            measured=mean(np.exp(-measured.fast).mean(axis=1) / free),
            relation="is",
            reference=1.0,
            resolution=0.1,
            source=EQUALITY,
            n_steps=measured.n_steps["fast"],
        ),
        Check(
            name="work: largest difference from the energy gained by a gas along x",
            measured=exactly(measured.unpaid),
            relation="below",
            reference=1e-3 * 0.5 * N_LANES * heated_along_x(),
            source="energy is conserved: a thousandth of that after the stroke",
            n_steps=measured.n_steps["slow"],
        ),
    ]


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """Densities of work beside the gamma law."""
    figure = new_figure(8.4, 5.0)
    for axes, (name, works, law, _), colour in zip(
        figure.subplots(2, 2).flat, laws(measured), (ORANGE, BLUE, GREEN, ORANGE), strict=True
    ):
        edges = np.linspace(law.ppf(0.0005), law.ppf(0.9995), 40)
        axes.hist(works, edges, density=False, weights=np.full(len(works), 1 / len(works)), color=colour, alpha=0.5)
        axes.stairs(np.diff(law.cdf(edges)), edges, color=GREY, lw=1.2)
        axes.set(title=f"{name}: {len(works):,} works", xlabel="W / kB T", ylabel="probability")
    return figure
