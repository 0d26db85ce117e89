"""The command `train`: what it says, and mistakes, which are one line and leave everything as it was."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from folders import contents
from planted_dataset import plant

from gputhermo import train as training
from gputhermo.cli import main


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a command that ends with exit code 2."""
    assert main(["train", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(r"error: [^\n]+\n", printed.err), printed.err
    return printed.err


def test_train_says_what_it_came_to(planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "train.toml"
    config.write_text("processes_per_step = 6\nepochs = 9\n")
    out = tmp_path / "run"
    assert main(["train", str(planted), "--out", str(out), "--config", str(config), "--epochs", "2"]) == 0
    printed = capsys.readouterr().out
    last = json.loads((out / "history.jsonl").read_text().splitlines()[-1])
    assert (last["epoch"], last["step"]) == (2, 4)
    for words in (f"loss {last['validation_loss']:.4f}", "over all pairs", "wall time", "best.safetensors", "history"):
        assert words in printed


def test_a_stopped_command_says_how_to_go_on(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    arguments = ["train", str(planted), "--out", str(tmp_path / "run"), "--epochs", "2", "--device", "cpu"]
    step = training.Training._step

    def interrupted(run: training.Training, clips: list[torch.Tensor]) -> None:
        step(run, clips)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(training.Training, "_step", interrupted)
        assert main(arguments) == 130
    assert re.fullmatch(r"stopped; [^\n]*--resume[^\n]*\n", capsys.readouterr().err)
    assert "--resume" in fails(capsys, *arguments[1:])
    assert main([*arguments, "--resume"]) == 0
    files = contents(tmp_path / "run")
    assert main([*arguments, "--resume"]) == 0, "nothing is left to do"
    assert contents(tmp_path / "run") == files
    capsys.readouterr()
    assert "another dataset" in fails(capsys, *arguments[1:], "--resume", "--seed", "8")
    assert contents(tmp_path / "run") == files


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--epochs", "0"], ["epochs = 0", "greater than or equal to 1"]),
        (["--seed", "-1"], ["seed = -1"]),
        (["--threads", "0"], ["threads = 0"]),
        (["--device", "tpu"], ["device = 'tpu'", "cpu"]),
        (["--device", "cuda:99"], ["device = 'cuda:99'"]),
        (["--cache", "-1"], ["cache = -1", "0 GB or more"]),
        (["--cache", "nan"], ["cache = nan"]),
        (["--preset", "demo"], ["one dataset", "FILE", "--preset"]),
        (["--dataset-config", "tiny.toml"], ["--dataset-config", "FILE"]),
    ],
)
def test_options_that_are_not_allowed(
    planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], named: list[str]
):
    error = fails(capsys, planted, "--out", tmp_path / "run", *options)
    for words in named:
        assert words in error
    assert not (tmp_path / "run").exists()


def test_settings_that_are_not_allowed(planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "train.toml"
    for text, named in (("momentum = 0.9", "learning_rate"), ("learning_rate = -1.0", "learning_rate = -1.0")):
        config.write_text(text)
        assert named in fails(capsys, planted, "--out", tmp_path / "run", "--config", config)
    assert not (tmp_path / "run").exists()


def test_files_that_cannot_be_learned_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "run"
    assert "one dataset" in fails(capsys, "--out", out)
    assert "does not exist" in fails(capsys, tmp_path / "none.h5", "--out", out)
    file = plant(tmp_path / "few.h5", n_validation=0)
    assert "split.validation" in fails(capsys, file, "--out", out)
    whole = plant(tmp_path / "whole.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    assert "cut.h5" in fails(capsys, tmp_path / "cut.h5", "--out", out)
    assert not out.exists()


def test_nothing_foreign_is_overwritten(planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("mine")
    assert "a folder is needed" in fails(capsys, planted, "--out", tmp_path / "file")
    assert "other files" in fails(capsys, planted, "--out", tmp_path)
    assert "no folder" in fails(capsys, planted, "--out", tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_loss_that_is_not_a_number_ends_the_run(planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "train.toml"
    config.write_text("learning_rate = 1e30")
    error = fails(capsys, planted, "--out", tmp_path / "run", "--config", config)
    assert "learning_rate = 1e+30" in error
    assert "steps" in error
    assert not (tmp_path / "run/best.safetensors").exists()


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from planted_dataset import plant
from gputhermo.cli import main

folder = Path(sys.argv[1])
small, large = plant(folder / "small.h5"), plant(folder / "large.h5", pixels=256)
(folder / "train.toml").write_text("processes_per_step = 12\\nprecision = 'float32'\\n")

def train(file, out):
    options = ("--config", str(folder / "train.toml"), "--epochs", "1", "--device", "cpu", "--threads", "1")
    return main(["train", str(file), "--out", str(folder / out), *options])

assert train(small, "small") == 0, "all that a run imports is there from now on"
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, used + 50_000_000))
sys.exit(train(large, "large"))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited as on Linux")
def test_too_little_memory_is_one_line(tmp_path: Path):
    """66 clips of 256 x 256 take some 300 MB in a step; 50 MB are left."""
    result = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=300.0,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    assert re.fullmatch(r"error: processes_per_step = 12 [^\n]+ memory [^\n]+\n", result.stderr), result.stderr
    assert set(contents(tmp_path / "large")) == {"settings.toml"}


def test_a_full_disk_is_one_line(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left" in fails(capsys, planted, "--out", tmp_path / "run")
    assert set(contents(tmp_path / "run")) == {"settings.toml"}
