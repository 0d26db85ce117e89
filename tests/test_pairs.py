"""The loss and the score of all pairs of states of a process."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gputhermo.pairs import over_pairs, over_processes, pair_loss, score


def brute_force(entropies: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of every pair, shown in both ways with its label, one at a time."""
    losses = []
    for i in range(len(entropies)):
        for j in range(len(entropies)):
            if i != j:
                p = 1.0 / (1.0 + torch.exp(entropies[i] - entropies[j]))
                y = 1.0 if j > i else 0.0
                losses.append(-(y * torch.log(p) + (1.0 - y) * torch.log(1.0 - p)))
    return sum(losses) / len(losses)


@settings(deadline=None)
@given(st.lists(st.floats(-8.0, 8.0), min_size=2, max_size=9))
def test_loss_and_gradient_over_all_pairs_are_those_of_a_double_loop(values: list[float]):
    entropies = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    expected, result = brute_force(entropies), pair_loss(entropies)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(torch.autograd.grad(result, entropies), torch.autograd.grad(expected, entropies))


def test_loss_stays_finite_where_the_probability_does_not():
    entropies = torch.tensor([500.0, -500.0], requires_grad=True)
    loss = pair_loss(entropies)
    assert loss.item() == 1000.0
    assert torch.autograd.grad(loss, entropies)[0].tolist() == [1.0, -1.0]


def test_accuracy_counts_pairs_in_order_and_ties_by_half():
    assert score(torch.tensor([1.0, 2.0, 3.0])).accuracy == 1.0
    assert score(torch.tensor([3.0, 2.0, 1.0])).accuracy == 0.0
    constant = score(torch.zeros(5))
    assert (constant.n_pairs, constant.accuracy) == (10, 0.5)
    assert constant.loss == pytest.approx(math.log(2.0))
    assert score(torch.tensor([1.0, 3.0, 2.0, 2.0])).accuracy == pytest.approx(3.5 / 6)


def test_means_over_pairs_and_over_processes():
    scores = [score(torch.tensor([1.0, 2.0])), score(torch.tensor([4.0, 3.0, 2.0, 1.0]))]
    assert over_pairs(scores).n_pairs == over_processes(scores).n_pairs == 7
    assert over_pairs(scores).accuracy == pytest.approx(1 / 7)
    assert over_processes(scores).accuracy == pytest.approx(1 / 2)
    assert over_pairs(scores).loss == pytest.approx((scores[0].loss + 6 * scores[1].loss) / 7)
