"""LAMMPS: `pair_style harmonic/cut` and `fix wall/harmonic`, as the tests' oracle sets them up.

Replicas run one after the other, each in an instance of its own; threads are those of its OPENMP package.
"""

import sys
from pathlib import Path
from typing import ClassVar

import numpy as np

from .gas import Gas, Model, Settings

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from lammps_oracle import LammpsGas as Oracle
from lammps_oracle import is_installed


class LammpsGas(Gas):
    """One instance of LAMMPS a replica. It looks every 10 steps whether its neighbour list still holds.

    The fastest particle of these gases moves by 0.06 in 10 steps, less than half of the smallest skin.
    """

    PACKAGES = ("lammps", "mpich")
    SETTINGS: ClassVar[tuple[Settings, ...]] = tuple({"skin": skin} for skin in (0.4, 0.8, 1.6, 2.4, 3.2))

    @classmethod
    def missing(cls) -> str | None:
        """See `Gas.missing`."""
        return super().missing() or (None if is_installed() else "libmpi of mpich is not in this environment")

    def __init__(self, model: Model, states: np.ndarray, n_threads: int, *, skin: float):
        self._length = model.length
        self._replicas = [
            Oracle(
                state[:, :2],
                state[:, 2:],
                length=model.length,
                widest=model.length,
                height=model.height,
                stiffness=model.stiffness,
                timestep=model.timestep,
                skin=skin,
                check_interval=10,
                n_threads=n_threads,
            )
            for state in states
        ]

    def advance(self, n_steps: int) -> None:
        """See `Gas.advance`."""
        for replica in self._replicas:
            replica.run(n_steps, self._length)

    def phase_points(self) -> np.ndarray:
        """See `Gas.phase_points`."""
        return np.stack([np.hstack([replica.gather("x"), replica.gather("v")]) for replica in self._replicas])
