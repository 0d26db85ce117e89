"""The energy that velocity Verlet loses or gains in contacts, against the time step.

A contact has a kink of the force at either end. Between them the force is harmonic, of frequency w, and lasts
T = pi / w whatever the speed; velocity Verlet then keeps v^2 / 2 + w^2 (1 - (w dt)^2 / 4) x^2 / 2 exactly. A step that
begins a contact, the share q of it in contact, changes that by the factor 1 - (w dt)^2 q (1 - q), and the step that
ends it changes it back with q' = T / dt - q, modulo 1. With q uniform, the energy of the motion along the line of
centres so changes by the root mean square of

    (w dt)^2 f (1 - f) / sqrt(3),    f = T / dt modulo 1,

of itself: by dt^2, but for time steps of which a contact lasts a whole number it is hardly changed at all. Contacts err
independently, so that the energy of the gas diffuses.
"""

import math
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from gputhermo import Hold, Protocol
from gputhermo.backend import Backend
from gputhermo.entropy import INTERACTION_STRENGTH
from gputhermo.figures import BLUE, GREY, ORANGE, STYLE, new_figure
from gputhermo.parameters import IntegratorSettings

from .check import Check, mean
from .replicas import gases

PAIR_FREQUENCY, WALL_FREQUENCY = math.sqrt(2.0 * INTERACTION_STRENGTH), math.sqrt(INTERACTION_STRENGTH)
PAPER = IntegratorSettings().timestep
WORST = tuple(math.pi / PAIR_FREQUENCY / (n + 0.5) for n in (8, 12, 18, 27, 40, 60))
"""Time steps at which f = 1/2, where the error is largest and changes least with f."""
SCANNED = tuple(math.pi / PAIR_FREQUENCY / steps for steps in np.arange(15.0, 23.1, 0.25))
"""Time steps around the paper's, of which a pair's contact lasts 15 to 23."""
SUBSTEPS = 4
N_PARTICLES = 100
LENGTH = 60.0
INTERVAL, N_INTERVALS = 2.0, 20
N_GROUPS = 8
"""Of replicas; each gives an exponent of its own."""
ORDER = "second order: Hairer, Lubich and Wanner, Acta Numerica 12 (2003) 399, doi:10.1017/S0962492902000144"
CLOSED_FORM = "closed form of a harmonic contact with kinks: energy_error.py"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Root mean square of the energy error of a gas in a unit of time, by time step: float64 [N_GROUPS].

    divided       that of the paper's time step in sub-steps
    contact_rate  contacts of a gas in a unit of time
    """

    error: dict[float, np.ndarray]
    divided: np.ndarray
    contact_rate: float
    n_steps: int


def measure(backend: Backend, n_replicas: int = 192, timesteps: tuple[float, ...] = (*WORST, *SCANNED)) -> Measured:
    """Gases that begin alike at each time step; the paper's time step comes with and without sub-steps."""
    error, n_contacts, time, n_steps = {}, 0, 0.0, 0
    for timestep, substeps in [(timestep, 1) for timestep in (*timesteps, PAPER)] + [(PAPER, SUBSTEPS)]:
        protocol = Protocol(LENGTH, LENGTH, [Hold(round(INTERVAL / timestep) * timestep)] * N_INTERVALS)
        rates = []
        how = {"integrator": IntegratorSettings(timestep=timestep, substeps=substeps), "frame_interval": timestep}
        energy = float(N_PARTICLES)
        for recording in gases(N_PARTICLES, protocol, n_replicas, backend, seed=1, kinetic_energy=energy, **how):
            # Between moments at which nothing overlaps, or half a contact would be counted.
            clear = recording.potential_energy == 0.0
            gains = np.diff(recording.kinetic_energy[clear])
            rates.append((gains**2).sum() / np.ptp(recording.time[clear]))
            n_contacts += recording.counters["contacts"]
            n_steps += recording.counters["steps"]
            time += recording.time[-1]
        error[timestep / substeps] = np.sqrt(np.reshape(rates, (N_GROUPS, -1)).mean(axis=1))
    divided = error.pop(PAPER / SUBSTEPS)
    return Measured(error=error, divided=divided, contact_rate=n_contacts / time, n_steps=n_steps)


def closed_form(timestep: float, contact_rate: float) -> float:
    """Root mean square of the energy error in a unit of time, for so many contacts in it.

    The energy along the line of centres has the mean square 2 T^2 N / (N + 1) (exponential, but for the fixed energy of
    the gas). Walls have their share of the contacts: density times sqrt(T / 2 pi) on the length of the walls.
    """
    width = LENGTH - 2.0
    wall_rate = N_PARTICLES / width**2 / math.sqrt(2.0 * math.pi) * 4.0 * width
    squared = 0.0
    for rate, frequency in ((contact_rate - wall_rate, PAIR_FREQUENCY), (wall_rate, WALL_FREQUENCY)):
        f = math.pi / frequency / timestep % 1.0
        squared += rate * ((frequency * timestep) ** 2 * f * (1.0 - f)) ** 2 / 3.0
    return math.sqrt(2.0 * N_PARTICLES / (N_PARTICLES + 1) * squared)


def exponents(measured: Measured) -> np.ndarray:
    """Of the time step, at those of WORST that were measured: float64 [N_GROUPS]."""
    timesteps = [timestep for timestep in WORST if timestep in measured.error]
    errors = [measured.error[timestep] for timestep in timesteps]
    return np.polyfit(np.log(timesteps), np.log(errors), 1)[0]


def checks(measured: Measured) -> list[Check]:
    """The order of the integrator, the size of its error, and what sub-steps gain."""
    worst = min(timestep for timestep in WORST if timestep in measured.error)
    return [
        Check(
            name="energy error: exponent of the time step",
            measured=mean(exponents(measured)),
            relation="is",
            reference=2.0,
            resolution=0.15,
            source=ORDER,
            n_steps=measured.n_steps,
        ),
        Check(
            name=f"energy error at dt = {worst:.3g} over that of the closed form",
            measured=mean(measured.error[worst] / closed_form(worst, measured.contact_rate)),
            relation="is",
            reference=1.0,
            resolution=0.2,
            source=CLOSED_FORM,
            n_steps=measured.n_steps,
        ),
        Check(
            name=f"energy error at dt = {PAPER:g}: what {SUBSTEPS} sub-steps leave of it",
            measured=mean(measured.divided / measured.error[PAPER]),
            relation="below",
            reference=0.1,
            source=f"second order: about 1 / {SUBSTEPS**2}",
            n_steps=measured.n_steps,
        ),
    ]


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """Error against time step: where it is worst, and between."""
    figure = new_figure(8.4, 3.4)
    left, right = figure.subplots(1, 2)
    slope = mean(exponents(measured))
    for axes, timesteps in ((left, WORST), (right, SCANNED)):
        estimates = [mean(measured.error[timestep]) for timestep in timesteps]
        middle = [each.value for each in estimates]
        axes.errorbar(timesteps, middle, [each.half_width for each in estimates], fmt="o", ms=4, color=ORANGE)
    left.plot(WORST, [closed_form(each, measured.contact_rate) for each in WORST], color=GREY, zorder=0)
    left.plot(PAPER, measured.error[PAPER].mean(), "s", color=BLUE, label=f"dt = {PAPER:g}")
    left.plot(PAPER / SUBSTEPS, measured.divided.mean(), "D", color=BLUE, label=f"dt = {PAPER:g}, {SUBSTEPS} sub-steps")
    left.set(
        xscale="log",
        yscale="log",
        xlabel="time step",
        ylabel="rms energy error in a unit of time / kB T",
        title=f"Contacts of n + 1/2 steps: exponent {slope.value:.3f} ± {slope.half_width:.3f}",
    )
    left.set_xticks([0.0003, 0.001, 0.003], ["0.0003", "0.001", "0.003"])
    left.minorticks_off()
    left.legend()
    fine = np.linspace(min(SCANNED), max(SCANNED), 500)
    right.plot(fine, [closed_form(each, measured.contact_rate) for each in fine], color=GREY, zorder=0)
    right.axvline(PAPER, color=BLUE, lw=0.8)
    right.set(xlabel="time step", title="Time steps around the paper's; grey: closed form")
    return figure
