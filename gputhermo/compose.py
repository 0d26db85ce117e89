"""States composed from pictures of states, as the axioms A3, A4 and A6 and the paper's figure 8 need them.

Every function takes states of processes, each one simple gas as high as the frame, and gives new states; pixels change
places or become 0, and none is interpolated. A pixel goes with the place of its centre. docs/states.md has a picture of
each composed state, and says what is the paper's and what is ours.
"""

from typing import Literal

import numpy as np
import torch

from .errors import InputError
from .states import HEIGHT, WIDTH, States


def at_half(states: States) -> np.ndarray:
    """Which of the states have the piston at Lx = L/2, bool [n]."""
    return np.isclose(piston(states), 0.5, rtol=1e-9, atol=0.0)


def compound(first: States, second: States) -> States:
    """(X, X') of each pair of states with the pistons at L/2: X fills the left half of the frame, X' the right half.

    X' is shifted by L/2, not mirrored (ours). InputError if a piston is elsewhere, or the pixels have no two halves.
    """
    check_alike(first, second)
    for states in (first, second):
        elsewhere = piston(states)[~at_half(states)]
        if elsewhere.size:
            raise InputError(f"piston_position = {elsewhere[0]:g} L is not allowed in a compound state: L/2 is needed")
    pixels = first.clips.shape[-1]
    if pixels % 2:
        raise InputError(f"image.pixels = {pixels} is not allowed in a compound state: an even number is needed")
    halves = [states.clips[..., : pixels // 2] for states in (first, second)]
    return States(torch.cat(halves, dim=-1), np.concatenate([first.parts, second.parts], axis=1), first.process)


def scaled(states: States, fraction: float, cut: Literal["x", "y"]) -> States:
    """lambda X, lambda = `fraction`: the rest of the gas becomes 0.

    `cut` "y" leaves the top, y >= (1 - lambda) L; "x" leaves the left, x <= lambda Lx: of the gas, not of the frame.
    """
    check_fraction(fraction)
    gas, pixels = piston(states), states.clips.shape[-1]
    if cut == "y":
        clips = states.clips.clone()
        clips[..., pixels_within(fraction, pixels) :, :] = 0
        return States(clips, piece(states.parts, 1.0, fraction), states.process)
    if cut == "x":
        removed = np.arange(pixels) >= pixels_within(fraction * gas, pixels)[:, None]
        mask = torch.from_numpy(removed).to(states.clips.device)
        clips = states.clips.masked_fill(mask[:, None, None, :], 0)
        return States(clips, piece(states.parts, fraction, 1.0), states.process)
    raise InputError(f"cut = {cut!r} is not allowed: x or y is needed")


def joined(first: States, second: States, fraction: float) -> States:
    """(lambda X, (1 - lambda) Y), lambda = `fraction`: the top of X, y >= (1 - lambda) L, above the bottom of Y.

    Each keeps the piston where it was.
    """
    check_alike(first, second)
    check_fraction(fraction)
    rows = pixels_within(fraction, first.clips.shape[-2])
    clips = torch.cat([first.clips[..., :rows, :], second.clips[..., rows:, :]], dim=-2)
    parts = [piece(first.parts, 1.0, fraction), piece(second.parts, 1.0, 1.0 - fraction)]
    return States(clips, np.concatenate(parts, axis=1), first.process)


def dusted(states: States, dust: States, fraction: float) -> States:
    """(X, epsilon Z) of each state X with one dust state Z, epsilon = `fraction`.

    The corner of Z next to the origin, as wide as sqrt(epsilon) Lx(Z) and as high as sqrt(epsilon) L, covers the same
    corner of X; `parts` has X whole beside epsilon Z.
    """
    if len(dust) != 1:
        raise InputError(f"dust of {len(dust)} states is not allowed: one is needed")
    n = len(states)
    dusts = States(dust.clips.expand(n, -1, -1, -1), np.repeat(dust.parts, n, axis=0), np.repeat(dust.process, n))
    check_alike(states, dusts)
    check_fraction(fraction)
    side, pixels = np.sqrt(fraction), states.clips.shape[-1]
    rows, columns = pixels_within(side, pixels), pixels_within(side * piston(dust), pixels)[0]
    clips = states.clips.clone()
    clips[..., pixels - rows :, :columns] = dust.clips[..., pixels - rows :, :columns]
    parts = np.concatenate([states.parts, piece(dusts.parts, side, side)], axis=1)
    return States(clips, parts, states.process)


def piston(states: States) -> np.ndarray:
    """Lx / L of simple gases as high as the frame, float64 [n]; InputError for states that are composed already."""
    check_simple(states)
    return states.parts[:, 0, WIDTH] / states.parts[:, 0, HEIGHT]


def pixels_within(distance: np.ndarray | float, pixels: int) -> np.ndarray:
    """How many pixels, counted from an edge of the frame, have their centre within `distance`, in units of L."""
    return np.floor(np.asarray(distance) * pixels + 0.5).astype(np.int64)


def piece(parts: np.ndarray, width: float, height: float) -> np.ndarray:
    """Parts [n, 1, 4] of a piece of each gas with these shares of its sides, and of N and U by its area."""
    area = width * height
    return parts * np.array([area, area, width, height])


def check_alike(first: States, second: States) -> None:
    """Raise InputError unless the states pair up: as many of each, simple, with clips of one size in one frame."""
    for states in (first, second):
        check_simple(states)
    if first.clips.shape != second.clips.shape:
        shapes = f"{list(first.clips.shape)} and {list(second.clips.shape)}"
        raise InputError(f"clips of {shapes} are not allowed together: the same shape is needed")
    if not np.array_equal(first.parts[..., HEIGHT], second.parts[..., HEIGHT]):
        raise InputError("states of different box_length are not allowed together: one frame is needed")


def check_simple(states: States) -> None:
    """Raise InputError for states that are composed already."""
    n_parts = states.parts.shape[1]
    if n_parts != 1:
        raise InputError(f"states of {n_parts} parts are not allowed: only states of one simple gas are composed")


def check_fraction(fraction: float) -> None:
    """Raise InputError unless 0 < fraction < 1."""
    if not 0.0 < fraction < 1.0:
        raise InputError(f"fraction = {fraction:g} is not allowed: a number between 0 and 1 is needed")
