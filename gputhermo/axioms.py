"""The axioms of Lieb and Yngvason as statistics of S~, which puts X before Y if S~(X) <= S~(Y).

Definitions are those of Kuroyanagi and Yuge (arXiv:2506.01506, section IV A); docs/axioms.md has every population, and
says what is ours. Arrays: S~ float64 [n] of n states; `process` int64 [n] and `n_particles` [n], of the same states.
Counts are exact, over all pairs, triples or quadruples. Every function raises InputError if there is nothing to count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from . import pairs
from .bootstrap import Bootstrap, Estimate, estimate, share, sum_by_process, sum_pairs, weigh_pairs, without


@dataclass(frozen=True)
class Ordering:
    """How far S~ tells the order of time of two states of one process; a tie is right by half."""

    accuracy: Estimate
    """Over all pairs: long processes count for more."""
    loss: Estimate
    """Cross-entropy in nats, over all pairs."""
    process_accuracy: Estimate
    """Mean over processes."""
    process_loss: Estimate
    n_pairs: int
    """Of states."""


@dataclass(frozen=True)
class Agreement:
    """Share of the pairs whose order outlives a change of both states: for each of several changes, and their mean."""

    mean: Estimate
    each: tuple[Estimate, ...]


def ordering(s: np.ndarray, process: np.ndarray, bootstrap: Bootstrap) -> Ordering:
    """Accuracy and loss over all pairs of states of each process; the states of a process are in the order of time."""
    alike = bootstrap.weights(process)
    scores = [pairs.score(torch.from_numpy(s[process == one])) for one in np.unique(process)]
    n_pairs, loss, accuracy = np.array(scores).T
    by_pairs = alike * n_pairs
    return Ordering(
        accuracy=share(by_pairs @ accuracy, by_pairs.sum(axis=1)),
        loss=share(by_pairs @ loss, by_pairs.sum(axis=1)),
        process_accuracy=share(alike @ accuracy, alike.sum(axis=1)),
        process_loss=share(alike @ loss, alike.sum(axis=1)),
        n_pairs=int(n_pairs.sum()),
    )


def r_squared(x: np.ndarray, y: np.ndarray, process: np.ndarray, bootstrap: Bootstrap) -> Estimate:
    """R^2 = 1 - sum (y - x)^2 / sum (y - mean y)^2: how well y = x holds; 0 if y is the same everywhere."""
    weights = bootstrap.weights(process)
    above = y - y[0]  # Of the order of the spread, and exactly 0 for a constant.
    of_state = np.stack([np.ones_like(y), above, above**2, (y - x) ** 2], axis=-1)
    n, first, second, residual = (weights @ sum_by_process(of_state, process)).T
    return estimate(explained(residual, second - first**2 / n))


def explained(residual: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """1 - residual / spread, and 0 where there is no spread."""
    return 1.0 - np.divide(residual, spread, out=np.ones_like(spread), where=spread > 0.0)


def reflexivity(s: np.ndarray, s_twin: np.ndarray, process: np.ndarray, bootstrap: Bootstrap) -> Estimate:
    """A1, X ~ X: R^2 of S~(X') against S~(X), X' in the same macroscopic state as X (the paper's figure 3)."""
    return r_squared(s, s_twin, process, bootstrap)


def transitivity(s: np.ndarray, process: np.ndarray, bootstrap: Bootstrap) -> Estimate:
    """A2: share of the triples with X before Y before Z, Y another state than both, in which X is before Z.

    "Before" is decided as the network decides it, by p >= 1/2. Any p that follows from a number for each state passes.
    """
    before = (torch.sigmoid(pairs.rises(torch.from_numpy(s))) >= 0.5).numpy()
    step = (before & ~np.eye(len(s), dtype=bool)).astype(np.float32)
    weights = bootstrap.weights(process)
    right, total = np.zeros(len(weights)), np.zeros(len(weights))
    for p, one in enumerate(np.unique(process)):
        to, away = step[:, process == one], step[process == one]
        weight, others = weights[:, p], without(weights, p)
        right += weight * weigh_pairs(others, sum_pairs((to @ away) * before, process))
        total += weight * weigh_pairs(others, sum_by_process(to, process) @ sum_by_process(away, process, axis=1))
    return share(right, total)


def consistency(
    s: np.ndarray,
    s_compound: np.ndarray,
    n_particles: np.ndarray,
    process: np.ndarray,
    bootstrap: Bootstrap,
    *,
    equal_n: bool,
) -> Estimate:
    """A3: share of the quadruples with X before Y and X' before Y' in which (X, X') is before (Y, Y').

    s_compound  float64 [n, n]: S~(X, X') at [X, X']
    equal_n     only quadruples with N(X) = N(Y) and N(X') = N(Y')

    All ordered pairs of two different compounds: X = Y or X' = Y' counts, both at once does not.
    """
    before = (s[:, None] <= s) & may_compare(n_particles, equal_n)
    weights = bootstrap.weights(process)
    right, total = np.zeros(len(weights)), np.zeros(len(weights))
    n_before, n_same = sum_pairs(before, process), sum_pairs(np.eye(len(s)), process)
    members = [np.flatnonzero(process == one) for one in np.unique(process)]
    for p, q in np.argwhere(n_before):
        # All (X, Y) of the processes p and q, then all (X', Y') at once.
        x, y = np.nonzero(before[np.ix_(members[p], members[q])])
        x, y = members[p][x], members[q][y]
        in_order = before * (s_compound[x, :, None] <= s_compound[y, None, :]).sum(axis=0)
        trivial = np.count_nonzero(x == y) * n_same
        weight, others = weights[:, p] * without(weights, p)[:, q], without(weights, p, q)
        right += weight * weigh_pairs(others, sum_pairs(in_order, process) - trivial)
        total += weight * weigh_pairs(others, len(x) * n_before - trivial)
    return share(right, total)


def scaling(
    s: np.ndarray,
    s_scaled: Sequence[np.ndarray] | np.ndarray,
    n_particles: np.ndarray,
    process: np.ndarray,
    bootstrap: Bootstrap,
    *,
    equal_n: bool,
) -> Agreement:
    """A4: share of the pairs with X before Y in which lambda X is before lambda Y.

    s_scaled  float64 [k, n]: S~(lambda X) for each lambda and cut
    equal_n   only pairs with N(X) = N(Y)
    """
    return kept_order(s, s_scaled, s_scaled, n_particles, process, bootstrap, equal_n)


def splitting(s_split: np.ndarray, s_other: np.ndarray, process: np.ndarray, bootstrap: Bootstrap) -> Estimate:
    """A5, X ~ (lambda X, (1 - lambda) X): R^2 of S~ of split states against the original or recombined (figure 5)."""
    return r_squared(s_other, s_split, process, bootstrap)


def stability(
    s: np.ndarray,
    s_dusted_first: Sequence[np.ndarray] | np.ndarray,
    s_dusted_second: Sequence[np.ndarray] | np.ndarray,
    n_particles: np.ndarray,
    process: np.ndarray,
    bootstrap: Bootstrap,
    *,
    equal_n: bool,
) -> Agreement:
    """A6 for one epsilon: share of the pairs with X before Y in which (X, epsilon Z1) is before (Y, epsilon Z2).

    s_dusted_first   float64 [k, n]: S~(X, epsilon Z1) for each of k pairs of dusts
    s_dusted_second  float64 [k, n]: S~(X, epsilon Z2)
    equal_n          only pairs with N(X) = N(Y)
    """
    return kept_order(s, s_dusted_first, s_dusted_second, n_particles, process, bootstrap, equal_n)


def kept_order(
    s: np.ndarray,
    s_first: Sequence[np.ndarray] | np.ndarray,
    s_second: Sequence[np.ndarray] | np.ndarray,
    n_particles: np.ndarray,
    process: np.ndarray,
    bootstrap: Bootstrap,
    equal_n: bool,
) -> Agreement:
    """Share of the pairs of states with X before Y that are in order after each of k changes of X and of Y."""
    before = (s[:, None] <= s) & may_compare(n_particles, equal_n) & ~np.eye(len(s), dtype=bool)
    weights = bootstrap.weights(process)
    total = weigh_pairs(weights, sum_pairs(before, process))
    right = [
        weigh_pairs(weights, sum_pairs(before & (first[:, None] <= second), process))
        for first, second in zip(s_first, s_second, strict=True)
    ]
    return Agreement(
        mean=share(np.mean(right, axis=0), total),
        each=tuple(share(one, total) for one in right),
    )


def may_compare(n_particles: np.ndarray, equal_n: bool) -> np.ndarray:
    """Which pairs of states belong to the population, bool [n, n]: those of equal N, or all."""
    return (n_particles[:, None] == n_particles) | (not equal_n)
