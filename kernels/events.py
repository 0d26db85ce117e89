"""What comes to free particles: its prediction, and the buckets by step in which it waits.

Between contacts a particle moves on a straight line, so the first step of the time grid at which a pair overlaps
follows from |dr + dv t| = 2R. A prediction only says at which step to look: contact itself is decided by the positions
at that step, so rounding in a prediction, or predicting again from a later step, leaves the trajectory as it is. A pair
that enters and leaves between two grid steps is no event: velocity Verlet on that grid does not see it either.

A pair is predicted when it comes to stand in adjacent cells: at the window's start, when one of the two is freed, and
when one crosses into another cell. Crossings are events as well.
"""

import math

from .cells import cell_of, row_stride
from .forces import CONTACT_DISTANCE_SQUARED
from .replica import (
    CELL_ABOVE,
    CELL_BELOW,
    CELL_HEIGHT,
    CELL_LEFT,
    CELL_RIGHT,
    CELL_WIDTH,
    EVENTS_FULL,
    FREE,
    N_COLUMNS,
    N_EVENTS,
    N_ROWS,
    OLD_ENTRIES,
    PISTON_SPEED,
    STATUS,
    WALL,
    WINDOW_END,
    WINDOW_START,
    piston_at,
    position_at,
)
from .targets import block_program, exchange, fetch_add, fetch_min, maximum
from .walls import time_to_wall

# A prediction within this fraction of a step after a grid point counts as at that point, so that none comes late.
GUARD = 1e-3
# b^2 - ac below zero by less than this, relative to b^2, is a grazing contact lost in rounding: look at it.
GRAZE = 1e-12
NEVER = -1


@block_program
def steps_until(time, timestep):
    """The first whole number of steps, at least one, after which `time` has passed."""
    return maximum(1, int(math.ceil(time / timestep - GUARD)))


@block_program
def steps_to_contact(dx, dy, dvx, dvy, timestep, horizon):
    """Steps until two particles at (dx, dy), approaching at (dvx, dvy), overlap; 0 if not within `horizon` steps."""
    b = dx * dvx + dy * dvy
    c = dx * dx + dy * dy - CONTACT_DISTANCE_SQUARED
    # The root is at least c / 2|b|: this dismisses most pairs, and all that recede.
    if c > -2.0 * b * timestep * (horizon + 1) or not b < 0.0:
        return 0
    a = dvx * dvx + dvy * dvy
    discriminant = b * b - a * c
    if discriminant < -GRAZE * b * b:
        return 0
    root = math.sqrt(maximum(discriminant, 0.0))
    steps = steps_until(c / (root - b), timestep)
    if steps > horizon or steps * timestep > (root - b) / a + GUARD * timestep:
        return 0
    return steps


@block_program
def push(i, j, step, steps, shared, workspace):
    """Let the event of particle `i` with `j` (or WALL, or CELL_...), predicted at `step`, wait for `step + steps`.

    With no room left the window ends at `step`, and what is lost is predicted again. At a window's start the events
    must fit into half of the room; else STATUS is set.
    """
    slot = fetch_add(shared, N_EVENTS, 1)
    if step == shared[WINDOW_START]:
        if 2 * slot >= workspace.event.shape[0]:
            shared[STATUS] = EVENTS_FULL
            return
    elif slot >= workspace.event.shape[0]:
        fetch_min(shared, WINDOW_END, step)
        return
    workspace.event[slot, 0] = i
    workspace.event[slot, 1] = j
    workspace.event[slot, 2] = step - shared[WINDOW_START]
    bucket = step + steps - shared[WINDOW_START] - 1
    workspace.event_next[slot] = exchange(workspace.event_head, bucket, slot)


@block_program
def predict_pair(i, j, step, particles, workspace, shared, timestep):
    """Predict from `step` when the free particles `i` and `j` come into contact in this window."""
    x, y = position_at(particles, i, step, timestep)
    other_x, other_y = position_at(particles, j, step, timestep)
    steps = steps_to_contact(
        x - other_x,
        y - other_y,
        particles.velocities[i, 0] - particles.velocities[j, 0],
        particles.velocities[i, 1] - particles.velocities[j, 1],
        timestep,
        shared[WINDOW_END] - step,
    )
    if steps > 0:
        push(i, j, step, steps, shared, workspace)


@block_program
def predict_wall(i, step, particles, workspace, shared, shared_floats, gas):
    """Predict from `step` when the free particle `i` comes within R of a wall in this window."""
    x, y = position_at(particles, i, step, gas.timestep)
    time = time_to_wall(
        x,
        y,
        particles.velocities[i, 0],
        particles.velocities[i, 1],
        piston_at(step, shared, shared_floats, gas.timestep),
        shared_floats[PISTON_SPEED],
        gas,
    )
    horizon = shared[WINDOW_END] - step
    if time < (horizon + 1) * gas.timestep:
        steps = steps_until(time, gas.timestep)
        if steps <= horizon:
            push(i, WALL, step, steps, shared, workspace)


@block_program
def predict_crossing(i, step, particles, workspace, shared, shared_floats, timestep):
    """Predict from `step` when the free particle `i` leaves its cell in this window."""
    x, y = position_at(particles, i, step, timestep)
    vx, vy = particles.velocities[i, 0], particles.velocities[i, 1]
    column, row = workspace.cell[i, 0], workspace.cell[i, 1]
    soonest = 1e300
    into = CELL_LEFT
    if vx < 0.0 and column > 0:
        soonest = (x - column * shared_floats[CELL_WIDTH]) / -vx
    elif vx > 0.0 and column + 1 < shared[N_COLUMNS]:
        soonest = ((column + 1) * shared_floats[CELL_WIDTH] - x) / vx
        into = CELL_RIGHT
    if vy < 0.0 and row > 0:
        time = (y - row * shared_floats[CELL_HEIGHT]) / -vy
        if time < soonest:
            soonest = time
            into = CELL_BELOW
    elif vy > 0.0 and row + 1 < shared[N_ROWS]:
        time = ((row + 1) * shared_floats[CELL_HEIGHT] - y) / vy
        if time < soonest:
            soonest = time
            into = CELL_ABOVE
    horizon = shared[WINDOW_END] - step
    if soonest < (horizon + 1) * timestep:
        steps = steps_until(soonest, timestep)
        if steps <= horizon:
            push(i, into, step, steps, shared, workspace)


@block_program
def predict_chain(i, entry, oldest, step, freed_at, particles, workspace, shared, timestep):
    """Predict from `step` the contacts of the free particle `i` with the free ones in a cell's list.

    They are those from `entry` on to `oldest`: the list begins with the newest entry. Of two that were freed at step
    `freed_at`, the one of lower index predicts for both.
    """
    while entry >= oldest:
        j = workspace.member[entry]
        if j >= 0 and j != i and particles.contact[j] == FREE:
            predicted_by_j = particles.since[j] == freed_at and j < i
            if not predicted_by_j:
                predict_pair(i, j, step, particles, workspace, shared, timestep)
        entry = workspace.next_entry[entry]


@block_program
def predict_freed(i, step, particles, workspace, shared, shared_floats, gas):
    """Predict what comes to particle `i`, freed at `step`: walls, its next cell, and contacts with free particles."""
    predict_wall(i, step, particles, workspace, shared, shared_floats, gas)
    predict_crossing(i, step, particles, workspace, shared, shared_floats, gas.timestep)
    stride = row_stride(shared)
    middle = cell_of(i, shared, workspace)
    for line in range(middle - stride, middle + stride + 1, stride):
        for cell in range(line - 1, line + 2):
            predict_chain(i, workspace.cell_head[cell], 0, step, step, particles, workspace, shared, gas.timestep)


@block_program
def predict_crossed(i, into, step, particles, workspace, shared, shared_floats, gas):
    """Predict what comes to the free particle `i`, which went `into` another cell at `step`.

    Three of the cells around it are new to it. In those it shares with the cell that it left, only who came at this
    step too, from the other side, is new.
    """
    predict_crossing(i, step, particles, workspace, shared, shared_floats, gas.timestep)
    stride = row_stride(shared)
    middle = cell_of(i, shared, workspace)
    ahead = 1 if into == CELL_RIGHT else -1 if into == CELL_LEFT else stride if into == CELL_ABOVE else -stride
    across = stride if into == CELL_LEFT or into == CELL_RIGHT else 1
    for cell in range(middle - across, middle + across + 1, across):
        entry = workspace.cell_head[cell + ahead]
        predict_chain(i, entry, 0, step, NEVER, particles, workspace, shared, gas.timestep)
        entry = workspace.cell_head[cell]
        predict_chain(i, entry, shared[OLD_ENTRIES], step, NEVER, particles, workspace, shared, gas.timestep)


@block_program
def predict_window(thread, n_threads, particles, workspace, shared, shared_floats, gas):
    """Predict what comes to the free particles in the window just opened, each pair once.

    Particle `i` looks at the rest of its own cell's list and at four of the eight adjacent cells.
    """
    step = shared[WINDOW_START]
    stride = row_stride(shared)
    dt = gas.timestep
    for i in range(thread, gas.n_particles, n_threads):
        if particles.contact[i] == FREE:
            predict_wall(i, step, particles, workspace, shared, shared_floats, gas)
            predict_crossing(i, step, particles, workspace, shared, shared_floats, dt)
            middle = cell_of(i, shared, workspace)
            head = workspace.cell_head
            predict_chain(i, workspace.next_entry[i], 0, step, NEVER, particles, workspace, shared, dt)
            predict_chain(i, head[middle + 1], 0, step, NEVER, particles, workspace, shared, dt)
            for cell in range(middle + stride - 1, middle + stride + 2):
                predict_chain(i, head[cell], 0, step, NEVER, particles, workspace, shared, dt)
