"""The command: which programs, how long, and where the figures go."""

import argparse
import dataclasses
import itertools
import json
import os
from pathlib import Path

from rich.console import Console

from .gas import Gas
from .gputhermo_gas import GputhermoGas
from .jax_md_gas import JaxMdGas
from .lammps_gas import LammpsGas
from .openmm_gas import OpenmmGas
from .race import OURS, SETTINGS, TIMESTEP, Cores, L, Plan, Teams, measure
from .report import draw_chart, geometric_means, machine, show

PEERS: dict[str, type[Gas]] = {"lammps": LammpsGas, "openmm": OpenmmGas, "jax_md": JaxMdGas}
ELSEWHERE = {"gamdpy": "steps on a CUDA device alone, and this is a race of CPU cores"}
FULL = Plan(
    tuple(itertools.product((500, 1000, 1500, 2000), (L, 0.5 * L))),
    rounds=7,
    turn_seconds=1.0,
    trial_seconds=0.3,
    n_samples=40,
)
QUICK = Plan(((500, L), (2000, 0.5 * L)), rounds=3, turn_seconds=0.15, trial_seconds=0.1, n_samples=5)


def main(description: str, arguments: list[str] | None = None, plan: Plan | None = None) -> int:
    """Measure every state point, print tables, and write JSON and a picture if asked to."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two state points and short turns: under two minutes")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--plot", type=Path, help="picture to write")
    options = parser.parse_args(arguments)
    plan = plan or (QUICK if options.quick else FULL)
    cores = Cores(tuple(sorted(os.sched_getaffinity(0))))
    absent = {name: reason for name, peer in PEERS.items() if (reason := peer.missing()) is not None}
    runs = {OURS: GputhermoGas} | {name: peer for name, peer in PEERS.items() if name not in absent}
    programs = {name: Teams(program, cores) for name, program in runs.items()}
    try:
        rows = [measure(n, length, programs, cores, plan) for n, length in plan.points]
    finally:
        for teams in programs.values():
            teams.close()
    report = {
        "machine": machine(len(cores.numbers), {package for program in runs.values() for package in program.PACKAGES}),
        "settings": {"timestep": TIMESTEP, "height": L, "stiffness": SETTINGS.gas.interaction_strength},
        "plan": dataclasses.asdict(plan),
        "missing": absent | ELSEWHERE,
        "states": rows,
        "geometric_mean": geometric_means(rows, list(PEERS)),
    }
    show(report, list(PEERS), Console())
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    if options.plot is not None:
        draw_chart(report, options.plot)
    return 0
