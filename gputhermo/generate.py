"""Generate a dataset: simulate its processes, draw their clips, write the file; stop and resume at will."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .backend import Backend, available_cores, host_memory, select
from .errors import InputError, Stopped
from .initialize import reachable
from .observables import mode_amplitudes
from .parameters import Settings
from .parts import COUNTERS, Parts, ProcessData
from .process import Process, plan_processes
from .process_run import ProcessRun, draw_processes
from .rasterize import render
from .simulate import Recording

CHECKPOINT_INTERVAL = 45.0
"""Seconds between checkpoints: with a launch and the saving itself, a kill costs less than a minute."""
LARGEST_CHUNK = 2**32
"""Bytes that a piece of an HDF5 dataset stays below."""
QUEUE = 2
"""Finished processes that wait to be written, at most: some 30 MB each."""


@dataclass(frozen=True)
class Status:
    """How far a run is; the first five also count what earlier, interrupted runs did."""

    processes_done: int
    n_processes: int
    simulated_time: float
    total_time: float
    fraction: float
    """Of the estimated cost."""
    particle_steps: int
    """Equivalent particle-steps (all particles, all steps) in this run."""
    executed: int
    """Particle-steps executed in this run."""
    contacts: int
    """Contacts begun in this run."""
    elapsed: float
    """Seconds since this run began."""
    device: str
    """Name of the device that it runs on."""

    def __str__(self) -> str:
        """Processes, simulated time and speed."""
        speed = self.particle_steps / max(self.elapsed, 1e-9)
        return (
            f"{self.processes_done}/{self.n_processes} processes  "
            f"time {self.simulated_time:,.0f}/{self.total_time:,.0f}  "
            f"{speed:.2e} particle-steps/s"
        )


def generate(
    settings: Settings,
    out: str | Path,
    *,
    device: str | Backend = "auto",
    n_threads: int | None = None,
    resume: bool = False,
    with_images: bool = True,
    report: Callable[[Status], None] = lambda status: None,
    stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Make the dataset that `settings` describe and write it to `out`.

    `report` is called after each launch, `stop` asked after each; a true answer raises Stopped once the state is saved.
    The file depends on the settings, the version and the kind of device only: not on threads or interruptions.
    Raises InputError for settings that cannot be carried out, SimulationError if a simulation goes wrong.
    """
    with closing(Run(settings, Path(out), device, n_threads, resume, with_images)) as run:
        return run.to_the_end(report, stop)


class Run:
    """A dataset in the making: a thread writes what is finished while the rest is simulated."""

    def __init__(
        self,
        settings: Settings,
        out: Path,
        device: str | Backend,
        n_threads: int | None,
        resume: bool,
        with_images: bool,
    ):
        self.settings = settings
        self.with_images = with_images
        self.processes = plan_processes(settings)
        check_room(settings)
        self.backend = select(device, n_threads) if isinstance(device, str) else device
        self.pool = ThreadPoolExecutor(n_threads or available_cores(), thread_name_prefix="compress")
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self.writing: deque[Future[None]] = deque()
        self.run = ProcessRun(
            self.processes,
            settings,
            self.backend,
            lambda some: draw_processes(some, settings, self.backend),
            series_interval=settings.series.interval,
            checkpoint=lambda index: self.parts.load_checkpoint(index),
        )
        check_files(settings, max(table.n_clips for table in self.run.tables.values()) if with_images else 0)
        device = self.backend.name.partition(":")[0]
        self.parts = Parts(out, settings, self.processes, device, resume, with_images)
        missing = [] if self.parts.finished else self.parts.missing()
        self.run.skip({process.index for process in self.processes} - {process.index for process in missing})
        self.began = self.saved = time.monotonic()
        self.counted = {"particle_steps": 0, "executed": 0, "contacts": 0}

    def to_the_end(self, report: Callable[[Status], None], stop: Callable[[], bool]) -> Status:
        """Simulate what is missing, the longest first, then assemble the file."""
        while self.run.unfinished:
            for process, recording in self.run.advance():
                self.writing.append(self.writer.submit(self.parts.write, self._data(process, recording), self.pool))
                self._finish_writing(leave=QUEUE)
                for name, count in self._counts(process, recording.counters).items():
                    self.counted[name] += count
            self._finish_writing(leave=QUEUE)
            if stop():
                self._finish_writing()
                self._save_checkpoints()
                raise Stopped
            if time.monotonic() - self.saved > CHECKPOINT_INTERVAL:
                self._save_checkpoints()
            report(self.status())
        self._finish_writing()
        self.parts.assemble(stop)
        return self.status()

    def close(self) -> None:
        """Release the folder of parts and the threads."""
        with closing(self.parts), self.pool, self.writer:
            pass

    def _finish_writing(self, leave: int = 0) -> None:
        """Wait until at most `leave` processes are still to be written; raises what went wrong with the others."""
        while len(self.writing) > leave or (self.writing and self.writing[0].done()):
            self.writing.popleft().result()

    def _counts(self, process: Process, now: dict[str, int]) -> dict[str, int]:
        """What was done in this run for a process whose counters are `now`."""
        before = self.run.resumed[process.index]
        return {
            "particle_steps": (now["steps"] - before["steps"]) * process.n_particles,
            "executed": now["executed"] - before["executed"],
            "contacts": now["contacts"] - before["contacts"],
        }

    def _data(self, process: Process, recording: Recording) -> ProcessData:
        """Everything that the file holds of a process."""
        xp, to_host = self.backend.xp, self.backend.to_host
        n_states, n = len(recording.time), process.n_particles
        frames, n_max = self.settings.protocol.frames, max(self.settings.plan.n_particles)
        positions = xp.full((n_states, frames, n_max, 2), xp.nan, dtype=np.float32)
        positions[:, :, :n] = recording.positions
        phase_points = xp.full((n_states, n_max, 4), xp.nan)
        phase_points[:, :n] = recording.phase_points
        large = {"positions": positions, "phase_points": phase_points}
        if self.with_images:
            large["images"] = render(positions, n, self.settings.image, self.settings.gas.box_length, self.backend)
        chunked = {name: self.backend.to_pinned_host(array) for name, array in large.items()}
        lengths = self.backend.adopt(recording.piston_position)
        flow, density = mode_amplitudes(recording.phase_points, lengths, process.box_length, xp)
        states = {
            "process": np.full(n_states, process.index),
            "hold": np.arange(n_states),
            "time": recording.time,
            "piston_position": recording.piston_position,
            "n_particles": np.full(n_states, n),
            "kinetic_energy": recording.kinetic_energy,
            "potential_energy": recording.potential_energy,
            "work": recording.work,
            "flow_modes": to_host(flow),
            "density_modes": to_host(density),
        }
        series = {}
        if recording.series is not None:
            # Copies: some are views of the slot, which has another process by the time that this one is written.
            series = {name: array.copy() for name, array in recording.series.__dict__.items()}
            series["process"] = np.full(len(recording.series.time), process.index)
        return ProcessData(
            process=process,
            chunked=chunked,
            states=states,
            series=series,
            counters={name: recording.counters[name] for name in COUNTERS},
            guards=recording.guards,
        )

    def _save_checkpoints(self) -> None:
        for index, state in self.run.checkpoints():
            self.parts.save_checkpoint(index, state)
        self.saved = time.monotonic()

    def status(self) -> Status:
        """How far the run is."""
        flying = self.run.counters()
        steps = dict.fromkeys((process.index for process in self.run.waiting), 0)
        steps |= {index: counters["steps"] for index, counters in flying.items()}
        counted = dict(self.counted)
        for index, counters in flying.items():
            for name, count in self._counts(self.processes[index], counters).items():
                counted[name] += count
        done_time = cost_done = cost = 0.0
        for process in self.processes:
            table, of_process = self.run.tables[process.index], self.run.cost(process)
            done = steps.get(process.index, table.n_steps)
            done_time += done * table.grid_step
            cost_done += of_process * done / table.n_steps
            cost += of_process
        return Status(
            processes_done=len(self.processes) - len(steps),
            n_processes=len(self.processes),
            simulated_time=done_time,
            total_time=sum(table.n_steps * table.grid_step for table in self.run.tables.values()),
            fraction=cost_done / cost,
            elapsed=time.monotonic() - self.began,
            device=self.backend.name,
            **counted,
        )


def check_files(settings: Settings, n_images: int) -> None:
    """Raise InputError if the images of processes on their way to the file, `n_images` clips each, find no memory.

    Also if a clip is too large for HDF5, which compresses it as one piece.
    """
    frames, pixels, n_max = settings.protocol.frames, settings.image.pixels, max(settings.plan.n_particles)
    clip = frames * pixels**2 if n_images else 0
    if max(clip, 8 * frames * n_max) >= LARGEST_CHUNK:
        raise InputError(
            f"protocol.frames = {frames} is not allowed: with image.pixels = {pixels} and plan.n_particles = {n_max} a "
            f"clip has more than the {LARGEST_CHUNK / 1e9:.3g} GB that a dataset can hold"
        )
    needed = (QUEUE + 1) * n_images * clip
    if needed > host_memory():
        raise InputError(
            f"image.pixels = {pixels}, protocol.frames = {frames}, protocol.n_cycles = {settings.protocol.n_cycles} "
            f"and these plan.strokes are not allowed: {QUEUE + 1} processes of {n_images:,} states have images of "
            f"{needed / 1e9:.3g} GB, and this machine has {host_memory() / 1e9:.3g} GB of memory"
        )


def check_room(settings: Settings) -> None:
    """Raise InputError if random placement cannot put that many particles into the box."""
    length = settings.gas.box_length
    most = reachable(length, length)
    for n_particles in settings.plan.n_particles:
        if n_particles > most:
            raise InputError(
                f"plan.n_particles = {n_particles} is not allowed: random placement reaches at most {most} in a box of "
                f"{length:g} x {length:g}"
            )
