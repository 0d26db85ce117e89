"""Measure throughput: engine, images, files, training, and LAMMPS beside them where it is installed.

    python scripts/benchmark_throughput.py [--quick] [--json FILE] [--device auto]

The engine is measured on one core, by processor time, so that other work on the machine counts little: at the paper's
state points after a short hold, with the piston at rest; over sizes at one density; over temperatures. Replicas side by
side, files and training are measured by time on the wall, on all cores or on the device. Programs that are compared
take turns. Figures are medians over the repeats; their spread is (largest - smallest) / median.

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
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from throughput import engine, learning, pipeline
from throughput.report import show

from gputhermo import __version__
from gputhermo.backend import CpuBackend, select
from gputhermo.errors import InputError

SIZES, QUICK_SIZES = (500, 1000, 2000, 5000, 10_000, 20_000, 50_000), (500, 5000)
TEMPERATURES, QUICK_TEMPERATURES = (0.25, 1.0, 4.0), (4.0,)
REPLICAS, QUICK_REPLICAS = (1, 2, 8, 32), (2,)


def machine() -> dict[str, str]:
    """What the figures hold for."""
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    versions = {"python": platform.python_version(), "gputhermo": __version__}
    for package in ("numba", "numpy", "torch", *(["lammps"] if engine.is_installed() else [])):
        versions[package] = importlib.metadata.version(package)
    return {"cpu": cpu} | versions


def measure(quick: bool, device: str) -> dict[str, Any]:
    """All figures."""
    repeats = 3 if quick else 7
    backend = select(device)
    backends = [engine.ONE_CORE, *([CpuBackend()] if CpuBackend().n_threads > 1 else [])]
    if backend.name != "cpu":
        backends.append(backend)
    report: dict[str, Any] = {
        "machine": machine(),
        "settings": {
            "timestep": engine.TIMESTEP,
            "height": engine.L,
            "lammps_check_interval": engine.LAMMPS_CHECK_INTERVAL,
        },
        "repeats": repeats,
        "first_call_seconds": engine.first_calls(),
        "states": [
            engine.state_point(n, length, repeats)
            for n in ((500, 2000) if quick else (500, 1000, 1500, 2000))
            for length in (engine.L, 0.5 * engine.L)
        ],
    }
    for peer in ("verlet", "lammps"):
        ratios = [row[f"times_{peer}"] for row in report["states"] if f"times_{peer}" in row]
        if ratios:
            report[f"geometric_mean_times_{peer}"] = statistics.geometric_mean(ratios)
    report["sizes"] = [engine.size(n, repeats) for n in (QUICK_SIZES if quick else SIZES)]
    report["temperatures"] = [engine.temperature(kT, repeats) for kT in (QUICK_TEMPERATURES if quick else TEMPERATURES)]
    report["replicas"] = [
        row for n in (QUICK_REPLICAS if quick else REPLICAS) for row in engine.replicas(n, backends, repeats)
    ]
    with tempfile.TemporaryDirectory() as folder:
        report["pipeline"] = pipeline.measure(Path(folder), device, 1 if quick else 3)
    report["learning"] = learning.measure(device, repeats)
    return report


def main() -> int:
    """Measure, print tables, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer points and three repeats: about a minute")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--device", default="auto", help="of replicas, files and training: auto, cpu, cuda, cuda:N")
    options = parser.parse_args()
    try:
        report = measure(options.quick, options.device)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    show(report, Console())
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
