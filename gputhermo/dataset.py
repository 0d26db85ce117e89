"""The dataset file: HDF5 that plain h5py reads, written a process at a time, assembled at the end.

No HDF5 file that is written in place survives a kill. So each finished process is a small file of its own (a part: written,
synced, renamed), and the dataset is assembled from the parts in process order and renamed. Parts and dataset hold the
same compressed chunks; assembly copies them as they are.
"""

import os
import shutil
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from torch.utils.data import Dataset

from .errors import InputError
from .parameters import Settings, to_toml, validate
from .process import Process

FORMAT = "gputhermo dataset"
FORMAT_VERSION = 1
SPLITS = {"train": 0, "validation": 1, "test": 2}
COMPRESSION_LEVEL = 1
"""Of deflate. Higher levels save a few per cent and cost several times the time; reading is as fast."""

UNITS = "energy kB T0, length R, mass m, time R sqrt(m / kB T0)"
CHOICES = (
    "Not given by arXiv:2506.01506 and chosen here: which 448 sets of parameters (plan.max_rank_difference), "
    "protocol.hold_time, the exact time of the snapshots (the last one at the end of the hold), the pixel rule (a raster "
    "pixel is 1 where its centre lies within R of a particle's centre), the split by process, compression, "
    "integrator.engine and integrator.substeps, random numbers."
)


class Field(NamedTuple):
    """One dataset of the file: type, shape after the leading axis, unit and meaning. N = largest n_particles."""

    dtype: Any
    shape: tuple[str, ...]
    unit: str
    meaning: str


# Large ones are chunked by state and compressed (shuffle + deflate); rows beyond n_particles are NaN.
CHUNKED = {
    "positions": Field(np.float32, ("frames", "N", "2"), "R", "x, y of each particle in each snapshot of the clip"),
    "phase_points": Field(np.float64, ("N", "4"), "R, R/time", "x, y, vx, vy of each particle in the last snapshot"),
    "images": Field(np.uint8, ("frames", "pixels", "pixels"), "1/255", "the clip as images; row 0 is the top, y = L"),
}
STATES = {
    "process": Field(np.int32, (), "", "row in /processes"),
    "hold": Field(np.int32, (), "", "number of the hold in its process, from 0"),
    "time": Field(np.float64, (), "time", "of the last snapshot"),
    "piston_position": Field(np.float64, (), "R", "Lx"),
    "n_particles": Field(np.int32, (), "", "N"),
    "kinetic_energy": Field(np.float64, (), "kB T0", "at the last snapshot"),
    "potential_energy": Field(np.float64, (), "kB T0", "at the last snapshot"),
    "work": Field(np.float64, (), "kB T0", "done by the piston since t = 0"),
    "flow_modes": Field(np.float64, ("2",), "thermal", "first flow mode along x and y; mean square 1 in equilibrium"),
    "density_modes": Field(np.float64, ("2",), "thermal", "first density mode along x and y; mean square 1 in equilibrium"),
}
PROCESSES = {
    "n_particles": Field(np.int32, (), "", "N"),
    "push_speed": Field(np.float64, (), "R/time", "piston speed in compression"),
    "pull_speed": Field(np.float64, (), "R/time", "piston speed in expansion"),
    "push_stroke": Field(np.float64, (), "R", "distance pushed between two holds"),
    "pull_stroke": Field(np.float64, (), "R", "distance pulled between two holds"),
    "seed": Field(np.int64, (), "", "of the random numbers, which the process's index addresses further"),
    "split": Field(np.uint8, (), "", "0 train, 1 validation, 2 test"),
    "first_state": Field(np.int64, (), "", "row in /states of the process's first state"),
    "n_states": Field(np.int64, (), "", "number of its states"),
    "steps": Field(np.int64, (), "", "steps of the time grid"),
    "contacts": Field(np.int64, (), "", "contacts that began with a free particle"),
    "executed": Field(np.int64, (), "", "particle-steps executed"),
}
SERIES = {
    "process": Field(np.int32, (), "", "row in /processes"),
    "time": Field(np.float64, (), "time", "end of the interval"),
    "piston_position": Field(np.float64, (), "R", "Lx then"),
    "kinetic_temperature_x": Field(np.float64, (), "T0", "2 K_x / N"),
    "kinetic_temperature_y": Field(np.float64, (), "T0", "2 K_y / N"),
    "potential_energy": Field(np.float64, (), "kB T0", ""),
    "work": Field(np.float64, (), "kB T0", "done by the piston since t = 0"),
    "pressure": Field(np.float64, ("6",), "kB T0 / R^2", "mean over the interval on left, piston, bottom, top wall; partition"),
}


@dataclass(frozen=True, kw_only=True)
class ProcessData:
    """All that a finished process puts into the file, as NumPy arrays named as in CHUNKED, STATES and SERIES."""

    process: Process
    chunked: dict[str, np.ndarray]
    states: dict[str, np.ndarray]
    series: dict[str, np.ndarray]
    counters: dict[str, int]


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

    def __init__(self, out: Path, settings: Settings, processes: list[Process], resume: bool, with_images: bool):
        """Open the folder beside `out`.

        Raises InputError if `out` is there already, if work of an earlier run is there and `resume` is not set, or if that
        work was done with other settings.
        """
        self.out = out
        self.settings = settings
        self.processes = processes
        self.with_images = with_images
        self.folder = out.with_name(out.name + ".parts")
        if out.exists():
            raise InputError(f"out = {str(out)!r} exists already; remove it or choose another name")
        if not out.parent.is_dir():
            raise InputError(f"out = {str(out)!r} is not allowed: there is no folder {str(out.parent)!r}")
        recipe = f"# images = {str(with_images).lower()}\n{to_toml(settings)}"
        path = self.folder / "settings.toml"
        if path.exists():
            if not resume:
                raise InputError(
                    f"out = {str(out)!r} has unfinished work in {str(self.folder)!r}; continue it with --resume or remove it"
                )
            if path.read_text(encoding="utf-8") != recipe:
                raise InputError(f"resume is not allowed: {str(path)!r} shows that the work was begun with other settings")
        else:
            self.folder.mkdir(exist_ok=True)
            write_durably(path, recipe.encode())
        for leftover in self.folder.glob("*.new"):
            leftover.unlink()

    def part(self, index: int) -> Path:
        """Path of a process's part."""
        return self.folder / f"process-{index:06d}.h5"

    def flight(self, index: int) -> Path:
        """Path of a process's checkpoint."""
        return self.folder / f"flight-{index:06d}.npz"

    def missing(self) -> list[Process]:
        """The processes that have no part yet."""
        return [process for process in self.processes if not self.part(process.index).exists()]

    def load_checkpoint(self, index: int) -> dict[str, np.ndarray] | None:
        """The checkpoint of a process, if there is one."""
        path = self.flight(index)
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as file:
            return dict(file)

    def save_checkpoint(self, index: int, state: dict[str, np.ndarray]) -> None:
        """Replace the checkpoint of a process, durably."""
        path = self.flight(index)
        new = path.with_name(path.name + ".new")
        with open(new, "wb") as file:
            np.savez(file, allow_pickle=False, **state)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)

    def write(self, data: ProcessData, pool: Executor) -> None:
        """Write a finished process's part, durably, and drop its checkpoint. Chunks are compressed by `pool`."""
        index = data.process.index
        path = self.part(index)
        new = path.with_name(path.name + ".new")
        n_states = len(data.states["time"])
        with h5py.File(new, "w", libver="latest") as file:
            for name, array in data.chunked.items():
                dataset = create_chunked(file, name, CHUNKED[name], n_states, array.shape[1:])
                for row, chunk in enumerate(pool.map(encode, array)):
                    dataset.id.write_direct_chunk((row,) + (0,) * (array.ndim - 1), chunk)
            for name in STATES:
                file[f"states/{name}"] = data.states[name].astype(STATES[name].dtype)
            for name, array in data.series.items():
                file[f"series/{name}"] = array.astype(SERIES[name].dtype)
            for name, count in data.counters.items():
                file.attrs[name] = count
        sync(new)
        os.replace(new, path)
        sync(self.folder)
        self.flight(index).unlink(missing_ok=True)

    def assemble(self) -> None:
        """Put the parts together in process order, rename the result to `out`, and remove the folder."""
        new = self.folder / "dataset.h5.new"
        rows = [self._part_summary(process.index) for process in self.processes]
        n_states = np.array([row["n_states"] for row in rows], dtype=np.int64)
        first_state = np.concatenate([[0], np.cumsum(n_states)[:-1]])
        with h5py.File(new, "w", libver="latest") as file:
            write_attributes(file, self.settings)
            states = file.create_group("states")
            self._assemble_chunked(states, int(n_states.sum()))
            self._assemble_tables(states, STATES, "states")
            if self.settings.series.interval > 0:
                self._assemble_tables(file.create_group("series"), SERIES, "series")
            columns = {name: [getattr(p, name, None) for p in self.processes] for name in PROCESSES}
            columns |= {name: [row[name] for row in rows] for name in ("steps", "contacts", "executed")}
            columns["seed"] = [self.settings.seed] * len(rows)
            columns["split"] = split_processes(self.settings, len(rows)).tolist()
            columns["first_state"], columns["n_states"] = first_state.tolist(), n_states.tolist()
            for name, field in PROCESSES.items():
                dataset = file.create_dataset(f"processes/{name}", data=np.array(columns[name], dtype=field.dtype))
                describe(dataset, field)
        sync(new)
        os.replace(new, self.out)
        sync(self.out.parent)
        shutil.rmtree(self.folder)

    def _part_summary(self, index: int) -> dict[str, int]:
        with h5py.File(self.part(index), "r") as part:
            summary = {name: int(part.attrs[name]) for name in ("steps", "contacts", "executed")}
            summary["n_states"] = len(part["states/time"])
            return summary

    def _assemble_chunked(self, group: h5py.Group, n_states: int) -> None:
        """Copy the compressed chunks of the parts, without decoding them."""
        row = 0
        datasets: dict[str, h5py.Dataset] = {}
        for process in self.processes:
            with h5py.File(self.part(process.index), "r") as part:
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

    def _assemble_tables(self, group: h5py.Group, fields: dict[str, Field], kind: str) -> None:
        """Concatenate the small arrays of the parts."""
        columns: dict[str, list[np.ndarray]] = {name: [] for name in fields}
        for process in self.processes:
            with h5py.File(self.part(process.index), "r") as part:
                for name in fields:
                    columns[name].append(part[f"{kind}/{name}"][()])
        for name, field in fields.items():
            dataset = group.create_dataset(name, data=np.concatenate(columns[name]).astype(field.dtype))
            describe(dataset, field)


def write_attributes(file: h5py.File, settings: Settings) -> None:
    """Format, versions, units, choices and every parameter, as attributes of the file and of /parameters."""
    from . import __version__

    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["package_version"] = __version__
    file.attrs["units"] = UNITS
    file.attrs["choices"] = CHOICES
    file.attrs["settings"] = to_toml(settings)
    parameters = file.create_group("parameters")
    for name, value in flatten(settings.model_dump()):
        parameters.attrs[name] = value


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested dictionaries."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def split_processes(settings: Settings, n_processes: int) -> np.ndarray:
    """Which split each process belongs to, uint8 [n_processes], drawn from the seed."""
    order = np.random.Generator(np.random.Philox(settings.seed)).permutation(n_processes)
    n_train = round(settings.split.train * n_processes)
    n_validation = round(settings.split.validation * n_processes)
    split = np.full(n_processes, SPLITS["test"], dtype=np.uint8)
    split[order[:n_train]] = SPLITS["train"]
    split[order[n_train : n_train + n_validation]] = SPLITS["validation"]
    return split


def write_durably(path: Path, content: bytes) -> None:
    """Write a small file so that it is there whole, or not at all, whatever happens."""
    new = path.with_name(path.name + ".new")
    with open(new, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_dataset(path: str | Path) -> h5py.File:
    """The file, opened for reading; InputError if it is not a dataset of this format."""
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise InputError(f"file = {str(path)!r} does not exist") from None
    except OSError:
        raise InputError(f"file = {str(path)!r} is not an HDF5 file") from None
    if file.attrs.get("format") != FORMAT:
        file.close()
        raise InputError(f"file = {str(path)!r} is not a {FORMAT}")
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        file.close()
        raise InputError(f"file = {str(path)!r} has format version {version}; this gputhermo reads up to {FORMAT_VERSION}")
    return file


def settings_of(file: h5py.File) -> Settings:
    """The settings that a dataset was made with."""
    import tomllib

    return validate(tomllib.loads(file.attrs["settings"]))


class ClipDataset(Dataset):
    """The clips of a dataset file, for torch's DataLoader.

    An item is a dictionary with `clip`, a float32 tensor [frames, pixels, pixels] of values 0 to 1, and the state's
    `process`, `hold` and `index` (row in /states). The file is opened in the process that reads, so workers are safe.
    """

    def __init__(self, path: str | Path, split: str | None = None):
        """All states, or those of one split: "train", "validation" or "test"."""
        if split is not None and split not in SPLITS:
            raise InputError(f"split = {split!r} is not allowed; allowed: {', '.join(SPLITS)}")
        self.path = Path(path)
        self._file: h5py.File | None = None
        with open_dataset(path) as file:
            if "images" not in file["states"]:
                raise InputError(f"file = {str(path)!r} has no images; it was generated with --no-images")
            self.process = file["states/process"][()]
            self.hold = file["states/hold"][()]
            chosen = np.ones(len(self.process), dtype=bool)
            if split is not None:
                chosen = file["processes/split"][()][self.process] == SPLITS[split]
            self.index = np.flatnonzero(chosen)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> dict[str, Any]:
        if self._file is None:
            self._file = open_dataset(self.path)
        row = int(self.index[item])
        clip = torch.from_numpy(self._file["states/images"][row]).to(torch.float32) / 255.0
        return {"clip": clip, "process": int(self.process[row]), "hold": int(self.hold[row]), "index": row}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}
