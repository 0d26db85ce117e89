"""States as an axiom sees them: their clips, and the simple gases that they are made of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .dataset import open_dataset
from .feed import Feed

N_PARTICLES, ENERGY, WIDTH, HEIGHT = range(4)
"""What is known of a simple gas: the last axis of `States.parts`."""


@dataclass(frozen=True)
class States:
    """A batch of states, each of one simple gas or composed of several.

    clips    torch.uint8 [n, frames, pixels, pixels]   row 0 at the top (y = L), column 0 at x = 0
    parts    float64     [n, n_parts, 4]               N, U, Lx and Ly of each simple gas, in units of kB T0 and R
    process  int64       [n]                           row in /processes that the state, or its first part, comes from
    """

    clips: Tensor
    parts: np.ndarray
    process: np.ndarray

    def __len__(self) -> int:
        return len(self.process)

    def __getitem__(self, rows: Any) -> "States":
        """Those of the states that a slice, a mask or an array of indices chooses."""
        return States(self.clips[rows], self.parts[rows], self.process[rows])


def load_states(path: str | Path, split: str, n_threads: int | None = None, split_seed: int | None = None) -> States:
    """All states of a split ("train", "validation" or "test") of a dataset file, in its order.

    A file without images is drawn, by `n_threads`; `split_seed` draws another split than the file's. Memory is that of
    the clips, 0.3 MB each at the paper's size.
    """
    feed = Feed(path, n_threads, split_seed)
    try:
        processes = feed.processes(split)
        clips = [feed.read(process) for process in processes]
    finally:
        feed.close()
    with open_dataset(path) as file:
        states = {name: data[()] for name, data in file["states"].items() if data.ndim == 1}
    rows = np.isin(states["process"], processes)
    parts = np.stack(
        [
            states["n_particles"],
            states["kinetic_energy"] + states["potential_energy"],
            states["piston_position"],
            np.full(len(rows), feed.settings.gas.box_length),
        ],
        axis=-1,
    )
    return States(torch.cat(clips), parts[rows, None, :], states["process"][rows].astype(np.int64))
