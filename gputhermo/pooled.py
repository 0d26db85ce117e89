"""A network that reads motion wherever it is, and adds up: ours, beside that of Table I."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from .representation import Representation, dense_layers

CHANNELS = (16, 32, 48, 64, 64)
"""Of the five convolutions."""
KERNELS = (6, 3, 3, 3, 3)
"""Their sides in pixels, all with stride 2. A particle of the paper's gas moves by about a pixel between two snapshots:
6 pixels hold most of its way through a clip, and neighbouring windows overlap, so none is cut at a border."""
GAIN = 4.0
"""Of the pixels and of the means over the frame, which are around 0.1 and smaller: initial weights after He et al.
expect numbers around 1."""


class PooledNetwork(Representation):
    """S~ of a clip from the means over the frame of what five convolutions give.

    A mean over the frame is a sum over particles, as energy is, and the same wherever they are. Table I's dense layers
    instead have weights for every place, most of all its weights, and its windows of 2 x 2 have borders that particles
    cross. The channels of every convolution are averaged: the first see motion, the last where gas is.
    """

    NAME = "pooled"

    def __init__(self, frames: int = 5, pixels: int = 256):
        """Draw weights from torch's default generator. Raises InputError if images are too small to be halved."""
        super().__init__(frames, pixels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels_in, channels_out, kernel, stride=2, padding=(kernel - 1) // 2)
            for channels_in, channels_out, kernel in zip((frames, *CHANNELS[:-1]), CHANNELS, KERNELS, strict=True)
        )
        self.dense = dense_layers(sum(CHANNELS))
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_uniform_(parameter, nonlinearity="relu")
            else:
                nn.init.zeros_(parameter)

    def forward(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG002
        """S~ [n] of clips, see `Representation`; nothing is dropped, so nothing is drawn."""
        x = GAIN * clips.contiguous(memory_format=torch.channels_last)
        means = []
        with torch.autocast(clips.device.type, torch.bfloat16, enabled=clips.dtype == torch.bfloat16):
            for convolution in self.convolutions:
                x = relu(convolution(x), inplace=True)  # sides of 128, 64, 32, 16, 8 for 256 pixels
                means.append(FrameMean.apply(x))  # type: ignore[no-untyped-call]
        entropies: Tensor = self.dense(GAIN * torch.cat(means, dim=1))  # [n, 1], from [n, 224]
        return entropies.squeeze(1)


class FrameMean(torch.autograd.Function):
    """Means [n, channels], float32, of x [n, channels, height, width] over height and width.

    torch's own gradient of a mean is laid out with the channels outermost and in float32, whatever x is like. This one,
    of the same numbers, is of the type of x and has the channels innermost, as x is expected to: two passes over memory
    less.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Remember what the gradient must look like."""
        ctx.shape, ctx.dtype = x.shape, x.dtype
        return x.mean(dim=(2, 3), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        """Every pixel has the same share of its mean."""
        height, width = ctx.shape[2:]
        share = (slope / (height * width)).to(ctx.dtype)
        return share[:, :, None, None].expand(ctx.shape).contiguous(memory_format=torch.channels_last)
