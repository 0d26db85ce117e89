"""Initial states: nothing overlaps, places are uniform, velocities are Maxwell's, and only the address matters."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist

from gputhermo import InputError, Partition, initialize
from gputhermo.backend import select
from gputhermo.initialize import draw, reachable
from gputhermo.kernels.philox import uniform_pair


@pytest.fixture(scope="module")
def cpu():
    return select("cpu", 1)


BOXES = [
    (500, 300.0, 300.0, None),
    (2000, 300.0, 300.0, None),
    (2000, 150.0, 300.0, None),
    (1000, 300.0, 300.0, Partition("x", 100.0)),
    (500, 150.3, 120.7, Partition("y", 60.1)),
    (reachable(80.0, 70.0), 80.0, 70.0, None),
]


@pytest.mark.parametrize(("n", "length", "height", "partition"), BOXES)
def test_nothing_overlaps(cpu, n, length, height, partition):
    positions, _ = draw(n, length, height, partition=partition, seed=1, backend=cpu)
    x, y = positions[0].T
    assert positions.shape == (1, n, 2)
    assert pdist(positions[0]).min() >= 2.0
    assert min(x.min(), y.min(), length - x.max(), height - y.max()) >= 1.0
    if partition is not None:
        distance = (x if partition.axis == "x" else y) - partition.position
        assert np.abs(distance).min() >= 1.0
        assert (distance < 0).any()
        assert (distance > 0).any()


def test_rounds_follow_the_rule(cpu):
    """The cell search against every pair: a proposal loses to what is placed and to proposals of a lower index."""
    side, seed, stream = 20.0, 3, 7
    n = reachable(side, side)
    expected, placed, attempt = np.zeros((n, 2)), [], 0
    while len(placed) < n:
        waiting = [i for i in range(n) if i not in placed]
        for i in waiting:
            u, v = uniform_pair(i, attempt, stream, 0, seed)
            expected[i] = 1.0 + u * (side - 2.0), 1.0 + v * (side - 2.0)
        rivals = {i: placed + [j for j in waiting if j < i] for i in waiting}
        placed = placed + [i for i in waiting if (((expected[rivals[i]] - expected[i]) ** 2).sum(axis=1) >= 4.0).all()]
        attempt += 1
    positions, _ = draw(n, side, side, seed=seed, stream=stream, backend=cpu)
    assert attempt > 10
    np.testing.assert_array_equal(positions[0], expected)


def test_positions_are_uniform_in_a_dilute_gas(cpu):
    positions, _ = draw(np.full(50, 500), 300.0, 300.0, seed=4, backend=cpu)
    counts, _, _ = np.histogram2d(*positions.reshape(-1, 2).T, bins=10, range=[[1.0, 299.0]] * 2)
    assert counts.sum() == 25_000
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_velocities_are_maxwells(cpu, temperature):
    _, velocities = draw(np.full(20, 1000), 300.0, 300.0, temperature=temperature, seed=5, backend=cpu)
    velocities = velocities.reshape(-1, 2)
    speed = np.hypot(*velocities.T)
    # f(v) = (v / T) exp(-v^2 / 2T), the speed distribution in two dimensions
    assert stats.kstest(speed, lambda v: 1.0 - np.exp(-(v**2) / (2.0 * temperature))).pvalue > 1e-3
    for component in velocities.T:
        assert stats.kstest(component, stats.norm(scale=math.sqrt(temperature)).cdf).pvalue > 1e-3
    assert stats.spearmanr(*velocities.T).pvalue > 1e-3


def test_no_motion_at_zero_temperature(cpu):
    positions, velocities = draw(50, 50.0, 50.0, temperature=0.0, seed=6, backend=cpu)
    assert not velocities.any()
    np.testing.assert_array_equal(positions, draw(50, 50.0, 50.0, seed=6, backend=cpu)[0])


def test_kinetic_energy_is_the_one_asked_for(cpu):
    energies = [2000.0, 1234.5, 0.0, math.nan]
    _, velocities = draw(2000, 300.0, 300.0, kinetic_energy=energies, seed=7, stream=[0, 1, 2, 3], backend=cpu)
    kinetic = [math.fsum(0.5 * v.ravel() ** 2) for v in velocities]
    np.testing.assert_allclose(kinetic[:3], energies[:3], rtol=1e-12, atol=0.0)
    _, drawn = draw(2000, 300.0, 300.0, seed=7, stream=[0, 1, 2, 3], backend=cpu)
    np.testing.assert_array_equal(velocities[3], drawn[3])
    scale = velocities[1] / drawn[1]
    np.testing.assert_allclose(scale, scale[0, 0], rtol=1e-14)


def test_each_replica_has_its_own_box_and_padding_is_zero(cpu):
    n, length, height, temperature = [5, 40, 1], [30.0, 60.0, 2.0], [20.0, 50.0, 2.0], [1.0, 1e-4, 1e4]
    positions, velocities = draw(n, length, height, temperature=temperature, seed=8, backend=cpu)
    for r in range(3):
        assert (positions[r, : n[r]] <= np.array([length[r], height[r]]) - 1.0).all()
        assert not positions[r, n[r] :].any()
        assert not velocities[r, n[r] :].any()
    assert np.abs(velocities[1]).max() < 0.1
    np.testing.assert_array_equal(positions[2, 0], [1.0, 1.0])  # the one place there is


def test_batch_and_threads_do_not_matter(cpu):
    n, length = np.array([300, 10, 450, 200]), np.array([60.0, 20.0, 80.0, 60.0])
    energy = np.array([math.nan, 10.0, 450.0, math.nan])
    partition = [None, Partition("x", 9.0), None, Partition("y", 30.0)]
    common = {"height": 60.0, "seed": 9}
    together = draw(
        n, length, kinetic_energy=energy, partition=partition, stream=[5, 6, 7, 8], backend=select("cpu", 2), **common
    )
    for r in range(4):
        alone = draw(
            n[r], length[r], kinetic_energy=energy[r], partition=partition[r], stream=5 + r, backend=cpu, **common
        )
        for one, many in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], many[r, : n[r]])


def test_simulator_draws_the_same_states(cpu, simulator, tmp_path):
    script = """
import sys
import numpy as np
from gputhermo import Partition
from gputhermo.backend import CudaBackend
from gputhermo.initialize import draw
for n_threads in (1, 3, 4, 8):
    positions, velocities = draw(
        [16, 40, 1], [13.0, 30.0, 2.0], [13.0, 25.0, 2.0], kinetic_energy=[np.nan, 40.0, 0.5],
        partition=[None, Partition("x", 8.0), None], seed=2**40 + 1, stream=[2**32 - 1, 0, 3],
        backend=CudaBackend(simulated_threads=n_threads),
    )
    np.savez(f"{sys.argv[1]}/{n_threads}.npz", positions=positions, velocities=velocities)
"""
    simulator(script, tmp_path)
    positions, velocities = draw(
        [16, 40, 1],
        [13.0, 30.0, 2.0],
        [13.0, 25.0, 2.0],
        kinetic_energy=[math.nan, 40.0, 0.5],
        partition=[None, Partition("x", 8.0), None],
        seed=2**40 + 1,
        stream=[2**32 - 1, 0, 3],
        backend=cpu,
    )
    for n_threads in (1, 3, 4, 8):
        with np.load(tmp_path / f"{n_threads}.npz") as simulated:
            np.testing.assert_array_equal(simulated["positions"], positions)
            np.testing.assert_array_equal(simulated["velocities"], velocities)


def test_seed_and_stream_change_everything_and_nothing_else_does(cpu):
    reference = draw(200, 100.0, 100.0, seed=10, stream=1, backend=cpu)
    for again in (
        draw(200, 100.0, 100.0, seed=10, stream=1, backend=cpu),
        [both[1:] for both in draw([200, 200], 100.0, 100.0, seed=10, backend=cpu)],  # by default the index
    ):
        for one, other in zip(reference, again, strict=True):
            np.testing.assert_array_equal(one, other)
    for changed in ({"seed": 11, "stream": 1}, {"seed": 10 + 2**32, "stream": 1}, {"seed": 10, "stream": 2}):
        for one, other in zip(reference, draw(200, 100.0, 100.0, backend=cpu, **changed), strict=True):
            assert (one != other).all()


@pytest.mark.parametrize(
    ("length", "height", "partition"),
    [
        (2.0, 2.0, None),
        (4.0, 4.0, None),
        (12.0, 12.0, None),
        (2.5, 100.0, None),
        (5.0, 100.0, None),
        (50.0, 50.0, None),
        (40.0, 20.0, Partition("x", 10.0)),
    ],
)
def test_what_is_called_reachable_is_reached(cpu, length, height, partition):
    n = reachable(length, height, partition)
    positions, _ = draw(np.full(100, n), length, height, partition=partition, seed=12, backend=cpu)
    assert positions.shape == (100, n, 2)
    with pytest.raises(InputError, match=f"n_particles = {n + 1} is not allowed: .* at most {n} "):
        draw(n + 1, length, height, partition=partition, seed=12, backend=cpu)


def test_a_draw_that_finds_no_room_is_an_error(cpu, monkeypatch):
    monkeypatch.setattr(initialize, "N_ROUNDS", 1)
    with pytest.raises(InputError, match=r"^n_particles = 300 is not allowed: .* found room for \d+ only$") as error:
        draw([1, 300], 50.0, 50.0, seed=13, backend=cpu)
    n_placed = int(str(error.value).split()[-2])
    assert 50 < n_placed < 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_particles": 0}, "n_particles = 0 is not allowed: a whole number from 1 "),
        ({"n_particles": 2.5}, "n_particles = 2.5 is not allowed: a whole number "),
        ({"length": 1.99}, "length = 1.99 is not allowed: a finite number of at least 2 "),
        ({"height": math.inf}, "height = inf is not allowed"),
        ({"height": [10.0, math.nan]}, "height = nan is not allowed"),
        ({"temperature": -1.0}, "temperature = -1 is not allowed"),
        ({"kinetic_energy": -3.0}, "kinetic_energy = -3 is not allowed"),
        ({"kinetic_energy": math.inf}, "kinetic_energy = inf is not allowed"),
        ({"kinetic_energy": 3.0, "temperature": 0.0}, "kinetic_energy = 3 is not allowed at temperature = 0"),
        ({"seed": -1}, "seed = -1 is not allowed"),
        ({"seed": 2**64}, "seed = 18446744073709551616 is not allowed: a whole number from 0 to 9223372036854775807 "),
        ({"stream": 2**32}, "stream = 4294967296 is not allowed: a whole number from 0 to 4294967295 "),
        ({"partition": Partition("y", 30.0)}, "partition.position = 30 is not allowed: a place between y = 0 and 30 "),
        ({"partition": Partition("x", math.nan)}, "partition.position = nan is not allowed"),
        ({"n_particles": 150}, "at most 129 particles in a box of 30 x 30 (packing fraction 0.450)"),
        ({"n_particles": 150, "partition": Partition("x", 9.0)}, "box of 30 x 30, divided at x = 9 (packing"),
        ({"n_particles": [1, 2], "length": [9.0] * 3}, "n_particles [2], length [3] do not fit together"),
        ({"n_particles": []}, "n_particles [0] do not fit together"),
    ],
)
def test_errors_name_the_field_and_what_is_allowed(cpu, change, message):
    arguments = {"n_particles": 10, "length": 30.0, "height": 30.0, "seed": 0, "backend": cpu}
    with pytest.raises(InputError) as error:
        draw(**(arguments | change))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
