"""The share of a process's entropy that the time step made, and not the piston."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from gputhermo import Recording
from gputhermo.backend import Backend
from gputhermo.entropy import virial_entropy
from gputhermo.figures import BLUE, GREY, ORANGE, STYLE, new_figure
from gputhermo.parameters import Settings, validate
from gputhermo.process import Process, plan_processes
from gputhermo.process_run import ProcessRun, draw_processes

from .check import Check, exactly, ratio_of_sums
from .heating import words

SUBSTEPS = (1, 4)
STROKES = (150.0, 15.0)
NUMBERS = (500, 1000, 2000)
LARGEST_SHARE = {1: 0.1, 4: 0.01}
"""Of all processes, by number of sub-steps."""
LARGEST_IN_ONE = {1: 0.5, 4: 0.05}
"""Of a single one: in the slowest, entropy hardly grows."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """By number of sub-steps; each array float64 [n_processes].

    growth   of the entropy of the virial series, from the first state to the last
    heating  what of it is energy that the piston did not give, divided by temperature
    """

    n_particles: np.ndarray
    growth: dict[int, np.ndarray]
    heating: dict[int, np.ndarray]
    n_steps: int


def chosen(settings: Settings) -> list[Process]:
    """Of the paper's processes those with equal strokes and speeds both ways: long and short strokes."""
    return [
        process
        for process in plan_processes(settings)
        if process.push_stroke == process.pull_stroke
        and process.push_stroke in STROKES
        and process.n_particles in NUMBERS
        and process.push_speed == process.pull_speed
    ]


def measure(backend: Backend, processes: list[Process] | None = None, settings: Settings | None = None) -> Measured:
    """The same processes with and without sub-steps; by default those of the paper."""
    settings = settings or Settings()
    processes = processes or chosen(settings)
    rows = {substeps: run(processes, settings, substeps, backend) for substeps in SUBSTEPS}
    names = ("growth", "heating")
    return Measured(
        n_particles=np.array([process.n_particles for process in processes]),
        n_steps=int(sum(table[:, -1].sum() for table in rows.values())),
        **{name: {substeps: rows[substeps][:, k] for substeps in SUBSTEPS} for k, name in enumerate(names)},
    )


def run(processes: list[Process], settings: Settings, substeps: int, backend: Backend) -> np.ndarray:
    """Growth, heating and steps of each process: float64 [n_processes, 3]."""
    settings = validate({**settings.model_dump(), "integrator": {"substeps": substeps}})
    running = ProcessRun(processes, settings, backend, lambda some: draw_processes(some, settings, backend))
    rows = {}
    while running.unfinished:
        for process, recording in running.advance():
            rows[process.index] = (*gains(recording, process), recording.counters["steps"])
    return np.array([rows[process.index] for process in processes])


def gains(recording: Recording, process: Process) -> tuple[float, float]:
    """Growth of entropy and heating, from the first recorded state to the last."""
    n, piston = process.n_particles, recording.piston_position
    energy = recording.kinetic_energy + recording.potential_energy
    parts = np.stack([np.full_like(piston, n), energy, piston, np.full_like(piston, process.box_length)], axis=1)
    entropy = virial_entropy(parts[:, None])
    not_work = np.diff(energy - recording.work)
    temperature = 0.5 * (energy[1:] + energy[:-1]) / n
    return entropy[-1] - entropy[0], (not_work / temperature).sum()


def checks(measured: Measured) -> list[Check]:
    """Heating's share of the growth, over the processes."""
    found = []
    for substeps in SUBSTEPS:
        heating, growth = measured.heating[substeps], measured.growth[substeps]
        for what, share, bound in (
            ("share of the entropy's growth in all processes", ratio_of_sums(heating, growth), LARGEST_SHARE[substeps]),
            ("largest share in one process", exactly(np.max(heating / growth)), LARGEST_IN_ONE[substeps]),
        ):
            found.append(
                Check(
                    name=f"heating by the time step, {words(substeps)}: {what}",
                    measured=share,
                    relation="below",
                    reference=bound,
                    source="bound: what strokes do must be more",
                    n_steps=measured.n_steps,
                )
            )
    return found


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """Share against the growth of entropy a particle, one mark a process."""
    figure = new_figure(5.6, 3.6)
    axes = figure.subplots()
    axes.axhline(0.0, color=GREY, lw=0.8)
    for substeps, marker, colour in zip(SUBSTEPS, "oD", (ORANGE, BLUE), strict=True):
        share = 100.0 * measured.heating[substeps] / measured.growth[substeps]
        overall = ratio_of_sums(measured.heating[substeps], measured.growth[substeps])
        label = f"{words(substeps)}: {100 * overall.value:.2f} ± {100 * overall.half_width:.2f} % of all growth"
        growth = measured.growth[substeps] / measured.n_particles
        axes.plot(growth, share, marker, color=colour, ms=4, alpha=0.7, label=label)
    axes.set(
        xscale="log",
        xlabel="growth of entropy in the process / kB a particle",
        ylabel="share made by the time step / %",
        title=f"{len(measured.growth[1])} of the paper's processes",
    )
    axes.legend()
    return figure
