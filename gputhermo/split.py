"""Splitting and recombination (A5): a wall is inserted into a state, and later removed again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .backend import Backend
from .errors import InputError
from .observables import overlaps
from .parameters import EvaluateSettings, Settings
from .process import Hold, Partition, Protocol, compile_protocol
from .process_run import slot_bytes
from .simulate import Recording, simulate
from .state import ReplicaBatch
from .states import ENERGY, HEIGHT, N_PARTICLES, WIDTH

CUTS = 1
"""What random numbers are drawn for: a part of the address of the seed."""
AXES: tuple[Literal["x", "y"], ...] = ("x", "y")


@dataclass(frozen=True)
class Cut:
    """Where a state is split.

    hold      the state, by the number of the hold in its process
    axis      "x": the wall stands at x = fraction * Lx; "y": at y = fraction * Ly
    fraction  lambda
    """

    hold: int
    axis: Literal["x", "y"]
    fraction: float

    def partition(self, length: float, height: float) -> Partition:
        """The wall, in a container of Lx = `length` and Ly = `height`."""
        return Partition(self.axis, self.fraction * (length if self.axis == "x" else height))


@dataclass(frozen=True)
class SplitState:
    """A state that was split and recombined.

    cut         where
    parts       float64 [2, 4]  N, U, Lx, Ly of the gas on the low and on the high side, when the first clip ended
    split       one clip, at the end of the time with the wall
    recombined  one clip, at the end of the time after its removal
    """

    cut: Cut
    parts: np.ndarray
    split: Recording
    recombined: Recording


def draw_cuts(process: int, n_states: int, settings: EvaluateSettings) -> list[Cut]:
    """Two cuts of each state of a process, first one in x and then one in y, each lambda drawn for itself."""
    sequence = np.random.SeedSequence((settings.seed, CUTS, process))
    random = np.random.Generator(np.random.Philox(sequence))
    fractions = random.choice(settings.split_fractions, size=(n_states, len(AXES)))
    return [Cut(hold, axis, float(fractions[hold, k])) for hold in range(n_states) for k, axis in enumerate(AXES)]


def clear_of_wall(points: np.ndarray, partition: Partition) -> np.ndarray:
    """The particles that a partition can be inserted between: those whose centres do not lie within R of it.

    `points` float64 [n, 4] are x, y, vx, vy. The others would feel a large force at once; they are taken out, as in the
    paper.
    """
    return points[np.abs(points[:, AXES.index(partition.axis)] - partition.position) >= 1.0]


def split_and_recombine(
    states: Sequence[np.ndarray],
    lengths: Sequence[float],
    cuts: Sequence[Cut],
    settings: Settings,
    settle_time: float,
    backend: Backend,
) -> Iterator[SplitState]:
    """Split states of a process and recombine them, side by side as far as memory allows; in the order of `cuts`.

    states    phase points x, y, vx, vy in each hold, float64 [n_particles, 4]
    lengths   Lx in each hold
    settings  those of the dataset

    A wall is inserted, particles within R of it are removed, and the gas moves for `settle_time`, at the end of which a
    clip is recorded. From its last snapshot the gas moves on without the wall for as long, and another one is recorded.
    Raises InputError if a side of a split state has no particles.
    """
    height, strength, clip = settings.gas.box_length, settings.gas.interaction_strength, settings.protocol
    settle = [Hold(settle_time)]

    def run(points: list[np.ndarray], protocols: list[Protocol]) -> list[Recording]:
        return simulate(
            ReplicaBatch.from_arrays([p[:, :2] for p in points], [p[:, 2:] for p in points], strength),
            protocols,
            device=backend,
            integrator=settings.integrator,
            frames=clip.frames,
            frame_interval=clip.frame_interval,
        )

    table = compile_protocol(
        Protocol(height, height, settle), settings.integrator.grid_step, clip.frames, clip.frame_interval
    )
    n_slots = max(1, backend.slot_memory // slot_bytes(len(states[0]), [table]))
    for first in range(0, len(cuts), n_slots):
        batch = cuts[first : first + n_slots]
        boxes = [(lengths[cut.hold], height) for cut in batch]
        partitions = [cut.partition(*box) for cut, box in zip(batch, boxes, strict=True)]
        points = [clear_of_wall(states[cut.hold], wall) for cut, wall in zip(batch, partitions, strict=True)]
        for cut, p, wall in zip(batch, points, partitions, strict=True):
            low = p[:, AXES.index(wall.axis)] < wall.position
            if low.all() or not low.any():
                raise InputError(
                    f"split_fractions = {cut.fraction:g} is not allowed: it leaves a side of hold {cut.hold} without "
                    "particles"
                )
        split = run(points, [Protocol(*box, settle, wall) for box, wall in zip(boxes, partitions, strict=True)])
        ends = [backend.to_host(recording.phase_points[-1]) for recording in split]
        recombined = run(ends, [Protocol(*box, settle) for box in boxes])
        parts = [sides(p, wall, box, strength) for p, wall, box in zip(ends, partitions, boxes, strict=True)]
        yield from map(SplitState, batch, parts, split, recombined)


def sides(
    points: np.ndarray, partition: Partition, box: tuple[float, float], interaction_strength: float
) -> np.ndarray:
    """The gases on the low and the high side of a partition: N, U, Lx, Ly of each, float64 [2, 4].

    `points` float64 [n, 4] are x, y, vx, vy, `box` is (Lx, Ly). U is kinetic and potential energy, that in the field of
    the walls included.
    """
    axis = AXES.index(partition.axis)
    low = points[:, axis] < partition.position
    gases = np.empty((2, 4))
    for gas, here, end in zip(gases, (low, ~low), (1, 0), strict=True):
        corners = np.array([[0.0, 0.0], box])
        corners[end, axis] = partition.position
        gas[N_PARTICLES] = here.sum()
        gas[ENERGY] = energy_in_box(points[here], corners, interaction_strength)
        gas[WIDTH], gas[HEIGHT] = corners[1] - corners[0]
    return gases


def energy_in_box(points: np.ndarray, corners: np.ndarray, interaction_strength: float) -> float:
    """Energy of particles in a box, by Eq. (3) for pairs and walls, kinetic energy included.

    `points` float64 [n, 4] are x, y, vx, vy; `corners` float64 [2, 2] the lower left and the upper right one.
    """
    width, height = (corners[1] - corners[0]).tolist()
    squares, _, _ = overlaps(points[:, :2] - corners[0], width, height, None, np)
    return 0.5 * float((points[:, 2:] ** 2).sum() + interaction_strength * squares)
