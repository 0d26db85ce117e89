"""Validate the physics: run every study at full length, judge what was measured, draw it.

    python scripts/validate_physics.py --out docs/results

writes physics.json, physics.md and a figure a study in physics/. `--only NAME` runs the studies that are named and
keeps what the files have of the others.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from validation import (
    adiabat,
    energy_error,
    equation_of_state,
    heating,
    heating_share,
    irreversibility,
    momentum,
    piston_pressure,
    relaxation,
    velocities,
    work_distribution,
)
from validation.check import CONFIDENCE, Check

from gputhermo.backend import select
from gputhermo.errors import InputError, SimulationError
from gputhermo.figures import save
from gputhermo.outfile import check_parent
from gputhermo.report import table

STUDIES = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        energy_error,
        heating,
        heating_share,
        momentum,
        velocities,
        equation_of_state,
        adiabat,
        work_distribution,
        piston_pressure,
        irreversibility,
        relaxation,
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the studies; 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for physics.json and the others")
    parser.add_argument("--only", nargs="+", choices=STUDIES, default=list(STUDIES), metavar="NAME", help="studies")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    arguments = parser.parse_args(argv)
    path = arguments.out / "physics.json"
    try:
        check_parent(path)
        backend = select(arguments.device, arguments.threads)
        found = json.loads(path.read_text())["studies"] if path.exists() else {}
        (arguments.out / "physics").mkdir(exist_ok=True)
        for name in arguments.only:
            study = STUDIES[name]
            measured = study.measure(backend)
            found[name] = {"device": backend.name, "checks": [as_row(check) for check in study.checks(measured)]}
            save(study.draw(measured), arguments.out / "physics" / f"{name}.png")
            print("\n".join(as_line(row) for row in found[name]["checks"]), flush=True)
            studies = {name: found[name] for name in STUDIES if name in found}
            path.write_text(json.dumps({"confidence": CONFIDENCE, "studies": studies}, indent=2) + "\n")
            path.with_suffix(".md").write_text(as_markdown(studies))
    except (InputError, SimulationError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0 if all(row["passed"] for name in arguments.only for row in found[name]["checks"]) else 1


def as_row(check: Check) -> dict[str, Any]:
    """A check as the file has it."""
    return {
        "name": check.name,
        "measured": check.measured.value,
        "interval": [check.measured.low, check.measured.high],
        "relation": check.relation,
        "reference": check.reference,
        "resolution": check.resolution,
        "source": check.source,
        "n_steps": check.n_steps,
        "passed": check.passed,
    }


def interval_of(row: dict[str, Any]) -> str:
    """The measured value, with its interval where it has one."""
    low, high = row["interval"]
    return f"{row['measured']:.4g}" + (f" [{low:.4g}, {high:.4g}]" if low < high else "")


def as_line(row: dict[str, Any]) -> str:
    """A check on the screen."""
    verdict = "passed" if row["passed"] else "FAILED"
    return f"{verdict}  {row['name']}: {interval_of(row)}, {row['relation']} {row['reference']:.4g}"


def as_markdown(studies: dict[str, Any]) -> str:
    """A table of all checks."""
    rows = [
        (
            row["name"],
            interval_of(row),
            f"{row['relation']} {row['reference']:.4g}",
            row["source"],
            f"{row['n_steps']:.1e}",
            "yes" if row["passed"] else "NO",
        )
        for study in studies.values()
        for row in study["checks"]
    ]
    devices = ", ".join(sorted({study["device"] for study in studies.values()}))
    about = (
        f"Made with `scripts/validate_physics.py` on: {devices}. Intervals in brackets are of {100 * CONFIDENCE:g}% "
        "confidence, from one replica to another. An interval must hold the reference and be narrow (is), or lie on "
        "one side of it (above, below)."
    )
    header = ["check", "measured", "must be", "reference", "steps", "passed"]
    return f"# Checks of the physics\n\n{about}\n\n{table(header, rows)}\n"


if __name__ == "__main__":
    sys.exit(main())
