"""Clips made ready while the network computes, and kept for the next time."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from torch import Tensor

from .errors import InputError
from .parameters import Settings

AHEAD = 2
"""Batches that wait, ready, while one is worked on: enough for the reader not to fall behind after a short batch."""
CACHE = 8.0
"""GB of clips that stay in memory once they are read: the paper's 392 processes of training and validation take 5.6."""


class Source(Protocol):
    """Where the clips of a dataset come from: `Feed`, a file; `SimulatedFeed`, `LiveFeed`, simulations."""

    settings: Settings
    """Of the dataset."""
    simulated: dict[str, str]
    """By which version of the package and on which kind of device: trajectories depend on them."""
    repeats: bool
    """Whether the training processes of an epoch are those of the one before: clips are then worth keeping."""

    def processes(self, split: str) -> list[int]:
        """The processes of a split: "train", "validation" or "test"."""

    def prepare(self, epoch: int, report: Callable[[Any], None], stop: Callable[[], bool]) -> None:
        """Have the training processes of an epoch, and those of validation, ready to be read.

        If that takes long, `report` is given a status and `stop` is asked now and then; a true answer raises Stopped.
        """

    def read(self, process: int) -> Tensor:
        """The clips of a process's states in the order of time, uint8 [n_states, frames, pixels, pixels]."""


class ReadAhead:
    """A thread that reads a source.

    Memory is `cache` GB, for clips that are kept because reading them again would take as long as learning from them,
    and that of AHEAD + 2 batches: ready, in the making, in use.
    """

    def __init__(self, source: Source, cache: float = CACHE):
        """Raises InputError if `cache` is no number of GB; 0 keeps nothing."""
        if not cache >= 0.0:
            raise InputError(f"cache = {cache:g} is not allowed: 0 GB or more is needed")
        self._source = source
        self._kept: dict[int, Tensor] = {}
        self._room = cache * 1e9
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read")

    def close(self) -> None:
        """End the thread."""
        self._reader.shutdown(cancel_futures=True)

    def batches(self, plan: Iterable[Sequence[int]], keep: bool = True) -> Generator[list[Tensor], None, None]:
        """The clips of each process of each batch in `plan`; to be closed if it is left early.

        `keep` those for which there is room, and take what was kept before.
        """
        read = self._read if keep else self._source.read
        waiting: deque[Future[list[Tensor]]] = deque()
        try:
            for batch in plan:
                waiting.append(self._reader.submit(lambda batch: [read(process) for process in batch], batch))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _read(self, process: int) -> Tensor:
        """The clips of a process, kept if there is room."""
        if process in self._kept:
            return self._kept[process]
        clips = self._source.read(process)
        if clips.nbytes <= self._room:
            self._room -= clips.nbytes
            self._kept[process] = clips
        return clips
