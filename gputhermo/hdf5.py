"""HDF5 files that are whole or not there, and of the format that is expected."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .errors import InputError
from .seal import BLANK, check_seal, sealed


def open_file(path: str | Path, file_format: str, newest: int) -> h5py.File:
    """The file, opened for reading; InputError if its format is not `file_format`, of version `newest` or older.

    The attributes format and format_version of a file say so.
    """
    file = open_whole(path)
    said = attributes(file)
    version = said.get("format_version")
    if said.get("format") != file_format or not isinstance(version, int):
        file.close()
        raise InputError(f"file = {str(path)!r} is not a {file_format} file")
    if version > newest:
        file.close()
        raise InputError(f"file = {str(path)!r} has format version {version}; this gputhermo reads up to {newest}")
    return file


def attributes(file: h5py.File) -> dict[str, Any]:
    """The attributes of a file that are a number or a text, as Python's; whoever made it may have put others there."""
    found = {}
    for name in file.attrs:
        try:
            value = file.attrs[name]
        except (OSError, TypeError, ValueError):  # of a type that NumPy does not have
            continue
        if isinstance(value, str | np.generic):
            found[name] = value.item() if isinstance(value, np.generic) else value
    return found


def open_whole(path: str | Path) -> h5py.File:
    """A file that `new_file` made, opened for reading; InputError if it is not there, another one or damaged."""
    check_seal(Path(path))
    try:
        return h5py.File(path, "r")
    except OSError as error:
        reason = f"cannot be read: {error.strerror}" if error.strerror else "is not an HDF5 file"
        raise InputError(f"file = {str(path)!r} {reason}") from None


@contextmanager
def new_file(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to write: it is at `path`, whole and sealed, once the block has ended, or not at all.

    Raises OSError if it cannot be written; h5py gives what the operating system said as text only.
    """
    try:
        with sealed(path) as new, h5py.File(new, "w") as file:
            file.attrs["seal"] = np.bytes_(BLANK)
            yield file
    except (OSError, RuntimeError) as error:
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
