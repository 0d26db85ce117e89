"""A network's file brings back the same network, or one line that says why not."""

import json
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file

from gputhermo.errors import InputError
from gputhermo.model import EntropyNetwork
from gputhermo.network_file import NETWORKS, load_network, read_network, save_network
from gputhermo.parameters import TrainSettings
from gputhermo.seal import BLANK, seal
from gputhermo.version import __version__


def test_settings_name_all_networks():
    assert get_args(TrainSettings.model_fields["network"].annotation) == tuple(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_survive_the_file(name: str, tmp_path: Path):
    network = NETWORKS[name](frames=2, pixels=32)
    save_network(network, tmp_path / "a.safetensors", training="seed = 1\n", epoch=7)
    loaded = load_network(tmp_path / "a.safetensors")
    assert type(loaded) is type(network)
    assert not loaded.training
    clips = torch.rand(3, 2, 32, 32)
    assert torch.equal(loaded(clips), network.eval()(clips))


def test_file_says_what_it_is(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    save_network(EntropyNetwork(frames=2, pixels=32), path, training="seed = 1\n", epoch=7)
    data = path.read_bytes()
    # The format is a length in 8 bytes, a header in JSON, and numbers: nothing in it can be run.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    description = json.loads(header["__metadata__"]["gputhermo network"])
    assert description.pop("seal").startswith("gputhermo-seal-")
    assert description == {
        "format_version": 1,
        "package_version": __version__,
        "network": "paper",
        "frames": 2,
        "pixels": 32,
        "epoch": 7,
        "training": "seed = 1\n",
    }
    found, _ = read_network(path)
    assert (found.package_version, found.epoch, found.training) == (__version__, 7, "seed = 1\n")


def test_files_that_hold_no_such_network(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    weights = EntropyNetwork(frames=2, pixels=32).state_dict()

    def metadata(**changes: object) -> dict[str, str]:
        description = {"seal": BLANK, "format_version": 1, "package_version": "0", "epoch": 1, "training": ""}
        return {"gputhermo network": json.dumps(description | {"frames": 2, "pixels": 32} | changes)}

    def save(weights: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        save_file(weights, path, metadata)
        seal(path)

    def rejected(message: str) -> None:
        with pytest.raises(InputError, match=message) as error:
            load_network(path)
        assert "\n" not in str(error.value)

    rejected("does not exist")
    save(weights, metadata())
    load_network(path)
    path.write_bytes(path.read_bytes()[:-1])
    rejected("damaged")
    torch.save(weights, path)
    rejected("not one that gputhermo wrote")
    path.write_text(BLANK)
    seal(path)
    rejected("not a safetensors file")
    save(weights, {"seal": BLANK})
    rejected("not a gputhermo network")
    save(weights, metadata(format_version=2))
    rejected("version 2")
    for text in ("[]", "1", "{}", "[" * 10_000):
        save(weights, {"gputhermo network": text, "seal": BLANK})
        rejected("not a gputhermo network")
    for name, value in (("network", ["pooled"]), ("pixels", 10**9), ("pixels", "large"), ("frames", 0), ("run", 1)):
        save(weights, metadata(**{name: value}))
        rejected(f"not a gputhermo network: {name}")
    save(weights, metadata(network="other"))
    rejected("'other' that this gputhermo does not know")
    for wrong in (metadata(pixels=64), metadata(network="pooled")):
        save(weights, wrong)
        rejected("weights of the network that it names")
    save({"weight": torch.zeros(3)}, metadata())
    rejected("weights of the network that it names")
    path.unlink()
    path.mkdir()
    rejected("cannot be read")
