"""Output that is safe: files that are there whole or not at all, folders that one process works in."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path to write to: its content is at `path`, and on the disk, once the block has succeeded.

    If the block fails, nothing of it is left; if the process is killed, a file that ends in ".new" may be. Raises
    InputError if the folder of `path` does not exist.
    """
    if not path.parent.is_dir():
        raise InputError(f"out = {str(path)!r} is not allowed: there is no folder {str(path.parent)!r}")
    new = path.with_name(path.name + ".new")
    try:
        yield new
        sync(new)
        os.replace(new, path)
        sync(path.parent)
    finally:
        new.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(folder: Path) -> int:
    """Hold a folder until the descriptor is closed or this process ends; InputError if another one holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(f"out is in use: another process works in {str(folder)!r}") from None
    return descriptor
