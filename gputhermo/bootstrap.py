"""Intervals of statistics over processes: the same statistic for processes drawn again, with replacement.

States of one process share its random initial state and its piston, so processes are drawn, not states. A process that
is drawn k times has weight k. A pair of states of two processes has the product of their weights, a pair within one
process its weight: copies of a process are not compared with each other, or resamples would hold more pairs within
processes than the data. Triples and quadruples likewise have the product over the different processes among them.
All statistics are ratios of such weighted sums, so they need sums by process only, and nothing is subsampled.
"""

from dataclasses import dataclass

import numpy as np

from .errors import InputError

INTERVAL = (2.5, 97.5)
"""Percentiles between which the 95% interval lies."""


@dataclass(frozen=True)
class Estimate:
    """A statistic, and its 95% interval over resampled processes."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bootstrap:
    """How processes are drawn again; the same seed draws the same processes for every statistic."""

    seed: int
    n_resamples: int = 1000

    def weights(self, process: np.ndarray) -> np.ndarray:
        """Weight of each process, float64 [1 + n_resamples, n_processes].

        process  int64 [n]: that of each state. Columns are the processes that occur, in ascending order. Row 0 has each
        process once; every other row has as many, drawn with replacement. InputError if there is no state.
        """
        n_processes = len(np.unique(process))
        if not n_processes:
            raise InputError("states = 0 is not allowed: a statistic needs states of at least one process")
        random = np.random.Generator(np.random.Philox(self.seed))
        drawn = random.multinomial(n_processes, np.full(n_processes, 1.0 / n_processes), size=self.n_resamples)
        return np.concatenate([np.ones((1, n_processes)), drawn])


def estimate(values: np.ndarray) -> Estimate:
    """A statistic from its values [1 + n_resamples] for the rows of `Bootstrap.weights`: percentile interval.

    A resample in which the statistic is not defined (NaN) is left out.
    """
    low, high = np.nanpercentile(values[1:], INTERVAL)
    return Estimate(float(values[0]), float(low), float(high))


def share(right: np.ndarray, total: np.ndarray) -> Estimate:
    """The ratio of two weighted counts, each [1 + n_resamples]; InputError if nothing was counted."""
    if not total[0] > 0.0:
        raise InputError("pairs = 0 is not allowed: a share needs at least one pair of states in its population")
    return estimate(np.divide(right, total, out=np.full_like(total, np.nan), where=total > 0.0))


def sum_by_process(values: np.ndarray, process: np.ndarray, axis: int = 0) -> np.ndarray:
    """Sums over the states of each process, float64; `axis` of the values, [n] of `process`, becomes [n_processes]."""
    order = np.argsort(process, kind="stable")
    first = np.flatnonzero(np.diff(process[order], prepend=-1))
    return np.add.reduceat(np.take(values, order, axis=axis), first, axis=axis, dtype=np.float64)


def sum_pairs(pairs: np.ndarray, process: np.ndarray) -> np.ndarray:
    """Sums over pairs of states by the processes of both: [n, n] becomes float64 [n_processes, n_processes]."""
    return sum_by_process(sum_by_process(pairs, process), process, axis=1)


def weigh_pairs(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """The weighted sum over pairs, float64 [1 + n_resamples], of their sums by process [n_processes, n_processes]."""
    within = np.diagonal(sums)
    return ((weights @ (sums - np.diag(within))) * weights).sum(axis=1) + weights @ within


def without(weights: np.ndarray, *processes: int) -> np.ndarray:
    """The weights that are left to the other states of a tuple that has states of these processes already."""
    left = weights.copy()
    left[:, processes] = 1.0
    return left
