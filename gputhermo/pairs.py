"""What S~ says about pairs of states of one process, and how far it is right.

S~ of all states of a process, in the order of time, serves all of their pairs: the pair (i, j) with i < j is given the
probability sigmoid(S~_j - S~_i) of its true order. The same pair shown the other way round, later state first, has the
label 0 and p = 1 - sigmoid(S~_j - S~_i), so the same cross-entropy: each pair counts once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class Score(NamedTuple):
    """How S~ orders pairs of states."""

    n_pairs: int
    loss: float
    """Mean cross-entropy of a pair, in nats; log 2 for a constant S~."""
    accuracy: float
    """Share of pairs in the right order; a tie is right by half, as it is in one of the two ways to show the pair."""


def rises(entropies: Tensor) -> Tensor:
    """S~_j - S~_i at [i, j]; the pairs are the entries above the diagonal."""
    return entropies[None, :] - entropies[:, None]


def count_pairs(n_states: int) -> int:
    """Number of pairs of states."""
    return n_states * (n_states - 1) // 2


def pair_loss(entropies: Tensor) -> Tensor:
    """Mean over all pairs of the cross-entropy, for S~ [n] of the states of one process in the order of time."""
    # Sums over a whole matrix, and not over a list of pairs, have gradients that are the same bits in every run.
    return -torch.triu(logsigmoid(rises(entropies)), diagonal=1).sum() / count_pairs(len(entropies))


def score(entropies: Tensor) -> Score:
    """The score of one process, for S~ [n] of its states in the order of time."""
    entropies = entropies.detach().double()
    n_pairs = count_pairs(len(entropies))
    right = torch.triu((1 + torch.sign(rises(entropies))) / 2, diagonal=1).sum()
    return Score(n_pairs, float(pair_loss(entropies)), float(right) / n_pairs)


def over_pairs(scores: Sequence[Score]) -> Score:
    """The mean over all pairs of several processes: long processes count for more."""
    n_pairs = sum(one.n_pairs for one in scores)
    return Score(
        n_pairs,
        sum(one.n_pairs * one.loss for one in scores) / n_pairs,
        sum(one.n_pairs * one.accuracy for one in scores) / n_pairs,
    )


def over_processes(scores: Sequence[Score]) -> Score:
    """The mean over several processes, each of which counts the same."""
    n = len(scores)
    n_pairs = sum(one.n_pairs for one in scores)
    return Score(n_pairs, sum(one.loss for one in scores) / n, sum(one.accuracy for one in scores) / n)
