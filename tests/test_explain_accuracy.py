"""scripts/explain_accuracy.py: what limits the order of time."""

import re
import runpy
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from planted_results import around, plant_results
from small_gas import SETTINGS, make

from gputhermo.claims import Results, SpeedClaim, save_results
from gputhermo.entropy import vdw_entropy
from gputhermo.evaluate import digest
from gputhermo.feed import Feed
from gputhermo.pairs import count_pairs
from gputhermo.parameters import TrainSettings
from gputhermo.states import load_states
from gputhermo.train import train

script: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "explain_accuracy.py"))
KINDS = ((1.0, 0.5), (1.0, 1.0))
"""Speeds of push and pull in the small gas."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("gas"))


@pytest.fixture(scope="module")
def weights(dataset: Path) -> Path:
    train(dataset, dataset.with_name("run"), TrainSettings(epochs=1), device="cpu", n_threads=1)
    return dataset.with_name("run") / "best.safetensors"


@pytest.fixture(scope="module")
def gas(dataset: Path) -> Any:
    return script["Gas"](dataset)


def judged(weights: Path, **run: Any) -> Results:
    """Results of these weights: 0.8 for slow pulls, of which the test has 30 pairs, and 0.9 for fast ones, with 10."""
    by_speed = tuple(
        SpeedClaim(**around(accuracy), push_speed=push, pull_speed=pull, n_pairs=n_pairs)
        for (push, pull), accuracy, n_pairs in zip(KINDS, (0.8, 0.9), (30, 10), strict=True)
    )
    results = plant_results(order_by_speed=by_speed)
    values = {"dataset": SETTINGS, "weights_sha256": digest(weights), "training": TrainSettings()} | run
    return results.model_copy(update={"run": results.run.model_copy(update=values)})


def test_report(dataset: Path, weights: Path, tmp_path: Path):
    """Accuracy at the true energy is the share of pairs in the right order, counted one by one."""
    save_results(judged(weights), tmp_path / "results.json")
    network = ["--network", "ours", weights, tmp_path / "results.json"]
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
    assert f"\n| 0.00% | {found} |" in text, "no error of u costs nothing"
    assert "| all, as in the test |  |  | 0.8250 |" in text
    with h5py.File(dataset) as file:
        learned = file["processes/split"][()] < 2
        slow = file["processes/pull_speed"][()] == 0.5
        n_pairs = np.array([count_pairs(n) for n in file["processes/n_states"][()].tolist()])
    share = n_pairs[learned & slow].sum() / n_pairs[learned].sum()
    assert f"| all, as in training and validation |  |  | {0.9 - 0.1 * share:.4f} |" in text
    assert (tmp_path / "accuracy.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"weights_sha256": "0" * 64}, "results are those of other weights"),
        ({"training": TrainSettings(split_seed=3)}, "another split"),
        ({"dataset": SETTINGS.model_copy(update={"seed": 9})}, "another dataset"),
    ],
)
def test_results_of_something_else_are_refused(
    run: dict[str, Any],
    message: str,
    dataset: Path,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    save_results(judged(weights, **run), tmp_path / "results.json")
    network = ["--network", "ours", weights, tmp_path / "results.json"]
    assert script["main"](list(map(str, [dataset, *network, "--out", tmp_path / "out"]))) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


class Planted:
    """An encoder whose S~ of the k-th clip that it is shown is what was planted for it."""

    def __init__(self, values: np.ndarray):
        self.values = iter(values)

    def entropies(self, clips: torch.Tensor) -> torch.Tensor:
        return torch.tensor([next(self.values) for _ in clips], dtype=torch.float64)


def test_errors_are_relative_errors_of_the_energy(gas: Any):
    """S~ of 0.3 times the entropy, with an error of the energy of 2% from clip to clip and of 1% from view to view."""
    random = np.random.default_rng(5)
    n = gas.n_particles

    def representation(rows: np.ndarray, error: np.ndarray) -> np.ndarray:
        return 0.3 * (gas.entropy(gas.log_u)[rows] + n[rows] * error)

    shown = [representation(gas.process == p, np.zeros((gas.process == p).sum())) for p in gas.processes["train"]]
    first, later = [], []
    for p in gas.processes["validation"]:
        rows = gas.process == p
        size = int(rows.sum())
        of_state, of_later = 0.02 * random.standard_normal((2, size))
        for k in range(16):
            first.append(representation(rows, of_state + 0.01 * (-1.0) ** k))
        later.append(representation(rows, of_later + 0.01))
    learned = script["Learned"](gas, Planted(np.concatenate([*shown, *first, *later])), 1)
    for _, between_clips, between_views in learned.errors.values():
        assert 0.01 < between_clips < 0.03
        assert between_views == pytest.approx(0.01 * np.sqrt(16 / 15), rel=0.2)  # but for the slope of the line
    assert learned.scores["training"][0].accuracy > 0.9


def test_later_clips_are_of_the_same_states_at_another_time(dataset: Path, gas: Any):
    later = list(script["later_clips"](gas, 1))
    with closing(Feed(dataset)) as feed:
        clips = [feed.read(process) for process in gas.processes["validation"]]
    assert [len(each) for each in later] == [len(each) for each in clips]
    for ours, theirs in zip(later, clips, strict=True):
        assert not torch.equal(ours, theirs)
        # The gas fills the container, so the last column that any particle reaches is at the piston, at either time.
        reach = [[int(clip.sum(dim=(0, 1)).nonzero().max()) for clip in each] for each in (ours, theirs)]
        np.testing.assert_allclose(*reach, atol=5)


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


def test_an_error_of_the_energy_costs_accuracy(gas: Any):
    assert gas.noisy(0.0) > gas.noisy(0.05) > gas.noisy(50.0)


def test_views_are_sixteen_and_begin_with_the_clip_itself():
    clip = torch.arange(2 * 3 * 3).reshape(1, 2, 3, 3)
    views = list(script["views_of"](clip))
    assert torch.equal(views[0], clip)
    assert len({tuple(view.flatten().tolist()) for view in views}) == 16
