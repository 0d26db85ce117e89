"""The command: what it writes and says, and that every mistake ends in one line and exit code 2."""

import errno
import importlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tiny_dataset import CONFIG, N_PROCESSES, N_STATES, generate_command, make

from gputhermo import __version__, doctor, progress
from gputhermo.cli import main
from gputhermo.generate import Status
from gputhermo.hdf5 import new_file
from gputhermo.process_run import ProcessRun


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny dataset file."""
    return make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with the tiny configuration."""
    (tmp_path / "tiny.toml").write_text(CONFIG)
    return tmp_path


def command(*arguments: object, limit: int | None = None) -> subprocess.Popen[str]:
    """The command in a process of its own, where no file may grow beyond `limit` bytes."""
    script = "import sys; from gputhermo.cli import main; sys.exit(main(sys.argv[1:]))"
    if limit is not None:
        script = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); " + script
    # Spelled out: a shell that runs tests in the background leaves SIGINT ignored, and Python then keeps it so.
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); " + script
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a mistake prints."""
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(r"error: [^\n]+\n", printed.err), printed.err
    return printed.err


def test_the_package_runs_as_a_module_and_tells_its_version():
    printed = subprocess.run(
        [sys.executable, "-m", "gputhermo", "--version"], check=True, capture_output=True, text=True
    )
    assert printed.stdout == f"gputhermo {__version__}\n"


# generate


def test_generate_writes_the_plan_and_says_what_it_did(folder: Path, capsys: pytest.CaptureFixture[str]):
    out = make(folder, "--seed", "5")
    printed = capsys.readouterr()
    with h5py.File(out) as file:
        assert len(file["processes/seed"]) == N_PROCESSES
        assert set(file["processes/seed"][()]) == {5}
        assert file["states/images"].shape == (N_STATES, 5, 32, 32)
    assert f"{N_STATES} of {N_PROCESSES} processes" in printed.out
    for fact in ("wall time", "equivalent", "executed", "contacts/s", "energy drift", "kB", "gputhermo info", "render"):
        assert fact in printed.out
    assert "\x1b" not in printed.out + printed.err
    assert "\r" not in printed.out + printed.err


def test_generate_without_images(folder: Path):
    with h5py.File(make(folder, "--no-images")) as file:
        assert "images" not in file["states"]
        assert len(file["states/positions"]) == N_STATES


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_resumes_to_the_same_file(tmp_path: Path, number: signal.Signals, code: int):
    longer = CONFIG.replace("hold_time = 10.0", "hold_time = 2000.0")
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tiny.toml").write_text(longer)
    run = command(*generate_command(tmp_path / "stopped"))
    parts = tmp_path / "stopped/tiny.h5.parts"
    deadline = time.monotonic() + 120.0
    while not list(parts.glob("process-*.h5")) and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(number)
    _, errors = run.communicate(timeout=60.0)
    assert run.returncode == code
    assert re.fullmatch(r"stopped; [^\n]*--resume[^\n]*\n", errors)
    assert not (tmp_path / "stopped/tiny.h5").exists()
    assert len(list(parts.glob("process-*.h5"))) < N_PROCESSES
    resumed = make(tmp_path / "stopped", "--resume", config=longer)
    assert resumed.read_bytes() == make(tmp_path / "whole", config=longer).read_bytes()
    assert not parts.exists()


# bad input


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ('[gas]\ncolour = "red"', ["gas.colour", "box_length"]),
        ("[gas]\nbox_length = -30.0", ["gas.box_length", "-30", "greater than 4"]),
        ("[gas]\nbox_length = nan", ["gas.box_length", "nan", "finite"]),
        ("[gas]\nbox_length = 30.0\n[plan]\nstrokes = [4.0]", ["plan.strokes", "4", "15"]),
        (
            "[gas]\nbox_length = 30.0\n[plan]\nstrokes = [15.0]\nn_particles = [2000]",
            ["plan.n_particles", "2000", "most"],
        ),
        ("[protocol]\nhold_time = 3.0", ["hold_time", "3", "at least"]),
        ("[protocol]\nhold_time = 10.0005", ["time", "10.0005", "0.001"]),
        ("[image]\npixels = 3000", ["pixels", "3000", "1560"]),
        ("[split]\ntrain = 0.9\nvalidation = 0.2", ["train", "1.1", "1"]),
        ("seed = -1", ["seed", "-1", "greater than or equal to 0"]),
        ("[gas", ["config", "TOML"]),
    ],
)
def test_settings_that_are_not_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, named: list[str]
):
    (tmp_path / "tiny.toml").write_text(setting)
    assert main(generate_command(tmp_path)) == 2
    line = error_line(capsys)
    assert all(word in line for word in named), line
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("", ["COMMAND"]),
        ("simulate", ["simulate", "generate"]),
        ("generate --preset demo", ["--out"]),
        ("generate --preset large --out x.h5", ["preset", "large", "paper, demo"]),
        ("generate --preset demo --out x.h5 --config none.toml", ["config", "none.toml", "No such file"]),
        ("generate --preset demo --out x.h5 --threads 0", ["threads", "0", "at least 1"]),
        ("generate --preset demo --out x.h5 --device tpu", ["device", "tpu", "auto, cpu, cuda"]),
        ("generate --preset demo --out none/x.h5", ["out", "none/x.h5", "no folder"]),
        ("generate --preset demo --out x.h5 --seed 1.5", ["seed", "1.5", "int"]),
        ("info none.h5", ["none.h5", "does not exist"]),
        ("info words.txt", ["words.txt", "not one that gputhermo wrote"]),
        ("info other.h5", ["other.h5", "not a gputhermo dataset"]),
        ("info torn.h5", ["torn.h5", "damaged"]),
        ("render tiny.h5 --process 8 --out x.png", ["process", "8", "0 to 7"]),
        ("render tiny.h5 --process -1 --out x.png", ["process", "-1", "0 to 7"]),
        ("render tiny.h5 --process 0 --hold 3 --out x.png", ["hold", "3", "0 to 2"]),
        ("render tiny.h5 --process 0 --out x.jpg", ["out", "x.jpg", ".png or .gif"]),
        ("render tiny.h5 --process 0 --out none/x.png", ["out", "none/x.png", "no folder"]),
        ("export tiny.h5 --process 0 --out x.pdb", ["out", "x.pdb", ".xyz or .gsd"]),
        ("export tiny.h5 --process 9 --out x.xyz", ["process", "9", "0 to 7"]),
    ],
)
def test_arguments_that_are_not_allowed(
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    named: list[str],
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(dataset, "tiny.h5")
    Path("torn.h5").write_bytes(dataset.read_bytes()[:5000])
    Path("words.txt").write_text("no data\n")
    with new_file(Path("other.h5")) as file:
        file["states"] = np.arange(3)
    before = sorted(tmp_path.iterdir())
    assert main(arguments.split()) == 2
    line = error_line(capsys)
    assert all(word in line for word in named), line
    assert sorted(tmp_path.iterdir()) == before
    assert Path("tiny.h5").read_bytes() == dataset.read_bytes()


def test_cuda_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("gputhermo.backend.cuda.is_available", lambda: False)
    assert main([*generate_command(folder), "--device", "cuda:1"]) == 2
    line = error_line(capsys)
    assert all(word in line for word in ("device", "cuda:1", "allowed: cpu, auto"))
    assert [path.name for path in folder.iterdir()] == ["tiny.toml"]


def test_a_file_that_is_there_is_not_overwritten(dataset: Path, folder: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copy(dataset, folder / "tiny.h5")
    assert main(generate_command(folder)) == 2
    assert "exists already" in error_line(capsys)
    assert (folder / "tiny.h5").read_bytes() == dataset.read_bytes()


@pytest.mark.parametrize("limit", [12_000, 60_000])
def test_a_disk_that_is_full(dataset: Path, folder: Path, limit: int):
    """Files may not grow beyond a limit: it is hit by a part, or by the assembled file."""
    run = command(*generate_command(folder), limit=limit)
    printed, errors = run.communicate(timeout=120.0)
    assert run.returncode == 2
    assert printed == ""
    assert re.fullmatch(r"error: out = '.*tiny.h5' cannot be written: '[^']*': File too large.*--resume.*\n", errors)
    assert not (folder / "tiny.h5").exists()
    assert make(folder, "--resume").read_bytes() == dataset.read_bytes()


def test_a_disk_that_is_full_is_called_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    assert main(generate_command(folder)) == 2
    assert "No space left on device" in error_line(capsys)
    assert not (folder / "tiny.h5").exists()


def test_a_simulation_that_goes_wrong_ends_in_one_line_and_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "tiny.toml").write_text(CONFIG + "[integrator]\ntimestep = 0.5\n")
    assert main(generate_command(tmp_path)) == 1
    error_line(capsys)
    assert not (tmp_path / "tiny.h5").exists()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_too_little_memory_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
):
    def advance(*_: object) -> None:
        raise error

    monkeypatch.setattr(ProcessRun, "advance", advance)
    assert main(generate_command(folder)) == 2
    assert "memory" in error_line(capsys)
    assert not (folder / "tiny.h5").exists()


# info


def test_info_agrees_with_the_file(dataset: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["info", str(dataset), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    with h5py.File(dataset) as file:
        states = {
            name: file[f"states/{name}"][()] for name in ("kinetic_energy", "potential_energy", "work", "process")
        }
        piston = file["states/piston_position"][()]
        flow = file["states/flow_modes"][()]
        steps = file["processes/steps"][()]
        split = file["processes/split"][()]
        sizes = file["processes/n_particles"][()]
    assert (info["processes"], info["states"]) == (N_PROCESSES, N_STATES)
    assert info["simulated_time"] == pytest.approx(0.001 * steps.sum())
    assert info["particle_steps"] == (steps * sizes).sum()
    assert [info["splits"][name]["processes"] for name in ("train", "validation", "test")] == [
        int((split == code).sum()) for code in range(3)
    ]
    drifts, returned = [], []
    for process in range(N_PROCESSES):
        rows = np.flatnonzero(states["process"] == process)
        energy = (states["kinetic_energy"] + states["potential_energy"])[rows]
        work = states["work"][rows]
        drifts.append((energy[-1] - energy[0] - (work[-1] - work[0])) / energy[-1])
        returned.append(energy[-1] / sizes[process])
    assert info["mean_drift"] == pytest.approx(np.mean(drifts))
    assert info["largest_drift"] == pytest.approx(max(drifts, key=abs))
    assert [(row["n_particles"], row["cycle"], row["processes"]) for row in info["cycles"]] == [
        (20, 0, 4),
        (20, 1, 4),
        (40, 0, 4),
        (40, 1, 4),
    ]
    assert info["cycles"][1]["energy"] == pytest.approx(np.mean(returned[:4]))
    after_push = np.zeros(N_STATES, dtype=bool)
    after_push[1:] = (np.diff(piston) < 0) & (np.diff(states["process"]) == 0)
    pushed = next(row for row in info["modes"] if row["stroke"] == "push" and row["n_particles"] == 40)
    chosen = after_push & (sizes[states["process"]] == 40)
    assert pushed["states"] == chosen.sum()
    assert pushed["flow_x"] == pytest.approx((flow[chosen, 0] ** 2).mean())
    assert info["changed_settings"]["gas.box_length"] == [30.0, 300.0]
    assert "integrator.timestep" not in info["changed_settings"]


def test_info_as_tables(dataset: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["info", str(dataset)]) == 0
    printed = capsys.readouterr().out
    for words in ("32 states of 8 processes", "gas.box_length", "states/images", "energy/N", "energy drift"):
        assert words in printed


# render


def test_render_a_process_as_png(dataset: Path, tmp_path: Path):
    out = tmp_path / "process.png"
    assert main(["render", str(dataset), "--process", "7", "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 500


def test_render_with_time_series(tmp_path: Path):
    file = make(tmp_path, config=CONFIG + "[series]\ninterval = 1.0\n")
    assert main(["render", str(file), "--process", "3", "--out", str(tmp_path / "series.png")]) == 0
    assert (tmp_path / "series.png").stat().st_size > 10_000


def test_pictures_are_the_same_without_images_in_the_file(dataset: Path, tmp_path: Path):
    bare = make(tmp_path, "--no-images")
    for hold, name in (("2", "state.png"), ("2", "state.gif")):
        pictures = []
        for file in (dataset, bare):
            assert main(["render", str(file), "--process", "7", "--hold", hold, "--out", str(tmp_path / name)]) == 0
            pictures.append((tmp_path / name).read_bytes())
        assert pictures[0] == pictures[1]


def test_an_animation_shows_every_snapshot_and_the_piston(dataset: Path, tmp_path: Path):
    out = tmp_path / "process.gif"
    assert main(["render", str(dataset), "--process", "7", "--out", str(out)]) == 0
    with h5py.File(dataset) as file:
        images = file["states/images"][-5:]
    with Image.open(out) as picture:
        assert picture.n_frames == 5 * 5
        walls = []
        for frame in range(0, 25, 5):
            picture.seek(frame)
            pixels = np.asarray(picture.convert("RGB")).astype(int)
            walls.append(int(np.argmax(pixels[100, :, 0] - pixels[100, :, 2] > 150)))
        assert walls == [256, 192, 128, 192, 256]
        picture.seek(24)
        shown = np.asarray(picture.convert("L"))[4:256:8, 4:256:8]
    assert np.corrcoef(shown.ravel(), images[-1, -1].ravel())[0, 1] < -0.99


# doctor


def test_doctor(capsys: pytest.CaptureFixture[str]):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for words in ("Python", "CPU cores", "memory", "torch", "CUDA, numba", "CUDA, CuPy", "CUDA, torch"):
        assert words in printed


def test_doctor_takes_a_broken_package_as_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def broken(name: str) -> None:
        raise RuntimeError(f"{name} [was built\nfor another world]")

    monkeypatch.setattr(importlib, "import_module", broken)
    monkeypatch.setitem(doctor.PACKAGES, "no-such-package", "export")
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "cupy [was built for another world]" in printed
    assert "gputhermo[cuda13]" in printed
    assert "not installed; to get it: pip install 'gputhermo[export]'" in printed


# progress


def status(fraction: float, elapsed: float) -> Status:
    return Status(
        processes_done=3,
        n_processes=8,
        simulated_time=100.0,
        total_time=200.0,
        fraction=fraction,
        particle_steps=10_000_000,
        executed=1000,
        contacts=10,
        elapsed=elapsed,
        device="cpu",
    )


def test_progress_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
    output = io.StringIO()
    with progress.show_progress(Console(file=output)) as report:
        report(status(0.2, 10.0))
        report(status(0.6, 20.0))
    lines = output.getvalue().splitlines()
    assert len(lines) == 2
    assert " ".join(lines[1].split()) == "60.0% 3/8 processes time 100/200 5.00e+05 particle-steps/s 10 s left"


def test_progress_on_a_terminal():
    output = io.StringIO()
    with progress.show_progress(Console(file=output, force_terminal=True, width=150)) as report:
        report(status(0.2, 10.0))
        report(status(0.6, 20.0))
    assert "3/8 processes" in output.getvalue()
    assert "10 s left" in output.getvalue()


def test_a_second_signal_has_its_usual_effect():
    usual = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with progress.stop_on_signals() as stop:
            assert not stop()
            signal.raise_signal(signal.SIGINT)
            assert stop()
            assert stop.signal == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, usual)
