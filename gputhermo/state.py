"""The state of many replicas: what a simulation starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .backend import Backend, as_numpy, select
from .errors import InputError
from .initialize import draw
from .process import Protocol


@dataclass(frozen=True, kw_only=True)
class ReplicaBatch:
    """Positions and velocities of a batch of replicas, each with its own number of particles.

    positions, velocities   float64 [n_replicas, n_max, 2]  rows beyond a replica's particles are padding; on any device
    n_particles             int64   [n_replicas]
    interaction_strength    float64 [n_replicas]            C_int of pairs and walls, in kB T0 / R^2
    """

    positions: Any
    velocities: Any
    n_particles: np.ndarray
    interaction_strength: np.ndarray

    def __post_init__(self) -> None:
        shape = tuple(self.positions.shape)
        if len(shape) != 3 or shape[0] < 1 or shape[2] != 2 or tuple(self.velocities.shape) != shape:
            raise InputError(
                f"positions {shape} and velocities {tuple(self.velocities.shape)} must both be [n_replicas, n_max, 2], "
                "with 1 replica or more"
            )
        if self.n_particles.shape != shape[:1] or self.interaction_strength.shape != shape[:1]:
            raise InputError("n_particles and interaction_strength must both be [n_replicas]")
        if not ((self.n_particles >= 1) & (self.n_particles <= shape[1])).all():
            raise InputError(f"n_particles = {self.n_particles.tolist()} is not allowed: 1 to n_max = {shape[1]} each")
        if not (np.isfinite(self.interaction_strength) & (self.interaction_strength > 0)).all():
            raise InputError("interaction_strength must be positive and finite for each replica")

    @property
    def n_replicas(self) -> int:
        """Number of replicas."""
        return len(self.n_particles)

    @classmethod
    def draw(
        cls,
        n_particles: int | Sequence[int],
        protocol: Protocol,
        *,
        seed: int,
        temperature: float | Sequence[float] = 1.0,
        kinetic_energy: float | Sequence[float] | None = None,
        interaction_strength: float | Sequence[float] = 10_000.0,
        stream: int | Sequence[int] | None = None,
        device: str | Backend = "auto",
    ) -> "ReplicaBatch":
        """Random initial states in the container of `protocol`: no overlaps, Maxwell velocities.

        As many replicas as the sequences are long; see `initialize.draw` for the arguments and errors.
        """
        backend = select(device) if isinstance(device, str) else device
        try:
            counts, strengths = np.broadcast_arrays(np.atleast_1d(n_particles), np.atleast_1d(interaction_strength))
        except ValueError:
            raise InputError("n_particles and interaction_strength must be one value, or one each a replica") from None
        positions, velocities = draw(
            counts.tolist(),
            protocol.length,
            protocol.height,
            seed=seed,
            backend=backend,
            temperature=temperature,
            kinetic_energy=kinetic_energy,
            partition=protocol.partition,
            stream=stream,
        )
        n_replicas = len(positions)
        return cls(
            positions=positions,
            velocities=velocities,
            n_particles=np.broadcast_to(counts.astype(np.int64), n_replicas),
            interaction_strength=np.broadcast_to(strengths.astype(np.float64), n_replicas),
        )

    @classmethod
    def from_arrays(
        cls,
        positions: Sequence[np.ndarray],
        velocities: Sequence[np.ndarray],
        interaction_strength: float | Sequence[float] = 10_000.0,
    ) -> "ReplicaBatch":
        """A batch of the user's own states: one array [n_particles, 2] of each kind a replica, on any device."""
        if len(positions) != len(velocities) or not len(positions):
            raise InputError(f"{len(positions)} positions and {len(velocities)} velocities; as many of each are needed")
        sizes = [len(array) for array in positions]
        strengths = np.atleast_1d(np.asarray(interaction_strength, dtype=np.float64))
        if strengths.shape not in ((1,), (len(sizes),)):
            raise InputError(
                f"interaction_strength of shape {strengths.shape} for {len(sizes)} replicas; one or one each"
            )
        padded = np.zeros((2, len(sizes), max(sizes), 2))
        for kind, arrays in enumerate((positions, velocities)):
            for r, array in enumerate(arrays):
                array = as_numpy(array).astype(np.float64)
                if array.shape != (sizes[r], 2) or not np.isfinite(array).all():
                    raise InputError(
                        f"{('positions', 'velocities')[kind]}[{r}] of shape {array.shape} is not allowed: "
                        f"finite numbers [{sizes[r]}, 2] are needed"
                    )
                padded[kind, r, : sizes[r]] = array
        return cls(
            positions=padded[0],
            velocities=padded[1],
            n_particles=np.array(sizes, dtype=np.int64),
            interaction_strength=np.broadcast_to(strengths, len(sizes)),
        )
