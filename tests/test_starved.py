"""Too little disk, too little memory, a folder that is not free, a clock that jumps: a line, and nothing is lost."""

import itertools
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from children import Command, Ending, run
from counts import Faults
from jobs import Job, made, make_jobs, unreadable

from gputhermo.cli import main
from gputhermo.parameters import ImageSettings

JOBS = ("generate", "train", "evaluate")
MEGABYTE = 2**20
HANGS_IN_PYTHON = "Exception ignored in thread started by"
"""What Python says before it waits for ever for a thread that had no memory to start (CPython issue 140746)."""


def check(job: Job, folder: Path, ending: Ending, faults: Faults) -> None:
    """Note whether the command ended as it has to, and goes on to the undisturbed run's files in peace."""
    wrong = unreadable(folder)
    if ending.code != 0:
        if ending.code != 2 or not ending.is_one_line():
            wrong.append(f"ended with {ending}")
        ending = run(job.command(folder))
    if ending.code != 0 or made(folder / job.out) != job.whole:
        wrong.append(f"in peace, ended with {ending}, or its files are others")
    faults.settle(1, wrong)


def fill_disk_after(n_files: int) -> None:
    """Files cannot be written any more once this many have been put in place."""
    names = itertools.count(1)

    def watch(event: str, _: object) -> None:
        if event == "os.rename" and next(names) == n_files:
            fill_disk()

    sys.addaudithook(watch) if n_files else fill_disk()


def fill_disk() -> None:
    """Let no file grow beyond what `tempfile` tries a folder with."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))


@pytest.mark.parametrize("name", JOBS)
def test_a_disk_that_is_full_at_each_write(name: str, jobs: dict[str, Job], tmp_path: Path, soak: bool, faults: Faults):
    """In turn every file is the first one that cannot be written; without --soak the fourth is."""
    faults.what = f"{name}: no room for the next file"
    job, failed = jobs[name], set()
    for n_files in itertools.count() if soak else (3,):
        folder = tmp_path / str(n_files)
        folder.mkdir()
        ending = run(job.command(folder), partial(fill_disk_after, n_files))
        if ending.code == 0:
            break
        assert "File too large" in ending.errors
        failed |= {Path(path).name.removesuffix(".new") for path in re.findall("'([^']*)'", ending.errors)}
        check(job, folder, ending, faults)
    assert faults.wrong == []
    if soak:  # before the first weights TensorBoard begins its log, and fails in their place
        assert set(job.whole) - {"best.safetensors"} <= failed


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_a_small_disk(name: str, jobs: dict[str, Job], tmp_path: Path, faults: Faults):
    """A file system that has no room left after so many bytes, anywhere in the work; then it is made larger."""
    faults.what = f"{name}: a full file system"
    job = jobs[name]
    needed = sum(map(len, job.whole.values()))
    for share in np.linspace(0.05, 2.2, 10):
        size = max(4096, int(share * needed))
        with file_system(tmp_path / f"{share:.2f}", f"size={size}") as folder:
            ending = run(job.command(folder))
            assert ending.code == 0 or "No space left on device" in ending.errors, ending
            subprocess.run(["mount", "-o", "remount,size=1G", folder], check=True)
            check(job, folder, ending, faults)
    assert faults.wrong == []


@contextmanager
def file_system(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory, mounted within the block; without the right to mount the test is skipped."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", JOBS)
def test_a_folder_that_is_read_only(name: str, jobs: dict[str, Job], tmp_path: Path, faults: Faults):
    """Permissions do not bind root, who may run this, but a file system that is read-only does."""
    faults.what = f"{name}: a read-only folder"
    with file_system(tmp_path / "folder", "ro") as folder:
        ending = run(jobs[name].command(folder))
        assert "Read-only file system" in ending.errors
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        check(jobs[name], folder, ending, faults)
    assert faults.wrong == []


@pytest.fixture(scope="module")
def large_jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """The commands with images that take memory."""
    return make_jobs(tmp_path_factory.mktemp("large"), ImageSettings(pixels=256, raster_pixels=3000))


def leave_memory(megabytes: int, arguments: list[str]) -> None:
    """Allow the process this much memory beyond what it has once another command has loaded what is needed."""
    main(arguments)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * MEGABYTE, resource.RLIM_INFINITY))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited as on Linux")
@pytest.mark.parametrize("name", JOBS)
def test_little_memory(name: str, jobs: dict[str, Job], large_jobs: dict[str, Job], tmp_path: Path, faults: Faults):
    """From too little to what is enough. Native code may crash and Python hang, which costs what a kill costs."""
    faults.what = f"{name}: little memory"
    job, failures, crashes, hangs = large_jobs[name], 0, 0, 0
    for megabytes in range(20, 220, 20):
        folder, small = tmp_path / str(megabytes), tmp_path / f"{megabytes}-small"
        folder.mkdir()
        small.mkdir()
        ending = run(job.command(folder), partial(leave_memory, megabytes, jobs[name].command(small)))
        failures += ending.code != 0
        crashed = ending.code in (-signal.SIGSEGV, -signal.SIGABRT)
        hung = ending.code == -signal.SIGKILL and HANGS_IN_PYTHON in ending.errors
        if crashed or hung:
            crashes += crashed
            hangs += hung
            ending = run(job.command(folder))
        check(job, folder, ending, faults)
    faults.figures |= {"crashes_in_libraries": crashes, "hangs_in_python": hangs}
    assert faults.wrong == []
    assert failures


@pytest.mark.parametrize("name", JOBS)
def test_two_at_once(name: str, jobs: dict[str, Job], tmp_path: Path, soak: bool, faults: Faults):
    """The later one is told so, or finds all done; the file is as if it had not been there."""
    faults.what = f"{name}: two at once"
    job, delays = jobs[name], random.Random(1)
    for attempt in range(10 if soak else 1):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        first = Command(job.command(folder))
        time.sleep(delays.uniform(0.0, job.seconds) if attempt else 0.0)
        second = Command(job.command(folder))
        endings = sorted((first.end(), second.end()), key=lambda ending: ending.code)
        assert endings[0].code == 0, endings
        if endings[1].code != 0:
            assert re.search("is in use|has results already", endings[1].errors), endings
        check(job, folder, endings[0], faults)
    assert faults.wrong == []


def let_the_clock_jump() -> None:
    """Years to and fro, at each look at it."""
    true, jumps = time.time, random.Random(1)
    time.time = lambda: true() + jumps.uniform(-3e8, 3e8)


@pytest.mark.parametrize("name", JOBS)
def test_a_clock_that_jumps(name: str, jobs: dict[str, Job], tmp_path: Path, faults: Faults):
    faults.what = f"{name}: a clock that jumps"
    ending = run(jobs[name].command(tmp_path), let_the_clock_jump)
    assert ending.code == 0, ending
    check(jobs[name], tmp_path, ending, faults)
    assert faults.wrong == []
