"""What must hold of a recording: engines that are broken on purpose do not get past the guards."""

import json
import logging
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
from gases import random_gas
from tiny_dataset import CONFIG, make

from gputhermo import Hold, Partition, Protocol, ReplicaBatch, SimulationError, Stroke, simulate
from gputhermo.backend import CpuBackend, layout
from gputhermo.cli import main
from gputhermo.generate import generate
from gputhermo.guards import CONTACT_ERROR
from gputhermo.observables import overlaps
from gputhermo.parameters import EvaluateSettings, IntegratorSettings, Settings, load_settings
from gputhermo.process import plan_processes
from gputhermo.seal import seal
from gputhermo.simulated_feed import SimulatedFeed
from gputhermo.split import draw_cuts, split_and_recombine
from gputhermo.twins import run_twins

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("partition", [None, Partition("x", 9.0), Partition("y", 11.0)])
@pytest.mark.parametrize("length", [20.0, 30.0])
def test_overlaps_are_those_of_all_pairs_and_walls(partition: Partition | None, length: float):
    """Each pair and each wall by itself, in containers of several lengths side by side."""
    height, lengths = 24.0, np.array([length, length - 2.0, length - 4.0])
    positions = np.random.default_rng(1).uniform(0.1, [length - 4.1, height - 0.1], size=(3, 60, 2))
    squares, pair, wall = overlaps(positions, lengths, height, partition, np)
    for clip in range(3):
        pairs, walls = [0.0], [0.0]
        for i, (x, y) in enumerate(positions[clip]):
            walls += [1.0 - x, 1.0 - (lengths[clip] - x), 1.0 - y, 1.0 - (height - y)]
            if partition is not None:
                walls.append(1.0 - abs((x if partition.axis == "x" else y) - partition.position))
            for other_x, other_y in positions[clip, :i]:
                if partition is not None:
                    coordinates = (x, other_x) if partition.axis == "x" else (y, other_y)
                    if min(coordinates) < partition.position <= max(coordinates):
                        continue
                pairs.append(2.0 - np.hypot(x - other_x, y - other_y))
        assert pair[clip] == pytest.approx(max(pairs))
        assert wall[clip] == pytest.approx(max(walls))
        assert squares[clip] == pytest.approx((np.clip(pairs + walls, 0.0, None) ** 2).sum())


def test_energy_error_of_a_contact():
    """Two particles meet, at 200 places of the time grid each: the bound holds, and is no larger than need be."""
    starts = 9.0 - 1e-3 * np.linspace(0.0, 1.0, 200)
    positions = [np.array([[x, 10.0], [12.0, 10.0]]) for x in starts]
    velocities = [np.array([[1.0, 0.0], [-1.0, 0.0]])] * len(starts)
    measured = []
    for strength in (100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5):
        batch = ReplicaBatch.from_arrays(positions, velocities, strength)
        recordings = simulate(batch, Protocol(20.0, 20.0, [Hold(2.0)]), device="cpu", frames=1)
        assert all(recording.potential_energy[0] == 0.0 for recording in recordings)
        errors = [recording.kinetic_energy[0] - 1.0 for recording in recordings]
        measured.append(np.sqrt(np.mean(np.square(errors))) / (strength * 1e-6))
    assert CONTACT_ERROR / 1.5 < max(measured) < CONTACT_ERROR, measured


# Broken engines

EXAMINE = """
import json
import sys
import numpy as np

sys.path.insert(0, sys.argv[1])
from gputhermo import Hold, Protocol, ReplicaBatch, SimulationError, Stroke, guards, simulate
from gputhermo.backend import CpuBackend
from gputhermo.kernels import targets


class Alone:  # a block of one thread: no barriers, and atomics without the locks of the simulator
    def syncthreads():
        pass

    class atomic:
        def change(array, index, value):
            before = array[index]
            array[index] = value
            return before

        add = lambda array, index, value: Alone.atomic.change(array, index, array[index] + value)
        min = lambda array, index, value: Alone.atomic.change(array, index, min(array[index], value))
        max = lambda array, index, value: Alone.atomic.change(array, index, max(array[index], value))
        exch = change


targets._cuda = lambda: Alone
guards.RERUN_SHARE = 1  # a run as short as this is run again too
judge, found = guards.judge, []


def note(*arguments):
    try:
        judge(*arguments)
    except SimulationError as error:
        found.append(str(error))
    return 0


start = np.load(sys.argv[2])
batch = ReplicaBatch.from_arrays([start["positions"]], [start["velocities"]], interaction_strength=1e3)
actions = [Hold(0.2), Stroke(to=12.0, speed=8.0), Hold(0.2)][: int(sys.argv[3])]
for guards.judge in (judge, note):
    try:
        simulate(batch, Protocol(16.0, 16.0, actions), device=CpuBackend(1), frames=2, frame_interval=0.1)
    except SimulationError as error:
        found.append(str(error))
print(json.dumps(found))
"""
"""Prints what ends the run, and then, in a second one that goes on, what else would have."""

CONTACT, POTENTIAL = "energy of a contact at step", "potential energy recorded at step"
ENERGY, ENGINES = "energy that no work accounts for between steps", "distance between particles of the two engines"
CHANGE = "change of the energy, over that of its contacts, run again from step"


class Fault(NamedTuple):
    """What is wrong with an engine: file, what stands there, what is put there; and which guards say so.

    The first of them ends the run. `n_actions` are those of the protocol that are run: before all has flown apart.
    """

    edits: list[tuple[str, str, str]]
    caught_by: list[str]
    n_actions: int = 3


STRONGER_ON_THE_WAY_OUT = """
            velocity = particles.motion[i, VX:] - particles.motion[workspace.neighbours[i, m], VX:]
            scale = 1.2 if pair_fx * velocity[0] + pair_fy * velocity[1] > 0.0 else 1.0
            fx += scale * pair_fx
            fy += scale * pair_fy
"""
NO_FORCE_OF_THE_PISTON = ("walls.py", "wall_force(piston - x, gas.stiffness),", "0.0,")
FAULTS = {
    "none": Fault([], []),
    "half of the work is not counted": Fault([("step.py", "* forces[RIGHT]", "* 0.0")], [ENERGY]),
    "the pair force has twice its strength": Fault(
        [("forces.py", "scale = stiffness *", "scale = 2.0 * stiffness *")], [CHANGE]
    ),
    "the pair force is stronger on the way out": Fault(
        [("step.py", "\n            fx += pair_fx\n            fy += pair_fy\n", STRONGER_ON_THE_WAY_OUT)],
        [ENERGY, CHANGE],
    ),
    "a pair's energy is half of what it should be": Fault(
        [("record.py", "0.5 * pair_energy", "0.25 * pair_energy")], [POTENTIAL, CHANGE]
    ),
    "contacts are never predicted": Fault(
        [
            (
                "events.py",
                "GUARD * timestep:\n        return 0\n    return steps",
                "GUARD * timestep:\n        return 0\n    return 0",
            )
        ],
        [CONTACT, POTENTIAL, ENGINES],
        n_actions=1,
    ),
    "contacts begin three steps late": Fault([("events.py", "int(math.ceil(", "3 + int(math.ceil(")], [ENGINES]),
    "a neighbouring cell is not looked at": Fault(
        [("events.py", "range(middle + stride - 1,", "range(middle + stride,")], [ENERGY]
    ),
    "the piston lets particles through": Fault([NO_FORCE_OF_THE_PISTON], [" left the box "]),
    "the piston does, and the engine does not see it": Fault(
        [NO_FORCE_OF_THE_PISTON, ("walls.py", "0.0 <= x <= piston and 0.0 <= y <= gas.height", "True")],
        [" is outside the container"],
    ),
    "positions are no numbers": Fault(
        [("record.py", "record.snapshots[snapshot, i, 0] = x", "record.snapshots[snapshot, i, 0] = x * float('nan')")],
        ["not a number, at step 100"],
    ),
    "velocities are no numbers": Fault(
        [("record.py", "= particles.motion[i, VX]\n", "= particles.motion[i, VX] * float('nan')\n")],
        ["not a number, at step 200"],
    ),
    "energies are no numbers": Fault(
        [("record.py", "partial[lane, KINETIC_X] +=", "partial[lane, KINETIC_X] += float('nan') *")],
        ["energy or work is not a number at step 200"],
    ),
}


def copy_package(folder: Path, edits: list[tuple[str, str, str]]) -> Path:
    """The package in `folder`, with edits of its kernels; returns the folder."""
    package = folder / "gputhermo"
    package.mkdir()
    for source in (ROOT / "gputhermo").glob("*.py"):
        shutil.copy(source, package)
    shutil.copytree(ROOT / "kernels", package / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for name, good, bad in edits:
        text = (package / "kernels" / name).read_text()
        assert good in text, f"{name} has no {good!r}"
        (package / "kernels" / name).write_text(text.replace(good, bad))
    return folder


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_engine_is_caught(name: str, simulator: Callable[..., str], tmp_path: Path):
    """Kernels with a wrong line, run as plain Python."""
    fault = FAULTS[name]
    positions, velocities = random_gas(24, 16.0, 16.0, seed=2)
    np.savez(tmp_path / "start.npz", positions=positions, velocities=velocities)
    package = copy_package(tmp_path, fault.edits)
    found = json.loads(simulator(EXAMINE, package, tmp_path / "start.npz", fault.n_actions))
    assert bool(found) == bool(fault.caught_by), found
    for line in found:
        assert line.startswith("replica 0: ")
        assert " step" in line
    if fault.caught_by:
        assert fault.caught_by[0] in found[0]
    for words in fault.caught_by:
        assert any(words in line for line in found), (words, found)


# Engines that are right

GASES: dict[str, dict[str, Any]] = {
    "of the paper's density": {"n": 90, "side": 64.0},
    "dense": {"n": 300, "side": 50.0},
    "hot": {"temperature": 100.0},
    "cold": {"temperature": 0.01},
    "soft": {"strength": 100.0},
    "stiff for its time step": {"strength": 1e5},
    "with a coarse time step": {"integrator": IntegratorSettings(timestep=0.002)},
    "with sub-steps": {"integrator": IntegratorSettings(substeps=4)},
    "of the reference engine": {"n": 30, "integrator": IntegratorSettings(engine="verlet")},
    "of one particle": {"n": 1, "side": 10.0},
    "with all its energy in one particle": {"fastest": 40.0},
    "at rest": {"temperature": 0.0},
}


@pytest.mark.parametrize("name", GASES)
def test_a_right_engine_gives_no_warning(name: str, caplog: pytest.LogCaptureFixture):
    """Every gas is compressed, and held for long enough to be run again."""
    gas = {"n": 100, "side": 60.0, "temperature": 1.0, "strength": 1e4, "fastest": 0.0, "integrator": None} | GASES[
        name
    ]
    side, fastest = gas["side"], gas["fastest"]
    positions, velocities = random_gas(gas["n"], side, side, seed=3, temperature=gas["temperature"])
    if fastest:
        velocities[:] = 0.0
        velocities[0] = fastest, 0.1 * fastest
    batch = ReplicaBatch.from_arrays([positions], [velocities], gas["strength"])
    actions = [Hold(10.0), Stroke(0.75 * side, 0.5), Hold(1000.0)]
    (recording,) = simulate(batch, Protocol(side, side, actions), device=CpuBackend(1), integrator=gas["integrator"])
    guards = recording.guards
    assert not caplog.records
    assert guards.warnings == 0
    assert guards.potential_mismatch < 1e-14
    assert guards.rerun_deviation < 1e-10
    assert guards.rerun_imbalance >= 0.0
    assert guards.energy_imbalance < 0.05


def test_what_happens_between_the_clips_is_expected(caplog: pytest.LogCaptureFixture):
    """A gas is five times as dense, and far hotter, for a while in which nothing is recorded."""
    actions = [Hold(5.0), Stroke(12.0, 0.5), Hold(1000.0, record=False), Stroke(60.0, 0.5), Hold(5.0)]
    protocol = Protocol(60.0, 60.0, actions)
    (recording,) = simulate(ReplicaBatch.draw([60], protocol, seed=1), protocol, device=CpuBackend(1), frames=1)
    assert recording.piston_position.min() == 60.0
    assert not caplog.records
    assert recording.guards.warnings == 0


def test_a_short_run_is_not_run_again_however_fine_its_steps():
    protocol = Protocol(20.0, 20.0, [Hold(0.6)])
    fine = IntegratorSettings(substeps=1000)
    batch = ReplicaBatch.draw([5], protocol, seed=1)
    (recording,) = simulate(batch, protocol, device=CpuBackend(1), integrator=fine, frames=1)
    assert recording.counters["steps"] == 600_000
    assert np.isnan(recording.guards.rerun_deviation)


def test_a_recording_without_clips_has_nothing_to_examine():
    batch = ReplicaBatch.draw([20], Protocol(30.0, 30.0, []), seed=1)
    (recording,) = simulate(batch, Protocol(30.0, 30.0, [Hold(1.0, record=False)]), device="cpu")
    assert np.isnan(recording.guards.energy_imbalance)
    assert recording.guards.warnings == 0


# Wherever something is simulated


@pytest.fixture
def tiny(tmp_path: Path) -> Settings:
    (tmp_path / "tiny.toml").write_text(CONFIG)
    return load_settings("demo", tmp_path / "tiny.toml")


@pytest.fixture
def wrong_energies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every launch leaves some potential energy in the records that is nowhere else."""
    run = CpuBackend.run

    def run_wrongly(backend: CpuBackend, entry: str, order: np.ndarray, *arguments: Any) -> None:
        run(backend, entry, order, *arguments)
        if entry in ("contact", "verlet"):
            records = arguments[-2]
            records.clips[..., layout.POTENTIAL] += 1e-3

    monkeypatch.setattr(CpuBackend, "run", run_wrongly)


@pytest.mark.usefixtures("wrong_energies")
def test_whatever_simulates_stops_at_the_impossible(tiny: Settings, tmp_path: Path):
    backend = CpuBackend(1)

    def advance_twins() -> None:
        run = run_twins(plan_processes(tiny), tiny, 1, backend)
        while run.unfinished:
            run.advance()

    def split() -> None:
        points = np.concatenate(random_gas(20, 30.0, 30.0, seed=1), axis=1)
        settings = EvaluateSettings(settle_time=5.0)
        list(split_and_recombine([points], [30.0], draw_cuts(0, 1, settings), tiny, 5.0, backend))

    def feed() -> None:
        SimulatedFeed(tiny, "cpu").prepare(0, lambda status: None, lambda: False)

    for simulated, name in (
        (lambda: generate(tiny, tmp_path / "tiny.h5", device=backend), "process [0-7]"),
        (feed, "process [0-7]"),
        (advance_twins, "twin of process [0-7]"),
        (split, "replica [01]"),
    ):
        with pytest.raises(SimulationError, match=f"^{name}: potential energy recorded at step [0-9]+ against"):
            simulated()


@pytest.mark.usefixtures("wrong_energies")
def test_the_command_ends_in_one_line_and_code_1(tiny: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["generate", "--preset", "demo", "--config", str(tmp_path / "tiny.toml"), "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "tiny.h5")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: process ")
    assert error.count("\n") == 1
    assert not (tmp_path / "tiny.h5").exists()


# What a file keeps


def test_the_file_keeps_the_worst_of_each_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """By brute force from its states; holds are long enough for half of the processes to be run again."""
    file = make(tmp_path, config=CONFIG.replace("hold_time = 10.0", "hold_time = 100.0"))
    capsys.readouterr()
    with h5py.File(file) as data:
        assert data.attrs["format_version"] == 2
        processes = {name: column[()] for name, column in data["processes"].items()}
        states = {name: column[()] for name, column in data["states"].items() if column.ndim == 1}
        points = data["states/phase_points"][()]
    again = processes["steps"] >= 500_000
    assert 0 < again.sum() < len(again)
    for index, (first, count, n) in enumerate(
        zip(*(processes[name] for name in ("first_state", "n_states", "n_particles")), strict=True)
    ):
        rows = slice(first, first + count)
        positions = points[rows, :n, :2]
        gaps = positions[:, :, None] - positions[:, None]
        distances = np.hypot(gaps[..., 0], gaps[..., 1])[:, *np.triu_indices(n, 1)]
        assert processes["closest_pair"][index] == pytest.approx(min(2.0, distances.min()), rel=1e-12)
        energy = (states["kinetic_energy"] + states["potential_energy"])[rows]
        change = np.abs(np.diff(energy) - np.diff(states["work"][rows])) / np.maximum(energy[1:], energy[:-1])
        assert processes["energy_imbalance"][index] >= change.max() * (1.0 - 1e-9)
        assert processes["energy_imbalance"][index] < 0.02
    assert (processes["potential_mismatch"] < 1e-12).all()
    assert np.array_equal(np.isfinite(processes["rerun_deviation"]), again)
    assert (processes["rerun_deviation"][again] < 1e-10).all()
    assert (processes["rerun_imbalance"][again] < 0.03).all()
    assert (processes["warnings"] == 0).all()

    assert main(["info", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["guards"]
    assert found["reruns"] == again.sum()
    assert found["closest_pair"] == processes["closest_pair"].min()
    for name in ("energy_imbalance", "potential_mismatch", "rerun_deviation", "rerun_imbalance"):
        assert found[name] == np.nanmax(processes[name])
    assert main(["info", str(file)]) == 0
    assert "guards: no warning; " in capsys.readouterr().out


def test_the_unusual_is_a_line_and_a_count(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr("gputhermo.guards.UNUSUAL_IMBALANCE", 0.0)
    with caplog.at_level(logging.WARNING):
        file = make(tmp_path)
    lines = sorted(record.getMessage() for record in caplog.records)
    assert len(lines) == 8
    for index, line in enumerate(lines):
        assert line.startswith(f"process {index}: energy that no work accounts for between steps ")
    assert main(["info", str(file)]) == 0
    assert "guards: 8 warnings; " in capsys.readouterr().out
    with h5py.File(file) as data:
        assert (data["processes/warnings"][()] == 1).all()


def test_the_script_that_measures_the_guards(tmp_path: Path):
    """A process of the paper's set, of 500 particles and seven states."""
    script = runpy.run_path(str(ROOT / "scripts" / "measure_guards.py"))
    assert script["main"](["--out", str(tmp_path / "guards.md"), "--processes", "84"]) == 0
    lines = (tmp_path / "guards.md").read_text().splitlines()
    rows = {
        cells[1]: cells[2:-1] for cells in ([cell.strip() for cell in line.split("|")] for line in lines) if cells[1:]
    }
    assert rows["84"][:4] == ["500", "0.5, 0.5", "150, 150", "7"]
    bounds = rows["**impossible above**"]
    for column in (6, 8, 9, 10):
        assert 0.0 < float(rows["84"][column]) < float(bounds[column])


def test_a_file_of_format_1_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = make(tmp_path)
    with h5py.File(file, "r+") as data:
        data.attrs["format_version"] = 1
        for name in ("energy_imbalance", "closest_pair", "potential_mismatch", "rerun_deviation", "rerun_imbalance"):
            del data[f"processes/{name}"]
        del data["processes/warnings"]
    seal(file)
    assert main(["info", str(file)]) == 0
    assert "guards: not recorded" in capsys.readouterr().out
    assert main(["info", str(file), "--json"]) == 0
    assert '"guards": null' in capsys.readouterr().out
