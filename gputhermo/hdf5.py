"""HDF5 files that are whole or not there, and of the format that is expected."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
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

    Raises OSError if it cannot be written.
    """
    with sealed(path) as new, new.open("w+b", buffering=0) as raw:
        output = Output(raw)
        try:
            with h5py.File(output, "w") as file:
                file.attrs["seal"] = np.bytes_(BLANK)
                yield file
        except (OSError, RuntimeError):  # HDF5 may miss what it believes to have written
            if output.error is None:
                raise
        if output.error is not None:
            raise output.error


class Output:
    """A file for h5py to write to, which seems to take all: the first error is kept.

    HDF5 cannot close a file that it cannot write, and h5py prints so, with tracebacks, whenever it forgets one of its
    objects.

    error  what the operating system said, None if all went well
    """

    def __init__(self, file: FileIO):
        self.error: OSError | None = None
        self._file = file
        self.read, self.readinto, self.seek, self.tell = file.read, file.readinto, file.seek, file.tell

    def write(self, data: Any) -> int:
        """Write bytes, or pretend to."""
        rest = memoryview(data).cast("B")
        while len(rest) and self.error is None:
            try:
                rest = rest[self._file.write(rest) :]
            except OSError as error:
                self.error = error
        return len(data)

    def truncate(self, size: int) -> int:
        """Make the file as long as this, or pretend to."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size

    def flush(self) -> None:
        """Nothing waits to be written."""
