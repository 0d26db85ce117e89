"""Read one process of a dataset file: its states as tables, clips and phase points."""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .backend import Backend, select
from .dataset import SERIES, STATES, open_dataset, settings_of
from .errors import InputError
from .process import Process, Timetable, compile_process
from .rasterize import render


class ProcessReader:
    """One process of an open dataset file; a context manager.

    settings   those of the dataset
    process    what the piston does
    table      name: array [n_states], the columns of /states for this process
    timetable  the process on the time grid
    """

    def __init__(self, path: str | Path, index: int):
        """Open the file; InputError if it is no dataset or has no process `index`."""
        self._file = open_dataset(path)
        try:
            self.settings = settings_of(self._file)
            n_processes = len(self._file["processes/n_particles"])
            if not 0 <= index < n_processes:
                raise InputError(
                    f"process = {index} is not allowed: {str(path)!r} has processes 0 to {n_processes - 1}"
                )
            columns = self._file["processes"]
            self.process = Process(
                index=index,
                n_particles=int(columns["n_particles"][index]),
                push_speed=float(columns["push_speed"][index]),
                pull_speed=float(columns["pull_speed"][index]),
                push_stroke=float(columns["push_stroke"][index]),
                pull_stroke=float(columns["pull_stroke"][index]),
                box_length=self.settings.gas.box_length,
                hold_time=self.settings.protocol.hold_time,
                n_cycles=self.settings.protocol.n_cycles,
            )
            first = int(self._file["processes/first_state"][index])
            self._rows = slice(first, first + int(self._file["processes/n_states"][index]))
            self.table: dict[str, np.ndarray] = {name: self._file[f"states/{name}"][self._rows] for name in STATES}
        except BaseException:
            self._file.close()
            raise
        self.timetable: Timetable = compile_process(self.process, self.settings)
        self._backend: Backend | None = None

    def __enter__(self) -> "ProcessReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def n_states(self) -> int:
        """Number of states, which is that of holds."""
        return len(self.table["time"])

    def select_holds(self, hold: int | None) -> range:
        """That hold alone, or all holds for None; InputError if there is no such hold."""
        if hold is None:
            return range(self.n_states)
        if not 0 <= hold < self.n_states:
            raise InputError(
                f"hold = {hold} is not allowed: process {self.process.index} has holds 0 to {self.n_states - 1}"
            )
        return range(hold, hold + 1)

    def positions(self, hold: int) -> np.ndarray:
        """The snapshots of a hold's clip, float32 [frames, n_particles, 2]."""
        positions: np.ndarray = self._file["states/positions"][self._rows.start + hold]
        return positions[:, : self.process.n_particles]

    def phase_points(self, hold: int) -> np.ndarray:
        """x, y, vx, vy in the last snapshot of a hold's clip, float64 [n_particles, 4]."""
        points: np.ndarray = self._file["states/phase_points"][self._rows.start + hold]
        return points[: self.process.n_particles]

    def images(self, hold: int) -> np.ndarray:
        """The clip of a hold, uint8 [frames, pixels, pixels]; drawn from the positions if the file has no images."""
        if "images" in self._file["states"]:
            images: np.ndarray = self._file["states/images"][self._rows.start + hold]
            return images
        self._backend = self._backend or select("cpu")
        drawn = render(
            self.positions(hold),
            self.process.n_particles,
            self.settings.image,
            self.settings.gas.box_length,
            self._backend,
        )
        return self._backend.to_host(drawn)

    def series(self) -> dict[str, Any] | None:
        """The time series of the process, columns as in /series; None if none were recorded."""
        if "series" not in self._file:
            return None
        rows = np.flatnonzero(self._file["series/process"][()] == self.process.index)
        if not len(rows):
            return None
        return {name: self._file[f"series/{name}"][rows[0] : rows[-1] + 1] for name in SERIES}
