"""Initial states: particles that do not overlap anything, at places and with velocities drawn at random.

Positions come from random sequential addition, velocities from Maxwell's distribution. Such a gas has no potential
energy; positions are those of equilibrium only as far as it is dilute, and the first hold does the rest.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .backend import Backend, layout, placement
from .errors import InputError
from .process import Partition

# Random sequential addition of discs jams at a packing fraction of 0.547 (Feder, J. Theor. Biol. 87 (1980) 237), and
# creeps towards it. Up to 0.5 it is quick: 14,000 particles in 300 x 300 take 0.05 s on one core.
REACHABLE_FRACTION = 0.5
# In a small box the number that finds room scatters, and less of the box is used. Taking this much off either side
# covers both: no draw of 2000 failed in any of 29 boxes from 2.5 x 100 to 30 x 30.
UNUSED_WIDTH = 1.5
# At the reachable fraction one proposal in a thousand is accepted at the end.
N_ROUNDS = 100_000
# Cells of the search: a little wider than 2R, so that rounding never puts two that touch further than a cell apart.
LEAST_CELL_WIDTH = 2.001


def draw(
    n_particles: int | Sequence[int],
    length: float | Sequence[float],
    height: float | Sequence[float],
    *,
    seed: int | Sequence[int],
    backend: Backend,
    temperature: float | Sequence[float] = 1.0,
    kinetic_energy: float | Sequence[float] | None = None,
    partition: Partition | Sequence[Partition | None] | None = None,
    stream: int | Sequence[int] | None = None,
) -> tuple[Any, Any]:
    """Draw initial states for a batch of replicas.

    Every argument is one value for all replicas or a sequence of one for each.

    n_particles      N
    length, height   Lx and Ly of the box, in R; centres keep R away from its walls
    seed             0 to 2^63 - 1
    temperature      T of Maxwell's distribution, in T0; 0 puts particles at rest
    kinetic_energy   velocities are scaled to it, in kB T0, the same but for rounding; None or NaN leaves them as drawn
    partition        a fixed wall in the box; which side a particle lands on is left to chance
    stream           tells replicas of one seed apart, 0 to 2^32 - 1; by default the replica's index in the batch

    Returns positions and velocities, float64 [n_replicas, n_max, 2] on the backend's device, zero beyond each replica's
    particles. A replica's numbers depend on its own arguments alone, not on the batch it is drawn in.

    Raises InputError for values that are not allowed, and for more particles than random placement finds room for.
    """
    values = per_replica(
        n_particles=np.asarray(n_particles),
        length=np.asarray(length, dtype=np.float64),
        height=np.asarray(height, dtype=np.float64),
        temperature=np.asarray(temperature, dtype=np.float64),
        kinetic_energy=np.asarray(np.nan if kinetic_energy is None else kinetic_energy, dtype=np.float64),
        partition=np.asarray(partition, dtype=object),
        seed=np.asarray(seed),
        stream=np.asarray(0 if stream is None else stream),
    )
    n_replicas, partitions = len(values["seed"]), values["partition"]
    if stream is None:
        values["stream"] = np.arange(n_replicas)
    check(values)

    n_cells_x, n_cells_y = search_grid(values["n_particles"], values["length"], values["height"])
    draws = placement.Draw(
        **{name: values[name].astype(np.int64) for name in ("n_particles", "seed", "stream")},
        **{name: values[name] for name in ("length", "height", "temperature")},
        kinetic_energy=np.nan_to_num(values["kinetic_energy"], nan=-1.0),
        partition_axis=np.array([layout.NO_PARTITION if p is None else "xy".index(p.axis) for p in partitions]),
        partition_position=np.array([0.0 if p is None else float(p.position) for p in partitions]),
        n_cells_x=n_cells_x,
        n_cells_y=n_cells_y,
        n_rounds=np.full(n_replicas, N_ROUNDS),
    )
    xp, n_max = backend.xp, int(draws.n_particles.max())
    positions, velocities = xp.zeros((n_replicas, n_max, 2)), xp.zeros((n_replicas, n_max, 2))
    n_placed = xp.zeros(n_replicas, dtype=np.int64)
    scratch = placement.Scratch(
        head=xp.zeros((n_replicas, 2, int((n_cells_x * n_cells_y).max())), dtype=np.int32),
        next=xp.zeros((n_replicas, n_max), dtype=np.int32),
        cell=xp.zeros((n_replicas, n_max), dtype=np.int32),
        accepted=xp.zeros((n_replicas, n_max), dtype=np.int32),
        waiting=xp.zeros((n_replicas, 2, n_max), dtype=np.int32),
        n_waiting=xp.zeros((n_replicas, 1), dtype=np.int32),
        partial=xp.zeros((n_replicas, layout.N_LANES, 1)),
    )
    draws_there = placement.Draw(*(backend.adopt(array) for array in draws))
    backend.run("place", np.arange(n_replicas), draws_there, positions, velocities, n_placed, scratch)

    for n, found in zip(draws.n_particles, backend.to_host(n_placed), strict=True):
        if found < n:
            raise InputError(f"n_particles = {n} is not allowed: random placement found room for {found} only")
    return positions, velocities


def reachable(length: float, height: float, partition: Partition | None = None) -> int:
    """The number of particles that random placement reaches in a box, with or without a partition."""
    sides = [(length, height)]
    if partition is not None and partition.axis == "x":
        sides = [(partition.position, height), (length - partition.position, height)]
    elif partition is not None:
        sides = [(length, partition.position), (length, height - partition.position)]
    n = 0
    for width_x, width_y in sides:
        if min(width_x, width_y) >= 2.0:
            area = (width_x - UNUSED_WIDTH) * (width_y - UNUSED_WIDTH)
            n += max(1, math.floor(REACHABLE_FRACTION * area / math.pi))
    return n


def per_replica(**arguments: np.ndarray) -> dict[str, np.ndarray]:
    """Each argument as an array [n_replicas]."""
    try:
        shape = np.broadcast_shapes((1,), *(array.shape for array in arguments.values()))
    except ValueError:
        shape = ()
    if len(shape) != 1 or shape[0] == 0:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arguments.items() if array.ndim > 0)
        raise InputError(f"{shapes} do not fit together: one value, or one for each replica, is needed")
    return {name: np.broadcast_to(array, shape).copy() for name, array in arguments.items()}


def check(values: dict[str, np.ndarray]) -> None:
    """Raise InputError for the first value that is not allowed."""
    for name, least, end in (("n_particles", 1, 2**31), ("seed", 0, 2**63), ("stream", 0, 2**32)):
        whole = values[name].dtype.kind in "iu"
        for value in values[name]:
            if not (whole and least <= value < end):
                raise InputError(f"{name} = {value} is not allowed: a whole number from {least} to {end - 1} is needed")
    for name, limit in (("length", 2.0), ("height", 2.0), ("temperature", 0.0)):
        for value in values[name]:
            if not (math.isfinite(value) and value >= limit):
                raise InputError(f"{name} = {value:g} is not allowed: a finite number of at least {limit:g} is needed")
    for energy, temperature in zip(values["kinetic_energy"], values["temperature"], strict=True):
        if energy < 0.0 or math.isinf(energy):
            raise InputError(f"kinetic_energy = {energy:g} is not allowed: a finite number of at least 0 is needed")
        if energy > 0.0 and temperature == 0.0:
            raise InputError(f"kinetic_energy = {energy:g} is not allowed at temperature = 0: nothing moves")
    names = ("n_particles", "length", "height", "partition")
    for n, length, height, partition in zip(*(values[name] for name in names), strict=True):
        if partition is not None:
            end = length if partition.axis == "x" else height
            if not 0.0 < partition.position < end:
                raise InputError(
                    f"partition.position = {partition.position:g} is not allowed: "
                    f"a place between {partition.axis} = 0 and {end:g} is needed"
                )
        most = reachable(length, height, partition)
        if n > most:
            divided = f", divided at {partition.axis} = {partition.position:g}" if partition else ""
            raise InputError(
                f"n_particles = {n} is not allowed: random placement reaches at most {most} particles in a box of "
                f"{length:g} x {height:g}{divided} (packing fraction {most * math.pi / (length * height):.3f})"
            )


def search_grid(n_particles: np.ndarray, length: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of cells in x and y: about one a particle and no more, none narrower than LEAST_CELL_WIDTH."""
    width = np.maximum(LEAST_CELL_WIDTH, np.sqrt(length * height / n_particles))
    n_cells_y = np.clip(height // width, 1, n_particles)
    n_cells_x = np.clip(np.minimum(length // width, n_particles // n_cells_y), 1, None)
    return n_cells_x.astype(np.int64), n_cells_y.astype(np.int64)
