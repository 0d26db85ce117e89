"""Generating a dataset: the same file however often the run is stopped, killed and resumed, on either backend."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from gputhermo import parts
from gputhermo.backend import CpuBackend
from gputhermo.clips import ClipDataset
from gputhermo.errors import InputError, Stopped
from gputhermo.generate import generate
from gputhermo.observables import mode_amplitudes
from gputhermo.parameters import PRESETS, load_settings, to_toml, validate
from gputhermo.parts import Parts, ProcessData
from gputhermo.process import plan_processes
from gputhermo.process_run import ProcessRun
from gputhermo.simulate import Simulation
from gputhermo.workfolder import WorkFolder

TINY = validate(
    {
        "seed": 7,
        "gas": {"box_length": 30.0},
        "protocol": {"hold_time": 4.0, "n_cycles": 1, "frames": 3, "frame_interval": 0.5},
        "plan": {"n_particles": [20, 35], "push_speeds": [1.0], "pull_speeds": [0.5, 1.0], "strokes": [15.0, 7.5]},
        "image": {"pixels": 32, "raster_pixels": 195},
        "series": {"interval": 1.0},
    }
)

# The simulator runs Python threads for the threads of a block: as few particles and steps as show everything.
MINUTE = validate(
    {
        "gas": {"box_length": 12.0, "interaction_strength": 500.0},
        "integrator": {"timestep": 0.005},
        "protocol": {"hold_time": 0.6, "n_cycles": 1, "frames": 2, "frame_interval": 0.2},
        "plan": {"n_particles": [4, 6], "push_speeds": [3.0], "pull_speeds": [3.0], "strokes": [6.0]},
        "image": {"pixels": 8, "raster_pixels": 49},
        "series": {"interval": 0.5},
    }
)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a run that nothing interrupts."""
    out = tmp_path_factory.mktemp("reference") / "tiny.h5"
    generate(TINY, out, device=CpuBackend(1))
    return out


def test_any_number_of_threads(reference: Path, tmp_path: Path):
    generate(TINY, tmp_path / "tiny.h5", device="cpu", n_threads=3)
    assert (tmp_path / "tiny.h5").read_bytes() == reference.read_bytes()


def test_stopped_after_every_launch(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Launches of a few windows each, and a new process's worth of state rebuilt from the disk after every one."""
    monkeypatch.setattr(Simulation.advance, "__defaults__", (2_000,))
    out = tmp_path / "tiny.h5"
    stops = 0
    folder = out.with_name("tiny.h5.parts")
    while not out.exists():
        try:
            generate(TINY, out, device="cpu", resume=True, stop=lambda: len(list(folder.glob("process-*.h5"))) < 16)
        except Stopped:
            stops += 1
            assert stops < 1000
    assert stops > 10
    assert out.read_bytes() == reference.read_bytes()
    assert not folder.exists()


def test_the_simulation_goes_on_while_a_process_is_written(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each process is written two launches after it has finished, or when nothing is left to be simulated."""
    monkeypatch.setattr(Simulation.advance, "__defaults__", (2_000,))
    advance, write = ProcessRun.advance, Parts.write
    launches = threading.Semaphore(0)
    waited = []

    def counted(run: ProcessRun) -> list:
        launches.release()
        return advance(run)

    def late(*arguments: object) -> None:
        while launches.acquire(blocking=False):
            pass
        waited.append([launches.acquire(timeout=0.5) for _ in range(2)])
        write(*arguments)

    monkeypatch.setattr(ProcessRun, "advance", counted)
    monkeypatch.setattr(Parts, "write", late)
    generate(TINY, tmp_path / "tiny.h5", device=CpuBackend(1))
    assert (tmp_path / "tiny.h5").read_bytes() == reference.read_bytes()
    assert [True, True] in waited


def test_what_fails_in_the_writing_thread_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What was finished before is kept."""
    write, written = Parts.write, []

    def fails_once(parts: Parts, data: ProcessData, *arguments: object) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "process.h5")
        write(parts, data, *arguments)
        written.append(parts.part(data.process.index))

    monkeypatch.setattr(Parts, "write", fails_once)
    with pytest.raises(OSError, match="No space"):
        generate(TINY, tmp_path / "tiny.h5", device="cpu")
    assert len(written) == 2
    assert all(path.exists() for path in written)
    monkeypatch.undo()
    generate(TINY, tmp_path / "tiny.h5", device="cpu", resume=True)


def test_damaged_work_is_done_again(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A part, and the checkpoint of a process in flight."""
    monkeypatch.setattr(Simulation.advance, "__defaults__", (2_000,))
    out = tmp_path / "tiny.h5"
    folder = out.with_name("tiny.h5.parts")
    with pytest.raises(Stopped):
        generate(TINY, out, device="cpu", stop=lambda: len(list(folder.glob("process-*.h5"))) >= 3)
    for name in ("process-*.h5", "flight-*.safetensors"):
        damaged = sorted(folder.glob(name))[0]
        content = bytearray(damaged.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
    generate(TINY, out, device="cpu", resume=True)
    assert out.read_bytes() == reference.read_bytes()


def test_simulated_cuda_makes_the_same_file(simulator, tmp_path: Path):
    """The whole path: initial states, both launches of a stopped run, recording, images; against the CPU's arrays."""
    script = """
import sys
from gputhermo.errors import Stopped
from gputhermo.generate import generate
from gputhermo.parameters import Settings
from gputhermo.simulate import Simulation
settings = Settings.model_validate_json(sys.argv[1])
stops = 0
Simulation.advance.__defaults__ = (400,)
while True:
    try:
        generate(settings, sys.argv[2], device="cuda", resume=True, stop=lambda: stops < 2)
        break
    except Stopped:
        stops += 1
print(stops)
"""
    generate(MINUTE, tmp_path / "cpu.h5", device=CpuBackend(1))
    assert simulator(script, MINUTE.model_dump_json(), tmp_path / "cuda.h5", timeout=900.0).strip() == "2"
    with h5py.File(tmp_path / "cpu.h5") as ours, h5py.File(tmp_path / "cuda.h5") as theirs:
        assert theirs.attrs["device"] == "cuda"
        assert ours["processes/contacts"][()].min() > 0
        for group in ("states", "processes", "series"):
            assert set(ours[group]) == set(theirs[group])
            for name in ours[group]:
                assert np.array_equal(ours[group][name][()], theirs[group][name][()], equal_nan=True), name


def test_unfinished_work_is_not_overwritten(tmp_path: Path):
    out = tmp_path / "tiny.h5"
    with pytest.raises(Stopped):
        generate(TINY, out, device="cpu", stop=lambda: True)
    with pytest.raises(InputError, match=r"has unfinished work in .* continue it with --resume or remove it"):
        generate(TINY, out, device="cpu")
    with pytest.raises(InputError, match="the work was begun with other settings"):
        generate(TINY.model_copy(update={"seed": 8}), out, device="cpu", resume=True)
    with pytest.raises(InputError, match="the work was begun with other settings"):
        generate(TINY, out, device="cpu", resume=True, with_images=False)


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("image", {"pixels": 4096, "raster_pixels": 4096}, r"image.pixels = 4096, .* states have images of .* GB"),
        ("protocol", {"frames": 300, "frame_interval": 0.01}, r"protocol.frames = 300 is not allowed: with image"),
    ],
)
def test_images_that_no_memory_holds(
    section: str, changes: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gputhermo.generate.host_memory", lambda: 10**8)
    monkeypatch.setattr("gputhermo.generate.LARGEST_CHUNK", 300 * 32**2 if section == "protocol" else 2**32)
    settings = TINY.model_copy(update={section: getattr(TINY, section).model_copy(update=changes)})
    with pytest.raises(InputError, match=message):
        generate(settings, tmp_path / "large.h5", device="cpu")
    assert not any(tmp_path.iterdir())


def test_finished_file_is_not_overwritten(reference: Path, tmp_path: Path):
    before = reference.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        generate(TINY, reference, device="cpu")
    with pytest.raises(InputError, match="exists already"):
        generate(TINY.model_copy(update={"seed": 8}), reference, device="cpu", resume=True)
    with pytest.raises(InputError, match="exists already"):
        generate(TINY, reference, device="cpu", resume=True, with_images=False)
    status = generate(TINY, reference, device="cpu", resume=True)
    assert status.fraction == 1.0
    assert status.particle_steps == 0
    assert reference.read_bytes() == before
    foreign = tmp_path / "foreign.h5"
    foreign.write_text("a file of another kind")
    with pytest.raises(InputError, match="is not one that gputhermo wrote"):
        generate(TINY, foreign, device="cpu", resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["foreign.h5"]


def test_folder_belongs_to_one_run_at_a_time(tmp_path: Path):
    """The second run begins while the first is at work."""
    out = tmp_path / "tiny.h5"

    def stop() -> bool:
        with pytest.raises(InputError, match="out is in use: another process works in"):
            generate(TINY, out, device="cpu", resume=True)
        return True

    with pytest.raises(Stopped):
        generate(TINY, out, device="cpu", stop=stop)


def test_a_file_that_another_run_makes_at_the_last_moment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is not there when it is looked for, and there once the folder is claimed."""
    out = tmp_path / "tiny.h5"

    def claim(*arguments: object, **options: object) -> WorkFolder:
        out.write_text("of the other run")
        return WorkFolder(*arguments, **options)

    monkeypatch.setattr(parts, "WorkFolder", claim)
    with pytest.raises(InputError, match="another process has just made"):
        generate(TINY, out, device="cpu")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of the other run"]


def test_contents(reference: Path):
    with h5py.File(reference) as file:
        states, processes = file["states"], file["processes"]
        planned = plan_processes(TINY)
        assert file.attrs["settings"] == to_toml(TINY)
        assert file["parameters"].attrs["gas.box_length"] == 30.0
        assert processes["push_stroke"][()].tolist() == [process.push_stroke for process in planned]
        n_states = [1 + round(15.0 / p.push_stroke) + round(15.0 / p.pull_stroke) for p in planned]
        assert processes["n_states"][()].tolist() == n_states
        assert np.bincount(states["process"][()]).tolist() == n_states
        assert np.bincount(processes["split"][()], minlength=3).tolist() == [12, 2, 2]

        n = states["n_particles"][()]
        for k in range(len(n)):
            points, positions = states["phase_points"][k], states["positions"][k]
            assert np.isnan(points[n[k] :]).all()
            assert np.isnan(positions[:, n[k] :]).all()
            assert np.array_equal(positions[-1, : n[k]], points[: n[k], :2].astype(np.float32))
            kinetic = 0.5 * (points[: n[k], 2:] ** 2).sum()
            assert states["kinetic_energy"][k] == pytest.approx(kinetic, rel=1e-12)
            flow, density = mode_amplitudes(points[: n[k]], states["piston_position"][k], 30.0, np)
            np.testing.assert_allclose(states["flow_modes"][k], flow)
            np.testing.assert_allclose(states["density_modes"][k], density)
        assert states["images"].shape == (len(n), 3, 32, 32)
        assert states["images"][()].reshape(len(n), -1).any(axis=1).all()

        series = file["series"]
        last = np.flatnonzero(np.diff(series["process"][()], append=-1))
        ends = np.flatnonzero(np.diff(states["process"][()], append=-1))
        np.testing.assert_allclose(series["time"][()][last], states["time"][()][ends])
        np.testing.assert_array_equal(series["work"][()][last], states["work"][()][ends])


def test_energy_is_the_work_done(reference: Path):
    with h5py.File(reference) as file:
        states = {
            name: file[f"states/{name}"][()] for name in ("process", "kinetic_energy", "potential_energy", "work")
        }
    balance = states["kinetic_energy"] + states["potential_energy"] - states["work"]
    start = balance[np.searchsorted(states["process"], states["process"])]
    assert np.abs(states["work"]).max() > 5.0
    np.testing.assert_allclose(balance, start, rtol=0.03)


def test_clips_for_training(reference: Path):
    sizes = [len(ClipDataset(reference, split)) for split in ("train", "validation", "test", None)]
    assert sum(sizes[:3]) == sizes[3]
    dataset = ClipDataset(reference, "test")
    with h5py.File(reference) as file:
        item = dataset[1]
        assert np.array_equal(item["clip"].numpy(), file["states/images"][item["index"]].astype(np.float32) / 255.0)
        assert file["processes/split"][item["process"]] == 2
    with pytest.raises(InputError, match="split = 'all' is not allowed; allowed: train, validation, test"):
        ClipDataset(reference, "all")


def test_exact_energy(tmp_path: Path):
    """Twins: another seed, the same number of particles, volume and energy."""
    settings = TINY.model_copy(update={"gas": TINY.gas.model_copy(update={"exact_energy": True, "temperature": 1.5})})
    energies = []
    for seed in (1, 2):
        out = tmp_path / f"{seed}.h5"
        generate(settings.model_copy(update={"seed": seed}), out, device="cpu", with_images=False)
        with h5py.File(out) as file:
            assert "images" not in file["states"]
            first = file["processes/first_state"][()]
            states = file["states"]
            energies.append(states["kinetic_energy"][()][first] + states["potential_energy"][()][first])
            np.testing.assert_allclose(energies[-1], 1.5 * states["n_particles"][()][first], rtol=0.02)
    assert not np.array_equal(*energies)


def test_papers_plan():
    """The numbers that arXiv:2506.01506 gives: 448 processes; and 19,744 states, which follow from the strokes."""
    processes = plan_processes(PRESETS["paper"])
    assert len(processes) == 448
    assert sum(1 + 3 * (round(150 / p.push_stroke) + round(150 / p.pull_stroke)) for p in processes) == 19_744
    assert {p.n_particles for p in processes} == {500, 1000, 1500, 2000}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plan": {"strokes": [4.0]}}, "plan.strokes = 4 is not allowed: each must divide L/2 = 150"),
        (
            {"plan": {"n_particles": [20_000]}},
            "plan.n_particles = 20000 is not allowed: random placement reaches at most",
        ),
        ({"protocol": {"hold_time": 3.0}}, "hold_time = 3 is shorter than a clip"),
        ({"protocol": {"hold_time": 1000.0004}}, "Hold time = 1000 is not allowed: a positive multiple"),
        ({"series": {"interval": 0.0015}}, "series.interval = 0.0015 is not allowed: a positive multiple"),
        ({"plan": {"strokes": [150.0 / 10**9]}}, "must divide L/2 = 150, at most 10000000 times"),
        ({"protocol": {"n_cycles": 10_000}}, "make 3.2e\\+08 snapshots; at most 10000000 are allowed"),
        (
            {
                "gas": {"box_length": 90_000.0},
                "protocol": {"hold_time": 1000.0, "n_cycles": 100, "frames": 1000},
                "plan": {"n_particles": [1_000_000], "strokes": [45_000.0]},
            },
            "plan.n_particles = 1000000, 201000 snapshots and .* takes 1.61e\\+03 GB, and cpu has .* GB of memory",
        ),
        ({"image": {"raster_pixels": 10**6}}, "image.raster_pixels = 1000000 is not allowed: .* less than or equal"),
        ({"plan": {"n_particles": []}}, "plan.n_particles = \\[\\] is not allowed"),
        ({"plan": {"strokes": []}}, "plan.strokes = \\[\\] is not allowed"),
        ({"integrator": {"timestep": 1e-20}}, "integrator.timestep = 1e-20 is not allowed"),
        ({"protocol": {"hold_time": 1e300}}, "Hold time = 1e\\+300 is not allowed"),
        ({"gas": {"temperature": -1.0}}, "gas.temperature = -1.0 is not allowed"),
        ({"gas": {"pressure": 1.0}}, "gas.pressure is not a setting; allowed there: box_length"),
        ({"split": {"train": 0.9, "validation": 0.2}}, "train \\+ validation = 1.1; at most 1 is allowed"),
        ({"image": {"pixels": 2000}}, "pixels = 2000 is more than raster_pixels = 1560"),
    ],
)
def test_settings_that_cannot_be_carried_out(changes: dict, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message) as error:
        generate(validate(changes), tmp_path / "none.h5", device="cpu")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_settings_survive_toml(tmp_path: Path):
    path = tmp_path / "settings.toml"
    path.write_text(to_toml(TINY))
    assert load_settings("paper", path) == TINY
