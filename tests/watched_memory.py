"""Memory that notes every access of every thread, and tells which of them are faults.

These are

- an access outside of all arrays;
- two accesses to the same memory by two threads of a block that no barrier puts in order, one of which is a plain
  write, or, in the block's shared memory, a plain read beside an atomic access;
- an access to what another block has written, or a write to what another block has read.

A write of what is there already may stand beside other plain accesses: whoever comes first, all see the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import carray, cfunc, njit

WARP = 32
N_WARPS = 4
"""That a block may have."""
REDZONE = 256
"""Bytes around each array that no kernel may touch."""
MAX_FAULTS = 100

READ, WRITE, ATOMIC, SAME = range(4)
"""Of accesses; SAME writes what is there already."""
NOTHING = -1
"""No access; asks whether there is such memory."""

# The record of accesses: numbers about the machine ...
(
    ORIGIN,  # address of the first cell of memory
    GRANULE,  # bytes of a cell
    N_CELLS,
    N_SHARED,  # those before this one are the block's shared memory
    BLOCK,  # who runs: a block, from 1 on ...
    THREAD,  # ... and a thread of it
    BLOCK_EPOCH,  # barriers that the block has come to
    WARP_EPOCH,  # barriers that the warp of this thread has come to
    N_FAULTS,
    FIRST_FAULT,
) = range(10)
FAULT = 5  # kind of access, line of PTX, address, this thread; another one, ANOTHER_BLOCK or NO_MEMORY
ANOTHER_BLOCK, NO_MEMORY = -1, -2
MANY = 2**32 - 1  # blocks
# ... and about each cell: whether it is anybody's; the block that last wrote to it and the one that last read it;
ALLOCATED, WRITTEN_BY, READ_BY, FIRST_KIND = range(4)
# then, for each kind of access, the block's epoch of the latest and, for each warp, its epoch of its latest and who did
# it, one bit a lane, since the block's barrier and since the warp's.
EPOCH, WARP_EPOCHS, SINCE_BLOCK, SINCE_WARP = 0, 1, 1 + N_WARPS, 1 + 2 * N_WARPS
PER_KIND = 1 + 3 * N_WARPS
N_KINDS = 4
ROW = FIRST_KIND + N_KINDS * PER_KIND


@njit
def clash(kind, other, is_shared):
    """Whether an access of this kind has to be in order with another one that was noted before."""
    if kind == WRITE:
        return True
    if other == WRITE:
        return kind != SAME
    return kind != other and ATOMIC in (kind, other) and (is_shared or READ not in (kind, other))


@njit
def who_else(state, cell, kind, is_shared):
    """A thread of this block whose access to the cell and this one are not in order, NOTHING if there is none."""
    for other in range(N_KINDS):
        accesses = cell[FIRST_KIND + other * PER_KIND :]
        if clash(kind, other, is_shared) and accesses[EPOCH] == state[BLOCK_EPOCH]:
            for warp in range(N_WARPS):
                who = accesses[SINCE_BLOCK + warp]
                if warp == state[THREAD] // WARP:
                    is_now = accesses[WARP_EPOCHS + warp] == state[WARP_EPOCH]
                    who = accesses[SINCE_WARP + warp] & ~(1 << state[THREAD] % WARP) if is_now else 0
                for lane in range(WARP):
                    if who >> lane & 1:
                        return WARP * warp + lane
    return NOTHING


@njit
def remember(state, accesses):
    """Add this thread to those that have accessed a cell in this way."""
    warp, bit = state[THREAD] // WARP, 1 << state[THREAD] % WARP
    if accesses[EPOCH] != state[BLOCK_EPOCH]:
        accesses[:PER_KIND] = 0
        accesses[EPOCH] = state[BLOCK_EPOCH]
    if accesses[WARP_EPOCHS + warp] != state[WARP_EPOCH]:
        accesses[WARP_EPOCHS + warp] = state[WARP_EPOCH]
        accesses[SINCE_WARP + warp] = 0
    accesses[SINCE_BLOCK + warp] |= bit
    accesses[SINCE_WARP + warp] |= bit


@njit
def is_anothers(state, cell, kind):
    """Whether another block has written to the cell, or read what is written now; from now on this block has, too."""
    block, written_by, read_by = state[BLOCK], cell[WRITTEN_BY], cell[READ_BY]
    if kind == READ:
        cell[READ_BY] = block if read_by == 0 or read_by == block else MANY
        return written_by != 0 and written_by != block
    cell[WRITTEN_BY] = block
    return (written_by != 0 and written_by != block) or (read_by != 0 and read_by != block)


@njit
def note_fault(state, kind, line, address, other):
    """Note a fault, if there is room."""
    if state[N_FAULTS] < MAX_FAULTS:
        fault = FIRST_FAULT + FAULT * state[N_FAULTS]
        state[fault : fault + FAULT] = kind, line, address, state[THREAD], other
        state[N_FAULTS] += 1


@cfunc("int64(CPointer(int64), CPointer(uint32), int64, int64, int64, int64)")
def note_access(state_pointer, cell_pointer, address, n_bytes, kind, line):
    """Note an access, and whether it is a fault; returns 0 if there is no such memory."""
    state = carray(state_pointer, (FIRST_FAULT + FAULT * MAX_FAULTS,))
    cells = carray(cell_pointer, (state[N_CELLS], ROW))
    first = (address - state[ORIGIN]) // state[GRANULE]
    last = (address + n_bytes - 1 - state[ORIGIN]) // state[GRANULE]
    for number in range(first, last + 1):
        if number < 0 or number >= state[N_CELLS] or cells[number, ALLOCATED] == 0:
            note_fault(state, kind, line, address, NO_MEMORY)
            return 0
        if kind != NOTHING:
            cell, is_shared = cells[number], number < state[N_SHARED]
            other = who_else(state, cell, kind, is_shared)
            if other != NOTHING:
                note_fault(state, kind, line, address, other)
            if not is_shared and is_anothers(state, cell, kind):
                note_fault(state, kind, line, address, ANOTHER_BLOCK)
            remember(state, cell[FIRST_KIND + kind * PER_KIND :])
    return 1


FAULTS = {
    READ: "a read beside a write",
    WRITE: "a write beside another access",
    ATOMIC: "an atomic access beside a plain one",
    SAME: "a write of what is there beside an atomic access",
}


@dataclass(frozen=True)
class Fault:
    """What a GPU keeps to itself."""

    what: str
    """One of FAULTS, "another block's memory" or "no such memory"."""
    place: str
    """Array and byte; empty outside of all."""
    threads: tuple[int, int]
    """That of this access, and the other one; the latter negative if there is none in this block."""
    instruction: str
    """Of PTX."""


class Memory:
    """Room for arrays, side by side, each between strips that belong to nobody; and the record of who went there."""

    def __init__(self, capacity: int, granule: int):
        """`granule` is the size in bytes of the cells that accesses are followed in."""
        self.bytes = np.zeros(capacity, dtype=np.uint8)
        self.state = np.zeros(FIRST_FAULT + FAULT * MAX_FAULTS, dtype=np.int64)
        self.cells = np.zeros((capacity // granule, ROW), dtype=np.uint32)
        self.state[[ORIGIN, GRANULE, N_CELLS]] = self.bytes.ctypes.data, granule, len(self.cells)
        self.places: dict[str, slice] = {}
        self._shared: list[slice] = []
        self._end = REDZONE

    def add(self, name: str, content: np.ndarray) -> int:
        """Take in an array's bytes; returns the address."""
        start, stop = self._end, self._end + content.nbytes
        self._end = -(-stop // REDZONE) * REDZONE + REDZONE
        if self._end > len(self.bytes):
            raise RuntimeError(f"{name} finds no room in {len(self.bytes)} bytes")
        self.bytes[start:stop] = content.reshape(-1).view(np.uint8)
        self.places[name] = slice(start, stop)
        self._cells_of(name)[:, ALLOCATED] = 1
        return int(self.state[ORIGIN]) + start

    def share(self) -> None:
        """Let what has been added so far be the block's shared memory."""
        self._shared = list(self.places.values())
        self.state[N_SHARED] = self._end // self.state[GRANULE]

    def scramble(self, rng: np.random.Generator) -> None:
        """Let shared memory hold what it happens to hold when a block begins."""
        for place in self._shared:
            self.bytes[place] = rng.integers(0, 256, place.stop - place.start, dtype=np.uint8)

    def remove(self, name: str) -> np.ndarray:
        """Forget the array that was added last, and all that was known of its cells; returns its bytes."""
        self._cells_of(name)[:] = 0
        place = self.places.pop(name)
        self._end = place.start
        return self.bytes[place]

    def _cells_of(self, name: str) -> np.ndarray:
        place, granule = self.places[name], self.state[GRANULE]
        return self.cells[place.start // granule : -(-place.stop // granule)]

    def whose(self, address: int) -> str:
        """Which array an address is in, and which byte of it."""
        offset = address - int(self.state[ORIGIN])
        for name, place in self.places.items():
            if place.start <= offset < place.stop:
                return f"{name}, byte {offset - place.start}"
        return ""

    def take_faults(self, instructions: Sequence[str]) -> list[Fault]:
        """The first fault at each instruction since the last call; `instructions` are what lines are numbers of."""
        found: dict[int, Fault] = {}
        rows = self.state[FIRST_FAULT:].reshape(-1, FAULT)[: self.state[N_FAULTS]]
        for kind, line, address, thread, other in rows.tolist():
            what = {ANOTHER_BLOCK: "another block's memory", NO_MEMORY: "no such memory"}.get(other) or FAULTS[kind]
            found.setdefault(line, Fault(what, self.whose(address), (thread, other), instructions[line].strip()))
        self.state[N_FAULTS] = 0
        return list(found.values())
