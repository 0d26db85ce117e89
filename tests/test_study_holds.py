"""scripts/study_holds.py: one network on gases that rested for other times."""

import runpy
from pathlib import Path
from typing import Any

import pytest
from planted_results import claim, plant_results

from gputhermo.claims import Results, save_results
from gputhermo.errors import InputError
from gputhermo.evaluate import digest
from gputhermo.parameters import Settings

script: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "study_holds.py"))


def planted(settings: Settings, accuracy: float, weights_sha256: str = "0" * 64) -> Results:
    results = plant_results(test_accuracy=claim("test_accuracy", accuracy))
    run = results.run.model_copy(update={"dataset": settings, "weights_sha256": weights_sha256})
    return results.model_copy(update={"run": run})


def test_columns_differ_in_hold_and_sub_steps_alone():
    first, other, finer = (script["settings_of"](*each) for each in ((100.0, 1), (200.0, 1), (200.0, 4)))
    assert first.seed != 0, "states of the training"
    assert (first.split.train, first.split.validation) == (0.0, 0.0)
    protocol = first.protocol.model_copy(update={"hold_time": 200.0})
    assert first.model_copy(update={"protocol": protocol}) == other
    integrator = other.integrator.model_copy(update={"substeps": 4})
    assert other.model_copy(update={"integrator": integrator}) == finer


def test_table():
    columns = ((100.0, 1, 0.91), (200.0, 1, 0.92), (200.0, 4, 0.93))
    text = script["as_markdown"]([planted(script["settings_of"](t, n), accuracy) for t, n, accuracy in columns])
    assert "| claim | hold 100 | hold 200 | hold 200, 4 sub-steps |" in text
    (row,) = [line for line in text.splitlines() if "accuracy, all pairs" in line and "views" not in line]
    assert [cell.split()[0] for cell in row.split("|")[2:5]] == ["0.9100", "0.9200", "0.9300"]
    assert "learned from holds of 200" in text


def test_finished_work_is_taken_up_if_it_is_of_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(script["judged"].__globals__, "generate", lambda *_, **__: None)
    weights, settings = tmp_path / "paper.safetensors", script["settings_of"](100.0, 1)
    weights.write_bytes(b"weights")
    out = tmp_path / "work" / "paper-hold-100-substeps-1"
    out.mkdir(parents=True)
    arguments = tmp_path / "work", settings, weights, 1, lambda: False
    save_results(planted(settings, 0.95, digest(weights)), out / "results.json")
    assert script["judged"](*arguments).test_accuracy.value == 0.95
    save_results(planted(settings, 0.95), out / "results.json")
    with pytest.raises(InputError, match="other settings or weights"):
        script["judged"](*arguments)
