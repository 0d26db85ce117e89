"""Piston protocols: what the piston does, when states are recorded, and the processes of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .errors import InputError
from .parameters import Settings

MOST_STEPS = 2**53
"""Of a process; up to here every step has a number of its own in float64."""
MOST_SNAPSHOTS = 10**7
"""Of a dataset: a hundred times the paper's set."""


@dataclass(frozen=True)
class Hold:
    """The piston rests for `time`; a clip is recorded at the end if `record` is set."""

    time: float
    record: bool = True


@dataclass(frozen=True)
class Stroke:
    """The piston moves to Lx = `to` at the constant `speed`; a clip is recorded at the end if `record` is set."""

    to: float
    speed: float
    record: bool = False


@dataclass(frozen=True)
class Partition:
    """A fixed wall, repelling on both sides, at constant `axis` = `position`."""

    axis: Literal["x", "y"]
    position: float


@dataclass(frozen=True)
class Protocol:
    """A container and what its piston does.

    `length` is the initial Lx, `height` is Ly, both in units of R.
    """

    length: float
    height: float
    actions: Sequence[Hold | Stroke]
    partition: Partition | None = None


@dataclass(frozen=True)
class Timetable:
    """A protocol on the time grid: constant piston velocity in each segment, and the steps of the snapshots.

    segment_end     int64   [n_segments]  last step of each
    segment_piston  float64 [n_segments]  piston position at its start
    segment_speed   float64 [n_segments]  piston velocity, negative when it pushes
    snapshot_step   int64   [n_clips * frames], ascending
    clip_action     int64   [n_clips]  the action at whose end the clip was taken
    clip_piston     float64 [n_clips]  piston position then
    """

    segment_end: np.ndarray
    segment_piston: np.ndarray
    segment_speed: np.ndarray
    snapshot_step: np.ndarray
    clip_action: np.ndarray
    clip_piston: np.ndarray
    frames: int
    grid_step: float

    @property
    def n_clips(self) -> int:
        """Number of clips recorded."""
        return len(self.clip_action)

    @property
    def n_steps(self) -> int:
        """Number of steps from start to end."""
        return int(self.segment_end[-1])

    @property
    def clip_time(self) -> np.ndarray:
        """Time of each clip's last snapshot, float64 [n_clips]."""
        return self.snapshot_step[self.frames - 1 :: self.frames] * self.grid_step


def whole_steps(name: str, time: float, grid_step: float) -> int:
    """`time` as a number of steps; InputError if it is not a positive whole number of them."""
    ratio = time / grid_step
    steps = round(ratio) if 0.5 < ratio < MOST_STEPS else 0
    if steps < 1 or abs(ratio - steps) > 1e-6 + 1e-12 * steps:
        raise InputError(
            f"{name} = {time:.6g} is not allowed: a positive multiple of the time step {grid_step:g} is needed"
        )
    return steps


def steps_between_samples(interval: float, grid_step: float) -> int:
    """Steps between two entries of time series that are `interval` apart; 0 for none, if that is 0."""
    return whole_steps("series.interval", interval, grid_step) if interval > 0.0 else 0


def compile_protocol(protocol: Protocol, grid_step: float, frames: int, frame_interval: float) -> Timetable:
    """Lay a protocol on the time grid.

    Raises InputError if a time is not a multiple of the step, a stroke leaves no room, a clip does not fit between the
    previous one and the end of its action, or the partition is not in the container.
    """
    if frames < 1:
        raise InputError(f"frames = {frames} is not allowed: at least 1 is needed")
    check_container(protocol)
    between = whole_steps("frame_interval", frame_interval, grid_step)
    end, piston = 0, protocol.length
    ends: list[int] = []
    pistons: list[float] = []
    speeds: list[float] = []
    snapshots: list[int] = []
    clip_action: list[int] = []
    clip_piston: list[float] = []
    for number, action in enumerate(protocol.actions):
        start = piston
        if isinstance(action, Hold):
            time, velocity = action.time, 0.0
        else:
            if not 2.0 < action.to < np.inf:
                raise InputError(
                    f"Stroke.to = {action.to:g} is not allowed: more than 2 R, room for a particle, is needed"
                )
            if not action.speed > 0.0:
                raise InputError(f"Stroke.speed = {action.speed:g} is not allowed: a positive speed is needed")
            if action.to == piston:
                continue
            time = abs(action.to - piston) / action.speed
            velocity = float(np.copysign(action.speed, action.to - piston))
            piston = action.to
        end += whole_steps(f"{type(action).__name__} time", time, grid_step)
        ends.append(end)
        pistons.append(start)
        speeds.append(velocity)
        if action.record:
            clip = [end - (frames - 1 - frame) * between for frame in range(frames)]
            if clip[0] < 0 or (snapshots and clip[0] <= snapshots[-1]):
                raise InputError(
                    f"{type(action).__name__} time = {time:g} is too short for a clip of {frames} snapshots "
                    f"{frame_interval:g} apart"
                )
            snapshots.extend(clip)
            clip_action.append(number)
            clip_piston.append(piston)
    if not ends:
        raise InputError("Protocol.actions is empty; at least one Hold or Stroke that moves the piston is needed")
    return Timetable(
        segment_end=np.array(ends, dtype=np.int64),
        segment_piston=np.array(pistons, dtype=np.float64),
        segment_speed=np.array(speeds, dtype=np.float64),
        snapshot_step=np.array(snapshots, dtype=np.int64),
        clip_action=np.array(clip_action, dtype=np.int64),
        clip_piston=np.array(clip_piston, dtype=np.float64),
        frames=frames,
        grid_step=grid_step,
    )


def check_container(protocol: Protocol) -> None:
    """Raise InputError for a container that has no room, or a partition that is not in it, wherever the piston goes."""
    for name, side in (("length", protocol.length), ("height", protocol.height)):
        if not 2.0 < side < np.inf:
            raise InputError(
                f"Protocol.{name} = {side:g} is not allowed: more than 2 R, room for a particle, is needed"
            )
    if protocol.partition is None:
        return
    axis, position = protocol.partition.axis, protocol.partition.position
    if axis not in ("x", "y"):
        raise InputError(f"Partition.axis = {axis!r} is not allowed: x or y is needed")
    nearest = min([protocol.length, *(action.to for action in protocol.actions if isinstance(action, Stroke))])
    end = nearest if axis == "x" else protocol.height
    if not 0.0 < position < end:
        raise InputError(
            f"Partition.position = {position:g} is not allowed: a place between {axis} = 0 and {end:g} is needed"
        )


@dataclass(frozen=True)
class Process:
    """One adiabatic process of a dataset: cycles of pushes from L to L/2 and pulls back to L, with holds between.

    `index` addresses its random numbers; `hold_time` and `n_cycles` are common to a dataset.
    """

    index: int
    n_particles: int
    push_speed: float
    pull_speed: float
    push_stroke: float
    pull_stroke: float
    box_length: float
    hold_time: float
    n_cycles: int

    @property
    def protocol(self) -> Protocol:
        """The paper's section III A: hold, then `n_cycles` times push - hold - ... - pull - hold - ... ."""
        full, half = self.box_length, 0.5 * self.box_length
        n_pushes, n_pulls = round(half / self.push_stroke), round(half / self.pull_stroke)
        actions: list[Hold | Stroke] = [Hold(self.hold_time)]
        for _ in range(self.n_cycles):
            for n in range(1, n_pushes + 1):
                actions += [Stroke(full - n * self.push_stroke, self.push_speed), Hold(self.hold_time)]
            for n in range(1, n_pulls + 1):
                actions += [Stroke(half + n * self.pull_stroke, self.pull_speed), Hold(self.hold_time)]
        return Protocol(full, full, actions)


def plan_processes(settings: Settings) -> list[Process]:
    """The processes of a dataset, in the order of the file.

    Every number of particles with every push and pull speed and every pair of strokes whose ranks in the list differ by
    at most `max_rank_difference`: 448 with the defaults. InputError for a stroke that does not divide L/2.
    """
    plan, box_length = settings.plan, settings.gas.box_length
    for stroke in plan.strokes:
        n = 0.5 * box_length / stroke
        if not 1.0 - 1e-9 <= n <= MOST_SNAPSHOTS or abs(n - round(n)) > 1e-9 * n:
            raise InputError(
                f"plan.strokes = {stroke:g} is not allowed: each must divide L/2 = {0.5 * box_length:g}, at most "
                f"{MOST_SNAPSHOTS} times"
            )
    check_size(settings)
    processes: list[Process] = []
    for n_particles in plan.n_particles:
        for push_speed in plan.push_speeds:
            for pull_speed in plan.pull_speeds:
                for push_rank, push_stroke in enumerate(plan.strokes):
                    for pull_rank, pull_stroke in enumerate(plan.strokes):
                        if abs(push_rank - pull_rank) <= plan.max_rank_difference:
                            processes.append(
                                Process(
                                    index=len(processes),
                                    n_particles=n_particles,
                                    push_speed=push_speed,
                                    pull_speed=pull_speed,
                                    push_stroke=push_stroke,
                                    pull_stroke=pull_stroke,
                                    box_length=box_length,
                                    hold_time=settings.protocol.hold_time,
                                    n_cycles=settings.protocol.n_cycles,
                                )
                            )
    return processes


def check_size(settings: Settings) -> None:
    """Raise InputError if a dataset would have more than MOST_SNAPSHOTS."""
    plan, protocol = settings.plan, settings.protocol
    moves = [round(0.5 * settings.gas.box_length / stroke) for stroke in plan.strokes]
    n_states = sum(
        1 + protocol.n_cycles * (n_pushes + n_pulls)
        for push_rank, n_pushes in enumerate(moves)
        for pull_rank, n_pulls in enumerate(moves)
        if abs(push_rank - pull_rank) <= plan.max_rank_difference
    )
    n_snapshots = n_states * len(plan.n_particles) * len(plan.push_speeds) * len(plan.pull_speeds) * protocol.frames
    if n_snapshots > MOST_SNAPSHOTS:
        raise InputError(
            f"plan.strokes, protocol.n_cycles = {protocol.n_cycles} and protocol.frames = {protocol.frames} make "
            f"{n_snapshots:.2g} snapshots; at most {MOST_SNAPSHOTS} are allowed"
        )


def compile_process(process: Process, settings: Settings) -> Timetable:
    """A process of a dataset on the dataset's time grid."""
    protocol = settings.protocol
    return compile_protocol(process.protocol, settings.integrator.grid_step, protocol.frames, protocol.frame_interval)


def estimated_cost(n_steps: int, n_particles: int) -> float:
    """What a simulation costs beside another one: contacts in a unit of time grow with the square of N."""
    return float(n_steps) * n_particles**2
