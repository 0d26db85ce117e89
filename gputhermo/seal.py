"""A seal: a hash that stands within a file, of the whole file. Damage is found before anything of it is parsed.

The format of a file plays no part, and its usual readers see but a text: it reads MARK and 64 hexadecimal digits,
somewhere in the first kilobytes. They are the SHA-256 of the SHA-256 of each block of the file, with zeros in place of
the digits, so blocks are hashed side by side.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError
from .outfile import replaced

MARK = b"gputhermo-seal-"
ZEROS = b"0" * 64
BLANK = (MARK + ZEROS).decode()
"""What the writer of a file puts near its beginning."""
BEGINNING = 2**16
"""Bytes in which the seal is looked for."""
BLOCK = 2**24

N_THREADS = min(4, os.cpu_count() or 1)
"""That hash blocks."""
SETTLED = 2.0
"""Seconds after which another change of a file has another time, however coarse the clock of the file system."""

_whole: set[tuple[int, int, int, int]] = set()
"""Device, inode, size and time of change of the files that were found whole."""


@contextmanager
def sealed(path: Path) -> Iterator[Path]:
    """As `replaced`, and what the block wrote, with BLANK in it, is sealed before it is at `path`."""
    with replaced(path) as new:
        yield new
        seal(new)


def seal(path: Path) -> None:
    """Write the hash of a file into its seal; ValueError if it has none."""
    with path.open("r+b") as file:
        place = find(file.read(BEGINNING))
        if place is None:
            raise ValueError(f"{path} has no seal in its first {BEGINNING} bytes")
        digits = hash_without(file.fileno(), place)
        file.seek(place)
        file.write(digits)


def is_whole(path: Path) -> bool:
    """Whether the file is there, has a seal and is as it was when that was set."""
    try:
        check_seal(path)
    except InputError:
        return False
    return True


def check_seal(path: Path) -> None:
    """Raise InputError unless `is_whole`.

    A file that was found whole, and has not been written to since, is not read again.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            version = (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)
            if version in _whole:
                return
            place = find(beginning := file.read(BEGINNING))
            if place is None:
                raise InputError(f"file = {str(path)!r} is not one that gputhermo wrote, or a damaged one")
            if beginning[place : place + len(ZEROS)] != hash_without(file.fileno(), place):
                raise InputError(f"file = {str(path)!r} is damaged, or open for writing elsewhere: its hash is another")
    except FileNotFoundError:
        raise InputError(f"file = {str(path)!r} does not exist") from None
    except OSError as error:
        raise InputError(f"file = {str(path)!r} cannot be read: {error.strerror}") from None
    if time.time() - status.st_ctime > SETTLED:
        _whole.add(version)


def find(beginning: bytes) -> int | None:
    """Where the digits of the seal begin; None if there is no room for them."""
    place = beginning.find(MARK)
    digits = place + len(MARK)
    return None if place < 0 or digits + len(ZEROS) > len(beginning) else digits


def hash_without(descriptor: int, place: int) -> bytes:
    """The hash of an open file, in digits, as if those at `place` were zeros."""
    size = os.fstat(descriptor).st_size

    def hash_block(first: int) -> bytes:
        block = bytearray(min(BLOCK, size - first))
        os.preadv(descriptor, [block], first)
        begin, end = max(place, first), min(place + len(ZEROS), first + len(block))
        if begin < end:
            block[begin - first : end - first] = ZEROS[: end - begin]
        return hashlib.sha256(block).digest()

    with ThreadPoolExecutor(N_THREADS, thread_name_prefix="hash") as pool:
        hashes = pool.map(hash_block, range(0, size, BLOCK))
        return hashlib.sha256(b"".join(hashes)).hexdigest().encode()
