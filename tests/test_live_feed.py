"""Training on processes that are simulated beside it: data that repeat only where they must."""

from contextlib import closing
from pathlib import Path

import pytest
import torch
from folders import contents
from tiny_dataset import CONFIG

from gputhermo import live_feed
from gputhermo.cli import main
from gputhermo.errors import InputError, SimulationError, Stopped
from gputhermo.live_feed import LiveFeed
from gputhermo.parameters import Settings, TrainSettings, load_settings
from gputhermo.simulated_feed import SimulatedFeed, SimulationStatus, simulate_processes
from gputhermo.train import TrainStatus, train_live, train_on_simulation

TRAINING = TrainSettings(epochs=3, processes_per_step=2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    config = tmp_path_factory.mktemp("tiny") / "tiny.toml"
    config.write_text(CONFIG)
    return load_settings("demo", config)


def prepare(feed: SimulatedFeed, epoch: int) -> None:
    feed.prepare(epoch, lambda status: None, lambda: False)


def test_the_first_epoch_has_the_processes_of_the_dataset_and_each_later_one_its_own(tiny: Settings):
    fixed = SimulatedFeed(tiny, "cpu", n_threads=1)
    prepare(fixed, 0)
    seen = []
    with closing(LiveFeed(tiny, 3, "cpu", n_threads=2)) as live:
        for epoch in range(3):
            prepare(live, epoch)
            seen.append({process: live.read(process) for process in live.processes("train")})
            for process in live.processes("validation"):
                assert torch.equal(live.read(process), fixed.read(process))
    for process, clips in seen[0].items():
        assert torch.equal(clips, fixed.read(process))
        assert clips.shape == seen[1][process].shape == seen[2][process].shape
        for a, b in ((0, 1), (0, 2), (1, 2)):
            # Particles are elsewhere from the first state on.
            assert not (seen[a][process] == seen[b][process]).flatten(1).all(dim=1).any()


def test_an_epoch_has_the_same_processes_whichever_came_before(tiny: Settings):
    def of_second_epoch(epochs: list[int]) -> list[torch.Tensor]:
        with closing(LiveFeed(tiny, 3, "cpu")) as live:
            for epoch in epochs:
                prepare(live, epoch)
            return [live.read(process) for process in live.processes("train") + live.processes("validation")]

    for resumed, whole in zip(of_second_epoch([1]), of_second_epoch([0, 1]), strict=True):
        assert torch.equal(resumed, whole)


def test_the_next_epoch_is_simulated_meanwhile_and_none_after_the_last(tiny: Settings, monkeypatch: pytest.MonkeyPatch):
    simulated: list[int] = []

    def noted(seeds: dict[int, int], *arguments: object) -> dict[int, object]:
        # Learning takes numbers below 1e-38 for zero; a simulation never does.
        assert float(torch.tensor(1e-20) * 1e-20) > 0.0
        simulated.append(len(seeds))
        return simulate_processes(seeds, *arguments)

    monkeypatch.setattr(live_feed, "simulate_processes", noted)
    torch.set_flush_denormal(True)
    try:
        with closing(LiveFeed(tiny, 2, "cpu")) as live:
            n_training, n_validation = len(live.processes("train")), len(live.processes("validation"))
            prepare(live, 0)
            live._worker.submit(int).result()  # behind what was begun
            assert simulated == [n_training + n_validation, n_training]
            prepare(live, 1)
            live._worker.submit(int).result()
            assert simulated == [n_training + n_validation, n_training]
    finally:
        torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def whole(tiny: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train_live(tiny, out, TRAINING, device="cpu", n_threads=1)
    return out


def test_the_same_seed_gives_the_same_files(tiny: Settings, whole: Path, tmp_path: Path):
    train_live(tiny, tmp_path / "run", TRAINING, device="cpu", n_threads=2, cache=0.0)
    assert contents(tmp_path / "run") == contents(whole)
    train_on_simulation(tiny, tmp_path / "fixed", TRAINING, device="cpu")
    ours, fixed = ((folder / "history.jsonl").read_text().splitlines() for folder in (whole, tmp_path / "fixed"))
    assert ours[0] == fixed[0], "the first epoch is that of the dataset"
    assert ours[1] != fixed[1]


@pytest.mark.parametrize("n_reports", [1, 3, 5, 8])
def test_a_stopped_run_ends_like_one_that_never_stopped(tiny: Settings, whole: Path, tmp_path: Path, n_reports: int):
    """4 steps of training, then the end of the epoch."""
    learned = []

    def note(status: SimulationStatus | TrainStatus) -> None:
        if isinstance(status, TrainStatus):
            learned.append(status)

    with pytest.raises(Stopped):
        train_live(tiny, tmp_path / "run", TRAINING, device="cpu", report=note, stop=lambda: len(learned) >= n_reports)
    train_live(tiny, tmp_path / "run", TRAINING, device="cpu", resume=True)
    assert contents(tmp_path / "run") == contents(whole)


def test_a_run_does_not_go_on_with_other_data(tiny: Settings, whole: Path, tmp_path: Path):
    with pytest.raises(Stopped):
        train_live(tiny, tmp_path / "run", TRAINING, device="cpu", stop=lambda: True)
    with pytest.raises(InputError, match="another dataset"):
        train_on_simulation(tiny, tmp_path / "run", TRAINING, device="cpu", resume=True)


def test_what_fails_in_the_simulating_thread_ends_the_run(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*arguments: object) -> None:
        raise SimulationError("process 3: the impossible")

    monkeypatch.setattr(live_feed, "simulate_processes", broken)
    with pytest.raises(SimulationError, match="process 3"):
        train_live(tiny, tmp_path / "run", TRAINING, device="cpu")


def test_command(tiny: Settings, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "tiny.toml").write_text(CONFIG)
    (tmp_path / "train.toml").write_text("processes_per_step = 2\n")
    command = ["train", "--preset", "demo", "--live", "--out", str(tmp_path / "run"), "--device", "cpu"]
    configs = ["--dataset-config", str(tmp_path / "tiny.toml"), "--config", str(tmp_path / "train.toml")]
    assert main([*command, *configs, "--epochs", "3"]) == 0
    assert "best.safetensors" in capsys.readouterr().out
    assert contents(tmp_path / "run") == contents(whole)
    assert main(["train", "data.h5", "--live", "--out", str(tmp_path / "other")]) == 2
    assert "--live is not allowed with a FILE" in capsys.readouterr().err
