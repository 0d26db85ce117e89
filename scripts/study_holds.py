"""Judge one network on gases that rested for other times between strokes, and whose contacts were stepped more finely.

    python scripts/study_holds.py --work DIR --out docs/results/holds.md

Each column of the table is a dataset of its own: all gases and speeds of the preset, strokes of 12.5 only, with initial
states that were not in training. They are the same in every column. The network is one that comes with the package.
What is finished in DIR is not done again.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from gputhermo.claims import Results, load_results
from gputhermo.errors import InputError, Interrupted, SimulationError
from gputhermo.evaluate import digest, evaluate
from gputhermo.generate import generate
from gputhermo.outfile import check_parent
from gputhermo.parameters import PRESETS, Settings, validate
from gputhermo.pretrained import pretrained_file
from gputhermo.progress import show_progress, stoppable
from gputhermo.report import side_by_side, table
from gputhermo.workfolder import make_folder

STROKE = 12.5
"""Half the box in twelve strokes; the paper has none of this length."""
HOLDS = (100.0, 200.0, 400.0, 800.0)
SUBSTEPS = 4
"""Of a time step, in the last column, at the hold that the network learned from."""
SEED = 1
"""Of initial states; those of training have 0."""


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is missing, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=Path, metavar="DIR", help="folder for datasets and evaluations")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.md", help="the table")
    parser.add_argument("--network", default="paper", metavar="NAME", help="of the package (default: paper)")
    parser.add_argument("--holds", type=float, nargs="+", default=HOLDS, metavar="T", help="default: 100 200 400 800")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    arguments = parser.parse_args(argv)
    columns = [(hold, 1) for hold in arguments.holds] + [(PRESETS["paper"].protocol.hold_time, SUBSTEPS)]
    try:
        check_parent(arguments.out)
        with stoppable() as stop, pretrained_file(arguments.network) as weights:
            runs = [judged(arguments.work, settings_of(*each), weights, arguments.threads, stop) for each in columns]
    except (InputError, SimulationError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except Interrupted as interrupted:
        return interrupted.exit_code
    arguments.out.write_text(as_markdown(runs), encoding="utf-8")
    return 0


def settings_of(hold_time: float, substeps: int) -> Settings:
    """The preset `paper` with one stroke and other initial states, all of it for tests."""
    return validate(
        {
            "seed": SEED,
            "protocol": {"hold_time": hold_time},
            "plan": {"strokes": (STROKE,)},
            "integrator": {"substeps": substeps},
            "split": {"train": 0.0, "validation": 0.0},
        }
    )


def judged(work: Path, settings: Settings, weights: Path, n_threads: int | None, stop: Callable[[], bool]) -> Results:
    """Simulate and evaluate, unless that is done; InputError if it was done with another network or settings."""
    name = f"hold-{settings.protocol.hold_time:g}-substeps-{settings.integrator.substeps}"
    dataset, out = work / f"{name}.h5", work / f"{weights.stem}-{name}"
    make_folder(work)
    console = Console(stderr=True)
    with show_progress(console) as report:
        generate(settings, dataset, n_threads=n_threads, resume=True, report=report, stop=stop)
    if (out / "results.json").exists():
        results = load_results(out / "results.json")
        if (results.run.dataset, results.run.weights_sha256) != (settings, digest(weights)):
            raise InputError(f"work = {str(work)!r} has results of other settings or weights; choose another folder")
        return results
    with show_progress(console) as report:
        return evaluate(dataset, weights, out, n_threads=n_threads, report=report, stop=stop)


def as_markdown(runs: Sequence[Results]) -> str:
    """A column a dataset."""
    first = runs[0].run
    datasets = [results.run.dataset for results in runs]
    holds = " ".join(f"{each.protocol.hold_time:g}" for each in datasets if each.integrator.substeps == 1)
    about = (
        f"The network `{first.training.network}`, which learned from holds of "
        f"{PRESETS['paper'].protocol.hold_time:g}, judged on {first.processes['test']} processes with strokes of "
        f"{STROKE:g} and {first.states['test']:,} states in each column, [95% interval over processes]. Initial states "
        "are the same in all columns. "
        f"Made with `scripts/study_holds.py --network {first.training.network} --holds {holds}`."
    )
    header = ["claim"]
    for dataset in datasets:
        finer = f", {dataset.integrator.substeps} sub-steps" if dataset.integrator.substeps > 1 else ""
        header.append(f"hold {dataset.protocol.hold_time:g}{finer}")
    rows = [(text, *map(str, claims)) for text, claims in side_by_side(runs)]
    return f"# Time to rest\n\n{about}\n\n{table(header, rows)}\n"


if __name__ == "__main__":
    sys.exit(main())
