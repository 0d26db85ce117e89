"""From simulation to training: a small dataset of full-size images, written, read and learned from."""

import time
from pathlib import Path
from typing import Any

from gputhermo.feed import Feed
from gputhermo.generate import generate
from gputhermo.parameters import RECIPES, PlanSettings, ProtocolSettings, Settings, TrainSettings
from gputhermo.parts import encode
from gputhermo.train import train

from .turns import processor_seconds, take_turns, wall_seconds

SETTINGS = Settings(
    protocol=ProtocolSettings(hold_time=5.0),
    plan=PlanSettings(
        n_particles=(500, 1000, 1500, 2000), push_speeds=(0.5,), pull_speeds=(0.5,), strokes=(75.0, 25.0)
    ),
)
"""Processes of all sizes with images of full size, a minute's work in all."""


def measure(folder: Path, device: str, repeats: int) -> dict[str, Any]:
    """Clips a second that are made, compressed, read and learned from, and pairs a second of training."""
    file = folder / "dataset.h5"
    generate_seconds = wall_seconds(lambda: generate(SETTINGS, file, device=device))
    feed = Feed(file)
    processes = [process for split in ("train", "validation", "test") for process in feed.processes(split)]
    clips = [feed.read(process).numpy() for process in processes]
    n_clips = sum(len(each) for each in clips)
    timings = take_turns(
        {
            "compressed": lambda: processor_seconds(lambda: [encode(clip) for each in clips for clip in each]),
            "read": lambda: wall_seconds(lambda: [feed.read(process) for process in processes]),
        },
        repeats,
    )
    feed.close()
    return {
        "clips": n_clips,
        "clips_generated_per_second": n_clips / generate_seconds,
        "clips_compressed_per_second_of_one_core": n_clips / timings["compressed"].median,
        "clips_read_per_second": n_clips / timings["read"].median,
        "pairs_trained_per_second": {
            network: trained_pairs(file, folder / network, network, device) for network in RECIPES
        },
    }


def trained_pairs(file: Path, out: Path, network: str, device: str) -> float:
    """Pairs a second in the second epoch of a training; the first reads the file."""
    seen: list[tuple[float, int]] = []

    def note(status: Any) -> None:
        if status.epoch == 2 and status.training is not None:
            seen.append((time.perf_counter(), status.training.n_pairs))

    train(file, out, TrainSettings(network=network, epochs=2), device=device, report=note)
    (began, before), (ended, after) = seen[0], max(seen, key=lambda each: each[1])
    return (after - before) / (ended - began)
