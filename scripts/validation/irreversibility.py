"""What a cycle of the piston costs: work that does not come back, by the piston's speed."""

import itertools
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from gputhermo import Hold, Protocol, Stroke
from gputhermo.backend import Backend
from gputhermo.figures import ORANGE, STYLE, new_figure

from .check import Check, mean
from .replicas import gases

SPEEDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
N_PARTICLES = 200
FULL, PUSHED, REST = 100.0, 60.0, 100.0
SECOND_LAW = "second law: no work is gained in a cycle, and a slower one costs less"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Work of a cycle in kB T a particle by speed, float64 [n_replicas]; the same initial states at each speed."""

    work: dict[float, np.ndarray]
    n_steps: int


def measure(backend: Backend, n_replicas: int = 128, speeds: tuple[float, ...] = SPEEDS) -> Measured:
    """Push, rest, pull, rest."""
    work, n_steps = {}, 0
    for speed in speeds:
        actions = [Hold(REST), Stroke(PUSHED, speed), Hold(REST), Stroke(FULL, speed), Hold(REST)]
        rows = []
        energy = float(N_PARTICLES)
        for recording in gases(
            N_PARTICLES, Protocol(FULL, FULL, actions), n_replicas, backend, seed=9, kinetic_energy=energy
        ):
            rows.append(recording.work[-1] / N_PARTICLES)
            n_steps += recording.counters["steps"]
        work[speed] = np.array(rows)
    return Measured(work=work, n_steps=n_steps)


def checks(measured: Measured) -> list[Check]:
    """The slowest cycle costs something, and every faster one more."""
    slowest = min(measured.work)
    common = {"relation": "above", "reference": 0.0, "source": SECOND_LAW, "n_steps": measured.n_steps}
    return [
        Check(name=f"cycle at speed {slowest:g}: work a particle", measured=mean(measured.work[slowest]), **common)
    ] + [
        Check(
            name=f"cycle at speed {fast:g}: work a particle beyond that at {slow:g}",
            measured=mean(measured.work[fast] - measured.work[slow]),
            **common,
        )
        for slow, fast in itertools.pairwise(sorted(measured.work))
    ]


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """Work of a cycle against speed."""
    figure = new_figure(5.0, 3.4)
    axes = figure.subplots()
    speeds = sorted(measured.work)
    estimates = [mean(measured.work[speed]) for speed in speeds]
    axes.errorbar(
        speeds,
        [each.value for each in estimates],
        [each.half_width for each in estimates],
        fmt="o",
        color=ORANGE,
        capsize=3,
    )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="speed of the piston",
        ylabel="work of a cycle a particle / kB T",
        title=f"{N_PARTICLES} particles: {FULL:g} to {PUSHED:g} and back",
    )
    axes.set_xticks(speeds, [f"{speed:g}" for speed in speeds])
    axes.minorticks_off()
    return figure
