"""Settings of every stage: validated, frozen, with a default and the reason for it; TOML in and out.

Units throughout: energy kB T0, length R (the particle radius), mass m, time R sqrt(m / kB T0). Fields marked "ours" are
not given by Kuroyanagi and Yuge (arXiv:2506.01506); the others are theirs.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import InputError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
FewNumbers = Field(min_length=1, max_length=1000)
"""Of a list: enough for any study, and the plan of all combinations is made at once."""
LONGEST_SHOWN = 100
"""Characters of a value in a message."""
AnySection = TypeVar("AnySection", bound="Section")
Preset = TypeVar("Preset")


class Section(BaseModel):
    """A part of the settings: immutable, and an unknown key in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GasSettings(Section):
    """The gas and its container."""

    box_length: Annotated[float, Field(gt=4, le=100_000, allow_inf_nan=False)] = 300.0
    """L, height of the container and its length with the piston drawn out; a particle has room in half of it, and
    images keep positions in float32, to a thousandth of R in the largest."""
    interaction_strength: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)] = 10_000.0
    """C_int of pairs and walls, Eq. (3); stiff enough that particles overlap by a few per cent of R."""
    temperature: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] = 1.0
    """T0 of the Maxwell distribution that initial velocities are drawn from; 1 by the choice of units."""
    exact_energy: bool = False
    """Scale the initial velocities to a kinetic energy of exactly N T0, as a macroscopically equivalent twin needs."""


class IntegratorSettings(Section):
    """The integration of the equations of motion."""

    engine: Literal["contact", "verlet"] = "contact"
    """`contact` steps only particles in contact (ours, the same trajectory faster), `verlet` all of them."""
    timestep: Annotated[float, Field(ge=1e-9, le=1.0)] = 0.001
    """dt of velocity Verlet."""
    substeps: Annotated[int, Field(ge=1, le=1000)] = 1
    """Steps that each dt is divided into while particles are in contact (ours; 1 is the paper's dt). Free flight is
    exact whatever the step, so this is a finer time grid that only contacts pay for."""

    @property
    def grid_step(self) -> float:
        """Spacing of the time grid."""
        return self.timestep / self.substeps


class ProtocolSettings(Section):
    """What the piston does, and when states are recorded."""

    hold_time: Positive = 200.0
    """Time between strokes (ours: the paper says "a while"). Sound crosses the box about once in it; at N = 2000 and
    speed 0.5 flow modes have not died out, so their amplitudes are stored with each state."""
    n_cycles: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Cycles L -> L/2 -> L in a process."""
    frames: Annotated[int, Field(ge=1, le=1000)] = 5
    """Snapshots in a clip, which is one microscopic state."""
    frame_interval: Positive = 1.0
    """Time between them; the last one is taken at the end of the hold (ours: "around the end")."""

    @model_validator(mode="after")
    def _clip_fits_hold(self) -> "ProtocolSettings":
        if (self.frames - 1) * self.frame_interval > self.hold_time:
            raise ValueError(
                f"hold_time = {self.hold_time:g} is shorter than a clip; at least "
                f"(frames - 1) x frame_interval = {(self.frames - 1) * self.frame_interval:g} is needed"
            )
        return self


class PlanSettings(Section):
    """Which processes a dataset consists of."""

    n_particles: Annotated[tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...], FewNumbers] = (500, 1000, 1500, 2000)
    """N. At most a million, five hundred times the paper's: more is not a question for pictures of 256 pixels."""
    push_speeds: Annotated[tuple[Positive, ...], FewNumbers] = (0.1, 0.5)
    pull_speeds: Annotated[tuple[Positive, ...], FewNumbers] = (0.1, 0.5)
    strokes: Annotated[tuple[Positive, ...], FewNumbers] = (
        150.0,
        75.0,
        50.0,
        37.5,
        30.0,
        25.0,
        18.75,
        15.0,
        10.0,
        7.5,
    )
    """Distances that the piston moves between two holds; each must divide L/2."""
    max_rank_difference: Annotated[int, Field(ge=0)] = 1
    """Push and pull strokes are paired if their ranks in `strokes` differ by no more than this (ours: it gives the
    paper's number of processes, 4 x 2 x 2 x 28 = 448)."""


class ImageSettings(Section):
    """From positions to images."""

    pixels: Annotated[int, Field(ge=1, le=4096)] = 256
    """Side of an image."""
    raster_pixels: Annotated[int, Field(ge=1, le=16_384)] = 1560
    """Side of the raster in which discs are drawn before the Lanczos filter reduces it. The largest takes 40 MB for
    each image that is drawn at the same time; the filter's tables take 1 GB while they are made, at most."""

    @model_validator(mode="after")
    def _reduces(self) -> "ImageSettings":
        if self.pixels > self.raster_pixels:
            raise ValueError(f"pixels = {self.pixels} is more than raster_pixels = {self.raster_pixels}")
        return self


class SplitSettings(Section):
    """Shares of the processes for training and validation; the rest is the test set (336 / 56 / 56 of 448)."""

    train: Annotated[float, Field(ge=0, le=1)] = 0.75
    validation: Annotated[float, Field(ge=0, le=1)] = 0.125

    @model_validator(mode="after")
    def _at_most_all(self) -> "SplitSettings":
        if self.train + self.validation > 1.0:
            raise ValueError(f"train + validation = {self.train + self.validation:g}; at most 1 is allowed")
        return self


class SeriesSettings(Section):
    """Time series within strokes and holds (ours)."""

    interval: NonNegative = 0.0
    """Time between two entries of pressure, kinetic temperature and work; 0 records none."""


class Settings(Section):
    """All that determines a dataset."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of initial states and of the split by process."""
    gas: GasSettings = GasSettings()
    integrator: IntegratorSettings = IntegratorSettings()
    protocol: ProtocolSettings = ProtocolSettings()
    plan: PlanSettings = PlanSettings()
    image: ImageSettings = ImageSettings()
    split: SplitSettings = SplitSettings()
    series: SeriesSettings = SeriesSettings()


RECIPES: dict[str, dict[str, Any]] = {
    "paper": {"epochs": 120, "learning_rate": 0.002},
    "pooled": {"epochs": 48, "learning_rate": 0.008},
}
"""Defaults of training by network, chosen on validation processes (docs/training.md)."""


class TrainSettings(Section):
    """All that determines the training of a network on a dataset."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the initial weights, the order of processes, augmentation and dropout."""
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Draws another split of the processes than that of the dataset (None): to see how far results depend on it."""
    network: Literal["paper", "pooled"] = "paper"
    """"paper" is Table I's; "pooled" (ours) averages what overlapping convolutions see over the frame."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = RECIPES["paper"]["epochs"]
    """Times that every process of the training set is seen (ours). Default by network, see RECIPES; "paper" takes 40
    minutes on two CPU cores."""
    processes_per_step: Annotated[int, Field(ge=1, le=100_000)] = 2
    """Processes whose pairs make up the loss of one step of Adam (ours). Memory grows with it, and about 14 to 242
    states a step are many already, as all pairs of them count."""
    learning_rate: Annotated[float, Field(gt=0, le=1e30, allow_inf_nan=False)] = RECIPES["paper"]["learning_rate"]
    """Of Adam in the first step; it falls to 0 in the last along half a cosine (the paper: "decreasing"). Ours: on the
    validation processes 0.002 and 0.004 did better than Adam's usual 0.001 for "paper", in single short runs
    (docs/training.md). Default by network, see RECIPES. Weights are float32, which ends not far above 1e30."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the convolutions (ours); weights, dense layers and loss are always float32. "auto" is bfloat16 where the
    device multiplies it in hardware, which saves time; S~ then differs little (docs/training.md)."""

    @model_validator(mode="before")
    @classmethod
    def _by_recipe(cls, values: Any) -> Any:
        """What is not given is as the network's recipe has it."""
        network = values.get("network") if isinstance(values, dict) else None
        return {**RECIPES[network], **values} if isinstance(network, str) and network in RECIPES else values


class EvaluateSettings(Section):
    """All that determines an evaluation of a representation on the test states of a dataset."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of all that is drawn: initial states of twins, where states are split, bootstrap samples."""
    settle_time: Positive = 20.0
    """Time from the insertion of a partition, or its removal, to the last snapshot (ours: the paper says "a short
    time"). In the clip of the paper's gas that ends then, the strip of 2R that a removed partition leaves is filled to
    0.98 of the mean density (0.81 after 5, 0.94 after 10, 1.00 after 50). Sound takes some 200 to cross the box."""
    split_fractions: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], FewNumbers] = (
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
    )
    """Values of lambda that each split draws one of (ours: those of the paper's figure 8)."""
    n_resamples: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Bootstrap samples of an interval (ours); its ends are then uncertain by about a fiftieth of its width."""


PRESETS: dict[str, Settings] = {
    "paper": Settings(),
    # The paper's gas in a quarter of the box, with every kind of stroke and speed but few of each: seconds on a CPU.
    "demo": Settings(
        gas=GasSettings(box_length=150.0),
        protocol=ProtocolSettings(hold_time=50.0, n_cycles=2),
        plan=PlanSettings(n_particles=(125, 250, 375, 500), pull_speeds=(0.5,), strokes=(75.0, 37.5, 25.0)),
    ),
}


def load_settings(preset: str, path: str | Path | None = None, **changes: Any) -> Settings:
    """A preset, changed by the TOML file at `path` and then by `changes` (top-level fields).

    Raises InputError, in one line, for an unknown preset or key, a value that is not allowed, or a broken file.
    """
    values = choose_preset(preset, PRESETS).model_dump()
    if path is not None:
        merge(values, read_toml(Path(path)))
    values.update({name: value for name, value in changes.items() if value is not None})
    return validate(values)


TRAIN_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    # 21 steps an epoch only; a minute on two cores.
    "demo": {"epochs": 40},
}


def load_train_settings(path: str | Path | None = None, preset: str = "paper", **changes: Any) -> TrainSettings:
    """A preset, changed by the TOML file at `path` and then by `changes`; raises InputError as above."""
    values = dict(choose_preset(preset, TRAIN_PRESETS))
    if path is not None:
        merge(values, read_toml(Path(path)))
    values.update({name: value for name, value in changes.items() if value is not None})
    return validate_as(TrainSettings, values)


def load_evaluate_settings(path: str | Path | None = None, **changes: Any) -> EvaluateSettings:
    """The defaults, changed by the TOML file at `path` and then by `changes`; raises InputError as above."""
    values = {} if path is None else read_toml(Path(path))
    values.update({name: value for name, value in changes.items() if value is not None})
    return validate_as(EvaluateSettings, values)


def choose_preset(name: str, presets: Mapping[str, Preset]) -> Preset:
    """The preset of that name; InputError if there is none."""
    if name not in presets:
        raise InputError(f"preset = {name!r} is unknown; allowed: {', '.join(presets)}")
    return presets[name]


def validate(values: dict[str, Any]) -> Settings:
    """Settings from nested dictionaries; InputError names the first field that is wrong."""
    return validate_as(Settings, values)


def validate_as(model: type[AnySection], values: dict[str, Any]) -> AnySection:
    """Settings of the kind `model` from nested dictionaries; raises InputError likewise."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(one_line(error, model)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The contents of a TOML file; InputError if it cannot be read, or is none."""
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"config = {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:  # those of parse_toml and of the encoding
        raise InputError(f"config = {str(path)!r} cannot be read: {error}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """What TOML text says; InputError if it is none."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError("not TOML: arrays or tables are nested too deep") from None
    except ValueError as error:  # also numbers of thousands of digits, which Python refuses
        raise InputError(f"not TOML: {error}") from None


def to_toml(settings: Settings) -> str:
    """The settings as TOML text, which `load_settings` takes back."""
    return tomli_w.dumps(settings.model_dump(mode="json"))


def merge(values: dict[str, Any], changes: dict[str, Any]) -> None:
    """Overwrite in nested dictionaries."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            merge(values[key], value)
        else:
            values[key] = value


def one_line(error: ValidationError, model: type[Section]) -> str:
    """Field, value and what is allowed, of the first thing that is wrong."""
    first = error.errors()[0]
    field = ".".join(name_of(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{field} is not a setting; allowed there: {', '.join(fields_beside(first['loc'], model))}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{field}: {message}"
    return f"{field} = {shown(first['input'])} is not allowed: {message[0].lower()}{message[1:]}"


def name_of(part: int | str) -> str:
    """A part of a field's name, in quotes if it is no name that we would give."""
    text = str(part)
    return text if text.isidentifier() or text.isdecimal() else shown(text)


def shown(value: Any) -> str:
    """A value as a user wrote it, but for what is too long for a line."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits, or something with one in it
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def fields_beside(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """Names of the settings in the section of `model` that `location` lies in."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type):
            break
        model = field.annotation
    return list(model.model_fields)
