"""S~ and its gradient in shards: those of one pass over all clips, the same bitwise on any number of threads."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, linear, relu

from gputhermo.clips import augment, to_float
from gputhermo.encoder import CPU_SHARD, Encoder
from gputhermo.errors import InputError
from gputhermo.model import EntropyNetwork
from gputhermo.network_file import NETWORKS
from gputhermo.pairs import pair_loss
from gputhermo.representation import Representation
from gputhermo.torch_device import torch_state

CPU = torch.device("cpu")
N_STATES = [15, 4, 21]
"""Of three processes: 40 clips, two whole shards and a half one, whose borders lie within processes."""


@pytest.fixture(autouse=True)
def state_of_a_run() -> Iterator[None]:
    with torch_state(CPU):
        yield


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Representation:
    torch.manual_seed(1)
    return NETWORKS[request.param](frames=2, pixels=32)


@pytest.fixture
def table_1() -> EntropyNetwork:
    torch.manual_seed(1)
    return EntropyNetwork(frames=2, pixels=32)


@pytest.fixture
def clips() -> Tensor:
    return torch.randint(0, 256, (sum(N_STATES), 2, 32, 32), dtype=torch.uint8, generator=generator(2))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loss(entropies: Tensor) -> Tensor:
    """As in training, and a term for the last bias: a constant in S~ does not change the loss of a pair."""
    over_processes = torch.stack([pair_loss(process) for process in entropies.split(N_STATES)]).mean()
    return over_processes + (entropies + 1.0).square().mean()


def seed_of(shard: int) -> int:
    return 100 + shard


def descend(
    network: Representation, clips: Tensor, n_threads: int, precision: torch.dtype = torch.float32
) -> tuple[Tensor, list[Tensor]]:
    """S~, and the gradient by parameter; the clips come as those of several processes do."""
    processes = clips[:3], clips[3:3], clips[3 : CPU_SHARD + 1], clips[CPU_SHARD + 1 :]
    with closing(Encoder(network, precision, n_threads)) as encoder:
        entropies = encoder.descend(processes, loss, seed_of)
        gradient = [parameter.grad for parameter in network.parameters()]
    return entropies, gradient


def test_gradient_is_that_of_one_pass_over_all_clips(table_1: EntropyNetwork, clips: Tensor):
    """Layers and dropout written out in float64, the same random numbers, and autograd over everything at once."""
    states, kept = [], []
    for shard, some in enumerate(clips.split(CPU_SHARD)):
        draws = generator(seed_of(shard))
        states.append(augment(some, draws).double() / 255.0)
        kept.append(torch.empty(len(some), 128).bernoulli_(0.75, generator=draws).double())
    weights = [parameter.detach().double().requires_grad_() for parameter in table_1.parameters()]
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    x = torch.cat(states)
    for weight, bias in layers[:5]:
        x = relu(conv2d(x, weight, bias, stride=2))
    x = x.flatten(1) * torch.cat(kept) / 0.75
    for weight, bias in layers[5:-1]:
        x = relu(linear(x, weight, bias))
    expected = linear(x, *layers[-1])[:, 0]
    expected_gradient = torch.autograd.grad(loss(expected), weights)

    entropies, gradient = descend(table_1, clips, n_threads=2)
    # A thousand roundings of float32 at the most.
    torch.testing.assert_close(
        entropies.double(), expected.detach(), rtol=0.0, atol=1e-4 * float(expected.detach().std())
    )
    for ours, theirs in zip(gradient, expected_gradient, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), theirs, rtol=0.0, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_results_do_not_depend_on_the_number_of_threads(network: Representation, clips: Tensor, precision: torch.dtype):
    entropies, gradient = descend(network, clips, 1, precision)
    with closing(Encoder(network, precision, 1)) as encoder:
        evaluated = encoder.entropies(clips)
    for n_threads in (2, 3):
        again, gradient_again = descend(network, clips, n_threads, precision)
        assert torch.equal(again, entropies)
        assert all(torch.equal(a, b) for a, b in zip(gradient_again, gradient, strict=True))
        with closing(Encoder(network, precision, n_threads)) as encoder:
            assert torch.equal(encoder.entropies(clips), evaluated)


def test_a_second_gradient_does_not_add_to_the_first(network: Representation, clips: Tensor):
    _, first = descend(network, clips, 1)
    first = [term.clone() for term in first]
    _, second = descend(network, clips, 1)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_random_numbers_come_from_the_seeds_alone(table_1: EntropyNetwork, clips: Tensor):
    def run(seed: Callable[[int], int]) -> Tensor:
        with closing(Encoder(table_1, torch.float32, 2)) as encoder:
            return encoder.descend([clips], loss, seed)

    torch.manual_seed(7)
    first = run(seed_of)
    torch.manual_seed(8)
    assert torch.equal(run(seed_of), first)
    other = run(lambda shard: 7 if shard == 1 else seed_of(shard))
    same = other == first
    assert same[:CPU_SHARD].all(), "another shard's seed"
    assert same[2 * CPU_SHARD :].all(), "another shard's seed"
    assert not same[CPU_SHARD : 2 * CPU_SHARD].any()


def test_evaluation_has_no_dropout_and_no_graph(network: Representation, clips: Tensor):
    with closing(Encoder(network, torch.float32, 2)) as encoder:
        encoder.descend([clips], loss, seed_of)
        entropies = encoder.entropies(clips)
    assert not entropies.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(entropies, network.eval()(to_float(clips)))


def test_bfloat16_is_close_to_float32(table_1: EntropyNetwork, clips: Tensor):
    """bfloat16 keeps 8 bits: a rounding errs by 2^-9, in each of five layers and of the images."""
    found = {}
    for precision in (torch.float32, torch.bfloat16):
        with closing(Encoder(table_1, precision, 2)) as encoder:
            found[precision] = encoder.entropies(clips)
    assert found[torch.bfloat16].dtype == torch.float32
    error = found[torch.bfloat16] - found[torch.float32]
    assert error.std() < found[torch.float32].std() / 32
    assert error.abs().max() < found[torch.float32].std() / 8
    assert error.abs().max() > 0.0, "the convolutions were in float32"


def test_gradients_in_bfloat16_are_close_to_those_in_float32(table_1: EntropyNetwork, clips: Tensor):
    _, exact = descend(table_1, clips, 2)
    _, rounded = descend(table_1, clips, 2, torch.bfloat16)
    for ours, theirs in zip(rounded, exact, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() < 0.25 * theirs.norm(), "not within 15 degrees of the same direction"


def test_threads_are_counted_from_one(table_1: EntropyNetwork):
    with pytest.raises(InputError, match="threads = 0"):
        Encoder(table_1, torch.float32, 0)
