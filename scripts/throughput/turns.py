"""Clocks, and programs that take turns so that a change in the machine's speed meets all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Seconds over the repeats: their median, and (largest - smallest) / median."""

    median: float
    spread: float


def processor_seconds(work: Callable[[], Any]) -> float:
    """Processor time of a call, of all its threads: other work on the machine counts little."""
    began = time.process_time()
    work()
    return time.process_time() - began


def wall_seconds(work: Callable[[], Any]) -> float:
    """Time of a call on the wall."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def take_turns(programs: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, Timing]:
    """Run each program once a round; a first round warms up. A program returns the seconds that count."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(1 + repeats):
        for name, program in programs.items():
            spent = program()
            if number > 0:
                seconds[name].append(spent)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {name: Timing(medians[name], (max(v) - min(v)) / medians[name]) for name, v in seconds.items()}
