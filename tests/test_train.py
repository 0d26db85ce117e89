"""Training: that runs repeat and resume bitwise, and that an order is learned."""

import json
import pickle
import pickletools
import sys
import tomllib
import types
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from folders import contents
from safetensors.torch import load_file

from gputhermo import checkpoint, torch_device
from gputhermo import train as training
from gputhermo.encoder import Encoder
from gputhermo.errors import InputError, Stopped
from gputhermo.feed import Feed
from gputhermo.network_file import load_network
from gputhermo.pairs import over_pairs, over_processes, score
from gputhermo.parameters import TrainSettings
from gputhermo.pooled import PooledNetwork
from gputhermo.seal import seal
from gputhermo.torch_device import choose_precision
from gputhermo.train import TrainStatus, train

SETTINGS = TrainSettings(seed=4, epochs=3, processes_per_step=5, learning_rate=0.001)
N_STEPS = 9
"""Of 12 training processes in batches of 5, 5 and 2."""


def stop_after(n_reports: int) -> Callable[[], bool]:
    """Asks to stop at the question with that number."""
    questions = iter(range(1, 1_000_000))
    return lambda: next(questions) == n_reports


@pytest.fixture(scope="module")
def whole(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(planted, out, SETTINGS, device="cpu", n_threads=1)
    return out


def test_the_same_seed_gives_the_same_files(planted: Path, whole: Path, tmp_path: Path):
    torch.manual_seed(77)  # must not matter
    train(planted, tmp_path / "again", SETTINGS, device="cpu", n_threads=1)
    assert contents(tmp_path / "again") == contents(whole)
    train(planted, tmp_path / "other", SETTINGS.model_copy(update={"seed": 5}), device="cpu", n_threads=1)
    assert contents(tmp_path / "other")["last.safetensors"] != contents(whole)["last.safetensors"]


@pytest.mark.parametrize("n_threads", [2, 3])
def test_files_do_not_depend_on_the_number_of_threads(planted: Path, whole: Path, tmp_path: Path, n_threads: int):
    train(planted, tmp_path / "run", SETTINGS, device="cpu", n_threads=n_threads)
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize(("cache", "n_reads"), [(8.0, 15), (0.0, 3 * 15)])
def test_processes_are_read_once_if_they_fit(
    planted: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: float, n_reads: int
):
    """12 training and 3 validation processes in 3 epochs."""
    reads = []
    read = Feed.read

    def counted(feed: Feed, process: int) -> torch.Tensor:
        reads.append(process)
        return read(feed, process)

    monkeypatch.setattr(Feed, "read", counted)
    train(planted, tmp_path / "run", SETTINGS, device="cpu", cache=cache)
    assert len(reads) == n_reads
    assert len(set(reads)) == 15
    assert contents(tmp_path / "run") == contents(whole)


def flushes() -> bool:
    """Whether torch takes a number below 1e-38 for zero."""
    return float(torch.tensor(1e-20) * 1e-20) == 0.0


def test_training_leaves_the_state_of_torch_alone(planted: Path, tmp_path: Path):
    usual, before = torch.get_num_threads(), torch.get_rng_state()
    within = []

    def stop_late(status: TrainStatus) -> None:
        within.append((torch.get_num_threads(), flushes()))
        if len(within) == 4:
            raise KeyboardInterrupt

    torch.set_num_threads(3)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(planted, tmp_path / "run", SETTINGS, device="cpu", n_threads=2, report=stop_late)
        assert (torch.get_num_threads(), flushes()) == (3, False)
    finally:
        torch.set_num_threads(usual)
    assert set(within) == {(1, True)}
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("here", "found"), [(True, "bfloat16"), (False, "float32")])
def test_auto_precision_is_noted_as_what_it_came_to(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: bool, found: str
):
    """So that a run is not taken up in another one on another machine."""
    plan = SETTINGS.model_copy(update={"epochs": 1})
    monkeypatch.setattr(torch_device, "multiplies_bfloat16", lambda device: here)
    train(planted, tmp_path / "auto", plan, device="cpu")
    recipe = tomllib.loads((tmp_path / "auto/settings.toml").read_text())
    assert recipe["train"] == plan.model_dump(exclude_none=True) | {"precision": found}
    named = plan.model_copy(update={"precision": found})
    train(planted, tmp_path / "named", named, device="cpu")
    assert contents(tmp_path / "named") == contents(tmp_path / "auto")
    train(planted, tmp_path / "auto", named, device="cpu", resume=True)
    monkeypatch.setattr(torch_device, "multiplies_bfloat16", lambda device: not here)
    with pytest.raises(InputError, match="begun with other settings"):
        train(planted, tmp_path / "auto", plan, device="cpu", resume=True)


# An epoch asks after each of its 3 steps and of its 3 validation processes.
@pytest.mark.parametrize("questions", [[1], [3], [4], [6], [7], [2, 1, 5]])
def test_a_resumed_run_ends_bitwise_like_one_that_never_stopped(
    planted: Path, whole: Path, tmp_path: Path, questions: list[int]
):
    for number in questions:
        with pytest.raises(Stopped):
            train(planted, tmp_path / "run", SETTINGS, device="cpu", n_threads=1, resume=True, stop=stop_after(number))
    train(planted, tmp_path / "run", SETTINGS, device="cpu", n_threads=1, resume=True)
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize("writes", range(1, 8))
def test_a_run_that_is_killed_while_it_writes_resumes_bitwise(
    planted: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
):
    """Between any two files of the end of an epoch."""
    kill = stop_after(writes)
    replaced = checkpoint.replaced

    def killed(path: Path):
        if kill():
            raise KeyboardInterrupt
        return replaced(path)

    with monkeypatch.context() as patch:
        for module in ("checkpoint", "seal"):
            patch.setattr(f"gputhermo.{module}.replaced", killed)
        with pytest.raises(KeyboardInterrupt):
            train(planted, tmp_path / "run", SETTINGS, device="cpu", n_threads=1)
    train(planted, tmp_path / "run", SETTINGS, device="cpu", n_threads=1, resume=True)
    assert contents(tmp_path / "run") == contents(whole)


def test_checkpoints_within_an_epoch(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training, "CHECKPOINT_INTERVAL", 0.0)
    saved = []

    def die(status: TrainStatus) -> None:
        saved.append((tmp_path / "run/checkpoint.safetensors").exists())
        if len(saved) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(planted, tmp_path / "run", SETTINGS, device="cpu", n_threads=1, report=die)
    assert saved == [True, True]
    steps = load_file(tmp_path / "run/checkpoint.safetensors")["adam.step.dense.4.bias"]
    assert steps.item() == 2


def test_learning_rate_falls_along_half_a_cosine(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rates = []
    step = torch.optim.Adam.step

    def noted(optimizer: torch.optim.Adam) -> None:
        rates.append(optimizer.param_groups[0]["lr"])
        step(optimizer)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    train(planted, tmp_path / "run", SETTINGS, device="cpu")
    np.testing.assert_allclose(rates, 0.0005 * (1.0 + np.cos(np.pi * np.arange(N_STEPS) / N_STEPS)))


def test_an_order_is_learned_and_holds_for_processes_never_seen(planted: Path, tmp_path: Path):
    plan = TrainSettings(epochs=25, processes_per_step=2)
    statuses: list[TrainStatus] = []
    train(planted, tmp_path / "run", plan, device="cpu", report=statuses.append)
    assert "epoch 1/25  loss " in str(statuses[0])
    assert [status.fraction for status in statuses] == sorted(status.fraction for status in statuses)
    assert statuses[-1].fraction == 1.0
    network, precision = load_network(tmp_path / "run/best.safetensors"), choose_precision("auto", torch.device("cpu"))
    with closing(Feed(planted)) as feed, closing(Encoder(network, precision)) as encoder:
        scores = [score(encoder.entropies(feed.read(process))) for process in feed.processes("test")]
        validation = [score(encoder.entropies(feed.read(process))) for process in feed.processes("validation")]
    assert over_pairs(scores).accuracy > 0.9
    history = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == list(range(1, 26))
    best = min(history, key=lambda line: line["validation_loss"])
    assert best["validation_loss"] == pytest.approx(over_pairs(validation).loss)
    assert best["validation_accuracy"] == pytest.approx(over_pairs(validation).accuracy)
    assert best["validation_process_accuracy"] == pytest.approx(over_processes(validation).accuracy)
    assert history[0]["loss"] > 2 * history[-1]["loss"]


def test_the_other_network_learns_the_order_too(planted: Path, tmp_path: Path):
    plan = TrainSettings(network="pooled", epochs=25, processes_per_step=2)
    status = train(planted, tmp_path / "run", plan, device="cpu", n_threads=2)
    assert isinstance(load_network(tmp_path / "run/best.safetensors"), PooledNetwork)
    assert status.best is not None
    assert status.best.validation_accuracy > 0.9


def test_images_of_the_test_processes_play_no_part(planted: Path, whole: Path, tmp_path: Path):
    other = tmp_path / "other.h5"
    other.write_bytes(planted.read_bytes())
    with h5py.File(other, "r+") as file:
        first = file["processes/first_state"][()][file["processes/split"][()] == 2].min()
        file["states/images"][first:] = 0
    seal(other)
    train(other, tmp_path / "run", SETTINGS, device="cpu", n_threads=1)
    assert contents(tmp_path / "run") == contents(whole)


def test_nothing_in_the_folder_is_a_pickle(whole: Path):
    files = contents(whole)
    assert set(files) == {
        *("settings.toml", "history.jsonl"),
        *("checkpoint.safetensors", "best.safetensors", "last.safetensors"),
    }
    for name, data in files.items():
        assert not is_pickle(data), name
        assert not zipfile.is_zipfile(whole / name), f"{name}: torch.save makes such files"
    assert is_pickle(pickle.dumps({"weights": [1.0]}))


def is_pickle(data: bytes) -> bool:
    """Whether the unpickling machine understands it."""
    try:
        return bool(list(pickletools.genops(data)))
    except ValueError:
        return False


def test_tensorboard_reads_back_the_history(planted: Path, tmp_path: Path):
    """Also of a run that was stopped in its second epoch and resumed."""
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with pytest.raises(Stopped):
        train(planted, tmp_path / "run", SETTINGS, device="cpu", stop=stop_after(8))
    train(planted, tmp_path / "run", SETTINGS, device="cpu", resume=True)
    log = event_accumulator.EventAccumulator(str(tmp_path / "run/tensorboard"))
    log.Reload()
    history = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    names = ["loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate"]
    assert sorted(log.Tags()["scalars"]) == sorted(names)
    for name in names:
        events = log.Scalars(name)
        assert [event.step for event in events] == [1, 2, 3]
        assert [event.value for event in events] == pytest.approx([line[name] for line in history], rel=2.0**-23)


def test_logs_for_tensorboard_where_it_is_installed(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scalars = {}

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int):
            assert (folder, purge_step) == (str(tmp_path / "run/tensorboard"), 1)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            scalars[name, step] = value

        def flush(self) -> None:
            pass

        def close(self) -> None:
            scalars["closed", 0] = 1.0

    module = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    train(planted, tmp_path / "run", SETTINGS, device="cpu")
    history = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    for line in history:
        for name in ("loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate"):
            assert scalars[name, line["epoch"]] == line[name]
    assert ("closed", 0) in scalars


def test_a_damaged_checkpoint_is_left_as_it_is(planted: Path, whole: Path, tmp_path: Path):
    out = tmp_path / "run"
    out.mkdir()
    files = contents(whole) | {"checkpoint.safetensors": contents(whole)["checkpoint.safetensors"][:-1]}
    for name, data in files.items():
        (out / name).write_bytes(data)
    with pytest.raises(InputError, match=r"checkpoint\.safetensors.*damaged"):
        train(planted, out, SETTINGS, device="cpu", resume=True)
    assert contents(out) == files
    (out / "checkpoint.safetensors").write_bytes(files["last.safetensors"])
    with pytest.raises(InputError, match=r"not the checkpoint"):
        train(planted, out, SETTINGS, device="cpu", resume=True)


def test_two_runs_do_not_share_a_folder(planted: Path, tmp_path: Path):
    def second(status: TrainStatus) -> None:
        with pytest.raises(InputError, match="in use"):
            train(planted, tmp_path / "run", SETTINGS, device="cpu", resume=True)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(planted, tmp_path / "run", SETTINGS, device="cpu", report=second)
