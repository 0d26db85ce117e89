"""What the commands print when they are done: tables on standard output."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .doctor import Finding
from .progress import duration

if TYPE_CHECKING:
    # For their types alone: torch and numba come with them.
    from .claims import Results
    from .generate import Status
    from .summary import Summary
    from .train import TrainStatus


def print_closing(status: "Status", summary: "Summary", out: Path) -> None:
    """What a run that is complete did, and where to look next."""
    seconds = max(status.elapsed, 1e-9)
    table = new_list(2)
    table.add_row("file", f"{out}, {size(summary.file_bytes)}")
    table.add_row("states", f"{summary.states:,} of {summary.processes:,} processes")
    table.add_row("wall time", f"{duration(status.elapsed)} on {status.device}")
    table.add_row("particle-steps/s", f"{status.particle_steps / seconds:.2e} equivalent")
    table.add_row("", f"{status.executed / seconds:.2e} executed")
    table.add_row("contacts/s", f"{status.contacts / seconds:.2e}")
    table.add_row(
        "energy drift", f"{summary.largest_drift:+.1e} at most, {summary.mean_drift:+.1e} on average, relative"
    )
    table.add_row("guards", guards_text(summary))
    new_console().print(table)
    sys.stdout.write(f"next: gputhermo info {out}\n      gputhermo render {out} --process 0 --out process.png\n")


def print_summary(summary: "Summary") -> None:
    """The summary as tables."""
    console = new_console()
    console.print(
        f"{summary.file}  {size(summary.file_bytes)}, format {summary.format_version}, "
        f"written by gputhermo {summary.package_version}"
    )
    splits = ", ".join(
        f"{name} {counts['states']:,} ({counts['processes']})" for name, counts in summary.splits.items()
    )
    console.print(
        f"{summary.states:,} states of {summary.processes:,} processes: {splits}\n"
        f"{summary.simulated_time:,.0f} time units, {summary.particle_steps:.2e} particle-steps "
        f"({summary.executed:.2e} executed), {summary.contacts:.2e} contacts\n"
        f"relative energy drift of a process: {summary.mean_drift:+.1e} on average, "
        f"{summary.largest_drift:+.1e} at most\n"
        f"guards: {guards_text(summary)}"
    )

    table = new_table(
        "By number of particles", "N", "processes", "states", "time", "contacts", "energy/N first", "last"
    )
    table.add_column("mean drift", justify="right")
    table.add_column("largest", justify="right")
    for gas in summary.gases:
        table.add_row(
            f"{gas.n_particles:,}",
            f"{gas.processes:,}",
            f"{gas.states:,}",
            f"{gas.simulated_time:,.0f}",
            f"{gas.contacts:.2e}",
            f"{gas.first_energy:.4f}",
            f"{gas.last_energy:.4f}",
            f"{gas.mean_drift:+.1e}",
            f"{gas.largest_drift:+.1e}",
        )
    console.print(table)

    if summary.changed_settings:
        table = new_table("Settings that differ from the preset paper", "setting", "here", "paper")
        for name, (here, paper) in summary.changed_settings.items():
            table.add_row(name, plain(here), plain(paper))
        console.print(table)
    else:
        console.print("\nAll settings are those of the preset paper.")

    table = new_table("Arrays", "name", "type", "shape", "size", "in the file")
    for array in summary.arrays:
        shape = " x ".join(f"{length:,}" for length in array.shape)
        table.add_row(array.name, array.dtype, shape, size(array.bytes), size(array.stored_bytes))
    console.print(table)


def guards_text(summary: "Summary") -> str:
    """What the guards found."""
    return "not recorded" if summary.guards is None else str(summary.guards)


def print_trained(status: "TrainStatus", out: Path) -> None:
    """What a training run that is complete came to, and where its files are."""
    table = new_list(2)
    for name, epoch in (("last", status.last), ("best", status.best)):
        if epoch is not None:
            table.add_row(
                f"{name}, epoch {epoch.epoch}",
                f"validation loss {epoch.validation_loss:.4f}, accuracy {epoch.validation_accuracy:.4f} over all "
                f"pairs, {epoch.validation_process_accuracy:.4f} as the mean over processes",
            )
    table.add_row("wall time", f"{duration(status.elapsed)} on {status.device}")
    table.add_row("weights", f"{out / 'best.safetensors'}, {out / 'last.safetensors'}")
    table.add_row("history", str(out / "history.jsonl"))
    new_console().print(table)


def print_claims(results: "Results", out: Path) -> None:
    """The claims in short, and where the report is."""
    from .report import SHORT_CLAIMS, claim_rows  # here, because torch comes with it

    table = new_table("Claims, named as in results.json", "claim")
    for numbers in ("paper", "ours [95% interval]", "van der Waals"):
        table.add_column(numbers, justify="right", no_wrap=True)
    table.add_column("verdict")
    for row in claim_rows(results, SHORT_CLAIMS):
        table.add_row(*row)
    console = new_console()
    console.print(table)
    console.print(f"\nreport: {out / 'report.md'}", soft_wrap=True)


def print_findings(findings: Iterable[Finding]) -> None:
    """What the machine offers, and how to get what is missing."""
    marks = {True: Text("ok", "green"), False: Text("missing", "red"), None: Text("optional", "yellow")}
    table = new_list(3)
    for finding in findings:
        value = f"{finding.value}; to get it: {finding.remedy}" if finding.remedy else finding.value
        table.add_row(finding.name, marks[finding.ok], value)
    new_console().print(table)


def new_console() -> Console:
    """Standard output, which takes text as it is; a file or a pipe is as wide as tables need."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=160)


def new_list(n_columns: int) -> Table:
    """An empty table without title or header."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for _column in range(n_columns):
        table.add_column(overflow="fold")
    return table


def new_table(title: str, first: str, *others: str) -> Table:
    """An empty table with a first column to the left and the others to the right."""
    table = Table(
        title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def size(n_bytes: int) -> str:
    """Bytes in a fitting unit."""
    value, unit = float(n_bytes), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000.0 or unit == "TB":
            break
        value /= 1000.0
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"


def plain(value: Any) -> str:
    """A setting as the user would write it."""
    return ", ".join(f"{part:g}" for part in value) if isinstance(value, tuple) else str(value)
