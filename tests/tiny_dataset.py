"""A dataset that takes a second to make: settings as the user writes them, and what the plan makes of them."""

from pathlib import Path

from gputhermo.cli import main

CONFIG = """
[gas]
box_length = 30.0
[protocol]
hold_time = 10.0
n_cycles = 1
[plan]
n_particles = [20, 40]
push_speeds = [0.5]
pull_speeds = [0.5]
strokes = [15.0, 7.5]
[image]
pixels = 32
raster_pixels = 195
"""
N_PROCESSES, N_STATES = 8, 32
"""2 N x 4 pairs of strokes with 1 + pushes + pulls holds: 3 + 4 + 4 + 5."""


def make(folder: Path, *options: str, config: str = CONFIG) -> Path:
    """Run `gputhermo generate` in `folder`; returns the file."""
    (folder / "tiny.toml").write_text(config)
    out = folder / "tiny.h5"
    assert main(generate_command(folder, *options)) == 0
    return out


def generate_command(folder: Path, *options: str) -> list[str]:
    """The arguments with which `make` runs the command."""
    return [
        *("generate", "--preset", "demo", "--config", str(folder / "tiny.toml")),
        *("--out", str(folder / "tiny.h5"), "--device", "cpu", *options),
    ]
