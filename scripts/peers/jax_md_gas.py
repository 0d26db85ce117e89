"""JAX-MD: `soft_sphere` with alpha = 2 for pairs, its neighbour list, walls as a term of the energy, `simulate.nve`.

The list is made anew after as many steps as the skin allows at the greatest speed. A condition at each step would be
slower: under `vmap` it does both of its branches. How far particles did move is looked at, and so is the list's
`did_buffer_overflow`.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .gas import Gas, Model, Settings

GREATEST_SPEED = 6.5
"""Of 1e9 particles at T = 1, one is faster: exp(-v^2 / 2)."""


class JaxMdGas(Gas):
    """All replicas in one array; `vmapped` or, with `lax.map`, one after the other. XLA takes all cores it may use."""

    PACKAGES = ("jax-md", "jax", "jaxlib")
    SETTINGS: ClassVar[tuple[Settings, ...]] = tuple(
        {"skin": skin, "dtype": dtype} for skin, dtype in itertools.product((1.0, 2.5), ("float64", "float32"))
    )
    FOR_MANY_REPLICAS: ClassVar[tuple[Settings, ...]] = ({"vmapped": True}, {"vmapped": False})

    @classmethod
    def double_precision(cls, settings: Settings) -> Settings:
        """The same with float64."""
        return settings | {"dtype": "float64"}

    def __init__(
        self,
        model: Model,
        states: np.ndarray,
        n_threads: int,  # noqa: ARG002
        *,
        skin: float,
        dtype: str,
        vmapped: bool = True,
    ):
        import jax

        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_enable_x64", True)
        self._model, self._skin, self._dtype, self._vmapped = model, skin, dtype, vmapped
        self._interval = math.floor(0.5 * skin / (GREATEST_SPEED * model.timestep))
        self._capacity = 1.5
        positions, velocities = states[:, :, :2].astype(dtype), states[:, :, 2:].astype(dtype)
        self._first = positions[0]
        self._compile()
        (self._replicas,) = self._with_room(lambda: self._begin(positions, velocities))

    def _compile(self) -> None:
        """Make `_begin` and `_run`, with room in the lists for `_capacity` times what the first state needs."""
        import jax
        import jax.numpy as jnp
        from jax_md import energy, partition, simulate, space

        model, dtype = self._model, self._dtype
        container = jnp.array([model.length, model.height], dtype)
        displacement, shift = space.free()
        lists = partition.neighbor_list(
            displacement,
            container,
            2.0 + self._skin,
            dr_threshold=0.0,  # a list whenever one is asked for
            capacity_multiplier=self._capacity,
            format=partition.OrderedSparse,
        )
        # epsilon / alpha (1 - r / sigma)^alpha is stiffness/2 (2 - r)^2
        _, pair_energy = energy.soft_sphere_neighbor_list(
            displacement, container, sigma=2.0, epsilon=4.0 * model.stiffness, alpha=2
        )

        def total_energy(positions: Any, neighbor: Any) -> Any:
            into_walls = jnp.maximum(1.0 - positions, 0.0) ** 2 + jnp.maximum(positions - (container - 1.0), 0.0) ** 2
            return pair_energy(positions, neighbor) + 0.5 * model.stiffness * jnp.sum(into_walls)

        start, step = simulate.nve(total_energy, shift, model.timestep)
        room = lists.allocate(jnp.asarray(self._first))

        def begin(positions: Any, velocities: Any) -> Any:
            neighbours = lists.update(positions, room)
            replica = start(jax.random.PRNGKey(0), positions, 1.0, momenta=velocities, neighbor=neighbours)
            return replica, neighbours.did_buffer_overflow

        def run(replica: Any, n_lists: Any, n_steps: Any) -> Any:
            def with_one_list(_: Any, carry: Any) -> Any:
                before, moved, overflow = carry
                neighbours = lists.update(before.position, room)
                after = jax.lax.fori_loop(0, n_steps, lambda _, gas: step(gas, neighbor=neighbours), before)
                move = jnp.sqrt(jnp.max(jnp.sum((after.position - before.position) ** 2, axis=-1)))
                return after, jnp.maximum(moved, move), overflow | neighbours.did_buffer_overflow

            carry = replica, jnp.zeros((), dtype), jnp.zeros((), jnp.uint8)
            return jax.lax.fori_loop(0, n_lists, with_one_list, carry)

        self._begin = jax.jit(jax.vmap(begin))
        if self._vmapped:
            self._run = jax.jit(jax.vmap(run, in_axes=(0, None, None)))
        else:
            self._run = jax.jit(lambda replicas, *n: jax.lax.map(lambda replica: run(replica, *n), replicas))

    def _with_room(self, call: Callable[[], Any]) -> Any:
        """What `call` returns but for its last, the overflow, with longer lists as long as one overflows."""
        while True:
            *result, overflow = call()
            if not overflow.any():
                return result
            self._capacity *= 1.5
            self._compile()

    def advance(self, n_steps: int) -> None:
        """See `Gas.advance`. Raises RuntimeError if a list was kept for too long."""
        n_lists, rest = divmod(n_steps, self._interval)
        for repeats, steps in ((n_lists, self._interval), (1, rest)):
            self._replicas, moved = self._with_room(
                lambda repeats=repeats, steps=steps: self._run(self._replicas, repeats, steps)
            )
            if float(moved.max()) > 0.5 * self._skin:
                raise RuntimeError(
                    f"a particle moved by {float(moved.max()):.2f} with one list, more than half the skin"
                )

    def phase_points(self) -> np.ndarray:
        """See `Gas.phase_points`."""
        return np.concatenate([self._replicas.position, self._replicas.momentum], axis=2, dtype=np.float64)
