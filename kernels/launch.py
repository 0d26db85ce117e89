"""Entry points: one replica on the CPU, one block a replica on CUDA.

Arguments are the named tuples of `replica` with a leading replica axis on every array. The host chooses which
replicas run, in which order and for how long; none of that changes a trajectory.
"""

from collections import namedtuple

from numba import cuda, float64, int64

from . import contact, verlet
from .replica import N_PROGRESS, N_SHARED_FLOATS, N_SHARED_INTS, Gas, Particles, Record, Schedule, Workspace
from .targets import block_program

# Schedules of a batch: as `Schedule`, padded to the longest, with the number of rows that count.
Schedules = namedtuple("Schedules", [*Schedule._fields, "n_segments", "n_snapshots"])


@block_program
def gas_of(gas, r):
    """The constants of replica `r`."""
    return Gas(
        gas.n_particles[r],
        gas.height[r],
        gas.stiffness[r],
        gas.timestep[r],
        gas.partition_axis[r],
        gas.partition_position[r],
    )


@block_program
def particles_of(particles, r):
    """The dynamic state of replica `r`."""
    return Particles(
        particles.positions[r],
        particles.velocities[r],
        particles.accelerations[r],
        particles.since[r],
        particles.contact[r],
        particles.work[r],
        particles.impulse[r],
    )


@block_program
def workspace_of(workspace, r):
    """The workspace of replica `r`."""
    return Workspace(
        workspace.cell[r],
        workspace.next_in_cell[r],
        workspace.cell_head[r],
        workspace.start[r],
        workspace.touching[r],
        workspace.neighbours[r],
        workspace.n_neighbours[r],
        workspace.valid_until[r],
        workspace.event_head[r],
        workspace.event_next[r],
        workspace.event[r],
        workspace.partial[r],
    )


@block_program
def schedule_of(schedules, r):
    """The schedule of replica `r`, without its padding."""
    n_segments = schedules.n_segments[r]
    return Schedule(
        schedules.segment_end[r, :n_segments],
        schedules.segment_piston[r, :n_segments],
        schedules.segment_speed[r, :n_segments],
        schedules.snapshot_step[r, : schedules.n_snapshots[r]],
        schedules.frames[r],
        schedules.sample_interval[r],
    )


@block_program
def record_of(record, r):
    """The record of replica `r`."""
    return Record(record.snapshots[r], record.phase_points[r], record.clips[r], record.samples[r])


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
def contact_on_cpu(r, budget, gas, particles, workspace, schedules, record, progress, ints, floats):
    """Advance replica `r` with the contact engine by about `budget` particle-steps, on the calling thread.

    `ints` int64 [n_replicas, N_SHARED_INTS] and `floats` float64 [n_replicas, N_SHARED_FLOATS] stand for a block's
    shared memory. Written: particles, workspace, record, progress of this replica.
    """
    load_progress(0, 1, progress[r], ints[r])
    contact.advance(
        0,
        1,
        gas_of(gas, r),
        particles_of(particles, r),
        workspace_of(workspace, r),
        schedule_of(schedules, r),
        record_of(record, r),
        ints[r],
        floats[r],
        budget,
    )
    store_progress(0, 1, progress[r], ints[r])


@block_program
def verlet_on_cpu(r, budget, gas, particles, workspace, schedules, record, progress, ints, floats):
    """As `contact_on_cpu`, with the reference engine."""
    load_progress(0, 1, progress[r], ints[r])
    verlet.advance(
        0,
        1,
        gas_of(gas, r),
        particles_of(particles, r),
        workspace_of(workspace, r),
        schedule_of(schedules, r),
        record_of(record, r),
        ints[r],
        floats[r],
        budget,
    )
    store_progress(0, 1, progress[r], ints[r])


@cuda.jit
def contact_on_cuda(order, budget, gas, particles, workspace, schedules, record, progress):
    """Advance replicas `order` with the contact engine, one block each, by about `budget` particle-steps.

    `order` int32 [n_blocks]. Written: particles, workspace, record, progress of these replicas.
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
        schedule_of(schedules, r),
        record_of(record, r),
        ints,
        floats,
        budget,
    )
    cuda.syncthreads()
    store_progress(thread, n_threads, progress[r], ints)


@cuda.jit
def verlet_on_cuda(order, budget, gas, particles, workspace, schedules, record, progress):
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
        schedule_of(schedules, r),
        record_of(record, r),
        ints,
        floats,
        budget,
    )
    cuda.syncthreads()
    store_progress(thread, n_threads, progress[r], ints)
