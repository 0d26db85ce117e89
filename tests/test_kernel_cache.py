"""What numba keeps between runs is dropped when any kernel source has changed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gputhermo.kernels

PROGRAM = """
from gputhermo.kernels.replica import NO_PARTITION, Gas
from gputhermo.kernels.walls import touches_wall
gas = Gas(1, 10.0, 1.0, 0.001, NO_PARTITION, 0.0)
print(touches_wall(1.5, 5.0, 10.0, gas), sum(touches_wall.stats.cache_hits.values()))
"""


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    """A copy of the kernels, in a package of their own."""
    folder = tmp_path / "gputhermo" / "kernels"
    shutil.copytree(Path(gputhermo.kernels.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder.parent / "__init__.py").touch()
    return folder


@pytest.fixture
def run(kernels: Path, tmp_path: Path) -> Callable[[], list[str]]:
    """What a program of these kernels returns, and how often it was found compiled."""
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def run() -> list[str]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.split()

    return run


def test_an_edit_of_a_file_that_a_program_only_calls_into(kernels: Path, run: Callable[[], list[str]]):
    assert run() == ["False", "0"]
    assert run() == ["False", "1"]
    forces = kernels / "forces.py"
    forces.write_text(forces.read_text().replace("RADIUS = 1.0", "RADIUS = 2.0"))
    assert run() == ["True", "0"]


def test_a_file_that_is_gone(kernels: Path, run: Callable[[], list[str]]):
    """What an earlier version kept names the classes of its arguments, one of which was defined there."""
    replica, gas = kernels / "replica.py", kernels / "gas.py"
    now = replica.read_text()
    definition = next(line for line in now.splitlines() if line.startswith("Gas = namedtuple"))
    replica.write_text(now.replace(definition, "from .gas import Gas"))
    gas.write_text(f"from collections import namedtuple\n\n{definition}\n")
    assert run() == ["False", "0"]
    replica.write_text(now)
    gas.unlink()
    assert run() == ["False", "0"]
    assert run() == ["False", "1"]
