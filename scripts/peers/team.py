"""Processes that run one program side by side, each on cores of its own."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .gas import Gas, Model, Settings


@dataclass(frozen=True)
class Elapsed:
    """What steps took: processor time of all processes together, and time on the wall until the last was done."""

    processor: float
    wall: float


class Team:
    """One process for each of `core_groups`. Replicas are dealt out to them; they keep them between calls."""

    def __init__(self, program: type[Gas], core_groups: Sequence[Sequence[int]]):
        spawn = multiprocessing.get_context("spawn")  # a forked process would inherit what the package has started
        self.program = program
        self._threads = [len(cores) for cores in core_groups]
        self._workers = [
            ProcessPoolExecutor(1, mp_context=spawn, initializer=_pin, initargs=(cores,)) for cores in core_groups
        ]

    def prepare(self, model: Model, states: np.ndarray, settings: Settings) -> None:
        """Give `states`, float64 [n_replicas, n_particles, 4], to the processes, in place of what they had."""
        shares = np.array_split(states, len(self._workers))
        self._all(
            _prepare,
            [(self.program, model, share, n, settings) for share, n in zip(shares, self._threads, strict=True)],
        )

    def advance(self, n_steps: int) -> Elapsed:
        """Do `n_steps` of every replica."""
        began = time.perf_counter()
        processor = self._all(_advance, [(n_steps,)] * len(self._workers))
        return Elapsed(sum(processor), time.perf_counter() - began)

    def phase_points(self) -> np.ndarray:
        """States now, float64 [n_replicas, n_particles, 4]."""
        return np.concatenate(self._all(_phase_points, [()] * len(self._workers)))

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.shutdown()

    def _all(self, function: Any, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        futures = [worker.submit(function, *each) for worker, each in zip(self._workers, arguments, strict=True)]
        return [future.result() for future in futures]


# What follows runs in the processes; each has one gas.

_gas: Gas | None = None


def _pin(cores: Sequence[int]) -> None:
    """Before anything is imported that counts cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _prepare(program: type[Gas], model: Model, states: np.ndarray, n_threads: int, settings: Settings) -> None:
    global _gas
    _gas = None  # what was there gives back its memory first
    _gas = program(model, states, n_threads, **settings)


def _advance(n_steps: int) -> float:
    assert _gas is not None
    began = time.process_time()
    _gas.advance(n_steps)
    return time.process_time() - began


def _phase_points() -> np.ndarray:
    assert _gas is not None
    return _gas.phase_points()
