"""How a run shows where it is, and how it is asked to stop."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

from .errors import Interrupted, Stopped

PLAIN_INTERVAL = 30.0
"""Seconds between two lines where the output is not a terminal."""


class Status(Protocol):
    """How far a run is; as text, what there is to say of it in one line."""

    @property
    def fraction(self) -> float:
        """Share of the work that is done."""

    @property
    def elapsed(self) -> float:
        """Seconds since this run began."""


class StopRequest:
    """A flag that SIGINT (Ctrl-C) and SIGTERM set; calling it asks whether one came.

    signal  its number, 0 if none came
    """

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self) -> bool:
        """Whether the run shall stop."""
        return self.signal != 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the block a first SIGINT or SIGTERM sets the flag; a second one has its usual effect, at once."""
    request = StopRequest()
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def handle(number: int, _: FrameType | None) -> None:
        request.signal = number
        restore()

    for number in usual:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()


@contextmanager
def stoppable(how: str = "") -> Iterator[StopRequest]:
    """`stop_on_signals` for a command: if what runs within stops, one line says `how` to go on.

    Raises Interrupted then, with the exit code.
    """
    with stop_on_signals() as stop:
        try:
            yield stop
        except Stopped:
            sys.stderr.write(f"stopped; the same command{how} continues from here\n")
            raise Interrupted(128 + stop.signal) from None


class Rate:
    """Estimates the time left from the share of the work that was done since the first report.

    A status of another class begins another stage, with shares of its own.
    """

    def __init__(self) -> None:
        self.first: Status | None = None

    def time_left(self, status: Status) -> float | None:
        """Seconds; None while nothing is known."""
        if type(self.first) is not type(status):
            self.first = status
        done, seconds = status.fraction - self.first.fraction, status.elapsed - self.first.elapsed
        return seconds * (1.0 - status.fraction) / done if done > 0.0 and seconds > 1.0 else None


@contextmanager
def show_progress(console: Console) -> Iterator[Callable[[Status], None]]:
    """A function that shows each Status given to it: a live bar on a terminal, elsewhere a plain line now and then."""
    rate = Rate()
    if not console.is_terminal:
        last = time.monotonic()

        def write_line(status: Status) -> None:
            nonlocal last
            left = rate.time_left(status)
            if time.monotonic() - last >= PLAIN_INTERVAL:
                last = time.monotonic()
                console.print(f"{status.fraction:6.1%}  {describe(status, left)}", highlight=False, soft_wrap=True)

        yield write_line
        return

    columns = (SpinnerColumn(), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0, text="starting")

        def update(status: Status) -> None:
            progress.update(task, completed=status.fraction, text=describe(status, rate.time_left(status)))

        yield update


def describe(status: Status, left: float | None) -> str:
    """How far the run is and the time left, in one line."""
    return f"{status}  {'estimating' if left is None else duration(left) + ' left'}"


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"
