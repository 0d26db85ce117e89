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

from .cells import cell_around, cell_of, occupied_around, row_stride
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
    NEXT,
    NO_PARTITION,
    NOBODY,
    PERIOD,
    PISTON_COLUMN,
    PISTON_SPEED,
    PREDICTED,
    STOP_STEP,
    VX,
    VY,
    WALL,
    WHO,
    WINDOW_END,
    WINDOW_START,
    WITH,
    halt,
    piston_at,
    position_at,
)
from .targets import block_program, exchange, fetch_add, fetch_min, lowest_set_bit, maximum
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
    a = dvx * dvx + dvy * dvy
    b = dx * dvx + dy * dvy
    c = dx * dx + dy * dy - CONTACT_DISTANCE_SQUARED
    discriminant = b * b - a * c
    # The root is at least c / 2|b|. One branch for all three: a processor cannot foresee which of them fails.
    near = c <= -2.0 * b * timestep * (horizon + 1)
    if not ((b < 0.0) & near & (discriminant >= -GRAZE * b * b)):
        return 0
    root = math.sqrt(maximum(discriminant, 0.0))
    steps = steps_until(c / (root - b), timestep)
    if steps > horizon or steps * timestep > (root - b) / a + GUARD * timestep:
        return 0
    return steps


@block_program
def push(i, j, step, steps, shared, workspace):
    """Let the event of particle `i` with `j` (or WALL, or CELL_...), predicted at `step`, wait for `step + steps`.

    With no room left the window is cut short at `step`; what is lost is predicted again. At a window's start the events
    must fit into half of the room; else STATUS is set.
    """
    slot = fetch_add(shared, N_EVENTS, 1)
    if step == shared[WINDOW_START]:
        if 2 * slot >= workspace.event.shape[0]:
            halt(EVENTS_FULL, i, shared)
            return
    elif slot >= workspace.event.shape[0]:
        fetch_min(shared, STOP_STEP, step)
        return
    workspace.event[slot, WHO] = i
    workspace.event[slot, WITH] = j
    workspace.event[slot, PREDICTED] = step - shared[WINDOW_START]
    bucket = step + steps - shared[WINDOW_START] - 1
    workspace.event[slot, NEXT] = exchange(workspace.event_head, bucket, slot)


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
def time_to_edge(x, v, cell, forward, n_cells, width):
    """Time until a particle at x leaves its cell, one of `n_cells` along this axis; forever if there is no next."""
    last = n_cells - 1 if forward else 0
    edge = (cell + 1 if forward else cell) * width
    return (edge - x) / v if cell != last and v != 0.0 else 1e300


@block_program
def predict_crossing(i, flight, step, workspace, shared, shared_floats, timestep):
    """Predict from `step` when the free particle `i`, on its `flight`, is to go to its next cell in this window."""
    column, row = workspace.cell[i, 0], workspace.cell[i, 1]
    right, up = flight.vx > 0.0, flight.vy > 0.0
    soonest = time_to_edge(flight.x, flight.vx, column, right, shared[N_COLUMNS], shared_floats[CELL_WIDTH])
    time = time_to_edge(flight.y, flight.vy, row, up, shared[N_ROWS], shared_floats[CELL_HEIGHT])
    into = CELL_RIGHT if right else CELL_LEFT
    forward = right  # it follows from `into`, but to ask for it there makes the engine a twentieth slower
    if time < soonest:
        soonest = time
        into = CELL_ABOVE if up else CELL_BELOW
        forward = up
    horizon = shared[WINDOW_END] - step
    if soonest < (horizon + 1) * timestep:
        # Forward after whole periods from the window's start, backward half a period later: so no two come from
        # opposite sides at one step.
        phase = shared[WINDOW_START] + (0 if forward else shared[PERIOD] >> 1)
        crossed = step + steps_until(soonest, timestep)
        steps = phase + ((crossed - phase + shared[PERIOD] - 1) & -shared[PERIOD]) - step
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
def predict_chain(i, flight, j, step, freed_at, particles, workspace, shared, timestep):
    """Predict from `step` the contacts of the free particle `i`, on its `flight`, with the free ones in a cell's list.

    Looked at are those from `j` on. Of two that were freed at step `freed_at`, the one of lower index predicts for
    both. Particles in contact are told to watch.
    """
    while j != NOBODY:
        if j != i:
            if particles.contact[j] != FREE:
                workspace.watch_from[j] = step
            elif not (particles.since[j] == freed_at and j < i):
                predict_pair(i, flight, j, step, particles, workspace, shared, timestep)
        j = workspace.next_in_cell[j]


@block_program
def predict_freed(i, step, particles, workspace, shared, shared_floats, gas):
    """Predict what comes to particle `i`, freed at `step`: walls, its next cell, and contacts with free particles."""
    flight = flight_of(i, step, particles, gas.timestep)
    predict_alone(i, flight, step, workspace, shared, shared_floats, gas)
    stride = row_stride(shared)
    middle = cell_of(i, shared, workspace)
    occupied = occupied_around(middle, stride, workspace)
    while occupied != 0:
        first = workspace.cell_head[cell_around(lowest_set_bit(occupied), middle, stride)]
        occupied &= occupied - 1
        predict_chain(i, flight, first, step, step, particles, workspace, shared, gas.timestep)


@block_program
def predict_crossed(i, ahead, step, particles, workspace, shared, shared_floats, gas):
    """Predict what comes to the free particle `i`, which came at `step` from the cell of a number less by `ahead`.

    Three of the cells around it are new to it. A free particle in one of the others was next to it before, unless it
    came at this step too, from beyond: none comes from the opposite direction now, and who came from the side has this
    one in a cell that is new to it. Particles in contact list their neighbours after all have come.
    """
    flight = flight_of(i, step, particles, gas.timestep)
    predict_alone(i, flight, step, workspace, shared, shared_floats, gas)
    stride = row_stride(shared)
    middle = cell_of(i, shared, workspace)
    across = stride if -1 <= ahead <= 1 else 1
    occupied = 0
    for k in range(3):
        occupied |= int(workspace.cell_head[middle + ahead + (k - 1) * across] != NOBODY) << k
    while occupied != 0:
        first = workspace.cell_head[middle + ahead + (lowest_set_bit(occupied) - 1) * across]
        occupied &= occupied - 1
        predict_chain(i, flight, first, step, NEVER, particles, workspace, shared, gas.timestep)


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
            predict_chain(i, flight, workspace.next_in_cell[i], step, NEVER, particles, workspace, shared, dt)
            right = workspace.cell_head[middle + 1]
            predict_chain(i, flight, right, step, NEVER, particles, workspace, shared, dt)
            for cell in range(middle + stride - 1, middle + stride + 2):
                above = workspace.cell_head[cell]
                predict_chain(i, flight, above, step, NEVER, particles, workspace, shared, dt)
