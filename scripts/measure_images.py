"""Measure the images: speed on one core beside Pillow, agreement in grey levels, kornia beside rot90 and flip.

docs/departures.md quotes what this prints:

    python scripts/measure_images.py --out images.json
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kornia.augmentation as kornia
import numpy as np
import torch
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from gputhermo.backend import CpuBackend
from gputhermo.clips import as_clips, augment, to_float
from gputhermo.parameters import Settings
from gputhermo.rasterize import draw_raster, render
from gputhermo.resample import dense_weights

SETTINGS = Settings()
IMAGE, BOX = SETTINGS.image, SETTINGS.gas.box_length
ONE_CORE = CpuBackend(1)
N_FRAMES = 20
N_CLIPS = 44


def random_gas(n: int, n_frames: int, width: float = BOX) -> np.ndarray:
    """Uniform positions float32 [n_frames, n, 2]; discs overlap and stick out."""
    rng = np.random.default_rng(n)
    return rng.uniform((0.0, 0.0), (width, BOX), size=(n_frames, n, 2)).astype(np.float32)


def milliseconds(work: Callable[[], Any], repeats: int = 7) -> float:
    """Shortest processor time of a call: its wall time on one core that is free, whatever else the machine does."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def reduce_by_pillow(raster: np.ndarray) -> np.ndarray:
    """Pillow's Lanczos on a float raster, before clipping and rounding."""
    picture = Image.fromarray(raster.astype(np.float32))
    return np.asarray(picture.resize((IMAGE.pixels, IMAGE.pixels), Image.Resampling.LANCZOS))


def draw_by_pillow(positions: np.ndarray) -> np.ndarray:
    """Draw a frame the plain way: ImageDraw's ellipses (not quite our pixel rule) on a float image, then `resize`."""
    scale = IMAGE.raster_pixels / BOX
    picture = Image.new("F", (IMAGE.raster_pixels, IMAGE.raster_pixels))
    draw = ImageDraw.Draw(picture)
    for x, y in positions * scale:
        top = IMAGE.raster_pixels - y
        draw.ellipse((x - scale, top - scale, x + scale - 1, top + scale - 1), fill=1.0)
    return np.asarray(picture.resize((IMAGE.pixels, IMAGE.pixels), Image.Resampling.LANCZOS))


def speed() -> list[dict[str, Any]]:
    """Milliseconds for one frame on one core, by number of particles."""
    weights = torch.from_numpy(dense_weights(IMAGE.raster_pixels, IMAGE.pixels)).float()
    rows = []
    for n in SETTINGS.plan.n_particles:
        positions = random_gas(n, N_FRAMES)
        raster = torch.from_numpy(draw_raster(positions[0], IMAGE, BOX, ONE_CORE)).float()
        ours = milliseconds(lambda p=positions, n=n: render(p, n, IMAGE, BOX, ONE_CORE)) / N_FRAMES
        pillow = milliseconds(lambda p=positions: draw_by_pillow(p[0]))
        dense = milliseconds(lambda r=raster: weights @ r @ weights.T)
        rows.append(
            {
                "particles": n,
                "render_ms": ours,
                "render_frames_per_second": 1e3 / ours,
                "pillow_draw_and_resize_ms": pillow,
                "times_pillow": pillow / ours,
                "dense_product_without_drawing_ms": dense,
            }
        )
    return rows


def agreement() -> list[dict[str, Any]]:
    """Grey levels between `render` and Pillow's Lanczos of the same raster, full box and half box."""
    rows = []
    for n in SETTINGS.plan.n_particles:
        for width in (BOX, BOX / 2):
            positions = random_gas(n, N_FRAMES, width)
            drawn = render(positions, n, IMAGE, BOX, ONE_CORE).astype(np.float64)
            rasters = (draw_raster(frame, IMAGE, BOX, ONE_CORE) for frame in positions)
            levels = 255.0 * np.clip([reduce_by_pillow(raster) for raster in rasters], 0.0, 1.0).astype(np.float64)
            rows.append(
                {
                    "particles": n,
                    "width": width,
                    "largest_difference_in_levels": int(np.abs(drawn - np.rint(levels)).max()),
                    "pixels_that_differ": int(np.sum(drawn != np.rint(levels))),
                    "pixels": drawn.size,
                    "largest_distance_from_unrounded": float(np.abs(drawn - levels).max()),
                }
            )
    return rows


def augmentation() -> list[dict[str, Any]]:
    """Milliseconds for N_CLIPS clips on one core, from bytes to float32; exact if pixels only change places."""
    images = render(random_gas(2000, N_CLIPS * 5), 2000, IMAGE, BOX, ONE_CORE)
    clips = as_clips(images.reshape(N_CLIPS, 5, IMAGE.pixels, IMAGE.pixels))

    def video(*steps: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        sequence = kornia.VideoSequential(*steps, data_format="BCTHW", same_on_frame=True)
        return lambda clips: sequence(to_float(clips))

    flip = kornia.RandomHorizontalFlip(p=0.5)
    ways = {
        "conversion to float32 alone": to_float,
        "rot90 and flip of bytes, time reversal (augment)": lambda c: to_float(augment(c, torch.Generator())),
        "kornia, flips only": video(flip, kornia.RandomVerticalFlip(p=0.5)),
        "kornia, RandomRotation90 nearest, flip": video(
            kornia.RandomRotation90((0, 3), resample="nearest", p=1.0), flip
        ),
        "kornia, RandomRotation90 default, flip": video(kornia.RandomRotation90((0, 3), p=1.0), flip),
    }
    rows = []
    for name, way in ways.items():
        result = 255.0 * way(clips)
        off = float((result - result.round()).abs().max())
        rows.append(
            {
                "way": name,
                "clips": N_CLIPS,
                "ms": milliseconds(lambda way=way: way(clips)),
                "largest_distance_from_a_grey_level": off,
            }
        )
    return rows


def show(title: str, rows: list[dict[str, Any]], console: Console) -> None:
    """Print rows of figures as a table."""
    table = Table(*(name.replace("_", " ") for name in rows[0]), title=title)
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)


def main() -> None:
    """Measure everything, print tables, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    figures = {"speed": speed(), "agreement": agreement(), "augmentation": augmentation()}
    console = Console()
    for title, rows in figures.items():
        show(title, rows, console)
    if out is not None:
        out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
