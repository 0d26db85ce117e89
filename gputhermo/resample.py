"""Lanczos resampling weights, as Pillow's `Image.resize` computes them, in the forms that the raster program reads.

The filter sinc(x) sinc(x/3), |x| < 3, is stretched by the ratio of the sizes when it shrinks an image, cut off at the
image's border and normalised there, so that the weights of an output pixel sum to one (Pillow, `Resample.c`).
"""

import numpy as np
from numpy.typing import NDArray

LOBES = 3.0


def lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lanczos kernel with three lobes, elementwise."""
    return np.where(np.abs(x) < LOBES, np.sinc(x) * np.sinc(x / LOBES), 0.0)


def banded_weights(n_in: int, n_out: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Weights of an axis of `n_in` pixels resampled to `n_out`.

    Returns `first` [n_out], the first input pixel of each output pixel, and `weights` [n_out, n_taps], those of the
    input pixels from there on; rows are padded with zeros at their end.
    """
    scale = n_in / n_out
    stretch = max(scale, 1.0)
    centre = (np.arange(n_out) + 0.5) * scale
    first = np.maximum(np.floor(centre - LOBES * stretch + 0.5), 0.0).astype(np.int64)
    n_taps = np.minimum(np.floor(centre + LOBES * stretch + 0.5), n_in).astype(np.int64) - first
    tap = np.arange(n_taps.max())
    weights = lanczos((first[:, None] + tap - centre[:, None] + 0.5) / stretch)
    weights[tap >= n_taps[:, None]] = 0.0
    return first, weights / weights.sum(axis=1, keepdims=True)


def dense_weights(n_in: int, n_out: int) -> NDArray[np.float64]:
    """Give the same weights as a matrix [n_out, n_in]."""
    first, weights = banded_weights(n_in, n_out)
    n_taps = weights.shape[1]
    dense = np.zeros((n_out, n_in + n_taps))  # the padding of the last rows reaches beyond the image
    np.put_along_axis(dense, first[:, None] + np.arange(n_taps), weights, axis=1)
    return dense[:, :n_in]


def cumulative_weights(n_in: int, n_out: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Weights of runs: a run [a, b) of input pixels that are one adds cumulative[b, o] - cumulative[a, o] to output o.

    Returns `cumulative` [n_in + 1, n_out], `passed` [n_in + 1], how many output pixels lie left of an input pixel
    altogether, and `entered` [n_in], how many an input pixel or one left of it enters. Outside of passed[a] to
    entered[b - 1] the difference is exactly zero.
    """
    first, weights = banded_weights(n_in, n_out)
    cumulative = np.zeros((n_in + 1, n_out))
    np.cumsum(dense_weights(n_in, n_out).T, axis=0, out=cumulative[1:])
    passed = np.searchsorted(first + weights.shape[1], np.arange(n_in + 1), side="right")
    entered = np.searchsorted(first, np.arange(n_in), side="right")
    return cumulative, passed, entered
