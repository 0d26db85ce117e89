"""The pressure of an ideal gas on a piston that moves, before any particle comes back to it."""

import math
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from gputhermo import Hold, Protocol, Stroke
from gputhermo.backend import Backend
from gputhermo.figures import BLUE, GREY, ORANGE, STYLE, new_figure

from .check import Check, mean
from .lanes import height, lane_gases

SPEEDS = (-1.0, -0.6, -0.3, 0.0, 0.3, 0.7, 1.5, 3.0)
"""Towards the gas; sound travels at sqrt(2) in the plane, at sqrt(3) along a lane."""
LENGTH = 200.0
N_LANES = 2000
FASTEST = 5.0
"""In thermal speeds: one particle in two million is faster."""
SOURCE = "(1 + 2 s^2)(1 + erf s) + (2 / sqrt(pi)) s exp(-s^2), s = u / sqrt(2 T): free-molecular flow, Bird 1994, 7.3"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """P / (n T) by speed, float64 [n_replicas]."""

    pressure: dict[float, np.ndarray]
    n_steps: dict[float, int]


def law(speed: np.ndarray | float) -> np.ndarray:
    """P / (n T) at T = 1: 2 n <(v + u)^2> over the particles that the piston meets, v > -u."""
    s = np.asarray(speed) / math.sqrt(2.0)
    erf = np.vectorize(math.erf)(s)
    return (1.0 + 2.0 * s**2) * (1.0 + erf) + 2.0 / math.sqrt(math.pi) * s * np.exp(-(s**2))


def time_until_return(speed: float) -> float:
    """When the fastest particle, which left the piston at the start, is back from the far wall."""
    return round(2.0 * (LENGTH - 2.0) / (FASTEST + 3.0 * max(speed, 0.0)), 1)


def measure(backend: Backend, n_replicas: int = 256, speeds: tuple[float, ...] = SPEEDS) -> Measured:
    """Impulses on the piston, from the start until the first particle returns."""
    found = Measured(pressure={}, n_steps={})
    for speed in speeds:
        time = time_until_return(speed)
        action = Stroke(LENGTH - speed * time, abs(speed)) if speed else Hold(time)
        protocol = Protocol(LENGTH, height(N_LANES), [action])
        rows, n_steps = [], 0
        for recording in lane_gases(N_LANES, protocol, n_replicas, backend, seed=8, series_interval=time):
            force = recording.series.pressure[0, 1] * height(N_LANES)
            rows.append(force * (LENGTH - 2.0) / N_LANES)
            n_steps += recording.counters["steps"]
        found.pressure[speed], found.n_steps[speed] = np.array(rows), n_steps
    return found


def checks(measured: Measured) -> list[Check]:
    """Pressure over the law, a check a speed."""
    return [
        Check(
            name=f"pressure on a piston that comes at speed {speed:g}: P over that of the law",
            measured=mean(pressure / law(speed)),
            relation="is",
            reference=1.0,
            resolution=0.1,
            source=SOURCE,
            n_steps=measured.n_steps[speed],
        )
        for speed, pressure in measured.pressure.items()
    ]


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """Pressure against speed, and what is left of it."""
    figure = new_figure(5.0, 4.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    fine = np.linspace(min(SPEEDS), max(SPEEDS), 200)
    above.plot(fine, law(fine), color=GREY)
    below.axhline(0.0, color=GREY)
    for speed, pressure in measured.pressure.items():
        above.plot(speed, pressure.mean(), "o", color=ORANGE)
        off = mean(100.0 * (pressure / law(speed) - 1.0))
        below.errorbar(speed, off.value, off.half_width, fmt="o", color=BLUE, capsize=3)
    above.set(yscale="log", ylabel="P / (n kB T)", title="Pressure on a moving piston; grey: closed form")
    below.set(xlabel="speed of the piston towards the gas / sqrt(kB T / m)", ylabel="off by / %")
    return figure
