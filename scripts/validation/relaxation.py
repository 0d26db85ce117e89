"""How the gas comes to rest after a stroke: the first flow mode along x is a standing sound wave that fades."""

import math
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import curve_fit

from gputhermo import Hold, Protocol, Stroke
from gputhermo.backend import Backend, as_numpy
from gputhermo.figures import BLUE, GREY, ORANGE, STYLE, new_figure
from gputhermo.observables import mode_amplitudes
from gputhermo.parameters import ProtocolSettings

from .check import Check, mean
from .equation_of_state import compressibility
from .excluded import effective_diameter
from .replicas import gases

HOLD_TIME = ProtocolSettings().hold_time
N_GROUPS = 16
"""Of replicas; the fit is repeated without each of them."""
ENSKOG = "Enskog theory of hard discs: Gass, J. Chem. Phys. 54 (1971) 1898, doi:10.1063/1.1675116"
SOUND = "c^2 = dP/drho at constant entropy, virial series (Clisby and McCoy 2006)"


@dataclass(frozen=True, kw_only=True)
class Gas:
    """A gas that is pushed once, and what of its rest is looked at.

    fit_from  time after the stroke from which the mode is fitted
    """

    name: str
    n_particles: int
    length: float
    pushed: float
    height: float
    speed: float
    settle: float
    interval: float
    n_samples: int
    fit_from: float


GENTLE = Gas(
    name="gentle",
    n_particles=300,
    length=64.0,
    pushed=60.0,
    height=83.0,
    speed=0.16,
    settle=50.0,
    interval=2.0,
    n_samples=75,
    fit_from=0.0,
)
"""A packing fraction of 0.2, pushed for half a period of the mode at 1/14 of the speed of sound: a linear wave."""
PAPER = Gas(
    name="the paper's",
    n_particles=2000,
    length=300.0,
    pushed=150.0,
    height=300.0,
    speed=0.5,
    settle=100.0,
    interval=10.0,
    n_samples=100,
    fit_from=100.0,
)
"""The longest stroke of the paper at its highest number of particles and speed."""
PERIOD = 100.0
"""Of the mode of PAPER, about."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """By name of the gas.

    flow         float64 [n_replicas, n_samples]  amplitude of the first flow mode along x, in thermal units
    temperature  float64 [n_replicas]             after the stroke
    """

    flow: dict[str, np.ndarray]
    temperature: dict[str, np.ndarray]
    n_steps: dict[str, int]


def measure(backend: Backend, n_gentle: int = 1024, n_paper: int = 48) -> Measured:
    """Push, and watch."""
    found = Measured(flow={}, temperature={}, n_steps={})
    for gas, n_replicas in ((GENTLE, n_gentle), (PAPER, n_paper)):
        if not n_replicas:
            continue
        actions = [Hold(gas.settle, record=False), Stroke(gas.pushed, gas.speed)] + [Hold(gas.interval)] * gas.n_samples
        flow, temperature, n_steps = [], [], 0
        for recording in gases(
            gas.n_particles, Protocol(gas.length, gas.height, actions), n_replicas, backend, seed=10
        ):
            modes, _ = mode_amplitudes(as_numpy(recording.phase_points), gas.pushed, gas.height, np)
            flow.append(modes[:, 0])
            temperature.append(recording.kinetic_energy.mean() / gas.n_particles)
            n_steps += recording.counters["steps"]
        found.flow[gas.name], found.temperature[gas.name] = np.array(flow), np.array(temperature)
        found.n_steps[gas.name] = n_steps
    return found


def times(gas: Gas) -> np.ndarray:
    """Since the end of the stroke, float64 [n_samples]."""
    return gas.interval * np.arange(1, gas.n_samples + 1)


def fading(time: np.ndarray, amplitude: float, rate: float, frequency: float, phase: float) -> np.ndarray:
    """A damped oscillation."""
    return amplitude * np.exp(-rate * time) * np.cos(frequency * time + phase)


def theory(gas: Gas, temperature: float) -> tuple[float, float]:
    """Rate and frequency of the mode: Gamma k^2 and c k, k = pi over the length that centres have.

    c^2 = (dP/drho)_T + T (Z)^2 for c_v = 1, and Gamma = [(eta + zeta) / rho + (gamma - 1) kappa / (rho c_p)] / 2, with
    Enskog's eta, zeta and kappa; y = (Z - 1) is the part of the pressure that collisions carry.
    """
    density = gas.n_particles / ((gas.pushed - 2.0) * (gas.height - 2.0))
    wave_number = math.pi / (gas.pushed - 2.0)
    z = float(compressibility(density, temperature))
    step = 1e-4 * density
    rise = [density * sign + step * k for k, sign in ((1, 1), (-1, 1))]
    high, low = (each * float(compressibility(each, temperature)) for each in rise)
    isothermal = temperature * (high - low) / (2.0 * step)
    gamma = 1.0 + temperature * z**2 / isothermal
    diameter = effective_diameter(temperature)
    covered = 0.5 * math.pi * diameter**2 * density
    y = z - 1.0
    thermal = math.sqrt(temperature / math.pi)
    eta_dilute, kappa_dilute = 1.022 * thermal / (2.0 * diameter), 1.029 * 2.0 * thermal / diameter
    eta = eta_dilute * covered * (1.0 / y + 1.0 + 0.8729 * y)
    zeta = eta_dilute * covered * 1.246 * y
    kappa = kappa_dilute * covered * (1.0 / y + 1.5 + 0.8718 * y)
    attenuation = 0.5 * ((eta + zeta) / density + (gamma - 1.0) / gamma * kappa / density)
    return attenuation * wave_number**2, math.sqrt(gamma * isothermal) * wave_number


def fit(gas: Gas, flow: np.ndarray, temperature: float) -> np.ndarray:
    """Amplitude, rate, frequency and phase of the mean over replicas, by least squares."""
    late = times(gas) >= gas.fit_from
    rate, frequency = theory(gas, temperature)
    time, mode = times(gas)[late], flow.mean(axis=0)[late]
    # Where the phase begins is read off the projections on both parts of the expected wave.
    wave = np.exp(-rate * time)
    phase = math.atan2(-(mode * wave * np.sin(frequency * time)).sum(), (mode * wave * np.cos(frequency * time)).sum())
    start = (float(np.abs(mode).max()), rate, frequency, phase)
    return curve_fit(fading, time, mode, p0=start)[0]


def without_each(gas: Gas, measured: Measured) -> np.ndarray:
    """Rate and frequency by the jackknife, over those of theory: pseudo-values float64 [N_GROUPS, 2]."""
    flow, temperature = measured.flow[gas.name], measured.temperature[gas.name].mean()
    expected = theory(gas, temperature)
    all_of_them = fit(gas, flow, temperature)[1:3] / expected
    groups = np.arange(len(flow)) % N_GROUPS
    left_out = [fit(gas, flow[groups != group], temperature)[1:3] / expected for group in range(N_GROUPS)]
    return N_GROUPS * all_of_them - (N_GROUPS - 1) * np.array(left_out)


def checks(measured: Measured) -> list[Check]:
    """Damping and frequency against theory; what is left after the paper's hold; the thermal level at the end."""
    found = []
    for gas in (GENTLE, PAPER):
        if gas.name in measured.flow:
            rate, frequency = without_each(gas, measured).T
            for name, values, source, resolution in (
                ("damping over Enskog's", rate, ENSKOG, 0.3),
                ("frequency over that of sound", frequency, SOUND, 0.05),
            ):
                found.append(
                    Check(
                        name=f"flow mode, {gas.name} gas: {name}",
                        measured=mean(values),
                        relation="is",
                        reference=1.0,
                        resolution=resolution,
                        source=source,
                        n_steps=measured.n_steps[gas.name],
                    )
                )
    if GENTLE.name in measured.flow:
        flow = measured.flow[GENTLE.name]
        squares = ((flow - flow.mean(axis=0)) ** 2).mean(axis=1) * len(flow) / (len(flow) - 1)
        found.append(
            Check(
                name=f"flow mode, {GENTLE.name} gas: variance over gases, thermal = 1",
                measured=mean(squares),
                relation="is",
                reference=1.0,
                resolution=0.25,
                source="equipartition",
                n_steps=measured.n_steps[GENTLE.name],
            )
        )
    if PAPER.name in measured.flow:
        at_hold = np.abs(times(PAPER) - HOLD_TIME) < 0.5 * PERIOD
        found.append(
            Check(
                name=f"flow mode, {PAPER.name} gas: mean square after a hold of {HOLD_TIME:g}, thermal = 1",
                measured=mean((measured.flow[PAPER.name][:, at_hold] ** 2).mean(axis=1)),
                relation="above",
                reference=1.0,
                source="docs/departures.md: that hold is not full equilibrium for long, fast strokes",
                n_steps=measured.n_steps[PAPER.name],
            )
        )
    return found


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """The mean mode with its fit, and the mean square with the thermal level."""
    figure = new_figure(8.4, 3.4)
    left, right = figure.subplots(1, 2)
    for axes, gas in ((left, GENTLE), (right, PAPER)):
        flow, time = measured.flow[gas.name], times(gas)
        amplitude, rate, frequency, phase = fit(gas, flow, measured.temperature[gas.name].mean())
        axes.plot(time, flow.mean(axis=0), ".", ms=3, color=ORANGE, label=f"mean of {len(flow)} gases")
        late = time[time >= gas.fit_from]
        axes.plot(
            late,
            fading(late, amplitude, rate, frequency, phase),
            color=BLUE,
            lw=0.9,
            label=f"fit: fades in {1 / rate:.0f}",
        )
        axes.set(
            xlabel="time since the stroke", ylabel="first flow mode, thermal = 1", title=f"{gas.n_particles} particles"
        )
        axes.axhline(0.0, color=GREY, lw=0.6)
        if gas is PAPER:
            axes.axvline(HOLD_TIME, color=GREY, lw=0.8, ls=":", label=f"hold of {HOLD_TIME:g}")
        axes.legend()
    return figure
