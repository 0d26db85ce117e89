"""Time what a CUDA device is for, and write a report: FILE.json, and a page about it, FILE.md with FILE.png.

    python scripts/gpu_report.py --out docs/results/gpu.json [--only FIGURE ...] [--quick] [--device cuda]

md_seconds                the processes of the preset, simulated; beside it the costliest of them alone: whoever takes
                          one step after the other is no faster with all of them
clips_seconds             the same, and every clip drawn, all on the device
render_frames_per_second  drawing alone, and beside it a ceiling: how many images the device could fill with a constant
train_seconds             from no weights to the paper's accuracy on the validation processes, by network; null if a
                          run ends below it
live_epoch_seconds        an epoch of `train --live`, in which the network learns from the last processes while the next
                          are simulated
reproduce_seconds         `gputhermo reproduce`, into a temporary folder
replicas, particles       how throughput grows: replicas of 500 particles, and particles of one gas at one density

Simulation and drawing are medians of five after a first round that compiles; the rest is one run. The report is written
after each figure. With `--only` just these are measured; what FILE has of the others stays, if it is of this machine.
`--quick` takes the preset `demo`, short scaling tables and one round: a check that all of it works, on a CPU too.
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
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_page import write_page
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
from gputhermo.process import Process, compile_process, compile_protocol, estimated_cost, plan_processes
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


@dataclass(frozen=True)
class Bench:
    """What is measured on: a device, by the name that commands know it by, and how thoroughly."""

    backend: Backend
    device: str
    quick: bool

    @property
    def preset(self) -> str:
        """Of dataset and training."""
        return "demo" if self.quick else "paper"

    @property
    def rounds(self) -> int:
        """Of what medians are taken."""
        return 1 if self.quick else 5

    @cached_property
    def settings(self) -> Settings:
        """Of the dataset."""
        return load_settings(self.preset)

    @cached_property
    def processes(self) -> list[Process]:
        """Of the dataset."""
        return plan_processes(self.settings)

    @cached_property
    def positions(self) -> list[Any]:
        """Of all processes."""
        return simulate_set(self, self.processes)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.json")
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=FIGURES, metavar="FIGURE")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="the preset demo, one round")
    arguments = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        bench = Bench(select(arguments.device), arguments.device, arguments.quick)
        choose_device(arguments.device)  # torch's part of it, before hours of work
        report = begun(arguments.out, {"machine": machine(bench.backend), "quick": arguments.quick})
        for name in arguments.only:
            figures = FIGURES[name](bench)
            console.print(figures)
            report |= figures
            arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            write_page(report, arguments.out)
    except (InputError, SimulationError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1 if isinstance(error, SimulationError) else 2
    return 0


def begun(out: Path, machine_and_kind: dict[str, Any]) -> dict[str, Any]:
    """The report that is there already, if it is of this machine and kind, or a new one."""
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    same = all(found.get(name) == value for name, value in machine_and_kind.items())
    return found if same else machine_and_kind


def md(bench: Bench) -> dict[str, float]:
    """Simulation of all processes, and of the costliest alone."""
    processes = bench.processes

    def cost(process: Process) -> float:
        return estimated_cost(compile_process(process, bench.settings).n_steps, process.n_particles)

    costliest = max(processes, key=cost)
    return {
        "md_seconds": median_seconds(lambda: simulate_set(bench, processes), bench.rounds),
        "md_seconds_of_the_costliest": median_seconds(lambda: simulate_set(bench, [costliest]), bench.rounds),
    }


def images(bench: Bench) -> dict[str, float]:
    """Drawing alone."""
    n_frames = sum(process.shape[0] * process.shape[1] for process in bench.positions)
    seconds = median_seconds(lambda: draw_set(bench, bench.positions), bench.rounds)
    return {
        "frames": n_frames,
        "render_frames_per_second": n_frames / seconds,
        "render_ceiling_frames_per_second": fill_rate(bench) / bench.settings.image.pixels**2,
    }


def clips(bench: Bench) -> dict[str, float]:
    """Simulation and drawing."""
    work = bench.processes
    return {"clips_seconds": median_seconds(lambda: draw_set(bench, simulate_set(bench, work)), bench.rounds)}


def replicas(bench: Bench) -> dict[str, list[dict[str, float]]]:
    """Throughput of replicas side by side."""
    return {"replicas": [throughput(bench, 500, n) for n in (QUICK_REPLICAS if bench.quick else REPLICAS)]}


def particles(bench: Bench) -> dict[str, list[dict[str, float]]]:
    """Throughput of one gas."""
    return {"particles": [throughput(bench, n, 1) for n in (QUICK_PARTICLES if bench.quick else PARTICLES)]}


def training(bench: Bench) -> dict[str, dict[str, dict[str, float | None]]]:
    """Training from nothing."""
    return {"train_seconds": {network: train_seconds(bench, network) for network in RECIPES}}


def live(bench: Bench) -> dict[str, float]:
    """The second epoch of a live training: the first waits for its processes, the last simulates none."""
    ends: dict[int, float] = {}

    def note(status: Any) -> None:
        if isinstance(status, TrainStatus) and status.last is not None:
            ends.setdefault(status.last.epoch, time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        recipe = load_train_settings(network="pooled", epochs=3)
        train_live(bench.settings, Path(folder) / "run", recipe, device=bench.device, report=note)
    return {"live_epoch_seconds": ends[2] - ends[1]}


def reproduction(bench: Bench) -> dict[str, float]:
    """From nothing to the report about the paper's claims."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        recipe = load_train_settings(preset=bench.preset)
        reproduce(bench.settings, recipe, EvaluateSettings(), folder, device=bench.device)
        return {"reproduce_seconds": time.perf_counter() - began}


FIGURES: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "md": md,
    "render": images,
    "clips": clips,
    "replicas": replicas,
    "particles": particles,
    "train": training,
    "live": live,
    "reproduce": reproduction,
}
"""What `--only` chooses from."""


def median_seconds(work: Callable[[], Any], rounds: int) -> float:
    """Wall time of a call that returns when all is done, after a first one that compiles."""
    work()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def simulate_set(bench: Bench, processes: Sequence[Process]) -> list[Any]:
    """Positions of each process, float32 [n_clips, frames, n_particles, 2], on the device."""
    settings, backend = bench.settings, bench.backend
    run = ProcessRun(processes, settings, backend, lambda some: draw_processes(some, settings, backend))
    positions = []
    while run.unfinished:
        positions += [recording.positions.copy() for _, recording in run.advance()]
    return positions


def draw_set(bench: Bench, positions: Sequence[Any]) -> None:
    """Draw all of them; a process's images make room for the next one's."""
    for process in positions:
        render(process, process.shape[2], bench.settings.image, bench.settings.gas.box_length, bench.backend)


def fill_rate(bench: Bench) -> float:
    """Bytes a second that the device writes."""
    backend = bench.backend
    target = backend.xp.empty(FILLED_BYTES, dtype=np.uint8)

    def fill() -> None:
        target.fill(1)
        backend.to_host(target[-1:])  # waits

    return FILLED_BYTES / median_seconds(fill, bench.rounds)


def throughput(bench: Bench, n_particles: int, n_replicas: int) -> dict[str, float]:
    """Particle-steps a second of replicas that rest at one density: the launches alone, once all is on the device."""
    backend = bench.backend
    length = (n_particles / DENSITY) ** 0.5
    protocol = Protocol(length, length, [Hold(SCALING_TIME)])
    integrator = IntegratorSettings()
    table = compile_protocol(protocol, integrator.grid_step, frames=1, frame_interval=1.0)
    batch = ReplicaBatch.draw([n_particles] * n_replicas, protocol, seed=1, device=backend)
    simulation = Simulation(
        n_slots=n_replicas, n_max=n_particles, timetables=[table], integrator=integrator, backend=backend
    )
    seconds = []
    for _ in range(1 + bench.rounds):  # the first round compiles, and finds how large buffers must be
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


def train_seconds(bench: Bench, network: str) -> dict[str, float | None]:
    """Wall time of a training on a simulation, the simulation included: until the paper's accuracy, and in all."""
    reached: list[float] = []

    def note(status: Any) -> None:
        last = status.last if isinstance(status, TrainStatus) else None
        if last is not None and last.validation_accuracy >= PAPER["test_accuracy"] and not reached:
            reached.append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as folder:
        recipe = load_train_settings(preset=bench.preset, network=network)
        began = time.perf_counter()
        status = train_on_simulation(bench.settings, Path(folder) / "run", recipe, device=bench.device, report=note)
        total = time.perf_counter() - began
    assert status.best is not None
    return {
        "to_the_papers_accuracy": reached[0] if reached else None,
        "all_epochs": total,
        "validation_accuracy_at_the_lowest_loss": status.best.validation_accuracy,
    }


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
