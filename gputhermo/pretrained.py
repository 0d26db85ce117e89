"""The network that was trained on the paper's set, with the package."""

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .representation import Representation

WEIGHTS = "weights/paper.safetensors"
"""Within the package; docs/results/paper/report.md tells how it was trained and what it is worth."""


def load_pretrained(device: str = "cpu") -> "Representation":
    """The paper's network, trained on the preset `paper`: `network.representation(clips)` is S~ of clips.

    It knows discs of radius R in a frame of 300 R x 300 R, five snapshots a unit of time apart, 500 to 2000 particles.
    """
    from .network_file import load_network  # here, as torch takes seconds to load and much of the package does without

    with as_file(files("gputhermo") / WEIGHTS) as path:
        return load_network(path, device)
