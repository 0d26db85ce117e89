"""Judge one network on gases that rested for other times between strokes, and whose contacts were stepped more finely.

    python scripts/study_holds.py --work DIR --out docs/results/holds.md

Each column of the table is a dataset of its own: all gases and speeds of the preset, strokes of 12.5 only, with initial
states that were not in training. They are the same in every column. The network is the one that comes with the package,
or `--weights`. What is finished in DIR is not done again.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from gputhermo.claims import Results, load_results
from gputhermo.errors import InputError, Stopped
from gputhermo.evaluate import evaluate
from gputhermo.generate import generate
from gputhermo.parameters import Settings, validate
from gputhermo.pretrained import pretrained_file
from gputhermo.progress import show_progress, stop_on_signals
from gputhermo.report import side_by_side, table

STROKE = 12.5
"""Half the box in twelve strokes; the paper has none of this length."""
HOLDS = (100.0, 200.0, 400.0, 800.0)
SUBSTEPS = 4
"""Of a time step, in the last column."""
TRAINED_HOLD = 200.0
"""Of the preset that the network learned from."""


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is missing, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=Path, metavar="DIR", help="folder for datasets and evaluations")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.md", help="the table")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="of a network; default: the package's")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of initial states, not 0 as in training")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    arguments = parser.parse_args(argv)
    arguments.work.mkdir(parents=True, exist_ok=True)
    columns = {f"hold {hold:g}": (hold, 1) for hold in HOLDS}
    columns[f"hold {TRAINED_HOLD:g}, {SUBSTEPS} sub-steps"] = TRAINED_HOLD, SUBSTEPS
    try:
        with stop_on_signals() as stop, pretrained_file() as shipped:
            weights = arguments.weights or shipped
            runs = {
                name: judged(
                    arguments.work, settings_of_column(arguments.seed, *column), weights, arguments.threads, stop
                )
                for name, column in columns.items()
            }
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except Stopped:
        sys.stderr.write("stopped; the same command continues from here\n")
        return 130
    arguments.out.write_text(as_markdown(runs), encoding="utf-8")
    return 0


def settings_of_column(seed: int, hold_time: float, substeps: int) -> Settings:
    """The preset `paper` with one stroke and other initial states, all of it for tests."""
    return validate(
        {
            "seed": seed,
            "protocol": {"hold_time": hold_time},
            "plan": {"strokes": (STROKE,)},
            "integrator": {"substeps": substeps},
            "split": {"train": 0.0, "validation": 0.0},
        }
    )


def judged(work: Path, settings: Settings, weights: Path, n_threads: int | None, stop: Callable[[], bool]) -> Results:
    """Simulate and evaluate, unless that is done."""
    out = work / f"hold-{settings.protocol.hold_time:g}-substeps-{settings.integrator.substeps}"
    dataset = out.with_suffix(".h5")
    console = Console(stderr=True)
    with show_progress(console) as report:
        generate(settings, dataset, n_threads=n_threads, resume=True, report=report, stop=stop)
    if (out / "results.json").exists():
        return load_results(out / "results.json")
    with show_progress(console) as report:
        return evaluate(dataset, weights, out, n_threads=n_threads, report=report, stop=stop)


def as_markdown(runs: dict[str, Results]) -> str:
    """A column a dataset."""
    rows = [(text, *map(str, claims)) for text, claims in side_by_side(list(runs.values()))]
    first = next(iter(runs.values())).run
    about = (
        f"One network, trained at hold {TRAINED_HOLD:g}, judged on {first.processes['test']} processes with strokes of "
        f"{STROKE:g} and {first.states['test']:,} states in each column, [95% interval over processes]. Initial states "
        "are the same in all columns."
    )
    return f"# Time to rest\n\n{about}\n\n{table(('claim', *runs), rows)}\n"


if __name__ == "__main__":
    sys.exit(main())
