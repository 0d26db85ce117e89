"""Put the results of several runs side by side: how far claims depend on the training and on the split.

    python scripts/merge_results.py RUN/results.json RUN/results.json ... --out docs/results/runs.md

Each run has its own seeds (`gputhermo train --seed N --split-seed N`, or `gputhermo reproduce --seed N`). The interval
of a claim is about test processes of one run; the spread between runs, which is what this shows, is not in it.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from gputhermo.claims import Claim, Results, decimals, load_results
from gputhermo.errors import InputError
from gputhermo.report import side_by_side, table


def main(argv: Sequence[str] | None = None) -> int:
    """Read the results, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, metavar="results.json", help="of a run; two or more")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.md", help="the table")
    arguments = parser.parse_args(argv)
    try:
        arguments.out.write_text(as_markdown([load_results(path) for path in arguments.results]), encoding="utf-8")
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def as_markdown(runs: Sequence[Results]) -> str:
    """A column a run, then mean and standard deviation; InputError unless these are two or more different networks."""
    weights = {results.run.weights_sha256 for results in runs}
    if len(weights) < max(2, len(runs)):
        raise InputError(f"results = {len(weights)} networks are not allowed: two or more different ones are needed")
    rows = [("seed, split seed", "", *map(seeds, runs), "")]
    rows += [row(text, claims) for text, claims in side_by_side(runs)]
    header = ("claim", "paper", *(f"run {k}" for k in range(1, len(runs) + 1)), "mean ± standard deviation")
    return f"# Runs side by side\n\n{table(header, rows)}\n"


def seeds(results: Results) -> str:
    """Of the training and of the split."""
    training = results.run.training
    return f"{training.seed}, {results.run.dataset.seed if training.split_seed is None else training.split_seed}"


def row(text: str, claims: Sequence[Claim]) -> tuple[str, ...]:
    """A claim of every run."""
    values = [claim.value for claim in claims]
    paper = "-" if claims[0].paper is None else decimals(claims[0].paper)
    spread = f"{decimals(statistics.mean(values))} ± {statistics.stdev(values):.4f}"
    return text, paper, *map(decimals, values), spread


if __name__ == "__main__":
    sys.exit(main())
