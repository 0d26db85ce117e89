"""Output that is safe: files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path to write to: its content is at `path`, and on the disk, once the block has succeeded.

    If the block fails, nothing of it is left; if the process is killed, a file that ends in ".new" may be. Raises
    InputError if the folder of `path` does not exist. What the operating system refuses is an OSError that names the
    file.
    """
    check_parent(path)
    new = path.with_name(path.name + ".new")
    try:
        with naming(path):
            yield new
            sync(new)
            os.replace(new, path)
            sync(path.parent)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within the block an OSError that names no file names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


def check_parent(path: Path) -> None:
    """Raise InputError if there is no folder for a file or folder `path` to lie in."""
    if not path.parent.is_dir():
        raise InputError(f"out = {str(path)!r} is not allowed: there is no folder {str(path.parent)!r}")


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
