"""Entry points: one replica on the CPU, one block a replica on CUDA.

Arguments are the named tuples of `replica` with a leading replica axis on every array. The host chooses which
replicas run, in which order and for how long; none of that changes a trajectory.
"""

from numba import cuda, float64, int64

from . import contact, verlet
from .place import place_on_cpu, place_on_cuda
from .raster import raster_on_cpu, raster_on_cuda
from .replica import N_PROGRESS, N_SHARED_FLOATS, N_SHARED_INTS, TURNS, gas_of, particles_of, workspace_of
from .targets import block_program, kernel

__all__ = [
    "contact_on_cpu",
    "contact_on_cuda",
    "place_on_cpu",
    "place_on_cuda",
    "raster_on_cpu",
    "raster_on_cuda",
    "verlet_on_cpu",
    "verlet_on_cuda",
]


@block_program
def load_progress(thread, n_threads, progress, shared):
    """Copy a replica's progress to the block's shared integers, and begin to count turns."""
    for entry in range(thread, N_PROGRESS, n_threads):
        shared[entry] = progress[entry]
    if thread == 0:
        shared[TURNS] = 0


@block_program
def store_progress(thread, n_threads, progress, shared):
    """Copy a replica's progress back from the block's shared integers."""
    for entry in range(thread, N_PROGRESS, n_threads):
        progress[entry] = shared[entry]


@block_program
def contact_on_cpu(r, budget, gas, particles, workspace, schedules, records, progress):
    """Advance replica `r` with the contact engine, on the calling thread, by about `budget` turns.

    Written: particles, workspace, records, progress of this replica.
    """
    mine = workspace_of(workspace, r)
    ints, floats = mine.ints, mine.floats
    load_progress(0, 1, progress[r], ints)
    contact.advance(0, 1, gas_of(gas, r), particles_of(particles, r), mine, schedules, records, r, ints, floats, budget)
    store_progress(0, 1, progress[r], ints)


@block_program
def verlet_on_cpu(r, budget, gas, particles, workspace, schedules, records, progress):
    """As `contact_on_cpu`, with the reference engine."""
    mine = workspace_of(workspace, r)
    ints, floats = mine.ints, mine.floats
    load_progress(0, 1, progress[r], ints)
    verlet.advance(0, 1, gas_of(gas, r), particles_of(particles, r), mine, schedules, records, r, ints, floats, budget)
    store_progress(0, 1, progress[r], ints)


@kernel
def contact_on_cuda(order, budget, gas, particles, workspace, schedules, records, progress):
    """Advance the replicas `order` with the contact engine, one block each, by about `budget` turns of a lane.

    `order` int32 [n_blocks]. Written: particles, workspace, records, progress of these replicas.
    """
    ints = cuda.shared.array(N_SHARED_INTS, int64)
    floats = cuda.shared.array(N_SHARED_FLOATS, float64)
    thread, n_threads, r = cuda.threadIdx.x, cuda.blockDim.x, order[cuda.blockIdx.x]
    mine = workspace_of(workspace, r)
    load_progress(thread, n_threads, progress[r], ints)
    cuda.syncthreads()
    contact.advance(
        thread, n_threads, gas_of(gas, r), particles_of(particles, r), mine, schedules, records, r, ints, floats, budget
    )
    cuda.syncthreads()
    store_progress(thread, n_threads, progress[r], ints)


@kernel
def verlet_on_cuda(order, budget, gas, particles, workspace, schedules, records, progress):
    """As `contact_on_cuda`, with the reference engine."""
    ints = cuda.shared.array(N_SHARED_INTS, int64)
    floats = cuda.shared.array(N_SHARED_FLOATS, float64)
    thread, n_threads, r = cuda.threadIdx.x, cuda.blockDim.x, order[cuda.blockIdx.x]
    mine = workspace_of(workspace, r)
    load_progress(thread, n_threads, progress[r], ints)
    cuda.syncthreads()
    verlet.advance(
        thread, n_threads, gas_of(gas, r), particles_of(particles, r), mine, schedules, records, r, ints, floats, budget
    )
    cuda.syncthreads()
    store_progress(thread, n_threads, progress[r], ints)
