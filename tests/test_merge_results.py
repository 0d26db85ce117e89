"""scripts/merge_results.py: several runs side by side."""

import runpy
import statistics
from pathlib import Path

import pytest
from planted_results import claim, plant_results

from gputhermo.claims import save_results
from gputhermo.parameters import TrainSettings

main = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "merge_results.py"))["main"]


def plant(path: Path, number: int, accuracy: float) -> str:
    results = plant_results(test_accuracy=claim("test_accuracy", accuracy))
    run = results.run.model_copy(
        update={"weights_sha256": f"{number:064x}", "training": TrainSettings(seed=number, split_seed=number + 10)}
    )
    save_results(results.model_copy(update={"run": run}), path)
    return str(path)


def test_mean_and_spread_of_every_claim(tmp_path: Path):
    values = (0.95, 0.97, 0.96)
    files = [plant(tmp_path / f"{number}.json", number, value) for number, value in enumerate(values)]
    assert main([*files, "--out", str(tmp_path / "runs.md")]) == 0
    text = (tmp_path / "runs.md").read_text()
    assert "| 0, 10 | 1, 11 | 2, 12 |" in text
    assert f"| 0.9534 | 0.9500 | 0.9700 | 0.9600 | 0.9600 ± {statistics.stdev(values):.4f} |" in text
    for n in ("500", "1,000", "1,500", "2,000"):
        assert f"N = {n}" in text


def test_one_network_twice_is_no_spread(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = plant(tmp_path / "a.json", 1, 0.95)
    assert main([file, file, "--out", str(tmp_path / "runs.md")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "runs.md").exists()
