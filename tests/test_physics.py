"""Statistical mechanics: what long runs must average to, with confidence intervals in place of tolerances.

Every test states what it samples. Samples are further apart than the time in which the gas forgets, so they count as
independent; seeds are fixed, so a test that passes passes always. P_VALUE is the chance that a correct program would
have failed when the seed was chosen.
"""

import numpy as np
import pytest
from gases import random_gas
from scipy import integrate, stats

from gputhermo import Hold, Protocol, ReplicaBatch, Stroke, simulate
from gputhermo.entropy import VIRIAL_RATIOS
from gputhermo.parameters import IntegratorSettings

pytestmark = pytest.mark.physics

P_VALUE = 1e-3
STIFFNESS = 10_000.0
DIAMETER = 2.0


def second_virial(temperature: float) -> float:
    """B2 = pi * integral of (1 - exp(-u/T)) r dr from 0 to 2R, for u = C/2 (2R - r)^2."""

    def integrand(r: float) -> float:
        return (1.0 - np.exp(-0.5 * STIFFNESS * (DIAMETER - r) ** 2 / temperature)) * r

    return np.pi * integrate.quad(integrand, 0.0, DIAMETER, points=[DIAMETER - 0.1])[0]


def compressibility(density: float, temperature: float) -> float:
    """Z = P / (rho T) of the virial sum, for hard discs of the diameter that gives the soft ones' B2."""
    b2 = second_virial(temperature)
    return 1.0 + sum(b * (b2 * density) ** (n + 1) for n, b in enumerate(VIRIAL_RATIOS))


def test_virial_sum_of_hard_discs() -> None:
    """The reference itself, where it is published: packing fraction 0.1 and 0.3 of hard discs, B2 = pi sigma^2 / 2."""
    cold = 1e-9
    assert compressibility(0.1 / np.pi, cold) == pytest.approx(1.236144, abs=2e-6)
    assert compressibility(0.3 / np.pi, cold) == pytest.approx(2.0632, abs=1e-3)


@pytest.mark.parametrize("packing_fraction", [0.1, 0.2])
def test_equation_of_state(packing_fraction: float) -> None:
    """P / T of the gas, from the impulses on two walls, is rho Z(rho) at the density away from the walls.

    The container is 40 x 400 so that its corners, where pressure on the wall is higher, weigh little: they add less
    than 0.1% to the pressure on the long walls. Layers at the walls end within 4 diameters. 8 replicas of 400 time
    units after 100; 0.5 million steps each.
    """
    length, height, margin = 40.0, 400.0, 4.0 * DIAMETER
    n_particles = round(packing_fraction / np.pi * (length - 2.0) * (height - 2.0))
    states = [random_gas(n_particles, length, height, seed=seed) for seed in range(8)]
    batch = ReplicaBatch.from_arrays(*zip(*states, strict=True), STIFFNESS)
    protocol = Protocol(length, height, [Hold(100.0, record=False)] + [Hold(2.0)] * 200)
    differences = []
    for recording in simulate(batch, protocol, device="cpu", frames=1, series_interval=100.0):
        temperature = recording.kinetic_energy.mean() / n_particles
        on_long_walls = recording.series.pressure[1:, :2].mean() * height / (height - 2.0)
        x, y = recording.phase_points[:, :, 0], recording.phase_points[:, :, 1]
        inside = (margin < x) & (x < length - margin) & (margin < y) & (y < height - margin)
        density = inside.sum(axis=1).mean() / ((length - 2.0 * margin) * (height - 2.0 * margin))
        expected = density * compressibility(density, temperature)
        differences.append(on_long_walls / temperature / expected - 1.0)
    assert stats.sem(differences) < 0.003, "the test must be sharp"
    assert stats.ttest_1samp(differences, 0.0).pvalue > P_VALUE


def test_equipartition() -> None:
    """The share of the x direction in the kinetic energy of a gas that began with all motion along x.

    At fixed energy the 2N velocity components are uniform on a sphere, so K_x / K follows the beta distribution
    (N/2, N/2): mean 1/2, variance 1 / (4 (N + 1)). 8 replicas x 40 samples, 10 apart, after 100; 0.5 million steps
    each.
    """
    n_particles, length = 100, 40.0
    states = [random_gas(n_particles, length, length, seed=seed) for seed in range(8)]
    along_x = [np.stack([np.sqrt(2.0) * v[:, 0], np.zeros(n_particles)], axis=1) for _, v in states]
    batch = ReplicaBatch.from_arrays([x for x, _ in states], along_x, STIFFNESS)
    protocol = Protocol(length, length, [Hold(500.0)])
    shares = []
    for recording in simulate(batch, protocol, device="cpu", frames=1, series_interval=10.0):
        x, y = recording.series.kinetic_temperature_x[10:], recording.series.kinetic_temperature_y[10:]
        shares.extend(x / (x + y))
    assert stats.kstest(shares, stats.beta(n_particles / 2, n_particles / 2).cdf).pvalue > P_VALUE


def test_speeds_are_distributed_as_maxwell_found() -> None:
    """(v/T) exp(-v^2 / 2T), from speeds that were all equal: v^2 / 2T is exponentially distributed.

    T is the kinetic energy a particle. 4 replicas x 10 snapshots of 500 particles, 20 apart, after 100; 0.3 million
    steps each.
    """
    n_particles, length = 500, 90.0
    states = [random_gas(n_particles, length, length, seed=seed) for seed in range(4)]
    equal = [np.sqrt(2.0) * v / np.linalg.norm(v, axis=1, keepdims=True) for _, v in states]
    batch = ReplicaBatch.from_arrays([x for x, _ in states], equal, STIFFNESS)
    protocol = Protocol(length, length, [Hold(100.0, record=False)] + [Hold(20.0)] * 10)
    reduced = []
    for recording in simulate(batch, protocol, device="cpu", frames=1):
        energies = 0.5 * (recording.phase_points[:, :, 2:] ** 2).sum(axis=2)
        reduced.append(energies / energies.mean(axis=1, keepdims=True))
    assert stats.kstest(np.ravel(reduced), stats.expon.cdf).pvalue > P_VALUE


def excess_entropy(density: float, temperature: float) -> float:
    """Entropy per particle over that of the ideal gas: minus the integral of (Z - 1) / rho over rho."""
    b2 = second_virial(temperature)
    return -sum(b * (b2 * density) ** (n + 1) / (n + 1) for n, b in enumerate(VIRIAL_RATIOS))


def test_slow_adiabat() -> None:
    """A slow push to half the length keeps the entropy: log(T A) a particle (gamma = 2), with what repulsion adds.

    8 replicas of 1200 time units, 1.2 million steps each. The bound of 0.01 leaves room for the layers at the walls and
    for the piston's finite speed; the excess entropy changes by 0.07.
    """
    n_particles, full, half = 150, 120.0, 60.0
    states = [random_gas(n_particles, full, full, seed=seed) for seed in range(8)]
    batch = ReplicaBatch.from_arrays(*zip(*states, strict=True), STIFFNESS)
    recordings = simulate(batch, Protocol(full, full, [Stroke(half, 0.05, record=True)]), device="cpu", frames=1)

    def entropy(energy: float, length: float) -> float:
        area, temperature = (length - 2.0) * (full - 2.0), energy / n_particles
        return np.log(temperature * area) + excess_entropy(n_particles / area, temperature)

    gained = [
        entropy(recording.kinetic_energy[0], half) - entropy(0.5 * (velocities**2).sum(), full)
        for recording, (_, velocities) in zip(recordings, states, strict=True)
    ]
    assert np.mean(gained) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(("substeps", "bound"), [(1, 2e-5), (4, 1e-6)])
def test_heating_by_the_integrator(substeps: int, bound: float) -> None:
    """Energy that the time step adds to a gas left alone, in kB T0 a contact: below `bound`, with confidence.

    It is an arrow of time that is not physics, so it must stay small against what a stroke does. 16 replicas of
    200 particles, some 30,000 contacts each.
    """
    n_particles, length = 200, 60.0
    states = [random_gas(n_particles, length, length, seed=seed) for seed in range(16)]
    batch = ReplicaBatch.from_arrays(*zip(*states, strict=True), STIFFNESS)
    settings = IntegratorSettings(substeps=substeps)
    recordings = simulate(batch, Protocol(length, length, [Hold(500.0)]), device="cpu", integrator=settings, frames=1)
    heating = [
        (r.kinetic_energy[-1] + r.potential_energy[-1] - 0.5 * (v**2).sum()) / r.counters["contacts"]
        for r, (_, v) in zip(recordings, states, strict=True)
    ]
    margin = stats.t.ppf(1.0 - P_VALUE / 2.0, len(heating) - 1) * stats.sem(heating)
    assert abs(np.mean(heating)) + margin < bound
