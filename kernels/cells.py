"""The cell list of one replica, on the device.

Cells are linked lists of entries: one exchange registers a particle, with no sort and no capacity per cell. A particle
that goes to another cell gets a new entry there; its old one stands for nobody, and stays until somebody else comes. A
rim of empty cells gives every cell eight neighbours.

Particles are registered at a window's start, and in a window when they cross into another cell. Those in contact follow
when their neighbours are listed. So no particle is ever further outside its cell than SLACK.
"""

from .forces import CONTACT_DISTANCE
from .replica import (
    CELL_HEIGHT,
    CELL_WIDTH,
    CELLS_FULL,
    CULPRIT,
    LEFT_THE_BOX,
    N_COLUMNS,
    N_ENTRIES,
    N_ROWS,
    NEIGHBOURS_FULL,
    NEWEST,
    NO_ENTRY,
    NOBODY,
    STATUS,
    WINDOW_END,
    X,
    Y,
    position_at,
)
from .targets import block_program, exchange, fetch_add, fetch_min, maximum, minimum
from .walls import is_inside

# Reach of the neighbour list of a particle in contact, beyond 2R. A contact lasts some 0.02 time units: with 0.4 R
# one search is enough for nearly all of them, and the lists stay as short as one or two particles.
SKIN = 0.4
# A particle in contact is registered anew before it has moved by half of the skin; a free one at most two steps after
# it has crossed, and two steps are shorter than that.
SLACK = 0.5 * SKIN
# Two particles within the reach of a neighbour list stand in the same or in adjacent cells.
SMALLEST_WIDTH = CONTACT_DISTANCE + SKIN + 2.0 * SLACK


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
def enter(i, column, row, entry, newest, shared, workspace):
    """Put particle `i` into a cell, as `entry`.

    Entries up to `newest`, which no lane is making now, are dropped from the head of the list if they stand for nobody.
    """
    workspace.cell[i, 0] = column
    workspace.cell[i, 1] = row
    workspace.entry[i] = entry
    workspace.member[entry] = i
    rest = exchange(workspace.cell_head, cell_at(column, row, shared), entry)
    while 0 < rest <= newest and workspace.member[rest] == NOBODY:
        rest = workspace.next_entry[rest]
    workspace.next_entry[entry] = rest


@block_program
def register(i, x, y, piston, gas, shared, shared_floats, workspace):
    """Put particle `i` at (x, y) into its cell, at a window's start; a position outside the box sets STATUS."""
    if not is_inside(x, y, piston, gas):
        shared[STATUS] = LEFT_THE_BOX
        shared[CULPRIT] = i
        return
    column, row = column_and_row(x, y, shared, shared_floats)
    enter(i, column, row, i + 1, NO_ENTRY, shared, workspace)


@block_program
def move(i, column, row, step, shared, workspace):
    """Take particle `i` to another cell. If entries are used up it stays, and the window ends at `step`.

    Cells must not be read before the next barrier.
    """
    entry = fetch_add(shared, N_ENTRIES, 1)
    if entry >= workspace.member.shape[0]:
        fetch_min(shared, WINDOW_END, step)
        return
    workspace.member[workspace.entry[i]] = NOBODY
    enter(i, column, row, entry, shared[NEWEST], shared, workspace)


@block_program
def follow(i, step, particles, shared, shared_floats, workspace):
    """Take particle `i`, at `step` where it stands in memory, to the cell that it has moved to, if it has."""
    column, row = column_and_row(particles.motion[i, X], particles.motion[i, Y], shared, shared_floats)
    if column != workspace.cell[i, 0] or row != workspace.cell[i, 1]:
        move(i, column, row, step, shared, workspace)


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
    for line in range(middle - stride, middle + stride + 1, stride):
        for cell in range(line - 1, line + 2):
            entry = workspace.cell_head[cell]
            while entry > 0:
                j = workspace.member[entry]
                if j != NOBODY and j != i:
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
                entry = workspace.next_entry[entry]
    workspace.n_neighbours[i] = n
