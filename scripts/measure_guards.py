"""Measure how far processes of the paper's set stay from the bounds of the guards, and what the guards cost.

    python scripts/measure_guards.py --out docs/results/guards.md

Processes are simulated one by one, as `gputhermo generate` does, with nothing drawn or written. The time of the guards
is that of having a finished process examined once more.
"""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gputhermo import guards
from gputhermo.backend import select
from gputhermo.doctor import examine_machine
from gputhermo.errors import InputError, SimulationError
from gputhermo.outfile import check_parent
from gputhermo.parameters import PRESETS
from gputhermo.process import Process, plan_processes
from gputhermo.process_run import ProcessRun, draw_processes
from gputhermo.report import table

PROCESSES = (0, 84, 111, 196, 223, 308, 335, 363, 420, 447)
"""All numbers of particles with the fast piston, longest and shortest strokes; at N = 500 and 2000 the slow one too."""
HEADER = (
    *(
        "process",
        "N",
        "speeds",
        "strokes",
        "states",
        "energy of a contact / kB T",
        "closest pair",
        "potential mismatch",
    ),
    *("energy imbalance", "over what dt explains", "engines apart, run again", "energy then / C dt^2", "guards' time"),
)


class Notes(logging.Handler):
    """Keeps value and bound of everything that is judged, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[tuple[float, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note the two last arguments of a line."""
        assert isinstance(record.args, tuple)
        _, _, value, unusual = record.args
        assert isinstance(value, float)
        assert isinstance(unusual, float)
        self.values.append((value, unusual))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.md", help="the table")
    parser.add_argument("--processes", type=int, nargs="+", default=PROCESSES, metavar="P", help="of the paper's plan")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    arguments = parser.parse_args(argv)
    planned = plan_processes(PRESETS["paper"])
    try:
        check_parent(arguments.out)
        measured = [measure(planned[index], arguments.device) for index in arguments.processes]
    except (InputError, SimulationError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    arguments.out.write_text(as_markdown(measured), encoding="utf-8")
    return 0


@dataclass(frozen=True)
class Measured:
    """A process: what the table has of it, and the processor time of the simulation and of its guards in seconds."""

    row: tuple[str, ...]
    simulation: float
    guards: float

    @property
    def share(self) -> str:
        """Of the guards in the time."""
        return f"{self.guards / self.simulation:.2%}"


def measure(process: Process, device: str) -> Measured:
    """Simulate a process and note what is judged."""
    settings, backend, notes = PRESETS["paper"], select(device, 1), Notes()
    guards.logger.addHandler(notes)
    guards.logger.setLevel(logging.DEBUG)
    run = ProcessRun([process], settings, backend, lambda some: draw_processes(some, settings, backend))
    began, finished = time.process_time(), []
    while not finished:
        finished = run.advance()
    total = time.process_time() - began
    guards.logger.removeHandler(notes)
    (_, recording), began = finished[0], time.process_time()
    run.simulation.recording(0)
    again = time.process_time() - began
    contact, _, imbalance, _, rerun = (value / unusual for value, unusual in notes.values)
    found = recording.guards
    row = (
        *(f"{process.index}", f"{process.n_particles}", f"{process.push_speed:g}, {process.pull_speed:g}"),
        *(f"{process.push_stroke:g}, {process.pull_stroke:g}", f"{len(recording.time)}"),
        *(f"{guards.UNUSUAL_CONTACT * contact:.1f}", f"{found.closest_pair:.3f}", f"{found.potential_mismatch:.0e}"),
        *(f"{found.energy_imbalance:.1e}", f"{guards.UNUSUAL_IMBALANCE * imbalance:.2f}"),
        *(f"{found.rerun_deviation:.0e}", f"{guards.UNUSUAL_RERUN_IMBALANCE * rerun:.2f}"),
    )
    return Measured(row, total, again)


def as_markdown(measured: Sequence[Measured]) -> str:
    """The page."""
    every = Measured((), sum(one.simulation for one in measured), sum(one.guards for one in measured))
    rows = [(*one.row, one.share) for one in measured] + [("all", *[""] * (len(HEADER) - 2), every.share)]
    machine = "; ".join(f"{finding.name} {finding.value}" for finding in examine_machine())
    bounds = (
        *("**unusual above**", "", "", "", "", f"{guards.UNUSUAL_CONTACT:g}", "", "", ""),
        *(f"{guards.UNUSUAL_IMBALANCE:g}", f"{guards.UNUSUAL_DEVIATION:g}", f"{guards.UNUSUAL_RERUN_IMBALANCE:g}", ""),
    )
    impossible = (
        *("**impossible above**", "", "", "", "", "the whole energy", "", f"{guards.IMPOSSIBLE_MISMATCH:g}", ""),
        *(f"{guards.IMPOSSIBLE_IMBALANCE:g}", f"{guards.IMPOSSIBLE_DEVIATION:g}"),
        *(f"{guards.IMPOSSIBLE_RERUN_IMBALANCE:g}", ""),
    )
    return (
        "# Guards: what was measured\n\n"
        "Written by `python scripts/measure_guards.py`; [guards](../guards.md) says what the columns are. Each number "
        "is the worst of a whole process of the paper's set; *guards' time* is the share of them in the processor time "
        "of its simulation.\n\n"
        f"Machine: {machine}.\n\n{table(HEADER, [*rows, bounds, impossible])}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
