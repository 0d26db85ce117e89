"""Initial states: particles that do not overlap, by random sequential addition, with Maxwell velocities.

Random sequential addition in rounds: in each round every particle without a place proposes one, anywhere in the box. It
is accepted if it overlaps no particle placed in an earlier round, and no proposal of a lower-indexed particle of this
round, accepted or not. So a particle's fate depends on the proposals alone and not on the order in which threads look.

All random numbers are addressed by (seed, stream, particle, attempt): a replica's initial state is the same in any
batch and with any number of threads.
"""

import math
from collections import namedtuple

from numba import cuda

from .forces import CONTACT_DISTANCE_SQUARED, RADIUS
from .philox import normal_pair, uniform_pair
from .record import total
from .replica import N_LANES
from .targets import barrier, block_program, exchange, fetch_add, kernel, maximum, minimum
from .walls import touches_wall

# Draw: what one replica is to be.
#   n_particles         int     rows beyond are padding
#   length, height      float   Lx, Ly
#   partition_axis      int     NO_PARTITION, or 0 / 1 for a fixed wall at constant x / y
#   partition_position  float   where that wall stands
#   temperature         float   variance of each velocity component
#   kinetic_energy      float   velocities are scaled to it; negative to leave them as drawn
#   seed, stream        int     the key and one counter word of the random numbers; stream < 2^32
#   n_cells_x, n_cells_y  int   cells of the search, each at least 2R wide; they do not change the result
#   n_rounds            int     no more rounds than this
Draw = namedtuple(
    "Draw",
    [
        "n_particles",
        "length",
        "height",
        "partition_axis",
        "partition_position",
        "temperature",
        "kinetic_energy",
        "seed",
        "stream",
        "n_cells_x",
        "n_cells_y",
        "n_rounds",
    ],
)

# Scratch: nothing in it outlives the launch.
#   head       int32   [2, n_cells]  first of the PLACED and of the PROPOSED particles of each cell, -1 if none
#   next       int32   [n]           linked list of either, -1 at its end
#   cell       int32   [n]           where its last proposal lies
#   accepted   int32   [n]           whether that was accepted
#   waiting    int32   [2, n]        the particles without a place, and room for the next such list
#   n_waiting  int32   [1]           their number
#   partial    float64 [N_LANES, 1]  partial sums of the kinetic energy
Scratch = namedtuple("Scratch", ["head", "next", "cell", "accepted", "waiting", "n_waiting", "partial"])
PLACED, PROPOSED = 0, 1

# The last counter word says what a number is for.
POSITION, VELOCITY = 0, 1


@block_program
def draw_of(draws, r):
    """What replica `r` is to be."""
    return Draw(
        draws.n_particles[r],
        draws.length[r],
        draws.height[r],
        draws.partition_axis[r],
        draws.partition_position[r],
        draws.temperature[r],
        draws.kinetic_energy[r],
        int(draws.seed[r]),
        int(draws.stream[r]),
        draws.n_cells_x[r],
        draws.n_cells_y[r],
        draws.n_rounds[r],
    )


@block_program
def scratch_of(scratch, r):
    """The scratch of replica `r`."""
    return Scratch(
        scratch.head[r],
        scratch.next[r],
        scratch.cell[r],
        scratch.accepted[r],
        scratch.waiting[r],
        scratch.n_waiting[r],
        scratch.partial[r],
    )


@block_program
def place(thread, n_threads, draw, positions, velocities, n_placed, r, scratch):
    """Draw the initial state of replica `r`.

    One block owns it. Written: its positions and velocities, scratch, and `n_placed[r]`; if that is less than the
    number of particles, the rounds ran out.
    """
    n_waiting = place_all(thread, n_threads, draw, positions, scratch)
    if thread == 0:
        n_placed[r] = draw.n_particles - n_waiting
    draw_velocities(thread, n_threads, draw, velocities)
    if draw.kinetic_energy >= 0.0:
        barrier()
        scale_velocities(thread, n_threads, draw, velocities, scratch.partial)


@block_program
def place_all(thread, n_threads, draw, positions, scratch):
    """Random sequential addition in rounds; the number of particles left without a place, the same for all threads."""
    for cell in range(thread, draw.n_cells_x * draw.n_cells_y, n_threads):
        scratch.head[PLACED, cell] = -1
        scratch.head[PROPOSED, cell] = -1
    for i in range(thread, draw.n_particles, n_threads):
        scratch.waiting[0, i] = i
    barrier()
    n_waiting = draw.n_particles
    attempt = 0
    while n_waiting > 0 and attempt < draw.n_rounds:
        waiting, still_waiting = scratch.waiting[attempt % 2], scratch.waiting[(attempt + 1) % 2]
        for slot in range(thread, n_waiting, n_threads):
            propose(int(waiting[slot]), attempt, draw, positions, scratch)
        if thread == 0:
            scratch.n_waiting[0] = 0
        barrier()
        for slot in range(thread, n_waiting, n_threads):
            i = waiting[slot]
            accepted = is_acceptable(i, draw, positions, scratch)
            scratch.accepted[i] = accepted
            if not accepted:
                still_waiting[fetch_add(scratch.n_waiting, 0, 1)] = i
        barrier()
        for slot in range(thread, n_waiting, n_threads):
            i = waiting[slot]
            cell = scratch.cell[i]
            scratch.head[PROPOSED, cell] = -1
            if scratch.accepted[i]:
                scratch.next[i] = exchange(scratch.head[PLACED], cell, i)
        n_waiting = scratch.n_waiting[0]
        attempt += 1
        barrier()
    return n_waiting


@block_program
def propose(i, attempt, draw, positions, scratch):
    """Put particle `i` anywhere between the outer walls, and on the list of proposals."""
    u, v = uniform_pair(i, attempt, draw.stream, POSITION, draw.seed)
    x = RADIUS + u * (draw.length - 2.0 * RADIUS)
    y = RADIUS + v * (draw.height - 2.0 * RADIUS)
    positions[i, 0] = x
    positions[i, 1] = y
    cell_x = minimum(int(x / draw.length * draw.n_cells_x), draw.n_cells_x - 1)
    cell_y = minimum(int(y / draw.height * draw.n_cells_y), draw.n_cells_y - 1)
    scratch.cell[i] = cell_y * draw.n_cells_x + cell_x
    scratch.next[i] = exchange(scratch.head[PROPOSED], scratch.cell[i], i)


@block_program
def is_acceptable(i, draw, positions, scratch):
    """Whether the proposal of particle `i` touches no wall, no placed particle and no proposal of a lower index.

    The conditions are those of the engine's forces: a state so drawn has no potential energy at all.
    """
    x, y = positions[i, 0], positions[i, 1]
    if touches_wall(x, y, draw.length, draw):
        return False
    n_x = draw.n_cells_x
    cell_y, cell_x = scratch.cell[i] // n_x, scratch.cell[i] % n_x
    for row in range(maximum(cell_y - 1, 0), minimum(cell_y + 2, draw.n_cells_y)):
        for column in range(maximum(cell_x - 1, 0), minimum(cell_x + 2, n_x)):
            for kind in range(2):
                j = scratch.head[kind, row * n_x + column]
                while j >= 0:
                    dx, dy = x - positions[j, 0], y - positions[j, 1]
                    if (kind == PLACED or j < i) and dx * dx + dy * dy < CONTACT_DISTANCE_SQUARED:
                        return False
                    j = scratch.next[j]
    return True


@block_program
def draw_velocities(thread, n_threads, draw, velocities):
    """Maxwell's distribution: each component normal with variance T."""
    thermal_speed = math.sqrt(draw.temperature)
    for i in range(thread, draw.n_particles, n_threads):
        vx, vy = normal_pair(i, 0, draw.stream, VELOCITY, draw.seed)
        velocities[i, 0] = thermal_speed * vx
        velocities[i, 1] = thermal_speed * vy


@block_program
def scale_velocities(thread, n_threads, draw, velocities, partial):
    """Scale all velocities by one factor, so that the kinetic energy is the one asked for."""
    for lane in range(thread, N_LANES, n_threads):
        partial[lane, 0] = 0.0
        for i in range(lane, draw.n_particles, N_LANES):
            partial[lane, 0] += 0.5 * (velocities[i, 0] * velocities[i, 0] + velocities[i, 1] * velocities[i, 1])
    barrier()
    drawn_energy = total(partial, 0)
    if drawn_energy > 0.0:
        scale = math.sqrt(draw.kinetic_energy / drawn_energy)
        for i in range(thread, draw.n_particles, n_threads):
            velocities[i, 0] *= scale
            velocities[i, 1] *= scale


@block_program
def place_on_cpu(r, draws, positions, velocities, n_placed, scratch):
    """Draw the initial state of replica `r` on the calling thread; arguments as for `place_on_cuda`."""
    place(0, 1, draw_of(draws, r), positions[r], velocities[r], n_placed, r, scratch_of(scratch, r))


@kernel
def place_on_cuda(order, draws, positions, velocities, n_placed, scratch):
    """Draw the initial states of the replicas `order`, one block each.

    `draws` and `scratch`: Draw and Scratch with a leading replica axis on every array. Written: positions and
    velocities float64 [n_replicas, n_max, 2], n_placed int64 [n_replicas], scratch.
    """
    r = order[cuda.blockIdx.x]
    place(
        cuda.threadIdx.x,
        cuda.blockDim.x,
        draw_of(draws, r),
        positions[r],
        velocities[r],
        n_placed,
        r,
        scratch_of(scratch, r),
    )
