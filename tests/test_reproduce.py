"""The command `gputhermo reproduce`: every stage once, and whatever stops it, the same results in the end."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_gas import EVALUATE, SETTINGS

from gputhermo import evaluate as evaluation
from gputhermo import parameters
from gputhermo import reproduce as reproduction
from gputhermo.claims import Results, load_results
from gputhermo.cli import main
from gputhermo.errors import InputError, Stopped
from gputhermo.parameters import EvaluateSettings, TrainSettings
from gputhermo.reproduce import STAGES, reproduce
from gputhermo.simulate import Simulation
from gputhermo.train import Training

TRAINING = TrainSettings(epochs=2)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset for which the command takes seconds."""
    monkeypatch.setitem(parameters.PRESETS, "demo", SETTINGS)
    monkeypatch.setitem(parameters.TRAIN_PRESETS, "demo", {"epochs": TRAINING.epochs})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing stopped."""
    out = tmp_path_factory.mktemp("reproduced") / "out"
    run(out)
    return out


def run(out: Path, **options) -> Results:
    settings = {"settings": SETTINGS, "training": TRAINING, "evaluation": EVALUATE} | options
    return reproduce(**settings, out=out, device="cpu", n_threads=1)


def without_seconds(results: Results) -> Results:
    return results.model_copy(update={"run": results.run.model_copy(update={"seconds": {}})})


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files below the folder but TensorBoard's logs, with the time at which each was written."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and "tensorboard" not in path.parts
    }


@pytest.mark.usefixtures("small")
def test_the_command_does_every_stage_and_a_second_time_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "out"
    command = ["reproduce", "--preset", "demo", "--out", str(out), "--device", "cpu", "--threads", "1", "--seed", "4"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert [line for line in printed.err.splitlines() if re.match(r"\d/\d ", line)] == [
        f"{number}/3  {stage}" for number, stage in enumerate(STAGES, start=1)
    ]
    results = load_results(out / "results.json")
    assert results.run.dataset == SETTINGS.model_copy(update={"seed": 4})
    assert (results.run.training.seed, results.run.training.epochs) == (4, TRAINING.epochs)
    assert results.run.evaluation == EvaluateSettings(seed=4)
    for name in ("dataset.h5", "training/best.safetensors", "training/history.jsonl", "report.md", "figure_8.png"):
        assert (out / name).is_file()
    assert "test_accuracy" in printed.out
    assert f"{out / 'report.md'}" in printed.out

    for owner, work in ((Simulation, "advance"), (Training, "_step"), (reproduction, "evaluate")):
        monkeypatch.setattr(owner, work, lambda *_, **__: pytest.fail("done again"))
    before = contents(out)
    assert main(command) == 0
    assert capsys.readouterr().out == printed.out
    assert contents(out) == before


class Killed(BaseException):
    """Raised where a run is to end with nothing saved."""


class Display:
    """Knows which stage is at work, and ends the run there when it has asked `n_asked` times whether to stop."""

    def __init__(self, stage: str, n_asked: int, end: type[BaseException]):
        self.stage, self.n_asked, self.end = stage, n_asked, end
        self.shown: list[str] = []

    @contextmanager
    def show(self, stage: str) -> Iterator[Callable[[object], None]]:
        self.shown.append(stage)
        yield lambda status: None

    def stop(self) -> bool:
        self.n_asked -= self.shown[-1] == self.stage
        if self.n_asked == 0 and self.end is Killed:
            raise Killed
        return self.n_asked == 0


@pytest.mark.parametrize("end", [Stopped, Killed])
def test_a_run_that_ends_at_any_time_goes_on(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
):
    """Within each stage, and as it begins: at the first time, or a later one, that the stage asks whether to stop."""
    monkeypatch.setattr(evaluation, "save_paper_figures", lambda *_: None)
    for stage, n_asked in ((0, 1), (0, 2), (1, 1), (1, 3), (2, 1), (2, 4), (2, 20)):
        display = Display(STAGES[stage], n_asked, end)
        with pytest.raises(end):
            run(tmp_path / "out", show=display.show, stop=display.stop)
        assert display.shown == list(STAGES[: stage + 1])
        assert not (tmp_path / "out/results.json").exists()
    assert without_seconds(run(tmp_path / "out")) == without_seconds(load_results(finished / "results.json"))
    for name in ("dataset.h5", "training/best.safetensors", "relatives.h5", "evaluation.npz"):
        assert (tmp_path / "out" / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.parametrize(
    "other",
    [
        {"settings": SETTINGS.model_copy(update={"seed": 2})},
        {"training": TRAINING.model_copy(update={"epochs": 3})},
        {"evaluation": EVALUATE.model_copy(update={"settle_time": 6.0})},
    ],
)
def test_other_settings_in_the_same_folder_are_refused(finished: Path, other: dict):
    before = contents(finished)
    with pytest.raises(InputError, match=r"^[^\n]+$"):
        run(finished, **other)
    assert contents(finished) == before


def test_results_of_other_weights_are_refused(finished: Path, tmp_path: Path):
    """As when the training was done again, after its folder was removed."""
    (tmp_path / "out").mkdir()
    for name in ("dataset.h5", "results.json"):
        (tmp_path / "out" / name).write_bytes((finished / name).read_bytes())
    with pytest.raises(InputError, match=r"^out = [^\n]* has results of other settings or weights[^\n]*$"):
        run(tmp_path / "out", training=TRAINING.model_copy(update={"seed": 9}))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--preset", "papr"], "preset = 'papr' is unknown; allowed: paper, demo"),
        (["--epochs", "0"], "epochs = 0 is not allowed"),
        (["--device", "cuda:77"], "device = 'cuda:77' is not allowed"),
    ],
)
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str):
    assert main(["reproduce", "--preset", "demo", "--out", str(tmp_path / "out"), *options]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert says in line
    assert contents(tmp_path) == {}


def test_a_place_that_cannot_be(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    for out, says in ((tmp_path / "file", "is a file"), (tmp_path / "no/out", "there is no folder")):
        with pytest.raises(InputError, match=rf"^out = [^\n]*{says}[^\n]*$"):
            run(out)
    assert (tmp_path / "file").read_text() == "mine"
