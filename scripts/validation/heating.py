"""The energy that the time step adds to a gas left alone: an arrow of time that is not physics."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from gputhermo import Hold, Protocol
from gputhermo.backend import Backend
from gputhermo.figures import BLUE, GREY, ORANGE, STYLE, new_figure
from gputhermo.parameters import IntegratorSettings

from .check import Check, mean
from .replicas import gases

N_PARTICLES = 200
LENGTH = 60.0
INTERVAL, N_INTERVALS = 50.0, 10
BOUND = {1: 2e-5, 4: 1e-6}
"""Energy a contact, by number of sub-steps, in kB T."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """By number of sub-steps.

    gained    float64 [n_replicas, N_INTERVALS]  energy since the start
    contacts  float64 [n_replicas]
    """

    gained: dict[int, np.ndarray]
    contacts: dict[int, np.ndarray]
    n_steps: dict[int, int]


def measure(backend: Backend, n_replicas: int = 64) -> Measured:
    """A gas at rest, with and without sub-steps; some 30,000 contacts a replica."""
    found = Measured(gained={}, contacts={}, n_steps={})
    protocol = Protocol(LENGTH, LENGTH, [Hold(INTERVAL)] * N_INTERVALS)
    energy = float(N_PARTICLES)
    for substeps in BOUND:
        gained, contacts, n_steps = [], [], 0
        settings = IntegratorSettings(substeps=substeps)
        for recording in gases(
            N_PARTICLES, protocol, n_replicas, backend, seed=11, kinetic_energy=energy, integrator=settings
        ):
            gained.append(recording.kinetic_energy + recording.potential_energy - energy)
            contacts.append(recording.counters["contacts"])
            n_steps += recording.counters["steps"]
        found.gained[substeps], found.contacts[substeps] = np.array(gained), np.array(contacts)
        found.n_steps[substeps] = n_steps
    return found


def words(substeps: int) -> str:
    """As a figure and a check name them."""
    return f"{substeps} sub-step{'s' if substeps > 1 else ''}"


def checks(measured: Measured) -> list[Check]:
    """Energy a contact, from above and below."""
    found = []
    for substeps, bound in BOUND.items():
        energy = mean(measured.gained[substeps][:, -1] / measured.contacts[substeps])
        name = f"heating of a gas left alone, {words(substeps)}: energy a contact / kB T"
        common = {"name": name, "measured": energy, "n_steps": measured.n_steps[substeps]}
        for relation, reference in (("below", bound), ("above", -bound)):
            found.append(Check(relation=relation, reference=reference, source="bound: small beside kB T", **common))
    return found


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """Mean energy over time."""
    figure = new_figure(5.0, 3.4)
    axes = figure.subplots()
    axes.axhline(0.0, color=GREY, lw=0.8)
    time = INTERVAL * np.arange(1, N_INTERVALS + 1)
    for substeps, colour in zip(BOUND, (ORANGE, BLUE), strict=True):
        estimates = [mean(each) for each in measured.gained[substeps].T]
        margins = [each.half_width for each in estimates]
        axes.errorbar(
            time, [each.value for each in estimates], margins, fmt="o", color=colour, capsize=3, label=words(substeps)
        )
    axes.set(xlabel="time", ylabel="energy gained / kB T", title=f"{N_PARTICLES} particles left alone")
    axes.legend()
    return figure
