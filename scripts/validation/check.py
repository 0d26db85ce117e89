"""A measured number beside the number that it must be, and when the two agree."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

CONFIDENCE = 0.999
"""Of every interval: the chance that a correct program fails one check is one in a thousand."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over replicas and its confidence interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Of the interval."""
        return 0.5 * (self.high - self.low)


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was measured, and what it must be.

    relation    the interval must hold the reference ("is") or lie on one side of it
    resolution  widest half of an interval with "is": a wider one would hold anything
    source      of the reference: a paper, or the closed form
    n_steps     time steps simulated, of all replicas together
    """

    name: str
    measured: Estimate
    relation: Literal["is", "below", "above"]
    reference: float
    resolution: float | None = None
    source: str
    n_steps: int

    @property
    def passed(self) -> bool:
        """Whether the measurement agrees."""
        if self.relation == "below":
            return self.measured.high < self.reference
        if self.relation == "above":
            return self.measured.low > self.reference
        assert self.resolution is not None
        return self.measured.low <= self.reference <= self.measured.high and self.sharp

    @property
    def sharp(self) -> bool:
        """Whether the interval is narrow enough to tell."""
        return self.resolution is None or self.measured.half_width <= self.resolution


def mean(samples: np.ndarray | list[float]) -> Estimate:
    """The mean of independent samples, one a replica, with Student's interval."""
    samples = np.asarray(samples, dtype=np.float64)
    value = float(samples.mean())
    margin = float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, len(samples) - 1) * stats.sem(samples))
    return Estimate(value=value, low=value - margin, high=value + margin)


def ratio_of_sums(numerators: np.ndarray, denominators: np.ndarray) -> Estimate:
    """Sum over sum of independent pairs, with the jackknife's interval."""
    n, above, below = len(numerators), numerators.sum(), denominators.sum()
    left_out = (above - numerators) / (below - denominators)
    return mean(n * above / below - (n - 1) * left_out)


def exactly(value: float) -> Estimate:
    """A number without a spread: a deviation that only rounding may cause."""
    return Estimate(value=float(value), low=float(value), high=float(value))


def ks_distance(samples: np.ndarray, distribution: stats.rv_continuous, n_independent: float) -> tuple[Estimate, float]:
    """Kolmogorov's distance of samples from a distribution, and the distance that chance exceeds once in a thousand.

    `n_independent` is the number of independent samples that they are worth.
    """
    distance = float(stats.kstest(samples, distribution.cdf).statistic)
    return exactly(distance), float(stats.kstwo.isf(1.0 - CONFIDENCE, round(n_independent)))
