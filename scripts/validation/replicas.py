"""Many replicas of a gas, a few at a time, so that any number of them needs little memory."""

from collections.abc import Callable, Iterator

from gputhermo import Protocol, Recording, ReplicaBatch, simulate
from gputhermo.backend import Backend


def in_batches(
    draw: Callable[[list[int]], ReplicaBatch], protocol: Protocol, n_replicas: int, backend: Backend, **how: object
) -> Iterator[Recording]:
    """Recordings of replicas 0, 1, ..., of which `draw` makes those that it is told the numbers of."""
    for first in range(0, n_replicas, backend.n_slots):
        batch = draw(list(range(first, min(first + backend.n_slots, n_replicas))))
        yield from simulate(batch, protocol, device=backend, frames=1, **how)


def gases(
    n_particles: int,
    protocol: Protocol,
    n_replicas: int,
    backend: Backend,
    *,
    seed: int,
    kinetic_energy: float | None = None,
    **how: object,
) -> Iterator[Recording]:
    """Recordings of gases with Maxwell's velocities at T = 1: canonical, or all of one kinetic energy."""

    def draw(numbers: list[int]) -> ReplicaBatch:
        return ReplicaBatch.draw(
            [n_particles] * len(numbers),
            protocol,
            seed=seed,
            stream=numbers,
            kinetic_energy=kinetic_energy,
            device=backend,
        )

    return in_batches(draw, protocol, n_replicas, backend, **how)
