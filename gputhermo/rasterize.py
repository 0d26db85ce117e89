"""Pictures of the gas: discs drawn on a fine raster and reduced by the Lanczos filter, on the backend's device."""

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np

from .backend import Backend, raster_layout
from .errors import InputError
from .parameters import ImageSettings
from .resample import banded_weights, cumulative_weights

ARRAYS = ("edges", "passed", "first", "weights")
"""The fields of the tables that live on the device."""


def render(positions: Any, n_particles: Any, image: ImageSettings, box_length: float, backend: Backend) -> Any:
    """Draw one image for each set of positions.

    `positions` [..., n_max, 2], in units of R, is taken in float32, as files keep it, so that a file and a live run
    give the same picture. `n_particles`, an int or integers [...], says how many rows count. The image always shows
    the square box_length x box_length, row 0 at the top; a pixel of the raster is 1 where its centre lies within R of
    a particle's centre.

    Returns uint8 [..., pixels, pixels], an array of the backend. Memory for `backend.n_slots` rasters is used besides,
    whatever the number of images. Raises InputError if `n_particles` is larger than n_max.
    """
    frames = as_frames(positions, n_particles, image, box_length, backend)
    draw(frames, image, backend)
    return frames.images.reshape(*positions.shape[:-2], image.pixels, image.pixels)


def draw_raster(positions: Any, image: ImageSettings, box_length: float, backend: Backend) -> Any:
    """Draw the raster that `render` reduces, of all rows of `positions` [n, 2].

    Returns uint8 [raster_pixels, raster_pixels] of 0 and 1, on the host.
    """
    canvas = draw(as_frames(positions, len(positions), image, box_length, backend), image, backend)
    words = backend.to_host(canvas.bits[0])[:, :, None]
    pixels = words >> np.arange(raster_layout.WORD) & 1
    return pixels.reshape(image.raster_pixels, -1)[:, : image.raster_pixels].astype(np.uint8)


def as_frames(positions: Any, n_particles: Any, image: ImageSettings, box_length: float, backend: Backend) -> Any:
    """Frames for the raster program: the arrays that `render` is given, and room for their images."""
    xp = backend.xp
    shape, n_max = positions.shape[:-2], positions.shape[-2]
    n_images = math.prod(shape)
    counts = xp.broadcast_to(xp.asarray(n_particles, dtype=np.int64), shape)
    if n_images and not 0 <= int(counts.min()) <= int(counts.max()) <= n_max:
        raise InputError(f"n_particles = {n_particles} is not allowed: positions are given for 0 to {n_max} particles")
    return raster_layout.Frames(
        positions=xp.ascontiguousarray(xp.asarray(positions, dtype=np.float32).reshape(n_images, n_max, 2)),
        n_particles=xp.ascontiguousarray(counts.reshape(n_images)),
        box_length=float(box_length),
        images=xp.empty((n_images, image.pixels, image.pixels), dtype=np.uint8),
    )


def draw(frames: Any, image: ImageSettings, backend: Backend) -> Any:
    """Run the raster program; gives back its canvas."""
    slots = range(min(len(frames.images), backend.n_slots))
    canvas = new_canvas(len(slots), image, backend)
    if slots:
        backend.run("raster", slots, frames, canvas, lanczos_on(backend, image))
    return canvas


def new_canvas(n_slots: int, image: ImageSettings, backend: Backend) -> Any:
    """Room for `n_slots` frames to be drawn at the same time, uninitialised."""
    n_words = -(-image.raster_pixels // raster_layout.WORD)
    n_rows = raster_layout.BAND + lanczos_tables(image).weights.shape[1]
    return raster_layout.Canvas(
        bits=backend.empty((n_slots, image.raster_pixels, n_words), np.int64),
        rows=backend.empty((n_slots, n_rows, image.pixels + raster_layout.REACH), np.float32),
        line=backend.empty((n_slots, image.pixels), np.float32),
    )


@lru_cache(maxsize=4)
def lanczos_on(backend: Backend, image: ImageSettings) -> Any:
    """Copy the weights of one axis to the backend's device, once."""
    tables = lanczos_tables(image)
    return tables._replace(**{name: backend.adopt(getattr(tables, name)) for name in ARRAYS})


@cache
def lanczos_tables(image: ImageSettings) -> Any:
    """Compute the weights of one axis, on the host."""
    cumulative, passed, entered = cumulative_weights(image.raster_pixels, image.pixels)
    first, weights = banded_weights(image.raster_pixels, image.pixels)
    reach = raster_layout.REACH
    output = passed[:, None] - reach + np.arange(2 * reach)
    edges = np.take_along_axis(cumulative, np.clip(output, 0, image.pixels - 1), axis=1)
    # A piece from pixel k on may go to the last one before which no output pixel enters that is too far right.
    pieces = np.searchsorted(entered, passed[:-1] + reach, side="right") - np.arange(image.raster_pixels)
    unbounded = entered[-1] <= passed[:-1] + reach
    return raster_layout.Lanczos(
        edges=np.where((output >= 0) & (output < image.pixels), edges, 0.0).astype(np.float32).ravel(),
        piece=int(pieces[~unbounded].min(initial=image.raster_pixels)),
        passed=passed.astype(np.int32),
        first=first.astype(np.int32),
        weights=np.pad(weights, ((0, 0), (0, -weights.shape[1] % raster_layout.TAPS))).astype(np.float32),
    )
