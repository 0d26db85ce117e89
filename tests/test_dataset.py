"""Datasets of strangers: the seal is right, and something within is not; that is a line, whoever opens the file."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from gputhermo.cli import main
from gputhermo.clips import ClipDataset
from gputhermo.dataset import open_dataset
from gputhermo.errors import InputError
from gputhermo.reader import ProcessReader
from gputhermo.seal import seal


def set_attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file.attrs[name] = value

    return change


def without_attribute(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file.attrs[name]

    return change


def replaced_by(name: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        if value is not None:
            file[name] = value

    return change


def set_value(name: str, row: int, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name][row] = value

    return change


def with_bitfield(file: h5py.File) -> None:
    """An attribute of a type that NumPy does not have."""
    del file.attrs["device"]
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    h5py.h5a.create(file.id, b"device", h5py.h5t.STD_B8LE, space)


CHANGES = [
    (without_attribute("format"), "is not a gputhermo dataset"),
    (set_attribute("format", np.arange(3)), "is not a gputhermo dataset"),
    (without_attribute("format_version"), "is not a gputhermo dataset"),
    (set_attribute("format_version", "one"), "is not a gputhermo dataset"),
    (set_attribute("format_version", 99), "format version 99"),
    (without_attribute("settings"), "settings"),
    (set_attribute("settings", 3), "settings = 3"),
    (set_attribute("settings", "[gas"), "not TOML"),
    (set_attribute("settings", "seed = -1"), "seed = -1"),
    (set_attribute("settings", "seed = " + "[" * 5000), "nested too deep"),
    (without_attribute("package_version"), "package_version"),
    (without_attribute("device"), "device"),
    (set_attribute("device", "abacus"), "device = 'abacus'"),
    (with_bitfield, "device"),
    (replaced_by("processes", None), "processes/n_states is missing"),
    (replaced_by("states", np.arange(3)), "states/process is missing"),
    (replaced_by("states/time", None), "states/time is missing"),
    (replaced_by("states/phase_points", None), "states/phase_points is missing"),
    (replaced_by("processes/split", np.zeros(3, np.uint8)), "processes/split = uint8"),
    (replaced_by("processes/n_states", np.float64(3.0)), "processes/n_states is missing"),
    (set_value("processes/n_states", 0, 10**9), "first_state and n_states"),
    (set_value("processes/n_states", 0, -1), "first_state and n_states"),
    (set_value("processes/first_state", 2, 0), "first_state and n_states"),
    (set_value("processes/split", 0, 7), "processes/split"),
    (set_value("processes/n_particles", 0, 0), "processes/n_particles"),
    (set_value("processes/n_particles", 0, 11), "processes/n_particles"),
    (set_value("states/process", 0, 5), "states/process"),
    (replaced_by("states/images", np.zeros((3, 2, 32, 32), np.uint8)), "states/images = uint8"),
]


@pytest.mark.parametrize(("change", "named"), CHANGES, ids=[str(k) for k in range(len(CHANGES))])
def test_what_is_missing_or_odd_is_named(
    planted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[h5py.File], None],
    named: str,
):
    path = tmp_path / "strange.h5"
    shutil.copy(planted, path)
    with h5py.File(path, "r+") as file:
        change(file)
    seal(path)
    for read in (open_dataset, ClipDataset, lambda path: ProcessReader(path, 0)):
        with pytest.raises(InputError) as error:
            read(path)
        assert named in str(error.value)
    for command in (["info", path], ["train", path, "--out", tmp_path / "run", "--device", "cpu"]):
        assert main([str(argument) for argument in command]) == 2
        assert re.fullmatch(r"error: file = [^\n]+\n", capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_what_is_whole_is_opened(planted: Path):
    open_dataset(planted).close()
