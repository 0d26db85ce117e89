"""Clips of processes that are simulated while the network learns from those before them: data without end."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

import numpy as np
import torch

from .backend import Backend, select
from .errors import Stopped
from .parameters import Settings
from .simulated_feed import SimulatedFeed, SimulationStatus, simulate_processes

FRESH = 4
"""What random numbers are drawn for: a part of the address of an epoch's seed; `twins` and others have the rest."""
POLL = 0.1
"""Seconds between two looks at a simulation that is waited for."""


class LiveFeed(SimulatedFeed):
    """Training processes with initial states that no epoch before has had, and validation processes that stay.

    The plan is that of a dataset: the same numbers of particles, speeds and strokes, in the same split. In the first
    epoch the initial states are those of the dataset too; in each later one they are drawn anew, from a seed that
    depends on the dataset's and on the number of the epoch only, so that a run that resumes has the same data. A thread
    simulates the processes of the next epoch while those of this one are read; two epochs are in memory.
    """

    repeats = False

    def __init__(
        self,
        settings: Settings,
        n_epochs: int,
        device: str = "auto",
        n_threads: int | None = None,
        split_seed: int | None = None,
    ):
        """As `SimulatedFeed`; nothing is simulated for an epoch after the `n_epochs` to come."""
        super().__init__(settings, device, n_threads, split_seed)
        self.simulated["initial_states"] = "new in each epoch"
        self._n_epochs = n_epochs
        self._coming: dict[int, Future[dict[int, Any]]] = {}
        self._status: SimulationStatus | None = None
        self._abandoned = Event()
        # A thread begins with the switches of its parent, which in training takes tiny numbers for zero.
        self._worker = ThreadPoolExecutor(
            1, thread_name_prefix="simulate", initializer=torch.set_flush_denormal, initargs=(False,)
        )
        self._apart: Backend | None = None

    def close(self) -> None:
        """End the simulation that is under way, if one is."""
        self._abandoned.set()
        self._worker.shutdown(cancel_futures=True)

    def prepare(self, epoch: int, report: Callable[[SimulationStatus], None], stop: Callable[[], bool]) -> None:
        """Wait for the processes of an epoch, then begin with those of the next; see `Source.prepare`."""
        simulation = self._coming.pop(epoch, None) or self._begin(epoch)
        while wait([simulation], POLL).not_done:
            if stop():
                raise Stopped
            if self._status is not None:
                report(self._status)
        validation = [index for index in self.processes("validation") if index in self._positions]
        self._positions = {index: self._positions[index] for index in validation} | simulation.result()
        if epoch + 1 < self._n_epochs:
            self._coming[epoch + 1] = self._begin(epoch + 1)

    def _begin(self, epoch: int) -> Future[dict[int, Any]]:
        """Have the training processes of an epoch simulated, and at first those of validation."""
        seeds = dict.fromkeys(self.processes("train"), epoch_seed(self.settings.seed, epoch))
        if not self._positions:
            seeds |= dict.fromkeys(self.processes("validation"), self.settings.seed)
        self._status = None
        return self._worker.submit(self._simulate, seeds)

    def _simulate(self, seeds: dict[int, int]) -> dict[int, Any]:
        """Positions of processes by their index; by the thread."""
        if self._apart is None:
            self._apart = select(self._device, self._n_threads)
        with self._apart.own_stream():
            return simulate_processes(seeds, self.settings, self._apart, self._note, self._abandoned.is_set)

    def _note(self, status: SimulationStatus) -> None:
        self._status = status


def epoch_seed(seed: int, epoch: int) -> int:
    """Of the initial states of an epoch, 0 to 2^63 - 1: in the first epoch that of the dataset."""
    if epoch == 0:
        return seed
    return int(np.random.SeedSequence((seed, FRESH, epoch)).generate_state(1, np.uint64)[0] >> np.uint64(1))
