"""S~ of the test states and of all that is made from them: what the axioms and the entropy are judged by.

A representation gives S~ of states. That of a network looks at the pictures; the true entropy, in its place, at what is
known of the gas. Both are asked about the same states, a few at a time, so that composed pictures need no memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .compose import at_half, compound, dusted, joined, scaled
from .encoder import Encoder
from .errors import InputError, Stopped
from .parameters import EvaluateSettings
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
DUSTS, PARTNERS = 2, 3
"""What is drawn: a part of the address of its random numbers, beside the two of `relatives`."""
AT_ONCE = 256
"""States composed at the same time: 84 MB of pictures at the paper's size."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Which of the test states stand together.

    half      int64 [h]               those with the piston at L/2, of which compounds are made
    dusts     int64 [N_DUST_PAIRS, 2]  Z1 and Z2
    partner   int64 [n]               Y of each X in (lambda X, (1 - lambda) Y)
    original  int64 [m]               the state that each split one was made from
    """

    half: np.ndarray
    dusts: np.ndarray
    partner: np.ndarray
    original: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Measured:
    """S~ of n test states and of what is made from them, all float64.

    state [n] and twin [n]; split [m] and recombined [m], in the order of `Choices.original`; compound [h, h], left and
    right state; scaled [len(SCALES), n]; dusted [len(EPSILONS), N_DUST_PAIRS, 2, n], with Z1 and with Z2;
    joined [len(JOINT_FRACTIONS), n].
    """

    state: np.ndarray
    twin: np.ndarray
    split: np.ndarray
    recombined: np.ndarray
    compound: np.ndarray
    scaled: np.ndarray
    dusted: np.ndarray
    joined: np.ndarray


def network_representation(encoder: Encoder) -> Representation:
    """S~ as a network gives it."""

    def entropies(states: States) -> np.ndarray:
        found: np.ndarray = encoder.entropies(states.clips).double().cpu().numpy()
        if not np.isfinite(found).all():
            raise InputError("weights are not allowed: they give S~ that is not a finite number")
        return found

    return entropies


def choose(states: States, relatives: Path, seed: int) -> Choices:
    """Draw what stands together; InputError if the dataset has no states for it."""
    n_particles = states.parts[:, 0, N_PARTICLES]
    half = np.flatnonzero(at_half(states))
    if len(half) < 2:
        raise InputError("dataset is not allowed: A3 needs at least 2 test states with the piston at L/2")
    sizes = np.unique(n_particles)
    middle = np.flatnonzero(n_particles == sizes[(len(sizes) - 1) // 2])
    if len(middle) < 2:
        raise InputError("dataset is not allowed: A6 needs at least 2 test states of its middle N, for dust")
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, DUSTS))))
    dusts = np.stack([random.choice(middle, 2, replace=False) for _ in range(N_DUST_PAIRS)])
    return Choices(
        half=half, dusts=dusts, partner=draw_partners(n_particles, seed), original=load_cuts(relatives).original
    )


def draw_partners(n_particles: np.ndarray, seed: int) -> np.ndarray:
    """For each state another one of equal N; InputError if it is the only one."""
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, PARTNERS))))
    partner = np.empty(len(n_particles), dtype=np.int64)
    for size in np.unique(n_particles):
        rows = np.flatnonzero(n_particles == size)
        if len(rows) < 2:
            raise InputError(f"dataset is not allowed: only one test state has N = {size:g}; two are needed")
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
    report: Callable[[str, float], None] = lambda stage, fraction: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Measured]:
    """S~ of `states`, of their relatives in that file, and of all that is composed, for each representation.

    `report` is told what is at work and the share of all states that is done; a true answer of `stop` raises Stopped.
    """
    n, h, m = len(states), len(choices.half), len(choices.original)
    done = 0
    total = 2 * n + 2 * m + h * h + n * (len(SCALES) + choices.dusts.size * len(EPSILONS) + len(JOINT_FRACTIONS))

    def ask(stage: str, n_states: int, make: Callable[[slice], States]) -> np.ndarray:
        """S~ [n_representations, n_states] of states that `make` gives by their rows."""
        nonlocal done
        found = []
        for first in range(0, n_states, AT_ONCE):
            if stop():
                raise Stopped
            some = make(slice(first, min(first + AT_ONCE, n_states)))
            found.append(np.stack([represent(some) for represent in representations]))
            done += len(some)
            report(stage, done / total)
        return np.concatenate(found, axis=1)

    def ask_relatives(kind: Literal["twin", "split", "recombined"]) -> np.ndarray:
        made = load_relatives(relatives, kind, n_threads)
        return ask(kind, len(made), lambda rows: made[rows])

    half = states[choices.half]
    pairs = np.indices((h, h)).reshape(2, h * h)
    found = {
        "state": ask("states", n, lambda rows: states[rows]),
        "twin": ask_relatives("twin"),
        "split": ask_relatives("split"),
        "recombined": ask_relatives("recombined"),
        "compound": ask("compound", h * h, lambda rows: compound(half[pairs[0, rows]], half[pairs[1, rows]])),
        "scaled": np.stack(
            [
                ask("scaled", n, lambda rows, fraction=fraction, cut=cut: scaled(states[rows], fraction, cut))
                for fraction, cut in SCALES
            ],
            axis=1,
        ),
        "dusted": np.stack(
            [
                ask("dusted", n, lambda rows, dust=dust, epsilon=epsilon: dusted(states[rows], dust, epsilon))
                for epsilon in EPSILONS
                for dust in (states[[z]] for z in choices.dusts.flat)
            ],
            axis=1,
        ),
        "joined": np.stack(
            [
                ask(
                    "joined",
                    n,
                    lambda rows, fraction=fraction: joined(states[rows], states[choices.partner[rows]], fraction),
                )
                for fraction in JOINT_FRACTIONS
            ],
            axis=1,
        ),
    }
    shapes = {"compound": (h, h), "dusted": (len(EPSILONS), *choices.dusts.shape, n)}
    return [
        Measured(**{name: values[k].reshape(shapes.get(name, values[k].shape)) for name, values in found.items()})
        for k in range(len(representations))
    ]
