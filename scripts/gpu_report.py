"""Time what a CUDA device is for, and write one JSON report.

    python scripts/gpu_report.py --out docs/results/gpu.json [--quick] [--device cuda]

md_seconds                the processes of the preset, simulated; the longest of all figures to read first
clips_seconds             the same, and every clip drawn, all on the device
render_frames_per_second  drawing alone, and beside it a ceiling: how many images the device could fill with a constant
train_seconds             from no weights to the paper's accuracy on the validation processes, by network; null if a
                          run ends below it
live_epoch_seconds        an epoch of `train --live`, in which the network learns from the last processes while the next
                          are simulated
reproduce_seconds         `gputhermo reproduce`, into a temporary folder
replicas, particles       how throughput grows: replicas of 500 particles, and particles of one gas at one density

Simulation and drawing are medians of five after a first round that compiles; the rest is one run. `--quick` takes the
preset `demo`, short scaling tables and one round: a check that all of it works, on a CPU too.
"""

import argparse
import importlib.metadata
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from gputhermo import Hold, Protocol, ReplicaBatch, __version__
from gputhermo.backend import Backend, select
from gputhermo.claims import PAPER
from gputhermo.errors import InputError, SimulationError
from gputhermo.parameters import (
    RECIPES,
    EvaluateSettings,
    IntegratorSettings,
    Settings,
    load_settings,
    load_train_settings,
)
from gputhermo.process import compile_protocol, plan_processes
from gputhermo.process_run import ProcessRun, draw_processes
from gputhermo.rasterize import render
from gputhermo.reproduce import reproduce
from gputhermo.simulate import Simulation
from gputhermo.torch_device import choose_device
from gputhermo.train import TrainStatus, train_live, train_on_simulation

DENSITY = 2000 / 300.0**2
"""Particles in R^2, that of the paper's densest gas in the full box."""
REPLICAS, PARTICLES = (1, 4, 16, 64, 256, 1024, 4096, 16384), (500, 1000, 2000, 5000, 10_000, 50_000, 100_000)
QUICK_REPLICAS, QUICK_PARTICLES = (1, 4), (500, 1000)
SCALING_TIME = 20.0
FILLED_BYTES = 2**30


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.json")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="the preset demo, one round")
    arguments = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        backend = select(arguments.device)
        choose_device(arguments.device)  # torch's part of it, before hours of work
        report: dict[str, Any] = {"machine": machine(backend), "quick": arguments.quick}
        for name, figures in measurements(backend, arguments.device, arguments.quick):
            report[name] = figures
            console.print(name, figures, soft_wrap=True)
            # After each, so that a run that is cut short leaves what it had.
            arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except (InputError, SimulationError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1 if isinstance(error, SimulationError) else 2
    return 0


def measurements(backend: Backend, device: str, quick: bool) -> Any:
    """Name and value of each figure, one after the other."""
    preset, rounds = ("demo", 1) if quick else ("paper", 5)
    settings = load_settings(preset)
    positions = simulate_set(settings, backend)  # compiles, as does the next line
    draw_set(positions, settings, backend)
    n_frames = sum(process.shape[0] * process.shape[1] for process in positions)
    yield "frames", n_frames
    yield "md_seconds", median_seconds(lambda: simulate_set(settings, backend), rounds)
    draw_seconds = median_seconds(lambda: draw_set(positions, settings, backend), rounds)
    yield "render_frames_per_second", n_frames / draw_seconds
    yield "render_ceiling_frames_per_second", fill_rate(backend, rounds) / settings.image.pixels**2
    yield "clips_seconds", median_seconds(lambda: draw_set(simulate_set(settings, backend), settings, backend), rounds)
    yield "replicas", [throughput(backend, 500, r, rounds) for r in (QUICK_REPLICAS if quick else REPLICAS)]
    yield "particles", [throughput(backend, n, 1, rounds) for n in (QUICK_PARTICLES if quick else PARTICLES)]
    yield "train_seconds", {network: train_seconds(settings, preset, network, device) for network in RECIPES}
    yield "live_epoch_seconds", live_epoch_seconds(settings, device)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        reproduce(settings, load_train_settings(preset=preset), EvaluateSettings(), folder, device=device)
        yield "reproduce_seconds", time.perf_counter() - began


def median_seconds(work: Callable[[], Any], rounds: int) -> float:
    """Wall time of a call that returns when all is done, and that has been compiled."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def simulate_set(settings: Settings, backend: Backend) -> list[Any]:
    """All processes of a dataset; positions of each, float32 [n_clips, frames, n_particles, 2], on the device."""
    processes = plan_processes(settings)
    run = ProcessRun(processes, settings, backend, lambda some: draw_processes(some, settings, backend))
    positions = []
    while run.unfinished:
        positions += [recording.positions.copy() for _, recording in run.advance()]
    return positions


def draw_set(positions: list[Any], settings: Settings, backend: Backend) -> None:
    """Draw all of them; a process's images make room for the next one's."""
    for process in positions:
        render(process, process.shape[2], settings.image, settings.gas.box_length, backend)


def fill_rate(backend: Backend, rounds: int) -> float:
    """Bytes a second that the device writes."""
    target = backend.xp.empty(FILLED_BYTES, dtype=np.uint8)

    def fill() -> None:
        target.fill(1)
        backend.to_host(target[-1:])  # waits

    fill()
    return FILLED_BYTES / median_seconds(fill, rounds)


def throughput(backend: Backend, n_particles: int, n_replicas: int, rounds: int) -> dict[str, float]:
    """Particle-steps a second of replicas that rest at one density: the launches alone, once all is on the device."""
    length = (n_particles / DENSITY) ** 0.5
    protocol = Protocol(length, length, [Hold(SCALING_TIME)])
    integrator = IntegratorSettings()
    table = compile_protocol(protocol, integrator.grid_step, frames=1, frame_interval=1.0)
    batch = ReplicaBatch.draw([n_particles] * n_replicas, protocol, seed=1, device=backend)
    simulation = Simulation(
        n_slots=n_replicas, n_max=n_particles, timetables=[table], integrator=integrator, backend=backend
    )
    seconds = []
    for _ in range(1 + rounds):  # the first round compiles, and finds how large buffers must be
        for r in range(n_replicas):
            strength = float(batch.interaction_strength[r])
            simulation.load(r, batch.positions[r], batch.velocities[r], strength, protocol, table)
        began = time.perf_counter()
        while len(simulation.running):
            simulation.advance()
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds[1:])
    counters = [simulation.counters(r) for r in range(n_replicas)]
    return {
        "n_particles": n_particles,
        "n_replicas": n_replicas,
        "seconds": median,
        "equivalent_particle_steps_per_second": n_particles * sum(each["steps"] for each in counters) / median,
        "executed_particle_steps_per_second": sum(each["executed"] for each in counters) / median,
    }


def train_seconds(settings: Settings, preset: str, network: str, device: str) -> dict[str, float | None]:
    """Wall time of a training on a simulation, the simulation included: until the paper's accuracy, and in all."""
    reached: list[float] = []

    def note(status: Any) -> None:
        last = status.last if isinstance(status, TrainStatus) else None
        if last is not None and last.validation_accuracy >= PAPER["test_accuracy"] and not reached:
            reached.append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as folder:
        training = load_train_settings(preset=preset, network=network)
        began = time.perf_counter()
        status = train_on_simulation(settings, Path(folder) / "run", training, device=device, report=note)
        total = time.perf_counter() - began
    assert status.best is not None
    return {
        "to_the_papers_accuracy": reached[0] if reached else None,
        "all_epochs": total,
        "validation_accuracy_at_the_lowest_loss": status.best.validation_accuracy,
    }


def live_epoch_seconds(settings: Settings, device: str) -> float:
    """Wall time of the second epoch of a live training: the first waits for its processes, the last simulates none."""
    ends: dict[int, float] = {}

    def note(status: Any) -> None:
        if isinstance(status, TrainStatus) and status.last is not None:
            ends.setdefault(status.last.epoch, time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        training = load_train_settings(network="pooled", epochs=3)
        train_live(settings, Path(folder) / "run", training, device=device, report=note)
    return ends[2] - ends[1]


def machine(backend: Backend) -> dict[str, str]:
    """What the figures hold for."""
    versions = {"python": platform.python_version(), "gputhermo": __version__, "device": backend.name}
    for package in ("numba", "numba-cuda", "numpy", "torch", "cupy-cuda12x", "cupy-cuda13x"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if backend.name.startswith("cuda"):
        versions["gpu"] = torch.cuda.get_device_name(backend.name)
        versions["CUDA of torch"] = str(torch.version.cuda)
    return versions


if __name__ == "__main__":
    sys.exit(main())
