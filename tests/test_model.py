"""The network is that of Table I, and its file brings back the same network or one line that says why not."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d, linear, relu

from gputhermo.errors import InputError
from gputhermo.model import EntropyNetwork, load_network, save_network
from gputhermo.version import __version__


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


def test_dropout_is_a_quarter_of_the_flat_features_and_in_training_only():
    network = EntropyNetwork(frames=1, pixels=32)
    (dropout,) = (layer for layer in network.modules() if isinstance(layer, torch.nn.Dropout))
    assert dropout.p == 0.25
    assert [type(layer).__name__ for layer in network.head][:3] == ["Flatten", "Dropout", "Linear"]
    clips = torch.rand(2, 1, 32, 32)
    assert not torch.equal(network(clips), network(clips))
    network.eval()
    assert torch.equal(network(clips), network(clips))


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


# the file


def test_weights_survive_the_file(tmp_path: Path):
    network = EntropyNetwork(frames=2, pixels=32)
    save_network(network, tmp_path / "a.safetensors", training="seed = 1\n")
    loaded = load_network(tmp_path / "a.safetensors")
    assert not loaded.training
    clips = torch.rand(3, 2, 32, 32)
    assert torch.equal(loaded(clips), network.eval()(clips))


def test_file_says_what_it_is(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    save_network(EntropyNetwork(frames=2, pixels=32), path, training="seed = 1\n")
    data = path.read_bytes()
    # The format is a length in 8 bytes, a header in JSON, and numbers: nothing in it can be run.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"]["gputhermo network"]) == {
        "format_version": 1,
        "package_version": __version__,
        "frames": 2,
        "pixels": 32,
        "training": "seed = 1\n",
    }


def test_files_that_hold_no_such_network(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    weights = EntropyNetwork(frames=2, pixels=32).state_dict()

    def metadata(version: int = 1, pixels: int = 32) -> dict[str, str]:
        return {"gputhermo network": json.dumps({"format_version": version, "frames": 2, "pixels": pixels})}

    def rejected(message: str) -> None:
        with pytest.raises(InputError, match=message) as error:
            load_network(path)
        assert "\n" not in str(error.value)

    rejected("does not exist")
    save_file(weights, path, metadata())
    load_network(path)
    path.write_bytes(path.read_bytes()[:-1])
    rejected("damaged")
    torch.save(weights, path)
    rejected("not a safetensors file")
    save_file(weights, path, {})
    rejected("not a gputhermo network")
    save_file(weights, path, metadata(version=2))
    rejected("version 2")
    save_file(weights, path, metadata(pixels=64))
    rejected("another network")
    save_file({"weight": torch.zeros(3)}, path, metadata())
    rejected("another network")
    path.unlink()
    path.mkdir()
    rejected("cannot be read")
