"""The network is that of Table I."""

import pytest
import torch
from torch.nn.functional import conv2d, linear, relu

from gputhermo.errors import InputError
from gputhermo.model import EntropyNetwork, drop


def test_number_of_parameters_is_that_of_table_1():
    # Weights and biases, by hand: 2 x 2 filters; 256 pixels halved five times leave 8 x 8 of 128 channels.
    convolutions = [(4 * 5 + 1) * 16, (4 * 16 + 1) * 32, (4 * 32 + 1) * 64, (4 * 64 + 1) * 64, (4 * 64 + 1) * 128]
    dense = [(8 * 8 * 128 + 1) * 128, (128 + 1) * 64, 64 + 1]
    assert sum(convolutions + dense) == 1_117_041
    assert [sum(p.numel() for p in layer.parameters()) for layer in layers(EntropyNetwork())] == convolutions + dense


def layers(network: EntropyNetwork) -> list[torch.nn.Module]:
    """The layers that have weights, in order."""
    return [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]


def test_output_is_that_of_the_layers_one_after_the_other():
    network = EntropyNetwork(frames=3, pixels=64).eval()
    clips = torch.rand(4, 3, 64, 64)
    x = clips
    *hidden, last = layers(network)
    for layer in hidden[:5]:
        x = relu(conv2d(x, layer.weight, layer.bias, stride=2))
    assert x.shape == (4, 128, 2, 2)
    x = x.flatten(1)
    for layer in hidden[5:]:
        x = relu(linear(x, layer.weight, layer.bias))
    entropies = network(clips)
    assert entropies.shape == (4,)
    torch.testing.assert_close(entropies, linear(x, last.weight, last.bias)[:, 0])
    assert entropies.min() < 0.0 or entropies.max() > 0.0


def test_dropout_zeroes_a_quarter_and_scales_the_rest_so_that_the_mean_stays():
    features = torch.ones(500, 2000, requires_grad=True)
    dropped = drop(features, torch.Generator().manual_seed(1))
    zero = dropped == 0.0
    # Binomial of 1e6 draws: five standard deviations are 0.0022.
    assert abs(float(zero.double().mean()) - 0.25) < 0.0022
    assert (dropped[~zero] == 1.0 / 0.75).all()
    # Each row and each column on its own: the share has standard deviation 0.0097 of 2000 draws and 0.0194 of 500.
    for axis, deviation in ((1, 0.0097), (0, 0.0194)):
        shares = zero.double().mean(axis)
        assert 0.8 * deviation < shares.std() < 1.2 * deviation
    # The gradient goes where the features went.
    (gradient,) = torch.autograd.grad(dropped.sum(), features)
    assert torch.equal(gradient, dropped.detach())


def test_what_is_dropped_comes_from_the_generator_alone():
    features = torch.rand(3, 128)
    first = drop(features, torch.Generator().manual_seed(4))
    torch.manual_seed(99)
    assert torch.equal(drop(features, torch.Generator().manual_seed(4)), first)
    assert not torch.equal(drop(features, torch.Generator().manual_seed(5)), first)
    assert not torch.equal(drop(features, None), drop(features, None)), "torch's own generator goes on"


def test_dropout_is_of_the_flat_features_and_in_training_only():
    network = EntropyNetwork(frames=1, pixels=64)
    clips = torch.rand(3, 1, 64, 64)
    features = network.convolutions(clips).flatten(1)
    assert features.shape == (3, 512)
    dropped = drop(features, torch.Generator().manual_seed(6))
    result = network.train()(clips, torch.Generator().manual_seed(6))
    torch.testing.assert_close(result, network.dense(dropped)[:, 0])
    torch.testing.assert_close(network.eval()(clips), network.dense(features)[:, 0])


def test_convolutions_compute_in_the_type_of_the_clips_and_the_rest_in_float32():
    network = EntropyNetwork(frames=1, pixels=32).eval()
    types = {}

    def note(layer: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        types[layer] = output.dtype

    for layer in layers(network):
        layer.register_forward_hook(note)
    for dtype in (torch.float32, torch.bfloat16):
        assert network(torch.rand(2, 1, 32, 32).to(dtype)).dtype == torch.float32
        assert [types[layer] for layer in layers(network)] == [dtype] * 5 + [torch.float32] * 3
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_initial_weights_are_those_of_keras():
    """Glorot and Bengio's uniform distribution, whose bound is sqrt(6 / (inputs + outputs)); biases are 0."""
    connections = [(20, 64), (64, 128), (128, 256), (256, 256), (256, 512), (8192, 128), (128, 64), (64, 1)]
    for layer, (inputs, outputs) in zip(layers(EntropyNetwork()), connections, strict=True):
        bound = (6.0 / (inputs + outputs)) ** 0.5
        assert 0.9 * bound < layer.weight.abs().max() <= bound
        assert layer.bias.count_nonzero() == 0


def test_a_clip_has_the_same_entropy_in_whatever_company():
    network = EntropyNetwork(frames=2, pixels=32).eval()
    clips = torch.rand(5, 2, 32, 32)
    torch.testing.assert_close(network(clips)[3:4], network(clips[3:4]))


def test_images_too_small_to_be_halved_five_times():
    with pytest.raises(InputError, match=r"pixels = 31 .* 32"):
        EntropyNetwork(pixels=31)
