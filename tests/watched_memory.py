"""Memory that notes every access of every thread of a block, and tells which of them are faults.

These are

- an access outside of all arrays;
- two accesses to the same memory by two threads that no barrier puts in order, one of which is a plain write (of
  something that is not there already), or, in the block's shared memory, a plain read beside an atomic access.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import carray, cfunc, njit

WARP = 32
MAX_THREADS = 2 * WARP
"""Of a block: the record of accesses has bits for two warps."""
REDZONE = 256
"""Bytes around each array that no kernel may touch."""
MAX_FAULTS = 100

# The record of accesses: numbers about the machine ...
READ, WRITE, ATOMIC, NOTHING = range(4)
(
    ORIGIN,  # address of the first cell of memory
    GRANULE,  # bytes of a cell
    N_CELLS,
    N_SHARED,  # those before this one are the block's shared memory
    THREAD,  # who runs
    BLOCK_EPOCH,  # barriers that the block has come to
    WARP_EPOCH,  # barriers that the warp of this thread has come to
    N_FAULTS,
    FIRST_FAULT,
) = range(9)
FAULT = 5  # kind of access, line of PTX, address, this thread, the other one or -1 if there is no such memory
# ... and about each cell: whether it is anybody's; then, for each kind, the block's epoch of the latest access and, for
# each of two warps, the warp's epoch of its latest, who did it since the block's barrier, and who since the warp's.
N_KINDS, PER_KIND = 3, 7
ROW = 1 + N_KINDS * PER_KIND


@njit
def who_else(state, cell, kind, is_shared):
    """A thread whose access to the cell and this one are not in order, -1 if there is none."""
    for other in range(N_KINDS):
        matters = WRITE in (kind, other) or (is_shared and kind != other)
        if matters and cell[other, 0] == state[BLOCK_EPOCH]:
            for warp in range(2):
                who = cell[other, 3 + warp]
                if warp == state[THREAD] // WARP:
                    who = cell[other, 5 + warp] if cell[other, 1 + warp] == state[WARP_EPOCH] else 0
                    who &= ~(1 << state[THREAD] % WARP)
                for lane in range(WARP):
                    if who >> lane & 1:
                        return WARP * warp + lane
    return -1


@njit
def remember(state, accesses):
    """Add this thread to those that have accessed a cell in this way."""
    warp, bit = state[THREAD] // WARP, 1 << state[THREAD] % WARP
    if accesses[0] != state[BLOCK_EPOCH]:
        accesses[0] = state[BLOCK_EPOCH]
        accesses[1:] = 0
    if accesses[1 + warp] != state[WARP_EPOCH]:
        accesses[1 + warp] = state[WARP_EPOCH]
        accesses[5 + warp] = 0
    accesses[3 + warp] |= bit
    accesses[5 + warp] |= bit


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
        if number < 0 or number >= state[N_CELLS] or cells[number, 0] == 0:
            note_fault(state, kind, line, address, -1)
            return 0
        if kind != NOTHING:
            cell = cells[number, 1:].reshape(N_KINDS, PER_KIND)
            other = who_else(state, cell, kind, number < state[N_SHARED])
            if other >= 0:
                note_fault(state, kind, line, address, other)
            remember(state, cell[kind])
    return 1


FAULTS = "a read beside a write", "a write beside another access", "an atomic access beside a write"


@dataclass(frozen=True)
class Fault:
    """What a GPU keeps to itself."""

    what: str
    """One of FAULTS, or "no such memory"."""
    place: str
    """Array and byte; empty outside of all."""
    threads: tuple[int, int]
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
        self._end = REDZONE

    def add(self, name: str, content: np.ndarray) -> int:
        """Take in an array's bytes; returns the address."""
        start, stop = self._end, self._end + content.nbytes
        self._end = -(-stop // REDZONE) * REDZONE + REDZONE
        if self._end > len(self.bytes):
            raise RuntimeError(f"{name} finds no room in {len(self.bytes)} bytes")
        self.bytes[start:stop] = content.reshape(-1).view(np.uint8)
        granule = self.state[GRANULE]
        self.cells[start // granule : -(-stop // granule), 0] = 1
        self.places[name] = slice(start, stop)
        return int(self.state[ORIGIN]) + start

    def share(self) -> None:
        """Let what has been added so far be the block's shared memory."""
        self.state[N_SHARED] = self._end // self.state[GRANULE]

    def remove(self, name: str) -> np.ndarray:
        """Forget the array that was added last, and all that was known of its cells; returns its bytes."""
        place = self.places.pop(name)
        self.cells[place.start // self.state[GRANULE] :] = 0
        self._end = place.start
        return self.bytes[place]

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
            what = FAULTS[kind] if other >= 0 else "no such memory"
            found.setdefault(line, Fault(what, self.whose(address), (thread, other), instructions[line].strip()))
        self.state[N_FAULTS] = 0
        return list(found.values())
