"""The cell list of one replica, on the device.

Cells are linked lists of particles: one exchange registers a particle, with no sort and no capacity per cell. A rim of
empty cells gives every cell eight neighbours.

Particles are registered at a window's start, and in a window when they cross into another cell; those in contact when
their neighbours are listed and when they are freed. Free ones may be late by half of what cells are wider than 2R, so
that many are dealt with at once: all lanes note who goes to another cell, then take these from list to list.
"""

from .forces import CONTACT_DISTANCE
from .replica import (
    CELL_HEIGHT,
    CELL_WIDTH,
    CELLS_FULL,
    LEFT_THE_BOX,
    N_COLUMNS,
    N_MOVERS,
    N_ROWS,
    NEIGHBOURS_FULL,
    NOBODY,
    STATUS,
    X,
    Y,
    halt,
    position_at,
)
from .targets import block_program, exchange, fetch_add, lowest_set_bit, maximum, minimum, warp_barrier
from .walls import is_inside

# Reach of the neighbour list of a particle in contact, beyond 2R. A contact lasts some 0.02 time units: with 0.3 R
# one search is enough for most of them while kT is about 1, and the lists stay as short as one or two particles.
SKIN = 0.3
# Who lists its neighbours is in its cell, and others are outside of theirs by the `slack` at most: so all within reach
# of the list are registered in that cell or next to it.
SMALLEST_WIDTH = CONTACT_DISTANCE + 2.0 * SKIN


@block_program
def shape_cells(shared, shared_floats, workspace, width, piston, height):
    """Choose cells of at least `width`; one thread calls it. Sets STATUS if the list has too few heads."""
    n_columns = maximum(1, int(piston / width))
    n_rows = maximum(1, int(height / width))
    shared[N_COLUMNS] = n_columns
    shared[N_ROWS] = n_rows
    shared_floats[CELL_WIDTH] = piston / n_columns
    shared_floats[CELL_HEIGHT] = height / n_rows
    if (n_columns + 2) * (n_rows + 2) > workspace.cell_head.shape[0]:
        shared[STATUS] = CELLS_FULL


@block_program
def slack(shared_floats):
    """How far outside of its cell a particle may be in this window.

    Two that are so far outside of cells that are not adjacent are 2R apart. Nobody leaves a cell that is smaller than
    SMALLEST_WIDTH: it is the only one along its axis.
    """
    width = maximum(SMALLEST_WIDTH, minimum(shared_floats[CELL_WIDTH], shared_floats[CELL_HEIGHT]))
    return 0.5 * (width - CONTACT_DISTANCE)


@block_program
def cell_at(column, row, shared):
    """Number of a cell; those of its neighbours differ by 1 in the row and by `row_stride` between rows."""
    return (row + 1) * row_stride(shared) + column + 1


@block_program
def row_stride(shared):
    """How far the numbers of two cells are apart, one above the other."""
    return shared[N_COLUMNS] + 2


@block_program
def cell_of(i, shared, workspace):
    """Number of the cell that particle `i` is registered in."""
    return cell_at(workspace.cell[i, 0], workspace.cell[i, 1], shared)


@block_program
def column_and_row(x, y, shared, shared_floats):
    """The cell that (x, y) lies in; the outermost ones reach to infinity, since the piston may go on."""
    column = minimum(maximum(int(x / shared_floats[CELL_WIDTH]), 0), shared[N_COLUMNS] - 1)
    row = minimum(maximum(int(y / shared_floats[CELL_HEIGHT]), 0), shared[N_ROWS] - 1)
    return column, row


@block_program
def assign(i, column, row, shared, workspace):
    """Set the cell of particle `i`, whose list it has yet to enter; returns the cell's number."""
    workspace.cell[i, 0] = column
    workspace.cell[i, 1] = row
    return cell_at(column, row, shared)


@block_program
def leave(i, cell, workspace):
    """Take particle `i` off the list of a cell; nobody else may change that list meanwhile."""
    j = workspace.cell_head[cell]
    if j == i:
        workspace.cell_head[cell] = workspace.next_in_cell[i]
        return
    while workspace.next_in_cell[j] != i:
        j = workspace.next_in_cell[j]
    workspace.next_in_cell[j] = workspace.next_in_cell[i]


@block_program
def enter(i, cell, workspace):
    """Put particle `i` at the head of a cell's list; others may do so too, but nobody may leave it meanwhile."""
    workspace.next_in_cell[i] = exchange(workspace.cell_head, cell, i)


@block_program
def register(i, x, y, piston, gas, shared, shared_floats, workspace):
    """Put particle `i` at (x, y) into its cell, at a window's start; a position outside the box sets STATUS."""
    if not is_inside(x, y, piston, gas):
        halt(LEFT_THE_BOX, i, shared)
        return
    column, row = column_and_row(x, y, shared, shared_floats)
    enter(i, assign(i, column, row, shared, workspace), workspace)


@block_program
def note(i, column, row, shared, workspace):
    """Note that particle `i` goes to another cell; `move` takes it there."""
    slot = fetch_add(shared, N_MOVERS, 1)
    workspace.mover[slot, 0] = i
    workspace.mover[slot, 1] = cell_of(i, shared, workspace)
    workspace.mover[slot, 2] = assign(i, column, row, shared, workspace)


@block_program
def follow(i, particles, shared, shared_floats, workspace):
    """Note particle `i`, which stands at the present step, if it has moved to another cell."""
    column, row = column_and_row(particles.motion[i, X], particles.motion[i, Y], shared, shared_floats)
    if column != workspace.cell[i, 0] or row != workspace.cell[i, 1]:
        note(i, column, row, shared, workspace)


@block_program
def move(lane, n_lanes, shared, workspace):
    """Take those that were noted to their cells; then lists may be read again.

    A cell's list is shortened by one lane, the number of which follows from the cell's. All lanes call it, after a
    barrier, and N_MOVERS is not written before the next: so all take the same branch.
    """
    n = shared[N_MOVERS]
    if n > 0:
        for slot in range(n):
            cell = workspace.mover[slot, 1]
            if cell % n_lanes == lane:
                leave(workspace.mover[slot, 0], cell, workspace)
        warp_barrier()
        for slot in range(lane, n, n_lanes):
            enter(workspace.mover[slot, 0], workspace.mover[slot, 2], workspace)
        warp_barrier()


@block_program
def cell_around(k, middle, stride):
    """Number of cell `k` of the nine around and at `middle`."""
    return middle + (k // 3 - 1) * stride + k % 3 - 1


@block_program
def occupied_around(middle, stride, workspace):
    """A number whose bit k is set if cell `k` of the nine around and at `middle` holds anybody.

    Few do, and a processor cannot foresee which: a loop over the bits branches less often than one over the cells.
    """
    occupied = 0
    for k in range(9):
        occupied |= int(workspace.cell_head[cell_around(k, middle, stride)] != NOBODY) << k
    return occupied


@block_program
def gather_neighbours(i, step, reach, particles, workspace, shared, timestep):
    """List in ascending order the particles within `reach` of particle `i` at `step`.

    Forces are summed in the order of this list, so that they depend neither on the order in which threads
    filled the cells nor on how far the list reaches. A full list sets STATUS.
    """
    x, y = position_at(particles, i, step, timestep)
    neighbours = workspace.neighbours[i]
    stride = row_stride(shared)
    middle = cell_of(i, shared, workspace)
    n = 0
    occupied = occupied_around(middle, stride, workspace)
    while occupied != 0:
        j = workspace.cell_head[cell_around(lowest_set_bit(occupied), middle, stride)]
        occupied &= occupied - 1
        while j != NOBODY:
            if j != i:
                other_x, other_y = position_at(particles, j, step, timestep)
                dx, dy = x - other_x, y - other_y
                if dx * dx + dy * dy < reach * reach:
                    if n == neighbours.shape[0]:
                        halt(NEIGHBOURS_FULL, i, shared)
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
