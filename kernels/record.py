"""Recording on the device: snapshots, phase points and sums, at the steps that the schedule names."""

from .forces import pair_energy
from .replica import (
    FINISHED,
    FIRST_IMPULSE,
    KINETIC_X,
    KINETIC_Y,
    N_LANES,
    N_SUMS,
    N_WALLS,
    NEW,
    POTENTIAL,
    RUNNING,
    SAMPLE,
    SNAPSHOT,
    STATUS,
    STEP,
    TOUCHING,
    VX,
    VY,
    WORK,
    piston_at,
    position_at,
    record_of,
    schedule_of,
)
from .targets import barrier, block_program
from .walls import pair_touches, walls_energy


@block_program
def potential_of(i, step, piston, gas, particles, workspace):
    """Energy of particle `i` in the walls' field plus half of its pairs' energy."""
    x, y = position_at(particles, i, step, gas.timestep)
    energy = walls_energy(x, y, piston, gas)
    for m in range(workspace.n_neighbours[i]):
        other_x, other_y = position_at(particles, workspace.neighbours[i, m], step, gas.timestep)
        if pair_touches(x, y, other_x, other_y, gas):
            energy += 0.5 * pair_energy(x - other_x, y - other_y, gas.stiffness)
    return energy


@block_program
def partial_sums(thread, n_threads, step, piston, gas, particles, workspace):
    """Sum over the particles of N_LANES interleaved groups, each in ascending order, whatever the number of threads."""
    partial = workspace.partial
    for lane in range(thread, N_LANES, n_threads):
        for column in range(N_SUMS):
            partial[lane, column] = 0.0
        for i in range(lane, gas.n_particles, N_LANES):
            vx, vy = particles.motion[i, VX], particles.motion[i, VY]
            partial[lane, KINETIC_X] += 0.5 * vx * vx
            partial[lane, KINETIC_Y] += 0.5 * vy * vy
            partial[lane, WORK] += particles.work[i]
            if particles.contact[i] == TOUCHING:
                partial[lane, POTENTIAL] += potential_of(i, step, piston, gas, particles, workspace)
            for wall in range(N_WALLS):
                partial[lane, FIRST_IMPULSE + wall] += particles.impulse[i, wall]


@block_program
def total(partial, column):
    """The sum of one column over the lanes, in their order."""
    value = 0.0
    for lane in range(N_LANES):
        value += partial[lane, column]
    return value


@block_program
def record_due(thread, n_threads, gas, particles, workspace, schedules, records, r, shared, shared_floats):
    """Record what is due at the present step, and mark the end of the process.

    The lists of neighbours of all particles in contact must hold at this step. Written: record, shared.
    """
    barrier()
    schedule, record = schedule_of(schedules, r), record_of(records, r)
    step = shared[STEP]
    snapshot, sample = shared[SNAPSHOT], shared[SAMPLE]
    running = shared[STATUS] <= RUNNING
    snapshot_due = running and snapshot < schedule.snapshot_step.shape[0] and schedule.snapshot_step[snapshot] == step
    clip_due = snapshot_due and (snapshot + 1) % schedule.frames == 0
    sample_due = running and schedule.sample_interval > 0 and step == (sample + 1) * schedule.sample_interval
    if snapshot_due:
        for i in range(thread, gas.n_particles, n_threads):
            x, y = position_at(particles, i, step, gas.timestep)
            record.snapshots[snapshot, i, 0] = x
            record.snapshots[snapshot, i, 1] = y
            if clip_due:
                clip = snapshot // schedule.frames
                record.phase_points[clip, i, 0] = x
                record.phase_points[clip, i, 1] = y
                record.phase_points[clip, i, 2] = particles.motion[i, VX]
                record.phase_points[clip, i, 3] = particles.motion[i, VY]
    if clip_due or sample_due:
        piston = piston_at(step, shared, shared_floats, gas.timestep)
        partial_sums(thread, n_threads, step, piston, gas, particles, workspace)
        barrier()
        for column in range(thread, N_SUMS, n_threads):
            value = total(workspace.partial, column)
            if clip_due:
                record.clips[snapshot // schedule.frames, column] = value
            if sample_due:
                record.samples[sample, column] = value
    barrier()
    if thread == 0:
        if snapshot_due:
            shared[SNAPSHOT] += 1
        if sample_due:
            shared[SAMPLE] += 1
        if running and step == schedule.segment_end[schedule.segment_end.shape[0] - 1]:
            shared[STATUS] = FINISHED
        elif shared[STATUS] == NEW:
            shared[STATUS] = RUNNING
    barrier()
