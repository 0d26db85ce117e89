"""One step of velocity Verlet for one particle: half kick and drift, force, half kick."""

from .forces import pair_force, wall_force
from .replica import (
    N_WALLS,
    PISTON_SPEED,
    RIGHT,
    SPEED_LIMIT,
    WINDOW_END,
    piston_at,
    position_at,
)
from .targets import block_program, fetch_min
from .walls import pair_touches, total_wall_force, touches_wall, wall_forces


@block_program
def half_kick(i, particles, dt):
    """v += a dt / 2."""
    particles.velocities[i, 0] += 0.5 * dt * particles.accelerations[i, 0]
    particles.velocities[i, 1] += 0.5 * dt * particles.accelerations[i, 1]


@block_program
def kick_and_drift(i, step, gas, particles, shared, shared_floats):
    """Take particle `i` from the step before to `step`; a speed over the window's limit ends the window here."""
    dt = gas.timestep
    if shared_floats[PISTON_SPEED] != 0.0:
        piston = piston_at(step - 1, shared, shared_floats, dt)
        force = wall_force(piston - particles.positions[i, 0], gas.stiffness)
        particles.work[i] -= 0.5 * dt * shared_floats[PISTON_SPEED] * force
    half_kick(i, particles, dt)
    vx, vy = particles.velocities[i, 0], particles.velocities[i, 1]
    particles.positions[i, 0] += dt * vx
    particles.positions[i, 1] += dt * vy
    particles.since[i] = step
    limit = shared_floats[SPEED_LIMIT]
    if not vx * vx + vy * vy <= limit * limit:
        fetch_min(shared, WINDOW_END, step)


@block_program
def update_acceleration(i, step, piston, gas, particles, workspace):
    """Set the acceleration of particle `i` at `step` (m = 1). Returns whether it touches anything."""
    x, y = position_at(particles, i, step, gas.timestep)
    ax, ay = 0.0, 0.0
    touches = False
    for m in range(workspace.n_neighbours[i]):
        other_x, other_y = position_at(particles, workspace.neighbours[i, m], step, gas.timestep)
        if pair_touches(x, y, other_x, other_y, gas):
            fx, fy = pair_force(x - other_x, y - other_y, gas.stiffness)
            ax += fx
            ay += fy
            touches = True
    if touches_wall(x, y, piston, gas):
        fx, fy = total_wall_force(wall_forces(x, y, piston, gas), gas)
        ax += fx
        ay += fy
        touches = True
    particles.accelerations[i, 0] = ax
    particles.accelerations[i, 1] = ay
    return touches


@block_program
def count_walls(i, piston, piston_speed, gas, particles):
    """Add what the walls give particle `i` in the step that ends now: impulse, and half of the piston's work.

    The piston does the work dW = -F v dt, by the trapezoidal rule; the other half is counted in `kick_and_drift`.
    """
    x, y = particles.positions[i, 0], particles.positions[i, 1]
    if touches_wall(x, y, piston, gas):
        forces = wall_forces(x, y, piston, gas)
        for wall in range(N_WALLS):
            particles.impulse[i, wall] += gas.timestep * forces[wall]
        particles.work[i] -= 0.5 * gas.timestep * piston_speed * forces[RIGHT]
