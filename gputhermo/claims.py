"""What an evaluation comes to: claims beside the paper's numbers, and the arrays that its figures are drawn from.

`Results` is results.json, where each claim is a field by its name; `Evaluation` is evaluation.npz. Neither is pickled.
The paper is Kuroyanagi and Yuge, arXiv:2506.01506.
"""

import dataclasses
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, FiniteFloat, ValidationError, model_validator

from .axioms import Agreement, Ordering
from .bootstrap import Estimate
from .entropy import Line
from .errors import InputError
from .outfile import replaced
from .parameters import EvaluateSettings, Section, Settings, TrainSettings

PAPER = {
    "test_accuracy": 0.9534,
    "test_process_accuracy": 0.9534,
    "test_loss": 0.1041,
    "A1_r2": 0.9951,
    "A2": 1.0,
    "A3_agreement": 0.9995,
    "A3_agreement_unrestricted": 0.9995,
    "A4_agreement": 0.9417,
    "A4_agreement_unrestricted": 0.9417,
    "A5_split_r2": 0.9949,
    "A5_recombined_r2": 0.9946,
    "extensivity_r2": 0.9766,
}
"""The paper's numbers, by the names of the claims. It does not say whether long processes count for more in its
accuracy, nor whether N is equal in A3 and A4: both of ours stand beside its one number. A2 holds by construction. A6 it
shows as a curve, and the straight lines of its figure 7 without a number."""


class Interval(Section):
    """A number with its 95% interval, over resampled test processes."""

    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat

    @model_validator(mode="after")
    def _ordered(self) -> "Interval":
        if self.low > self.high:
            raise ValueError(f"low = {self.low:g} is above high = {self.high:g}")
        return self

    def __str__(self) -> str:
        """The value and, in brackets, its interval."""
        return f"{decimals(self.value)} [{decimals(self.low)}, {decimals(self.high)}]"


class Claim(Interval):
    """What was found, and what the paper found."""

    paper: FiniteFloat | None = None
    """None where the paper gives no number."""
    reference: Interval | None = None
    """The same of the van der Waals entropy at the true energy, in the place of S~, on the same states; for A1 and A5
    on the scale of S~, by the line of each N. None where that says nothing: the loss depends on the scale of S~, and
    A2 holds for any number."""


class ScaledClaim(Claim):
    """A4 for one lambda and one cut: the right (x) or the bottom (y) of the gas is masked."""

    fraction: Annotated[float, Field(gt=0, lt=1)]
    cut: Literal["x", "y"]


class SpeedClaim(Claim):
    """Accuracy in the order of time for processes with certain speeds of the piston, over all pairs."""

    push_speed: FiniteFloat
    pull_speed: FiniteFloat
    n_pairs: Annotated[int, Field(ge=1)]
    """Of states."""


class DustClaim(Claim):
    """A6 for one epsilon: the mean over several pairs of dusts."""

    epsilon: Annotated[float, Field(gt=0, lt=1)]
    pairs: tuple[FiniteFloat, ...]
    """The agreement of each pair of dusts alone."""


class LineClaim(Claim):
    """R^2 of the straight line of S~ against an entropy at one N, and the line itself."""

    slope: Interval
    intercept: Interval


class Run(Section):
    """What was trained, on what, and what it was evaluated on."""

    package_version: str
    """That evaluated."""
    training_version: str
    """The version of this package that trained."""
    device: str
    """Kind of device that the network was trained on."""
    dataset: Settings
    training: TrainSettings
    evaluation: EvaluateSettings
    best_epoch: Annotated[int, Field(ge=1)]
    """The epoch that the weights are from: in best.safetensors, that with the lowest validation loss."""
    n_parameters: Annotated[int, Field(ge=1)]
    """Weights and biases of the network."""
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of the safetensors file."""
    processes: dict[str, int]
    """Number of processes in each split: train, validation, test."""
    states: dict[str, int]
    """Number of their states."""
    seconds: dict[str, FiniteFloat]
    """Wall time of each stage that was run."""
    guards: str | None = None
    """What the guards found in the simulation of the dataset, in words; None if it was not recorded."""


class Results(Section):
    """The content of results.json."""

    run: Run
    test_accuracy: Claim
    """Share of the pairs of states of a test process that S~ orders as time does; over all pairs."""
    test_process_accuracy: Claim
    """The same as the mean over processes."""
    test_loss: Claim
    """Mean cross-entropy of a pair, in nats."""
    symmetrised_accuracy: Claim
    """Over all pairs, of the mean of S~ over the sixteen views of a clip (docs/axioms.md)."""
    symmetrised_loss: Claim
    order_by_speed: tuple[SpeedClaim, ...]
    """test_accuracy by kind of process: slow ones gain little entropy, so their states are the hard ones to order."""
    A1_r2: Claim
    A2: Claim
    A3_agreement: Claim
    """At equal N, as the fields below that have an `_unrestricted` beside them."""
    A3_agreement_unrestricted: Claim
    A4_agreement: Claim
    A4_agreement_unrestricted: Claim
    A4_scaled: tuple[ScaledClaim, ...]
    """Of which A4_agreement is the mean."""
    A5_split_r2: Claim
    A5_recombined_r2: Claim
    A6_curve: Annotated[tuple[DustClaim, ...], Field(min_length=1)]
    """By epsilon, ascending."""
    A6_curve_unrestricted: Annotated[tuple[DustClaim, ...], Field(min_length=1)]
    entropy_r2: dict[str, LineClaim]
    """By N: S~ against N log[u (v - 2 pi R^2)]."""
    virial_r2: dict[str, LineClaim]
    """By N: S~ against the entropy of the virial series."""
    extensivity_r2: Claim
    monotonicity: Claim


def interval(estimate: Estimate) -> Interval:
    """An estimate as it is written to results.json."""
    return Interval(**dataclasses.asdict(estimate))


def claim(name: str, estimate: Estimate, reference: Estimate | None = None) -> Claim:
    """The claim of that name, the paper's number with it; `reference` is the estimate for the van der Waals entropy."""
    return Claim(
        **dataclasses.asdict(estimate),
        paper=PAPER.get(name),
        reference=None if reference is None else interval(reference),
    )


def scaled_claims(
    kinds: Sequence[tuple[float, Literal["x", "y"]]], agreement: Agreement, reference: Agreement | None = None
) -> tuple[ScaledClaim, ...]:
    """A4 for each lambda and cut in `kinds`, which `Agreement.each` is in the order of."""
    references = [None] * len(kinds) if reference is None else [interval(each) for each in reference.each]
    return tuple(
        ScaledClaim(**dataclasses.asdict(each), fraction=fraction, cut=cut, reference=its_reference)
        for (fraction, cut), each, its_reference in zip(kinds, agreement.each, references, strict=True)
    )


def speed_claims(
    orders: Mapping[tuple[float, float], Ordering], references: Mapping[tuple[float, float], Ordering]
) -> tuple[SpeedClaim, ...]:
    """Accuracy for each pair of speeds, push and pull."""
    return tuple(
        SpeedClaim(
            **dataclasses.asdict(order.accuracy),
            push_speed=push,
            pull_speed=pull,
            n_pairs=order.n_pairs,
            reference=interval(references[push, pull].accuracy),
        )
        for (push, pull), order in orders.items()
    )


def dust_claim(epsilon: float, agreement: Agreement, reference: Agreement | None = None) -> DustClaim:
    """A6 for one epsilon, from the agreement for each of several pairs of dusts."""
    return DustClaim(
        **dataclasses.asdict(agreement.mean),
        epsilon=epsilon,
        pairs=tuple(each.value for each in agreement.each),
        reference=None if reference is None else interval(reference.mean),
    )


def line_claims(lines: Mapping[int, Line], references: Mapping[int, Line] | None = None) -> dict[str, LineClaim]:
    """R^2, slope and intercept by N."""
    return {
        str(n): LineClaim(
            **dataclasses.asdict(line.r2),
            slope=interval(line.slope),
            intercept=interval(line.intercept),
            reference=None if references is None else interval(references[n].r2),
        )
        for n, line in lines.items()
    }


def decimals(value: float) -> str:
    """Four decimals as in the paper, or as many more as it takes for what is below 1 not to look like 1."""
    places = 4
    while value < 1.0 and places < 12 and float(f"{value:.{places}f}") >= 1.0:
        places += 1
    return f"{value:.{places}f}"


def save_results(results: Results, path: Path) -> None:
    """Write results.json."""
    with replaced(path) as new:
        new.write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load_results(path: str | Path) -> Results:
    """Read results.json; InputError if it is none, or another version's."""
    try:
        return Results.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"results = {str(path)!r} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        wrong = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"results = {str(path)!r} holds no results of this version: {wrong}: {first['msg']}") from None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The numbers behind the figures: arrays of float64, indices of int64, pictures of uint8 [pixels, pixels].

    Of the n test states, in the order of the file:
    process            row in /processes
    n_particles
    entropies          S~
    twins              S~ of the twin
    van_der_waals      N log[u (v - 2 pi R^2)]
    virial             entropy of the virial series
    rescaled           S^, the affine map of S~ that is fitted to van_der_waals for each N

    Of the states that were split (each along x and along y):
    split, recombined  S~
    split_state        the test state that each was made from

    Of the states (lambda X, (1 - lambda) Y):
    joined             S~
    expected           lambda S~(X) + (1 - lambda) S~(Y)
    joined_state       X

    One cycle of a process:
    piston_time, piston_position      its corners
    recorded_time, recorded_position  where states were recorded

    Examples, the last snapshot of each:
    compound_images    [3, ...]  X, X', (X, X')
    scaled_images      [3, ...]  X, lambda X with the bottom masked, lambda X with the right masked
    scaled_fraction    lambda
    scaled_width       Lx of X
    dusted_image       (X, epsilon Z)
    dust_epsilon
    dust_width         Lx of Z
    """

    process: np.ndarray
    n_particles: np.ndarray
    entropies: np.ndarray
    twins: np.ndarray
    van_der_waals: np.ndarray
    virial: np.ndarray
    rescaled: np.ndarray
    split: np.ndarray
    recombined: np.ndarray
    split_state: np.ndarray
    joined: np.ndarray
    expected: np.ndarray
    joined_state: np.ndarray
    piston_time: np.ndarray
    piston_position: np.ndarray
    recorded_time: np.ndarray
    recorded_position: np.ndarray
    compound_images: np.ndarray
    scaled_images: np.ndarray
    scaled_fraction: float
    scaled_width: float
    dusted_image: np.ndarray
    dust_epsilon: float
    dust_width: float


def save_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write evaluation.npz."""
    arrays = {field.name: np.asarray(getattr(evaluation, field.name)) for field in dataclasses.fields(evaluation)}
    with replaced(path) as new, new.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_evaluation(path: str | Path) -> Evaluation:
    """Read evaluation.npz; InputError if it is none, another version's, or broken."""
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        return Evaluation(**{name: array if array.ndim else array.item() for name, array in arrays.items()})
    except OSError as error:
        raise InputError(f"evaluation = {str(path)!r} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        raise InputError(f"evaluation = {str(path)!r} holds no evaluation of this version, or is broken") from None
