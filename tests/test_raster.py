"""Pictures of the gas against the pixel rule in NumPy and Lanczos in Pillow."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gputhermo.backend import CpuBackend
from gputhermo.errors import InputError
from gputhermo.parameters import ImageSettings
from gputhermo.rasterize import draw_raster, render

BOX = 300.0
PAPER = ImageSettings()
SMALL = ImageSettings(raster_pixels=200, pixels=32)


def raster_by_rule(positions: np.ndarray, n_pixels: int, box_length: float) -> np.ndarray:
    """1 where a pixel's centre lies within R of a particle's centre; each disc looks at a window around it only."""
    centre = (np.arange(n_pixels) + 0.5) * (box_length / n_pixels)
    raster = np.zeros((n_pixels, n_pixels), dtype=np.float32)
    for x, y in positions.astype(np.float64):
        columns = np.flatnonzero(np.abs(centre - x) < 2.0)
        rows = np.flatnonzero(np.abs(box_length - centre - y) < 2.0)
        inside = (centre[columns] - x) ** 2 + (box_length - centre[rows, None] - y) ** 2 <= 1.0
        raster[np.ix_(rows, columns)] = np.maximum(raster[np.ix_(rows, columns)], inside)
    return raster


def reduced_by_pillow(raster: np.ndarray, pixels: int) -> np.ndarray:
    """Pillow's Lanczos on the float raster, clipped and rounded to grey levels."""
    reduced = np.asarray(Image.fromarray(raster).resize((pixels, pixels), Image.Resampling.LANCZOS))
    return np.rint(255.0 * np.clip(reduced.astype(np.float64), 0.0, 1.0)).astype(np.int64)


def random_gas(n: int, seed: int, width: float = BOX) -> np.ndarray:
    """Uniform positions, so that discs overlap and stick out of the box."""
    return np.random.default_rng(seed).uniform((0.0, 0.0), (width, BOX), size=(n, 2)).astype(np.float32)


WALLS_AND_CORNERS = np.array(
    [
        *((x, y) for x in (0.0, 1.0, 150.0, 299.0, 300.0) for y in (0.0, 1.0, 150.0, 299.0, 300.0)),
        (-0.5, 20.0),  # half outside
        (300.9, 30.0),
        (40.0, -0.9),
        (50.0, 300.5),
        (-5.0, 60.0),  # outside altogether
        (70.0, 400.0),
        (100.0, 100.0),  # one upon the other
        (100.0, 100.0),
        (101.5, 100.3),
    ],
    dtype=np.float32,
)
CLUSTER = np.random.default_rng(3).normal(150.0, 6.0, size=(800, 2)).astype(np.float32)
EMPTY = np.zeros((0, 2), dtype=np.float32)
GASES = {
    "N = 500": random_gas(500, 1),
    "N = 2000": random_gas(2000, 2),
    "N = 2000 in half the box": random_gas(2000, 4, BOX / 2),
    "walls and corners": WALLS_AND_CORNERS,
    "a cluster of overlapping discs": CLUSTER,
    "nothing": EMPTY,
}


@pytest.mark.parametrize("name", GASES)
@pytest.mark.parametrize("image", [PAPER, SMALL], ids=["paper", "small"])
def test_raster_is_the_pixel_rule(name: str, image: ImageSettings) -> None:
    expected = raster_by_rule(GASES[name], image.raster_pixels, BOX)
    np.testing.assert_array_equal(draw_raster(GASES[name], image, BOX, CpuBackend(1)), expected)


@pytest.mark.parametrize("name", GASES)
@pytest.mark.parametrize("image", [PAPER, SMALL], ids=["paper", "small"])
def test_image_is_within_one_grey_level_of_pillow(name: str, image: ImageSettings) -> None:
    positions = GASES[name]
    expected = reduced_by_pillow(raster_by_rule(positions, image.raster_pixels, BOX), image.pixels)
    drawn = render(positions, len(positions), image, BOX, CpuBackend(1)).astype(np.int64)
    assert np.abs(drawn - expected).max() <= 1
    assert np.mean(drawn != expected) < 1e-3


@pytest.mark.parametrize(
    ("raster_pixels", "pixels"),
    [(64, 64), (65, 7), (31, 5), (7, 1), (3700, 41)],
    ids=["same size", "odd", "below a word", "one", "more words than one has bits"],
)
def test_any_size_is_within_one_grey_level_of_pillow(raster_pixels: int, pixels: int) -> None:
    positions = random_gas(300, 5) / 10.0
    image = ImageSettings(raster_pixels=raster_pixels, pixels=pixels)
    expected = reduced_by_pillow(raster_by_rule(positions, raster_pixels, BOX / 10.0), pixels)
    drawn = render(positions, len(positions), image, BOX / 10.0, CpuBackend(1)).astype(np.int64)
    assert np.abs(drawn - expected).max() <= 1


def test_row_zero_is_the_top() -> None:
    picture = render(np.array([[30.0, 270.0]]), 1, PAPER, BOX, CpuBackend(1))
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert abs(row - 25.6) < 2
    assert abs(column - 25.6) < 2


def test_turning_the_gas_turns_the_picture() -> None:
    # On a binary grid L - y is exact, so that the turned gas is the same gas.
    positions = np.round(random_gas(1000, 6) * 1024) / 1024
    turned = np.stack([BOX - positions[:, 1], positions[:, 0]], axis=1)
    pictures = render(np.stack([positions, turned]), 1000, PAPER, BOX, CpuBackend(1)).astype(np.int64)
    assert np.abs(np.rot90(pictures[0]) - pictures[1]).max() <= 1


def test_particles_beyond_their_number_are_not_drawn() -> None:
    positions = random_gas(20, 7)
    padded = np.full((2, 40, 2), np.nan, dtype=np.float32)
    padded[:, :20] = positions
    drawn = render(padded, np.array([20, 12]), SMALL, BOX, CpuBackend(1))
    np.testing.assert_array_equal(drawn[0], render(positions, 20, SMALL, BOX, CpuBackend(1)))
    np.testing.assert_array_equal(drawn[1], render(positions[:12], 12, SMALL, BOX, CpuBackend(1)))


def test_double_precision_positions_are_drawn_as_files_keep_them() -> None:
    positions = np.random.default_rng(8).uniform(0.0, BOX, size=(500, 2))
    drawn = render(positions, 500, PAPER, BOX, CpuBackend(1))
    np.testing.assert_array_equal(drawn, render(positions.astype(np.float32), 500, PAPER, BOX, CpuBackend(1)))


def test_a_picture_does_not_depend_on_the_batch() -> None:
    positions = np.stack([random_gas(300, seed) for seed in range(14)]).reshape(2, 7, 300, 2)
    counts = np.arange(14).reshape(2, 7) * 20
    one, two = (render(positions, counts, SMALL, BOX, CpuBackend(n)) for n in (1, 2))
    assert one.shape == (2, 7, 32, 32)
    np.testing.assert_array_equal(one, two)
    for index in np.ndindex(2, 7):
        alone = render(positions[index], counts[index], SMALL, BOX, CpuBackend(1))
        np.testing.assert_array_equal(alone, one[index])


def test_nothing_to_draw_gives_no_pictures() -> None:
    assert render(np.zeros((0, 5, 3, 2)), 3, SMALL, BOX, CpuBackend(1)).shape == (0, 5, 32, 32)


def test_more_particles_than_positions_are_refused() -> None:
    with pytest.raises(InputError, match="n_particles = 4"):
        render(np.zeros((3, 2)), 4, SMALL, BOX, CpuBackend(1))


SIMULATED = """
import sys
import numpy as np
from gputhermo.backend import CudaBackend
from gputhermo.parameters import ImageSettings
from gputhermo.rasterize import render

positions = np.load(sys.argv[1])
backend = CudaBackend(simulated_threads=int(sys.argv[3]))
np.save(sys.argv[2], render(positions, [4, 3, 4], ImageSettings(raster_pixels=64, pixels=16), 12.0, backend))
"""


@pytest.mark.parametrize("n_threads", [1, 4])
def test_simulated_cuda_draws_the_same_picture(n_threads: int, tmp_path: Path, simulator) -> None:
    # Three pictures on the two slots of the simulated device, so that a slot is used again.
    positions = np.random.default_rng(9).uniform(0.0, 12.0, size=(3, 4, 2)).astype(np.float32)
    np.save(tmp_path / "positions.npy", positions)
    simulator(SIMULATED, tmp_path / "positions.npy", tmp_path / "images.npy", n_threads)
    expected = render(positions, [4, 3, 4], ImageSettings(raster_pixels=64, pixels=16), 12.0, CpuBackend(1))
    assert expected.max() == 255
    np.testing.assert_array_equal(np.load(tmp_path / "images.npy"), expected)
