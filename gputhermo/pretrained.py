"""The networks that were trained on the paper's set, with the package."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    from .representation import Representation

PRETRAINED = ("paper", "pooled")
"""Their names. docs/results/NAME/report.md tells how each was trained and what it is worth."""


@contextmanager
def pretrained_file(network: str = "paper") -> Iterator[Path]:
    """The file of weights, which is there within the block; InputError if there is none of that name."""
    if network not in PRETRAINED:
        raise InputError(f"network = {network!r} is unknown; allowed: {', '.join(PRETRAINED)}")
    with as_file(files("gputhermo") / "weights" / f"{network}.safetensors") as path:
        yield path


def load_pretrained(network: str = "paper", *, device: str = "cpu") -> "Representation":
    """A network trained on the preset `paper`: `network.representation(clips)` is S~ of clips.

    "paper" is Table I's, "pooled" ours, which orders states better. They know discs of radius R in a frame of
    300 R x 300 R, five snapshots a unit of time apart, 500 to 2000 particles. InputError if there is none of that name.
    """
    from .network_file import load_network  # here, as torch takes seconds to load and much of the package does without

    with pretrained_file(network) as path:
        return load_network(path, device)
