"""Pictures of the gas: discs drawn on a fine raster and reduced by the Lanczos filter, on the backend's device."""

from functools import cache
from typing import Any

import numpy as np

from .backend import Backend, raster_layout
from .errors import InputError
from .parameters import ImageSettings
from .resample import banded_weights, cumulative_weights


def render(positions: Any, n_particles: Any, image: ImageSettings, box_length: float, backend: Backend) -> Any:
    """Draw one image for each set of positions.

    `positions` [..., n_max, 2], in units of R, is taken in float32, as files keep it, so that a file and a live run
    give the same picture. `n_particles`, an int or integers [...], says how many rows count. The image always shows
    the square box_length x box_length, row 0 at the top; a pixel of the raster is 1 where its centre lies within R of
    a particle's centre.

    Returns uint8 [..., pixels, pixels], an array of the backend. Memory for `backend.n_slots` rasters is used besides,
    whatever the number of images. Raises InputError if `n_particles` is larger than n_max.
    """
    xp = backend.xp
    positions = xp.ascontiguousarray(xp.asarray(positions, dtype=np.float32))
    shape, n_max = positions.shape[:-2], positions.shape[-2]
    counts = xp.ascontiguousarray(xp.broadcast_to(xp.asarray(n_particles, dtype=np.int64), shape)).reshape(-1)
    n_images = counts.shape[0]
    if n_images and not 0 <= int(counts.min()) <= int(counts.max()) <= n_max:
        raise InputError(f"n_particles = {n_particles} is not allowed: positions are given for 0 to {n_max} particles")
    images = xp.empty((n_images, image.pixels, image.pixels), dtype=np.uint8)
    frames = raster_layout.Frames(positions.reshape(n_images, n_max, 2), counts, float(box_length), images)
    slots = range(min(n_images, backend.n_slots))
    if slots:
        backend.run("raster", slots, frames, new_canvas(len(slots), image, xp), lanczos_on(backend, image))
    return images.reshape(*shape, image.pixels, image.pixels)


def new_canvas(n_slots: int, image: ImageSettings, xp: Any) -> Any:
    """Room for `n_slots` frames to be drawn at the same time, uninitialised."""
    n_rows, n_words = image.raster_pixels, -(-image.raster_pixels // raster_layout.WORD)
    return raster_layout.Canvas(
        bits=xp.empty((n_slots, n_rows, n_words), dtype=np.uint32),
        rows=xp.empty((n_slots, n_rows, image.pixels + raster_layout.GROUP), dtype=np.float32),
        line=xp.empty((n_slots, image.pixels), dtype=np.float32),
    )


def lanczos_on(backend: Backend, image: ImageSettings) -> Any:
    """Copy the weights of one axis to the backend's device."""
    return raster_layout.Lanczos(*(backend.from_host(table) for table in lanczos_tables(image)))


@cache
def lanczos_tables(image: ImageSettings) -> Any:
    """Compute the weights of one axis, on the host."""
    cumulative, reached = cumulative_weights(image.raster_pixels, image.pixels)
    first, weights = banded_weights(image.raster_pixels, image.pixels)
    return raster_layout.Lanczos(
        cumulative=np.pad(cumulative.astype(np.float32), ((0, 0), (0, raster_layout.GROUP))),
        reached=reached.astype(np.int32),
        first=first.astype(np.int32),
        weights=weights.astype(np.float32),
    )
