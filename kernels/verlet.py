"""Velocity Verlet for every particle at every step: the reference that the contact engine is measured against."""

from .cells import gather_neighbours
from .forces import CONTACT_DISTANCE
from .record import record_due
from .replica import (
    EXECUTED,
    NEW,
    RUNNING,
    SPEED_LIMIT,
    STATUS,
    STEP,
    STOP_STEP,
    TOO_FAST,
    TOUCHING,
    TURNS,
    WINDOW_START,
    piston_at,
    turns,
)
from .step import end_step, kick_and_drift, update_acceleration
from .targets import barrier, block_program, minimum
from .window import open_window

# Cells, and with them the reach of the neighbour lists: 2R and a skin of R, the usual choice for so short a force.
WIDTH = 3.0


@block_program
def advance(thread, n_threads, gas, particles, workspace, schedules, records, r, shared, shared_floats, budget):
    """Run whole windows of replica `r` until its process ends or a thread has had about `budget` turns.

    One block owns the replica. Written: particles, its record, shared (with the progress), workspace.
    """
    while shared[STATUS] <= RUNNING and shared[TURNS] < budget:
        open_window(thread, n_threads, WIDTH, 0.0, gas, particles, workspace, schedules, r, shared, shared_floats)
        list_neighbours(thread, n_threads, gas, particles, workspace, shared)
        if thread == 0:
            end_within_reach(gas, shared, shared_floats)
        barrier()
        if shared[STATUS] == NEW:
            start(thread, n_threads, gas, particles, workspace, shared, shared_floats)
        elif shared[STATUS] == RUNNING:
            step_window(thread, n_threads, gas, particles, workspace, shared, shared_floats)
        record_due(thread, n_threads, gas, particles, workspace, schedules, records, r, shared, shared_floats)


@block_program
def start(thread, n_threads, gas, particles, workspace, shared, shared_floats):
    """Give all particles their forces at a process's start."""
    piston = piston_at(shared[STEP], shared, shared_floats, gas.timestep)
    for i in range(thread, gas.n_particles, n_threads):
        update_acceleration(i, shared[STEP], piston, gas, particles, workspace)
        particles.contact[i] = TOUCHING


@block_program
def end_within_reach(gas, shared, shared_floats):
    """Let the window end before two particles that are on no list of each other's could touch; one thread calls it."""
    steps = 0.5 * (WIDTH - CONTACT_DISTANCE) / (shared_floats[SPEED_LIMIT] * gas.timestep)
    if not steps >= 1.0:
        shared[STATUS] = TOO_FAST
    shared[STOP_STEP] = minimum(shared[STOP_STEP], shared[WINDOW_START] + int(minimum(steps, 1e9)))


@block_program
def list_neighbours(thread, n_threads, gas, particles, workspace, shared):
    """List for every particle those that may touch it in the window just opened."""
    has_room = shared[STATUS] <= RUNNING
    barrier()  # the status may change from here on
    if has_room:
        for i in range(thread, gas.n_particles, n_threads):
            gather_neighbours(i, shared[STEP], WIDTH, particles, workspace, shared, gas.timestep)
    barrier()


@block_program
def step_window(thread, n_threads, gas, particles, workspace, shared, shared_floats):
    """Step through the window that is open. Written: particles, shared."""
    dt = gas.timestep
    step = shared[WINDOW_START]
    while shared[STATUS] == RUNNING and step < shared[STOP_STEP]:
        step += 1
        barrier()  # all go on; `kick_and_drift` may cut the window short from here on
        piston = piston_at(step, shared, shared_floats, dt)
        for i in range(thread, gas.n_particles, n_threads):
            kick_and_drift(i, step, gas, particles, shared, shared_floats)
        barrier()
        for i in range(thread, gas.n_particles, n_threads):
            end_step(i, step, piston, gas, particles, workspace, shared, shared_floats)
        barrier()
    if thread == 0:
        shared[EXECUTED] += (step - shared[WINDOW_START]) * gas.n_particles
        shared[TURNS] += (step - shared[WINDOW_START]) * turns(gas.n_particles, n_threads)
        shared[STEP] = step
