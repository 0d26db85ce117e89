"""The network of Kuroyanagi and Yuge (arXiv:2506.01506, Table I), and its weights as a file.

Two states of a process are ordered by one number each: X1 is the later one with probability
p = sigmoid(S~(X1) - S~(X0)). The twin subnetworks of the paper's Fig. 2 share their weights, so one module computes
S~ of either state, and `gputhermo.pairs` compares.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .clips import to_float
from .errors import InputError
from .outfile import replaced
from .version import __version__

FORMAT = "gputhermo network"
FORMAT_VERSION = 1
CHANNELS = (16, 32, 64, 64, 128)
"""Of the five convolutions."""
DROPOUT = 0.25
"""Share of the units after the convolutions that are dropped in training."""
SMALLEST = 2 ** len(CHANNELS)
"""Pixels a side that the convolutions, each of which halves the image, reduce to one."""


class EntropyNetwork(nn.Module):
    """S~ of a clip: the subnetwork of Table I, whose input channels are the snapshots of the clip.

    frames  snapshots in a clip
    pixels  side of an image
    """

    def __init__(self, frames: int = 5, pixels: int = 256):
        """Draw weights from torch's default generator. Raises InputError if images are too small to be halved."""
        super().__init__()
        if pixels < SMALLEST:
            raise InputError(f"pixels = {pixels} is not allowed: the network needs images of {SMALLEST} or more a side")
        self.frames, self.pixels = frames, pixels
        convolutions: list[nn.Module] = []
        for channels_in, channels_out in zip((frames, *CHANNELS[:-1]), CHANNELS, strict=True):
            convolutions += [nn.Conv2d(channels_in, channels_out, kernel_size=2, stride=2), nn.ReLU()]
        self.convolutions = nn.Sequential(*convolutions)
        side = pixels // SMALLEST
        self.dense = nn.Sequential(
            nn.Linear(CHANNELS[-1] * side**2, 128),
            nn.ReLU(),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, 1),
        )
        # Initial weights as in Keras, by Glorot and Bengio (the paper used TensorFlow). PyTorch's own are so small here
        # that S~ hardly differs between images at first, and learning starts late.
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)

    def forward(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """S~ [n], float32, of clips [n, frames, pixels, pixels] of values 0 to 1, float32 or bfloat16.

        The convolutions compute in the type of the clips, the rest in float32. In training, `generator`, on the device
        of the clips, draws what is dropped; None is torch's default.
        """
        # Channels are innermost in memory: the same sums, about twice as fast on a CPU.
        x = clips.contiguous(memory_format=torch.channels_last)
        with torch.autocast(clips.device.type, torch.bfloat16, enabled=clips.dtype == torch.bfloat16):
            x = self.convolutions(x)  # [n, 128, 8, 8] for 256 pixels: sides of 128, 64, 32, 16, 8
        x = x.float().flatten(1)  # [n, 8192]
        if self.training:
            x = drop(x, generator)
        entropies: Tensor = self.dense(x)  # [n, 1], by way of 128 and 64 units
        return entropies.squeeze(1)

    @torch.no_grad()
    def representation(self, clips: Tensor) -> Tensor:
        """S~ [n] of clips of bytes as `draw_clips` gives them, [n, 1, frames, pixels, pixels], or without the 1.

        For a network that `load_network` gave: dropout is off there. For many clips `Encoder` is faster.
        """
        entropies: Tensor = self(to_float(clips.squeeze(1) if clips.ndim == 5 else clips))
        return entropies


def drop(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Dropout: zero each element with probability DROPOUT and scale the rest so that the mean stays."""
    # torch's own takes no generator, and its default one would be shared by the threads.
    kept = torch.empty_like(x).bernoulli_(1.0 - DROPOUT, generator=generator)
    return x * kept / (1.0 - DROPOUT)


def save_network(network: EntropyNetwork, path: Path, training: str, epoch: int) -> None:
    """Write the weights after `epoch` of the run that `training`, TOML from `train`, describes, as safetensors."""
    description = {
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "frames": network.frames,
        "pixels": network.pixels,
        "epoch": epoch,
        "training": training,
    }
    weights = {name: weight.contiguous() for name, weight in network.state_dict().items()}
    with replaced(path) as new:
        # A single entry: safetensors writes several in an order that changes from run to run.
        new.write_bytes(save(weights, {FORMAT: json.dumps(description)}))


class Origin(NamedTuple):
    """Where weights come from."""

    package_version: str
    epoch: int
    training: str
    """The content of the run's settings.toml."""


def load_network(path: str | Path, device: str | torch.device = "cpu") -> EntropyNetwork:
    """Read a network that `save_network` wrote, ready to be evaluated (without dropout). Nothing is unpickled.

    Raises InputError if the file is not there, is damaged, or holds anything but such a network.
    """
    description, weights = read_weights(Path(path))
    network = EntropyNetwork(description["frames"], description["pixels"])
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise InputError(f"weights = {str(path)!r} holds the weights of another network than Table I's") from None
    return network.to(device).eval()


def read_origin(path: str | Path) -> Origin:
    """Where the weights in a file come from; raises InputError as `load_network` does."""
    description, _ = read_weights(Path(path))
    return Origin(*(description[name] for name in Origin._fields))


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Description and weights in a file; raises InputError likewise."""
    metadata, weights = read_safetensors(path)
    if FORMAT not in metadata:
        raise InputError(f"weights = {str(path)!r} is not a {FORMAT}")
    description = json.loads(metadata[FORMAT])
    version = description["format_version"]
    if version > FORMAT_VERSION:
        raise InputError(
            f"weights = {str(path)!r} has format version {version}; this gputhermo reads up to {FORMAT_VERSION}"
        )
    return description, weights


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file, on the CPU; InputError if it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"file = {str(path)!r} does not exist") from None
    except OSError as error:
        raise InputError(f"file = {str(path)!r} cannot be read: {error.strerror or error}") from None
    except SafetensorError:
        raise InputError(f"file = {str(path)!r} is not a safetensors file, or a damaged one") from None
