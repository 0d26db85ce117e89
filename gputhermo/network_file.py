"""Networks as files: weights, and where they come from, in safetensors. Nothing is pickled or unpickled."""

import json
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .errors import InputError
from .model import EntropyNetwork
from .parameters import Section, validate_as
from .pooled import PooledNetwork
from .representation import SMALLEST, Representation
from .seal import BLANK, check_seal, sealed
from .version import __version__

FORMAT = "gputhermo network"
FORMAT_VERSION = 1
NETWORKS: dict[str, type[Representation]] = {network.NAME: network for network in (EntropyNetwork, PooledNetwork)}
"""All that there are, by their names in settings and files."""


class Description(Section):
    """What a file of weights says of them."""

    seal: str
    format_version: int
    package_version: str
    network: str = EntropyNetwork.NAME  # files had no name when there was no other
    frames: Annotated[int, Field(ge=1, le=1000)]
    pixels: Annotated[int, Field(ge=SMALLEST, le=4096)]
    epoch: int
    training: str
    """The content of the run's settings.toml."""


def save_network(network: Representation, path: Path, training: str, epoch: int) -> None:
    """Write the weights after `epoch` of the run that `training`, TOML from `train`, describes, as safetensors."""
    description = Description(
        seal=BLANK,
        format_version=FORMAT_VERSION,
        package_version=__version__,
        network=network.NAME,
        frames=network.frames,
        pixels=network.pixels,
        epoch=epoch,
        training=training,
    )
    weights = {name: weight.contiguous() for name, weight in network.state_dict().items()}
    with sealed(path) as new:
        # A single entry: safetensors writes several in an order that changes from run to run.
        new.write_bytes(save(weights, {FORMAT: description.model_dump_json()}))


def load_network(path: str | Path, device: str | torch.device = "cpu") -> Representation:
    """Read a network that `save_network` wrote, ready to be evaluated (without dropout). Nothing is unpickled.

    Raises InputError if the file is not there, is damaged, or holds anything but such a network.
    """
    _, network = read_network(path)
    return network.to(device)


def read_network(path: str | Path) -> tuple[Description, Representation]:
    """What a file says of its network, and the network on the CPU; raises InputError as `load_network` does."""
    description, weights = read_weights(Path(path))
    name = description.network
    if name not in NETWORKS:
        raise InputError(f"weights = {str(path)!r} is of a network {name!r} that this gputhermo does not know")
    network = NETWORKS[name](description.frames, description.pixels)
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise InputError(f"weights = {str(path)!r} does not hold the weights of the network that it names") from None
    return description, network.eval()


def read_weights(path: Path) -> tuple[Description, dict[str, Tensor]]:
    """Description and weights in a file; raises InputError likewise."""
    metadata, weights = read_safetensors(path)
    try:
        values = json.loads(metadata[FORMAT])
        version = int(values["format_version"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise InputError(f"weights = {str(path)!r} is not a {FORMAT}") from None
    if version > FORMAT_VERSION:
        raise InputError(
            f"weights = {str(path)!r} has format version {version}; this gputhermo reads up to {FORMAT_VERSION}"
        )
    try:
        return validate_as(Description, values), weights
    except InputError as error:
        raise InputError(f"weights = {str(path)!r} is not a {FORMAT}: {error}") from None


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a sealed safetensors file, on the CPU; InputError if it cannot be read or is damaged."""
    check_seal(path)
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError:
        raise InputError(f"file = {str(path)!r} is not a safetensors file") from None
