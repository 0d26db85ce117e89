"""What the race gave: as JSON, tables and a picture."""

import itertools
import platform
import statistics
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from rich import box
from rich.console import Console
from rich.table import Table

from .gas import version
from .race import MODES, OURS

WHERE = {"one_core": "one core, one replica", "all_cores": "all cores, several replicas"}
LINES = ("-", "--", ":", "-.")


def geometric_means(rows: list[dict[str, Any]], peers: list[str]) -> dict[str, dict[str, float]]:
    """Of the ratios over the state points, by mode; of a peer only if it has a figure at each."""
    means: dict[str, dict[str, float]] = {mode: {} for mode in MODES}
    for mode, name in itertools.product(MODES, peers):
        ratios = [row[mode][f"{name}_ratio"] for row in rows if f"{name}_ratio" in row[mode]]
        if len(ratios) == len(rows):
            means[mode][f"{name}_ratio"] = statistics.geometric_mean(ratios)
    return means


def machine(n_cores: int, packages: set[str]) -> dict[str, Any]:
    """What the figures hold for."""
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    versions = {package: version(package) for package in sorted(packages)}
    return {"cpu": cpu, "cores": n_cores, "python": platform.python_version(), "packages": versions}


def show(report: dict[str, Any], peers: list[str], console: Console) -> None:
    """Print the report as tables, a dash where a peer has no figure, and why it has none."""
    for mode in MODES:
        title = f"{WHERE[mode]}: ms for a unit of time of a replica".capitalize()
        table = Table(title=title, box=box.SIMPLE, padding=0)
        for heading in ("N", "Lx", OURS, *peers, *(f"{name}\nratio" for name in peers), "spread"):
            table.add_column(heading, justify="right")
        for row in report["states"]:
            figures = row[mode]
            table.add_row(
                str(row["n_particles"]),
                f"{row['length']:g}",
                *(f"{figures[name]['ms_per_time_unit']:.3g}" if name in figures else "-" for name in (OURS, *peers)),
                *(f"{figures[f'{name}_ratio']:.3g}" if name in figures else "-" for name in peers),
                f"{max(figures[name]['spread'] for name in (OURS, *peers) if name in figures):.0%}",
            )
        console.print(table)
        for key, mean in report["geometric_mean"][mode].items():
            console.print(f"{key.removesuffix('_ratio')} takes {mean:.1f} times as long (geometric mean).")
    console.print(
        f"On {report['machine']['cores']} cores of {report['machine']['cpu']}; spread: the largest of the row."
    )
    for name, reason in report["missing"].items():
        console.print(f"{name}: {reason}.")
    for row, name in itertools.product(report["states"], peers):
        for check in row["programs"].get(name, {}).get("refused", []):
            point = f"N = {row['n_particles']}, Lx = {row['length']:g}"
            console.print(f"{name} {check.get('settings', '')} at {point} is refused: {check['refused']}.")


def draw_chart(report: dict[str, Any], path: Path) -> None:
    """Milliseconds for a unit of time over N: a colour for each program, a line for each Lx."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    rows = report["states"]
    lengths = sorted({row["length"] for row in rows}, reverse=True)
    for panel, mode in zip(panels, MODES, strict=True):
        for number, name in enumerate(rows[0]["programs"]):
            for length, line in zip(lengths, LINES, strict=False):
                of_line = [row for row in rows if row["length"] == length and name in row[mode]]
                panel.plot(
                    [row["n_particles"] for row in of_line],
                    [row[mode][name]["ms_per_time_unit"] for row in of_line],
                    line,
                    color=f"C{number}",
                    marker="o",
                    label=f"{name}, Lx = {length:g}",
                )
        panel.set(title=WHERE[mode], xlabel="N", yscale="log")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("ms for a unit of time (1000 steps)")
    panels[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(f"{report['machine']['cores']} cores of {report['machine']['cpu']}")
    figure.savefig(path, dpi=120)
    plt.close(figure)
