"""One step of velocity Verlet for one particle: half kick and drift, force, half kick."""

from .forces import pair_force, wall_force
from .replica import (
    LEFT_THE_BOX,
    N_WALLS,
    PISTON_SPEED,
    RIGHT,
    SPEED_LIMIT,
    STOP_STEP,
    VX,
    VY,
    X,
    Y,
    halt,
    piston_at,
    position_at,
)
from .targets import block_program, fetch_min
from .walls import is_inside, pair_touches, total_wall_force, touches_wall, wall_forces


@block_program
def kick_and_drift(i, step, gas, particles, shared, shared_floats):
    """Take particle `i` from the step before to `step`; a speed over the window's limit ends the window here."""
    dt = gas.timestep
    # All is read before anything is written, so that no load waits for a store.
    x, y = particles.motion[i, X], particles.motion[i, Y]
    vx = particles.motion[i, VX] + 0.5 * dt * particles.accelerations[i, 0]
    vy = particles.motion[i, VY] + 0.5 * dt * particles.accelerations[i, 1]
    if shared_floats[PISTON_SPEED] != 0.0:
        piston = piston_at(step - 1, shared, shared_floats, dt)
        force = wall_force(piston - x, gas.stiffness)
        particles.work[i] -= 0.5 * dt * shared_floats[PISTON_SPEED] * force
    particles.motion[i, VX] = vx
    particles.motion[i, VY] = vy
    particles.motion[i, X] = x + dt * vx
    particles.motion[i, Y] = y + dt * vy
    particles.since[i] = step
    limit = shared_floats[SPEED_LIMIT]
    if not vx * vx + vy * vy <= limit * limit:
        fetch_min(shared, STOP_STEP, step)


@block_program
def pair_forces(i, x, y, step, gas, particles, workspace):
    """What the neighbours of particle `i` at (x, y) do to it at `step`: force (fx, fy), and whether it touches any."""
    fx, fy = 0.0, 0.0
    touches = False
    for m in range(workspace.n_neighbours[i]):
        other_x, other_y = position_at(particles, workspace.neighbours[i, m], step, gas.timestep)
        if pair_touches(x, y, other_x, other_y, gas):
            pair_fx, pair_fy = pair_force(x - other_x, y - other_y, gas.stiffness)
            fx += pair_fx
            fy += pair_fy
            touches = True
    return fx, fy, touches


@block_program
def update_acceleration(i, step, piston, gas, particles, workspace):
    """Set the acceleration of particle `i` at `step` (m = 1). Returns whether it touches anything."""
    x, y = position_at(particles, i, step, gas.timestep)
    ax, ay, touches = pair_forces(i, x, y, step, gas, particles, workspace)
    at_wall = touches_wall(x, y, piston, gas)
    if at_wall:
        fx, fy = total_wall_force(wall_forces(x, y, piston, gas), gas)
        ax += fx
        ay += fy
    particles.accelerations[i, 0] = ax
    particles.accelerations[i, 1] = ay
    return touches or at_wall


@block_program
def end_step(i, step, piston, gas, particles, workspace, shared, shared_floats):
    """Give particle `i`, which is at `step`, its acceleration and the second half kick.

    What the walls give it is counted: impulse, and half of the piston's work, dW = -F v dt by the trapezoidal rule; the
    other half is counted in `kick_and_drift`. Returns whether the particle touches anything. A position outside the box
    sets STATUS; nobody gets there without touching a wall before.
    """
    dt = gas.timestep
    x, y = particles.motion[i, X], particles.motion[i, Y]
    vx, vy = particles.motion[i, VX], particles.motion[i, VY]
    ax, ay, touches = pair_forces(i, x, y, step, gas, particles, workspace)
    at_wall = touches_wall(x, y, piston, gas)
    if at_wall:
        forces = wall_forces(x, y, piston, gas)
        fx, fy = total_wall_force(forces, gas)
        ax += fx
        ay += fy
        for wall in range(N_WALLS):
            particles.impulse[i, wall] += dt * forces[wall]
        particles.work[i] -= 0.5 * dt * shared_floats[PISTON_SPEED] * forces[RIGHT]
        if not is_inside(x, y, piston, gas):
            halt(LEFT_THE_BOX, i, shared)
    particles.accelerations[i, 0] = ax
    particles.accelerations[i, 1] = ay
    particles.motion[i, VX] = vx + 0.5 * dt * ax
    particles.motion[i, VY] = vy + 0.5 * dt * ay
    return touches or at_wall
