"""scripts/generate_dataset.py: the report about a dataset."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image
from tiny_dataset import CONFIG, N_PROCESSES, N_STATES

SCRIPT = Path(__file__).parents[1] / "scripts" / "generate_dataset.py"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the script; returns its exit code."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return int(exit_.value.code or 0)


def test_generates_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tiny.toml").write_text(CONFIG)
    out, report = tmp_path / "tiny.h5", tmp_path / "report"
    common = ("--preset", "demo", "--out", str(out), "--report", str(report))
    assert run(monkeypatch, *common, "--config", str(tmp_path / "tiny.toml"), "--device", "cpu") == 0
    first = json.loads((report / "dataset.json").read_text())
    assert (first["processes"], first["states"]) == (N_PROCESSES, N_STATES)
    assert first["file_bytes"] == out.stat().st_size
    assert first["contacts_per_second"] == pytest.approx(first["contacts"] / first["wall_seconds"])
    for name in ("dataset.png", "process.png"):
        with Image.open(report / name) as picture:
            assert min(picture.size) > 500

    # The file is there now: the report alone is written again, with the wall time that is said.
    assert run(monkeypatch, *common, "--wall-seconds", "60") == 0
    again = json.loads((report / "dataset.json").read_text())
    assert again["wall_seconds"] == 60.0
    assert again["particle_steps_per_second"] == again["particle_steps"] / 60.0
    text = (report / "dataset.md").read_text()
    assert "| wall time | 1.0 min |" in text
    mode = again["modes"][0]
    assert (
        f"| {mode['n_particles']} | {mode['stroke']} | {mode['speed']} | {mode['states']} | {mode['flow_x']:.2f} |"
        in text
    )


def test_a_mistake_leaves_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = ("--preset", "none", "--out", str(tmp_path / "x.h5"), "--report", str(tmp_path / "report"))
    assert run(monkeypatch, *arguments) == 2
    assert list(tmp_path.iterdir()) == []
