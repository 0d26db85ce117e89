"""The cell list of one replica, rebuilt on the device at the start of every window.

Cells are linked lists: one exchange a particle builds them, with no sort and no capacity per cell. They hold the
positions at the window's start. In a window no particle moves further than half of (cell width - 2R), so whatever
comes into contact in it stood in the same or in adjacent cells at its start.
"""

import math

from .replica import (
    CELL_WIDTH_X,
    CELL_WIDTH_Y,
    CELLS_FULL,
    CULPRIT,
    LEFT_THE_BOX,
    N_CELLS_X,
    N_CELLS_Y,
    NEIGHBOURS_FULL,
    STATUS,
    position_at,
)
from .targets import block_program, exchange, maximum, minimum

# Reach of the neighbour list of a particle in contact, beyond 2R. A contact lasts some 0.02 time units: with 0.4 R
# one search is enough for nearly all of them, and the lists stay as short as one or two particles.
SKIN = 0.4


@block_program
def shape_cells(shared, shared_floats, workspace, width, piston, height):
    """Choose cells of at least `width`; one thread calls it. Sets STATUS if the list has too few heads."""
    n_x = maximum(1, int(piston / width))
    n_y = maximum(1, int(height / width))
    shared[N_CELLS_X] = n_x
    shared[N_CELLS_Y] = n_y
    shared_floats[CELL_WIDTH_X] = piston / n_x
    shared_floats[CELL_WIDTH_Y] = height / n_y
    if n_x * n_y > workspace.cell_head.shape[0]:
        shared[STATUS] = CELLS_FULL


@block_program
def insert(i, x, y, shared, shared_floats, workspace):
    """Put particle `i` at (x, y) into its cell; a position outside the box sets STATUS."""
    cell_x = int(math.floor(x / shared_floats[CELL_WIDTH_X]))
    cell_y = int(math.floor(y / shared_floats[CELL_WIDTH_Y]))
    if not (0 <= cell_x < shared[N_CELLS_X] and 0 <= cell_y < shared[N_CELLS_Y]):
        shared[STATUS] = LEFT_THE_BOX
        shared[CULPRIT] = i
        workspace.cell[i] = -1
        return
    cell = cell_y * shared[N_CELLS_X] + cell_x
    workspace.cell[i] = cell
    workspace.next_in_cell[i] = exchange(workspace.cell_head, cell, i)


@block_program
def gather_neighbours(i, step, reach, particles, workspace, shared, timestep):
    """List in ascending order the particles within `reach` of particle `i` at `step`.

    Forces are summed in the order of this list, so that they depend neither on the order in which threads
    filled the cells nor on how far the list reaches. A full list sets STATUS.
    """
    n_x, n_y = shared[N_CELLS_X], shared[N_CELLS_Y]
    x, y = position_at(particles, i, step, timestep)
    cell_y, cell_x = workspace.cell[i] // n_x, workspace.cell[i] % n_x
    neighbours = workspace.neighbours[i]
    n = 0
    for row in range(maximum(cell_y - 1, 0), minimum(cell_y + 2, n_y)):
        for column in range(maximum(cell_x - 1, 0), minimum(cell_x + 2, n_x)):
            j = workspace.cell_head[row * n_x + column]
            while j >= 0:
                if j != i:
                    other_x, other_y = position_at(particles, j, step, timestep)
                    dx, dy = x - other_x, y - other_y
                    if dx * dx + dy * dy < reach * reach:
                        if n == neighbours.shape[0]:
                            shared[STATUS] = NEIGHBOURS_FULL
                            shared[CULPRIT] = i
                            workspace.n_neighbours[i] = n
                            return
                        place = n
                        while place > 0 and neighbours[place - 1] > j:
                            neighbours[place] = neighbours[place - 1]
                            place -= 1
                        neighbours[place] = j
                        n += 1
                j = workspace.next_in_cell[j]
    workspace.n_neighbours[i] = n
