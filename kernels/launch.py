"""Entry points: one replica on the CPU, one block a replica on CUDA.

Arguments are the named tuples of `replica` with a leading replica axis on every array. The host chooses which
replicas run, in which order and for how long; none of that changes a trajectory.
"""

from numba import cuda, float64, int64

from . import contact, verlet
from .replica import N_PROGRESS, N_SHARED_FLOATS, N_SHARED_INTS, gas_of, particles_of, workspace_of
from .targets import block_program


@block_program
def load_progress(thread, n_threads, progress, shared):
    """Copy a replica's progress to the block's shared integers."""
    for entry in range(thread, N_PROGRESS, n_threads):
        shared[entry] = progress[entry]


@block_program
def store_progress(thread, n_threads, progress, shared):
    """Copy a replica's progress back from the block's shared integers."""
    for entry in range(thread, N_PROGRESS, n_threads):
        progress[entry] = shared[entry]


@block_program
def contact_on_cpu(r, budget, gas, particles, workspace, schedules, records, progress, ints, floats):
    """Advance replica `r` with the contact engine by about `budget` particle-steps, on the calling thread.

    `ints` int64 [n_replicas, N_SHARED_INTS] and `floats` float64 [n_replicas, N_SHARED_FLOATS] stand for a block's
    shared memory. Written: particles, workspace, records, progress of this replica.
    """
    load_progress(0, 1, progress[r], ints[r])
    contact.advance(
        0,
        1,
        gas_of(gas, r),
        particles_of(particles, r),
        workspace_of(workspace, r),
        schedules,
        records,
        r,
        ints[r],
        floats[r],
        budget,
    )
    store_progress(0, 1, progress[r], ints[r])


@block_program
def verlet_on_cpu(r, budget, gas, particles, workspace, schedules, records, progress, ints, floats):
    """As `contact_on_cpu`, with the reference engine."""
    load_progress(0, 1, progress[r], ints[r])
    verlet.advance(
        0,
        1,
        gas_of(gas, r),
        particles_of(particles, r),
        workspace_of(workspace, r),
        schedules,
        records,
        r,
        ints[r],
        floats[r],
        budget,
    )
    store_progress(0, 1, progress[r], ints[r])


@cuda.jit
def contact_on_cuda(order, budget, gas, particles, workspace, schedules, records, progress):
    """Advance replicas `order` with the contact engine, one block each, by about `budget` particle-steps.

    `order` int32 [n_blocks]. Written: particles, workspace, records, progress of these replicas.
    """
    ints = cuda.shared.array(N_SHARED_INTS, int64)
    floats = cuda.shared.array(N_SHARED_FLOATS, float64)
    thread, n_threads, r = cuda.threadIdx.x, cuda.blockDim.x, order[cuda.blockIdx.x]
    load_progress(thread, n_threads, progress[r], ints)
    cuda.syncthreads()
    contact.advance(
        thread,
        n_threads,
        gas_of(gas, r),
        particles_of(particles, r),
        workspace_of(workspace, r),
        schedules,
        records,
        r,
        ints,
        floats,
        budget,
    )
    cuda.syncthreads()
    store_progress(thread, n_threads, progress[r], ints)


@cuda.jit
def verlet_on_cuda(order, budget, gas, particles, workspace, schedules, records, progress):
    """As `contact_on_cuda`, with the reference engine."""
    ints = cuda.shared.array(N_SHARED_INTS, int64)
    floats = cuda.shared.array(N_SHARED_FLOATS, float64)
    thread, n_threads, r = cuda.threadIdx.x, cuda.blockDim.x, order[cuda.blockIdx.x]
    load_progress(thread, n_threads, progress[r], ints)
    cuda.syncthreads()
    verlet.advance(
        thread,
        n_threads,
        gas_of(gas, r),
        particles_of(particles, r),
        workspace_of(workspace, r),
        schedules,
        records,
        r,
        ints,
        floats,
        budget,
    )
    cuda.syncthreads()
    store_progress(thread, n_threads, progress[r], ints)
