"""Clips: the images of a state as torch tensors, and the augmentations that leave the physics as it is.

A clip tensor is [n_states, 1, frames, pixels, pixels] ("BCTHW"), on the device of the images. It stays in 8 bits until
`to_float`: augmenting bytes moves a quarter of the memory.
"""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch.utils.data import Dataset

from .dataset import SPLITS, open_dataset
from .errors import InputError
from .parameters import ImageSettings
from .rasterize import render
from .simulate import Recording
from .torch_device import as_tensor

N_SYMMETRIES = 8


def draw_clips(recording: Recording, box_length: float, image: ImageSettings | None = None) -> torch.Tensor:
    """Draw what a replica recorded: uint8 [n_clips, 1, frames, pixels, pixels], on the device that it ran on.

    Images span box_length x box_length, in R, and are the paper's size unless `image` says otherwise.
    """
    n_particles = recording.positions.shape[2]
    return as_clips(render(recording.positions, n_particles, image or ImageSettings(), box_length, recording.backend))


def as_clips(images: Any) -> torch.Tensor:
    """Images uint8 [n_states, frames, pixels, pixels] of NumPy or CuPy as a clip tensor, by `as_tensor`."""
    return as_tensor(images).unsqueeze(1)


def to_float(clips: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Clips of bytes as floating-point numbers from 0 to 1."""
    return clips.contiguous(memory_format=layout_for(clips)).to(dtype).mul_(1.0 / 255.0)


def layout_for(clips: torch.Tensor) -> torch.memory_format:
    """The order in memory in which a network wants its numbers, which is where a clip's frames are its channels.

    Clips are brought into it as bytes: a quarter of the memory to move, or half.
    """
    return torch.channels_last if clips.ndim == 4 else torch.contiguous_format


def transform(clips: torch.Tensor, symmetry: int, reverse: bool) -> torch.Tensor:
    """Clips [..., frames, pixels, pixels] under one symmetry of the square and, if `reverse`, run backwards.

    `symmetry` 0 to 3 turns counter-clockwise by that many right angles; 4 to 7 then also mirrors left and right. Pixels
    change places and nothing is interpolated.
    """
    clips = torch.rot90(clips, symmetry % 4, (-2, -1))
    flipped = [axis for axis, flip in ((-1, symmetry >= 4), (-3, reverse)) if flip]
    return torch.flip(clips, flipped) if flipped else clips


def augment(clips: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each clip [n, ..., frames, pixels, pixels] under a symmetry of the square and a direction of time drawn for it.

    Entropy is the same for all sixteen, as walls and particles have no handedness and their motion is reversible. A
    generator on the CPU makes the same draws whatever the device of the clips. The result is a new tensor there.
    """
    draws = torch.randint(2 * N_SYMMETRIES, (len(clips),), generator=generator, device=generator.device).tolist()
    augmented = torch.empty_like(clips, memory_format=layout_for(clips))
    for clip, draw, target in zip(clips, draws, augmented, strict=True):
        target.copy_(transform(clip, draw % N_SYMMETRIES, draw >= N_SYMMETRIES))
    return augmented


class ClipDataset(Dataset[dict[str, Any]]):
    """The clips of a dataset file, for torch's DataLoader.

    An item is a dictionary with `clip`, a float32 tensor [frames, pixels, pixels] of values 0 to 1, and the state's
    `process`, `hold` and `index` (row in /states). Each process that reads, a worker for example, opens the file anew.
    """

    def __init__(self, path: str | Path, split: str | None = None):
        """All states, or those of one split: "train", "validation" or "test"."""
        if split is not None and split not in SPLITS:
            raise InputError(f"split = {split!r} is not allowed; allowed: {', '.join(SPLITS)}")
        self.path = Path(path)
        self._file: h5py.File | None = None
        self._reader = 0
        with open_dataset(path) as file:
            if "images" not in file["states"]:
                raise InputError(f"file = {str(path)!r} has no images; it was generated with --no-images")
            self.process = file["states/process"][()]
            self.hold = file["states/hold"][()]
            chosen = np.ones(len(self.process), dtype=bool)
            if split is not None:
                chosen = file["processes/split"][()][self.process] == SPLITS[split]
            self.index = np.flatnonzero(chosen)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> dict[str, Any]:
        if self._file is None or self._reader != os.getpid():
            self._file, self._reader = open_dataset(self.path), os.getpid()
        row = int(self.index[item])
        clip = torch.from_numpy(self._file["states/images"][row]).to(torch.float32) / 255.0
        return {"clip": clip, "process": int(self.process[row]), "hold": int(self.hold[row]), "index": row}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}
