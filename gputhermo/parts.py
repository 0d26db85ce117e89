"""A dataset in the making: a part for each finished process, a checkpoint for each unfinished one.

No HDF5 file that is written in place survives a kill. So each finished process is a small file of its own (written,
synced, renamed), and the dataset is assembled from the parts in process order and renamed. Parts and dataset hold the
same compressed chunks; assembly copies them as they are.
"""

import os
import zlib
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from safetensors.numpy import load_file, save

from .dataset import (
    CHOICES,
    CHUNKED,
    FORMAT,
    FORMAT_VERSION,
    GUARDS,
    PROCESSES,
    SERIES,
    STATES,
    UNITS,
    Field,
    flatten,
    open_dataset,
    settings_of,
    split_processes,
)
from .errors import InputError, Stopped
from .guards import Guards
from .hdf5 import new_file, open_whole
from .outfile import check_parent, sync
from .parameters import Settings, to_toml
from .process import Process
from .seal import BLANK, is_whole, sealed
from .version import __version__
from .workfolder import RECIPE, WorkFolder

COMPRESSION_LEVEL = 1
"""Of deflate. Level 6 makes images 13% smaller in four times the time, 14 ms a clip; reading takes 1 ms for either."""
COUNTERS = ("steps", "contacts", "executed")
"""Of a recording, those that the file has of each process."""


@dataclass(frozen=True, kw_only=True)
class ProcessData:
    """All that a finished process puts into the file, as NumPy arrays named as in CHUNKED, STATES and SERIES."""

    process: Process
    chunked: dict[str, np.ndarray]
    states: dict[str, np.ndarray]
    series: dict[str, np.ndarray]
    counters: dict[str, int]
    guards: Guards


def encode(array: np.ndarray) -> bytes:
    """One chunk as HDF5's shuffle and deflate filters would write it (plain deflate for single bytes)."""
    data = np.ascontiguousarray(array)
    if data.itemsize > 1:
        data = data.view(np.uint8).reshape(-1, data.itemsize).T
    return zlib.compress(data.tobytes(), COMPRESSION_LEVEL)


def create_chunked(group: h5py.Group, name: str, field: Field, n_states: int, chunk: tuple[int, ...]) -> h5py.Dataset:
    """An empty compressed dataset with a chunk a state."""
    return group.create_dataset(
        name,
        shape=(n_states, *chunk),
        dtype=field.dtype,
        chunks=(1, *chunk),
        shuffle=np.dtype(field.dtype).itemsize > 1,
        compression="gzip",
        compression_opts=COMPRESSION_LEVEL,
        fillvalue=np.nan if np.dtype(field.dtype).kind == "f" else 0,
    )


def describe(dataset: h5py.Dataset, field: Field) -> None:
    """Write unit and meaning as attributes."""
    dataset.attrs["unit"] = field.unit
    dataset.attrs["meaning"] = field.meaning


class Parts:
    """The folder of a dataset in the making: parts of finished processes and checkpoints of unfinished ones."""

    def __init__(
        self, out: Path, settings: Settings, processes: list[Process], device: str, resume: bool, with_images: bool
    ):
        """Open the folder beside `out`, and keep other processes away from it.

        `device` is the kind of device, "cpu" or "cuda". `finished` tells whether `out` is there, as this dataset.
        Raises InputError if something else is at `out`, if work of an earlier run is there and `resume` is not set, if
        that work was done otherwise, or if another process is at it.
        """
        self.out = out
        self.settings = settings
        self.processes = processes
        self.device = device
        check_parent(out)
        self.finished = out.exists()
        if self.finished and not (resume and self._is_this_dataset(with_images)):
            raise InputError(f"out = {str(out)!r} exists already; remove it or choose another name")
        folder = out.with_name(out.name + ".parts")
        earlier = f"out = {str(out)!r} has unfinished work in {str(folder)!r}; continue it with --resume or remove it"
        self.folder = WorkFolder(
            folder,
            f"# gputhermo {__version__}, format {FORMAT_VERSION}, device {device}, images {with_images}\n"
            f"{to_toml(settings)}",
            mismatch=f"resume is not allowed: {str(folder / RECIPE)!r} shows that the work was begun with other "
            "settings, another version or another kind of device",
            refusal=None if resume else earlier,
        )
        if out.exists() and not self.finished:
            self.folder.remove()
            self.folder.close()
            raise InputError(f"out is in use: another process has just made {str(out)!r}")

    def _is_this_dataset(self, with_images: bool) -> bool:
        """Whether `out` was made with these settings, by a run that was killed after its last rename, for example."""
        with open_dataset(self.out) as file:
            return settings_of(file) == self.settings and ("images" in file["states"]) == with_images

    def close(self) -> None:
        """Let other processes work in the folder."""
        self.folder.close()

    def part(self, index: int) -> Path:
        """Path of a process's part."""
        return self.folder.path / f"process-{index:06d}.h5"

    def flight(self, index: int) -> Path:
        """Path of a process's checkpoint."""
        return self.folder.path / f"flight-{index:06d}.safetensors"

    def missing(self) -> list[Process]:
        """The processes that have no part yet, or a damaged one."""
        return [process for process in self.processes if not is_whole(self.part(process.index))]

    def load_checkpoint(self, index: int) -> dict[str, np.ndarray] | None:
        """The checkpoint of a process, if there is one that is not damaged."""
        path = self.flight(index)
        return load_file(path) if is_whole(path) else None

    def save_checkpoint(self, index: int, state: dict[str, np.ndarray]) -> None:
        """Replace the checkpoint of a process, durably."""
        arrays = {name: np.ascontiguousarray(array) for name, array in state.items()}
        with sealed(self.flight(index)) as new:
            new.write_bytes(save(arrays, {"seal": BLANK}))

    def write(self, data: ProcessData, pool: Executor) -> None:
        """Write a finished process's part, durably, and drop its checkpoint. Chunks are compressed by `pool`."""
        index = data.process.index
        n_states = len(data.states["time"])
        with new_file(self.part(index)) as file:
            for name, array in data.chunked.items():
                dataset = create_chunked(file, name, CHUNKED[name], n_states, array.shape[1:])
                for row, chunk in enumerate(pool.map(encode, array)):
                    dataset.id.write_direct_chunk((row,) + (0,) * (array.ndim - 1), chunk)
            for name in STATES:
                file[f"states/{name}"] = data.states[name].astype(STATES[name].dtype)
            for name, array in data.series.items():
                file[f"series/{name}"] = array.astype(SERIES[name].dtype)
            for name, value in (data.counters | asdict(data.guards)).items():
                file.attrs[name] = value
        self.flight(index).unlink(missing_ok=True)

    def assemble(self, stop: Callable[[], bool]) -> None:
        """Put the parts together in process order, rename the result to `out`, and remove the folder.

        Asks `stop` between processes; a true answer raises Stopped, with nothing lost.
        """
        whole = self.folder.path / "dataset.h5"
        if not self.finished:
            with new_file(whole) as file:
                self._fill(file, stop)
            os.replace(whole, self.out)
            sync(self.out.parent)
        self.folder.remove()

    def _fill(self, file: h5py.File, stop: Callable[[], bool]) -> None:
        """Write the dataset into an empty file."""
        write_attributes(file, self.settings, self.device)
        rows = [self._part_summary(process.index) for process in self.processes]
        n_states = np.array([row["n_states"] for row in rows], dtype=np.int64)
        states = file.create_group("states")
        self._fill_chunked(states, int(n_states.sum()), stop)
        self._fill_tables(states, STATES, "states", int(n_states.sum()))
        if self.settings.series.interval > 0:
            n_samples = sum(row["n_samples"] for row in rows)
            self._fill_tables(file.create_group("series"), SERIES, "series", n_samples)
        columns = {name: [getattr(process, name, None) for process in self.processes] for name in PROCESSES}
        columns |= {name: [row[name] for row in rows] for name in (*COUNTERS, *GUARDS)}
        columns["seed"] = [self.settings.seed] * len(rows)
        columns["split"] = split_processes(self.settings, len(rows)).tolist()
        columns["first_state"] = np.concatenate([[0], np.cumsum(n_states)[:-1]]).tolist()
        columns["n_states"] = n_states.tolist()
        for name, field in (PROCESSES | GUARDS).items():
            dataset = file.create_dataset(f"processes/{name}", data=np.array(columns[name], dtype=field.dtype))
            describe(dataset, field)

    def _part_summary(self, index: int) -> dict[str, Any]:
        with open_whole(self.part(index)) as part:
            summary = {name: part.attrs[name] for name in (*COUNTERS, *GUARDS)}
            summary["n_states"] = len(part["states/time"])
            summary["n_samples"] = len(part["series/time"]) if "series" in part else 0
            return summary

    def _fill_chunked(self, group: h5py.Group, n_states: int, stop: Callable[[], bool]) -> None:
        """Copy the compressed chunks of the parts, without decoding them."""
        row = 0
        datasets: dict[str, h5py.Dataset] = {}
        for process in self.processes:
            if stop():
                raise Stopped
            with open_whole(self.part(process.index)) as part:
                names = [name for name in CHUNKED if name in part]
                for name in names:
                    source = part[name]
                    if name not in datasets:
                        datasets[name] = create_chunked(group, name, CHUNKED[name], n_states, source.shape[1:])
                        describe(datasets[name], CHUNKED[name])
                    rest = (0,) * (source.ndim - 1)
                    for k in range(len(source)):
                        mask, chunk = source.id.read_direct_chunk((k, *rest))
                        datasets[name].id.write_direct_chunk((row + k, *rest), chunk, filter_mask=mask)
                row += len(part["states/time"])

    def _fill_tables(self, group: h5py.Group, fields: dict[str, Field], kind: str, n_rows: int) -> None:
        """Put the small arrays of the parts one behind the other."""
        for name, field in fields.items():
            width = tuple(int(size) for size in field.shape)
            describe(group.create_dataset(name, shape=(n_rows, *width), dtype=field.dtype), field)
        row = 0
        for process in self.processes:
            with open_whole(self.part(process.index)) as part:
                n = len(part[f"{kind}/{next(iter(fields))}"])
                for name in fields:
                    group[name][row : row + n] = part[f"{kind}/{name}"][()]
                row += n


def write_attributes(file: h5py.File, settings: Settings, device: str) -> None:
    """Format, versions, units, choices and every parameter, as attributes of the file and of /parameters."""
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["package_version"] = __version__
    file.attrs["device"] = device
    file.attrs["units"] = UNITS
    file.attrs["choices"] = CHOICES
    file.attrs["settings"] = to_toml(settings)
    parameters = file.create_group("parameters")
    for name, value in flatten(settings.model_dump()):
        parameters.attrs[name] = value
