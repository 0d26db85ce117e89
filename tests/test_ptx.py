"""The PTX that a GPU would run, run here: it computes what the CPU does, stays in its memory, and has no races.

NVVM contracts products and sums to fused operations, so the last bits differ from the CPU's, as they would on a GPU.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from gases import random_gas
from numba import cuda, int64, typeof
from ptx_compiler import compile_ptx, without_a_driver
from ptx_machine import Machine

from gputhermo import Hold, Partition, Protocol, Recording, ReplicaBatch, Stroke, simulate
from gputhermo.backend import CpuBackend
from gputhermo.initialize import draw
from gputhermo.kernels import launch
from gputhermo.parameters import ImageSettings, IntegratorSettings
from gputhermo.rasterize import render
from gputhermo.simulate import Buffers

L = 300.0
MOTIONS = {
    "still": (L, [Hold(2.0)]),
    "push": (0.75 * L, [Stroke(to=0.75 * L - 1.0, speed=0.5, record=True)]),
    "pull": (0.5 * L, [Stroke(to=0.5 * L + 1.0, speed=0.5, record=True)]),
}
"""2000 steps each."""
SMALL = Buffers(n_cells=4096, n_events=4096, n_window_steps=1024)
"""Enough for what is simulated here; the record of who went where has 22 numbers for each word."""


@cache
def machine(entry: str, types: tuple[Any, ...], capacity: int, granule: int) -> Machine:
    """The PTX of an entry point for arguments of these types, on a machine with that memory."""
    return Machine(compile_ptx(getattr(launch, f"{entry}_on_cuda"), types), capacity, granule)


class PtxBackend(CpuBackend):
    """The CPU, which runs the PTX of a GPU, and fails at the first fault."""

    def __init__(self, n_threads: int = 64, seed: int = 0, capacity: int = 2**21, granule: int = 4):
        """Blocks of `n_threads`, which take turns in an order that `seed` decides."""
        super().__init__(n_threads=1)
        self.block, self.seed, self.memory = n_threads, seed, (capacity, granule)
        self.launches = 0

    def run(self, entry: str, order: Sequence[int] | np.ndarray, *arguments: Any) -> None:
        self.launches += 1
        order = np.asarray(order, dtype=np.int32)
        types = tuple(map(typeof, (order, *arguments)))
        seed = self.seed + self.launches
        assert machine(entry, types, *self.memory).launch(order, self.block, arguments, seed) == []


@pytest.fixture(scope="module", autouse=True)
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with without_a_driver(tmp_path_factory.mktemp("toolkit")):
        yield


def assert_alike(ours: Recording, theirs: Recording) -> None:
    np.testing.assert_allclose(ours.phase_points, theirs.phase_points, rtol=0.0, atol=1e-8)
    for name in ("kinetic_energy", "potential_energy", "work"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-8, atol=1e-8)
    assert ours.counters["steps"] == theirs.counters["steps"]
    assert ours.counters["contacts"] == theirs.counters["contacts"]


@pytest.mark.parametrize(
    ("n_particles", "motion", "n_threads"),
    [(500, "still", 32), (500, "push", 64), (500, "pull", 64), (2000, "pull", 64)],
)
def test_trajectories_are_those_of_the_cpu(n_particles: int, motion: str, n_threads: int):
    length, actions = MOTIONS[motion]
    positions, velocities = random_gas(n_particles, length, L, seed=n_particles)
    batch, protocol = ReplicaBatch.from_arrays([positions], [velocities]), Protocol(length, L, actions)
    ours, theirs = (
        simulate(batch, protocol, device=device, frames=1, buffers=SMALL)[0]
        for device in (PtxBackend(n_threads), CpuBackend(1))
    )
    assert theirs.counters["contacts"] > 20
    assert_alike(ours, theirs)


def test_no_bit_depends_on_the_order_of_threads_or_on_their_number():
    """In a gas so dense that every step has many contacts, and several events."""
    states = [random_gas(300, 60.0, 60.0, seed=seed) for seed in (1, 2)]
    batch = ReplicaBatch.from_arrays(*zip(*states, strict=True))
    protocol = Protocol(60.0, 60.0, [Stroke(to=59.8, speed=1.0, record=True)])
    runs = [
        simulate(batch, protocol, device=PtxBackend(n_threads, seed), frames=1, buffers=SMALL)
        for n_threads, seed in ((64, 0), (64, 100), (32, 0))
    ]
    assert runs[0][0].counters["contacts"] > 20
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
    backend = PtxBackend()
    ours = simulate(batch, protocol, device=backend, buffers=first, **common)
    for mine, its in zip(ours, simulate(batch, protocol, device=CpuBackend(1), **common), strict=True):
        assert its.work[-1] > 0.0
        assert_alike(mine, its)
        np.testing.assert_allclose(mine.series.pressure, its.series.pressure, rtol=1e-8)
    assert backend.launches > 2


def test_images_are_those_of_the_cpu():
    positions = np.stack([random_gas(150, length, 100.0, seed=1)[0] for length in (100.0, 60.0)])
    image = ImageSettings(pixels=32, raster_pixels=195)
    ours = render(positions, 150, image, 100.0, PtxBackend(capacity=2**18, granule=1))
    theirs = render(positions, 150, image, 100.0, CpuBackend(1))
    assert theirs.std() > 20.0
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_initial_states_are_those_of_the_cpu():
    what = {"n_particles": [100, 40], "length": [40.0, 20.0], "height": [30.0, 20.0], "seed": 3, "stream": [0, 1]}
    partition = [None, Partition("x", 8.0)]
    ours, theirs = (draw(**what, partition=partition, backend=device) for device in (PtxBackend(), CpuBackend(1)))
    for mine, its in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, its, rtol=0.0, atol=1e-12)


# What the machine is there to find.

NONE, WARP, BLOCK = range(3)


@cuda.jit
def reversed_on_cuda(order, values, barrier):
    """Reverse the values of a block, by way of shared memory; with a barrier of the block, of each warp, or none."""
    shared = cuda.shared.array(64, int64)
    shared[cuda.threadIdx.x] = values[cuda.threadIdx.x]
    if barrier == BLOCK:
        cuda.syncthreads()
    elif barrier == WARP:
        cuda.syncwarp()
    values[cuda.threadIdx.x] = shared[cuda.blockDim.x - 1 - cuda.threadIdx.x]


@cuda.jit
def shifted_on_cuda(order, values, by):
    """Add one to the values of a warp, from number `by` on."""
    values[cuda.threadIdx.x + by] += 1


@cuda.jit
def counted_on_cuda(order, values, n_threads):
    """Count the first threads of a block, which wait for their warp; then all wait for all."""
    if cuda.threadIdx.x < n_threads:
        cuda.atomic.add(values, 0, 1)
        cuda.syncwarp()
    cuda.syncthreads()
    values[1 + cuda.threadIdx.x] = values[0]


def launch_alone(kernel: Any, n_values: int, argument: int, n_threads: int) -> tuple[np.ndarray, list[Any]]:
    values = np.arange(n_values)
    order = np.zeros(1, dtype=np.int32)
    ptx = compile_ptx(kernel, tuple(map(typeof, (order, values, argument))))
    return values, Machine(ptx, 2**14, 4).launch(order, n_threads, (values, argument), seed=1)


@pytest.mark.parametrize(("n_threads", "barrier"), [(32, WARP), (32, BLOCK), (64, BLOCK)])
def test_a_barrier_puts_accesses_in_order(n_threads: int, barrier: int):
    values, faults = launch_alone(reversed_on_cuda, n_threads, barrier, n_threads)
    assert values.tolist() == list(range(n_threads - 1, -1, -1))
    assert faults == []


@pytest.mark.parametrize(("n_threads", "barrier"), [(32, NONE), (64, NONE), (64, WARP)])
def test_a_missing_barrier_is_found(n_threads: int, barrier: int):
    """That of a warp does not reach another one."""
    _, faults = launch_alone(reversed_on_cuda, n_threads, barrier, n_threads)
    assert {fault.what for fault in faults} & {"a read beside a write", "a write beside another access"}
    assert all(fault.place.startswith("_cudapy_smem") for fault in faults)


def test_memory_beyond_an_array_is_found():
    values, faults = launch_alone(shifted_on_cuda, 40, 8, 32)
    assert values[8:].tolist() == list(range(9, 41))
    assert faults == []
    with pytest.raises(RuntimeError, match=r"leaves memory.*no such memory"):
        launch_alone(shifted_on_cuda, 40, 9, 32)


def test_a_barrier_that_some_lanes_do_not_come_to_is_found():
    values, faults = launch_alone(counted_on_cuda, 65, 32, 64)
    assert values.tolist() == [32] * 65
    assert faults == []
    with pytest.raises(RuntimeError, match="wait for each other"):
        launch_alone(counted_on_cuda, 65, 31, 64)
