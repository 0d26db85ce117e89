"""Run piston protocols: many replicas side by side, each with its own gas, container and schedule.

A replica's trajectory is bitwise the same whatever else is in the batch, however many threads run, however large the
buffers are and wherever the run was stopped and resumed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .backend import Backend, layout, select
from .errors import InputError, SimulationError
from .guards import Guards, Recorded, examine, measure_start, rerun_protocol
from .observables import Series, series_from_sums
from .parameters import IntegratorSettings
from .process import Protocol, Timetable, compile_protocol, steps_between_samples
from .state import ReplicaBatch

FULL = {
    layout.CELLS_FULL: "n_cells",
    layout.NEIGHBOURS_FULL: "n_neighbours",
    layout.EVENTS_FULL: "n_events",
}
IMPOSSIBLE = {
    layout.LEFT_THE_BOX: "particle {particle} left the box (particles on top of each other, or too soft, or too hot)",
    layout.TOO_FAST: "a particle is too fast for the time step",
}


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What one replica's run leaves. A clip is one microscopic state: `frames` snapshots.

    positions         float32 [n_clips, frames, n_particles, 2]  on the device
    phase_points      float64 [n_clips, n_particles, 4]  x, y, vx, vy of each clip's last snapshot, on the device
    time              float64 [n_clips]  of the last snapshot
    action            int64   [n_clips]  index of the protocol's action at whose end it was taken
    piston_position   float64 [n_clips]
    kinetic_energy    float64 [n_clips]
    potential_energy  float64 [n_clips]
    work              float64 [n_clips]  done by the piston since t = 0
    series            time series, if they were asked for
    counters          int per name: steps, windows, predictions, contacts, executed (particle-steps)
    guards            what was found of what must hold
    backend           the device that it ran on
    """

    positions: Any
    phase_points: Any
    time: np.ndarray
    action: np.ndarray
    piston_position: np.ndarray
    kinetic_energy: np.ndarray
    potential_energy: np.ndarray
    work: np.ndarray
    series: Series | None
    counters: dict[str, int]
    guards: Guards
    backend: Backend


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """Sizes of a replica's workspace.

    Where cells, a list of neighbours, or the events of a window's start find no room, the buffer is doubled and the
    launch repeated. The steps of a window and the events that come later decide where a window ends at the latest.
    """

    n_cells: int = 16384
    n_neighbours: int = 8
    n_events: int = 16384
    n_window_steps: int = 8192

    def __post_init__(self) -> None:
        """Raises InputError for a size below 1."""
        for name, size in vars(self).items():
            if size < 1:
                raise InputError(f"buffers.{name} = {size} is not allowed: at least 1 is needed")

    @property
    def fixed_bytes(self) -> int:
        """Bytes of a replica's workspace that do not depend on its number of particles."""
        return 4 * (self.n_cells + 4 * self.n_events + self.n_window_steps)


class Simulation:
    """Slots that replicas are loaded into, run side by side in, and read from when they are finished."""

    def __init__(
        self,
        *,
        n_slots: int,
        n_max: int,
        timetables: Sequence[Timetable],
        integrator: IntegratorSettings,
        backend: Backend,
        series_interval: float = 0.0,
        buffers: Buffers | None = None,
    ):
        """Allocate `n_slots` slots for up to `n_max` particles and the longest of the `timetables` to come."""
        self.backend = backend
        self.integrator = integrator
        self.buffers = buffers or Buffers()
        self.n_slots = n_slots
        self.n_max = n_max
        self.sample_steps = steps_between_samples(series_interval, integrator.grid_step)
        n_segments = max(len(table.segment_end) for table in timetables)
        n_snapshots = max(1, max(len(table.snapshot_step) for table in timetables))
        n_clips = max(1, max(table.n_clips for table in timetables))
        n_samples = max(1, max(table.n_steps for table in timetables) // self.sample_steps if self.sample_steps else 1)

        def zeros(*shape: int, dtype: Any = np.float64) -> Any:
            return backend.xp.zeros((n_slots, *shape), dtype=dtype)

        self.gas = layout.Gas(
            n_particles=zeros(dtype=np.int64),
            height=zeros(),
            stiffness=zeros(),
            timestep=zeros(),
            partition_axis=zeros(dtype=np.int64),
            partition_position=zeros(),
        )
        self.particles = layout.Particles(
            motion=zeros(n_max, 4),
            accelerations=zeros(n_max, 2),
            since=zeros(n_max, dtype=np.int64),
            contact=zeros(n_max, dtype=np.int32),
            work=zeros(n_max),
            impulse=zeros(n_max, layout.N_WALLS),
        )
        self.schedules = layout.Schedules(
            segment_end=zeros(n_segments, dtype=np.int64),
            segment_piston=zeros(n_segments),
            segment_speed=zeros(n_segments),
            snapshot_step=zeros(n_snapshots, dtype=np.int64),
            frames=zeros(dtype=np.int64),
            sample_interval=zeros(dtype=np.int64),
            n_segments=zeros(dtype=np.int64),
            n_snapshots=zeros(dtype=np.int64),
        )
        self.records = layout.Record(
            snapshots=zeros(n_snapshots, n_max, 2, dtype=np.float32),
            phase_points=zeros(n_clips, n_max, 4),
            clips=zeros(n_clips, layout.N_SUMS),
            samples=zeros(n_samples, layout.N_SUMS),
        )
        self.progress = zeros(layout.N_PROGRESS, dtype=np.int64)
        self.progress[:, layout.STATUS] = layout.FINISHED
        self.workspace = self._new_workspace()
        self._before = layout.Particles(*(array.copy() for array in self.particles))
        self._tables: list[Timetable | None] = [None] * n_slots
        self._protocols: list[Protocol | None] = [None] * n_slots
        self._names = [""] * n_slots
        self._initial: list[tuple[Any, Any] | None] = [None] * n_slots
        self._host_progress = self.backend.to_host(self.progress).copy()

    def _new_workspace(self) -> Any:
        def zeros(*shape: int, dtype: Any = np.float64) -> Any:
            return self.backend.xp.zeros((self.n_slots, *shape), dtype=dtype)

        buffers, n = self.buffers, self.n_max
        return layout.Workspace(
            cell=zeros(n, 2, dtype=np.int32),
            cell_head=zeros(buffers.n_cells, dtype=np.uint32),
            next_in_cell=zeros(n, dtype=np.uint32),
            mover=zeros(n, 3, dtype=np.int32),
            touching=zeros(2, n, dtype=np.uint32),
            neighbours=zeros(n, buffers.n_neighbours, dtype=np.uint32),
            n_neighbours=zeros(n, dtype=np.int32),
            valid_until=zeros(n, dtype=np.int64),
            watch_from=zeros(n, dtype=np.int64),
            woken_at=zeros(n, dtype=np.int64),
            event_head=zeros(buffers.n_window_steps, dtype=np.int32),
            event=zeros(buffers.n_events, 4, dtype=np.int32),
            partial=zeros(layout.N_LANES, layout.N_SUMS),
            ints=zeros(layout.N_SHARED_INTS, dtype=np.int64),
            floats=zeros(layout.N_SHARED_FLOATS),
        )

    def load(
        self,
        slot: int,
        positions: Any,
        velocities: Any,
        interaction_strength: float,
        protocol: Protocol,
        table: Timetable,
        name: str | None = None,
    ) -> None:
        """Put a replica at the start of `protocol`; positions and velocities are float64 [n_particles, 2].

        `name` is what errors call it, "replica" and the slot's number by default.
        """
        positions, velocities = self.backend.adopt(positions), self.backend.adopt(velocities)
        n = len(positions)
        inside = (positions > 0.0) & (positions < self.backend.xp.asarray([protocol.length, protocol.height]))
        if not bool(inside.all()):
            raise InputError(
                f"positions are not allowed outside the container of {protocol.length:g} x {protocol.height:g}"
            )
        partition = protocol.partition
        for array, value in (
            (self.gas.n_particles, n),
            (self.gas.height, protocol.height),
            (self.gas.stiffness, interaction_strength),
            (self.gas.timestep, self.integrator.grid_step),
            (self.gas.partition_axis, layout.NO_PARTITION if partition is None else "xy".index(partition.axis)),
            (self.gas.partition_position, 0.0 if partition is None else partition.position),
            (self.schedules.frames, table.frames),
            (self.schedules.sample_interval, self.sample_steps),
            (self.schedules.n_segments, len(table.segment_end)),
            (self.schedules.n_snapshots, len(table.snapshot_step)),
        ):
            array[slot] = value
        for field in ("segment_end", "segment_piston", "segment_speed", "snapshot_step"):
            values = getattr(table, field)
            getattr(self.schedules, field)[slot, : len(values)] = self.backend.adopt(values)
        for array in (*self.particles, *self.records):
            array[slot] = 0
        self.particles.motion[slot, :n, :2] = positions
        self.particles.motion[slot, :n, 2:] = velocities
        self.particles.contact[slot] = layout.TOUCHING
        self.progress[slot] = 0
        self._host_progress[slot] = 0
        self._tables[slot] = table
        self._protocols[slot] = protocol
        self._names[slot] = name or f"replica {slot}"
        self._initial[slot] = positions.copy(), velocities.copy()

    @property
    def running(self) -> np.ndarray:
        """The slots whose replica has not finished, those with the most steps to go first."""
        slots = np.flatnonzero(self._host_progress[:, layout.STATUS] <= layout.RUNNING)
        to_go = [self.table(int(slot)).n_steps - self._host_progress[slot, layout.STEP] for slot in slots]
        return slots[np.argsort(to_go, kind="stable")[::-1]]

    def table(self, slot: int) -> Timetable:
        """The timetable of the replica in `slot`."""
        table = self._tables[slot]
        if table is None:
            raise ValueError(f"slot {slot} is empty")
        return table

    def counters(self, slot: int) -> dict[str, int]:
        """Steps done, windows opened, events predicted, contacts begun and particle-steps executed by a replica."""
        row = self._host_progress[slot]
        return {
            "steps": int(row[layout.STEP]),
            "windows": int(row[layout.WINDOWS]),
            "predictions": int(row[layout.PREDICTIONS]),
            "contacts": int(row[layout.CONTACTS]),
            "executed": int(row[layout.EXECUTED]),
        }

    def advance(self, budget: int | None = None) -> list[int]:
        """Run every unfinished replica for about `budget` turns of a lane, in one launch; returns who finished.

        By default it is the backend's `launch_turns`. A launch that filled a buffer is undone for that replica, and the
        buffer doubled. Raises SimulationError if a replica reached the impossible.
        """
        slots = self.running
        if not len(slots):
            return []
        for before, now in zip(self._before, self.particles, strict=True):
            before[...] = now
        before_progress = self._host_progress.copy()
        self.backend.run(
            self.integrator.engine,
            slots,
            self.backend.launch_turns if budget is None else budget,
            self.gas,
            self.particles,
            self.workspace,
            self.schedules,
            self.records,
            self.progress,
        )
        self._host_progress = self.backend.to_host(self.progress).copy()
        grow = set()
        for slot in slots:
            status = int(self._host_progress[slot, layout.STATUS])
            if status in FULL:
                grow.add(FULL[status])
                for before, now in zip(self._before, self.particles, strict=True):
                    now[slot] = before[slot]
                self._host_progress[slot] = before_progress[slot]
                self.progress[slot] = self.backend.adopt(before_progress[slot])
            elif status in IMPOSSIBLE:
                particle, step = self._host_progress[slot, [layout.CULPRIT, layout.STEP]]
                raise SimulationError(
                    f"{self._names[slot]}: {IMPOSSIBLE[status].format(particle=particle)} after step {step}"
                )
        if grow:
            sizes = {name: 2 * getattr(self.buffers, name) for name in grow}
            self.buffers = Buffers(**{**self.buffers.__dict__, **sizes})
            self.workspace = self._new_workspace()
        return [int(slot) for slot in slots if self._host_progress[slot, layout.STATUS] == layout.FINISHED]

    def recording(self, slot: int) -> Recording:
        """What the replica in `slot` has recorded so far; views of arrays that the slot's next replica overwrites.

        Raises SimulationError if it is impossible (see `guards`).
        """
        recorded, table = self._recorded(slot), self.table(slot)
        n_clips = len(recorded.work)
        n_samples = int(self._host_progress[slot, layout.SAMPLE])
        series = None
        if self.sample_steps:
            samples = self.backend.to_host(self.records.samples[slot, :n_samples])
            series = series_from_sums(samples, recorded.n_particles, recorded.protocol, table, self.sample_steps)
        return Recording(
            positions=recorded.positions,
            phase_points=recorded.phase_points,
            time=table.clip_time[:n_clips],
            action=table.clip_action[:n_clips],
            piston_position=recorded.piston_position,
            kinetic_energy=recorded.kinetic_energy,
            potential_energy=recorded.potential_energy,
            work=recorded.work,
            series=series,
            counters=self.counters(slot),
            guards=examine(
                recorded,
                self.integrator.substeps,
                lambda clip, engine: self._rerun(recorded, clip, engine),
                self.backend,
            ),
            backend=self.backend,
        )

    def _recorded(self, slot: int) -> Recorded:
        """What the guards examine of the replica in `slot`."""
        table, protocol, initial = self.table(slot), self._protocols[slot], self._initial[slot]
        assert protocol is not None
        assert initial is not None
        n, strength = int(self.gas.n_particles[slot]), float(self.gas.stiffness[slot])
        n_clips = int(self._host_progress[slot, layout.SNAPSHOT]) // table.frames
        sums = self.backend.to_host(self.records.clips[slot, :n_clips])
        return Recorded(
            name=self._names[slot],
            protocol=protocol,
            table=table,
            interaction_strength=strength,
            start=measure_start(*initial, protocol, strength, self.backend),
            positions=self.records.snapshots[slot, : n_clips * table.frames, :n].reshape(n_clips, table.frames, n, 2),
            phase_points=self.records.phase_points[slot, :n_clips, :n],
            piston_position=table.clip_piston[:n_clips],
            kinetic_energy=sums[:, layout.KINETIC_X] + sums[:, layout.KINETIC_Y],
            potential_energy=sums[:, layout.POTENTIAL].copy(),
            work=sums[:, layout.WORK].copy(),
        )

    def _rerun(self, recorded: Recorded, clip: int, engine: str) -> Recorded:
        """Run a clip again, from its phase point, with the engine of that name."""
        protocol = rerun_protocol(recorded, clip, self.integrator.timestep)
        integrator = self.integrator.model_copy(update={"engine": engine})
        table = compile_protocol(protocol, integrator.grid_step, 1, integrator.grid_step)
        points, strength = recorded.phase_points[clip], recorded.interaction_strength
        name = f"{recorded.name}, run again from step {recorded.steps[clip]}"
        again = Simulation(
            n_slots=1, n_max=len(points), timetables=[table], integrator=integrator, backend=self.backend
        )
        again.load(0, points[:, :2], points[:, 2:], strength, protocol, table, name)
        while len(again.running):
            again.advance()
        return again._recorded(0)

    def checkpoint(self, slot: int) -> dict[str, np.ndarray]:
        """All that the replica in `slot` needs to go on from here, bitwise as if it had not stopped; some are views."""
        state = {name: self.backend.to_host(array[slot]) for name, array in self.particles._asdict().items()}
        progress = self._host_progress[slot]
        n_snapshots, n_samples = int(progress[layout.SNAPSHOT]), int(progress[layout.SAMPLE])
        n_clips = n_snapshots // self.table(slot).frames
        state["progress"] = progress.copy()
        state["snapshots"] = self.backend.to_host(self.records.snapshots[slot, :n_snapshots])
        state["phase_points"] = self.backend.to_host(self.records.phase_points[slot, :n_clips])
        state["clips"] = self.backend.to_host(self.records.clips[slot, :n_clips])
        state["samples"] = self.backend.to_host(self.records.samples[slot, :n_samples])
        return state

    def restore(self, slot: int, state: dict[str, np.ndarray]) -> None:
        """Continue in `slot`, into which the replica was loaded before, from a checkpoint."""
        for name, array in self.particles._asdict().items():
            array[slot] = self.backend.adopt(state[name])
        for name, array in self.records._asdict().items():
            array[slot, : len(state[name])] = self.backend.adopt(state[name])
        self.progress[slot] = self.backend.adopt(state["progress"])
        self._host_progress[slot] = state["progress"]


def simulate(
    batch: ReplicaBatch,
    protocols: Protocol | Sequence[Protocol],
    *,
    device: str | Backend = "auto",
    integrator: IntegratorSettings | None = None,
    frames: int = 5,
    frame_interval: float = 1.0,
    series_interval: float = 0.0,
    buffers: Buffers | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Recording]:
    """Run a batch of replicas through one protocol, or through one each, side by side on one device.

    A clip is `frames` snapshots, `frame_interval` apart; `series_interval` > 0 records time series as well. `progress`
    is called after each launch with the fraction of all steps that are done. Returns one Recording a replica.
    """
    backend = select(device) if isinstance(device, str) else device
    integrator = integrator or IntegratorSettings()
    listed = [protocols] * batch.n_replicas if isinstance(protocols, Protocol) else list(protocols)
    if len(listed) != batch.n_replicas:
        raise InputError(f"{len(listed)} protocols for {batch.n_replicas} replicas; one for all or one each is needed")
    tables = [compile_protocol(protocol, integrator.grid_step, frames, frame_interval) for protocol in listed]
    simulation = Simulation(
        n_slots=batch.n_replicas,
        n_max=batch.positions.shape[1],
        timetables=tables,
        integrator=integrator,
        backend=backend,
        series_interval=series_interval,
        buffers=buffers,
    )
    positions, velocities = backend.adopt(batch.positions), backend.adopt(batch.velocities)
    for r in range(batch.n_replicas):
        n = int(batch.n_particles[r])
        strength = float(batch.interaction_strength[r])
        simulation.load(r, positions[r, :n], velocities[r, :n], strength, listed[r], tables[r])
    total = sum(table.n_steps for table in tables)
    while len(simulation.running):
        simulation.advance()
        if progress is not None:
            progress(sum(simulation.counters(r)["steps"] for r in range(batch.n_replicas)) / total)
    return [simulation.recording(r) for r in range(batch.n_replicas)]
