"""What must hold of a recording, whatever the protocol: particles in the container, energy balance, no contact missed.

Every recording is examined. The impossible ends the run; what is only unusual is said in one line, by the logger of
this module. docs/guards.md has each bound with its reason and with what was measured.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .backend import Backend
from .errors import SimulationError
from .observables import energy_scale, overlaps, piston_position
from .process import Hold, Protocol, Timetable

logger = logging.getLogger(__name__)

CONTACT_ERROR = 0.4
"""Root mean square of the energy error of a contact, over C dt^2 and the contact's energy: velocity Verlet sees where a
contact begins and ends only to within a step. At most this for two particles and C dt^2 up to 0.7."""
UNUSUAL_IMBALANCE, IMPOSSIBLE_IMBALANCE = 5.0, 30.0
"""Energy between two clips that no work accounts for, over that of such errors of all contacts between them."""
ROUNDING = 1e-12
"""Added to C dt^2: energies are sums of many numbers."""
UNUSUAL_CONTACT = 40.0
"""Energy of a contact over kB T; Boltzmann's factor for it is 4e-18."""
IMPOSSIBLE_MISMATCH = 1e-8
"""Recorded potential energy against that of all pairs and walls, over the energy."""
RERUN_INSTANTS, RERUN_SPACING = 40, 5
"""A clip is run again for so many instants, so many time steps apart: five instants in a contact."""
RERUN_SHARE = 2500
"""Only runs of so many times the length of that are sampled so."""
UNUSUAL_DEVIATION, IMPOSSIBLE_DEVIATION = 1e-8, 1e-4
"""Distance between a particle of either engine after it, in R."""
UNUSUAL_RERUN_IMBALANCE, IMPOSSIBLE_RERUN_IMBALANCE = 3.0, 10.0
"""Change of the energy during it, over C dt^2 (U + kB T), U the largest potential energy then."""


@dataclass(frozen=True, kw_only=True)
class Guards:
    """What was measured of a recording; NaN where nothing was.

    energy_imbalance    largest energy between two clips that no work accounts for, relative to the energy
    closest_pair        smallest distance of two particles in a clip, in R; 2 if none touch
    potential_mismatch  largest difference between the recorded potential energy and that of all pairs and walls,
                        relative to the energy
    rerun_deviation     a clip run again by both engines: largest distance between a particle of either, in R
    rerun_imbalance     change of the energy during it, over the largest potential energy then and kB T
    warnings            how many of these are unusual
    """

    energy_imbalance: float = math.nan
    closest_pair: float = math.nan
    potential_mismatch: float = math.nan
    rerun_deviation: float = math.nan
    rerun_imbalance: float = math.nan
    warnings: int = 0


@dataclass(frozen=True)
class Start:
    """A replica at step 0: kinetic and potential energy, and `observables.energy_scale`."""

    energy: float
    energy_scale: float


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A replica as it was run, and its clips, named as in `simulate.Recording`.

    name                  what errors call it
    interaction_strength  C
    """

    name: str
    protocol: Protocol
    table: Timetable
    interaction_strength: float
    start: Start
    positions: Any
    phase_points: Any
    piston_position: np.ndarray
    kinetic_energy: np.ndarray
    potential_energy: np.ndarray
    work: np.ndarray

    @property
    def n_particles(self) -> int:
        """Number of particles."""
        return int(self.phase_points.shape[1])

    @property
    def steps(self) -> np.ndarray:
        """Step of each clip's last snapshot."""
        return self.table.snapshot_step[self.table.frames - 1 :: self.table.frames][: len(self.work)]

    @property
    def energy(self) -> np.ndarray:
        """Kinetic and potential energy at each clip."""
        return self.kinetic_energy + self.potential_energy

    @property
    def shortest(self) -> float:
        """The smallest piston position, also between the clips."""
        return float(min(self.piston_position.min(), self.table.segment_piston.min()))

    @property
    def coarseness(self) -> float:
        """C dt^2: half of the square of the phase that a contact of two particles goes through in a step."""
        return self.interaction_strength * self.table.grid_step**2 + ROUNDING


def measure_start(
    positions: Any, velocities: Any, protocol: Protocol, interaction_strength: float, backend: Backend
) -> Start:
    """What the guards need of a replica's initial state; positions and velocities are float64 [n_particles, 2]."""
    squares, _, _ = overlaps(positions, protocol.length, protocol.height, protocol.partition, backend.xp)
    with np.errstate(over="ignore", invalid="ignore"):  # the engine stops at velocities that are no numbers
        energy = 0.5 * float((velocities**2).sum() + interaction_strength * squares)
        return Start(energy, float(energy_scale(velocities, backend.xp)))


def examine(recorded: Recorded, substeps: int, rerun: Callable[[int, str], Recorded], backend: Backend) -> Guards:
    """Measure what must hold of a recording, on the device where it lies, and say what is unusual of it.

    `substeps` are the steps of the grid in a time step. `rerun` runs a clip again, from its phase point, by
    `rerun_protocol` and with the engine of that name, a clip of one frame at each instant. Raises SimulationError for
    the impossible; the message names replica and step.
    """
    if not len(recorded.work):
        return Guards()
    check_numbers(recorded, backend)
    temperature = contact_temperature(recorded, backend)
    closest_pair, potential_mismatch, warnings = check_contacts(recorded, temperature, backend)
    energy_imbalance, more = check_energy(recorded, temperature)
    warnings += more
    rerun_deviation = rerun_imbalance = math.nan
    if recorded.table.n_steps >= RERUN_SHARE * RERUN_INSTANTS * RERUN_SPACING * substeps:
        rerun_deviation, rerun_imbalance, more = check_rerun(recorded, rerun)
        warnings += more
    return Guards(
        energy_imbalance=energy_imbalance,
        closest_pair=closest_pair,
        potential_mismatch=potential_mismatch,
        rerun_deviation=rerun_deviation,
        rerun_imbalance=rerun_imbalance,
        warnings=warnings,
    )


def judge(recorded: Recorded, what: str, value: float, unusual: float, impossible: float) -> int:
    """Log the value of `what`: as a warning, and return 1, if it is unusual. Raises SimulationError if impossible."""
    if not value <= impossible:
        raise SimulationError(f"{recorded.name}: {what}: {value:.3g}; more than {impossible:.3g} is impossible")
    level = logging.WARNING if value > unusual else logging.DEBUG
    logger.log(level, "%s: %s: %.3g; more than %.3g is unusual", recorded.name, what, value, unusual)
    return int(value > unusual)


def relative(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The ratio; 0 of a gas at rest, which has neither, and infinite where only the scale is 0."""
    with np.errstate(divide="ignore"):
        return np.divide(values, scale, out=np.zeros_like(values), where=values != 0.0)


def check_numbers(recorded: Recorded, backend: Backend) -> None:
    """Raise SimulationError unless all that was recorded is a number, and every particle in the container."""
    table, xp = recorded.table, backend.xp
    n_clips, frames, n, _ = recorded.positions.shape
    steps = table.snapshot_step[: n_clips * frames]
    corner = np.stack([piston_position(steps, table), np.full(len(steps), recorded.protocol.height)], axis=1)
    corner = backend.adopt(corner)
    snapshots = recorded.positions.reshape(-1, n, 2)
    # Rounded as the positions are: what is just inside does not come to lie outside.
    fine = ((snapshots >= 0.0) & (snapshots <= corner.astype(np.float32)[:, None])).all(axis=-1)
    clips, points = slice(frames - 1, None, frames), recorded.phase_points
    # As `Simulation.load` asks of who runs a clip again.
    inside = (points[..., :2] > 0.0) & (points[..., :2] < corner[clips][:, None])
    fine[clips] &= inside.all(axis=-1) & xp.isfinite(points).all(axis=-1)
    if not bool(fine.all()):
        snapshot, particle = divmod(int(xp.argmin(fine)), n)
        raise SimulationError(
            f"{recorded.name}: particle {particle} is outside the container, or its position or velocity is not a "
            f"number, at step {steps[snapshot]}"
        )
    wrong = np.flatnonzero(~np.isfinite(recorded.energy + recorded.work))
    if len(wrong):
        raise SimulationError(f"{recorded.name}: energy or work is not a number at step {recorded.steps[wrong[0]]}")


def contact_temperature(recorded: Recorded, backend: Backend) -> float:
    """Energy that contacts have by its order: the largest of the gas, and that of the piston.

    That of the gas is the largest at its start and clips. If it was compressed further in between, T Lx is taken to be
    constant, as in an ideal gas.
    """
    of_clips = float(energy_scale(recorded.phase_points[..., 2:], backend.xp).max())
    mean = max(recorded.start.energy, recorded.energy.max()) / recorded.n_particles
    hottest = max(mean, of_clips, recorded.start.energy_scale)
    shortest_seen = min(recorded.piston_position.min(), recorded.protocol.length)
    speed = np.abs(recorded.table.segment_speed).max()
    return float(hottest * shortest_seen / recorded.shortest + speed**2)


def check_energy(recorded: Recorded, temperature: float) -> tuple[float, int]:
    """The energy imbalance, and the number of warnings."""
    energy = np.concatenate([[recorded.start.energy], recorded.energy])
    steps = np.concatenate([[0], recorded.steps])
    change = np.abs(np.diff(energy) - np.diff(recorded.work, prepend=0.0))
    share = relative(change, np.maximum(energy[1:], energy[:-1]))
    ratio = relative(change, expected_imbalance(recorded, temperature, np.diff(steps) * recorded.table.grid_step))
    worst = int(ratio.argmax())
    what = (
        f"energy that no work accounts for between steps {steps[worst]} and {steps[worst + 1]} ({share[worst]:.1e} of "
        "the energy), over what the time step explains"
    )
    return float(share.max()), judge(recorded, what, float(ratio[worst]), UNUSUAL_IMBALANCE, IMPOSSIBLE_IMBALANCE)


def expected_imbalance(recorded: Recorded, temperature: float, time: np.ndarray) -> np.ndarray:
    """Energy that the time step adds in that time: errors of contacts, at random, and on average their square.

    Kinetic theory counts the contacts: 2 sqrt(pi T) N^2 / A of pairs and sqrt(T / 2 pi) N P / A with walls in a unit of
    time, in a container of area A and perimeter P. Ten more, so that a few are not compared with none.
    """
    n, length, height = recorded.n_particles, recorded.shortest, recorded.protocol.height
    pairs = 2.0 * math.sqrt(math.pi * temperature) * n**2 / (length * height)
    walls = math.sqrt(temperature / (2.0 * math.pi)) * n * 2.0 * (length + height) / (length * height)
    contacts = 10.0 + (pairs + walls) * time
    error = CONTACT_ERROR * recorded.coarseness
    expected: np.ndarray = temperature * (error * np.sqrt(contacts) + error**2 * contacts)
    return expected


def check_contacts(recorded: Recorded, temperature: float, backend: Backend) -> tuple[float, float, int]:
    """Distance of the closest pair, potential mismatch, and the number of warnings."""
    found = overlaps(
        recorded.phase_points[..., :2],
        backend.adopt(recorded.piston_position),
        recorded.protocol.height,
        recorded.protocol.partition,
        backend.xp,
    )
    squares, deepest_pair, deepest_wall = (backend.to_host(array) for array in found)
    half, energy = 0.5 * recorded.interaction_strength, recorded.energy
    deepest = half * np.maximum(deepest_pair, deepest_wall) ** 2
    unusual = UNUSUAL_CONTACT * temperature
    worst = int(np.maximum(relative(deepest, energy), deepest / unusual if unusual > 0.0 else 0.0).argmax())
    what = (
        f"energy of a contact at step {recorded.steps[worst]}, in kB T0, the whole of the gas being {energy[worst]:.3g}"
    )
    impossible = energy[worst] * (1.0 + IMPOSSIBLE_MISMATCH)
    warnings = judge(recorded, what, float(deepest[worst]), unusual, impossible)
    mismatch = relative(np.abs(half * squares - recorded.potential_energy), energy)
    worst = int(mismatch.argmax())
    what = (
        f"potential energy recorded at step {recorded.steps[worst]} against that of all pairs and walls, difference "
        "relative to the energy"
    )
    judge(recorded, what, float(mismatch[worst]), IMPOSSIBLE_MISMATCH, IMPOSSIBLE_MISMATCH)
    return 2.0 - float(deepest_pair.max()), float(mismatch[worst]), warnings


def rerun_protocol(recorded: Recorded, clip: int, timestep: float) -> Protocol:
    """The container of a clip, at rest, with a clip at each instant."""
    protocol, length = recorded.protocol, float(recorded.piston_position[clip])
    return Protocol(length, protocol.height, [Hold(RERUN_SPACING * timestep)] * RERUN_INSTANTS, protocol.partition)


def check_rerun(recorded: Recorded, rerun: Callable[[int, str], Recorded]) -> tuple[float, float, int]:
    """Deviation and imbalance of the first of the densest clips when it is run again, and the number of warnings."""
    clip = int(recorded.piston_position.argmin())
    step = recorded.steps[clip]
    contact, verlet = rerun(clip, "contact"), rerun(clip, "verlet")
    difference = contact.phase_points[-1, :, :2] - verlet.phase_points[-1, :, :2]
    deviation = math.sqrt(float((difference**2).sum(axis=-1).max()))
    what = f"distance between particles of the two engines, in R, run again from step {step}"
    warnings = judge(recorded, what, deviation, UNUSUAL_DEVIATION, IMPOSSIBLE_DEVIATION)
    energy = np.concatenate([[contact.start.energy], contact.energy])
    scale = contact.potential_energy.max() + contact.start.energy / contact.n_particles
    imbalance = float(relative(np.ptp(energy, keepdims=True), scale)[0])
    what = f"change of the energy, over that of its contacts, run again from step {step}"
    bounds = UNUSUAL_RERUN_IMBALANCE * recorded.coarseness, IMPOSSIBLE_RERUN_IMBALANCE * recorded.coarseness
    return deviation, imbalance, warnings + judge(recorded, what, imbalance, *bounds)
