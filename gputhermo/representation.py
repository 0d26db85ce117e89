"""What learns an order between states: a network that gives one number for a clip, S~.

Two states of a process are ordered by one number each: X1 is the later one with probability
p = sigmoid(S~(X1) - S~(X0)). The twin subnetworks of Kuroyanagi and Yuge (arXiv:2506.01506, Fig. 2) share their
weights, so one module computes S~ of either state, and `gputhermo.pairs` compares.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from .clips import to_float
from .errors import InputError

HALVINGS = 5
"""Convolutions of a network, each of which halves the image."""
SMALLEST = 2**HALVINGS
"""Pixels a side that they reduce to one."""


class Representation(nn.Module):
    """A network whose input channels are the snapshots of a clip.

    NAME    in settings and files
    frames  snapshots in a clip
    pixels  side of an image
    """

    NAME: ClassVar[str]

    def __init__(self, frames: int = 5, pixels: int = 256):
        """Raises InputError if images are too small to be halved."""
        super().__init__()
        if pixels < SMALLEST:
            raise InputError(f"pixels = {pixels} is not allowed: the network needs images of {SMALLEST} or more a side")
        self.frames, self.pixels = frames, pixels

    def forward(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """S~ [n], float32, of clips [n, frames, pixels, pixels] of values 0 to 1, float32 or bfloat16.

        The convolutions compute in the type of the clips, the rest in float32. In training, `generator`, on the device
        of the clips, draws what is dropped, if anything is; None is torch's default.
        """
        raise NotImplementedError

    @torch.no_grad()
    def representation(self, clips: Tensor) -> Tensor:
        """S~ [n] of clips of bytes as `draw_clips` gives them, [n, 1, frames, pixels, pixels], or without the 1.

        The clips may be on any device, the result is on the network's. For a network of `load_network`: dropout is off
        there. For many clips `Encoder` is faster.
        """
        clips = clips.to(next(self.parameters()).device)
        entropies: Tensor = self(to_float(clips.squeeze(1) if clips.ndim == 5 else clips))
        return entropies


def dense_layers(n_features: int) -> nn.Sequential:
    """From features [n, n_features] by way of 128 and 64 units to S~ [n, 1]: the last layers of Table I."""
    return nn.Sequential(
        nn.Linear(n_features, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 1),
    )
