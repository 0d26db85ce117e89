"""Training, held against the machine's own product of matrices.

A step of training consists of convolutions and dense layers; the rest (augmentation, activations, sums over shards) is
memory that is moved. The share of the products' rate tells how far a step is from arithmetic alone.
"""

from contextlib import closing
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from gputhermo.backend import available_cores
from gputhermo.clips import to_float
from gputhermo.encoder import Encoder
from gputhermo.network_file import NETWORKS
from gputhermo.pairs import pair_loss
from gputhermo.torch_device import choose_device, choose_precision, torch_state

from .turns import take_turns, wall_seconds

N_CLIPS = 88
"""In a step, as two of the paper's processes have on average."""
FRAMES, PIXELS = 5, 256
SIDE = 2048
"""Of the matrices."""


def measure(device: str, repeats: int) -> list[dict[str, Any]]:
    """For each network: clips a second of training, and that in operations beside the rate of products of matrices."""
    with torch_state(choose_device(device)) as chosen:
        precision = choose_precision("auto", chosen)
        draws = torch.Generator().manual_seed(1)
        clips = torch.randint(256, (N_CLIPS, FRAMES, PIXELS, PIXELS), dtype=torch.uint8, generator=draws)
        matrix = torch.rand(SIDE, SIDE, generator=draws).to(chosen, precision)
        return [
            rates(network(FRAMES, PIXELS).to(chosen), clips.to(chosen), matrix, repeats)
            for network in NETWORKS.values()
        ]


def rates(network: Any, clips: torch.Tensor, matrix: torch.Tensor, repeats: int) -> dict[str, Any]:
    """Of one network."""
    operations = operations_of_a_clip(network, clips[:1], matrix.dtype)

    def finish() -> None:
        if matrix.is_cuda:
            torch.cuda.synchronize()

    def learn(encoder: Encoder) -> None:
        encoder.descend([clips], pair_loss, lambda shard: shard)
        finish()

    def multiply() -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(available_cores())
        matrix @ matrix
        finish()
        torch.set_num_threads(threads)

    with closing(Encoder(network, matrix.dtype)) as encoder:
        timings = take_turns(
            {"training": lambda: wall_seconds(lambda: learn(encoder)), "products": lambda: wall_seconds(multiply)},
            repeats,
        )
    clips_per_second = len(clips) / timings["training"].median
    products = 2 * SIDE**3 / timings["products"].median
    return {
        "network": network.NAME,
        "precision": str(matrix.dtype).removeprefix("torch."),
        "clips_per_second": clips_per_second,
        "operations_of_a_clip": operations,
        "operations_per_second": operations * clips_per_second,
        "operations_per_second_of_products": products,
        "share": operations * clips_per_second / products,
        "training_spread": timings["training"].spread,
        "products_spread": timings["products"].spread,
    }


def operations_of_a_clip(network: Any, clip: torch.Tensor, precision: torch.dtype) -> int:
    """Multiplications and additions of convolutions and dense layers, forward and backward, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        network(to_float(clip, precision)).sum().backward()
    network.zero_grad()
    return int(counter.get_total_flops())
