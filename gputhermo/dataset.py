"""The dataset file: what it holds, and how it is read. HDF5, which plain h5py reads as well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np

from .errors import InputError
from .hdf5 import attributes, open_file
from .parameters import Section, Settings, parse_toml, validate, validate_as

FORMAT = "gputhermo dataset"
FORMAT_VERSION = 2
SPLITS = {"train": 0, "validation": 1, "test": 2}

UNITS = "energy kB T0, length R, mass m, time R sqrt(m / kB T0)"
CHOICES = (
    "Not given by arXiv:2506.01506 and chosen here: which 448 sets of parameters (plan.max_rank_difference), "
    "protocol.hold_time, the exact time of the snapshots (the last one at the end of the hold), the pixel rule (a "
    "raster pixel is 1 where its centre lies within R of a particle's centre), the split by process, compression, "
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
    "density_modes": Field(np.float64, ("2",), "thermal", "first density mode along x and y; likewise"),
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
GUARDS = {
    "energy_imbalance": Field(
        np.float64, (), "", "largest energy between two states that no work accounts for, relative"
    ),
    "closest_pair": Field(np.float64, (), "R", "smallest distance of two particles in a state; 2 if none touch"),
    "potential_mismatch": Field(
        np.float64, (), "", "potential energy against all pairs and walls, relative to the energy"
    ),
    "rerun_deviation": Field(np.float64, (), "R", "between the engines after a state was run again; NaN if none was"),
    "rerun_imbalance": Field(
        np.float64, (), "", "change of energy then, over potential energy and kB T; NaN if none was"
    ),
    "warnings": Field(np.int32, (), "", "how many of the five are unusual"),
}
SERIES = {
    "process": Field(np.int32, (), "", "row in /processes"),
    "time": Field(np.float64, (), "time", "end of the interval"),
    "piston_position": Field(np.float64, (), "R", "Lx then"),
    "kinetic_temperature_x": Field(np.float64, (), "T0", "2 K_x / N"),
    "kinetic_temperature_y": Field(np.float64, (), "T0", "2 K_y / N"),
    "potential_energy": Field(np.float64, (), "kB T0", "at that time"),
    "work": Field(np.float64, (), "kB T0", "done by the piston since t = 0"),
    "pressure": Field(
        np.float64,
        ("6",),
        "kB T0 / R^2",
        "mean over the interval: left, piston, bottom, top, both faces of a partition",
    ),
}


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested dictionaries."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def split_processes(settings: Settings, n_processes: int, seed: int | None = None) -> np.ndarray:
    """Which split each process belongs to, uint8 [n_processes], drawn from `seed`; by default that of the settings."""
    order = np.random.Generator(np.random.Philox(settings.seed if seed is None else seed)).permutation(n_processes)
    n_train = round(settings.split.train * n_processes)
    n_validation = round(settings.split.validation * n_processes)
    split = np.full(n_processes, SPLITS["test"], dtype=np.uint8)
    split[order[:n_train]] = SPLITS["train"]
    split[order[n_train : n_train + n_validation]] = SPLITS["validation"]
    return split


def members(split: np.ndarray, name: str) -> list[int]:
    """The processes of the split "train", "validation" or "test", in ascending order; `split` is as in /processes."""
    return [int(index) for index in np.flatnonzero(split == SPLITS[name])]


class Description(Section):
    """What the attributes of a dataset file say of it; it has others beside."""

    package_version: str
    device: Literal["cpu", "cuda"]
    settings: str
    """All settings, as TOML."""


def open_dataset(path: str | Path) -> h5py.File:
    """The file, opened for reading; InputError if it is not a dataset of this format, or a part of one is missing."""
    file = open_file(path, FORMAT, FORMAT_VERSION)
    try:
        check_arrays(file, settings_of(file))
    except InputError as error:
        file.close()
        raise InputError(f"file = {str(path)!r} is not a whole {FORMAT}: {error}") from None
    return file


def description_of(file: h5py.File) -> Description:
    """What a dataset file says of itself; InputError if it does not."""
    said = attributes(file)
    return validate_as(Description, {name: said[name] for name in Description.model_fields if name in said})


def settings_of(file: h5py.File) -> Settings:
    """The settings that a dataset was made with; InputError if they are none."""
    return validate(parse_toml(description_of(file).settings))


def check_arrays(file: h5py.File, settings: Settings) -> None:
    """Raise InputError unless every array is there, of the type and shape that it must have, and rows fit together."""
    n_processes = n_rows(file, "processes/n_states")
    n_states = n_rows(file, "states/process")
    guards = {} if attributes(file)["format_version"] == 1 else GUARDS  # format 1 has none
    for group, fields, rows in (("processes", PROCESSES | guards, n_processes), ("states", STATES, n_states)):
        for name, field in fields.items():
            check_array(file, f"{group}/{name}", field, rows, settings)
    for name, field in CHUNKED.items():
        if name != "images" or "images" in file["states"]:
            check_array(file, f"states/{name}", field, n_states, settings)
    if "series" in file:
        rows = n_rows(file, "series/process")
        for name, field in SERIES.items():
            check_array(file, f"series/{name}", field, rows, settings)
    first, counts = (file[f"processes/{name}"][()] for name in ("first_state", "n_states"))
    if n_states == 0 or (counts < 1).any() or (first != np.cumsum(counts) - counts).any() or counts.sum() != n_states:
        raise InputError("processes/first_state and n_states are not allowed: they must divide the rows of /states")
    for name, end in (("n_particles", max(settings.plan.n_particles) + 1), ("split", len(SPLITS))):
        values = file[f"processes/{name}"][()]
        if not ((name == "split" or values >= 1) & (values < end)).all():
            raise InputError(f"processes/{name} is not allowed: a value lies beyond what the settings have")
    if (file["states/process"][()] != np.repeat(np.arange(n_processes), counts)).any():
        raise InputError("states/process is not allowed: it must be the row of each state's process")


def n_rows(file: h5py.File, name: str) -> int:
    """Length of an array of the file; InputError if there is none."""
    array = file.get(name)
    if not isinstance(array, h5py.Dataset) or not array.shape:
        raise InputError(f"{name} is missing")
    return len(array)


def check_array(file: h5py.File, name: str, field: Field, rows: int, settings: Settings) -> None:
    """Raise InputError unless the file has an array of this name, and it is what `field` says."""
    n_rows(file, name)
    sizes = {
        "frames": settings.protocol.frames,
        "N": max(settings.plan.n_particles),
        "pixels": settings.image.pixels,
    }
    shape = (rows, *(sizes.get(side) or int(side) for side in field.shape))
    array = file[name]
    if (array.dtype, array.shape) != (field.dtype, shape):
        raise InputError(
            f"{name} = {array.dtype} {array.shape} is not allowed: {np.dtype(field.dtype)} {shape} is needed"
        )


def split_of(file: h5py.File, seed: int | None = None) -> np.ndarray:
    """Which split each process belongs to, uint8 [n_processes]: as the file says, or drawn anew from `seed`."""
    split: np.ndarray = file["processes/split"][()]
    return split if seed is None else split_processes(settings_of(file), len(split), seed)
