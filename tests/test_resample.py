"""The Lanczos weights against Pillow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gputhermo.resample import banded_weights, cumulative_weights, dense_weights

SIZES = [(1560, 256), (64, 16), (100, 33), (50, 50), (20, 3), (5, 1), (16, 40)]


def resize_by_pillow(row: np.ndarray, n_out: int) -> np.ndarray:
    """One row of pixels, resampled."""
    image = Image.fromarray(row[None, :].astype(np.float32))
    return np.asarray(image.resize((n_out, 1), Image.Resampling.LANCZOS))[0]


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_weights_resize_as_pillow_does(n_in: int, n_out: int) -> None:
    row = np.random.default_rng(1).uniform(size=n_in)
    np.testing.assert_allclose(dense_weights(n_in, n_out) @ row, resize_by_pillow(row, n_out), atol=2e-6)


@given(st.integers(1, 80), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_weights_resize_as_pillow_does_for_any_sizes(n_in: int, n_out: int) -> None:
    row = np.random.default_rng(n_in).uniform(size=n_in)
    np.testing.assert_allclose(dense_weights(n_in, n_out) @ row, resize_by_pillow(row, n_out), atol=2e-6)


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_bands_stay_inside_and_sum_to_one(n_in: int, n_out: int) -> None:
    first, weights = banded_weights(n_in, n_out)
    taps = first[:, None] + np.arange(weights.shape[1])
    assert first.min() >= 0
    assert not weights[taps >= n_in].any()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-14)


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_a_run_is_a_difference_of_cumulative_weights(n_in: int, n_out: int) -> None:
    dense = dense_weights(n_in, n_out)
    cumulative, passed, entered = cumulative_weights(n_in, n_out)
    single = cumulative.astype(np.float32)
    for start, end in np.sort(np.random.default_rng(2).integers(0, n_in + 1, size=(50, 2)), axis=1):
        np.testing.assert_allclose(cumulative[end] - cumulative[start], dense[:, start:end].sum(axis=1), atol=1e-13)
        if start < end:
            elsewhere = np.ones(n_out, dtype=bool)
            elsewhere[passed[start] : entered[end - 1]] = False
            assert not (single[end] - single[start])[elsewhere].any(), "a run adds something outside its range"
