"""Coming contacts of free particles: their prediction, and the buckets by step in which they wait.

Between contacts a particle moves on a straight line, so the first step of the time grid at which a pair overlaps
follows from |dr + dv t| = 2R. A prediction only says at which step to look: contact itself is decided by the positions
at that step, so rounding in a prediction, or predicting again from a later step, leaves the trajectory as it is. A pair
that enters and leaves between two grid steps is no event: velocity Verlet on that grid does not see it either.
"""

import math

from .forces import CONTACT_DISTANCE_SQUARED
from .replica import (
    EVENTS_FULL,
    FREE,
    N_CELLS_X,
    N_CELLS_Y,
    N_EVENTS,
    PISTON_SPEED,
    STATUS,
    WALL,
    WINDOW_END,
    WINDOW_START,
    piston_at,
    position_at,
)
from .targets import block_program, exchange, fetch_add, maximum, minimum
from .walls import time_to_wall

# A prediction within this fraction of a step after a grid point counts as at that point, so that none comes late.
GUARD = 1e-3
# b^2 - ac below zero by less than this, relative to b^2, is a grazing contact lost in rounding: look at it.
GRAZE = 1e-12


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
    """Let the event of particle `i` with `j` (or WALL), predicted at `step`, wait for `step + steps`."""
    slot = fetch_add(shared, N_EVENTS, 1)
    if slot >= workspace.event.shape[0]:
        shared[STATUS] = EVENTS_FULL
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
def predict_freed(i, step, particles, workspace, shared, shared_floats, gas):
    """Predict the coming contacts of particle `i`, freed at `step`, with walls and free particles.

    Of two that are freed at the same step, the first predicts for both.
    """
    predict_wall(i, step, particles, workspace, shared, shared_floats, gas)
    n_x, n_y = shared[N_CELLS_X], shared[N_CELLS_Y]
    cell_y, cell_x = workspace.cell[i] // n_x, workspace.cell[i] % n_x
    for row in range(maximum(cell_y - 1, 0), minimum(cell_y + 2, n_y)):
        for column in range(maximum(cell_x - 1, 0), minimum(cell_x + 2, n_x)):
            j = workspace.cell_head[row * n_x + column]
            while j >= 0:
                predicted_by_j = particles.since[j] == step and j < i
                if j != i and particles.contact[j] == FREE and not predicted_by_j:
                    predict_pair(i, j, step, particles, workspace, shared, gas.timestep)
                j = workspace.next_in_cell[j]


@block_program
def predict_chain(i, j, horizon, particles, workspace, shared, timestep):
    """Predict from the window's start the contacts of the free particle `i` with the linked list that starts at `j`."""
    x, y = workspace.start[i, 0], workspace.start[i, 1]
    vx, vy = particles.velocities[i, 0], particles.velocities[i, 1]
    while j >= 0:
        if particles.contact[j] == FREE:
            steps = steps_to_contact(
                x - workspace.start[j, 0],
                y - workspace.start[j, 1],
                vx - particles.velocities[j, 0],
                vy - particles.velocities[j, 1],
                timestep,
                horizon,
            )
            if steps > 0:
                push(i, j, shared[WINDOW_START], steps, shared, workspace)
        j = workspace.next_in_cell[j]


@block_program
def predict_window(thread, n_threads, particles, workspace, shared, shared_floats, gas):
    """Predict the contacts of free particles in the window just opened, each pair once.

    Particle `i` looks at the rest of its own cell's list and at four of the eight adjacent cells.
    """
    n_x, n_y = shared[N_CELLS_X], shared[N_CELLS_Y]
    step = shared[WINDOW_START]
    horizon = shared[WINDOW_END] - step
    for i in range(thread, gas.n_particles, n_threads):
        if particles.contact[i] != FREE:
            continue
        predict_wall(i, step, particles, workspace, shared, shared_floats, gas)
        predict_chain(i, workspace.next_in_cell[i], horizon, particles, workspace, shared, gas.timestep)
        cell = workspace.cell[i]
        cell_y, cell_x = cell // n_x, cell % n_x
        if cell_x + 1 < n_x:
            j = workspace.cell_head[cell + 1]
            predict_chain(i, j, horizon, particles, workspace, shared, gas.timestep)
        if cell_y + 1 < n_y:
            for column in range(maximum(cell_x - 1, 0), minimum(cell_x + 2, n_x)):
                j = workspace.cell_head[(cell_y + 1) * n_x + column]
                predict_chain(i, j, horizon, particles, workspace, shared, gas.timestep)
