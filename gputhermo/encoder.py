"""S~ of many clips and its gradient, in shards that are worked on side by side.

A shard is a few clips, so that on a CPU what the convolutions make of them stays in the cache. One thread works on a
shard, and the sum over shards has an order: results do not depend on the number of threads, not in a single bit.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from .backend import available_cores, check_threads
from .clips import augment, to_float
from .representation import Representation

CPU_SHARD = 16
"""Clips; 4, 8, 32 and 48 were slower on an AMD Zen 4 with 1 MiB of cache a core."""
GPU_SHARD = 1024
"""Clips: 5 GB of pixels and activations at the paper's size."""


def alone() -> None:
    """A thread that computes without help, and takes numbers below 1e-38 for zero (see `torch_device`).

    OpenMP keeps the number of threads for each thread that asks it: without this the first operations of a worker are
    spread over all cores, with another rounding, and which they are is left to chance.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


class Encoder:
    """A network at work on a device.

    network    on that device
    precision  of the convolutions: torch.float32, or torch.bfloat16; the dense layers are always in float32
    n_threads  on a CPU; all cores by default
    """

    def __init__(self, network: Representation, precision: torch.dtype, n_threads: int | None = None):
        check_threads(n_threads)
        self.network = network
        self.precision = precision
        self.parameters = list(network.parameters())
        self.device = self.parameters[0].device
        on_cpu = self.device.type == "cpu"
        self.shard = CPU_SHARD if on_cpu else GPU_SHARD
        self._workers = ThreadPoolExecutor(
            (n_threads or available_cores()) if on_cpu else 1,
            thread_name_prefix="encode",
            initializer=alone,
        )

    def close(self) -> None:
        """End the threads."""
        self._workers.shutdown()

    def entropies(self, clips: Tensor) -> Tensor:
        """S~ [n], on the device, of clips uint8 [n, frames, pixels, pixels] as they are: no dropout, no gradient."""
        self.network.eval()
        return torch.cat(list(self._workers.map(self._evaluate, torch.split(clips, self.shard))))

    def _evaluate(self, clips: Tensor) -> Tensor:
        with torch.no_grad():
            entropies: Tensor = self.network(to_float(clips.to(self.device), self.precision))
            return entropies

    def descend(self, clips: Sequence[Tensor], loss: Callable[[Tensor], Tensor], seed: Callable[[int], int]) -> Tensor:
        """Set the parameters' `grad` to the gradient of `loss` of S~ [n] of augmented clips, with dropout.

        The clips are those of `clips`, uint8 [..., frames, pixels, pixels] each, one after the other. `seed` tells the
        seed of a shard by its number. Returns S~ [n], without a graph.
        """
        self.network.train()
        each = [clip for process in clips for clip in process]  # views: every shard puts its own together
        shards = [each[first : first + self.shard] for first in range(0, len(each), self.shard)]
        outputs = list(self._workers.map(self._forward, shards, map(seed, range(len(shards)))))
        entropies = torch.cat([output.detach() for output in outputs]).requires_grad_()
        loss(entropies).backward()  # type: ignore[no-untyped-call]
        assert entropies.grad is not None
        gradients = list(self._workers.map(self._backward, outputs, torch.split(entropies.grad, self.shard)))
        for parameter, *terms in zip(self.parameters, *gradients, strict=True):
            parameter.grad = terms[0]
            for term in terms[1:]:
                parameter.grad += term
        return entropies.detach()

    def _forward(self, shard: list[Tensor], seed: int) -> Tensor:
        draws = torch.Generator().manual_seed(seed)
        clips = torch.stack(shard).to(self.device)
        states = to_float(augment(clips, draws), self.precision)
        dropout = draws if self.device.type == "cpu" else torch.Generator(self.device).manual_seed(seed)
        entropies: Tensor = self.network(states, dropout)
        return entropies

    def _backward(self, output: Tensor, slope: Tensor) -> Sequence[Tensor]:
        return torch.autograd.grad(output, self.parameters, slope)
