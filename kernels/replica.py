"""The arrays of one replica, as the block programs see them.

A batch holds each field with a leading replica axis; the functions ``..._of`` take one replica's row of each.
Units everywhere: energy kB T0, length R, mass m, time R sqrt(m / kB T0). Steps are whole
numbers of the time step, counted from the start of the process.
"""

from collections import namedtuple

from .targets import block_program, exchange, fetch_max

# Gas: what is constant for one replica.
#   n_particles         int     particles in this replica; rows beyond are padding
#   height              float   Ly, the distance between the bottom and the top wall
#   stiffness           float   C, the interaction strength of pairs and walls
#   timestep            float   dt
#   partition_axis      int     NO_PARTITION, or 0 / 1 for a fixed wall at constant x / y
#   partition_position  float   where that wall stands
Gas = namedtuple("Gas", ["n_particles", "height", "stiffness", "timestep", "partition_axis", "partition_position"])
NO_PARTITION = -1

# Particles: the dynamic state; with `progress`, all that a checkpoint needs. n = particles.
#   motion         float64 [n, 4]  position at step `since`, and velocity: columns X, Y, VX, VY
#   accelerations  float64 [n, 2]  of particles in contact, at step `since`; stale for the others
#   since          int64   [n]     the step at which the position holds: a free flight's start, or the present step
#   contact        int32   [n]     FREE, WOKEN (found to touch something at the present step) or TOUCHING; all start
#                                  as TOUCHING
#   work           float64 [n]     work done on it by the piston since step 0
#   impulse        float64 [n, N_WALLS]  momentum given to it by each wall since step 0, as magnitudes
Particles = namedtuple("Particles", ["motion", "accelerations", "since", "contact", "work", "impulse"])
X, Y, VX, VY = range(4)
FREE, WOKEN, TOUCHING = 0, 1, 2
LEFT, RIGHT, BOTTOM, TOP, PARTITION_LOW, PARTITION_HIGH = range(6)
N_WALLS = 6

# Workspace: rebuilt in every window; nothing in it outlives a launch, none of it enters the arithmetic.
#   cell             int32   [n, 2]     column and row of the cell that each particle is registered in
#   cell_head        uint32  [n_cells]  the first particle of each cell's list, NOBODY if there is none
#   next_in_cell     uint32  [n]        the next one in the same cell, NOBODY at the list's end
#   mover            int32   [n, 3]     a particle that goes to another cell at the present step; the numbers of the
#                                       cells that it leaves and enters
#   touching         uint32  [2, n]     the particles in contact, and room for the next such list
#   neighbours       uint32  [n, n_neighbours_max]  sorted neighbours of the particles in contact
#   n_neighbours     int32   [n]
#   valid_until      int64   [n]        last step at which that list is known to be complete
#   watch_from       int64   [n]        the step from which free particles on that list are to be looked at
#   woken_at         int64   [n]        the step at which the particle last came into contact
#   event_head       int32   [n_window_steps]  first event of each step of the window, -1 if none
#   event            int32   [n_events, 4]     columns WHO, WITH (partner, or what else is due), PREDICTED (in which
#                                              step of the window), NEXT (of the same step, -1 if none)
#   partial          float64 [N_LANES, N_SUMS] partial sums, one row a lane
#   ints             int64   [N_SHARED_INTS]   stand for the block's shared memory where there is none
#   floats           float64 [N_SHARED_FLOATS]
Workspace = namedtuple(
    "Workspace",
    [
        "cell",
        "cell_head",
        "next_in_cell",
        "mover",
        "touching",
        "neighbours",
        "n_neighbours",
        "valid_until",
        "watch_from",
        "woken_at",
        "event_head",
        "event",
        "partial",
        "ints",
        "floats",
    ],
)
NOBODY = 0xFFFFFFFF
WHO, WITH, PREDICTED, NEXT = range(4)
# Partners that are no particles: a wall, and the four cells that a free particle may go to next.
WALL, CELL_LEFT, CELL_RIGHT, CELL_BELOW, CELL_ABOVE = -1, -2, -3, -4, -5

# Schedule: the piston protocol and what to record, compiled to steps.
#   segment_end      int64   [n_segments]   last step of each segment
#   segment_piston   float64 [n_segments]   piston position at the segment's start
#   segment_speed    float64 [n_segments]   piston velocity, negative when it pushes
#   snapshot_step    int64   [n_snapshots]  steps at which positions are recorded, ascending
#   frames           int     snapshots in a clip; the last one of each also records the phase point
#   sample_interval  int     steps between two entries of the time series, 0 for none
Schedule = namedtuple(
    "Schedule",
    ["segment_end", "segment_piston", "segment_speed", "snapshot_step", "frames", "sample_interval"],
)

# Schedules: those of a batch, padded to the longest, with the number of rows that count.
Schedules = namedtuple(
    "Schedules",
    [
        "segment_end",
        "segment_piston",
        "segment_speed",
        "snapshot_step",
        "frames",
        "sample_interval",
        "n_segments",
        "n_snapshots",
    ],
)

# Record: what a run leaves behind.
#   snapshots     float32 [n_snapshots, n, 2]
#   phase_points  float64 [n_clips, n, 4]         x, y, vx, vy at each clip's last snapshot
#   clips         float64 [n_clips, N_SUMS]  see the column names below
#   samples       float64 [n_samples, N_SUMS]     the same sums at each sample
Record = namedtuple("Record", ["snapshots", "phase_points", "clips", "samples"])
# Columns of `partial`, `clips` and `samples`.
KINETIC_X, KINETIC_Y, WORK, POTENTIAL, FIRST_IMPULSE = range(5)
N_SUMS = FIRST_IMPULSE + N_WALLS
N_LANES = 32

# Entries of `progress` (int64), which a checkpoint keeps.
(
    STEP,  # steps done
    SEGMENT,  # index of the present segment
    SNAPSHOT,  # snapshots recorded
    SAMPLE,  # entries of the time series recorded
    STATUS,  # one of the values below
    CULPRIT,  # the particle that left the box
    WINDOWS,  # windows opened
    PREDICTIONS,  # events predicted
    CONTACTS,  # contacts begun
    EXECUTED,  # particle-steps executed
    N_PROGRESS,
) = range(11)

NEW, RUNNING, FINISHED = 0, 1, 2
CELLS_FULL, NEIGHBOURS_FULL, EVENTS_FULL = 10, 11, 12  # grow the buffer, restore, run again
LEFT_THE_BOX, TOO_FAST = 20, 21  # the impossible: stop

# Entries of the block's shared integers: the block's copy of `progress`, then what lives for one launch.
(
    N_TOUCHING,  # particles in contact
    N_WOKEN,  # of them, those woken at the present step
    N_FREED,  # those freed at the present step
    NEXT_STEP,  # the next step at which there is anything to do
    LIST_STEPS,  # how many steps a neighbour list stays complete in this window
    PERIOD,  # crossings of cells in one direction are dealt with every so many steps; a power of two
    LIST,  # which of the two rows of `touching` is the present one
    N_EVENTS,  # events predicted in this window
    N_MOVERS,  # particles that go to another cell at the present step
    TURNS,  # turns that a lane has had in this launch
    WINDOW_START,  # the window's first step ...
    WINDOW_END,  # ... and its last
    STOP_STEP,  # the step that it is left at: its last, unless it has to be cut short
    SEGMENT_START,  # first step of the present segment
    N_COLUMNS,  # cells along x ...
    N_ROWS,  # ... and along y, without the rim
    PISTON_COLUMN,  # the first column in which the piston may be touched in this window
    N_SHARED_INTS,
) = range(N_PROGRESS, N_PROGRESS + 18)
# Entries of the block's shared floats.
(
    SEGMENT_PISTON,  # piston position at the segment's start
    PISTON_SPEED,  # its velocity in this segment
    SQUARED_SPEED,  # the largest squared speed at the window's start
    SPEED_LIMIT,  # no particle may be faster in this window
    CELL_WIDTH,
    CELL_HEIGHT,
    N_SHARED_FLOATS,
) = range(7)


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
        particles.motion[r],
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
        workspace.cell_head[r],
        workspace.next_in_cell[r],
        workspace.mover[r],
        workspace.touching[r],
        workspace.neighbours[r],
        workspace.n_neighbours[r],
        workspace.valid_until[r],
        workspace.watch_from[r],
        workspace.woken_at[r],
        workspace.event_head[r],
        workspace.event[r],
        workspace.partial[r],
        workspace.ints[r],
        workspace.floats[r],
    )


@block_program
def schedule_of(schedules, r):
    """The schedule of replica `r`, without its padding.

    Taken, like its record, where it is used: neither then holds registers while particles are stepped.
    """
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
def position_at(particles, i, step, timestep):
    """Position of particle `i` at `step`: on its straight flight if it is free, where it is if it touches something."""
    steps = step - particles.since[i]
    if steps == 0:
        return particles.motion[i, X], particles.motion[i, Y]
    elapsed = steps * timestep
    return (
        particles.motion[i, X] + particles.motion[i, VX] * elapsed,
        particles.motion[i, Y] + particles.motion[i, VY] * elapsed,
    )


@block_program
def piston_at(step, shared, shared_floats, timestep):
    """Position of the piston at `step` of the present segment."""
    elapsed = (step - shared[SEGMENT_START]) * timestep
    return shared_floats[SEGMENT_PISTON] + shared_floats[PISTON_SPEED] * elapsed


@block_program
def halt(status, i, shared):
    """End the launch with `status`; if several threads call it the gravest counts.

    Particle `i` is the culprit if it left the box; if several leave at the same step, any of them.
    """
    if fetch_max(shared, STATUS, status) < status and status == LEFT_THE_BOX:
        exchange(shared, CULPRIT, i)


@block_program
def turns(n, n_lanes):
    """How often a lane has its turn when `n` particles are dealt out to `n_lanes` lanes."""
    return (n + n_lanes - 1) // n_lanes
