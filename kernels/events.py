"""What comes to free particles: its prediction, and the buckets by step in which it waits.

Between contacts a particle moves on a straight line, so the first step of the time grid at which a pair overlaps
follows from |dr + dv t| = 2R. A prediction only says at which step to look: contact itself is decided by the positions
at that step, so rounding in a prediction, or predicting again from a later step, leaves the trajectory as it is. A pair
that enters and leaves between two grid steps is no event: velocity Verlet on that grid does not see it either.

A pair is predicted when it comes to stand in adjacent cells: at the window's start, when one of the two is freed, and
when one crosses into another cell. Crossings are events as well.
"""

import math
from collections import namedtuple

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
    N_ENTRIES,
    N_EVENTS,
    N_ROWS,
    NEWEST,
    NO_ENTRY,
    NO_PARTITION,
    NOBODY,
    PISTON_COLUMN,
    PISTON_SPEED,
    STATUS,
    VX,
    VY,
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

Flight = namedtuple("Flight", ["x", "y", "vx", "vy"])


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
def flight_of(i, step, particles, timestep):
    """Position at `step` and velocity of the free particle `i`."""
    x, y = position_at(particles, i, step, timestep)
    return Flight(x, y, particles.motion[i, VX], particles.motion[i, VY])


@block_program
def predict_pair(i, flight, j, step, particles, workspace, shared, timestep):
    """Predict from `step` when the free particles `i`, on its `flight`, and `j` come into contact in this window."""
    x, y = position_at(particles, j, step, timestep)
    steps = steps_to_contact(
        flight.x - x,
        flight.y - y,
        flight.vx - particles.motion[j, VX],
        flight.vy - particles.motion[j, VY],
        timestep,
        shared[WINDOW_END] - step,
    )
    if steps > 0:
        push(i, j, step, steps, shared, workspace)


@block_program
def predict_wall(i, flight, step, workspace, shared, shared_floats, gas):
    """Predict from `step` when the free particle `i`, on its `flight`, comes within R of a wall in this window."""
    piston = piston_at(step, shared, shared_floats, gas.timestep)
    time = time_to_wall(flight.x, flight.y, flight.vx, flight.vy, piston, shared_floats[PISTON_SPEED], gas)
    horizon = shared[WINDOW_END] - step
    if time < (horizon + 1) * gas.timestep:
        steps = steps_until(time, gas.timestep)
        if steps <= horizon:
            push(i, WALL, step, steps, shared, workspace)


@block_program
def predict_crossing(i, flight, step, workspace, shared, shared_floats, timestep):
    """Predict from `step` when the free particle `i`, on its `flight`, leaves its cell in this window."""
    column, row = workspace.cell[i, 0], workspace.cell[i, 1]
    soonest = 1e300
    into = CELL_LEFT
    if flight.vx < 0.0 and column > 0:
        soonest = (flight.x - column * shared_floats[CELL_WIDTH]) / -flight.vx
    elif flight.vx > 0.0 and column + 1 < shared[N_COLUMNS]:
        soonest = ((column + 1) * shared_floats[CELL_WIDTH] - flight.x) / flight.vx
        into = CELL_RIGHT
    time = 1e300
    if flight.vy < 0.0 and row > 0:
        time = (flight.y - row * shared_floats[CELL_HEIGHT]) / -flight.vy
    elif flight.vy > 0.0 and row + 1 < shared[N_ROWS]:
        time = ((row + 1) * shared_floats[CELL_HEIGHT] - flight.y) / flight.vy
    if time < soonest:
        soonest = time
        into = CELL_BELOW if flight.vy < 0.0 else CELL_ABOVE
    horizon = shared[WINDOW_END] - step
    if soonest < (horizon + 1) * timestep:
        steps = steps_until(soonest, timestep)
        if steps <= horizon:
            push(i, into, step, steps, shared, workspace)


@block_program
def predict_alone(i, flight, step, workspace, shared, shared_floats, gas):
    """Predict from `step` what comes to the free particle `i`, on its `flight`, but for other particles.

    Walls are looked at from the cells alone from which they may be reached before the next crossing.
    """
    column, row = workspace.cell[i, 0], workspace.cell[i, 1]
    inside = 0 < column < shared[PISTON_COLUMN] and 0 < row < shared[N_ROWS] - 1
    if not inside or gas.partition_axis != NO_PARTITION:
        predict_wall(i, flight, step, workspace, shared, shared_floats, gas)
    predict_crossing(i, flight, step, workspace, shared, shared_floats, gas.timestep)


@block_program
def predict_chain(i, flight, entry, oldest, step, freed_at, particles, workspace, shared, timestep):
    """Predict from `step` the contacts of the free particle `i`, on its `flight`, with the free ones in a cell's list.

    Looked at are those from `entry` on that are newer than `oldest`: the list begins with the newest entry. Of two that
    were freed at step `freed_at`, the one of lower index predicts for both. Particles in contact are told to watch.
    """
    while entry > oldest:
        j = workspace.member[entry]
        if j != NOBODY and j != i:
            if particles.contact[j] != FREE:
                workspace.watch_from[j] = step
            elif not (particles.since[j] == freed_at and j < i):
                predict_pair(i, flight, j, step, particles, workspace, shared, timestep)
        entry = workspace.next_entry[entry]


@block_program
def predict_freed(i, step, particles, workspace, shared, shared_floats, gas):
    """Predict what comes to particle `i`, freed at `step`: walls, its next cell, and contacts with free particles."""
    flight = flight_of(i, step, particles, gas.timestep)
    predict_alone(i, flight, step, workspace, shared, shared_floats, gas)
    stride = row_stride(shared)
    middle = cell_of(i, shared, workspace)
    for line in range(middle - stride, middle + stride + 1, stride):
        for cell in range(line - 1, line + 2):
            entry = workspace.cell_head[cell]
            predict_chain(i, flight, entry, NO_ENTRY, step, step, particles, workspace, shared, gas.timestep)


@block_program
def predict_crossed(i, into, step, particles, workspace, shared, shared_floats, gas):
    """Predict what comes to the free particle `i`, which went `into` another cell at `step`.

    Three of the cells around it are new to it. In those it shares with the cell that it left, only who came at this
    step too, from the other side, is new.
    """
    flight = flight_of(i, step, particles, gas.timestep)
    predict_alone(i, flight, step, workspace, shared, shared_floats, gas)
    stride = row_stride(shared)
    middle = cell_of(i, shared, workspace)
    ahead = 1 if into == CELL_RIGHT else -1 if into == CELL_LEFT else stride if into == CELL_ABOVE else -stride
    across = stride if into == CELL_LEFT or into == CELL_RIGHT else 1
    others_came = shared[N_ENTRIES] > shared[NEWEST] + 2
    for cell in range(middle - across, middle + across + 1, across):
        entry = workspace.cell_head[cell + ahead]
        predict_chain(i, flight, entry, NO_ENTRY, step, NEVER, particles, workspace, shared, gas.timestep)
        if others_came:
            entry = workspace.cell_head[cell]
            predict_chain(i, flight, entry, shared[NEWEST], step, NEVER, particles, workspace, shared, gas.timestep)


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
            flight = flight_of(i, step, particles, dt)
            predict_alone(i, flight, step, workspace, shared, shared_floats, gas)
            middle = cell_of(i, shared, workspace)
            rest = workspace.next_entry[workspace.entry[i]]
            predict_chain(i, flight, rest, NO_ENTRY, step, NEVER, particles, workspace, shared, dt)
            right = workspace.cell_head[middle + 1]
            predict_chain(i, flight, right, NO_ENTRY, step, NEVER, particles, workspace, shared, dt)
            for cell in range(middle + stride - 1, middle + stride + 2):
                above = workspace.cell_head[cell]
                predict_chain(i, flight, above, NO_ENTRY, step, NEVER, particles, workspace, shared, dt)
