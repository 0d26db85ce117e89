"""Measure throughput on one core: both engines, the images, and LAMMPS beside them where it is installed.

    python scripts/benchmark_throughput.py [--quick] [--json FILE]

Each state point is a gas of N particles in Lx x L, after a short hold, with the piston at rest. The programs take
turns, so that a change in the machine's speed meets all of them; times are processor times, so that other work on the
machine counts little. Figures are medians over the repeats; their spread is (largest - smallest) / median.

equivalent particle-steps/s   all particles times all steps: what plain velocity Verlet would have to execute
executed particle-steps/s     steps of particles in contact: what the contact engine does execute
contacts/s                    contacts begun
"""

import argparse
import importlib.metadata
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from gputhermo import Hold, Protocol, Recording, ReplicaBatch, Settings, __version__, simulate
from gputhermo.backend import CpuBackend
from gputhermo.initialize import draw
from gputhermo.parameters import IntegratorSettings
from gputhermo.rasterize import render

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from lammps_oracle import is_installed, run_lammps  # the tests' oracle, here for its speed

SETTINGS = Settings()
L = SETTINGS.gas.box_length
TIMESTEP = SETTINGS.integrator.timestep
ONE_CORE = CpuBackend(1)
SETTLING_TIME = 20.0
# Time simulated in one repeat. The contact engine gets more, so that its clock ticks often enough.
CONTACT_TIME, EVERY_STEP_TIME = 100.0, 4.0
N_FRAMES = 10
LAMMPS_SKINS = (0.4, 0.8, 1.6)
LAMMPS_CHECK_INTERVAL = 10

State = tuple[np.ndarray, np.ndarray]


def processor_seconds(work: Callable[[], Any]) -> float:
    """Processor time of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def run(state: State, length: float, duration: float, engine: str = "contact") -> Recording:
    """Hold the piston at `length` for `duration`."""
    batch = ReplicaBatch.from_arrays([state[0]], [state[1]], SETTINGS.gas.interaction_strength)
    protocol = Protocol(length, L, [Hold(duration)])
    integrator = IntegratorSettings(engine=engine)
    return simulate(batch, protocol, device=ONE_CORE, integrator=integrator, frames=1)[0]


def settled(n_particles: int, length: float) -> State:
    """Positions and velocities, float64 [n_particles, 2], after a hold from a random start."""
    positions, velocities = draw(n_particles, length, L, seed=SETTINGS.seed, backend=ONE_CORE)
    phase_points = run((positions[0], velocities[0]), length, SETTLING_TIME).phase_points[-1]
    return phase_points[:, :2].copy(), phase_points[:, 2:].copy()


def compile_seconds() -> dict[str, float]:
    """Wall time of each program's first call, which compiles it or finds it in numba's cache."""
    state = draw(10, L, L, seed=0, backend=ONE_CORE)
    first_calls = {
        "contact": lambda: run((state[0][0], state[1][0]), L, TIMESTEP),
        "verlet": lambda: run((state[0][0], state[1][0]), L, TIMESTEP, "verlet"),
        "images": lambda: render(state[0], 10, SETTINGS.image, L, ONE_CORE),
    }
    seconds = {}
    for name, call in first_calls.items():
        began = time.perf_counter()
        call()
        seconds[name] = time.perf_counter() - began
    return seconds


def lammps_seconds(state: State, length: float, duration: float, skin: float) -> float:
    """Processor time of LAMMPS's steps."""
    strokes = [(round(duration / TIMESTEP), 0.0)]
    return run_lammps(
        *state,
        strokes,
        length=length,
        height=L,
        stiffness=SETTINGS.gas.interaction_strength,
        timestep=TIMESTEP,
        skin=skin,
        check_interval=LAMMPS_CHECK_INTERVAL,
    ).seconds


def measure(n_particles: int, length: float, repeats: int) -> dict[str, Any]:
    """All figures of one state point."""
    state = settled(n_particles, length)
    counters = run(state, length, CONTACT_TIME).counters
    frames = np.broadcast_to(state[0].astype(np.float32), (N_FRAMES, n_particles, 2))
    programs: dict[str, Callable[[], float]] = {
        "contact": lambda: processor_seconds(lambda: run(state, length, CONTACT_TIME)) / CONTACT_TIME,
        "verlet": lambda: processor_seconds(lambda: run(state, length, EVERY_STEP_TIME, "verlet")) / EVERY_STEP_TIME,
        "frame": lambda: processor_seconds(lambda: render(frames, n_particles, SETTINGS.image, L, ONE_CORE)) / N_FRAMES,
    }
    figures: dict[str, Any] = {"n_particles": n_particles, "length": length}
    if is_installed():
        skin = min(LAMMPS_SKINS, key=lambda skin: lammps_seconds(state, length, 0.5 * EVERY_STEP_TIME, skin))
        programs["lammps"] = lambda: lammps_seconds(state, length, EVERY_STEP_TIME, skin) / EVERY_STEP_TIME
        figures["lammps_skin"] = skin
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for repeat in range(repeats + 1):
        for name, program in programs.items():
            duration = program()
            if repeat > 0:  # the first round warms up
                seconds[name].append(duration)
    median = {name: statistics.median(values) for name, values in seconds.items()}

    for name, values in seconds.items():
        what = "frame_ms" if name == "frame" else f"{name}_ms_per_time_unit"
        figures[what] = 1e3 * median[name]
        figures[f"{name}_spread"] = (max(values) - min(values)) / median[name]
    simulated = CONTACT_TIME * median["contact"]
    figures["equivalent_particle_steps_per_second"] = n_particles * counters["steps"] / simulated
    figures["executed_particle_steps_per_second"] = counters["executed"] / simulated
    figures["contacts_per_second"] = counters["contacts"] / simulated
    figures["frames_per_second"] = 1.0 / median["frame"]
    figures["times_verlet"] = median["verlet"] / median["contact"]
    if "lammps" in median:
        figures["times_lammps"] = median["lammps"] / median["contact"]
    return figures


def machine() -> dict[str, str]:
    """What the figures hold for."""
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    versions = {"python": platform.python_version(), "gputhermo": __version__}
    for package in ("numba", "numpy", *(["lammps"] if is_installed() else [])):
        versions[package] = importlib.metadata.version(package)
    return {"cpu": cpu} | versions


def show(report: dict[str, Any], console: Console) -> None:
    """Print the report as a table."""
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "N": lambda row: str(row["n_particles"]),
        "Lx": lambda row: f"{row['length']:g}",
        "equiv.\nM/s": lambda row: f"{row['equivalent_particle_steps_per_second'] / 1e6:.0f}",
        "exec.\nM/s": lambda row: f"{row['executed_particle_steps_per_second'] / 1e6:.1f}",
        "contacts\nk/s": lambda row: f"{row['contacts_per_second'] / 1e3:.0f}",
        "contact\nms": lambda row: f"{row['contact_ms_per_time_unit']:.3f}",
        "verlet\nms": lambda row: f"{row['verlet_ms_per_time_unit']:.2f}",
    }
    if is_installed():
        columns["LAMMPS\nms"] = lambda row: f"{row['lammps_ms_per_time_unit']:.1f}"
        columns["times\nLAMMPS"] = lambda row: f"{row['times_lammps']:.0f}"
    columns["frames\n/s"] = lambda row: f"{row['frames_per_second']:.0f}"
    columns["spread"] = lambda row: f"{100 * max(row[name] for name in row if name.endswith('_spread')):.0f}%"
    table = Table(title=f"One core of {report['machine']['cpu']}", box=box.SIMPLE, padding=0)
    for name in columns:
        table.add_column(name, justify="right")
    for row in report["states"]:
        table.add_row(*(cell(row) for cell in columns.values()))
    console.print(table)
    console.print("M/s: million particle-steps a second; ms: for one unit of time; spread: the largest of the row.")
    for peer in ("verlet", "lammps"):
        if f"geometric_mean_times_{peer}" in report:
            mean = report[f"geometric_mean_times_{peer}"]
            console.print(f"The contact engine is {mean:.1f} times as fast as {peer} (geometric mean).")
    compiled = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report["compile_seconds"].items())
    console.print(f"Apart from all this, the first call compiles or loads: {compiled}.")


def main() -> None:
    """Measure every state point, print the table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="N = 500 and 2000 alone, three repeats: under a minute")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    sizes = (500, 2000) if options.quick else (500, 1000, 1500, 2000)
    report: dict[str, Any] = {
        "machine": machine(),
        "settings": {"timestep": TIMESTEP, "height": L, "lammps_check_interval": LAMMPS_CHECK_INTERVAL},
        "repeats": 3 if options.quick else 7,
        "compile_seconds": compile_seconds(),
    }
    report["states"] = [measure(n, length, report["repeats"]) for n in sizes for length in (L, 0.5 * L)]
    for peer in ("verlet", "lammps"):
        ratios = [row[f"times_{peer}"] for row in report["states"] if f"times_{peer}" in row]
        if ratios:
            report[f"geometric_mean_times_{peer}"] = statistics.geometric_mean(ratios)
    show(report, Console())
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
