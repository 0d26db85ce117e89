"""A dataset for the evaluation, made in seconds: few particles in a wide box, so that walls take few of them."""

from pathlib import Path

from gputhermo.generate import generate
from gputhermo.parameters import EvaluateSettings, validate

SETTINGS = validate(
    {
        "seed": 1,
        "gas": {"box_length": 120.0},
        "protocol": {"hold_time": 20.0, "n_cycles": 1, "frames": 2},
        "plan": {"n_particles": [30, 90], "push_speeds": [1.0], "pull_speeds": [0.5, 1.0], "strokes": [60.0, 30.0]},
        "image": {"pixels": 32, "raster_pixels": 195},
        "split": {"train": 0.25, "validation": 0.25},
    }
)
"""2 N x 2 speeds x 4 pairs of strokes: 4 processes for training, 4 for validation, 8 for tests."""
EVALUATE = EvaluateSettings(seed=1, settle_time=5.0, n_resamples=50)


def make(folder: Path) -> Path:
    """Write the dataset; returns the file."""
    out = folder / "gas.h5"
    generate(SETTINGS, out, device="cpu", n_threads=1)
    return out
