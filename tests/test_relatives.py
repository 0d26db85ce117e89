"""Twins, split and recombined states: what they share with the states they come from, and that nothing else matters."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from gases import random_gas

from gputhermo.backend import CpuBackend
from gputhermo.errors import InputError, Stopped
from gputhermo.generate import generate
from gputhermo.parameters import EvaluateSettings, load_evaluate_settings, validate
from gputhermo.process import Hold, Partition, Protocol, plan_processes
from gputhermo.reader import ProcessReader
from gputhermo.relatives import RelativesStatus, load_cuts, load_relatives, make_relatives
from gputhermo.simulate import Simulation, simulate
from gputhermo.split import clear_of_wall, draw_cuts, sides
from gputhermo.state import ReplicaBatch
from gputhermo.states import load_states
from gputhermo.twins import draw_twins

L, C_INT = 36.0, 10_000.0
SMALL = {
    "seed": 7,
    "gas": {"box_length": L},
    "protocol": {"hold_time": 4.0, "n_cycles": 1, "frames": 3, "frame_interval": 0.5},
    "plan": {"n_particles": [30, 60], "push_speeds": [1.0], "pull_speeds": [0.5, 1.0], "strokes": [18.0, 9.0]},
    "image": {"pixels": 32, "raster_pixels": 195},
    "split": {"train": 0.5, "validation": 0.25},
}
EVALUATE = EvaluateSettings(seed=3, settle_time=3.0, split_fractions=(0.4, 0.6))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dataset") / "small.h5"
    generate(validate(SMALL), out, device="cpu")
    return out


@pytest.fixture(scope="module")
def reference(dataset: Path) -> Path:
    """The relatives of its test states, from a run that nothing interrupts."""
    out = dataset.with_name("relatives.h5")
    make_relatives(dataset, out, EVALUATE, device=CpuBackend(1))
    return out


def brute_force_energy(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Eq. (3) of the paper, pair by pair and wall by wall, in the box between two corners; kinetic energy included."""
    energy = 0.5 * (points[:, 2:] ** 2).sum()
    for i, (x, y) in enumerate(points[:, :2]):
        for distance in (x - low[0], y - low[1], high[0] - x, high[1] - y):
            energy += 0.5 * C_INT * max(0.0, 1.0 - distance) ** 2
        for other in points[:i, :2]:
            energy += 0.5 * C_INT * max(0.0, 2.0 - np.hypot(x - other[0], y - other[1])) ** 2
    return float(energy)


# Twins


@pytest.mark.parametrize("exact_energy", [False, True])
def test_twin_starts_with_the_energy_and_number_of_the_original(
    exact_energy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The originals' initial states are those that `generate` loads into its simulation."""
    settings = validate(SMALL | {"gas": {"box_length": L, "temperature": 1.5, "exact_energy": exact_energy}})
    originals = {}
    load = Simulation.load

    def spy(simulation: Simulation, slot: int, positions: np.ndarray, velocities: np.ndarray, *rest, name: str) -> None:
        originals[name] = positions, velocities
        load(simulation, slot, positions, velocities, *rest, name=name)

    monkeypatch.setattr(Simulation, "load", spy)
    generate(settings, tmp_path / "small.h5", device="cpu", with_images=False)
    for process in plan_processes(settings):
        original_positions, original_velocities = originals[f"process {process.index}"]
        ((positions, velocities),) = draw_twins([process], settings, 3, CpuBackend(1))
        assert positions.shape == original_positions.shape
        np.testing.assert_allclose((velocities**2).sum(), (original_velocities**2).sum(), rtol=1e-13)
        assert not np.isin(positions, original_positions).any()
        assert not np.isin(velocities, original_velocities).any()
        ((others, _),) = draw_twins([process], settings, 4, CpuBackend(1))
        assert not np.isin(others, positions).any()


def test_twins_go_through_the_same_process(dataset: Path, reference: Path):
    """Work makes energies differ, by less than they grow; volume and number are the same, positions are not."""
    states, twins = load_states(dataset, "test"), load_relatives(reference, "twin")
    np.testing.assert_array_equal(twins.process, states.process)
    np.testing.assert_array_equal(np.delete(twins.parts, 1, axis=-1), np.delete(states.parts, 1, axis=-1))
    first = np.flatnonzero(np.diff(states.process, prepend=-1))
    np.testing.assert_allclose(twins.parts[first, 0, 1], states.parts[first, 0, 1], rtol=0.01)
    last = np.append(first[1:], len(states)) - 1
    grown = (states.parts[last, 0, 1] / states.parts[first, 0, 1]).mean()
    assert grown > 1.3
    assert (twins.parts[last, 0, 1] / twins.parts[first, 0, 1]).mean() == pytest.approx(grown, rel=0.2)
    assert (twins.clips != states.clips).flatten(1).any(dim=1).all()
    # As many particles cover as many pixels, but for those that the frame cuts and for rounding.
    np.testing.assert_allclose(twins.clips.double().mean((1, 2, 3)), states.clips.double().mean((1, 2, 3)), rtol=0.02)


# Splitting


def test_removed_are_exactly_those_in_the_wall():
    random = np.random.default_rng(5)
    points = np.column_stack([random.uniform(1.0, L - 1.0, (5000, 2)), random.normal(size=(5000, 2))])
    points[:4, 1] = [10.0 - 1.0, 10.0 + 1.0, 10.0 - 0.9999, 10.0 + 0.9999]
    left = clear_of_wall(points, Partition("y", 10.0))
    expected = [point for point in points.tolist() if not 9.0 < point[1] < 11.0]
    assert left.tolist() == expected
    assert points[:2].tolist() == left[:2].tolist()
    assert len(left) < 5000 - 4


def test_cuts(reference: Path, dataset: Path):
    """Every test state is cut once in x and once in y, at fractions that the seed alone draws."""
    states, cuts = load_states(dataset, "test"), load_cuts(reference)
    assert cuts.original.tolist() == [k for k in range(len(states)) for _ in "xy"]
    assert cuts.axis.tolist() == ["x", "y"] * len(states)
    assert set(cuts.fraction) == {0.4, 0.6}
    many = [cut.fraction for process in range(50) for cut in draw_cuts(process, 40, EvaluateSettings())]
    counts = np.unique(many, return_counts=True)
    assert counts[0].tolist() == [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert abs(counts[1] / len(many) - 1 / 7).max() < 4 * np.sqrt(6 / 49 / len(many))
    assert draw_cuts(3, 9, EVALUATE) != draw_cuts(4, 9, EVALUATE)
    assert draw_cuts(3, 9, EVALUATE) != draw_cuts(3, 9, EVALUATE.model_copy(update={"seed": 4}))


def walk_cuts(dataset: Path, relatives: Path) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray, int, float, float]]:
    """Of each cut: its rows of the file, the state's phase points, axis (0: x), place of the wall and Lx."""
    with h5py.File(relatives) as file:
        for name, group in file.items():
            with ProcessReader(dataset, int(name.removeprefix("process-"))) as reader:
                for k, hold in enumerate(group["cuts/hold"][()]):
                    rows = {key: group[key][k] for key in ("split/positions", "recombined/positions")}
                    rows |= {key: group[key][k] for key in ("split/parts", "recombined/parts")}
                    axis, length = int(group["cuts/axis"][k]), float(reader.table["piston_position"][hold])
                    wall = float(group["cuts/fraction"][k]) * (length if axis == 0 else L)
                    yield rows, reader.phase_points(hold), axis, wall, length


def test_nothing_crosses_the_wall(dataset: Path, reference: Path):
    """In every frame each side has those of the original that lie at least R from the wall, until it is removed."""
    crossed = n_cuts = 0
    for rows, points, axis, wall, _ in walk_cuts(dataset, reference):
        expected = [(points[:, axis] <= wall - 1.0).sum(), (points[:, axis] >= wall + 1.0).sum()]
        for frame in rows["split/positions"][:, :, axis]:
            assert [(frame < wall).sum(), (frame >= wall).sum()] == expected
        assert rows["split/parts"][:, 0].tolist() == expected
        assert rows["recombined/parts"][0, 0] == sum(expected)
        after = rows["recombined/positions"][-1, :, axis]
        assert np.isfinite(after).sum() == sum(expected)
        crossed += (after < wall).sum() != expected[0]
        n_cuts += 1
    assert crossed > n_cuts / 4


def test_sides(dataset: Path, reference: Path):
    """Their sizes; the energy of each stays what it was when the wall came, but for the integrator's error."""
    errors = []
    for rows, points, axis, wall, length in walk_cuts(dataset, reference):
        box = np.array([length, L])
        low, high = points[points[:, axis] <= wall - 1.0], points[points[:, axis] >= wall + 1.0]
        divider = np.where(np.arange(2) == axis, wall, [box, [0.0, 0.0]])
        before = [brute_force_energy(low, np.zeros(2), divider[0]), brute_force_energy(high, divider[1], box)]
        errors.append(rows["split/parts"][:, 1] / before - 1.0)
        sizes = [divider[0], box - divider[1]]
        np.testing.assert_allclose(rows["split/parts"][:, 2:], sizes)
        assert rows["recombined/parts"][0, 2:].tolist() == box.tolist()
        # The wall's field goes, and pairs that it kept apart may overlap: less than one contact's energy.
        assert abs(rows["recombined/parts"][0, 1] - sum(rows["split/parts"][:, 1])) < 5.0
    assert np.abs(errors).max() < 0.02
    assert np.abs(np.mean(errors)) < 2e-3


@pytest.mark.parametrize("axis", ["x", "y"])
def test_energies_of_the_sides_are_the_engines(axis: str):
    """A dense gas with many contacts: both sides together, against the engine's sums; each, against brute force."""
    positions, velocities = random_gas(250, 50.0, L, seed=2, temperature=3.0)
    points = clear_of_wall(np.column_stack([positions, velocities]), Partition(axis, 20.0))
    batch = ReplicaBatch.from_arrays([points[:, :2]], [points[:, 2:]], C_INT)
    protocol = Protocol(50.0, L, [Hold(5.0)] * 8, Partition(axis, 20.0))
    recording = simulate(batch, protocol, device="cpu", frames=1)[0]
    assert recording.potential_energy.min() > 1.0
    for k, snapshot in enumerate(recording.phase_points):
        parts = sides(snapshot, protocol.partition, (50.0, L), C_INT)
        total = recording.kinetic_energy[k] + recording.potential_energy[k]
        np.testing.assert_allclose(parts[:, 1].sum(), total, rtol=1e-12)
        low = snapshot[snapshot[:, "xy".index(axis)] < 20.0]
        corner = np.array([20.0, L] if axis == "x" else [50.0, 20.0])
        np.testing.assert_allclose(parts[0, 1], brute_force_energy(low, np.zeros(2), corner), rtol=1e-12)


def test_states_as_an_axiom_sees_them(dataset: Path, reference: Path):
    """Clips show the particles that are left, each part's share of them on its side of the wall."""
    states, cuts = load_states(dataset, "test"), load_cuts(reference)
    split, recombined = load_relatives(reference, "split"), load_relatives(reference, "recombined")
    for relatives, n_parts in ((split, 2), (recombined, 1)):
        np.testing.assert_array_equal(relatives.process, states.process[cuts.original])
        assert relatives.parts.shape == (len(cuts.original), n_parts, 4)
        area = (relatives.parts[..., 2] * relatives.parts[..., 3]).sum(axis=1)
        np.testing.assert_allclose(area, (states.parts[..., 2] * states.parts[..., 3])[cuts.original, 0])
        grey = relatives.clips.double().mean((1, 2, 3)) / states.clips.double().mean((1, 2, 3))[cuts.original]
        left = relatives.parts[..., 0].sum(axis=1) / states.parts[cuts.original, 0, 0]
        np.testing.assert_allclose(grey, left, rtol=0.03)
        assert left.min() > 0.7
        assert left.max() <= 1.0
    np.testing.assert_array_equal(split.parts[:, :, 0].sum(axis=1), recombined.parts[:, 0, 0])


# What the file does not depend on


def test_any_number_of_threads(dataset: Path, reference: Path, tmp_path: Path):
    make_relatives(dataset, tmp_path / "relatives.h5", EVALUATE, device="cpu", n_threads=3)
    assert (tmp_path / "relatives.h5").read_bytes() == reference.read_bytes()


def test_one_at_a_time(dataset: Path, reference: Path, tmp_path: Path):
    """Room for a single replica on the device, so that nothing runs beside it."""
    alone = CpuBackend(1)
    alone.n_slots, alone.slot_memory = 1, 1
    make_relatives(dataset, tmp_path / "relatives.h5", EVALUATE, device=alone)
    assert (tmp_path / "relatives.h5").read_bytes() == reference.read_bytes()


def test_stopped_whenever_something_is_finished(dataset: Path, reference: Path, tmp_path: Path):
    out, stops = tmp_path / "relatives.h5", 0
    folder = tmp_path / "relatives.h5.parts"
    while not out.exists():
        before = len(list(folder.glob("*.h5")))
        try:
            make_relatives(
                dataset, out, EVALUATE, device="cpu", stop=lambda n=before: len(list(folder.glob("*.h5"))) > n
            )
        except Stopped:
            stops += 1
    assert 5 <= stops <= 8
    assert out.read_bytes() == reference.read_bytes()
    assert not folder.exists()


KILLED = """
import sys
from gputhermo.parameters import EvaluateSettings
from gputhermo.relatives import make_relatives
settings = EvaluateSettings.model_validate_json(sys.argv[1])
make_relatives(sys.argv[2], sys.argv[3], settings, device="cpu", n_threads=1)
"""


def test_killed(dataset: Path, reference: Path, tmp_path: Path):
    """kill -9 once a part is there, and once most are; what was finished is not made again."""
    out, folder = tmp_path / "relatives.h5", tmp_path / "relatives.h5.parts"
    command = [sys.executable, "-c", KILLED, EVALUATE.model_dump_json(), str(dataset), str(out)]
    for n_parts in (1, 5):
        with subprocess.Popen(command) as process:
            while process.poll() is None and len(list(folder.glob("*.h5"))) < n_parts:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    written = {path: path.stat().st_mtime_ns for path in folder.glob("*.h5")}
    assert len(written) >= 5

    def stop() -> bool:
        assert {path: path.stat().st_mtime_ns for path in written} == written
        return False

    make_relatives(dataset, out, EVALUATE, device="cpu", stop=stop)
    assert out.read_bytes() == reference.read_bytes()


SIMULATED = """
import sys
from gputhermo.parameters import EvaluateSettings
from gputhermo.relatives import make_relatives
make_relatives(sys.argv[2], sys.argv[3], EvaluateSettings.model_validate_json(sys.argv[1]), device="cuda")
"""


@pytest.mark.slow
def test_simulated_cuda_makes_the_same_states(simulator, tmp_path: Path):
    """As few particles and steps as show everything: the simulator runs Python threads."""
    minute = {
        "gas": {"box_length": 12.0, "interaction_strength": 500.0},
        "integrator": {"timestep": 0.005},
        "protocol": {"hold_time": 0.2, "n_cycles": 1, "frames": 2, "frame_interval": 0.1},
        "plan": {"n_particles": [6], "push_speeds": [3.0], "pull_speeds": [3.0], "strokes": [6.0]},
        "split": {"train": 0.0, "validation": 0.0},
    }
    settings = EvaluateSettings(settle_time=0.2, split_fractions=(0.5,))
    file, ours, theirs = (tmp_path / name for name in ("minute.h5", "cpu.h5", "cuda.h5"))
    generate(validate(minute), file, device="cpu", with_images=False)
    make_relatives(file, ours, settings, device="cpu")
    simulator(SIMULATED, settings.model_dump_json(), file, theirs)
    with h5py.File(ours) as cpu, h5py.File(theirs) as cuda:
        for kind in ("twin", "split", "recombined", "cuts"):
            for data in cpu[f"process-000000/{kind}"].values():
                np.testing.assert_array_equal(cuda[data.name][()], data[()], err_msg=data.name)


def test_status(dataset: Path, tmp_path: Path):
    seen: list[RelativesStatus] = []
    last = make_relatives(dataset, tmp_path / "relatives.h5", EVALUATE, device="cpu", report=seen.append)
    fractions = [status.fraction for status in seen]
    assert fractions == sorted(fractions)
    assert 0.0 < fractions[0] < 0.9
    assert last.fraction == pytest.approx(1.0)
    assert str(last) == "twins 4/4  splits 4/4 processes"
    again = make_relatives(dataset, tmp_path / "relatives.h5", EVALUATE, device="cpu", report=seen.append)
    assert again.fraction == pytest.approx(1.0)
    assert len(seen) == len(fractions)


# Mistakes


def test_file_of_another_dataset_or_with_other_settings(dataset: Path, reference: Path, tmp_path: Path):
    before = reference.read_bytes()
    other = tmp_path / "other.h5"
    generate(validate(SMALL | {"seed": 8}), other, device="cpu", with_images=False)
    cases = [(other, EVALUATE)]
    for changes in ({"seed": 4}, {"settle_time": 4.0}, {"split_fractions": (0.5,)}):
        cases.append((dataset, EVALUATE.model_copy(update=changes)))
    for file, settings in cases:
        with pytest.raises(InputError, match="was made for another dataset or split, or with another seed") as error:
            make_relatives(file, reference, settings, device="cpu")
        assert "\n" not in str(error.value)
    assert reference.read_bytes() == before
    assert not reference.with_name("relatives.h5.parts").exists()
    # What does not enter the simulations may differ.
    make_relatives(dataset, reference, EVALUATE.model_copy(update={"n_resamples": 5}), device="cpu")
    assert reference.read_bytes() == before


def test_unfinished_work_of_another_dataset(dataset: Path, tmp_path: Path):
    out = tmp_path / "relatives.h5"
    with pytest.raises(Stopped):
        make_relatives(dataset, out, EVALUATE, device="cpu", stop=lambda: True)
    with pytest.raises(InputError, match="was made for another dataset or split, or with another seed"):
        make_relatives(dataset, out, EVALUATE.model_copy(update={"seed": 4}), device="cpu")


def test_one_run_at_a_time(dataset: Path, tmp_path: Path):
    def stop() -> bool:
        with pytest.raises(InputError, match="out is in use: another process works in"):
            make_relatives(dataset, tmp_path / "relatives.h5", EVALUATE, device="cpu")
        return True

    with pytest.raises(Stopped):
        make_relatives(dataset, tmp_path / "relatives.h5", EVALUATE, device="cpu", stop=stop)


def test_files_that_cannot_be_used(dataset: Path, reference: Path, tmp_path: Path):
    with pytest.raises(InputError, match="is not a gputhermo relatives file"):
        make_relatives(dataset, dataset, EVALUATE, device="cpu")
    with pytest.raises(InputError, match="is not a gputhermo dataset"):
        make_relatives(reference, tmp_path / "relatives.h5", EVALUATE, device="cpu")
    truncated = tmp_path / "truncated.h5"
    truncated.write_bytes(reference.read_bytes()[:5000])
    with pytest.raises(InputError, match="is damaged"):
        load_relatives(truncated, "twin")
    with pytest.raises(InputError, match="does not exist"):
        load_cuts(tmp_path / "none.h5")
    with pytest.raises(InputError, match="there is no folder"):
        make_relatives(dataset, tmp_path / "none" / "relatives.h5", EVALUATE, device="cpu")
    whole = tmp_path / "whole.h5"
    generate(validate(SMALL | {"split": {"train": 1.0, "validation": 0.0}}), whole, device="cpu", with_images=False)
    with pytest.raises(InputError, match="has no test process; at least 1 is needed"):
        make_relatives(whole, tmp_path / "relatives.h5", EVALUATE, device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settle_time": 0.5}, "settle_time = 0.5 is not allowed: clips of the dataset last 1"),
        ({"settle_time": 3.0005}, "settle_time = 3.0005 is not allowed: a positive multiple of the time step 0.001"),
        ({"split_fractions": (0.01,)}, "split_fractions = 0.01 is not allowed: it leaves a side of hold 0 without"),
    ],
)
def test_settings_that_cannot_be_carried_out(dataset: Path, tmp_path: Path, changes: dict, message: str):
    with pytest.raises(InputError, match=message) as error:
        make_relatives(dataset, tmp_path / "relatives.h5", EVALUATE.model_copy(update=changes), device="cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split_fractions = [0.5, 1.0]", "split_fractions.1 = 1.0 is not allowed: input should be less than 1"),
        ("split_fractions = []", "split_fractions = \\[\\] is not allowed"),
        ("settle_time = -1.0", "settle_time = -1.0 is not allowed"),
        ("settle = 1.0", "settle is not a setting; allowed there: seed, settle_time"),
    ],
)
def test_settings_that_are_not_allowed(tmp_path: Path, text: str, message: str):
    (tmp_path / "evaluate.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_evaluate_settings(tmp_path / "evaluate.toml")


def test_settings_from_a_file(tmp_path: Path):
    (tmp_path / "evaluate.toml").write_text("settle_time = 5.0\nseed = 4")
    assert load_evaluate_settings(tmp_path / "evaluate.toml", seed=9) == EvaluateSettings(seed=9, settle_time=5.0)
    assert load_evaluate_settings() == EvaluateSettings()
