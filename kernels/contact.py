"""Velocity Verlet for the particles in contact only: the default engine.

Velocity Verlet moves a particle that feels no force by exactly v dt a step, so only particles in contact need stepping;
in a dilute gas that is about one in a hundred. The others rest in memory with the step since which they fly, and their
position at any later step is x + v t. The result is velocity Verlet of every particle on the same time grid, up to
rounding.

One step of a window, for the lanes of one warp:

1. the particles in contact advance: half kick, drift;
2. events due now, and free particles that one in contact touches, are claimed;
3. the claimed are moved to the present step; who crosses goes to its next cell, and what comes to it is predicted;
4. the forces on all in contact are summed, each over its own sorted neighbours;
5. second half kick; whatever touches nothing any more is freed;
6. what comes to the freed is predicted.

Steps at which nothing is in contact and nothing is due are skipped.
"""

import math

from .cells import SKIN, SMALLEST_WIDTH, follow, gather_neighbours, move, note
from .events import NEVER, flight_of, predict_crossed, predict_freed, predict_pair, predict_wall, predict_window
from .forces import CONTACT_DISTANCE
from .record import record_due
from .replica import (
    CELL_ABOVE,
    CELL_BELOW,
    CELL_LEFT,
    CELL_RIGHT,
    CONTACTS,
    EXECUTED,
    FREE,
    LIST,
    LIST_STEPS,
    N_EVENTS,
    N_FREED,
    N_MOVERS,
    N_TOUCHING,
    N_WOKEN,
    NEW,
    NEXT,
    NEXT_STEP,
    PERIOD,
    PREDICTED,
    PREDICTIONS,
    RUNNING,
    SPEED_LIMIT,
    STATUS,
    STEP,
    STOP_STEP,
    TOUCHING,
    TURNS,
    WALL,
    WHO,
    WINDOW_END,
    WINDOW_START,
    WITH,
    WOKEN,
    X,
    Y,
    piston_at,
    position_at,
    turns,
)
from .step import end_step, kick_and_drift, update_acceleration
from .targets import (
    WARP,
    barrier,
    block_program,
    exchange,
    fetch_add,
    fetch_min,
    lanes_of,
    maximum,
    minimum,
    warp_barrier,
)
from .walls import pair_touches, touches_wall
from .window import open_window

# A turn is one particle's step by one lane, and a launch's budget counts turns. Opening a window costs WINDOW_TURNS for
# each turn at its particles, an event with what comes of it EVENT_TURNS. So the replicas of a launch take about as long
# as each other: on a CPU within a third; on CUDA by the count of their instructions alone.
WINDOW_TURNS = 2
EVENT_TURNS = 4
# Cells hold about OCCUPANCY particles each where that makes them wide enough: the cost of crossing into the next cell
# and that of looking through its neighbours are then least in sum (measured).
OCCUPANCY = 0.2


@block_program
def advance(thread, n_threads, gas, particles, workspace, schedules, records, r, shared, shared_floats, budget):
    """Run whole windows of replica `r` until its process ends or a lane has had about `budget` turns.

    One block owns the replica. Written: particles, its record, shared (with the progress), workspace.
    """
    while shared[STATUS] <= RUNNING and shared[TURNS] < budget:
        open_window(
            thread, n_threads, SMALLEST_WIDTH, OCCUPANCY, gas, particles, workspace, schedules, r, shared, shared_floats
        )
        list_touching(thread, n_threads, gas, particles, workspace, shared)
        status = shared[STATUS]
        barrier()  # the status may change from here on; all threads take the same branch
        if status == NEW:
            classify(thread, n_threads, gas, particles, workspace, shared, shared_floats)
        elif status == RUNNING:
            predict_window(thread, n_threads, particles, workspace, shared, shared_floats, gas)
            barrier()
            if thread < WARP:
                step_window(thread, lanes_of(n_threads), gas, particles, workspace, shared, shared_floats)
        if thread == 0:
            shared[TURNS] += WINDOW_TURNS * turns(gas.n_particles, n_threads)
        record_due(thread, n_threads, gas, particles, workspace, schedules, records, r, shared, shared_floats)


@block_program
def list_touching(thread, n_threads, gas, particles, workspace, shared):
    """Collect the particles in contact, in any order, and list their neighbours.

    At a process's start every particle counts as in contact.
    """
    has_room = shared[STATUS] <= RUNNING
    if thread == 0:
        shared[N_TOUCHING] = 0
        shared[LIST] = 0
    barrier()  # the status may change from here on
    if has_room:
        for i in range(thread, gas.n_particles, n_threads):
            workspace.woken_at[i] = NEVER
            if particles.contact[i] == TOUCHING:
                workspace.touching[0, fetch_add(shared, N_TOUCHING, 1)] = i
                list_neighbours(i, shared[STEP], particles, workspace, shared, gas.timestep)
    barrier()


@block_program
def classify(thread, n_threads, gas, particles, workspace, shared, shared_floats):
    """At a process's start, tell the particles in contact from the free ones, and give the former their forces."""
    piston = piston_at(shared[STEP], shared, shared_floats, gas.timestep)
    for i in range(thread, gas.n_particles, n_threads):
        if not update_acceleration(i, shared[STEP], piston, gas, particles, workspace):
            particles.contact[i] = FREE


@block_program
def list_neighbours(i, step, particles, workspace, shared, dt):
    """List what particle `i`, in contact at `step`, may touch in the next LIST_STEPS steps."""
    gather_neighbours(i, step, CONTACT_DISTANCE + SKIN, particles, workspace, shared, dt)
    workspace.valid_until[i] = step + shared[LIST_STEPS]
    # Most are in contact with all that are near. `predict_chain` tells them when one of these is freed.
    workspace.watch_from[i] = workspace.valid_until[i]
    for m in range(workspace.n_neighbours[i]):
        if particles.contact[workspace.neighbours[i, m]] != TOUCHING:
            workspace.watch_from[i] = step


@block_program
def step_window(lane, n_lanes, gas, particles, workspace, shared, shared_floats):
    """Step through the window that is open. Written: particles, shared, workspace."""
    dt = gas.timestep
    step = shared[WINDOW_START]
    while shared[STATUS] == RUNNING and step < shared[STOP_STEP]:
        n = shared[N_TOUCHING]
        touching = workspace.touching[shared[LIST]]
        warp_barrier()  # all lanes go on; `kick_and_drift` may cut the window short from here on
        step = step + 1 if n > 0 else next_event_step(lane, n_lanes, step, workspace, shared)
        piston = piston_at(step, shared, shared_floats, dt)

        # 1. half kick and drift
        for slot in range(lane, n, n_lanes):
            kick_and_drift(touching[slot], step, gas, particles, shared, shared_floats)
        if lane == 0:
            shared[N_WOKEN] = 0
            shared[N_FREED] = 0
            shared[N_MOVERS] = 0
        warp_barrier()

        # 2. claim what comes into contact
        claim_due(lane, n_lanes, step, n, touching, piston, gas, particles, workspace, shared, shared_floats)
        for slot in range(lane, n, n_lanes):
            i = touching[slot]
            if step >= workspace.watch_from[i]:
                claim_touched(i, step, n, touching, gas, particles, workspace, shared, shared_floats)
            if step >= workspace.valid_until[i]:
                follow(i, particles, shared, shared_floats, workspace)
        warp_barrier()

        # 3. bring it to the present step, and who crosses to its next cell
        n_now = n + shared[N_WOKEN]
        for slot in range(n + lane, n_now, n_lanes):
            wake(touching[slot], step, particles, workspace, shared, shared_floats, dt)
        note_crossings(lane, n_lanes, step, particles, shared, workspace)
        warp_barrier()
        move(lane, n_lanes, shared, workspace)
        predict_arrivals(lane, n_lanes, step, particles, workspace, shared, shared_floats, gas)
        warp_barrier()

        # 4., 5. forces and half kick
        if lane == 0:
            shared[N_MOVERS] = 0
        for slot in range(lane, n_now, n_lanes):
            i = touching[slot]
            if step >= workspace.valid_until[i]:
                list_neighbours(i, step, particles, workspace, shared, dt)
                if workspace.woken_at[i] == step:
                    count_contacts(i, step, piston, gas, particles, workspace, shared)
            if not end_step(i, step, piston, gas, particles, workspace, shared, shared_floats):
                exchange(particles.contact, i, FREE)  # others may read it now, in `list_neighbours`
                fetch_add(shared, N_FREED, 1)
        warp_barrier()

        # 6. predict for the freed, keep the others
        if shared[N_FREED] > 0:
            kept = workspace.touching[1 - shared[LIST]]
            if lane == 0:
                shared[N_TOUCHING] = 0
            for slot in range(lane, n_now, n_lanes):
                i = touching[slot]
                if particles.contact[i] == FREE:
                    follow(i, particles, shared, shared_floats, workspace)
            warp_barrier()
            move(lane, n_lanes, shared, workspace)
            for slot in range(lane, n_now, n_lanes):
                i = touching[slot]
                if particles.contact[i] == FREE:
                    predict_freed(i, step, particles, workspace, shared, shared_floats, gas)
                else:
                    kept[fetch_add(shared, N_TOUCHING, 1)] = i
            warp_barrier()
            if lane == 0:
                shared[LIST] = 1 - shared[LIST]
        elif lane == 0:
            shared[N_TOUCHING] = n_now
        if lane == 0:
            shared[EXECUTED] += n_now
            shared[TURNS] += turns(n_now, n_lanes)
        warp_barrier()
    if lane == 0:
        shared[STEP] = step
        shared[PREDICTIONS] += shared[N_EVENTS]
        shared[TURNS] += EVENT_TURNS * shared[N_EVENTS]


@block_program
def next_event_step(lane, n_lanes, step, workspace, shared):
    """The next step at which an event is due, or the window's end; the same for all lanes.

    It is searched stretch by stretch, so that no lane goes on when another has found one.
    """
    if lane == 0:
        shared[NEXT_STEP] = shared[WINDOW_END]
    warp_barrier()
    while step < shared[NEXT_STEP]:
        warp_barrier()  # all lanes have taken the same branch before any of them finds something
        last = minimum(step + WARP, shared[WINDOW_END])
        for due in range(step + 1 + lane, last + 1, n_lanes):
            if workspace.event_head[due - shared[WINDOW_START] - 1] >= 0:
                fetch_min(shared, NEXT_STEP, due)
                break
        step = last
        warp_barrier()
    return shared[NEXT_STEP]


@block_program
def claim(i, n, touching, particles, shared):
    """Put the free particle `i` on the list of those in contact, once."""
    if exchange(particles.contact, i, WOKEN) == FREE:
        touching[n + fetch_add(shared, N_WOKEN, 1)] = i


@block_program
def in_flight_since(i, step, particles):
    """Whether particle `i` has been free from `step` to now."""
    return (particles.contact[i] != TOUCHING) & (particles.since[i] <= step)


@block_program
def claim_due(lane, n_lanes, step, n, touching, piston, gas, particles, workspace, shared, shared_floats):
    """Claim the particles of the events due at `step` that are in contact; predict again for those that are not yet.

    An event whose particle has touched something since is void: being freed, that particle was predicted anew.
    Crossings are left to `note_crossings`.
    """
    slot = workspace.event_head[step - shared[WINDOW_START] - 1]
    turn = 0
    while slot >= 0:
        i, j = workspace.event[slot, WHO], workspace.event[slot, WITH]
        predicted = workspace.event[slot, PREDICTED] + shared[WINDOW_START]
        mine = turn % n_lanes == lane
        if mine and j >= WALL and in_flight_since(i, predicted, particles):
            if j == WALL:
                x, y = position_at(particles, i, step, gas.timestep)
                if touches_wall(x, y, piston, gas):
                    claim(i, n, touching, particles, shared)
                else:
                    flight = flight_of(i, step, particles, gas.timestep)
                    predict_wall(i, flight, step, workspace, shared, shared_floats, gas)
            elif in_flight_since(j, predicted, particles):
                if touch(i, j, step, particles, gas):
                    claim(i, n, touching, particles, shared)
                    claim(j, n, touching, particles, shared)
                else:
                    flight = flight_of(i, step, particles, gas.timestep)
                    predict_pair(i, flight, j, step, particles, workspace, shared, gas.timestep)
        slot = workspace.event[slot, NEXT]
        turn += 1


@block_program
def note_crossings(lane, n_lanes, step, particles, shared, workspace):
    """Note the particles that go to the cell beside their own at `step`, if crossings are due at it."""
    due = step - shared[WINDOW_START]
    if due & ((shared[PERIOD] >> 1) - 1) != 0:
        return
    slot = workspace.event_head[due - 1]
    turn = 0
    while slot >= 0:
        i, into = workspace.event[slot, WHO], workspace.event[slot, WITH]
        if into < WALL and turn % n_lanes == lane:
            predicted = workspace.event[slot, PREDICTED] + shared[WINDOW_START]
            if particles.contact[i] == FREE and particles.since[i] <= predicted:
                column = workspace.cell[i, 0] + (into == CELL_RIGHT) - (into == CELL_LEFT)
                row = workspace.cell[i, 1] + (into == CELL_ABOVE) - (into == CELL_BELOW)
                note(i, column, row, shared, workspace)
        slot = workspace.event[slot, NEXT]
        turn += 1


@block_program
def predict_arrivals(lane, n_lanes, step, particles, workspace, shared, shared_floats, gas):
    """Predict what comes to the free particles that have come to another cell at `step`."""
    for slot in range(lane, shared[N_MOVERS], n_lanes):
        i = workspace.mover[slot, 0]
        if particles.contact[i] == FREE:
            ahead = workspace.mover[slot, 2] - workspace.mover[slot, 1]
            predict_crossed(i, ahead, step, particles, workspace, shared, shared_floats, gas)


@block_program
def touch(i, j, step, particles, gas):
    """Whether particles `i` and `j` are in contact at `step`."""
    x, y = position_at(particles, i, step, gas.timestep)
    other_x, other_y = position_at(particles, j, step, gas.timestep)
    return pair_touches(x, y, other_x, other_y, gas)


@block_program
def claim_touched(i, step, n, touching, gas, particles, workspace, shared, shared_floats):
    """Claim the free particles that particle `i`, in contact with something, now touches.

    They are looked at again when the nearest could be there, if both were as fast as the window allows.
    """
    nearest_squared = (CONTACT_DISTANCE + SKIN) ** 2
    x, y = particles.motion[i, X], particles.motion[i, Y]
    for m in range(workspace.n_neighbours[i]):
        j = workspace.neighbours[i, m]
        if particles.contact[j] != TOUCHING:
            other_x, other_y = position_at(particles, j, step, gas.timestep)
            if pair_touches(x, y, other_x, other_y, gas):
                claim(j, n, touching, particles, shared)
            else:
                dx, dy = x - other_x, y - other_y
                nearest_squared = minimum(nearest_squared, dx * dx + dy * dy)
    gap = math.sqrt(nearest_squared) - CONTACT_DISTANCE  # below 0 across a partition
    steps = int(gap / (2.0 * shared_floats[SPEED_LIMIT] * gas.timestep))
    workspace.watch_from[i] = step + maximum(1, steps)


@block_program
def wake(i, step, particles, workspace, shared, shared_floats, dt):
    """Bring the claimed particle `i` to `step`, where its contact begins; note it if it has left its cell by then."""
    x, y = position_at(particles, i, step, dt)
    particles.motion[i, X] = x
    particles.motion[i, Y] = y
    particles.since[i] = step
    exchange(particles.contact, i, TOUCHING)  # others may read it now, in `note_crossings`
    workspace.valid_until[i] = -1
    workspace.woken_at[i] = step
    follow(i, particles, shared, shared_floats, workspace)


@block_program
def count_contacts(i, step, piston, gas, particles, workspace, shared):
    """Count what particle `i`, woken at `step`, is in contact with; a pair of which both were woken counts once."""
    x, y = particles.motion[i, X], particles.motion[i, Y]
    contacts = 1 if touches_wall(x, y, piston, gas) else 0
    for m in range(workspace.n_neighbours[i]):
        j = workspace.neighbours[i, m]
        if not (workspace.woken_at[j] == step and j < i) and touch(i, j, step, particles, gas):
            contacts += 1
    fetch_add(shared, CONTACTS, contacts)
