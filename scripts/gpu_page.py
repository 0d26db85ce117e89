"""The page about a report of `gpu_report.py`: its figures, what they are compared with, and how throughput grows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.ticker import NullFormatter

from gputhermo.figures import BLUE, GREY, ORANGE, STYLE, new_figure, save
from gputhermo.report import table

Report = dict[str, Any]
SCALING = {
    "replicas": ("n_replicas", "replicas of 500 particles"),
    "particles": ("n_particles", "particles, one replica"),
}
"""Key and label of what grows."""
RATES = {"equivalent": BLUE, "executed": ORANGE}
"""Particle-steps of all particles, and those that the engine takes; with their colours."""


def write_page(report: Report, out: Path) -> None:
    """Write the page, and its picture, beside the report `out`."""
    picture = out.with_suffix(".png")
    grown = [name for name in SCALING if name in report]
    lines = [f"# Figures of {report['machine'].get('gpu', report['machine']['device'])}", ""]
    lines += [f"Written by `scripts/gpu_report.py`; all numbers are in [{out.name}]({out.name}).", ""]
    lines += ["; ".join(f"{name} {value}" for name, value in report["machine"].items()) + ".", ""]
    lines += [table(("figure", "measured", "beside"), list(rows(report))), ""]
    for name in grown:
        lines += [table((SCALING[name][1], "equivalent /s", "executed /s", "seconds"), growth(report, name)), ""]
    if grown:
        draw(report, grown, picture)
        lines += [f"![Particle-steps a second, equivalent and executed]({picture.name})", ""]
    out.with_suffix(".md").write_text("\n".join(lines), encoding="utf-8")


def rows(report: Report) -> Iterator[tuple[str, str, str]]:
    """What was measured and with what it is compared, as text."""
    if "md_seconds" in report:
        alone = f"{report['md_seconds_of_the_costliest']:.3g} s for the costliest process alone"
        yield "molecular dynamics of all processes", f"{report['md_seconds']:.3g} s", alone
    if "render_frames_per_second" in report:
        ceiling = f"{report['render_ceiling_frames_per_second']:,.0f}/s filled with a constant"
        yield f"drawing, {report['frames']:,} images", f"{report['render_frames_per_second']:,.0f}/s", ceiling
    if "clips_seconds" in report:
        yield "simulation and drawing", f"{report['clips_seconds']:.3g} s", ""
    for network, figures in report.get("train_seconds", {}).items():
        reached = figures["to_the_papers_accuracy"]
        measured = "not reached" if reached is None else f"{reached:.3g} s"
        accuracy = figures["validation_accuracy_at_the_lowest_loss"]
        beside = f"all epochs {figures['all_epochs']:.3g} s; accuracy at the lowest loss {accuracy:.4f}"
        yield f"training of `{network}` to the paper's accuracy", measured, beside
    if "live_epoch_seconds" in report:
        yield "an epoch of live training", f"{report['live_epoch_seconds']:.3g} s", ""
    if "reproduce_seconds" in report:
        yield "`gputhermo reproduce`", f"{report['reproduce_seconds']:.3g} s", ""


def growth(report: Report, name: str) -> list[tuple[str, ...]]:
    """Rows of a table of throughput."""
    rates = [f"{rate}_particle_steps_per_second" for rate in RATES]
    return [
        (f"{row[SCALING[name][0]]:,}", *(f"{row[rate]:.3g}" for rate in rates), f"{row['seconds']:.3g}")
        for row in report[name]
    ]


@matplotlib.rc_context(STYLE)
def draw(report: Report, grown: list[str], path: Path) -> None:
    """Throughput over replicas and over particles; a grey line grows as they do."""
    figure = new_figure(3.4 * len(grown), 2.8)
    for axes, name in zip(figure.subplots(1, len(grown), squeeze=False)[0], grown, strict=True):
        key, label = SCALING[name]
        sizes = [row[key] for row in report[name]]
        for rate, colour in RATES.items():
            values = [row[f"{rate}_particle_steps_per_second"] for row in report[name]]
            axes.loglog(sizes, values, "o-", color=colour, label=rate, markersize=3)
            axes.loglog(sizes, [values[0] * size / sizes[0] for size in sizes], "--", color=GREY, linewidth=0.6)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(label)
        axes.set_ylabel("particle-steps / s")
        axes.legend()
    save(figure, path)
