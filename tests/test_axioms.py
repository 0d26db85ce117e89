"""Statistics of the axioms against sums over all pairs, triples and quadruples that are written out here.

A resample is brute force too: every pair, triple or quadruple has the product of the weights of the different processes
that its states come from.
"""

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import torch

from gputhermo import axioms, pairs
from gputhermo.bootstrap import Bootstrap, Estimate, estimate, weigh_pairs
from gputhermo.errors import InputError

BOOTSTRAP = Bootstrap(seed=5, n_resamples=40)
PROCESS = np.array([2, 2, 2, 5, 5, 7, 7, 8, 8, 9, 9])
N_PARTICLES = np.array([10, 10, 10, 20, 20, 10, 10, 20, 20, 10, 10])
N = len(PROCESS)
STATES = range(N)
COLUMN = [[2, 5, 7, 8, 9].index(process) for process in PROCESS]
"""Of each state's process in the weights."""
S = np.array([0.3, 1.2, 0.9, 0.5, 2.0, 0.3, -0.4, 1.0, 1.1, 0.7, 0.3])
"""Neither in order nor without ties."""


def weight_of(weights: np.ndarray, states: Iterable[int]) -> float:
    """Of a tuple of states, for one row of weights."""
    return math.prod(weights[column] for column in {COLUMN[state] for state in states})


def brute_force(tuples: list[tuple[tuple[int, ...], bool]]) -> Estimate:
    """The share of True among tuples of states, with its interval."""
    values = []
    for weights in BOOTSTRAP.weights(PROCESS):
        total = right = 0.0
        for states, agrees in tuples:
            weight = weight_of(weights, states)
            total += weight
            right += weight * agrees
        values.append(right / total if total else math.nan)
    return estimate(np.array(values))


def assert_same(found: Estimate, expected: Estimate) -> None:
    np.testing.assert_allclose(
        [found.value, found.low, found.high], [expected.value, expected.low, expected.high], rtol=1e-12
    )


def before() -> Iterator[tuple[int, int]]:
    """All (X, Y) with X before Y, X = Y too."""
    return ((x, y) for x, y in itertools.product(STATES, STATES) if S[x] <= S[y])


def noise(*shape: int) -> np.ndarray:
    """Coarse, so that there are ties."""
    return np.random.default_rng(8).integers(-3, 4, shape) / 2.0


# resamples


def test_a_resample_has_as_many_processes_as_there_are():
    weights = Bootstrap(seed=1).weights(np.repeat(np.arange(30), 3))
    assert weights.shape == (1001, 30)
    assert np.all(weights[0] == 1.0)
    assert np.all(weights.sum(axis=1) == 30.0)
    np.testing.assert_allclose(weights[1:].mean(), 1.0)
    # A process is drawn a binomial number of times: variance 1 - 1/30.
    assert weights[1:].var() == pytest.approx(1.0 - 1.0 / 30.0, rel=0.02)


def test_resamples_depend_on_the_seed_alone():
    again, other = (
        Bootstrap(seed=5, n_resamples=40).weights(PROCESS),
        Bootstrap(seed=6, n_resamples=40).weights(PROCESS),
    )
    assert np.array_equal(again, BOOTSTRAP.weights(PROCESS))
    assert not np.array_equal(again, other)


def test_the_interval_of_a_mean_is_that_of_normal_theory():
    """1.96 standard errors on either side of the mean of 200 numbers."""
    numbers = np.random.default_rng(2).normal(3.0, 0.5, 200)
    found = estimate(Bootstrap(seed=3, n_resamples=4000).weights(np.arange(200)) @ numbers / 200)
    error = numbers.std() / math.sqrt(200)
    assert found.value == pytest.approx(numbers.mean())
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.1 * error)


def test_pairs_within_a_process_are_not_drawn_more_often():
    """On average over resamples, pairs within processes have weight 1, and pairs between them 1 - 1/10.

    Had a pair within a process the square of its weight, it would be 1.9.
    """
    weights = Bootstrap(seed=2, n_resamples=20_000).weights(np.arange(10))[1:]
    assert weigh_pairs(weights, np.eye(10)).mean() / 10 == pytest.approx(1.0)
    assert weigh_pairs(weights, 1.0 - np.eye(10)).mean() / 90 == pytest.approx(0.9, rel=0.005)


def test_no_states_are_a_mistake_of_the_user():
    with pytest.raises(InputError, match=r"^states = 0 is not allowed: "):
        axioms.reflexivity(S[:0], S[:0], PROCESS[:0], BOOTSTRAP)


# order of time, A1, A2, A5


def test_ordering_counts_pairs_of_one_process():
    found = axioms.ordering(S, PROCESS, BOOTSTRAP)
    within = [(x, y) for x, y in itertools.combinations(STATES, 2) if PROCESS[x] == PROCESS[y]]
    assert_same(found.accuracy, brute_force([(pair, S[pair[0]] < S[pair[1]]) for pair in within]))
    losses = {(x, y): math.log(1.0 + math.exp(S[x] - S[y])) for x, y in within}
    assert found.loss.value == pytest.approx(sum(losses.values()) / 7)
    means = [
        np.mean([loss for (x, _), loss in losses.items() if PROCESS[x] == process]) for process in np.unique(PROCESS)
    ]
    assert_same(found.process_loss, estimate(BOOTSTRAP.weights(PROCESS) @ means / 5))
    # 2 of 3, 1 of 1, 0 of 1, 1 of 1, 0 of 1.
    assert found.process_accuracy.value == pytest.approx((2 / 3 + 1 + 0 + 1 + 0) / 5)
    assert found.accuracy.value == pytest.approx(4 / 7)


def test_a_tie_is_ordered_right_by_half():
    assert axioms.ordering(np.ones(N), PROCESS, BOOTSTRAP).accuracy == Estimate(0.5, 0.5, 0.5)


def test_r_squared_is_measured_from_the_identity():
    y = 0.9 * S + 0.2 + 0.1 * noise(N)
    values = []
    for weights in BOOTSTRAP.weights(PROCESS):
        rows = [state for state in STATES for _ in range(int(weight_of(weights, [state])))]
        values.append(1.0 - ((y - S)[rows] ** 2).sum() / ((y[rows] - y[rows].mean()) ** 2).sum())
    assert_same(axioms.reflexivity(S, y, PROCESS, BOOTSTRAP), estimate(np.array(values)))
    # y = x + 1 is a perfect line, and far from the identity: 1 - n / (n var y).
    shifted = axioms.reflexivity(S, S + 1.0, PROCESS, BOOTSTRAP).value
    assert shifted == pytest.approx(1.0 - 1.0 / S.var())
    assert axioms.splitting(S + 0.2, S, PROCESS, BOOTSTRAP).value == pytest.approx(1.0 - 0.04 / S.var())


def test_the_split_state_is_the_ordinate_of_figure_5():
    """R^2 is not symmetric: its denominator is the spread of the split states."""
    split = 2.0 * S
    assert axioms.splitting(split, S, PROCESS, BOOTSTRAP).value == pytest.approx(1 - (S**2).mean() / (4 * S.var()))


def test_what_is_the_same_everywhere_explains_nothing():
    constant = np.full(N, 0.1)
    assert axioms.reflexivity(constant, constant, PROCESS, BOOTSTRAP) == Estimate(0.0, 0.0, 0.0)


def test_numbers_are_transitive():
    assert axioms.transitivity(S, PROCESS, BOOTSTRAP) == Estimate(1.0, 1.0, 1.0)


def test_cycles_are_counted(monkeypatch: pytest.MonkeyPatch):
    """An order that comes from no number: stone, paper and scissors among the rest."""
    rises = np.triu(noise(N, N), 1)
    rises -= rises.T
    monkeypatch.setattr(pairs, "rises", lambda s: torch.from_numpy(rises))
    triples = [
        ((x, y, z), rises[x, z] >= 0.0)
        for x, y, z in itertools.product(STATES, STATES, STATES)
        if x != y != z and rises[x, y] >= 0.0 and rises[y, z] >= 0.0
    ]
    found = axioms.transitivity(S, PROCESS, BOOTSTRAP)
    assert_same(found, brute_force(triples))
    assert 0.3 < found.value < 0.9


# A3


@pytest.mark.parametrize("equal_n", [True, False])
def test_consistency_is_over_all_pairs_of_compounds(equal_n: bool):
    compounds = noise(N, N)
    quadruples = [
        ((x, x2, y, y2), compounds[x, x2] <= compounds[y, y2])
        for (x, y), (x2, y2) in itertools.product(before(), before())
        if (x, x2) != (y, y2)
        and (not equal_n or (N_PARTICLES[x] == N_PARTICLES[y] and N_PARTICLES[x2] == N_PARTICLES[y2]))
    ]
    found = axioms.consistency(S, compounds, N_PARTICLES, PROCESS, BOOTSTRAP, equal_n=equal_n)
    assert_same(found, brute_force(quadruples))
    assert 0.3 < found.value < 0.9


def test_consistency_of_many_states():
    """60 states, all 12,960,000 ordered pairs of their compounds as one matrix."""
    rng = np.random.default_rng(1)
    s, process = rng.normal(size=60), np.sort(rng.integers(0, 20, 60))
    compounds = s[:, None] + s + rng.normal(size=(60, 60))
    below = s[:, None] <= s
    premise = np.kron(below, below) & ~np.eye(3600, dtype=bool)
    agrees = premise & (compounds.reshape(-1, 1) <= compounds.reshape(1, -1))
    found = axioms.consistency(s, compounds, np.ones(60), process, BOOTSTRAP, equal_n=False)
    assert found.value == agrees.sum() / premise.sum()


# A4, A6


@pytest.mark.parametrize("equal_n", [True, False])
def test_scaling_is_over_all_pairs(equal_n: bool):
    scaled = noise(3, N)
    found = axioms.scaling(S, scaled, N_PARTICLES, PROCESS, BOOTSTRAP, equal_n=equal_n)
    population = [(x, y) for x, y in before() if x != y and (not equal_n or N_PARTICLES[x] == N_PARTICLES[y])]
    each = [[((x, y), one[x] <= one[y]) for x, y in population] for one in scaled]
    for one, expected in zip(found.each, each, strict=True):
        assert_same(one, brute_force(expected))
    # The mean over lambdas is the share among all of their pairs, as each has the same pairs.
    assert_same(found.mean, brute_force(list(itertools.chain(*each))))
    assert found.mean.value == pytest.approx(np.mean([one.value for one in found.each]))


@pytest.mark.parametrize("equal_n", [True, False])
def test_stability_has_another_dust_in_each_state(equal_n: bool):
    first, second = noise(2, 2, N)
    found = axioms.stability(S, first, second, N_PARTICLES, PROCESS, BOOTSTRAP, equal_n=equal_n)
    population = [(x, y) for x, y in before() if x != y and (not equal_n or N_PARTICLES[x] == N_PARTICLES[y])]
    each = [[((x, y), a[x] <= b[y]) for x, y in population] for a, b in zip(first, second, strict=True)]
    for one, expected in zip(found.each, each, strict=True):
        assert_same(one, brute_force(expected))
    assert_same(found.mean, brute_force(list(itertools.chain(*each))))


def test_no_pair_of_equal_number_is_a_mistake_of_the_user():
    with pytest.raises(InputError, match=r"^pairs = 0 is not allowed: "):
        axioms.scaling(S, S[None], np.arange(N), PROCESS, BOOTSTRAP, equal_n=True)


def test_the_order_of_the_states_does_not_matter():
    mixed = np.random.default_rng(0).permutation(N)
    compounds, scaled = noise(N, N), noise(2, N)
    found, expected = [
        (
            axioms.reflexivity(S[rows], scaled[0, rows], PROCESS[rows], BOOTSTRAP),
            axioms.transitivity(S[rows], PROCESS[rows], BOOTSTRAP),
            axioms.consistency(
                S[rows], compounds[np.ix_(rows, rows)], N_PARTICLES[rows], PROCESS[rows], BOOTSTRAP, equal_n=True
            ),
            axioms.scaling(S[rows], scaled[:, rows], N_PARTICLES[rows], PROCESS[rows], BOOTSTRAP, equal_n=True).mean,
        )
        for rows in (mixed, np.arange(N))
    ]
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
