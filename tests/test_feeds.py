"""Where clips come from: a file, or a simulation that gives the same ones; and what is read ahead and kept."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
import tomli_w
import torch
from folders import contents
from planted_dataset import plant
from tiny_dataset import CONFIG, make

from gputhermo.cli import main
from gputhermo.errors import InputError, Stopped
from gputhermo.feed import Feed
from gputhermo.parameters import Settings, TrainSettings, load_settings
from gputhermo.progress import Rate
from gputhermo.read_ahead import AHEAD, ReadAhead
from gputhermo.simulated_feed import SimulatedFeed, SimulationStatus
from gputhermo.train import TrainStatus, train, train_on_simulation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds tiny.toml and the dataset tiny.h5 of these settings."""
    folder = tmp_path_factory.mktemp("tiny")
    make(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Settings:
    return load_settings("demo", folder / "tiny.toml")


# from a file


def test_feed_gives_each_process_its_states_in_order(tmp_path: Path):
    planted = plant(tmp_path / "planted.h5")
    with h5py.File(planted) as file:
        split = file["processes/split"][()]
        process = np.repeat(np.arange(len(split)), file["processes/n_states"])
        images = file["states/images"][()]
    with closing(Feed(planted)) as feed:
        assert [len(feed.processes(name)) for name in ("train", "validation", "test")] == [12, 3, 6]
        assert feed.processes("validation") == np.flatnonzero(split == 1).tolist()
        for number in (3, 0, 20):
            np.testing.assert_array_equal(feed.read(number), images[process == number])


def test_clips_of_a_file_without_images_are_drawn_alike(folder: Path, tmp_path: Path):
    with closing(Feed(folder / "tiny.h5")) as drawn, closing(Feed(make(tmp_path, "--no-images"))) as positions:
        for process in range(8):
            assert drawn.read(process).float().mean() > 0.0
            assert torch.equal(drawn.read(process), positions.read(process))


# from a simulation


def test_a_simulation_gives_the_clips_of_the_file(folder: Path, tiny: Settings):
    statuses: list[SimulationStatus] = []
    live = SimulatedFeed(tiny, "cpu", n_threads=1)
    live.prepare(0, statuses.append, lambda: False)
    with closing(Feed(folder / "tiny.h5")) as stored:
        for split in ("train", "validation", "test"):
            assert live.processes(split) == stored.processes(split)
        learned = stored.processes("train") + stored.processes("validation")
        for process in learned:
            assert torch.equal(live.read(process), stored.read(process))
    assert len(learned) == 7
    assert str(statuses[-1]) == "simulated 7/7 processes", "test processes are not simulated"
    fractions = [status.fraction for status in statuses]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_another_split_is_the_same_for_a_file_and_a_simulation(folder: Path, tiny: Settings):
    def validation(seed: int | None) -> list[int]:
        live = SimulatedFeed(tiny, "cpu", split_seed=seed).processes("validation")
        with closing(Feed(folder / "tiny.h5", split_seed=seed)) as stored:
            assert stored.processes("validation") == live
        return live

    assert validation(None) == validation(tiny.seed)
    assert len({tuple(validation(seed)) for seed in range(10)}) > 1


TRAINING = TrainSettings(epochs=2, processes_per_step=2)


@pytest.fixture(scope="module")
def from_file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the file."""
    out = tmp_path_factory.mktemp("from_file") / "run"
    train(folder / "tiny.h5", out, TRAINING, device="cpu", n_threads=1)
    return out


@pytest.mark.parametrize("cache", [0.0, 8.0])
def test_a_run_on_a_simulation_is_that_on_the_file(tiny: Settings, from_file: Path, tmp_path: Path, cache: float):
    train_on_simulation(tiny, tmp_path / "run", TRAINING, device="cpu", n_threads=2, cache=cache)
    assert contents(tmp_path / "run") == contents(from_file)


def test_a_stopped_run_simulates_again_and_ends_alike(tiny: Settings, from_file: Path, tmp_path: Path):
    def stop_at(stage: type) -> None:
        asked = []

        def note(status: SimulationStatus | TrainStatus) -> None:
            asked.append(type(status))
            # Numbers below 1e-38 are zero in training, never in a simulation.
            assert (float(torch.tensor(1e-20) * 1e-20) == 0.0) == isinstance(status, TrainStatus)

        with pytest.raises(Stopped):
            train_on_simulation(
                tiny,
                tmp_path / "run",
                TRAINING,
                device="cpu",
                resume=True,
                report=note,
                stop=lambda: asked[-1:] == [stage],
            )
        assert asked[0] == SimulationStatus

    stop_at(SimulationStatus)
    stop_at(TrainStatus)
    train_on_simulation(tiny, tmp_path / "run", TRAINING, device="cpu", resume=True)
    assert contents(tmp_path / "run") == contents(from_file)

    def refuse(status: SimulationStatus | TrainStatus) -> None:
        raise AssertionError("nothing is left to simulate")

    train_on_simulation(tiny, tmp_path / "run", TRAINING, device="cpu", resume=True, report=refuse)


def test_mistakes_are_found_before_anything_is_simulated(tiny: Settings, from_file: Path, tmp_path: Path):
    def attempt(dataset: Settings, out: Path, message: str) -> None:
        with pytest.raises(InputError, match=message):
            train_on_simulation(dataset, out, TRAINING, device="cpu", report=lambda status: pytest.fail("simulated"))

    attempt(tiny, from_file, "earlier run")
    attempt(tiny, tmp_path / "a/b", "no folder")
    for section, values, message in (
        ("plan", {"strokes": (7.0,)}, r"plan\.strokes = 7 "),
        ("plan", {"n_particles": (500,)}, r"plan\.n_particles = 500 "),
        ("split", {"validation": 0.0}, r"split\.validation"),
        ("image", {"pixels": 16}, "pixels = 16"),
    ):
        changed = getattr(tiny, section).model_copy(update=values)
        attempt(tiny.model_copy(update={section: changed}), tmp_path / "run", message)
    assert not (tmp_path / "run").exists()


def test_command_trains_on_a_simulation(
    folder: Path, from_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "train.toml").write_text(tomli_w.dumps(TRAINING.model_dump(exclude_none=True) | {"epochs": 9}))
    command = ["train", "--preset", "demo", "--out", str(tmp_path / "run"), "--device", "cpu", "--epochs", "2"]
    configs = ["--dataset-config", str(folder / "tiny.toml"), "--config", str(tmp_path / "train.toml")]
    assert main([*command, *configs]) == 0
    assert "best.safetensors" in capsys.readouterr().out
    assert contents(tmp_path / "run") == contents(from_file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "train.toml"], "nothing else is written"
    (tmp_path / "other.toml").write_text(CONFIG.replace("[20, 40]", "[20, 30]"))
    assert main([*command, "--dataset-config", str(tmp_path / "other.toml"), *configs[2:], "--resume"]) == 2
    assert "another dataset" in capsys.readouterr().err


def test_time_left_is_that_of_the_stage_in_course():
    """A simulation is at 90% after 90 s; training then does a tenth in 10 s."""

    def simulation(fraction: float, elapsed: float) -> SimulationStatus:
        return SimulationStatus(processes_done=0, n_processes=1, fraction=fraction, elapsed=elapsed, device="cpu")

    def learning(fraction: float, elapsed: float) -> TrainStatus:
        return TrainStatus(
            epoch=1,
            n_epochs=1,
            fraction=fraction,
            training=None,
            last=None,
            best=None,
            elapsed=elapsed,
            device="cpu",
        )

    rate = Rate()
    assert rate.time_left(simulation(0.0, 0.0)) is None
    assert rate.time_left(simulation(0.9, 90.0)) == pytest.approx(10.0)
    assert rate.time_left(learning(0.0, 110.0)) is None
    assert rate.time_left(learning(0.1, 120.0)) == pytest.approx(90.0)


# reading ahead


class Numbers:
    """A source whose clips are the number of their process; notes what is read."""

    settings = Settings()

    def __init__(self) -> None:
        self.reads: Counter[int] = Counter()

    def processes(self, split: str) -> list[int]:
        return list(range(6)) if split == "train" else []

    def read(self, process: int) -> torch.Tensor:
        self.reads[process] += 1
        return torch.full((10, 1, 10, 10), process, dtype=torch.uint8)


def test_batches_come_as_planned():
    plan = [[3, 5], [0], [4, 1, 3]]
    with closing(ReadAhead(Numbers())) as reader:
        batches = [[int(clips.float().mean()) for clips in batch] for batch in reader.batches(plan)]
    assert batches == plan


def test_reading_is_ahead_but_not_far():
    source = Numbers()
    with closing(ReadAhead(source)) as reader:
        batches = reader.batches([[process] for process in range(6)])
        next(batches)
    assert list(source.reads) == list(range(len(source.reads)))
    assert 1 <= len(source.reads) <= 1 + AHEAD


@pytest.mark.parametrize(
    ("bytes_kept", "expected"),
    [(6000, [1] * 6), (float("inf"), [1] * 6), (3999, [1, 1, 1, 3, 3, 3]), (999, [3] * 6), (0, [3] * 6)],
)
def test_what_fits_is_read_once(bytes_kept: float, expected: list[int]):
    """Clips of 1000 bytes a process, in three rounds."""
    source = Numbers()
    rounds = [[[0, 1], [2, 3], [4, 5]], [[5, 4], [3, 2], [1, 0]], [[0], [1, 2, 3, 4, 5]]]
    with closing(ReadAhead(source, bytes_kept / 1e9)) as reader:
        for plan in rounds:
            assert [[int(clips[0, 0, 0, 0]) for clips in batch] for batch in reader.batches(plan)] == plan
    assert [source.reads[process] for process in range(6)] == expected


def test_what_fails_in_the_reading_thread_is_raised_where_the_batch_is_used():
    class Broken(Numbers):
        def read(self, process: int) -> torch.Tensor:
            if process == 2:
                raise OSError("damaged")
            return super().read(process)

    with closing(ReadAhead(Broken())) as reader:
        batches = reader.batches([[0], [1], [2]])
        next(batches)
        next(batches)
        with pytest.raises(OSError, match="damaged"):
            next(batches)
