"""scripts/explain_accuracy.py: what limits the order of time."""

import re
import runpy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from planted_results import around, plant_results
from small_gas import make

from gputhermo.claims import SpeedClaim, save_results
from gputhermo.entropy import vdw_entropy
from gputhermo.parameters import TrainSettings
from gputhermo.states import load_states
from gputhermo.train import train

script: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "explain_accuracy.py"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("gas"))


def test_report(dataset: Path, tmp_path: Path):
    """Accuracy at the true energy is the share of pairs in the right order, counted one by one."""
    train(dataset, tmp_path / "run", TrainSettings(epochs=1), device="cpu", n_threads=1)
    with h5py.File(dataset) as file:
        speeds = np.stack([file["processes/push_speed"], file["processes/pull_speed"]], axis=-1)
    kinds = np.unique(speeds, axis=0).tolist()
    by_speed = tuple(SpeedClaim(**around(0.9), push_speed=p, pull_speed=q, n_pairs=10) for p, q in kinds)
    save_results(plant_results(order_by_speed=by_speed), tmp_path / "results.json")
    network = ["--network", "ours", tmp_path / "run/best.safetensors", tmp_path / "results.json"]
    assert script["main"](list(map(str, [dataset, *network, "--out", tmp_path, "--threads", 1]))) == 0
    text = (tmp_path / "accuracy.md").read_text()
    states = load_states(dataset, "validation")
    entropies = vdw_entropy(states.parts)
    pairs = [
        (i, j) for i in range(len(states)) for j in range(i + 1, len(states)) if states.process[i] == states.process[j]
    ]
    right = np.mean([entropies[i] < entropies[j] for i, j in pairs])
    (found,) = re.findall(r"\| true energy \| 0\.00% \| (\S+) \|", text)
    assert float(found) == pytest.approx(right, abs=6e-5)
    assert f"| 0.00% | {found} |" in text  # no error of u costs nothing
    assert text.count("| 0.9000 |") == len(kinds) + 2  # any average of equal numbers
    assert (tmp_path / "accuracy.png").stat().st_size > 10_000


def test_displacements_of_a_gas_in_free_flight(tmp_path: Path):
    """The mean square displacement in time t is <v^2> t^2."""
    random = np.random.default_rng(1)
    velocities = random.normal(size=(3, 1, 50, 2))
    positions = random.uniform(100.0, 200.0, (3, 1, 50, 2)) + velocities * np.arange(5.0)[:, None, None]
    with h5py.File(tmp_path / "clips.h5", "w") as file:
        file["states/positions"] = np.pad(positions, ((0, 0), (0, 0), (0, 7), (0, 0)), constant_values=np.nan)
        found = script["displacements"](file, np.array([2, 0]), np.array([50, 50]))
    squares = (velocities**2).sum(axis=-1).mean(axis=(1, 2))[[2, 0]]
    np.testing.assert_allclose(found, squares[:, None] * [1.0, 4.0, 9.0, 16.0], rtol=1e-12)


def test_fit_finds_a_quadratic_from_some_of_the_states():
    random = np.random.default_rng(2)
    x, y = random.normal(size=(2, 60))
    target = 0.3 - x + 2.0 * x * y + 0.5 * y**2
    np.testing.assert_allclose(script["fit"]([x, y], target, np.arange(60) < 30), target, atol=1e-12)


def test_an_error_of_the_energy_costs_accuracy(dataset: Path):
    gas = script["Gas"](dataset)
    assert gas.noisy(0.0).accuracy > gas.noisy(0.05).accuracy > gas.noisy(50.0).accuracy


def test_views_are_sixteen_and_begin_with_the_clip_itself():
    clip = torch.arange(2 * 3 * 3).reshape(1, 2, 3, 3)
    views = list(script["views_of"](clip))
    assert torch.equal(views[0], clip)
    assert len({tuple(view.flatten().tolist()) for view in views}) == 16
