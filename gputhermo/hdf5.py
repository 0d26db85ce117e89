"""HDF5 files that are whole or not there, and of the format that is expected."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from .errors import InputError
from .outfile import replaced


def open_file(path: str | Path, file_format: str, newest: int) -> h5py.File:
    """The file, opened for reading; InputError if its format is not `file_format`, of version `newest` or older.

    The attributes format and format_version of a file say so.
    """
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise InputError(f"file = {str(path)!r} does not exist") from None
    except OSError as error:
        reason = f"cannot be read: {error.strerror}" if error.strerror else "is not an HDF5 file, or a damaged one"
        raise InputError(f"file = {str(path)!r} {reason}") from None
    if file.attrs.get("format") != file_format:
        file.close()
        raise InputError(f"file = {str(path)!r} is not a {file_format} file")
    version = int(file.attrs["format_version"])
    if version > newest:
        file.close()
        raise InputError(f"file = {str(path)!r} has format version {version}; this gputhermo reads up to {newest}")
    return file


@contextmanager
def new_file(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to write: it is at `path` whole once the block has ended, or not at all.

    Raises OSError if it cannot be written; h5py gives what the operating system said as text only.
    """
    try:
        with replaced(path) as new, h5py.File(new, "w") as file:
            yield file
    except (OSError, RuntimeError) as error:
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
