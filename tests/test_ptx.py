"""The PTX of the kernels, run here: it computes what the CPU does, stays in its memory, and has no races.

It is what numba's own CUDA target and the libnvvm of the test extra make for sm_90.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from gases import random_gas
from motions import assert_alike, run
from numba import typeof
from ptx_compiler import compile_ptx
from ptx_machine import Machine

from gputhermo import Hold, Partition, Protocol, ReplicaBatch, Stroke, simulate
from gputhermo.backend import THREADS, CpuBackend
from gputhermo.errors import SimulationError
from gputhermo.initialize import draw
from gputhermo.kernels import launch
from gputhermo.parameters import ImageSettings, IntegratorSettings
from gputhermo.rasterize import render
from gputhermo.simulate import Buffers

pytestmark = pytest.mark.usefixtures("compiler")


@cache
def machine(entry: str, types: tuple[Any, ...], capacity: int, granule: int) -> Machine:
    """The PTX of an entry point for arguments of these types, on a machine with that memory."""
    return Machine(compile_ptx(getattr(launch, f"{entry}_on_cuda"), types), capacity, granule)


class PtxBackend(CpuBackend):
    """The CPU, which runs the PTX of a GPU in short launches, and fails at the first fault."""

    def __init__(self, n_threads: int | None = None, seed: int = 0, capacity: int = 2**21, granule: int = 4):
        """Threads of a block, as many as on a GPU by default, take turns in an order that `seed` decides."""
        super().__init__(n_threads=1)
        self.launch_turns = 300
        self.threads = dict.fromkeys(THREADS, n_threads) if n_threads else THREADS
        self.seed, self.capacity, self.granule = seed, capacity, granule
        self.launches = 0

    def run(self, entry: str, order: Sequence[int] | np.ndarray, *arguments: Any) -> None:
        self.launches += 1
        order = np.asarray(order, dtype=np.int32)
        gpu = machine(entry, tuple(map(typeof, (order, *arguments))), self.capacity, self.granule)
        assert gpu.launch(order, self.threads[entry], arguments, self.seed + self.launches) == []


@pytest.mark.parametrize(
    ("n_particles", "motion", "n_threads"),
    [(500, "still", 32), (500, "push", None), (500, "pull", None), (2000, "pull", None)],
)
def test_trajectories_are_those_of_the_cpu(n_particles: int, motion: str, n_threads: int | None):
    """In several launches: one ends with a window, and there are some here."""
    backend, buffers = PtxBackend(n_threads), Buffers(n_window_steps=500)
    (ours,), (theirs,) = (run(n_particles, motion, device, 1, buffers) for device in (backend, CpuBackend(1)))
    assert theirs.counters["contacts"] > 20
    assert_alike(ours, theirs)
    assert backend.launches > 1


@pytest.mark.parametrize("engine", ["contact", "verlet"])
def test_no_bit_depends_on_the_order_of_threads_or_on_their_number(engine: str):
    """In a gas so dense that every step has many contacts, and several events."""
    states = [random_gas(300, 60.0, 60.0, seed=seed) for seed in (1, 2)]
    batch = ReplicaBatch.from_arrays(*zip(*states, strict=True))
    protocol = Protocol(60.0, 60.0, [Stroke(to=59.8, speed=1.0, record=True)])
    runs = [
        simulate(
            batch,
            protocol,
            device=PtxBackend(n_threads, seed),
            integrator=IntegratorSettings(engine=engine),
            frames=1,
        )
        for n_threads, seed in ((64, 0), (64, 100), (32, 0))
    ]
    assert (runs[0][0].potential_energy > 0.0).all()
    for other in runs[1:]:
        for one, same in zip(runs[0], other, strict=True):
            assert np.array_equal(one.phase_points, same.phase_points)
            assert np.array_equal(one.work, same.work)


@pytest.mark.parametrize("engine", ["contact", "verlet"])
def test_replicas_walls_recordings_and_full_buffers(engine: str):
    """Two gases in one launch, with a partition, a piston, a time series, and buffers that are too small at first."""
    states = [random_gas(n, 9.0, 20.0, seed=n, temperature=4.0) for n in (20, 12)]
    for positions, _ in states:
        positions[positions[:, 1] > 10.0, 1] += 2.0
    batch = ReplicaBatch.from_arrays(*zip(*states, strict=True), interaction_strength=1e3)
    actions = [Hold(0.2), Stroke(to=8.0, speed=2.0, record=True)]
    protocol = Protocol(9.0, 22.0, actions, partition=Partition("y", 11.0))
    integrator = IntegratorSettings(engine=engine, timestep=0.002)
    common = {"integrator": integrator, "frames": 2, "frame_interval": 0.1, "series_interval": 0.1}
    first = Buffers(n_cells=2, n_neighbours=1, n_events=8, n_window_steps=64)
    ours = simulate(batch, protocol, device=PtxBackend(), buffers=first, **common)
    for mine, its in zip(ours, simulate(batch, protocol, device=CpuBackend(1), **common), strict=True):
        assert its.work[-1] > 0.0
        assert_alike(mine, its)
        np.testing.assert_allclose(mine.series.pressure, its.series.pressure, rtol=1e-8)


def test_windows_that_are_cut_short():
    """By a particle that becomes faster than all were, and by events for which there is no room."""
    positions, velocities = random_gas(60, 40.0, 40.0, seed=5)
    cold = ReplicaBatch.from_arrays([positions], [0.01 * velocities])
    push = Protocol(40.0, 40.0, [Stroke(to=36.0, speed=2.0, record=True)])
    hot = ReplicaBatch.from_arrays([positions], [10.0 * velocities])
    still = Protocol(40.0, 40.0, [Hold(1.0)])
    for batch, protocol, buffers in ((cold, push, Buffers()), (hot, still, Buffers(n_events=256))):
        ours, theirs, roomy = (
            simulate(batch, protocol, device=device, buffers=room, frames=1)[0]
            for device, room in ((PtxBackend(), buffers), (CpuBackend(1), buffers), (CpuBackend(1), Buffers()))
        )
        assert theirs.counters["windows"] > theirs.counters["steps"] // 8192 + 2
        assert batch is cold or theirs.counters["windows"] > roomy.counters["windows"]
        assert_alike(ours, theirs)


@pytest.mark.parametrize("engine", ["contact", "verlet"])
def test_the_impossible_is_told(engine: str):
    """Two particles all but on top of each other beside a soft wall."""
    batch = ReplicaBatch.from_arrays(
        [np.array([[1.0, 5.0], [1.05, 5.0]])], [np.zeros((2, 2))], interaction_strength=1e4
    )
    protocol = Protocol(10.0, 10.0, [Hold(1.0)])
    with pytest.raises(SimulationError) as told:
        simulate(batch, protocol, device=CpuBackend(1), integrator=IntegratorSettings(engine=engine), frames=1)
    with pytest.raises(SimulationError, match=re.escape(str(told.value))):
        simulate(batch, protocol, device=PtxBackend(), integrator=IntegratorSettings(engine=engine), frames=1)


def test_images_are_those_of_the_cpu():
    """Five of them, more than there are canvases: these are used again."""
    lengths = np.linspace(60.0, 100.0, 5)
    positions = np.stack([random_gas(100, length, 100.0, seed=1)[0] for length in lengths])
    image = ImageSettings(pixels=32, raster_pixels=195)
    backend = PtxBackend(capacity=2**18, granule=1)
    assert backend.n_slots < len(positions)
    ours, theirs = (render(positions, 100, image, 100.0, device) for device in (backend, CpuBackend(1)))
    assert theirs.std() > 15.0
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_initial_states_are_those_of_the_cpu():
    what = {"n_particles": [100, 40], "length": [40.0, 20.0], "height": [30.0, 20.0], "seed": 3, "stream": [0, 1]}
    partition = [None, Partition("x", 8.0)]
    ours, theirs = (draw(**what, partition=partition, backend=device) for device in (PtxBackend(), CpuBackend(1)))
    for mine, its in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, its, rtol=0.0, atol=1e-12)
