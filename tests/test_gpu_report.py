"""scripts/gpu_report.py: every figure of a GPU, here in small and on the CPU."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from small_gas import SETTINGS

from gputhermo import parameters
from gputhermo.parameters import RECIPES

script: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "gpu_report.py"))


def test_all_figures_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(parameters.PRESETS, "demo", SETTINGS)
    monkeypatch.setitem(parameters.TRAIN_PRESETS, "demo", {"epochs": 2})
    values = script["main"].__globals__
    monkeypatch.setitem(values, "SCALING_TIME", 0.5)
    monkeypatch.setitem(values, "FILLED_BYTES", 2**20)
    out = tmp_path / "report.json"
    assert script["main"](["--out", str(out), "--quick", "--device", "cpu"]) == 0
    report = json.loads(out.read_text())
    assert report["machine"]["device"] == "cpu"
    # 16 processes of 4 strokes pairs: 3 + 4 + 4 + 5 states each four, of two frames.
    assert report["frames"] == 4 * (3 + 4 + 4 + 5) * 2
    assert report["clips_seconds"] > 0.0 < report["md_seconds"]
    assert 0.0 < report["render_frames_per_second"] < report["render_ceiling_frames_per_second"]
    assert [row["n_replicas"] for row in report["replicas"]] == [1, 4]
    assert [row["n_particles"] for row in report["particles"]] == [500, 1000]
    for row in report["replicas"] + report["particles"]:
        steps = row["seconds"] * row["equivalent_particle_steps_per_second"]
        assert steps == pytest.approx(row["n_particles"] * row["n_replicas"] * 500)  # 0.5 in steps of 0.001
        assert row["executed_particle_steps_per_second"] < row["equivalent_particle_steps_per_second"]
    assert report["md_seconds_of_the_costliest"] > 0.0
    assert set(report["train_seconds"]) == set(RECIPES)
    assert report["reproduce_seconds"] > 0.0
    page = out.with_suffix(".md").read_text()
    assert all(f"of `{network}`" in page for network in RECIPES)
    assert "(report.png)" in page
    assert out.with_suffix(".png").stat().st_size > 10_000


def test_what_is_measured_again_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    values = script["main"].__globals__
    figures = {"md": lambda bench: {"md_seconds": 1.0, "md_seconds_of_the_costliest": 0.5}}
    monkeypatch.setitem(values, "FIGURES", figures | {"clips": lambda bench: {"clips_seconds": 2.0}})
    out = tmp_path / "report.json"
    command = ["--out", str(out), "--quick", "--device", "cpu"]
    assert script["main"]([*command, "--only", "md"]) == 0
    assert script["main"]([*command, "--only", "clips"]) == 0
    report = json.loads(out.read_text())
    assert (report["md_seconds"], report["clips_seconds"]) == (1.0, 2.0)
    out.write_text(json.dumps(report | {"machine": {"device": "another"}}))
    assert script["main"]([*command, "--only", "clips"]) == 0
    assert "md_seconds" not in json.loads(out.read_text())
    assert "simulation and drawing | 2 s" in out.with_suffix(".md").read_text()


def test_a_device_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert script["main"](["--out", str(tmp_path / "report.json"), "--device", "gpu"]) == 2
    assert capsys.readouterr().err == "error: device = 'gpu' is not allowed; allowed: auto, cpu, cuda, cuda:N\n"
    assert not (tmp_path / "report.json").exists()
