"""A window: the steps from one rebuild of the cell list to the next.

Windows end where the piston changes its velocity, where something is recorded, and before what they were laid out for
runs out. They set what is looked at, never what is computed: a trajectory is bitwise the same wherever its windows,
launches and checkpoints were cut.
"""

import math

from .cells import SKIN, register, shape_cells, slack
from .forces import RADIUS
from .replica import (
    CELL_WIDTH,
    LIST_STEPS,
    N_EVENTS,
    NOBODY,
    PERIOD,
    PISTON_COLUMN,
    PISTON_SPEED,
    RUNNING,
    SAMPLE,
    SEGMENT,
    SEGMENT_PISTON,
    SEGMENT_START,
    SNAPSHOT,
    SPEED_LIMIT,
    SQUARED_SPEED,
    STATUS,
    STEP,
    STOP_STEP,
    TOO_FAST,
    VX,
    VY,
    WINDOW_END,
    WINDOW_START,
    WINDOWS,
    piston_at,
    position_at,
    schedule_of,
)
from .targets import barrier, block_program, fetch_max, maximum, minimum

# A collision rarely makes a particle faster than all others; when it does by more than this factor the window ends.
SPEED_MARGIN = 1.2
# Added to that limit, so that a gas at rest has one.
AT_REST = 1e-9
# Crossings to the right and up take turns with those to the left and down, so a period has two steps at least. Two such
# periods fit into any slack: it is a skin or more, and two steps fit into half of a skin.
SHORTEST_PERIOD = 2


@block_program
def enter_segment(shared, shared_floats, schedule):
    """Make the segment that the present step belongs to the current one; one thread calls it."""
    while schedule.segment_end[shared[SEGMENT]] <= shared[STEP]:
        shared[SEGMENT] += 1
    segment = shared[SEGMENT]
    shared[SEGMENT_START] = schedule.segment_end[segment - 1] if segment > 0 else 0
    shared_floats[SEGMENT_PISTON] = schedule.segment_piston[segment]
    shared_floats[PISTON_SPEED] = schedule.segment_speed[segment]


@block_program
def last_step(shared, schedule, workspace):
    """The latest step at which the window that opens now may end, whatever the speeds."""
    end = minimum(schedule.segment_end[shared[SEGMENT]], shared[STEP] + workspace.event_head.shape[0])
    if shared[SNAPSHOT] < schedule.snapshot_step.shape[0]:
        end = minimum(end, schedule.snapshot_step[shared[SNAPSHOT]])
    if schedule.sample_interval > 0:
        end = minimum(end, (shared[SAMPLE] + 1) * schedule.sample_interval)
    return end


@block_program
def open_window(thread, n_threads, width, occupancy, gas, particles, workspace, schedules, r, shared, shared_floats):
    """Set the window's end and rebuild the cell list, of cells of at least `width`, and of `occupancy` particles.

    All threads of the block take part. Written: workspace (cells, event heads), shared.
    """
    barrier()  # whoever still decides, by what was, whether there is to be a window may do so
    if thread == 0:
        schedule = schedule_of(schedules, r)
        enter_segment(shared, shared_floats, schedule)
        shared[WINDOW_START] = shared[STEP]
        shared[WINDOW_END] = last_step(shared, schedule, workspace)
        shared[STOP_STEP] = shared[WINDOW_END]
        shared[WINDOWS] += 1
        shared[N_EVENTS] = 0
        shared_floats[SQUARED_SPEED] = 0.0
        piston = piston_at(shared[STEP], shared, shared_floats, gas.timestep)
        balanced = math.sqrt(occupancy * piston * gas.height / gas.n_particles)
        shape_cells(shared, shared_floats, workspace, maximum(width, balanced), piston, gas.height)
        foremost = minimum(piston, piston_at(shared[WINDOW_END], shared, shared_floats, gas.timestep))
        shared[PISTON_COLUMN] = int((foremost - RADIUS - slack(shared_floats)) / shared_floats[CELL_WIDTH])
    fastest = 0.0
    for i in range(thread, gas.n_particles, n_threads):
        vx, vy = particles.motion[i, VX], particles.motion[i, VY]
        fastest = maximum(fastest, vx * vx + vy * vy)
    for cell in range(thread, workspace.cell_head.shape[0], n_threads):
        workspace.cell_head[cell] = NOBODY
    for bucket in range(thread, workspace.event_head.shape[0], n_threads):
        workspace.event_head[bucket] = -1
    barrier()
    fetch_max(shared_floats, SQUARED_SPEED, fastest)
    has_room = shared[STATUS] <= RUNNING
    barrier()  # the status may change from here on
    if has_room:
        piston = piston_at(shared[STEP], shared, shared_floats, gas.timestep)
        for i in range(thread, gas.n_particles, n_threads):
            x, y = position_at(particles, i, shared[STEP], gas.timestep)
            register(i, x, y, piston, gas, shared, shared_floats, workspace)
    barrier()
    if thread == 0:
        limit = SPEED_MARGIN * math.sqrt(shared_floats[SQUARED_SPEED]) + AT_REST
        steps_in_skin = 0.5 * SKIN / (limit * gas.timestep)
        if not steps_in_skin >= 2.0:
            shared[STATUS] = TOO_FAST
        shared_floats[SPEED_LIMIT] = limit
        shared[LIST_STEPS] = int(minimum(steps_in_skin, 1e9)) - 1
        # Who cuts a corner waits twice: nobody flies further than the slack in two periods.
        steps_in_slack = minimum(slack(shared_floats) / (limit * gas.timestep), 1e9)
        period = SHORTEST_PERIOD
        while 4 * period <= steps_in_slack:
            period *= 2
        shared[PERIOD] = period
    barrier()
