"""report.md: the paper's claims, its numbers and ours, from results.json."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .claims import Claim, DustClaim, Results, Run, decimals
from .outfile import replaced
from .summary import changed_settings

CLAIMS = {
    "test_accuracy": "Order in time of two states of a process: accuracy, all pairs",
    "test_process_accuracy": "Order in time: accuracy, mean over processes",
    "test_loss": "Order in time: cross-entropy of a pair, nats (less is better)",
    "symmetrised_accuracy": "Order in time, S~ averaged over 16 views of a clip: accuracy, all pairs",
    "symmetrised_loss": "Order in time, S~ averaged over 16 views: cross-entropy (less is better)",
    "A1_r2": "A1, reflexivity: R² of S~ of twins",
    "A2": "A2, transitivity: share of triples in order",
    "A3_agreement": "A3, consistency: agreement, equal N",
    "A3_agreement_unrestricted": "A3, consistency: agreement, any N",
    "A4_agreement": "A4, scaling: agreement, equal N",
    "A4_agreement_unrestricted": "A4, scaling: agreement, any N",
    "A5_split_r2": "A5, splitting: R² of S~, split against original",
    "A5_recombined_r2": "A5, recombination: R² of S~, split against recombined",
    "A6_curve": "A6, stability: agreement at the smallest ε, equal N",
    "A6_curve_unrestricted": "A6, stability: agreement at the smallest ε, any N",
    "monotonicity": "Monotonicity: share of pairs of equal N that S~ orders as the entropy does",
    "extensivity_r2": "Extensivity and additivity: R² of figure 8",
    "entropy_r2": "Entropy, N = {n}: R² of S~ against N log[u (v - 2πR²)]",
}
"""What each claim is about; that of the entropy has a row for each N."""
SHORT_CLAIMS = {name: name for name in CLAIMS} | {"entropy_r2": "entropy_r2, N = {n}"}
"""The same by the names in results.json, for narrow tables."""
CAPTIONS = {
    "figure_1b": "Figure 1(b). One cycle of a process: position of the piston, and the states that are recorded.",
    "figure_3": "Figure 3. A1: S~ of a state, and of its twin: the same process, from another microscopic state with "
    "the same energy, area and number of particles.",
    "figure_4": "Figure 4. (a) A compound state, for A3. (b) Scaled states, for A4; what is hatched is masked with 0.",
    "figure_5": "Figure 5. A5: S~ of split states, against the states that they were made from and against those that "
    "they became when the wall was removed.",
    "figure_6": "Figure 6. A6: how often X before Y implies (X, εZ1) before (Y, εZ2), by ε. Right: a state with dust, "
    "which lies within the frame.",
    "figure_7": "Figure 7. (a) S~ against the van der Waals entropy, with the straight line of each N. (b) The same "
    "after the affine map of each N that the line gives.",
    "figure_8": "Figure 8. S~ of states composed of λX and (1 - λ)Y, against λ S~(X) + (1 - λ) S~(Y).",
}


def write_report(results: Results, folder: Path) -> None:
    """Write report.md, which shows the figures that lie in the same folder."""
    with replaced(folder / "report.md") as new:
        new.write_text(as_markdown(results), encoding="utf-8")


def as_markdown(results: Results) -> str:
    """The report as text."""
    return (
        "\n\n".join(
            [
                "# An order of states, learned from pictures",
                *opening(results.run),
                table(
                    ("claim", "paper", "ours [95% interval]", "van der Waals", "verdict"), claim_rows(results, CLAIMS)
                ),
                "Intervals are over test processes drawn again with replacement; how far one training differs from "
                "another is not in them, and over few processes they are too narrow. *Equal within the interval* says "
                "that the paper's number lies in ours; its own uncertainty, from 56 processes as well, is not known. "
                "*van der Waals* is the same statistic of N log[u (v - 2πR²)] at the true energy, in the place of S~; "
                "for R² of A1 and A5 on the scale of S~, by the line of each N: twins do different work, so their "
                "entropies differ. The paper does not say which pairs its accuracy is the mean of, nor whether N is "
                "equal in A3 and A4, so both of ours stand beside its one number.",
                "## Order in time by speed of the piston",
                table(("push", "pull", "pairs", "accuracy, all pairs", "van der Waals"), speed_rows(results)),
                "Slow strokes produce little entropy, so these states are hard to order, and the test accuracy depends "
                "on how many of them a split has.",
                "## A4 by λ",
                table(("λ", "bottom masked", "right masked"), scaled_rows(results)),
                "Pairs of equal N.",
                "## A6 by ε",
                table(("ε", "equal N", "any N"), dust_rows(results)),
                "## S~ as an entropy",
                "The straight line of S~ against N log[u (v - 2πR²)] for each N, with its R², and R² of that against "
                "the virial entropy.",
                table(("N", "slope", "intercept", "R², van der Waals", "R², virial"), line_rows(results)),
                "## Figures",
                *(f"![{caption.split('.')[0]}]({name}.png)\n\n{caption}" for name, caption in CAPTIONS.items()),
                "## The run",
                table(("", ""), run_rows(results.run)),
            ]
        )
        + "\n"
    )


def opening(run: Run) -> list[str]:
    """What was trained on what, and what it was evaluated on."""
    sizes = [f"{n:,}" for n in run.dataset.plan.n_particles]
    pixels = run.dataset.image.pixels
    paragraphs = [
        f"The network `{run.training.network}`, of {run.n_parameters:,} parameters, was trained to tell which of two "
        f"states of an adiabatic process came later. A state is a clip of {run.dataset.protocol.frames} snapshots, "
        f"{pixels} × {pixels} pixels, of a gas of {listed(sizes, 'or')} discs and a piston; nothing was said of "
        f"energy, temperature or entropy. It learned from {run.processes['train']:,} simulated processes "
        f"({run.states['train']:,} states). "
        f"Another {run.processes['validation']:,} were there for validation. The weights are those after epoch "
        f"{run.best_epoch} of {run.training.epochs}.",
        f"All that follows is about the {run.processes['test']:,} test processes ({run.states['test']:,} states), "
        "which the training never read, and about states made from them. S~ is the one number that the network "
        "computes from a clip; X is *before* Y if S~(X) ≤ S~(Y). The paper is Kuroyanagi and Yuge, arXiv:2506.01506. "
        "All numbers are in [results.json](results.json).",
    ]
    changed = differences(run)
    if changed:
        paragraphs.append(
            f"**This is not the dataset of the preset `paper`**, so the paper's numbers are no measure of it: "
            f"{listed(changed, 'and')}."
        )
    return paragraphs


def differences(run: Run) -> list[str]:
    """The settings in which the dataset is another than the preset `paper`, but for the seed."""
    return [
        f"{name} = {json.dumps(here)} (there {json.dumps(there)})"
        for name, (here, there) in changed_settings(run.dataset).items()
        if name != "seed"
    ]


def listed(items: Sequence[str], conjunction: str) -> str:
    """The items as in a sentence."""
    return f" {conjunction} ".join(part for part in (", ".join(items[:-1]), items[-1]) if part)


def side_by_side(runs: Sequence[Results]) -> Iterator[tuple[str, list[Claim]]]:
    """What each claim is about, and what every run found: of A6 at the smallest epsilon, of lines at every common N."""
    for name, text in CLAIMS.items():
        claims = [getattr(results, name) for results in runs]
        if isinstance(claims[0], Claim):
            yield text, claims
        elif name.startswith("A6_curve"):
            yield text, [curve[0] for curve in claims]
        else:
            for n in sorted(set.intersection(*(set(lines) for lines in claims)), key=int):
                yield text.format(n=f"{int(n):,}"), [lines[n] for lines in claims]


def claim_rows(results: Results, texts: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Claim, paper, ours, van der Waals entropy, verdict; `texts` say what each claim is about."""
    rows: list[tuple[str, ...]] = []
    for name, text in texts.items():
        claim = getattr(results, name)
        if name.startswith("A6_curve"):
            rows.append(curve_row(text, claim))
        elif name == "entropy_r2":
            rows += [claim_row(text.format(n=f"{int(n):,}"), line) for n, line in claim.items()]
        else:
            rows.append(claim_row(text, claim, less_is_better=name.endswith("loss")))
    if differences(results.run):
        return [(*row[:-1], "-") for row in rows]  # the paper's numbers are about another gas
    return rows


def claim_row(text: str, claim: Claim, less_is_better: bool = False) -> tuple[str, ...]:
    """Claim, paper, ours, van der Waals entropy, verdict."""
    return (
        text,
        "-" if claim.paper is None else decimals(claim.paper),
        str(claim),
        "-" if claim.reference is None else decimals(claim.reference.value),
        verdict(claim, less_is_better),
    )


def curve_row(text: str, curve: Sequence[DustClaim]) -> tuple[str, ...]:
    """The same for A6: the paper shows a curve."""
    _, _, ours, reference, _ = claim_row(text, curve[0])
    return text, "towards 1", ours, reference, trend(curve)


def verdict(claim: Claim, less_is_better: bool = False) -> str:
    """How ours stands to the paper's number."""
    if claim.paper is None:
        return "no number in the paper"
    if claim.low <= claim.paper <= claim.high:
        return "equal within the interval"
    above = claim.value > claim.paper
    if less_is_better:
        return "above the paper, which is worse" if above else "below the paper, which is better"
    return "above the paper" if above else "below the paper"


def trend(curve: Sequence[DustClaim]) -> str:
    """Whether the agreement rises as epsilon falls, as the paper's figure 6 does."""
    values = [point.value for point in curve]
    if values == sorted(values, reverse=True):
        return "rises as ε falls, as in the paper"
    return "does not rise throughout as ε falls"


def speed_rows(results: Results) -> list[tuple[str, ...]]:
    """A row for each pair of speeds."""
    n_pairs = sum(claim.n_pairs for claim in results.order_by_speed)
    return [
        (
            f"{claim.push_speed:g}",
            f"{claim.pull_speed:g}",
            f"{claim.n_pairs / n_pairs:.1%}",
            *claim_row("", claim)[2:4],
        )
        for claim in results.order_by_speed
    ]


def scaled_rows(results: Results) -> list[tuple[str, ...]]:
    """A row for each lambda, a column for each cut."""
    found = {(claim.fraction, claim.cut): str(claim) for claim in results.A4_scaled}
    fractions = sorted({fraction for fraction, _ in found})
    return [(f"{one:g}", found.get((one, "y"), "-"), found.get((one, "x"), "-")) for one in fractions]


def dust_rows(results: Results) -> list[tuple[str, ...]]:
    """A row for each epsilon."""
    both = zip(results.A6_curve, results.A6_curve_unrestricted, strict=True)
    return [(f"{equal.epsilon:g}", str(equal), str(unrestricted)) for equal, unrestricted in both]


def line_rows(results: Results) -> list[tuple[str, ...]]:
    """A row for each N."""
    return [
        (
            f"{int(n):,}",
            *(f"{of.value:.4g} [{of.low:.4g}, {of.high:.4g}]" for of in (line.slope, line.intercept)),
            str(line),
            str(results.virial_r2[n]),
        )
        for n, line in results.entropy_r2.items()
    ]


def seeds_text(run: Run) -> str:
    """Every seed."""
    split = run.dataset.seed if run.training.split_seed is None else run.training.split_seed
    return f"dataset {run.dataset.seed}, split {split}, training {run.training.seed}, evaluation {run.evaluation.seed}"


def run_rows(run: Run) -> list[tuple[str, ...]]:
    """What it takes to do it again, and how long it took."""
    return [
        ("gputhermo", f"{run.training_version} trained, {run.package_version} evaluated"),
        ("seeds", seeds_text(run)),
        ("network", run.training.network),
        ("trained on", f"{run.device}, {run.training.epochs} epochs"),
        ("weights, SHA-256", f"`{run.weights_sha256}`"),
        *((f"{stage}, wall time", duration(seconds)) for stage, seconds in run.seconds.items()),
        ("guards of the dataset", run.guards or "not recorded"),
    ]


def duration(seconds: float) -> str:
    """A time that reads well."""
    return f"{seconds:.0f} s" if seconds < 120.0 else f"{seconds / 60.0:.0f} min"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
