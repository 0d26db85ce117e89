"""Clips of whole processes from a dataset file, read ahead while the network computes."""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from .backend import CpuBackend
from .dataset import SPLITS, open_dataset, settings_of
from .rasterize import render

AHEAD = 2
"""Batches that wait, ready, while one is worked on: enough for the reader not to fall behind after a short batch."""
CACHE = 8.0
"""GB of clips that stay in memory once they are read: the paper's 392 processes of training and validation take 5.6."""


class Feed:
    """The clips of a dataset file, by process.

    A file without images is drawn as it is read. Memory is `cache` GB, for clips that are kept because reading them
    again would take as long as learning from them, and that of AHEAD + 2 batches: ready, in the making, in use.

    settings  those of the dataset
    frames    snapshots in a clip
    pixels    side of an image
    """

    def __init__(self, path: str | Path, n_threads: int | None = None, cache: float = 0.0):
        """Open the file; InputError if it is no dataset. `n_threads` draw images where there are none."""
        self._file = open_dataset(path)
        self.settings = settings_of(self._file)
        self.frames, self.pixels = self.settings.protocol.frames, self.settings.image.pixels
        processes = self._file["processes"]
        self._n_particles = processes["n_particles"][()]
        self._split = processes["split"][()]
        first, count = processes["first_state"][()].tolist(), processes["n_states"][()].tolist()
        self._rows = [slice(a, a + n) for a, n in zip(first, count, strict=True)]
        self._artist = None if "images" in self._file["states"] else CpuBackend(n_threads)
        self._kept: dict[int, Tensor] = {}
        self._room = int(cache * 1e9)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read")

    def close(self) -> None:
        """End the thread and close the file."""
        self._reader.shutdown(cancel_futures=True)
        self._file.close()

    def processes(self, split: str) -> list[int]:
        """The processes of a split: "train", "validation" or "test"."""
        return [index for index, code in enumerate(self._split.tolist()) if code == SPLITS[split]]

    def read(self, process: int) -> Tensor:
        """The clips of a process's states in the order of time, uint8 [n_states, frames, pixels, pixels]."""
        if process in self._kept:
            return self._kept[process]
        clips = self._read(process)
        if clips.nbytes <= self._room:
            self._room -= clips.nbytes
            self._kept[process] = clips
        return clips

    def _read(self, process: int) -> Tensor:
        states, rows = self._file["states"], self._rows[process]
        if self._artist is None:
            return torch.from_numpy(states["images"][rows])
        n = int(self._n_particles[process])
        image, box_length = self.settings.image, self.settings.gas.box_length
        return torch.from_numpy(render(states["positions"][rows], n, image, box_length, self._artist))

    def batches(self, plan: Iterable[Sequence[int]]) -> Generator[list[Tensor], None, None]:
        """The clips of each process of each batch in `plan`, read ahead; to be closed if it is left early."""
        waiting: deque[Future[list[Tensor]]] = deque()
        try:
            for batch in plan:
                waiting.append(self._reader.submit(lambda batch: [self.read(process) for process in batch], batch))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
