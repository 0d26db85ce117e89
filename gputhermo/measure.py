"""S~ of the test states and of all that is made from them: what the axioms and the entropy are judged by.

A representation gives S~ of states. That of a network looks at the pictures; the true entropy, in its place, at what is
known of the gas. Both are asked about the same states, a few at a time, so that composed pictures need no memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .clips import N_SYMMETRIES, transform
from .compose import at_half, compound, dusted, joined, scaled
from .encoder import Encoder
from .errors import InputError, Stopped
from .relatives import load_cuts, load_relatives
from .states import N_PARTICLES, States

Representation = Callable[[States], np.ndarray]
"""S~, float64 [n], of states."""

SCALES: tuple[tuple[float, Literal["x", "y"]], ...] = tuple(
    (fraction, cut) for cut in ("x", "y") for fraction in (0.5, 0.6, 0.7, 0.8, 0.9)
)
"""Lambda and cut of the scaled states: lambda is the paper's; every state is cut both ways (ours)."""
EPSILONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Of dusted states (ours; the paper shows a curve)."""
N_DUST_PAIRS = 3
"""Z1 and Z2 (ours: the paper shows one pair and speaks of several)."""
JOINT_FRACTIONS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Lambda of (lambda X, (1 - lambda) Y): the paper's."""
VIEWS = tuple((symmetry, reverse) for reverse in (False, True) for symmetry in range(N_SYMMETRIES))
"""Of a clip: the symmetries of the square, forwards and backwards in time (`clips.transform`)."""
DUSTS, PARTNERS = 2, 3
"""What is drawn: a part of the address of its random numbers, beside the two of `relatives`."""
BATCH = 256
"""States composed at the same time: 84 MB of pictures at the paper's size."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Which of the n test states stand together.

    half     int64 [h]                those with the piston at L/2, of which compounds are made
    dusts    int64 [N_DUST_PAIRS, 2]  Z1 and Z2
    partner  int64 [n]                Y of each X in (lambda X, (1 - lambda) Y)
    """

    half: np.ndarray
    dusts: np.ndarray
    partner: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Measured:
    """S~ of the n test states and of what is made from them, all float64.

    state, twin        [n]
    view               [len(VIEWS), n]: of the states under the symmetries that entropy does not see
    split, recombined  [m]
    original           int64 [m]: the test state that each split one was made from
    compound           [h, h]: of the states `Choices.half`, left and right
    scaled             [len(SCALES), n]
    dusted             [len(EPSILONS), 2, N_DUST_PAIRS, n]: with Z1, with Z2
    joined             [len(JOINT_FRACTIONS), n]
    """

    state: np.ndarray
    twin: np.ndarray
    view: np.ndarray
    split: np.ndarray
    recombined: np.ndarray
    original: np.ndarray
    compound: np.ndarray
    scaled: np.ndarray
    dusted: np.ndarray
    joined: np.ndarray


def network_representation(encoder: Encoder) -> Representation:
    """S~ as a network gives it; InputError if that is not a finite number."""

    def entropies(states: States) -> np.ndarray:
        found: np.ndarray = encoder.entropies(states.clips).double().cpu().numpy()
        if not np.isfinite(found).all():
            raise InputError("weights are not allowed: they give S~ that is not a finite number")
        return found

    return entropies


def choose(states: States, seed: int) -> Choices:
    """Draw which of the test states stand together; InputError if the dataset lacks states for it."""
    half = np.flatnonzero(at_half(states))
    if len(half) < 2:
        raise InputError(
            f"dataset is not allowed: A3 needs at least 2 test states with the piston at L/2, not {len(half)}"
        )
    compound(states[half[:1]], states[half[:1]])  # raises InputError for pictures that cannot be halved
    n_particles = states.parts[:, 0, N_PARTICLES]
    return Choices(half=half, dusts=draw_dusts(n_particles, seed), partner=draw_partners(n_particles, seed))


def draw_dusts(n_particles: np.ndarray, seed: int) -> np.ndarray:
    """Pairs of two different states of the middle N, the lower one of two; InputError if there is but one state."""
    sizes = np.unique(n_particles)
    middle = sizes[(len(sizes) - 1) // 2]
    rows = np.flatnonzero(n_particles == middle)
    if len(rows) < 2:
        raise InputError(f"dataset is not allowed: A6 needs at least 2 test states of N = {middle:g}, for dust")
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, DUSTS))))
    return np.stack([random.choice(rows, 2, replace=False) for _ in range(N_DUST_PAIRS)])


def draw_partners(n_particles: np.ndarray, seed: int) -> np.ndarray:
    """For each state another one of equal N; InputError if it is the only one."""
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, PARTNERS))))
    partner = np.empty(len(n_particles), dtype=np.int64)
    for size in np.unique(n_particles):
        rows = np.flatnonzero(n_particles == size)
        if len(rows) < 2:
            raise InputError(f"dataset is not allowed: there must be no single test state of an N, as of N = {size:g}")
        step = random.integers(1, len(rows), len(rows))
        partner[rows] = rows[(np.arange(len(rows)) + step) % len(rows)]
    return partner


def measure(
    states: States,
    relatives: Path,
    choices: Choices,
    representations: Sequence[Representation],
    *,
    n_threads: int | None = None,
    report: Callable[[str, float], None] = lambda kind, fraction: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Measured]:
    """S~ of `states`, of their relatives in that file, and of all that is composed, for each representation.

    `report` is told what is at work and the share of all states that is done; a true answer of `stop` raises Stopped.
    """
    original = load_cuts(relatives).original
    n, h, m = len(states), len(choices.half), len(original)
    changes = len(VIEWS) + len(SCALES) + len(EPSILONS) * choices.dusts.size + len(JOINT_FRACTIONS)
    total = 2 * n + 2 * m + h * h + n * changes
    found: dict[str, list[np.ndarray]] = {}
    done = 0
    for kind, some in everything(states, relatives, choices, n_threads):
        if stop():
            raise Stopped
        found.setdefault(kind, []).append(np.stack([representation(some) for representation in representations]))
        done += len(some)
        report(kind, done / total)
    shapes: dict[str, tuple[int, ...]] = {"compound": (h, h), "dusted": (len(EPSILONS), 2, -1, n)}
    shapes |= dict.fromkeys(("view", "scaled", "joined"), (-1, n))
    joined_up = {kind: np.concatenate(batches, axis=1) for kind, batches in found.items()}
    return [
        Measured(original=original, **{kind: s[k].reshape(shapes.get(kind, -1)) for kind, s in joined_up.items()})
        for k in range(len(representations))
    ]


def everything(
    states: States, relatives: Path, choices: Choices, n_threads: int | None
) -> Iterator[tuple[str, States]]:
    """All that S~ is asked of, a few states at a time, each with its field in `Measured` and in the order there."""
    whole = list(batches(len(states)))
    for rows in whole:
        yield "state", states[rows]
    for symmetry, reverse in VIEWS:
        for rows in whole:
            some = states[rows]
            yield "view", States(transform(some.clips, symmetry, reverse), some.parts, some.process)
    kinds: tuple[Literal["twin", "split", "recombined"], ...] = ("twin", "split", "recombined")
    for kind in kinds:
        made = load_relatives(relatives, kind, n_threads)
        for rows in batches(len(made)):
            yield kind, made[rows]
        del made  # or it would stay while the next ones are loaded
    left, right = (pairs.ravel() for pairs in np.meshgrid(choices.half, choices.half, indexing="ij"))
    for rows in batches(len(left)):
        yield "compound", compound(states[left[rows]], states[right[rows]])
    for fraction, cut in SCALES:
        for rows in whole:
            yield "scaled", scaled(states[rows], fraction, cut)
    for epsilon in EPSILONS:
        for dust in choices.dusts.T.ravel():
            for rows in whole:
                yield "dusted", dusted(states[rows], states[[dust]], epsilon)
    for fraction in JOINT_FRACTIONS:
        for rows in whole:
            yield "joined", joined(states[rows], states[choices.partner[rows]], fraction)


def batches(n_states: int) -> Iterator[slice]:
    """The rows of n states, some at a time."""
    for first in range(0, n_states, BATCH):
        yield slice(first, min(first + BATCH, n_states))


def expected(found: Measured, choices: Choices) -> np.ndarray:
    """lambda S~(X) + (1 - lambda) S~(Y) of the joined states, float64 [len(JOINT_FRACTIONS), n]."""
    fraction = np.array(JOINT_FRACTIONS)[:, None]
    return fraction * found.state + (1.0 - fraction) * found.state[choices.partner]
