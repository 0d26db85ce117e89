"""Folders that one process works in, on one thing, and that a later process goes on in."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .errors import InputError
from .outfile import check_parent, replaced

RECIPE = "settings.toml"
"""The file that says what the work in a folder was begun as."""


def make_folder(path: Path) -> None:
    """Make the folder if it is not there; InputError if that cannot be done."""
    check_parent(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"out = {str(path)!r} is a file; a folder is needed")
    path.mkdir(exist_ok=True)


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """The folder, made if need be, belongs to this process within the block; InputError if another one is in it."""
    make_folder(path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"out is in use: another process works in {str(path)!r}") from None
        if not path.exists() or not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise InputError(f"out is in use: another process has just removed {str(path)!r}")
        yield
    finally:
        os.close(descriptor)


class WorkFolder:
    """A folder that belongs to this process until it is closed, for work that is to be done as its recipe says.

    path    of the folder
    recipe  all that the work depends on, as text; the folder keeps it
    """

    def __init__(self, path: Path, recipe: str, *, mismatch: str, refusal: str | None = None):
        """Claim the folder; work that an earlier process began there is to go on.

        Raises InputError, and leaves all as it is, if the folder cannot be made, another process is in it or it holds
        other things; with the message `mismatch` if the work was begun by another recipe; and with `refusal`, if one
        is given, if work was begun at all.
        """
        self.path = path
        self.recipe = recipe
        with ExitStack() as stack:
            stack.enter_context(claimed(path))
            self._begin(mismatch, refusal)
            self._claim = stack.pop_all()

    def _begin(self, mismatch: str, refusal: str | None) -> None:
        """Write the recipe, or compare it with the one that is there."""
        path = self.path / RECIPE
        if path.exists():
            if refusal is not None:
                raise InputError(refusal)
            if path.read_bytes() != self.recipe.encode():  # a damaged one may be no text
                raise InputError(mismatch)
        elif any(entry.name != f"{RECIPE}.new" for entry in self.path.iterdir()):
            raise InputError(f"out = {str(self.path)!r} holds other files; remove them or choose another folder")
        else:
            with replaced(path) as new:
                new.write_text(self.recipe, encoding="utf-8")
        for leftover in self.path.glob("*.new"):
            leftover.unlink()

    def remove(self) -> None:
        """Delete the folder, the recipe last: it still tells what the work is if a kill leaves some of it."""
        for entry in self.path.iterdir():
            if entry.name != RECIPE:
                entry.unlink()
        shutil.rmtree(self.path)

    def close(self) -> None:
        """Let other processes work in the folder."""
        self._claim.close()
