"""The network that averages over the frame."""

import pytest
import torch
from torch.nn.functional import conv2d, linear, relu

from gputhermo.errors import InputError
from gputhermo.pooled import GAIN, FrameMean, PooledNetwork


def test_number_of_parameters():
    # Weights and biases, by hand: filters of 6 x 6 and 3 x 3; 16 + 32 + 48 + 64 + 64 = 224 means.
    convolutions = (36 * 5 + 1) * 16 + (9 * 16 + 1) * 32 + (9 * 32 + 1) * 48 + (9 * 48 + 1) * 64 + (9 * 64 + 1) * 64
    dense = (224 + 1) * 128 + (128 + 1) * 64 + 64 + 1
    assert sum(parameter.numel() for parameter in PooledNetwork().parameters()) == convolutions + dense == 123_169


def test_output_is_that_of_the_layers_one_after_the_other():
    network = PooledNetwork(frames=3, pixels=64).eval()
    clips = torch.rand(4, 3, 64, 64)
    x, means = GAIN * clips, []
    for layer, padding, side in zip(network.convolutions, (2, 1, 1, 1, 1), (32, 16, 8, 4, 2), strict=True):
        x = relu(conv2d(x, layer.weight, layer.bias, stride=2, padding=padding))
        assert x.shape[-2:] == (side, side)
        means.append(x.mean(dim=(-1, -2)))
    x = GAIN * torch.cat(means, dim=1)
    for layer in network.dense[0], network.dense[2]:
        x = relu(linear(x, layer.weight, layer.bias))
    last = network.dense[4]
    torch.testing.assert_close(network(clips), linear(x, last.weight, last.bias)[:, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient_of_the_means_is_that_of_torch_laid_out_as_the_images_are(dtype):
    torch.manual_seed(2)
    x = torch.randn(2, 3, 8, 4).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    slope = torch.randn(2, 3)
    means = FrameMean.apply(x)
    of_torch = x.mean(dim=(2, 3), dtype=torch.float32)
    assert torch.equal(means, of_torch)
    (gradient,), (gradient_of_torch,) = (torch.autograd.grad(each, x, slope) for each in (means, of_torch))
    assert torch.equal(gradient, gradient_of_torch)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_a_gas_has_the_same_entropy_wherever_it_is():
    """Moved by whole windows of the last convolution, with nothing near the border of the frame."""
    torch.manual_seed(1)
    network = PooledNetwork(frames=2, pixels=256).eval()
    gas = torch.rand(2, 64, 64)
    clips = torch.zeros(2, 2, 256, 256)
    clips[0, :, 64:128, 64:128] = gas
    clips[1, :, 128:192, 96:160] = gas
    with torch.no_grad():
        first, second = network(clips)
    assert abs(float(first)) > 0.1  # an empty frame has 0 at first
    torch.testing.assert_close(first, second, rtol=1e-4, atol=0.0)


def test_biases_begin_at_zero():
    network = PooledNetwork(frames=2, pixels=32)
    assert all(parameter.count_nonzero() == 0 for parameter in network.parameters() if parameter.ndim == 1)
    assert torch.equal(network(torch.zeros(1, 2, 32, 32)), torch.zeros(1))


def test_images_too_small_to_be_halved_five_times():
    with pytest.raises(InputError, match=r"pixels = 31 .* 32"):
        PooledNetwork(pixels=31)
