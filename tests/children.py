"""The command in processes of their own: killed, starved, asked to stop.

They are forked from a server that has imported the package, so that one takes a tenth of a second and not four.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [f"gputhermo.{name}" for name in ("cli", "evaluate", "generate", "printout", "summary", "train")]
    + ["torch._dynamo"]  # which the first optimizer of a process imports
)

DEADLINE = 120.0
"""Seconds after which a process hangs."""


def nothing() -> None:
    """A process that is left in peace."""


@dataclass(frozen=True)
class Ending:
    """How a process ended: its exit code, negative for a signal, and what it wrote to standard error."""

    code: int
    errors: str

    def is_one_line(self) -> bool:
        """Whether it said what is wrong in a line, as it has to."""
        return self.errors.startswith("error: ") and self.errors.count("\n") == 1 and self.errors.endswith("\n")


class Command:
    """`gputhermo ARGUMENTS`, at work; `prepare` is called in its process before."""

    def __init__(self, arguments: Sequence[object], prepare: Callable[[], None] = nothing):
        self._errors, there = CONTEXT.Pipe(duplex=False)
        begun = CONTEXT.Event()
        self.process = CONTEXT.Process(target=_run, args=([str(a) for a in arguments], prepare, there, begun))
        self.process.start()
        there.close()
        begun.wait()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it ended within this time."""
        self.process.join(seconds)
        return self.process.exitcode is not None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has just ended, between two looks, hears nothing."""
        assert self.process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def end(self) -> Ending:
        """Wait for its end; what hangs is killed."""
        if not self.wait(DEADLINE):
            self.process.kill()
        errors = b""
        while some := os.read(self._errors.fileno(), 65536):
            errors += some
        self._errors.close()
        self.process.join()
        assert self.process.exitcode is not None
        return Ending(self.process.exitcode, errors.decode())


def run(arguments: Sequence[object], prepare: Callable[[], None] = nothing) -> Ending:
    """Run the command to its end."""
    return Command(arguments, prepare).end()


def _run(arguments: list[str], prepare: Callable[[], None], errors: Connection, begun: Event) -> None:
    """What the process does."""
    from gputhermo.cli import main

    os.dup2(errors.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.stdout = os.fdopen(1, "w")
    # Spelled out: a shell that runs tests in the background leaves SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prepare()
    begun.set()
    sys.exit(main(arguments))
