"""Slow compression to half the length: what remains of the entropy's growth as the piston's speed goes to zero."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from gputhermo import Hold, Protocol, Recording, Stroke
from gputhermo.backend import Backend
from gputhermo.entropy import virial_entropy
from gputhermo.figures import BLUE, GREY, ORANGE, STYLE, new_figure
from gputhermo.parameters import IntegratorSettings

from .check import Check, mean
from .excluded import wall_entropy
from .replicas import gases

SUBSTEPS = 4
"""So that the heating of the time step stays out of it."""


@dataclass(frozen=True, kw_only=True)
class Gas:
    """A square gas that is compressed, at several speeds.

    ideal       whether it is dilute enough for T V to be constant
    settle      time before and after the stroke
    resolution  that its entropy, in kB a particle, is to be known to
    """

    ideal: bool
    n_particles: int
    length: float
    speeds: tuple[float, ...]
    settle: float
    resolution: float


DILUTE = Gas(ideal=True, n_particles=40, length=352.0, speeds=(0.004, 0.008, 0.016), settle=1000.0, resolution=0.03)
"""A packing fraction of 0.001, then 0.002: repulsion adds 0.002 to the logarithm of T V."""
DENSE = Gas(ideal=False, n_particles=300, length=138.0, speeds=(0.01, 0.02, 0.04), settle=100.0, resolution=0.01)
"""A packing fraction of 0.05, then 0.1: repulsion adds 0.12 to the logarithm of T V."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """By gas, each float64 [speed, n_replicas] a particle.

    ideal   change of log(T V), V the area that walls leave
    growth  change of the entropy of the virial series
    """

    ideal: dict[Gas, np.ndarray]
    growth: dict[Gas, np.ndarray]
    n_steps: dict[Gas, int]


def measure(backend: Backend, n_replicas: int = 48, gases_compressed: tuple[Gas, ...] = (DILUTE, DENSE)) -> Measured:
    """The same initial states at each speed."""
    found = Measured(ideal={}, growth={}, n_steps={})
    settings = IntegratorSettings(substeps=SUBSTEPS)
    for gas in gases_compressed:
        ideal, growth, n_steps = [], [], 0
        for speed in gas.speeds:
            stroke = Stroke(gas.length / 2.0, speed)
            protocol = Protocol(gas.length, gas.length, [Hold(gas.settle), stroke, Hold(gas.settle)])
            for recording in gases(gas.n_particles, protocol, n_replicas, backend, seed=5, integrator=settings):
                (first_ideal, first), (last_ideal, last) = entropies(recording, gas)
                ideal.append(last_ideal - first_ideal)
                growth.append(last - first)
                n_steps += recording.counters["steps"]
        found.ideal[gas] = np.reshape(ideal, (len(gas.speeds), n_replicas))
        found.growth[gas] = np.reshape(growth, (len(gas.speeds), n_replicas))
        found.n_steps[gas] = n_steps
    return found


def entropies(recording: Recording, gas: Gas) -> list[tuple[float, float]]:
    """log(T V) and the entropy of the virial series with walls, a particle, of each clip."""
    n, height = gas.n_particles, gas.length - 2.0
    values = []
    for energy, piston in zip(
        recording.kinetic_energy + recording.potential_energy, recording.piston_position, strict=True
    ):
        width, temperature = piston - 2.0, energy / n
        virial = virial_entropy(np.array([[[n, energy, piston, gas.length]]]))[0]
        whole = virial + wall_entropy(n, width, height, temperature)
        values.append((float(np.log(temperature * width * height)), whole / n))
    return values


def at_no_speed(speeds: tuple[float, ...], growth: np.ndarray) -> np.ndarray:
    """Where the line through what each replica gained at the speeds meets zero: float64 [n_replicas]."""
    return np.polyfit(speeds, growth, 1)[1]


def checks(measured: Measured) -> list[Check]:
    """Of a dilute gas T V is constant, of a dense one the virial entropy; and T V is not."""
    found = []
    for gas, n_steps in measured.n_steps.items():
        ideal, growth = (mean(at_no_speed(gas.speeds, change[gas])) for change in (measured.ideal, measured.growth))
        if gas.ideal:
            found.append(
                Check(
                    name="slow compression, dilute gas: change of log(T V)",
                    measured=ideal,
                    relation="is",
                    reference=0.0,
                    resolution=gas.resolution,
                    source="ideal gas, gamma = 2: T V is constant",
                    n_steps=n_steps,
                )
            )
            continue
        found += [
            Check(
                name="slow compression, dense gas: change of the virial entropy a particle",
                measured=growth,
                relation="is",
                reference=0.0,
                resolution=gas.resolution,
                source="virial series (Clisby and McCoy 2006); pairs and triples near walls",
                n_steps=n_steps,
            ),
            Check(
                name="slow compression, dense gas: change of log(T V)",
                measured=ideal,
                relation="above",
                reference=0.05,
                source="repulsion must matter for the check before this one to say anything",
                n_steps=n_steps,
            ),
        ]
    return found


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """Growth against speed."""
    figure = new_figure(8.4, 3.4)
    for axes, gas in zip(figure.subplots(1, 2), measured.n_steps, strict=True):
        axes.axhline(0.0, color=GREY, lw=0.8)
        for change, label, colour in (
            (measured.ideal[gas], "log(T V)", ORANGE),
            (measured.growth[gas], "virial entropy a particle", BLUE),
        ):
            estimates = [mean(each) for each in change]
            limit = mean(at_no_speed(gas.speeds, change))
            margins = [each.half_width for each in estimates]
            axes.errorbar(
                gas.speeds, [each.value for each in estimates], margins, fmt="o", color=colour, capsize=3, label=label
            )
            axes.errorbar(0.0, limit.value, limit.half_width, fmt="D", mfc="none", color=colour, capsize=3)
            slope, intercept = np.polyfit(gas.speeds, change.mean(axis=1), 1)
            axes.plot([0.0, gas.speeds[-1]], [intercept, intercept + slope * gas.speeds[-1]], color=colour, lw=0.8)
        axes.set(
            xlabel="speed of the piston",
            ylabel="change",
            title=f"{gas.n_particles} particles, {gas.length:g} pushed to {gas.length / 2:g}",
        )
        axes.legend()
    return figure
