"""The walls of one replica: four outer ones, the right one being the piston, and a fixed partition if there is one."""

from .forces import CONTACT_DISTANCE_SQUARED, RADIUS, wall_energy, wall_force
from .replica import NO_PARTITION
from .targets import block_program, minimum


@block_program
def partition_distance(x, y, gas):
    """Signed distance from the partition (negative on its low side); far away if there is none."""
    if gas.partition_axis == NO_PARTITION:
        return 2.0 * RADIUS
    if gas.partition_axis == 0:
        return x - gas.partition_position
    return y - gas.partition_position


@block_program
def pair_touches(x, y, other_x, other_y, gas):
    """Whether two particles are closer than 2R, and on the same side of the partition: nothing acts through it."""
    dx, dy = x - other_x, y - other_y
    if not dx * dx + dy * dy < CONTACT_DISTANCE_SQUARED:
        return False
    if gas.partition_axis == NO_PARTITION:
        return True
    return (partition_distance(x, y, gas) < 0.0) == (partition_distance(other_x, other_y, gas) < 0.0)


@block_program
def is_inside(x, y, piston, gas):
    """Whether (x, y) lies in the box."""
    return 0.0 <= x <= piston and 0.0 <= y <= gas.height


@block_program
def touches_wall(x, y, piston, gas):
    """Whether any wall acts on a particle at (x, y)."""
    return (
        x < RADIUS
        or piston - x < RADIUS
        or y < RADIUS
        or gas.height - y < RADIUS
        or abs(partition_distance(x, y, gas)) < RADIUS
    )


@block_program
def wall_forces(x, y, piston, gas):
    """Magnitudes of the forces of the left, right, bottom and top wall and of the partition's low and high face."""
    s = partition_distance(x, y, gas)
    low = wall_force(-s, gas.stiffness) if s < 0.0 else 0.0
    high = wall_force(s, gas.stiffness) if s >= 0.0 else 0.0
    return (
        wall_force(x, gas.stiffness),
        wall_force(piston - x, gas.stiffness),
        wall_force(y, gas.stiffness),
        wall_force(gas.height - y, gas.stiffness),
        low,
        high,
    )


@block_program
def total_wall_force(forces, gas):
    """The force (fx, fy) that the six magnitudes of `wall_forces` add up to."""
    left, right, bottom, top, low, high = forces
    fx = left - right
    fy = bottom - top
    if gas.partition_axis == 0:
        fx += high - low
    elif gas.partition_axis == 1:
        fy += high - low
    return fx, fy


@block_program
def walls_energy(x, y, piston, gas):
    """Energy of a particle at (x, y) in the field of all walls."""
    return (
        wall_energy(x, gas.stiffness)
        + wall_energy(piston - x, gas.stiffness)
        + wall_energy(y, gas.stiffness)
        + wall_energy(gas.height - y, gas.stiffness)
        + wall_energy(abs(partition_distance(x, y, gas)), gas.stiffness)
    )


@block_program
def time_to_wall(x, y, vx, vy, piston, piston_speed, gas):
    """Time until a free particle comes within R of a wall; infinite if it never does."""
    soonest = 1e300
    if vx < 0.0:
        soonest = minimum(soonest, (x - RADIUS) / -vx)
    if vx > piston_speed:
        soonest = minimum(soonest, (piston - RADIUS - x) / (vx - piston_speed))
    if vy < 0.0:
        soonest = minimum(soonest, (y - RADIUS) / -vy)
    elif vy > 0.0:
        soonest = minimum(soonest, (gas.height - RADIUS - y) / vy)
    if gas.partition_axis != NO_PARTITION:
        s = partition_distance(x, y, gas)
        v = vx if gas.partition_axis == 0 else vy
        if s * v < 0.0:
            soonest = minimum(soonest, (abs(s) - RADIUS) / abs(v))
    return soonest
