"""Whether another program ran the same gas: before its figure counts, it has to agree with this package.

All is computed here, from positions and velocities, by one implementation of the laws that is neither program's:

1. In double precision, positions agree within POSITION_TOLERANCE after STEPS_TO_FOLLOW steps, in which particles
   collide.
2. As it is timed, the total energy stays within ENERGY_TOLERANCE of the initial one.
3. As it is timed, the means of kinetic energy, potential energy and pressure over each replica's run come from the same
   distribution as ours: Welch's t-test over replicas, all of one energy, at P_VALUE.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import ttest_ind

from .gas import Model, Settings
from .gputhermo_gas import GputhermoGas
from .team import Team

STEPS_TO_FOLLOW = 500
N_FOLLOWED = 2
"""Replicas; OpenMM's Reference platform is slow."""
POSITION_TOLERANCE = 1e-6
"""Rounding differs, and collisions multiply that: 1e-11 for LAMMPS and OpenMM; 1e-7 for JAX-MD, which rounds the time
step to single precision. A stiffness that is off by a thousandth gives more than 1e-5."""
ENERGY_TOLERANCE = 1e-3
"""At N = 2000, Lx = 150 over 60 units of time the integrator's own is 2e-4, that of JAX-MD in single precision 5e-4."""
P_VALUE = 1e-4
"""Some 100 such tests are done in a run, so that one run in 100 would refuse a program that is right."""
LEAST_COLLIDED = 10
"""Particles; with fewer the comparison says nothing."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a program made of the initial states.

    early    float64 [N_FOLLOWED, n_particles, 4]  after STEPS_TO_FOLLOW steps, in double precision
    samples  float64 [n_samples, n_replicas, n_particles, 4]  as timed, in equal distances
    """

    early: np.ndarray
    samples: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came out of a comparison.

    refused       why, or None
    deviation     largest of a coordinate after STEPS_TO_FOLLOW steps, in double precision
    energy_error  largest |E - E_0| / E_0
    difference    of the mean of each quantity from ours, relative
    p_value       of each
    """

    refused: str | None
    deviation: float
    energy_error: float
    difference: dict[str, float]
    p_value: dict[str, float]


def our_course(model: Model, states: np.ndarray, n_threads: int, n_samples: int, sample_steps: int) -> Course:
    """What gputhermo makes of `states`, float64 [n_replicas, n_particles, 4]."""
    gas = GputhermoGas(model, states[:N_FOLLOWED], n_threads)
    gas.advance(STEPS_TO_FOLLOW)
    early = gas.phase_points()
    collided = int((early[..., 2:] != states[:N_FOLLOWED, :, 2:]).any(axis=-1).sum())
    if collided < LEAST_COLLIDED:
        raise ValueError(
            f"{collided} particles collide in {STEPS_TO_FOLLOW} steps; the comparison needs {LEAST_COLLIDED}"
        )
    gas = GputhermoGas(model, states, n_threads)
    samples = []
    for _ in range(n_samples):
        gas.advance(sample_steps)
        samples.append(gas.phase_points())
    return Course(early=early, samples=np.stack(samples))


def early_points(team: Team, model: Model, states: np.ndarray, settings: Settings) -> np.ndarray:
    """Where `settings` in double precision lead in STEPS_TO_FOLLOW steps, float64 [N_FOLLOWED, n_particles, 4]."""
    team.prepare(model, states[:N_FOLLOWED], team.program.double_precision(settings))
    team.advance(STEPS_TO_FOLLOW)
    return team.phase_points()


def sampled_points(team: Team, n_samples: int, sample_steps: int) -> np.ndarray:
    """The states of a team that is at work, float64 [n_samples, n_replicas, n_particles, 4]."""
    samples = []
    for _ in range(n_samples):
        team.advance(sample_steps)
        samples.append(team.phase_points())
    return np.stack(samples)


def judge(theirs: Course, ours: Course, states: np.ndarray, model: Model) -> Verdict:
    """Compare two courses from the same initial `states`."""
    deviation = float(np.abs(theirs.early[..., :2] - ours.early[..., :2]).max())
    initial = quantities(states, model)
    energy = initial["kinetic energy"] + initial["potential energy"]
    mine, others = quantities(ours.samples, model), quantities(theirs.samples, model)
    energies = others["kinetic energy"] + others["potential energy"]
    energy_error = float(np.abs(energies / energy - 1.0).max())
    difference = {name: float(others[name].mean() / mine[name].mean() - 1.0) for name in mine}
    p_value = {
        name: float(ttest_ind(others[name].mean(axis=0), mine[name].mean(axis=0), equal_var=False).pvalue)
        for name in mine
    }
    reasons = []
    if not deviation <= POSITION_TOLERANCE:
        reasons.append(f"positions deviate by {deviation:.1e} after {STEPS_TO_FOLLOW} steps")
    if not energy_error <= ENERGY_TOLERANCE:
        reasons.append(f"energy changes by {energy_error:.1e}")
    reasons += [f"{name} differs by {difference[name]:+.1%}" for name, p in p_value.items() if not p >= P_VALUE]
    return Verdict(
        refused="; ".join(reasons) or None,
        deviation=deviation,
        energy_error=energy_error,
        difference=difference,
        p_value=p_value,
    )


def quantities(points: np.ndarray, model: Model) -> dict[str, np.ndarray]:
    """Kinetic energy, potential energy and pressure of states float64 [..., n_particles, 4], each float64 [...].

    The pressure is that of the virial, (K + 1/2 sum over pairs of r f) / A.
    """
    flat = points.reshape(-1, *points.shape[-2:])
    kinetic = 0.5 * (flat[..., 2:] ** 2).sum(axis=(1, 2))
    potential, virial = np.array([_interaction(state[:, :2], model) for state in flat]).T
    pressure = (kinetic + 0.5 * virial) / (model.length * model.height)
    named = {"kinetic energy": kinetic, "potential energy": potential, "pressure": pressure}
    return {name: values.reshape(points.shape[:-2]) for name, values in named.items()}


def _interaction(positions: np.ndarray, model: Model) -> tuple[float, float]:
    """Potential energy of pairs and walls, and the virial of pairs."""
    i, j = cKDTree(positions).query_pairs(2.0, output_type="ndarray").T
    distance = np.linalg.norm(positions[i] - positions[j], axis=1)
    overlap = 2.0 - distance
    low, high = positions, np.array([model.length, model.height]) - positions
    into_walls = np.maximum(1.0 - np.stack([low, high]), 0.0)
    energy = 0.5 * model.stiffness * ((overlap**2).sum() + (into_walls**2).sum())
    return float(energy), float(model.stiffness * (overlap * distance).sum())
