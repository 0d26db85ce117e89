"""What numba keeps between runs is dropped when any kernel source has changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import gputhermo.kernels

PROGRAM = """
from gputhermo.kernels.replica import NO_PARTITION, Gas
from gputhermo.kernels.walls import touches_wall
gas = Gas(1, 10.0, 1.0, 0.001, NO_PARTITION, 0.0)
print(touches_wall(1.5, 5.0, 10.0, gas), sum(touches_wall.stats.cache_hits.values()))
"""


def test_an_edit_of_a_file_that_a_program_only_calls_into(tmp_path: Path):
    kernels = tmp_path / "gputhermo" / "kernels"
    shutil.copytree(Path(gputhermo.kernels.__file__).parent, kernels, ignore=shutil.ignore_patterns("__pycache__"))
    (kernels.parent / "__init__.py").touch()

    def run() -> list[str]:
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.split()

    assert run() == ["False", "0"]
    assert run() == ["False", "1"]
    forces = kernels / "forces.py"
    forces.write_text(forces.read_text().replace("RADIUS = 1.0", "RADIUS = 2.0"))
    assert run() == ["True", "0"]
