"""Clips of whole processes straight from a simulation; nothing is written."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .backend import Backend, select
from .dataset import members, split_processes
from .errors import Stopped
from .generate import check_room
from .parameters import Settings
from .process import plan_processes
from .process_run import ProcessRun, draw_processes
from .rasterize import render
from .torch_device import as_tensor
from .version import __version__


@dataclass(frozen=True)
class SimulationStatus:
    """How far a simulation is."""

    processes_done: int
    n_processes: int
    fraction: float
    """Of the estimated cost."""
    elapsed: float
    """Seconds since it began."""
    device: str

    def __str__(self) -> str:
        """Processes done."""
        return f"simulated {self.processes_done}/{self.n_processes} processes"


class SimulatedFeed:
    """The clips of the training and validation processes of a dataset that is in no file, by process.

    Positions stay in memory, in float32 on the device that simulates, and are drawn when a process is read: 1 GB for
    the paper's set. The clips are those of the file that `generate` makes of the same settings on the same device.

    settings   those of the dataset
    simulated  by which version of the package and on which kind of device
    repeats    every epoch has the same training processes
    """

    repeats = True

    def __init__(
        self,
        settings: Settings,
        device: str = "auto",
        n_threads: int | None = None,
        split_seed: int | None = None,
    ):
        """Plan the processes; InputError for settings that cannot be carried out, or a device that is not there."""
        self.settings = settings
        self._split = split_processes(settings, len(plan_processes(settings)), split_seed)
        check_room(settings)
        self._device, self._n_threads = device, n_threads
        self._simulator = select(device, n_threads)
        self.simulated = {"package_version": __version__, "device": self._simulator.name.partition(":")[0]}
        self._artist: Backend | None = None
        self._positions: dict[int, Any] = {}

    def processes(self, split: str) -> list[int]:
        """The processes of a split: "train", "validation" or "test"."""
        return members(self._split, split)

    def prepare(
        self,
        epoch: int,  # noqa: ARG002
        report: Callable[[SimulationStatus], None],
        stop: Callable[[], bool],
    ) -> None:
        """Simulate the processes of training and validation, unless that is done; see `Source.prepare`."""
        if not self._positions:
            chosen = self.processes("train") + self.processes("validation")
            seeds = dict.fromkeys(chosen, self.settings.seed)
            self._positions = simulate_processes(seeds, self.settings, self._simulator, report, stop)

    def read(self, process: int) -> Tensor:
        """The clips of a simulated process's states in the order of time, uint8 [n_states, frames, pixels, pixels]."""
        if self._artist is None:
            # By the thread that reads: numba and CuPy select a device for one thread.
            self._artist = select(self._device, self._n_threads)
        positions = self._positions[process]
        image, box_length = self.settings.image, self.settings.gas.box_length
        return as_tensor(render(positions, positions.shape[2], image, box_length, self._artist))


def simulate_processes(
    seeds: Mapping[int, int],
    settings: Settings,
    backend: Backend,
    report: Callable[[SimulationStatus], None],
    stop: Callable[[], bool],
) -> dict[int, Any]:
    """Positions of processes by their index, float32 [n_clips, frames, n_particles, 2], arrays of the backend.

    `seeds` tells which processes of the dataset that `settings` describe, and from which seed the initial state of each
    is drawn. `report` is called and `stop` asked after each launch; a true answer raises Stopped.
    """
    began = time.monotonic()
    processes = [process for process in plan_processes(settings) if process.index in seeds]
    run = ProcessRun(
        processes,
        settings,
        backend,
        lambda some: draw_processes(some, settings, backend, seeds=[seeds[process.index] for process in some]),
    )
    costs = {process.index: run.cost(process) for process in processes}
    positions: dict[int, Any] = {}
    while run.unfinished:
        for process, recording in run.advance():
            positions[process.index] = recording.positions.copy()
        if stop():
            raise Stopped
        done = sum(costs[index] for index in positions)
        done += sum(share * costs[index] for index, share in run.shares.items())
        report(
            SimulationStatus(
                processes_done=len(positions),
                n_processes=len(processes),
                fraction=done / sum(costs.values()),
                elapsed=time.monotonic() - began,
                device=backend.name,
            )
        )
    return positions
