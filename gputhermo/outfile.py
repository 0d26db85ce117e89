"""An output file that is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` if the block succeeds and is removed if it fails.

    Raises InputError if the folder of `path` does not exist.
    """
    if not path.parent.is_dir():
        raise InputError(f"out = {str(path)!r} is not allowed: there is no folder {str(path.parent)!r}")
    new = path.with_name(path.name + ".new")
    try:
        yield new
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
