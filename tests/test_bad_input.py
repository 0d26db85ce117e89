"""Settings of any kind, as a user writes them: they are worked with, or refused in a line; nothing ends otherwise.

Every configuration is a TOML file that the command line is given, in this process. What is accepted runs to its first
stop: `generate` plans, allocates, draws initial states and launches the engine once, `train` builds the network and
makes a step, `evaluate` launches its first twins; a frame is drawn besides, and a state split, where that is little.
"""

import copy
import datetime
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from counts import Inputs
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jobs import EVALUATE, GENERATE, Job
from pydantic import BaseModel

from gputhermo import train
from gputhermo.backend import CpuBackend
from gputhermo.cli import main
from gputhermo.errors import InputError
from gputhermo.parameters import (
    EvaluateSettings,
    Section,
    Settings,
    TrainSettings,
    load_evaluate_settings,
    load_settings,
)
from gputhermo.progress import StopRequest
from gputhermo.rasterize import render
from gputhermo.reader import ProcessReader
from gputhermo.simulate import Simulation
from gputhermo.split import draw_cuts, split_and_recombine

ACCEPTED = (0, 1, 128)
"""Exit codes: finished; a simulation that went wrong, and says so; stopped, as everything here is."""
LONGEST_LINE = 600

NUMBERS = st.one_of(
    st.sampled_from([1, 2, 3, 5, 0.001, 0.25, 0.5, 1.0, 15.0, 30.0, 60.0, 120.0, 500]),
    st.sampled_from([0, -1, -0.0, 1e-300, 5e-324, 1e300, 1e16, 2**31, 2**53, 2**63 - 1, 2**63, 10**400]),
    st.sampled_from([float("nan"), float("inf"), -float("inf")]),
    st.integers(1, 10_000),
    st.integers(),
    st.floats(0.01, 1000.0),
    st.floats(),
)
ODD = st.one_of(
    st.booleans(),
    st.text(max_size=20),
    st.sampled_from(
        ["contact", "verlet", "paper", "pooled", "float32", "x" * 10_000, "\x1b[31m\n", datetime.date(2020, 1, 1)]
    ),
    st.lists(st.one_of(NUMBERS, st.text(max_size=3), st.lists(NUMBERS, max_size=2)), max_size=3),
    NUMBERS.map(lambda number: [number] * 2000),
    st.dictionaries(st.text(max_size=5), NUMBERS, max_size=2),
)
VALUES = st.one_of(NUMBERS, NUMBERS, st.lists(NUMBERS, min_size=1, max_size=3), ODD)
FITTING: dict[str, list[Any]] = {
    "seed": [1, 7, 2**63 - 1],
    "box_length": [60.0, 120, 240.0],
    "interaction_strength": [0.01, 100.0, 1e5],
    "temperature": [0.0, 0.5, 3],
    "exact_energy": [True, False],
    "engine": ["contact", "verlet"],
    "timestep": [0.0005, 0.001, 0.01],
    "substeps": [1, 2, 10],
    "hold_time": [1.0, 5.0, 40.0, 1e6],
    "n_cycles": [1, 2, 30],
    "frames": [1, 2, 5],
    "frame_interval": [0.1, 0.5, 1],
    "n_particles": [[1], [30], [200, 3]],
    "push_speeds": [[0.5], [2.0, 0.1]],
    "pull_speeds": [[0.25], [10.0]],
    "strokes": [[60.0], [30.0, 15], [0.06]],
    "max_rank_difference": [0, 1, 5],
    "pixels": [1, 32, 64],
    "raster_pixels": [195, 64, 1001],
    "train": [0.0, 0.25, 0.5],
    "validation": [0, 0.1, 0.5],
    "interval": [0.0, 0.5, 20.0],
    "split_seed": [0, 5],
    "network": ["paper", "pooled"],
    "epochs": [1, 100, 100_000],
    "processes_per_step": [1, 3, 500],
    "learning_rate": [1e-9, 0.01, 1.0, 1e20],
    "precision": ["auto", "float32", "bfloat16"],
    "settle_time": [1.0, 5, 300.0],
    "split_fractions": [[0.5], [0.3, 0.6], [0.001]],
    "n_resamples": [1, 50, 1_000_000],
}
"""Values that settings may have in these small sets, most of them beside each other."""

LIMIT = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
"""Of hypothesis: the same examples in each run, however long they take."""
ALSO = {
    "strokes": ["stroke"],
    "push_speeds": ["stroke"],
    "pull_speeds": ["stroke"],
    "box_length": ["stroke", "n_particles"],
    "timestep": ["time_step"],
    "substeps": ["time_step"],
}
"""What else a message may be about if this was changed: other settings have to fit it."""


def paths(model: type[BaseModel]) -> list[tuple[str, ...]]:
    """Where the settings of a model are."""
    found: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        section = isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        found += [(name, *rest) for rest in paths(field.annotation)] if section else [(name,)]
    return found


@st.composite
def changed(draw: st.DrawFn, model: type[Section], base: dict[str, Any]) -> tuple[set[str], dict[str, Any]]:
    """Settings that differ from `base` in one to three values, or have a key too many; with the names of these."""
    values = copy.deepcopy(base)
    names = set()
    for *sections, name in draw(st.lists(st.sampled_from(paths(model)), min_size=1, max_size=3, unique=True)):
        target = values
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = draw(st.sampled_from(FITTING[name]) if draw(st.integers(0, 2)) else VALUES)
        names |= {name, *ALSO.get(name, [])}
    if draw(st.integers(0, 19)) == 0:
        target = draw(st.sampled_from([values, *(each for each in values.values() if isinstance(each, dict))]))
        target[draw(st.text(max_size=8))] = draw(VALUES)
        names.add("is_not_")  # "is not a setting", "is not allowed"
    return names, values


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command is asked to stop at its first opportunity, and nothing waits for the disk."""
    monkeypatch.setattr(StopRequest, "__call__", lambda self: True)
    monkeypatch.setattr(Simulation.advance, "__defaults__", (1000,))
    monkeypatch.setattr(train, "open_tensorboard", lambda *_, **__: None)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@dataclass(frozen=True)
class Trial:
    """A command that is given one configuration after the other, in a folder of its own."""

    folder: Path
    inputs: Inputs
    capsys: pytest.CaptureFixture[str]

    def is_accepted(self, arguments: list[object], names: set[str] | None = None) -> bool:
        """Run the command; whether it did not refuse. A refusal must be a line that has one of the `names`."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        try:
            code = main([str(argument) for argument in arguments])
        except BaseException:
            self.inputs.tracebacks += 1
            raise
        printed = self.capsys.readouterr().err
        assert printed.count("\n") <= 1, printed
        assert printed.isprintable() or printed[:-1].isprintable(), repr(printed)
        if code in ACCEPTED:
            self.inputs.accepted += 1
            return True
        assert code == 2
        assert printed.startswith("error: ")
        assert len(printed) < LONGEST_LINE, printed
        said = printed.lower().replace(" ", "_")
        assert names is None or any(name in said for name in names), (names, printed)
        self.inputs.rejected += 1
        return False

    def configured(self, names: set[str], values: dict[str, Any], arguments: Sequence[object]) -> bool:
        """The same with settings in a file."""
        config = self.folder.with_suffix(".toml")
        config.write_text(tomli_w.dumps(values), encoding="utf-8")
        return self.is_accepted([*arguments, "--config", config, "--out", self.folder / "out"], names)


@pytest.fixture
def trial(tmp_path: Path, inputs: Inputs, capsys: pytest.CaptureFixture[str]) -> Trial:
    return Trial(tmp_path / "trial", inputs, capsys)


ON_CPU = ("--device", "cpu", "--threads", "1")


@pytest.mark.usefixtures("at_once")
def test_settings_of_a_dataset(trial: Trial, soak: bool):
    trial.inputs.what = "settings of generate"
    artist, random = CpuBackend(1), np.random.default_rng(1)

    @settings(max_examples=7000 if soak else 200, **LIMIT)
    @given(changed(Settings, GENERATE.model_dump(mode="json")))
    def check(configuration: tuple[set[str], dict[str, Any]]) -> None:
        if trial.configured(*configuration, ["generate", "--preset", "demo", *ON_CPU]):
            accepted = load_settings("demo", trial.folder.with_suffix(".toml"))
            if accepted.image.raster_pixels <= 4000:
                positions = random.uniform(0.0, accepted.gas.box_length, (1, 9, 2))
                render(positions, 9, accepted.image, accepted.gas.box_length, artist)

    check()


@pytest.mark.usefixtures("at_once")
def test_settings_of_training(trial: Trial, planted: Path, soak: bool):
    trial.inputs.what = "settings of train"

    @settings(max_examples=2000 if soak else 60, **LIMIT)
    @given(changed(TrainSettings, {"network": "pooled", "epochs": 2}))
    def check(configuration: tuple[set[str], dict[str, Any]]) -> None:
        trial.configured(*configuration, ["train", planted, *ON_CPU])

    check()


@pytest.mark.usefixtures("at_once")
def test_settings_of_evaluation(trial: Trial, jobs: dict[str, Job], soak: bool):
    trial.inputs.what = "settings of evaluate"
    given_files = jobs["evaluate"].arguments[1:4]
    file = Path(given_files[0])

    @settings(max_examples=1000 if soak else 30, **LIMIT)
    @given(changed(EvaluateSettings, EVALUATE.model_dump(mode="json")))
    def check(configuration: tuple[set[str], dict[str, Any]]) -> None:
        if trial.configured(*configuration, ["evaluate", *given_files, *ON_CPU]):
            accepted = load_evaluate_settings(trial.folder.with_suffix(".toml"))
            if accepted.settle_time <= 20.0:
                split_first_state(file, accepted)

    check()


def split_first_state(file: Path, accepted: EvaluateSettings) -> None:
    """Split a state and recombine it, as an evaluation does; a side may be without particles, which is told."""
    with ProcessReader(file, 0) as reader:
        points, length = reader.phase_points(0), float(reader.table["piston_position"][0])
        cuts = draw_cuts(0, 1, accepted)
        states = split_and_recombine([points], [length], cuts, reader.settings, accepted.settle_time, CpuBackend(1))
        with suppress(InputError):
            list(states)


@pytest.mark.usefixtures("at_once")
def test_texts_that_are_no_settings(trial: Trial, soak: bool):
    """Anything in place of a TOML file, and TOML files with a few bytes changed."""
    trial.inputs.what = "contents of a TOML file"
    whole = tomli_w.dumps(GENERATE.model_dump(mode="json")).encode()
    config = trial.folder.with_suffix(".toml")
    spliced = st.builds(
        lambda place, length, new: whole[:place] + new + whole[place + length :],
        st.integers(0, len(whole)),
        st.integers(0, 8),
        st.one_of(st.binary(max_size=4), st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass"))),
    )

    @settings(max_examples=1000 if soak else 60, **LIMIT)
    @given(
        st.one_of(
            spliced,
            spliced,
            st.binary(max_size=100),
            st.text(max_size=100).map(lambda t: t.encode("utf-8", "surrogatepass")),
        )
    )
    @example(b"seed = 0x" + b"f" * 20_000)
    @example(b"seed = " + b"9" * 20_000)
    @example(b"seed = " + b"[" * 20_000)
    @example(b"network = 0x" + b"f" * 20_000)
    @example(b"[gas]\nbox_length = 1e999999")
    @example(b"\xff\xfe\x00")
    def check(content: bytes) -> None:
        config.write_bytes(content)
        trial.is_accepted(["generate", "--preset", "demo", *ON_CPU, "--config", config, "--out", trial.folder / "out"])

    check()


@pytest.mark.usefixtures("at_once")
def test_options_that_are_no_values(trial: Trial, soak: bool):
    """What stands on the command line itself, whole numbers where they are asked for among it."""
    trial.inputs.what = "options of generate"
    words = st.one_of(
        st.sampled_from(["cuda", "cuda:0", "cuda:99", "cuda:-1", "1", "0", "-1", "1e3", "nan", "١"]),
        st.integers().map(str),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
    )
    small = trial.folder.with_suffix(".toml")
    small.write_text(tomli_w.dumps(GENERATE.model_dump(mode="json", exclude={"seed"})))

    @settings(max_examples=500 if soak else 40, **LIMIT)
    @given(st.sampled_from(["--threads", "--seed", "--preset", "--device", "--config"]), words)
    def check(option: str, value: str) -> None:
        command = ["generate", "--preset", "demo", "--config", small, "--out", trial.folder / "out", "--device", "cpu"]
        trial.is_accepted([*command, f"{option}={value}"])

    check()
