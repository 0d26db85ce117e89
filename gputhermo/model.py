"""The network of Kuroyanagi and Yuge (arXiv:2506.01506, Table I)."""

import torch
from torch import Tensor, nn

from .representation import SMALLEST, Representation, dense_layers

CHANNELS = (16, 32, 64, 64, 128)
"""Of the five convolutions."""
DROPOUT = 0.25
"""Share of the units after the convolutions that are dropped in training."""


class EntropyNetwork(Representation):
    """S~ of a clip: the subnetwork of Table I, whose input channels are the snapshots of the clip."""

    NAME = "paper"

    def __init__(self, frames: int = 5, pixels: int = 256):
        """Draw weights from torch's default generator. Raises InputError if images are too small to be halved."""
        super().__init__(frames, pixels)
        convolutions: list[nn.Module] = []
        for channels_in, channels_out in zip((frames, *CHANNELS[:-1]), CHANNELS, strict=True):
            convolutions += [nn.Conv2d(channels_in, channels_out, kernel_size=2, stride=2), nn.ReLU(inplace=True)]
        self.convolutions = nn.Sequential(*convolutions)
        side = pixels // SMALLEST
        self.dense = dense_layers(CHANNELS[-1] * side**2)
        # Initial weights as in Keras, by Glorot and Bengio (the paper used TensorFlow). PyTorch's own are so small here
        # that S~ hardly differs between images at first, and learning starts late.
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)

    def forward(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """S~ [n] of clips, see `Representation`."""
        # Channels are innermost in memory: the same sums, about twice as fast on a CPU.
        x = clips.contiguous(memory_format=torch.channels_last)
        with torch.autocast(clips.device.type, torch.bfloat16, enabled=clips.dtype == torch.bfloat16):
            x = self.convolutions(x)  # [n, 128, 8, 8] for 256 pixels: sides of 128, 64, 32, 16, 8
        x = x.float().flatten(1)  # [n, 8192]
        if self.training:
            x = drop(x, generator)
        entropies: Tensor = self.dense(x)  # [n, 1], by way of 128 and 64 units
        return entropies.squeeze(1)


def drop(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Dropout: zero each element with probability DROPOUT and scale the rest so that the mean stays."""
    # torch's own takes no generator, and its default one would be shared by the threads.
    kept = torch.empty_like(x).bernoulli_(1.0 - DROPOUT, generator=generator)
    return x * kept / (1.0 - DROPOUT)
