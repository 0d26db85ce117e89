"""Damage to a file is found by its seal, before a parser sees the file."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from counts import Mutations
from planted_dataset import plant

from gputhermo import seal as module
from gputhermo.checkpoint import BEST
from gputhermo.errors import InputError
from gputhermo.parameters import TrainSettings
from gputhermo.seal import BLANK, MARK, check_seal, is_whole, seal, sealed
from gputhermo.train import train

N_MUTATIONS = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds planted.h5 and the folder `run` of a training on it."""
    folder = tmp_path_factory.mktemp("seal")
    plant(folder / "planted.h5")
    train(folder / "planted.h5", folder / "run", TrainSettings(network="pooled", epochs=1), device="cpu")
    return folder


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Content cut off somewhere, with a bit turned over, or with some bytes replaced."""
    place = int(random.integers(len(content)))
    changed = bytearray(content)
    match random.integers(3):
        case 0:
            return content[:place]
        case 1:
            changed[place] ^= 1 << int(random.integers(8))
        case _:
            changed[place : place + 16] = random.bytes(len(changed[place : place + 16]))
    return bytes(changed)


@pytest.mark.parametrize("name", ["planted.h5", "run/checkpoint.safetensors", f"run/{BEST}"])
def test_no_damage_goes_unnoticed(folder: Path, tmp_path: Path, name: str, mutations: Mutations):
    mutations.what = Path(name).name
    content = (folder / name).read_bytes()
    random = np.random.default_rng(5)
    copy = tmp_path / "copy"
    copy.write_bytes(content)
    check_seal(copy)
    for _ in range(N_MUTATIONS):
        damaged = mutated(content, random)
        copy.write_bytes(damaged)
        if damaged != content:
            mutations.tried += 1
            mutations.undetected += is_whole(copy)
    assert mutations.undetected == 0
    with pytest.raises(InputError, match=r"copy' is (damaged|not one that gputhermo wrote, or a damaged one)"):
        check_seal(copy)


def test_hash_is_that_of_the_file_with_zeros_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Across blocks: the seal lies in two of them, the last of which is not full."""
    monkeypatch.setattr(module, "BLOCK", 64)
    content = b"a" * 40 + BLANK.encode() + b"b" * 57
    path = tmp_path / "file"
    path.write_bytes(content)
    seal(path)
    blocks = [content[first : first + 64] for first in range(0, len(content), 64)]
    expected = hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks)).hexdigest()
    assert path.read_bytes() == content.replace(b"0" * 64, expected.encode())
    check_seal(path)
    seal(path)  # again: nothing changes
    check_seal(path)


def test_a_whole_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SETTLED", 0.0)
    path = tmp_path / "file"
    with sealed(path) as new:
        new.write_text(BLANK + "content")
    hashed = []
    hash_without = module.hash_without
    monkeypatch.setattr(module, "hash_without", lambda *arguments: hashed.append(1) or hash_without(*arguments))
    check_seal(path)
    check_seal(path)
    assert len(hashed) == 1
    times = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(InputError, match="is damaged"):
        check_seal(path)


def test_what_was_written_stays_if_the_new_content_has_no_seal(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("before")
    for content in ("none", "0" * 2**16 + BLANK, MARK.decode() + "0" * 63):
        with pytest.raises(ValueError, match="has no seal"), sealed(path) as new:
            new.write_text(content)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
