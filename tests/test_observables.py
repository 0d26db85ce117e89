"""Mode amplitudes against hand-made gases."""

import math

import numpy as np
import pytest

from gputhermo.observables import mode_amplitudes


def test_a_standing_wave_has_the_amplitude_it_was_given():
    """v_x = u sin(pi z) on a fine lattice: sum v_x sin = N u / 2, and T = u^2 / 4 with nothing along y."""
    z = (np.arange(400) + 0.5) / 400
    x, y = (grid.ravel() for grid in np.meshgrid(1.0 + 48.0 * z, 1.0 + 28.0 * z))
    points = np.stack([x, y, 3.0 * np.sin(math.pi * (x - 1.0) / 48.0), np.zeros_like(x)], axis=1)
    flow, density = mode_amplitudes(points, 50.0, 30.0, np)
    n = len(points)
    assert flow[0] == pytest.approx((0.5 * n * 3.0) / math.sqrt(0.5 * n * 9.0 / 4.0), rel=1e-4)
    assert flow[1] == 0.0
    np.testing.assert_allclose(density, 0.0, atol=1e-6 * n)


def test_a_gas_on_the_left_and_at_the_bottom_has_positive_density_modes():
    points = np.array([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, -1.0, 0.0]])
    _, density = mode_amplitudes(points, 50.0, 30.0, np)
    np.testing.assert_allclose(density, 2.0 / math.sqrt(0.5 * 2))


def test_thermal_modes_have_mean_square_one():
    """2000 ideal gases of 100 particles: the mean square of normal amplitudes is 1 within 5 standard errors."""
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.uniform(1.0, 49.0, (2000, 100, 2)), rng.normal(0.0, 1.7, (2000, 100, 2))], axis=2)
    for amplitudes in mode_amplitudes(points, 50.0, 50.0, np):
        np.testing.assert_allclose((amplitudes**2).mean(axis=0), 1.0, atol=5.0 * math.sqrt(2.0 / 2000.0))


def test_a_gas_at_rest_has_no_flow():
    flow, _ = mode_amplitudes(np.array([[5.0, 5.0, 0.0, 0.0]]), 10.0, 10.0, np)
    assert flow.tolist() == [0.0, 0.0]
