"""Generate a dataset and write the report about it: dataset.json, dataset.md and figures.

    python scripts/generate_dataset.py --preset paper --out FILE --report docs/results

Further options are those of `gputhermo generate`. If FILE is there already, only the report is written. How long the
generation took is measured if it was done in one go here; otherwise say it with --wall-seconds, as no file knows it.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from gputhermo import cli, figures
from gputhermo.doctor import examine_machine
from gputhermo.printout import guards_text, plain, size
from gputhermo.reader import ProcessReader
from gputhermo.report import table
from gputhermo.summary import Summary, Tables, read_tables, summarise


def main() -> int:
    """Generate if need be, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="paper", help="paper or demo (default: paper)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the dataset file")
    parser.add_argument("--report", required=True, type=Path, metavar="DIR", help="folder for the report")
    parser.add_argument("--wall-seconds", type=float, help="wall time of a generation that was not done in one go here")
    arguments, others = parser.parse_known_args()
    seconds = arguments.wall_seconds
    if not arguments.out.exists():
        began = time.monotonic()
        code = cli.main(["generate", "--preset", arguments.preset, "--out", str(arguments.out), *others])
        if code != 0:
            return code
        if "--resume" not in others:
            seconds = time.monotonic() - began
    elif others:
        parser.error(f"{arguments.out} is there already, so {' '.join(others)} has no effect")
    arguments.report.mkdir(parents=True, exist_ok=True)
    write_report(read_tables(arguments.out), seconds, arguments.report)
    return 0


def write_report(tables: Tables, seconds: float | None, folder: Path) -> None:
    """All files of the report."""
    summary = summarise(tables)
    shown = process_to_show(tables)
    machine = {finding.name: finding.value for finding in examine_machine()}
    report: dict[str, Any] = {"machine": machine, "wall_seconds": seconds}
    if seconds is not None:
        for name in ("particle_steps", "executed", "contacts", "states"):
            report[f"{name}_per_second"] = getattr(summary, name) / seconds
    report |= dataclasses.asdict(summary)
    (folder / "dataset.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / "dataset.md").write_text(as_markdown(summary, report, shown), encoding="utf-8")
    figures.save(figures.dataset_overview(tables, summary), folder / "dataset.png")
    with ProcessReader(tables.path, shown) as reader:
        figures.save(figures.process_overview(reader), folder / "process.png")


def process_to_show(tables: Tables) -> int:
    """The first process with the most particles and the fastest piston that halts half-way in its strokes."""
    processes = tables.processes
    order = [
        -abs(processes["push_stroke"] + processes["pull_stroke"] - 0.5 * tables.settings.gas.box_length),
        processes["push_speed"] + processes["pull_speed"],
        processes["n_particles"],
    ]
    return max(range(len(processes["n_particles"])), key=lambda index: tuple(column[index] for column in order[::-1]))


def as_markdown(summary: Summary, report: dict[str, Any], shown: int) -> str:
    """The report as text."""
    title = "The paper's dataset" if not summary.changed_settings else "A dataset"
    machine = "; ".join(f"{name} {value}" for name, value in report["machine"].items())
    facts = [
        ("states", f"{summary.states:,} of {summary.processes:,} processes"),
        ("split", ", ".join(f"{name} {counts['processes']}" for name, counts in summary.splits.items()) + " processes"),
        ("simulated time", f"{summary.simulated_time:,.0f}"),
        ("equivalent particle-steps", f"{summary.particle_steps:.3e}"),
        ("executed particle-steps", f"{summary.executed:.3e}"),
        ("contacts", f"{summary.contacts:.3e}"),
        ("file size", size(summary.file_bytes)),
        ("mean relative energy drift", f"{summary.mean_drift:+.2e}"),
        ("largest relative energy drift", f"{summary.largest_drift:+.2e}"),
        ("guards", guards_text(summary)),
    ]
    if report["wall_seconds"] is not None:
        facts += [
            ("wall time", f"{report['wall_seconds'] / 60:.1f} min"),
            ("equivalent particle-steps/s", f"{report['particle_steps_per_second']:.3e}"),
            ("executed particle-steps/s", f"{report['executed_per_second']:.3e}"),
            ("contacts/s", f"{report['contacts_per_second']:.3e}"),
        ]
    changed = [(name, plain(here), plain(paper)) for name, (here, paper) in summary.changed_settings.items()]
    sections = [
        f"# {title}",
        "Written by `scripts/generate_dataset.py`; all numbers are in [dataset.json](dataset.json). Units: energy "
        "kB T0, length R, time R sqrt(m / kB T0).",
        f"Machine: {machine}.",
        table(("", ""), facts),
        "![Energy after each cycle, work and energy, flow modes, energy drift](dataset.png)",
        f"![Process {shown} over time, with pictures of the gas](process.png)",
    ]
    if changed:
        sections += [
            "## Settings that differ from the preset paper",
            table(("setting", "here", "paper"), changed),
        ]
    sections += [
        "## Energy and work",
        "Work and energy change are those between the first state of a process and its last, per particle, means over "
        "processes.",
        table(
            ("N", "push speed", "pull speed", "processes", "work", "energy change"),
            [
                (b.n_particles, b.push_speed, b.pull_speed, b.processes, f"{b.work:.5f}", f"{b.energy_change:.5f}")
                for b in summary.balances
            ],
        ),
        "The relative energy drift of a process is (energy change - work) / energy at its last state; the integrator's "
        "error, 0 if it were exact.",
        table(
            ("N", "processes", "contacts", "mean drift", "largest drift"),
            [
                (g.n_particles, g.processes, f"{g.contacts:.3e}", f"{g.mean_drift:+.2e}", f"{g.largest_drift:+.2e}")
                for g in summary.gases
            ],
        ),
        "## Energy per particle after each cycle",
        "Mean and standard deviation over processes, with the piston back at L.",
        table(("N", "push speed", "pull speed", *(f"cycle {c}" for c in cycles(summary))), energy_rows(summary)),
        "## Modes at recording",
        "Mean squares of the first flow and density modes when a state is recorded, by the stroke before the hold. A "
        "gas in equilibrium has 1 for the flow and somewhat less for the density.",
        table(
            ("N", "stroke", "speed", "states", "flow x", "flow y", "density x", "density y"),
            [
                (
                    m.n_particles,
                    m.stroke,
                    m.speed,
                    m.states,
                    *(f"{value:.2f}" for value in (m.flow_x, m.flow_y, m.density_x, m.density_y)),
                )
                for m in summary.modes
            ],
        ),
    ]
    return "\n\n".join(sections) + "\n"


def cycles(summary: Summary) -> list[int]:
    """Numbers of completed cycles that occur."""
    return sorted({row.cycle for row in summary.cycles})


def energy_rows(summary: Summary) -> list[tuple[Any, ...]]:
    """One row for each number of particles and pair of speeds, a column for each cycle."""
    cells = {(r.n_particles, r.push_speed, r.pull_speed, r.cycle): r for r in summary.cycles}
    rows = []
    for key in sorted({key[:3] for key in cells}):
        energies = [cells[(*key, cycle)] for cycle in cycles(summary)]
        rows.append((*key, *(f"{row.energy:.4f} ± {row.deviation:.4f}" for row in energies)))
    return rows


if __name__ == "__main__":
    sys.exit(main())
