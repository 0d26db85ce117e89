"""OpenMM: `CustomNonbondedForce` with a cutoff for pairs, `CustomExternalForce` for walls, z = 0.

Its CPU platform has pair forces in single precision and all else in double precision; its Reference platform is in
double precision and slower, and serves to check the laws. Lengths, masses, energies and times are taken as nm, Da,
kJ/mol and ps, which go together. Replicas run one after the other, each in a context of its own.
"""

from typing import Any, ClassVar

import numpy as np

from .gas import Gas, Model, Settings


class OpenmmGas(Gas):
    """One context of OpenMM a replica, with coordinates from the container's centre, where single precision is finer.

    OpenMM's `VerletIntegrator` keeps velocities half a step behind: the positions are those of velocity Verlet if it
    starts from v - F dt/2, and its v + F dt/2 are the velocities. The neighbour
    list reaches further than the cutoff by a part of it that cannot be set, so the cutoff stands in for the skin.
    """

    PACKAGES = ("openmm",)
    SETTINGS: ClassVar[tuple[Settings, ...]] = tuple(
        {"platform": "CPU", "cutoff": cutoff} for cutoff in (2.0, 2.5, 3.0, 4.0)
    )

    @classmethod
    def double_precision(cls, settings: Settings) -> Settings:
        """The same system on the Reference platform."""
        return settings | {"platform": "Reference"}

    def __init__(self, model: Model, states: np.ndarray, n_threads: int, *, platform: str, cutoff: float):
        import openmm

        self._half_step = 0.5 * model.timestep
        self._centre = 0.5 * np.array([model.length, model.height])
        properties = {"Threads": str(n_threads)} if platform == "CPU" else {}
        self._contexts = []
        for state in states:
            integrator = openmm.VerletIntegrator(model.timestep)
            context = openmm.Context(
                system(model, len(state), cutoff), integrator, openmm.Platform.getPlatform(platform), properties
            )
            context.setPositions(in_space(state[:, :2] - self._centre))
            kicks = self._half_step * forces(context)
            context.setVelocities(in_space(state[:, 2:]) - kicks)
            self._contexts.append(context)

    def advance(self, n_steps: int) -> None:
        """See `Gas.advance`."""
        for context in self._contexts:
            context.getIntegrator().step(n_steps)

    def phase_points(self) -> np.ndarray:
        """See `Gas.phase_points`."""
        return np.stack([self._phase_point(context) for context in self._contexts])

    def _phase_point(self, context: Any) -> np.ndarray:
        state = context.getState(positions=True, velocities=True)
        positions = state.getPositions(asNumpy=True)._value[:, :2] + self._centre
        velocities = state.getVelocities(asNumpy=True)._value + self._half_step * forces(context)
        return np.hstack([positions, velocities[:, :2]])


def system(model: Model, n_particles: int, cutoff: float) -> Any:
    """The laws as an `openmm.System`, around the origin."""
    import openmm

    half = 0.5 * model.stiffness
    pairs = openmm.CustomNonbondedForce(f"{half!r}*step(2-r)*(2-r)^2" if cutoff > 2.0 else f"{half!r}*(2-r)^2")
    pairs.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffNonPeriodic)
    pairs.setCutoffDistance(cutoff)
    free_x, free_y = 0.5 * model.length - 1.0, 0.5 * model.height - 1.0
    walls = openmm.CustomExternalForce(
        f"{half!r}*(max(0,abs(x)-{free_x!r})^2+max(0,abs(y)-{free_y!r})^2)",
    )
    result = openmm.System()
    for particle in range(n_particles):
        result.addParticle(1.0)
        pairs.addParticle([])
        walls.addParticle(particle)
    result.addForce(pairs)
    result.addForce(walls)
    return result


def in_space(vectors: np.ndarray) -> np.ndarray:
    """With z = 0: float64 [n_particles, 3]."""
    return np.pad(vectors, ((0, 0), (0, 1)))


def forces(context: Any) -> np.ndarray:
    """Float64 [n_particles, 3]."""
    return np.asarray(context.getState(forces=True).getForces(asNumpy=True)._value)
