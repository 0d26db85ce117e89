"""Pair forces keep momentum, so that only walls change it."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from gputhermo import Hold, Protocol, Stroke
from gputhermo.backend import Backend, as_numpy
from gputhermo.figures import BLUE, GREY, ORANGE, STYLE, new_figure

from .check import Check, exactly
from .replicas import gases

N_PARTICLES = 100
LENGTH = 60.0
STROKE, SPEED = 0.5, 0.5
"""Each of a time unit: holds and strokes have equal length."""
N_PARTS = 20
"""Time units that the piston rests, and that it then moves inwards and outwards."""
ROUNDING = 1e-9
"""Some 1e5 steps of contact add forces of 1e2 with a relative error of 1e-16."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of each replica at the end of each time unit, float64 [n_replicas, n, 2] along x and y.

    change     of the total momentum since the start
    impulse    of the walls
    clear      bool [n_replicas, n]: nothing overlaps, so that no contact's step is counted by half
    """

    time: np.ndarray
    change: np.ndarray
    impulse: np.ndarray
    clear: np.ndarray
    n_steps: int


def measure(backend: Backend, n_replicas: int = 32) -> Measured:
    """A gas whose piston rests, pushes and pulls; the changes count from the end of the first time unit."""
    pushes = [Stroke(LENGTH - STROKE * (n + 1), SPEED, record=True) for n in range(N_PARTS)]
    pulls = [Stroke(LENGTH - STROKE * (N_PARTS - n - 1), SPEED, record=True) for n in range(N_PARTS)]
    protocol = Protocol(LENGTH, LENGTH, [Hold(1.0)] * N_PARTS + pushes + pulls)
    change, impulse, clear, n_steps = [], [], [], 0
    for recording in gases(N_PARTICLES, protocol, n_replicas, backend, seed=2, series_interval=1.0):
        free = recording.potential_energy == 0.0
        first = np.argmax(free)
        momentum = as_numpy(recording.phase_points)[:, :, 2:].sum(axis=1)
        series = recording.series
        before = series.piston_position - np.diff(series.piston_position, prepend=LENGTH) / 2.0
        width = np.stack([np.full_like(before, LENGTH)] * 2 + [before] * 2, axis=1)
        walls = np.cumsum(series.pressure[:, :4] * width, axis=0)
        given = np.stack([walls[:, 0] - walls[:, 1], walls[:, 2] - walls[:, 3]], axis=1)
        change.append(momentum - momentum[first])
        impulse.append(given - given[first])
        clear.append(free)
        n_steps += recording.counters["steps"]
    return Measured(
        time=np.array(recording.time),
        change=np.array(change),
        impulse=np.array(impulse),
        clear=np.array(clear),
        n_steps=n_steps,
    )


def checks(measured: Measured) -> list[Check]:
    """The balance, and that there was something to balance."""
    residual = np.abs(measured.change - measured.impulse)[measured.clear]
    common = {"n_steps": measured.n_steps, "source": "momentum is conserved; rounding of float64"}
    return [
        Check(
            name=f"momentum along {axis}: largest difference from the impulses of the walls",
            measured=exactly(float(residual[:, k].max())),
            relation="below",
            reference=ROUNDING,
            **common,
        )
        for k, axis in enumerate("xy")
    ] + [
        Check(
            name="momentum: largest change that the walls balance",
            measured=exactly(float(np.abs(measured.change[measured.clear]).max())),
            relation="above",
            reference=10.0,
            n_steps=measured.n_steps,
            source="without a change the balance says nothing",
        )
    ]


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """One replica's momentum, and the residual of all."""
    figure = new_figure(5.0, 4.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for k, (axis, colour) in enumerate(zip("xy", (ORANGE, BLUE), strict=True)):
        clear = measured.clear[0]
        above.plot(measured.time, measured.impulse[0, :, k], color=colour, label=f"impulses of walls along {axis}")
        above.plot(measured.time[clear], measured.change[0, clear, k], "o", ms=3.5, mfc="none", color=colour)
        residual = np.where(measured.clear, np.abs(measured.change - measured.impulse)[:, :, k], np.nan)
        below.plot(measured.time, residual.T, ".", ms=2, color=colour)
    above.set(ylabel="momentum", title="Impulses of the walls (lines), total momentum (circles); one gas")
    above.legend()
    below.axhline(ROUNDING, color=GREY, lw=0.8)
    below.set(yscale="log", xlabel="time", ylabel="difference", title="All gases; the line is the bound")
    for time in (N_PARTS, 2 * N_PARTS):
        above.axvline(time, color=GREY, lw=0.6)
    return figure
