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
from .equation_of_state import bulk_density, compressibility
from .excluded import effective_diameter
from .replicas import gases

HOLD_TIME = ProtocolSettings().hold_time
N_GROUPS = 16
"""Of replicas; the fit is repeated without each of them."""
ENSKOG = "Enskog theory of hard discs: Gass, J. Chem. Phys. 54 (1971) 1898, doi:10.1063/1.1675116"
SOUND = "speed of sound of the virial series (Clisby and McCoy 2006)"


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
    n_particles=600,
    length=124.32,
    pushed=120.0,
    height=83.0,
    speed=0.08,
    settle=50.0,
    interval=4.0,
    n_samples=125,
    fit_from=0.0,
)
"""A packing fraction of 0.2, pushed for half a period of the mode at 1/28 of the speed of sound: a linear wave, thirty
mean free paths to a radian."""
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
    """By gas.

    flow         float64 [n_replicas, n_samples]  amplitude of the first flow mode along x, in thermal units
    temperature  of all of them after the stroke
    density      likewise, away from the walls
    """

    flow: dict[Gas, np.ndarray]
    temperature: dict[Gas, float]
    density: dict[Gas, float]
    n_steps: dict[Gas, int]


def measure(backend: Backend, pushed: tuple[tuple[Gas, int], ...] = ((GENTLE, 768), (PAPER, 48))) -> Measured:
    """Push so many replicas of each gas, and watch."""
    found = Measured(flow={}, temperature={}, density={}, n_steps={})
    for gas, n_replicas in pushed:
        actions = [Hold(gas.settle, record=False), Stroke(gas.pushed, gas.speed)] + [Hold(gas.interval)] * gas.n_samples
        flow, temperature, density, n_steps = [], [], [], 0
        for recording in gases(
            gas.n_particles, Protocol(gas.length, gas.height, actions), n_replicas, backend, seed=10
        ):
            points = as_numpy(recording.phase_points)
            flow.append(mode_amplitudes(points, gas.pushed, gas.height, np)[0][:, 0])
            density.append(bulk_density(points, gas.pushed, gas.height))
            temperature.append(recording.kinetic_energy.mean() / gas.n_particles)
            n_steps += recording.counters["steps"]
        found.flow[gas] = np.array(flow)
        found.temperature[gas], found.density[gas] = float(np.mean(temperature)), float(np.mean(density))
        found.n_steps[gas] = n_steps
    return found


def times(gas: Gas) -> np.ndarray:
    """Since the end of the stroke, float64 [n_samples]."""
    return gas.interval * np.arange(1, gas.n_samples + 1)


def fading(time: np.ndarray, amplitude: float, rate: float, frequency: float, phase: float) -> np.ndarray:
    """A damped oscillation."""
    return amplitude * np.exp(-rate * time) * np.cos(frequency * time + phase)


def theory(gas: Gas, density: float, temperature: float) -> tuple[float, float]:
    """Rate and frequency of the mode: the sound of the linear Navier-Stokes equations at its wave number.

    P = rho T Z, c_v = 1, and Enskog's viscosities and heat conduction, in which y = Z - 1 is the part of the pressure
    that collisions carry. At a wall the gas is denser, by G = 2/3 sigma^3 rho^2 a length to lowest order: what pairs
    exclude less there. That layer takes in mass as the gas is pushed together, (dG/drho) drho, but less heat than comes
    with it, as if the gas were longer by (1 + 1 / gamma) G / rho.
    """
    diameter = effective_diameter(temperature)
    z = float(compressibility(density, temperature))
    low, high = (each * float(compressibility(each, temperature)) for each in (0.999 * density, 1.001 * density))
    stiffness = temperature * (high - low) / (0.002 * density)  # dP/drho at constant temperature
    gamma = 1.0 + temperature * z**2 / stiffness
    layer = (1.0 + 1.0 / gamma) * 2.0 / 3.0 * diameter**3 * density
    k = math.pi / (gas.pushed - 2.0 + 2.0 * layer)
    covered, y = 0.5 * math.pi * diameter**2 * density, z - 1.0
    thermal = math.sqrt(temperature / math.pi)
    eta_dilute, kappa_dilute = 1.022 * thermal / (2.0 * diameter), 1.029 * 2.0 * thermal / diameter
    eta = eta_dilute * covered * (1.0 / y + 1.0 + 0.8729 * y)
    zeta = eta_dilute * covered * 1.246 * y
    kappa = kappa_dilute * covered * (1.0 / y + 1.5 + 0.8718 * y)
    # d/dt of density (relative), velocity and temperature, all as exp(i k x).
    change = [
        [0.0, -1j * k, 0.0],
        [-1j * k * stiffness, -(k**2) * (eta + zeta) / density, -1j * k * z],
        [0.0, -1j * k * temperature * z, -(k**2) * kappa / density],
    ]
    sound = max(np.linalg.eigvals(np.array(change)), key=lambda value: value.imag)
    return -float(sound.real), float(sound.imag)


def fit(gas: Gas, flow: np.ndarray, expected: tuple[float, float]) -> np.ndarray:
    """Amplitude, rate, frequency and phase of the mean over replicas, by least squares from what is expected."""
    late = times(gas) >= gas.fit_from
    rate, frequency = expected
    time, mode = times(gas)[late], flow.mean(axis=0)[late]
    # Where the phase begins is read off the projections on both parts of the expected wave.
    wave = np.exp(-rate * time)
    phase = math.atan2(-(mode * wave * np.sin(frequency * time)).sum(), (mode * wave * np.cos(frequency * time)).sum())
    start = (float(np.abs(mode).max()), rate, frequency, phase)
    return curve_fit(fading, time, mode, p0=start)[0]


def without_each(gas: Gas, measured: Measured) -> np.ndarray:
    """Rate and frequency by the jackknife, over those of theory: pseudo-values float64 [N_GROUPS, 2]."""
    flow, expected = measured.flow[gas], theory(gas, measured.density[gas], measured.temperature[gas])
    all_of_them = fit(gas, flow, expected)[1:3] / expected
    groups = np.arange(len(flow)) % N_GROUPS
    left_out = [fit(gas, flow[groups != group], expected)[1:3] / expected for group in range(N_GROUPS)]
    return N_GROUPS * all_of_them - (N_GROUPS - 1) * np.array(left_out)


def checks(measured: Measured) -> list[Check]:
    """Damping and frequency against theory; how far the mode is from thermal, also after the paper's hold."""
    found = []
    for gas, flow in measured.flow.items():
        rate, frequency = without_each(gas, measured).T
        common = {"relation": "is", "reference": 1.0, "n_steps": measured.n_steps[gas]}
        name = f"flow mode, {gas.name} gas"
        found += [
            Check(name=f"{name}: damping over Enskog's", measured=mean(rate), resolution=0.3, source=ENSKOG, **common),
            Check(
                name=f"{name}: frequency over that of sound",
                measured=mean(frequency),
                resolution=0.05,
                source=SOUND,
                **common,
            ),
        ]
        if gas == PAPER:
            at_hold = np.abs(times(gas) - HOLD_TIME) < 0.5 * PERIOD
            found.append(
                Check(
                    name=f"{name}: mean square after a hold of {HOLD_TIME:g}, thermal = 1",
                    measured=mean((flow[:, at_hold] ** 2).mean(axis=1)),
                    source="docs/departures.md: that hold is not full equilibrium for long, fast strokes",
                    **common | {"relation": "above"},
                )
            )
        else:
            squares = ((flow - flow.mean(axis=0)) ** 2).mean(axis=1) * len(flow) / (len(flow) - 1)
            found.append(
                Check(
                    name=f"{name}: variance over gases, thermal = 1",
                    measured=mean(squares),
                    resolution=0.25,
                    source="equipartition",
                    **common,
                )
            )
    return found


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """The mean mode of each gas, with its fit."""
    figure = new_figure(8.4, 3.4)
    for axes, (gas, flow) in zip(figure.subplots(1, 2), measured.flow.items(), strict=True):
        time = times(gas)
        expected = theory(gas, measured.density[gas], measured.temperature[gas])
        amplitude, rate, frequency, phase = fit(gas, flow, expected)
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
        if gas == PAPER:
            axes.axvline(HOLD_TIME, color=GREY, lw=0.8, ls=":", label=f"hold of {HOLD_TIME:g}")
        axes.legend()
    return figure
