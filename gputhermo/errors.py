"""Errors that a user can cause or should hear of."""

import re

NO_MEMORY = re.compile(
    "out of memory|can't allocate memory|bad_alloc|could not create a primitive$|can't start new thread|"
    "unable to allocate|cannot allocate memory|memory allocation failed|can't allocate|"
    "_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
"""What torch and its libraries, HDF5, CuPy and Python say in other errors than MemoryError when there is none left."""


class InputError(ValueError):
    """A user's mistake; the message is one line that names the field, its value and what is allowed."""


def out_of_memory(error: BaseException) -> bool:
    """Whether that is what an error says."""
    return isinstance(error, MemoryError) or bool(NO_MEMORY.search(str(error)))


class Stopped(Exception):
    """A run was asked to stop, and left a state that it can be resumed from."""


class Interrupted(Exception):
    """A signal stopped a command, which has said how to go on.

    exit_code  128 + the signal's number, as the shell has it
    """

    def __init__(self, exit_code: int):
        super().__init__(exit_code)
        self.exit_code = exit_code


class SimulationError(RuntimeError):
    """A simulation reached a state that physics forbids; the message names replica and step."""
