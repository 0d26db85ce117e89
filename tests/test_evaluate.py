"""The command `gputhermo evaluate`: its files and numbers, that nothing but the settings matters, and mistakes."""

import itertools
import json
import re
import shutil
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
import tomli_w
import torch
from rich.console import Console
from small_gas import EVALUATE, SETTINGS, make

from gputhermo import cli, printout
from gputhermo import evaluate as evaluation
from gputhermo import relatives as relatives_module
from gputhermo.claims import Evaluation, Results, load_evaluation, load_results
from gputhermo.dataset import SPLITS, split_processes
from gputhermo.errors import Stopped
from gputhermo.evaluate import EvaluateStatus, digest, evaluate
from gputhermo.feed import Feed
from gputhermo.model import EntropyNetwork
from gputhermo.network_file import load_network, read_network, save_network
from gputhermo.parameters import TrainSettings
from gputhermo.reader import ProcessReader
from gputhermo.representation import Representation
from gputhermo.seal import seal
from gputhermo.summary import read_tables, summarise
from gputhermo.train import train
from gputhermo.workfolder import claimed

TRAINING = TrainSettings(epochs=3, seed=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("gas"))


@pytest.fixture(scope="module")
def weights(dataset: Path) -> Path:
    """Of a network that was trained on it a little."""
    folder = dataset.with_name("training")
    train(dataset, folder, TRAINING, device="cpu", n_threads=1)
    return folder / "best.safetensors"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the settings EVALUATE."""
    path = tmp_path_factory.mktemp("config") / "evaluate.toml"
    path.write_text(tomli_w.dumps(EVALUATE.model_dump(mode="json")))
    return path


@pytest.fixture(scope="module")
def finished(dataset: Path, weights: Path, config: Path) -> Path:
    """The folder that the command filled."""
    out = dataset.with_name("evaluated")
    assert cli.main(command(dataset, weights, out, config)) == 0
    return out


def command(dataset: Path, weights: Path, out: Path, config: Path, *options: str) -> list[str]:
    places = ["--weights", str(weights), "--out", str(out), "--config", str(config)]
    return ["evaluate", str(dataset), *places, "--device", "cpu", "--threads", "1", *options]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures, which take most of the time."""
    monkeypatch.setattr(evaluation, "save_paper_figures", lambda *_: None)


def without_seconds(results: Results) -> Results:
    return results.model_copy(update={"run": results.run.model_copy(update={"seconds": {}})})


# what is written


def test_everything_is_there(finished: Path, dataset: Path, weights: Path):
    figures = [f"figure_{name}.png" for name in ("1b", 3, 4, 5, 6, 7, 8)]
    others = ["evaluation.npz", "relatives.h5", "report.md", "results.json"]
    assert sorted(path.name for path in finished.iterdir()) == sorted([*others, *figures])
    run = load_results(finished / "results.json").run
    assert (run.dataset, run.evaluation) == (SETTINGS, EVALUATE)
    assert run.training.model_copy(update={"precision": "auto"}) == TRAINING
    assert run.processes == {"train": 4, "validation": 4, "test": 8}
    with h5py.File(dataset) as file:
        split = file["processes/split"][()]
        for name, code in SPLITS.items():
            assert run.states[name] == file["processes/n_states"][()][split == code].sum()
    history = [json.loads(line) for line in (weights.parent / "history.jsonl").read_text().splitlines()]
    assert run.best_epoch == min(history, key=lambda epoch: epoch["validation_loss"])["epoch"]
    assert run.weights_sha256 == digest(weights)
    assert run.n_parameters == sum(parameter.numel() for parameter in load_network(weights).parameters())
    assert set(run.seconds) == {"relatives", "representation", "statistics"}
    guards = str(summarise(read_tables(dataset)).guards)
    assert run.guards == guards
    assert f"| guards of the dataset | {guards} |" in (finished / "report.md").read_text()


@pytest.mark.usefixtures("quick")
def test_another_split_is_that_of_training_and_evaluation(dataset: Path, tmp_path: Path):
    """No process that a network learned from, or was chosen by, is one that it is judged by."""
    training = TRAINING.model_copy(update={"split_seed": 6, "epochs": 1})
    train(dataset, tmp_path / "training", training, device="cpu", n_threads=1)
    results = evaluate(
        dataset, tmp_path / "training/best.safetensors", tmp_path / "out", EVALUATE, device="cpu", n_threads=1
    )
    drawn = split_processes(SETTINGS, 16, seed=6)
    assert not np.array_equal(drawn, split_processes(SETTINGS, 16))
    arrays = load_evaluation(tmp_path / "out/evaluation.npz")
    np.testing.assert_array_equal(np.unique(arrays.process), np.flatnonzero(drawn == SPLITS["test"]))
    assert results.run.training.split_seed == 6
    with closing(Feed(dataset, split_seed=6)) as feed:
        for split, code in SPLITS.items():
            assert feed.processes(split) == np.flatnonzero(drawn == code).tolist()


def test_the_table_at_the_end_fits_into_a_line_of_100_characters(
    finished: Path, dataset: Path, weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(printout, "new_console", lambda: Console(highlight=False, markup=False, width=100))
    printout.print_claims(load_results(finished / "results.json"), finished)
    printed = capsys.readouterr().out
    results = json.loads((finished / "results.json").read_text())
    for name in ("test_accuracy", "A3_agreement_unrestricted", "A5_recombined_r2", "monotonicity"):
        (line,) = [line for line in printed.splitlines() if line.startswith(f"{name} ")]
        assert all(f"{results[name][number]:.4f}" in line for number in ("value", "low", "high"))
    assert max(map(len, printed.splitlines())) <= 100
    assert f"report: {finished / 'report.md'}" in printed


def test_claims_are_those_of_the_arrays(finished: Path):
    """Recomputed from evaluation.npz in other words, pair by pair."""
    arrays, results = load_evaluation(finished / "evaluation.npz"), load_results(finished / "results.json")
    right, n_pairs, losses, by_process = 0.0, 0, 0.0, []
    for process in sorted(set(arrays.process.tolist())):
        s = arrays.entropies[arrays.process == process]
        pairs = list(itertools.combinations(s.tolist(), 2))
        of_process = sum(1.0 if earlier < later else 0.5 if earlier == later else 0.0 for earlier, later in pairs)
        by_process.append(of_process / len(pairs))
        right, n_pairs = right + of_process, n_pairs + len(pairs)
        losses += sum(np.log1p(np.exp(earlier - later)) for earlier, later in pairs)
    assert results.test_accuracy.value == pytest.approx(right / n_pairs, rel=1e-12)
    assert results.test_process_accuracy.value == pytest.approx(np.mean(by_process), rel=1e-12)
    assert results.test_loss.value == pytest.approx(losses / n_pairs, rel=1e-12)

    def r2(x: np.ndarray, y: np.ndarray) -> float:
        return 1.0 - ((y - x) ** 2).sum() / ((y - y.mean()) ** 2).sum()

    assert results.A1_r2.value == pytest.approx(r2(arrays.entropies, arrays.twins), rel=1e-9)
    assert results.A5_split_r2.value == pytest.approx(r2(arrays.entropies[arrays.split_state], arrays.split), rel=1e-9)
    assert results.A5_recombined_r2.value == pytest.approx(r2(arrays.recombined, arrays.split), rel=1e-9)
    assert results.extensivity_r2.value == pytest.approx(r2(arrays.expected, arrays.joined), rel=1e-9)
    for n, line in results.entropy_r2.items():
        x, y = arrays.van_der_waals[arrays.n_particles == int(n)], arrays.entropies[arrays.n_particles == int(n)]
        slope, intercept = np.polyfit(x, y, 1)
        assert line.value == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2, rel=1e-9)
        np.testing.assert_allclose(arrays.rescaled[arrays.n_particles == int(n)], (y - intercept) / slope, rtol=1e-7)
    assert [claim.epsilon for claim in results.A6_curve] == [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
    assert len(results.A4_scaled) == 10
    assert results.A4_agreement.value == pytest.approx(np.mean([claim.value for claim in results.A4_scaled]))


def test_arrays_of_the_figures_are_those_of_the_dataset(finished: Path, dataset: Path, weights: Path):
    """S~ of each picture by itself, and the piston of the first process of half strokes."""
    arrays = load_evaluation(finished / "evaluation.npz")
    with h5py.File(dataset) as file:
        test = np.flatnonzero(file["processes/split"][()] == SPLITS["test"])
        rows = np.flatnonzero(np.isin(file["states/process"][()], test))
        clips, numbers = file["states/images"][rows], file["states/n_particles"][rows]
        np.testing.assert_array_equal(arrays.process, file["states/process"][rows])
    np.testing.assert_array_equal(arrays.n_particles, numbers)
    with torch.no_grad():
        alone = load_network(weights)(torch.from_numpy(clips) / 255.0).double().numpy()
    # The weights may have been trained, and so are evaluated, with convolutions in bfloat16.
    np.testing.assert_allclose(arrays.entropies, alone, atol=0.02 * np.ptp(alone) + 1e-6)
    assert arrays.piston_position[0] == arrays.piston_position[-1] == 120.0
    assert arrays.piston_position.min() == pytest.approx(60.0)
    np.testing.assert_allclose(arrays.recorded_position, [120.0, 90.0, 60.0, 90.0, 120.0])


# what matters, and what does not


def run_quickly(dataset: Path, weights: Path, out: Path, **options) -> tuple[Results, Evaluation]:
    settings = options.pop("settings", EVALUATE)
    results = evaluate(dataset, weights, out, settings, device="cpu", **options)
    assert load_results(out / "results.json") == results
    return without_seconds(results), load_evaluation(out / "evaluation.npz")


def assert_same(one: tuple[Results, Evaluation], folder: Path) -> None:
    """Bit for bit what the command wrote there."""
    assert one[0] == without_seconds(load_results(folder / "results.json"))
    for name, array in vars(load_evaluation(folder / "evaluation.npz")).items():
        np.testing.assert_array_equal(getattr(one[1], name), array)


@pytest.mark.usefixtures("quick")
def test_threads_do_not_matter(finished: Path, dataset: Path, weights: Path, tmp_path: Path):
    assert_same(run_quickly(dataset, weights, tmp_path / "again", n_threads=2), finished)


@pytest.mark.usefixtures("quick")
def test_a_seed_matters(finished: Path, dataset: Path, weights: Path, tmp_path: Path):
    settings = EVALUATE.model_copy(update={"seed": 2})
    results, arrays = run_quickly(dataset, weights, tmp_path / "other", settings=settings, n_threads=1)
    before, arrays_before = load_results(finished / "results.json"), load_evaluation(finished / "evaluation.npz")
    np.testing.assert_array_equal(arrays.entropies, arrays_before.entropies)
    for name in ("twins", "split", "expected"):
        assert (getattr(arrays, name) != getattr(arrays_before, name)).mean() > 0.3
    assert results.test_accuracy.value == before.test_accuracy.value
    assert results.A1_r2.value != before.A1_r2.value


@pytest.mark.usefixtures("quick")
def test_a_stopped_run_goes_on(finished: Path, dataset: Path, weights: Path, tmp_path: Path):
    """Stopped while relatives are made and while S~ is computed, the relatives of the first run are not made again."""
    shown: list[EvaluateStatus] = []
    for n_calls, there in ((1, False), (3, False), (12, True), (4, True)):
        calls = itertools.count(1)
        with pytest.raises(Stopped):
            evaluate(
                *(dataset, weights, tmp_path / "stopped", EVALUATE),
                device="cpu",
                n_threads=1,
                report=shown.append,
                stop=lambda calls=calls, last=n_calls: next(calls) >= last,
            )
        assert (tmp_path / "stopped/relatives.h5").exists() == there
        assert not (tmp_path / "stopped/results.json").exists()
    made = (tmp_path / "stopped/relatives.h5").stat().st_mtime_ns
    n_before = len(shown)
    assert_same(run_quickly(dataset, weights, tmp_path / "stopped", n_threads=1, report=shown.append), finished)
    assert (tmp_path / "stopped/relatives.h5").stat().st_mtime_ns == made
    fractions = [status.fraction for status in shown[n_before:]]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {str(status) for status in shown} >= {"S~, twin", "S~, compound", "statistics", "done"}


@pytest.mark.usefixtures("quick")
def test_no_process_but_those_for_tests_is_read(
    dataset: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read = set()

    def spying(method: Callable) -> Callable:
        def spy(reader: object, *arguments: object) -> object:
            read.add(arguments[-1])
            return method(reader, *arguments)

        return spy

    monkeypatch.setattr(Feed, "read", spying(Feed.read))
    monkeypatch.setattr(ProcessReader, "__init__", spying(ProcessReader.__init__))
    assert relatives_module.ProcessReader is ProcessReader
    run_quickly(dataset, weights, tmp_path / "spied", n_threads=1)
    with h5py.File(dataset) as file, h5py.File(tmp_path / "spied/relatives.h5") as made:
        test = np.flatnonzero(file["processes/split"][()] == SPLITS["test"]).tolist()
        assert sorted(made) == [f"process-{process:06d}" for process in test]
    assert read == set(test)


def changed(weights: Path, out: Path, change: Callable[[Representation], object]) -> Path:
    """The same network with other numbers in it."""
    origin, network = read_network(weights)
    with torch.no_grad():
        change(network)
    save_network(network, out, origin.training, origin.epoch)
    return out


def test_a_network_that_has_learned_nothing_is_judged_as_well(dataset: Path, weights: Path, tmp_path: Path):
    """It gives all states the same S~: chance where the order counts, no line, and figures all the same."""
    constant = changed(weights, tmp_path / "constant.safetensors", lambda network: network.dense[-1].weight.zero_())
    results, arrays = run_quickly(dataset, constant, tmp_path / "constant", n_threads=1)
    assert (results.test_accuracy.value, results.monotonicity.value) == (0.5, 0.5)
    assert results.test_loss.value == pytest.approx(np.log(2.0))
    assert (results.A3_agreement.value, results.A1_r2.value) == (1.0, 0.0)
    assert [line.value for line in results.entropy_r2.values()] == [0.0, 0.0]
    assert np.isnan(arrays.rescaled).all()
    assert (tmp_path / "constant/figure_7.png").exists()


# mistakes


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], config: Path) -> Callable[..., str]:
    """Runs the command, gives back what it says to a mistake: one line, code 2, and no file is written or changed."""

    def run(dataset: Path, weights: Path, out: Path, *options: str) -> str:
        folders = {dataset.parent, weights.parent, out.parent}
        before = [contents(folder) for folder in folders]
        capsys.readouterr()
        assert cli.main(command(dataset, weights, out, config, *options)) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert re.fullmatch(r"error: [^\n]+\n", printed.err), printed.err
        assert [contents(folder) for folder in folders] == before
        return printed.err

    return run


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files below the folder, with the time at which each was written."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_results_are_not_overwritten(
    finished: Path, dataset: Path, weights: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(evaluation, "load_states", lambda *_: pytest.fail("work was done before"))
    assert "has results already" in refused(dataset, weights, finished)


def test_a_folder_that_is_in_use(dataset: Path, weights: Path, tmp_path: Path, refused: Callable[..., str]):
    with claimed(tmp_path / "out"):
        assert "in use" in refused(dataset, weights, tmp_path / "out")


def test_relatives_of_other_settings(
    finished: Path, dataset: Path, weights: Path, tmp_path: Path, refused: Callable[..., str]
):
    (tmp_path / "out").mkdir()
    shutil.copy(finished / "relatives.h5", tmp_path / "out")
    assert "another seed" in refused(dataset, weights, tmp_path / "out", "--seed", "7")


@pytest.mark.parametrize(
    ("text", "says"), [("settle_time = -1.0", "settle_time = -1.0"), ("sedd = 1", "sedd is not a setting")]
)
def test_settings_that_are_not_allowed(
    dataset: Path, weights: Path, tmp_path: Path, refused: Callable[..., str], text: str, says: str
):
    (tmp_path / "wrong.toml").write_text(text)
    assert says in refused(dataset, weights, tmp_path / "out", "--config", str(tmp_path / "wrong.toml"))


def test_a_place_for_results_that_cannot_be(dataset: Path, weights: Path, tmp_path: Path, refused: Callable[..., str]):
    (tmp_path / "file").write_text("mine")
    assert "is a file" in refused(dataset, weights, tmp_path / "file")
    assert "there is no folder" in refused(dataset, weights, tmp_path / "no" / "out")


@pytest.mark.parametrize(("option", "value"), [("--device", "cuda:77"), ("--threads", "0")])
def test_a_machine_that_is_not_there(
    dataset: Path, weights: Path, tmp_path: Path, refused: Callable[..., str], option: str, value: str
):
    assert f"{option.removeprefix('--')} = " in refused(dataset, weights, tmp_path / "out", option, value)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (EntropyNetwork(2, 64), "clips of 2 frames of 64 pixels, the dataset has 2 of 32"),
        (EntropyNetwork(5, 32), "clips of 5 frames of 32 pixels, the dataset has 2 of 32"),
    ],
)
def test_weights_for_other_clips(
    dataset: Path,
    weights: Path,
    tmp_path: Path,
    refused: Callable[..., str],
    network: EntropyNetwork,
    says: str,
):
    save_network(network, tmp_path / "other.safetensors", read_network(weights)[0].training, 1)
    assert says in refused(dataset, tmp_path / "other.safetensors", tmp_path / "out")


def test_what_is_not_such_a_network(dataset: Path, weights: Path, tmp_path: Path, refused: Callable[..., str]):
    other = tmp_path / "other.safetensors"

    def says(content: bytes) -> str:
        other.write_bytes(content)
        return refused(dataset, other, tmp_path / "out")

    assert "is not a gputhermo network" in says((weights.parent / "checkpoint.safetensors").read_bytes())
    assert "is damaged" in says(weights.read_bytes()[:-1000])
    assert "not one that gputhermo wrote" in says(weights.read_bytes()[:20])
    assert "not one that gputhermo wrote" in says(b"")
    assert "is not a safetensors file" in says(dataset.read_bytes())
    network = load_network(weights)
    network.dense[4] = torch.nn.Linear(64, 2)
    save_network(network, other, read_network(weights)[0].training, 1)
    assert "weights of the network that it names" in refused(dataset, other, tmp_path / "out")
    assert "does not exist" in refused(dataset, tmp_path / "missing.safetensors", tmp_path / "out")
    trained = tomllib.loads(read_network(weights)[0].training)
    without_device = tomli_w.dumps({name: trained[name] for name in ("train", "dataset")})
    for training in ("", "train = 1\ndataset = 2\n", "= broken", "[dataset]\n", without_device):
        save_network(load_network(weights), other, training, 1)
        assert "does not tell how it was trained" in refused(dataset, other, tmp_path / "out")


def test_weights_that_are_no_numbers(
    dataset: Path, weights: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    """That is found before anything is simulated."""
    broken = changed(weights, tmp_path / "nan.safetensors", lambda network: network.dense[0].weight.fill_(torch.nan))
    monkeypatch.setattr(evaluation, "make_relatives", lambda *_, **__: pytest.fail("simulated"))
    assert "not a finite number" in refused(dataset, broken, tmp_path / "out")


def test_weights_that_may_have_seen_the_test_processes(
    dataset: Path, weights: Path, tmp_path: Path, refused: Callable[..., str]
):
    """Of a dataset with the same seed but other holds: its initial states are the same."""
    training = tomllib.loads(read_network(weights)[0].training)
    training["dataset"]["protocol"]["hold_time"] = 40.0
    save_network(load_network(weights), tmp_path / "leak.safetensors", tomli_w.dumps(training), 1)
    assert "another dataset of the same seed" in refused(dataset, tmp_path / "leak.safetensors", tmp_path / "out")


@pytest.mark.usefixtures("quick")
def test_weights_of_a_dataset_with_another_seed_are_judged(dataset: Path, weights: Path, tmp_path: Path):
    training = tomllib.loads(read_network(weights)[0].training)
    training["dataset"] |= {"seed": 5}
    training["dataset"]["protocol"]["hold_time"] = 40.0
    save_network(load_network(weights), tmp_path / "other.safetensors", tomli_w.dumps(training), 1)
    with pytest.raises(Stopped):
        run_quickly(dataset, tmp_path / "other.safetensors", tmp_path / "out", stop=lambda: True)


def without_tests(file: h5py.File) -> None:
    split = file["processes/split"]
    split[...] = np.where(split[()] == SPLITS["test"], SPLITS["train"], split[()])


def without_halves(file: h5py.File) -> None:
    file["states/piston_position"][...] -= 1.0


def with_a_single_state_of_500(file: h5py.File) -> None:
    test = np.flatnonzero(file["processes/split"][()] == SPLITS["test"])
    file["states/n_particles"][file["processes/first_state"][test[0]]] = 500


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_tests, "no test process"),
        (without_halves, "2 test states with the piston at L/2, not 0"),
        (with_a_single_state_of_500, "no single test state of an N, as of N = 500"),
    ],
)
def test_datasets_that_lack_what_is_needed(
    dataset: Path,
    weights: Path,
    tmp_path: Path,
    refused: Callable[..., str],
    change: Callable[[h5py.File], None],
    says: str,
):
    shutil.copy(dataset, tmp_path / "lacking.h5")
    with h5py.File(tmp_path / "lacking.h5", "r+") as file:
        change(file)
    seal(tmp_path / "lacking.h5")
    assert says in refused(tmp_path / "lacking.h5", weights, tmp_path / "out")


def test_what_is_no_dataset(dataset: Path, weights: Path, tmp_path: Path, refused: Callable[..., str]):
    other = tmp_path / "other.h5"

    def says(content: bytes) -> str:
        other.write_bytes(content)
        return refused(other, weights, tmp_path / "out")

    assert "is damaged" in says(dataset.read_bytes()[: dataset.stat().st_size // 2])
    assert "not one that gputhermo wrote" in says(b"text\n")
    assert "is not an HDF5 file" in says(weights.read_bytes())
    assert "does not exist" in refused(tmp_path / "missing.h5", weights, tmp_path / "out")
