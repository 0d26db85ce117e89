"""Clips of whole processes from a dataset file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .backend import CpuBackend
from .dataset import description_of, members, open_dataset, settings_of, split_of
from .rasterize import render


class Feed:
    """The clips of a dataset file, by process. A file without images is drawn as it is read, on the CPU.

    settings   those of the dataset
    simulated  by which version of the package and on which kind of device
    repeats    every epoch has the same training processes
    """

    repeats = True

    def __init__(self, path: str | Path, n_threads: int | None = None, split_seed: int | None = None):
        """Open the file; InputError if it is no dataset.

        `n_threads` draw images where there are none. `split_seed` draws another split than the file's.
        """
        self._file = open_dataset(path)
        self.settings = settings_of(self._file)
        self.simulated = description_of(self._file).model_dump(include={"package_version", "device"})
        processes = self._file["processes"]
        self._n_particles = processes["n_particles"][()]
        self._split = split_of(self._file, split_seed)
        first, count = processes["first_state"][()].tolist(), processes["n_states"][()].tolist()
        self._rows = [slice(a, a + n) for a, n in zip(first, count, strict=True)]
        self._artist = None if "images" in self._file["states"] else CpuBackend(n_threads)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def processes(self, split: str) -> list[int]:
        """The processes of a split: "train", "validation" or "test"."""
        return members(self._split, split)

    def prepare(self, epoch: int, report: Callable[[Any], None], stop: Callable[[], bool]) -> None:
        """Nothing: a file is ready to be read."""

    def read(self, process: int) -> Tensor:
        """The clips of a process's states in the order of time, uint8 [n_states, frames, pixels, pixels]."""
        states, rows = self._file["states"], self._rows[process]
        if self._artist is None:
            return torch.from_numpy(states["images"][rows])
        n = int(self._n_particles[process])
        image, box_length = self.settings.image, self.settings.gas.box_length
        return torch.from_numpy(render(states["positions"][rows], n, image, box_length, self._artist))
