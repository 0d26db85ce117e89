"""Exported snapshots: read back by code that is not ours where it exists, they are those of the file."""

import sys
from pathlib import Path

import gsd.hoomd
import h5py
import numpy as np
import pytest
from tiny_dataset import make

from gputhermo.cli import main

PROCESS, HOLDS, FRAMES = 6, 4, 5
"""The last process but one has 40 particles and four holds."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny dataset file."""
    return make(tmp_path_factory.mktemp("tiny"), "--no-images")


@pytest.fixture(scope="module")
def states(dataset: Path) -> dict[str, np.ndarray]:
    """The states of the process, as plain h5py gives them."""
    with h5py.File(dataset) as file:
        first, number = (int(file[f"processes/{name}"][PROCESS]) for name in ("first_state", "n_states"))
        assert number == HOLDS
        return {name: array[first : first + number] for name, array in file["states"].items()}


def read_xyz(path: Path) -> list[tuple[dict[str, str], np.ndarray]]:
    """Comment and numbers of each frame of an extended XYZ file, by its specification (libAtoms)."""
    lines = path.read_text().splitlines()
    frames = []
    while lines:
        n = int(lines[0])
        comment: dict[str, str] = {}
        name = ""
        for number, part in enumerate(lines[1].split('"')):
            if number % 2:
                comment[name] = part
                continue
            for word in part.split():
                name, _, value = word.partition("=")
                comment[name] = value
        frames.append((comment, np.array([[float(word) for word in line.split()[1:]] for line in lines[2 : n + 2]])))
        lines = lines[n + 2 :]
    return frames


def test_xyz_holds_every_snapshot(dataset: Path, states: dict[str, np.ndarray], tmp_path: Path):
    out = tmp_path / "process.xyz"
    assert main(["export", str(dataset), "--process", str(PROCESS), "--out", str(out)]) == 0
    frames = read_xyz(out)
    assert len(frames) == HOLDS * FRAMES
    for number, (comment, table) in enumerate(frames):
        hold, frame = divmod(number, FRAMES)
        piston = states["piston_position"][hold]
        assert comment["Lattice"].split() == [f"{piston:g}", "0", "0", "0", "30", "0", "0", "0", "2"]
        assert comment["pbc"] == "F F F"
        assert float(comment["piston_position"]) == piston
        assert float(comment["Time"]) == pytest.approx(states["time"][hold] - (FRAMES - 1 - frame))
        assert int(comment["hold"]) == hold
        np.testing.assert_array_equal(table[:, :2].astype(np.float32), states["positions"][hold, frame, :40])
        np.testing.assert_array_equal(table[:, 2:4], np.tile([0.0, 1.0], (40, 1)))
        if frame < FRAMES - 1:
            assert comment["Properties"] == "species:S:1:pos:R:3:radius:R:1"
            assert table.shape == (40, 4)
        else:
            assert comment["Properties"] == "species:S:1:pos:R:3:radius:R:1:velo:R:3"
            np.testing.assert_array_equal(table[:, [0, 1, 4, 5]], states["phase_points"][hold, :40])


def test_gsd_holds_every_snapshot(dataset: Path, states: dict[str, np.ndarray], tmp_path: Path):
    out = tmp_path / "process.gsd"
    assert main(["export", str(dataset), "--process", str(PROCESS), "--out", str(out)]) == 0
    with gsd.hoomd.open(str(out)) as trajectory:
        assert len(trajectory) == HOLDS * FRAMES
        for number, frame in enumerate(trajectory):
            hold, snapshot = divmod(number, FRAMES)
            piston = states["piston_position"][hold]
            assert frame.configuration.dimensions == 2
            assert frame.configuration.box[:2].tolist() == [piston, 30.0]
            assert frame.configuration.step == round((states["time"][hold] - (FRAMES - 1 - snapshot)) * 1000)
            assert frame.log["piston_position"] == [piston]
            np.testing.assert_allclose(
                frame.particles.position[:, :2] + [0.5 * piston, 15.0],
                states["positions"][hold, snapshot, :40],
                atol=4e-6,
            )
            np.testing.assert_array_equal(frame.particles.diameter, 2.0)
            if snapshot == FRAMES - 1:
                velocities = states["phase_points"][hold, :40, 2:].astype(np.float32)
                np.testing.assert_array_equal(frame.particles.velocity[:, :2], velocities)


def test_one_hold(dataset: Path, tmp_path: Path):
    out = tmp_path / "state.xyz"
    assert main(["export", str(dataset), "--process", str(PROCESS), "--hold", "2", "--out", str(out)]) == 0
    assert [comment["hold"] for comment, _ in read_xyz(out)] == ["2"] * FRAMES


def test_without_gsd_one_line_says_how_to_get_it(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "gsd", None)
    monkeypatch.setitem(sys.modules, "gsd.hoomd", None)
    assert main(["export", str(dataset), "--process", "0", "--out", str(tmp_path / "x.gsd")]) == 2
    assert capsys.readouterr().err == "error: export to .gsd needs the package gsd: pip install 'gputhermo[export]'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_earlier_export(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "process.xyz"
    out.write_text("earlier")

    def savetxt(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setattr(np, "savetxt", savetxt)
    assert main(["export", str(dataset), "--process", "0", "--out", str(out)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["process.xyz"]
    assert out.read_text() == "earlier"
