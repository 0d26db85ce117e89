"""Killed at random moments, stopped at random moments: nothing is lost, and the files are an undisturbed run's."""

import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import Command, run
from counts import Faults
from jobs import Job, made, unreadable

from gputhermo import generate, train
from gputhermo.simulate import Simulation

JOBS = ("generate", "train", "evaluate")
SECONDS_TO_STOP = 2.0


def often() -> None:
    """Launches are short, and a checkpoint follows on each."""
    generate.CHECKPOINT_INTERVAL = train.CHECKPOINT_INTERVAL = 0.0
    Simulation.advance.__defaults__ = (20_000,)


@pytest.mark.parametrize("name", JOBS)
def test_killed_at_random_moments(name: str, jobs: dict[str, Job], tmp_path: Path, soak: bool, faults: Faults):
    """kill -9, again and again: after each, what has the name of a finished file can be read."""
    faults.what = f"{name}: kill -9"
    disturb(jobs[name], tmp_path, 50 if soak else 2, faults, lambda command: command.send(signal.SIGKILL))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("name", JOBS)
def test_asked_to_stop_at_random_moments(
    name: str, number: signal.Signals, jobs: dict[str, Job], tmp_path: Path, soak: bool, faults: Faults
):
    """Ctrl-C, or what a batch system sends: the command ends in time, with what it says in a line at most."""
    faults.what = f"{name}: {number.name}"
    longest = 0.0

    def stop(command: Command) -> None:
        nonlocal longest
        command.send(number)
        sent = time.monotonic()
        command.wait()
        longest = max(longest, time.monotonic() - sent)

    disturb(jobs[name], tmp_path, 15 if soak else 1, faults, stop)
    faults.figures["longest_seconds_to_stop"] = round(longest, 3)
    assert longest < (SECONDS_TO_STOP if soak else 10.0)  # on a machine with other work it is no measurement


def disturb(job: Job, folder: Path, n_faults: int, faults: Faults, disturbance: Callable[[Command], None]) -> None:
    """Start the job, disturb it at a random moment, and again until it has finished; then all of it anew."""
    moments = random.Random(1)
    while faults.injected < n_faults:
        shutil.rmtree(folder)
        folder.mkdir()
        n_injected, wrong = 0, []
        while faults.injected + n_injected < n_faults:
            command = Command(job.command(folder), often)
            if not command.wait(moments.uniform(0.0, job.seconds)):
                disturbance(command)
            ending = command.end()
            if ending.code == 0:  # it was finished before, or finishes in spite of it
                break
            n_injected += 1
            if "Traceback" in ending.errors or ending.errors.count("\n") > 1:
                wrong.append(ending.errors)
            wrong += unreadable(folder)
        else:
            ending = run(job.command(folder), often)
        finished = ending.code == 0 or "has results already" in ending.errors
        if not finished or made(folder / job.out) != job.whole:
            wrong.append(f"resumed, the command ended with {ending}, or its files are others")
        faults.settle(n_injected, wrong)
    assert faults.wrong == []
