"""Three commands on a tiny set, each from the files of the one before: generate, train, evaluate."""

import json
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomli_w
from children import run
from PIL import Image
from small_gas import EVALUATE, SETTINGS

from gputhermo.claims import load_evaluation, load_results
from gputhermo.hdf5 import open_whole
from gputhermo.network_file import read_safetensors
from gputhermo.parameters import ImageSettings, SplitSettings, read_toml

GENERATE = SETTINGS.model_copy(
    update={
        "plan": SETTINGS.plan.model_copy(update={"pull_speeds": (1.0,)}),
        "split": SplitSettings(train=0.5, validation=0.125),
    }
)
"""2 N x 4 pairs of strokes: 4 processes for training, 1 for validation, 3 for tests."""
TRAIN = {"seed": 2, "network": "pooled", "epochs": 3}


@dataclass(frozen=True)
class Job:
    """A command that goes on where an earlier one was stopped.

    arguments  of the command, without the place for what it makes
    out        name of the file or folder that it makes
    whole      what it makes if nothing disturbs it, by name
    seconds    that it takes then
    """

    arguments: tuple[str, ...]
    out: str
    whole: dict[str, bytes]
    seconds: float

    def command(self, folder: Path) -> list[str]:
        """Its arguments, to work in `folder`."""
        return [*self.arguments, "--out", str(folder / self.out)]


def make_jobs(folder: Path, image: ImageSettings = GENERATE.image) -> dict[str, Job]:
    """Run the three, undisturbed, in `folder`, with images of this kind; by name."""
    generate = GENERATE.model_copy(update={"image": image})
    for name, settings in (("generate", generate), ("evaluate", EVALUATE)):
        (folder / f"{name}.toml").write_text(tomli_w.dumps(settings.model_dump(mode="json")))
    (folder / "train.toml").write_text(tomli_w.dumps(TRAIN))
    file, weights = str(folder / "gas.h5"), str(folder / "run" / "best.safetensors")
    again = folder / "again"
    again.mkdir()
    jobs = {}
    for name, out, given in (
        ("generate", "gas.h5", ("--preset", "demo", "--resume")),
        ("train", "run", (file, "--resume")),
        ("evaluate", "judged", (file, "--weights", weights)),
    ):
        # Two threads on any machine: what memory is needed for depends on their number.
        options = ("--config", str(folder / f"{name}.toml"), "--device", "cpu", "--threads", "2")
        arguments = (name, *given, *options)
        # The first run may compile: the second one's time counts.
        for place in (folder, again):
            began = time.monotonic()
            ending = run([*arguments, "--out", place / out])
            assert ending.code == 0, ending.errors
        seconds = time.monotonic() - began
        jobs[name] = Job(arguments, out, made(folder / out), seconds)
        assert made(again / out) == jobs[name].whole
    return jobs


def made(out: Path) -> dict[str, bytes]:
    """The files of `out`, a folder or a file, by their names, apart from what a clock wrote there."""
    files = [out] if out.is_file() else sorted(path for path in out.iterdir() if path.is_file())
    return {path.name: without_times(path) for path in files}


def without_times(path: Path) -> bytes:
    """The content of a file, wall times left out."""
    content = path.read_bytes()
    if path.name == "results.json":
        results = json.loads(content)
        del results["run"]["seconds"]
        return json.dumps(results).encode()
    if path.name == "report.md":
        return b"\n".join(line for line in content.split(b"\n") if b"wall time" not in line)
    return content


def unreadable(folder: Path) -> list[str]:
    """The files in `folder`, however deep, that have the name of a finished file and cannot be read as one."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and not readable(path)]


def readable(path: Path) -> bool:
    """Whether a file can be read to its end as what its name says."""
    try:
        read(path)
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    return True


def read(path: Path) -> None:
    """Read it; what is in the making, or a log, may look as it likes."""
    match path.suffix:
        case ".h5":
            open_whole(path).close()
        case ".safetensors":
            read_safetensors(path)
        case ".toml":
            read_toml(path)
        case ".jsonl":
            [json.loads(line) for line in path.read_text().splitlines()]
        case ".json":
            load_results(path)
        case ".npz":
            load_evaluation(path)
        case ".png":
            with Image.open(path) as picture:
                np.asarray(picture)
        case ".md":
            assert path.read_text().endswith("\n")
