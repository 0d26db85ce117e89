"""Clip tensors: shared memory, scale, and augmentations against kornia's."""

import kornia.augmentation as kornia_augmentation
import kornia.geometry.transform as kornia_transform
import numpy as np
import pytest
import torch

from gputhermo.clips import N_SYMMETRIES, as_clips, augment, to_float, transform

RANDOM = np.random.default_rng(0)


@pytest.fixture
def images() -> np.ndarray:
    """Six states of three frames; no two of their symmetric copies are equal."""
    return RANDOM.integers(0, 256, size=(6, 3, 8, 8), dtype=np.uint8)


def test_clips_share_the_memory_of_the_images(images: np.ndarray) -> None:
    clips = as_clips(images)
    assert clips.shape == (6, 1, 3, 8, 8)
    assert clips.data_ptr() == images.ctypes.data
    images[2, 1, 3, 4] ^= 255
    assert clips[2, 0, 1, 3, 4] == images[2, 1, 3, 4]


@pytest.mark.parametrize(("dtype", "roundings"), [(torch.float32, 2.0**-23), (torch.bfloat16, 2.0**-7)])
def test_grey_levels_become_zero_to_one(dtype: torch.dtype, roundings: float) -> None:
    """Two roundings, of 1/255 and of the product."""
    clips = as_clips(np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16))
    scaled = to_float(clips, dtype)
    assert scaled.dtype == dtype
    np.testing.assert_allclose(scaled.double().flatten(), np.arange(256) / 255.0, rtol=roundings)
    assert (scaled.min(), scaled.max()) == (0.0, 1.0)


def test_floats_of_four_axes_lie_as_the_network_wants_them(images: np.ndarray) -> None:
    scaled = to_float(torch.from_numpy(images))
    assert scaled.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(scaled, images / 255.0, rtol=2.0**-23)


def test_symmetries_are_those_of_kornia(images: np.ndarray) -> None:
    # kornia's geometry takes (B, C, H, W): the frames of a clip stand in the place of its channels.
    stills = to_float(torch.from_dlpack(images))
    expected = {
        0: stills,
        2: kornia_transform.rot180(stills),
        4: kornia_transform.hflip(stills),
        6: kornia_transform.vflip(stills),
    }
    for symmetry, flipped in expected.items():
        assert torch.equal(transform(stills, symmetry, False), flipped)
    for turns in (1, 3):
        turned = kornia_augmentation.RandomRotation90(times=(turns, turns), resample="nearest", p=1.0)(stills)
        assert torch.equal(transform(stills, turns, False), turned)
        assert torch.equal(transform(stills, turns + 4, False), kornia_transform.hflip(turned))


def test_time_reversal_reverses_the_frames_only(images: np.ndarray) -> None:
    reversed_clips = transform(as_clips(images), 0, True)
    np.testing.assert_array_equal(reversed_clips[:, 0], images[:, ::-1])


def test_every_clip_takes_one_of_sixteen_forms_exactly(images: np.ndarray) -> None:
    clips = as_clips(images[:1]).expand(800, 1, 3, 8, 8)
    augmented = augment(clips, torch.Generator().manual_seed(1))
    forms = [transform(clips[0], symmetry, reverse) for symmetry in range(N_SYMMETRIES) for reverse in (False, True)]
    counts = [sum(torch.equal(clip, form) for clip in augmented) for form in forms]
    assert sum(counts) == 800, "a clip is none of the sixteen, or two of them are the same"
    # Binomial with mean 50 and standard deviation 6.8.
    assert min(counts) > 15
    assert max(counts) < 85


def test_draws_come_from_the_generator_alone(images: np.ndarray) -> None:
    clips = as_clips(images)
    before = images.copy()
    first = augment(clips, torch.Generator().manual_seed(5))
    torch.manual_seed(99)
    again = augment(clips, torch.Generator().manual_seed(5))
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    np.testing.assert_array_equal(images, before)


def test_clips_are_what_kornia_takes_for_videos(images: np.ndarray) -> None:
    flip = kornia_augmentation.VideoSequential(
        kornia_augmentation.RandomHorizontalFlip(p=1.0), data_format="BCTHW", same_on_frame=True
    )
    clips = to_float(as_clips(images))
    assert torch.equal(flip(clips), transform(clips, 4, False))
