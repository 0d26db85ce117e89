"""Composed states against the pixel rule written out, against drawings of the particles, and by their entropy."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch

from gputhermo.backend import CpuBackend
from gputhermo.compose import at_half, compound, dusted, joined, pixels_within, scaled
from gputhermo.errors import InputError
from gputhermo.parameters import Settings
from gputhermo.rasterize import render
from gputhermo.states import ENERGY, HEIGHT, N_PARTICLES, WIDTH, States

BOX = 30.0
PIXELS, FRAMES, N_STATES = 20, 3, 5
BACKEND = CpuBackend(1)


def states_of(seed: int, piston: np.ndarray | float | None = None) -> States:
    """Noise in place of gases, which no two pixels' mix-up survives; pistons at L/2 to L unless they are given."""
    random = np.random.default_rng(seed)
    clips = random.integers(1, 256, (N_STATES, FRAMES, PIXELS, PIXELS), dtype=np.uint8)
    parts = np.empty((N_STATES, 1, 4))
    parts[:, 0, N_PARTICLES] = random.integers(20, 60, N_STATES)
    parts[:, 0, ENERGY] = parts[:, 0, N_PARTICLES] * random.uniform(1.0, 2.0, N_STATES)
    parts[:, 0, WIDTH] = random.uniform(0.5 * BOX, BOX, N_STATES) if piston is None else piston
    parts[:, 0, HEIGHT] = BOX
    return States(torch.from_numpy(clips), parts, random.integers(0, 9, N_STATES))


X, Y, Z = states_of(1), states_of(2), states_of(3)[:1]
LEFT, RIGHT = states_of(4, 0.5 * BOX), states_of(5, 0.5 * BOX)


def pixel_by_pixel(rule: Callable[[int, float, float], tuple[States | None, float]]) -> np.ndarray:
    """The clips that `rule` makes: for state n at (x, y), in R, the states to look at and how far to the left of x."""
    clips = np.zeros((N_STATES, FRAMES, PIXELS, PIXELS), dtype=np.uint8)
    size = BOX / PIXELS
    for n, row, column in np.ndindex(N_STATES, PIXELS, PIXELS):
        source, shift = rule(n, (column + 0.5) * size, BOX - (row + 0.5) * size)
        if source is not None:
            clips[n, :, row, column] = source.clips[n % len(source), :, row, column - round(shift / size)]
    return clips


def test_compound_has_the_first_state_left_and_the_second_shifted_to_the_right():
    expected = pixel_by_pixel(lambda n, x, y: (LEFT, 0.0) if x < 0.5 * BOX else (RIGHT, 0.5 * BOX))
    np.testing.assert_array_equal(compound(LEFT, RIGHT).clips, expected)


@pytest.mark.parametrize("fraction", [0.12, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_scaled_states_lose_the_bottom_or_the_right_of_the_gas(fraction: float):
    bottom = pixel_by_pixel(lambda n, x, y: (None if y < (1.0 - fraction) * BOX else X, 0.0))
    np.testing.assert_array_equal(scaled(X, fraction, "y").clips, bottom)
    right = pixel_by_pixel(lambda n, x, y: (None if x > fraction * X.parts[n, 0, WIDTH] else X, 0.0))
    np.testing.assert_array_equal(scaled(X, fraction, "x").clips, right)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.77])
def test_joined_states_have_the_first_above_the_second(fraction: float):
    expected = pixel_by_pixel(lambda n, x, y: (X if y > (1.0 - fraction) * BOX else Y, 0.0))
    np.testing.assert_array_equal(joined(X, Y, fraction).clips, expected)


@pytest.mark.parametrize("epsilon", [0.0001, 0.01, 0.2])
def test_dust_covers_the_corner_at_the_origin(epsilon: float):
    width, height = np.sqrt(epsilon) * Z.parts[0, 0, WIDTH], np.sqrt(epsilon) * BOX
    expected = pixel_by_pixel(lambda n, x, y: (Z if x < width and y < height else X, 0.0))
    np.testing.assert_array_equal(dusted(X, Z, epsilon).clips, expected)
    assert np.array_equal(expected, X.clips) == (epsilon == 0.0001), "dust smaller than half a pixel is not seen"


def drawing(*gases: np.ndarray) -> np.ndarray:
    """A picture of particles in the paper's frame."""
    positions = np.concatenate(gases)
    settings = Settings()
    return render(positions[None, None], len(positions), settings.image, settings.gas.box_length, BACKEND)


def states_from(positions: np.ndarray, piston: float) -> States:
    """One state of these particles, drawn in the paper's frame."""
    parts = np.array([[[len(positions), len(positions), piston, Settings().gas.box_length]]], dtype=np.float64)
    return States(torch.from_numpy(drawing(positions)), parts, np.zeros(1, dtype=np.int64))


def test_pictures_are_those_of_the_particles_in_each_place():
    """Pictures differ at the seams only, and where X' meets the frame: by a disc's R and the filter's three pixels."""
    length, size = 300.0, 300.0 / 256
    random = np.random.default_rng(7)
    # Whole multiples of R / 1024, so that a shift by L/2 is exact in float32.
    dense, thin, wide = (
        random.integers((1024, 1024), (1024 * (width - 1), 1024 * 299), (n, 2)) / 1024
        for n, width in ((700, 150), (300, 150), (900, 225))
    )
    a, b, c = states_from(dense, 150.0), states_from(thin, 150.0), states_from(wide, 225.0)
    x = (np.arange(256) + 0.5) * size
    y = length - x[:, None]
    cases = [
        (compound(a, b), drawing(dense, thin + np.array([150.0, 0.0])), np.minimum(np.abs(x - 150.0), length - x)),
        (scaled(c, 0.7, "y"), drawing(wide[wide[:, 1] > 90.0]), np.abs(y - 90.0)),
        (scaled(c, 0.7, "x"), drawing(wide[wide[:, 0] < 157.5]), np.abs(x - 157.5)),
        (joined(a, c, 0.4), drawing(dense[dense[:, 1] > 180.0], wide[wide[:, 1] < 180.0]), np.abs(y - 180.0)),
        (
            dusted(a, c, 0.04),
            drawing(dense[(dense > [45.0, 60.0]).any(axis=1)], wide[(wide < [45.0, 60.0]).all(axis=1)]),
            np.abs(np.maximum(x / 45.0, y / 60.0) - 1.0) * 45.0,
        ),
    ]
    for composed, picture, distance in cases:
        away = np.broadcast_to(distance > 1.0 + 3.5 * size, (256, 256))
        assert away.mean() > 0.9
        np.testing.assert_array_equal(composed.clips.numpy()[..., away], picture[..., away])


def van_der_waals(states: States) -> np.ndarray:
    """N log[u (v - 2 pi R^2)], the paper's equation 4, summed over the parts."""
    n, energy, width, height = np.moveaxis(states.parts, -1, 0)
    return (n * np.log(energy / n * (width * height / n - 2.0 * np.pi))).sum(axis=1)


def test_entropies_of_the_parts_add_up_and_scale():
    def check(states: States, expected: np.ndarray) -> None:
        np.testing.assert_allclose(van_der_waals(states), expected, rtol=1e-12)

    check(compound(LEFT, RIGHT), van_der_waals(LEFT) + van_der_waals(RIGHT))
    check(scaled(X, 0.6, "x"), 0.6 * van_der_waals(X))
    check(scaled(X, 0.6, "y"), 0.6 * van_der_waals(X))
    check(joined(X, Y, 0.3), 0.3 * van_der_waals(X) + 0.7 * van_der_waals(Y))
    check(dusted(X, Z, 0.05), van_der_waals(X) + 0.05 * van_der_waals(Z))


def test_parts_have_the_sides_that_the_pictures_show():
    def sides(states: States) -> np.ndarray:
        return states.parts[..., [WIDTH, HEIGHT]]

    x, y, z = (sides(states)[:, 0] for states in (X, Y, Z))
    np.testing.assert_array_equal(sides(compound(LEFT, RIGHT)), np.broadcast_to([0.5 * BOX, BOX], (N_STATES, 2, 2)))
    np.testing.assert_allclose(sides(scaled(X, 0.6, "x"))[:, 0], x * [0.6, 1.0])
    np.testing.assert_allclose(sides(scaled(X, 0.6, "y"))[:, 0], x * [1.0, 0.6])
    np.testing.assert_allclose(sides(joined(X, Y, 0.3)), np.stack([x * [1.0, 0.3], y * [1.0, 0.7]], axis=1))
    dust = np.broadcast_to(z * np.sqrt(0.05), x.shape)
    np.testing.assert_allclose(sides(dusted(X, Z, 0.05)), np.stack([x, dust], axis=1))


def test_processes_are_those_of_the_first_state_and_arguments_stay_as_they_are():
    before = [states.clips.clone() for states in (X, Y, Z, LEFT, RIGHT)]
    composed = [scaled(X, 0.5, "x"), scaled(X, 0.5, "y"), joined(X, Y, 0.5), dusted(X, Z, 0.5)]
    for states in composed:
        np.testing.assert_array_equal(states.process, X.process)
        states.clips.zero_()
    pair = compound(LEFT, RIGHT)
    np.testing.assert_array_equal(pair.process, LEFT.process)
    pair.clips.zero_()
    assert all(torch.equal(s.clips, b) for s, b in zip((X, Y, Z, LEFT, RIGHT), before, strict=True))


def test_cuts_of_the_paper_never_meet_the_centre_of_a_pixel():
    """So which side of a cut a pixel lies on is never left to rounding: lambda 0.1 to 0.9 at every place of a hold."""
    settings = Settings()
    length, pixels = Fraction(settings.gas.box_length), settings.image.pixels
    places = {
        length / 2 + number * Fraction(stroke)
        for stroke in settings.plan.strokes
        for number in range(round(length / 2 / Fraction(stroke)) + 1)
    }
    for share in (Fraction(k, 10) for k in range(1, 10)):
        for piston in places:
            cut = share * piston / length * pixels
            assert (cut - Fraction(1, 2)).denominator != 1
            within = sum(Fraction(2 * column + 1, 2) < cut for column in range(pixels))
            assert pixels_within(float(share) * (float(piston) / float(length)), pixels) == within


def test_half_is_found_within_rounding():
    piston = BOX * np.array([0.5, 0.5 + 1e-14, 0.5 + 1e-6, 0.75, 1.0])
    assert at_half(states_of(6, piston)).tolist() == [True, True, False, False, False]


ODD = States(LEFT.clips[..., :-1], LEFT.parts, LEFT.process)
BIGGER = States(X.clips, X.parts * 2.0, X.process)


@pytest.mark.parametrize(
    ("compose", "message"),
    [
        (lambda: compound(LEFT, X), "piston_position"),
        (lambda: compound(X, RIGHT), "piston_position"),
        (lambda: compound(ODD, ODD), "image.pixels = 19"),
        (lambda: compound(LEFT, RIGHT[:2]), "clips"),
        (lambda: joined(X, BIGGER, 0.5), "box_length"),
        (lambda: joined(X, Y, 1.0), "fraction = 1 "),
        (lambda: scaled(X, 0.0, "x"), "fraction = 0 "),
        (lambda: scaled(X, float("nan"), "y"), "fraction = nan "),
        (lambda: scaled(X, 0.5, "z"), "cut = 'z'"),  # type: ignore[arg-type]
        (lambda: dusted(X, Y, 0.1), "dust of 5 states"),
        (lambda: dusted(X, Z, -0.1), "fraction = -0.1"),
        (lambda: dusted(X, BIGGER[:1], 0.1), "box_length"),
        (lambda: scaled(compound(LEFT, RIGHT), 0.5, "y"), "states of 2 parts"),
        (lambda: joined(X, compound(LEFT, RIGHT), 0.5), "states of 2 parts"),
        (lambda: dusted(X, joined(X, Y, 0.5)[:1], 0.1), "states of 2 parts"),
    ],
)
def test_what_cannot_be_composed_is_refused_in_one_line(compose: Callable[[], States], message: str):
    with pytest.raises(InputError, match=message) as caught:
        compose()
    assert "\n" not in str(caught.value)
