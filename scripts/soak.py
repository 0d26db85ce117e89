"""Disturb the package for a while: kills, full disks, little memory, bad input, damaged files; count what came of it.

    make soak
    python scripts/soak.py --json docs/results/soak.json [--quick] [SUITE ...]

The suites are tests of tests/, at their full length; `--quick` is the length that `make test` runs. Tables of the
counts come at the end, and the exit code is 0 if nothing was lost, nothing ended in a traceback and nothing was
overlooked.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from gputhermo import __version__

ROOT = Path(__file__).parents[1]
SUITES = ("test_killed.py", "test_starved.py", "test_bad_input.py", "test_seal.py")
TABLES = {
    "faults": ("what", "injected", "recovered", "lost"),
    "inputs": ("what", "tried", "accepted", "rejected", "tracebacks"),
    "mutations": ("what", "tried", "undetected"),
}
"""Columns of each; other figures of a row stand in the JSON only."""


class Counts:
    """A plugin of pytest that gathers what tests counted, and says what is at work."""

    def __init__(self, console: Console):
        self.console = console
        self.rows: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the counts of a test once it has ended."""
        if report.when == "teardown":
            counted = [row for name, row in report.user_properties if name == "counts"]
            self.rows += counted
            for row in counted:
                self.console.print(*(f"{key} {value}" for key, value in row.items()), highlight=False, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suites, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", default=SUITES, metavar="SUITE", help=f"of {', '.join(SUITES)}")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="where the counts go")
    parser.add_argument("--quick", action="store_true", help="the length of `make test`")
    arguments = parser.parse_args(argv)
    console = Console(stderr=True)
    counts, began = Counts(console), time.monotonic()
    length = [] if arguments.quick else ["--soak", "-m", "not gpu"]
    files = [str(ROOT / "tests" / suite) for suite in arguments.suites]
    code = pytest.main([*files, *length, "--quiet", "-p", "no:cacheprovider", f"--rootdir={ROOT}"], plugins=[counts])
    report = {
        "package_version": __version__,
        "machine": {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()},
        "seconds": round(time.monotonic() - began),
        "tests_failed": code != 0,
        **{name: [row for row in counts.rows if row["table"] == name] for name in TABLES},
    }
    for name, columns in TABLES.items():
        show(name, columns, report[name], console)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(code)


def show(name: str, columns: Sequence[str], rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print a table, with the sums below."""
    if not rows:
        return
    table = Table(title=name, show_footer=True)
    for column in columns:
        numbers = column != "what"
        total = f"{sum(row[column] for row in rows):,}" if numbers else "all"
        table.add_column(column, footer=total, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(f"{row[column]:,}" if column != "what" else row[column] for column in columns))
    console.print(table)


def as_markdown(report: dict[str, Any]) -> str:
    """The tables as docs/reliability.md has them."""
    parts = []
    for name, columns in TABLES.items():
        lines = [columns, ["---"] * len(columns)]
        lines += [
            [f"{row[column]:,}" if column != "what" else row[column] for column in columns] for row in report[name]
        ]
        lines.append(["all", *(f"{sum(row[column] for row in report[name]):,}" for column in columns[1:])])
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
