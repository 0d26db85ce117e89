"""A replica's trajectory depends on its own start and protocol alone."""

import numpy as np
import pytest
from gases import random_gas

from gputhermo import Hold, InputError, Partition, Protocol, ReplicaBatch, SimulationError, Stroke, simulate
from gputhermo.backend import CpuBackend
from gputhermo.parameters import IntegratorSettings
from gputhermo.process import compile_protocol
from gputhermo.simulate import Buffers, Recording, Simulation

PROTOCOLS = [
    Protocol(100.0, 80.0, [Hold(1.5), Stroke(to=98.0, speed=0.5), Hold(2.0), Stroke(to=100.0, speed=1.0, record=True)]),
    Protocol(60.0, 100.0, [Hold(4.0), Stroke(to=58.0, speed=0.5, record=True)]),
    Protocol(40.0, 40.0, [Stroke(to=30.0, speed=2.0), Hold(3.0), Hold(1.5)]),
]


@pytest.fixture(scope="module")
def batch() -> ReplicaBatch:
    """Three replicas that share nothing: number of particles, container, temperature, stiffness, protocol."""
    states = [
        random_gas(n, protocol.length, protocol.height, seed=n, temperature=temperature)
        for n, protocol, temperature in zip((150, 260, 90), PROTOCOLS, (1.0, 0.5, 2.0), strict=True)
    ]
    positions, velocities = zip(*states, strict=True)
    return ReplicaBatch.from_arrays(positions, velocities, interaction_strength=[10_000.0, 20_000.0, 5_000.0])


def run(batch: ReplicaBatch, protocols: list[Protocol] = PROTOCOLS, **options) -> list[Recording]:
    options = {"device": CpuBackend(1), "frames": 3, "frame_interval": 0.5, "series_interval": 0.25} | options
    return simulate(batch, protocols, **options)


def assert_bitwise_equal(ours: list[Recording], theirs: list[Recording]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        for name in ("positions", "phase_points", "kinetic_energy", "potential_energy", "work"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), name
        for name in ("kinetic_temperature_x", "kinetic_temperature_y", "potential_energy", "work"):
            assert np.array_equal(getattr(a.series, name), getattr(b.series, name)), name
        assert np.array_equal(a.series.pressure, b.series.pressure, equal_nan=True)


@pytest.fixture(scope="module")
def reference(batch: ReplicaBatch) -> list[Recording]:
    return run(batch)


@pytest.mark.parametrize("engine", ["contact", "verlet"])
def test_alone_or_in_a_batch(batch: ReplicaBatch, engine: str):
    integrator = IntegratorSettings(engine=engine)
    together = run(batch, integrator=integrator)
    alone = []
    for r, n in enumerate(batch.n_particles):
        state = ReplicaBatch.from_arrays(
            [batch.positions[r, :n]], [batch.velocities[r, :n]], batch.interaction_strength[r : r + 1]
        )
        alone += run(state, PROTOCOLS[r : r + 1], integrator=integrator)
    assert_bitwise_equal(together, alone)


def test_a_drawn_batch_has_what_was_asked_for():
    batch = ReplicaBatch.draw(
        [10, 20], Protocol(30.0, 20.0, [Hold(1.0)]), seed=1, kinetic_energy=[5.0, 40.0], interaction_strength=[1e3, 1e4]
    )
    assert batch.positions.shape == (2, 20, 2)
    assert batch.n_particles.tolist() == [10, 20]
    assert batch.interaction_strength.tolist() == [1e3, 1e4]
    np.testing.assert_allclose(0.5 * (batch.velocities**2).sum(axis=(1, 2)), [5.0, 40.0], rtol=1e-12)
    one_gas = ReplicaBatch.draw(10, PROTOCOLS[0], seed=1, interaction_strength=[1e3, 1e4, 1e5])
    assert one_gas.n_particles.tolist() == [10, 10, 10]
    with pytest.raises(InputError, match="n_particles and interaction_strength must be one value, or one each"):
        ReplicaBatch.draw([10, 20], PROTOCOLS[0], seed=1, interaction_strength=[1e3, 1e4, 1e5])


def test_one_thread_or_two(batch: ReplicaBatch, reference: list[Recording]):
    assert_bitwise_equal(reference, run(batch, device=CpuBackend(2)))


def test_small_buffers_or_ample_ones(batch: ReplicaBatch, reference: list[Recording], monkeypatch: pytest.MonkeyPatch):
    sizes = []
    new_workspace = Simulation._new_workspace

    def watched(simulation: Simulation):
        sizes.append(simulation.buffers)
        return new_workspace(simulation)

    monkeypatch.setattr(Simulation, "_new_workspace", watched)
    recordings = run(batch, buffers=Buffers(n_cells=4, n_neighbours=1, n_events=4))
    assert_bitwise_equal(reference, recordings)
    assert sizes[-1].n_cells > 4
    assert sizes[-1].n_neighbours > 1
    assert sizes[-1].n_events > 4


@pytest.mark.parametrize("n_window_steps", [7, 100, 5000])
def test_wherever_windows_end(batch: ReplicaBatch, reference: list[Recording], n_window_steps: int):
    assert_bitwise_equal(reference, run(batch, buffers=Buffers(n_window_steps=n_window_steps)))


def test_however_often_the_room_for_events_is_used_up():
    """Those of a window's start must find room, if need be in a larger buffer; later ones without it end the window."""
    protocol = Protocol(30.0, 30.0, [Hold(8.0)])
    gas = ReplicaBatch.draw(40, protocol, seed=3)
    options = {"device": "cpu", "frames": 1, "series_interval": 8.0}
    ample, scarce = (simulate(gas, protocol, buffers=Buffers(n_events=n), **options) for n in (8192, 4))
    assert_bitwise_equal(ample, scarce)
    assert scarce[0].counters["windows"] > 2 * ample[0].counters["windows"], (scarce[0].counters, ample[0].counters)


@pytest.mark.parametrize("n_window_steps", [1, 7, 8192])
def test_who_leaves_the_box_is_told_wherever_windows_end(n_window_steps: int):
    """Too hot for so soft a wall, and back in the box some steps later."""
    batch = ReplicaBatch.from_arrays([np.array([[10.0, 10.0]])], [np.array([[-40.0, 0.3]])], 1_000.0)
    buffers = Buffers(n_window_steps=n_window_steps)
    with pytest.raises(SimulationError, match=r"replica 0: particle 0 left the box .* after step 254$"):
        simulate(batch, Protocol(20.0, 20.0, [Hold(1.0)]), device="cpu", frames=1, buffers=buffers)


def test_buffers_have_room_for_something():
    with pytest.raises(InputError, match=r"buffers\.n_events = 0 is not allowed: at least 1"):
        Buffers(n_events=0)


@pytest.mark.parametrize("engine", ["contact", "verlet"])
@pytest.mark.parametrize("budget", [1, 3_000])
def test_stopped_and_resumed(batch: ReplicaBatch, engine: str, budget: int):
    """Each launch runs in a fresh Simulation that knows the checkpoint of the one before and nothing else."""
    integrator = IntegratorSettings(engine=engine)
    tables = [compile_protocol(protocol, integrator.grid_step, 3, 0.5) for protocol in PROTOCOLS]
    state: dict[int, dict[str, np.ndarray]] = {}
    launches = 0
    while True:
        simulation = Simulation(
            n_slots=3,
            n_max=batch.positions.shape[1],
            timetables=tables,
            integrator=integrator,
            backend=CpuBackend(1),
            series_interval=0.25,
        )
        for r, n in enumerate(batch.n_particles):
            strength = batch.interaction_strength[r]
            start = batch.positions[r, :n], batch.velocities[r, :n]
            simulation.load(r, *start, strength, PROTOCOLS[r], tables[r])
            if state:
                simulation.restore(r, state[r])
        if not len(simulation.running):
            break
        simulation.advance(budget)
        launches += 1
        state = {r: {name: array.copy() for name, array in simulation.checkpoint(r).items()} for r in range(3)}
    assert launches > 10
    assert_bitwise_equal(run(batch, integrator=integrator), [simulation.recording(r) for r in range(3)])


def test_snapshots_are_the_phase_points_in_single_precision(reference: list[Recording]):
    for recording in reference:
        assert np.array_equal(recording.positions[:, -1], recording.phase_points[:, :, :2].astype(np.float32))


def test_recorded_sums(batch: ReplicaBatch, reference: list[Recording]):
    """Energies from the phase points, by brute force; times and piston positions from the protocols by hand."""
    for recording, protocol, stiffness in zip(reference, PROTOCOLS, batch.interaction_strength, strict=True):
        for clip, piston in enumerate(recording.piston_position):
            positions, velocities = np.split(recording.phase_points[clip], 2, axis=1)
            gaps = positions[:, None] - positions[None, :]
            overlap = np.clip(2.0 - np.hypot(*gaps.T), 0.0, None)[np.triu_indices(len(positions), 1)]
            walls = np.concatenate([positions, [piston, protocol.height] - positions])
            potential = 0.5 * stiffness * ((overlap**2).sum() + (np.clip(1.0 - walls, 0.0, None) ** 2).sum())
            np.testing.assert_allclose(recording.potential_energy[clip], potential, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(recording.kinetic_energy[clip], 0.5 * (velocities**2).sum(), rtol=1e-12)
    np.testing.assert_allclose(reference[0].time, [1.5, 7.5, 9.5], rtol=1e-12)
    assert reference[0].piston_position.tolist() == [100.0, 98.0, 100.0]
    assert reference[2].action.tolist() == [1, 2]
    np.testing.assert_allclose(reference[1].series.time, np.arange(1, 33) * 0.25)


def test_pressure_is_the_momentum_that_a_wall_gives():
    state = ReplicaBatch.from_arrays([np.array([[10.0, 5.0]])], [np.array([[3.0, 0.0]])])
    (recording,) = run(state, [Protocol(20.0, 10.0, [Hold(5.0)])], series_interval=5.0)
    momentum = 3.0 - recording.phase_points[0, 0, 2]
    assert momentum == pytest.approx(6.0, rel=1e-2)
    np.testing.assert_allclose(recording.series.pressure[0, :4], [0.0, momentum / (10.0 * 5.0), 0.0, 0.0], rtol=1e-9)


def test_pressure_on_a_partition():
    """One particle on either side; the faces take the momentum that the side walls do not."""
    state = ReplicaBatch.from_arrays(
        [np.array([[5.0, 6.0], [12.0, 3.0]])], [np.array([[-2.0, 0.0], [4.0, 0.0]])], interaction_strength=1e5
    )
    (recording,) = run(state, [Protocol(20.0, 10.0, [Hold(6.0)], Partition("x", 9.0))], series_interval=6.0)
    left, piston, _, _, low, high = recording.series.pressure[0] * (10.0 * 6.0)
    np.testing.assert_allclose([left, low], [4.0, 4.0], rtol=0.01)  # at x = 1 after 2, at x = 8 after 5.5
    np.testing.assert_allclose([piston, high], [8.0, 8.0], rtol=0.01)  # at x = 19 after 1.75, at x = 10 after 4


def test_overlapping_start_is_an_error():
    squeezed = ReplicaBatch.from_arrays([np.full((2, 2), 5.0)], [np.zeros((2, 2))])
    with pytest.raises(SimulationError, match=r"replica 0: particle [01] left the box .* after step 1"):
        run(squeezed, [Protocol(10.0, 10.0, [Hold(2.0)])])


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (Protocol(10.0, 10.0, [Hold(0.0)]), "Hold time = 0 is not allowed: a positive multiple of the time step"),
        (Protocol(10.0, 10.0, [Hold(1.00005)]), "Hold time = 1.00005 is not allowed"),
        (Protocol(10.0, 10.0, [Hold(0.5)]), "Hold time = 0.5 is too short for a clip of 3 snapshots 0.5 apart"),
        (Protocol(10.0, 10.0, [Stroke(to=1.5, speed=1.0)]), "Stroke.to = 1.5 is not allowed: more than 2 R"),
        (Protocol(10.0, 10.0, [Stroke(to=9.0, speed=0.0)]), "Stroke.speed = 0 is not allowed: a positive speed"),
        (Protocol(10.0, 10.0, []), "Protocol.actions is empty"),
        (Protocol(1.0, 10.0, [Hold(2.0)]), "Protocol.length = 1 is not allowed: more than 2 R"),
        (Protocol(10.0, 10.0, [Hold(2.0)], Partition("z", 3.0)), "Partition.axis = 'z' is not allowed: x or y"),
        (
            Protocol(10.0, 9.0, [Hold(2.0)], Partition("y", 9.5)),
            "Partition.position = 9.5 is not allowed: .* 0 and 9 is",
        ),
        (
            Protocol(10.0, 9.0, [Hold(2.0), Stroke(to=5.0, speed=1.0)], Partition("x", 6.0)),
            "Partition.position = 6 is not allowed: a place between x = 0 and 5 is needed",
        ),
        (Protocol(4.0, 10.0, [Hold(2.0)]), "positions are not allowed outside the container of 4 x 10"),
    ],
)
def test_protocols_that_cannot_run(protocol: Protocol, message: str):
    state = ReplicaBatch.from_arrays([np.array([[5.0, 5.0]])], [np.array([[1.0, 0.0]])])
    with pytest.raises(InputError, match=message):
        run(state, [protocol])


@pytest.mark.parametrize(
    ("velocity", "message"),
    [
        (float("nan"), "replica 0: particle 3 left the box .* after step [0-9]+"),
        (float("inf"), "replica 0: a particle is too fast for the time step after step 0"),
        (200.0, "replica 0: a particle is too fast for the time step after step 0"),
    ],
)
def test_impossible_velocities_are_errors(velocity: float, message: str):
    """`from_arrays` refuses the first two; a batch built by hand can hold them."""
    positions, velocities = random_gas(50, 40.0, 40.0, seed=1)
    velocities[3, 0] = velocity
    batch = ReplicaBatch(
        positions=positions[None],
        velocities=velocities[None],
        n_particles=np.array([50]),
        interaction_strength=np.array([1e4]),
    )
    with pytest.raises(SimulationError, match=message):
        run(batch, [Protocol(40.0, 40.0, [Hold(2.0)])])


def test_counters_do_not_depend_on_windows(batch: ReplicaBatch, reference: list[Recording]):
    coarse = run(batch, series_interval=0.0)
    for name in ("steps", "contacts", "executed"):
        assert [r.counters[name] for r in coarse] == [r.counters[name] for r in reference], name


SIMULATED = """
import sys
import numpy as np
from gputhermo import Hold, Protocol, ReplicaBatch, Stroke, simulate
from gputhermo.backend import CudaBackend
from gputhermo.parameters import IntegratorSettings
from gputhermo.simulate import Buffers
given = np.load(sys.argv[1])
batch = ReplicaBatch.from_arrays([given["positions"]], [given["velocities"]], interaction_strength=1e3)
protocol = Protocol(9.0, 9.0, [Hold(0.1), Stroke(to=8.8, speed=2.0, record=True)])
(recording,) = simulate(
    batch,
    protocol,
    device=CudaBackend(simulated_threads=int(sys.argv[3])),
    integrator=IntegratorSettings(engine=sys.argv[4], timestep=0.002),
    frames=1,
    series_interval=0.05,
    buffers=Buffers(n_cells=2, n_neighbours=1, n_events=1, n_window_steps=16),
)
np.savez(sys.argv[2], phase_points=recording.phase_points, work=recording.work, pressure=recording.series.pressure)
"""


@pytest.mark.parametrize(("engine", "n_threads"), [("contact", 1), ("contact", 4), ("verlet", 3)])
def test_simulated_cuda_runs_both_engines(simulator, tmp_path, engine: str, n_threads: int):
    """Barriers and full buffers included: every buffer is too small at first. Bitwise the CPU's result."""
    positions, velocities = random_gas(6, 9.0, 9.0, seed=13, temperature=4.0)
    np.savez(tmp_path / "start.npz", positions=positions, velocities=velocities)
    simulator(SIMULATED, tmp_path / "start.npz", tmp_path / "end.npz", n_threads, engine)
    (ours,) = simulate(
        ReplicaBatch.from_arrays([positions], [velocities], interaction_strength=1e3),
        Protocol(9.0, 9.0, [Hold(0.1), Stroke(to=8.8, speed=2.0, record=True)]),
        device=CpuBackend(1),
        integrator=IntegratorSettings(engine=engine, timestep=0.002),
        frames=1,
        series_interval=0.05,
    )
    theirs = np.load(tmp_path / "end.npz")
    assert ours.work[-1] > 0.0
    assert np.array_equal(theirs["phase_points"], ours.phase_points)
    assert np.array_equal(theirs["work"], ours.work)
    assert np.array_equal(theirs["pressure"], ours.series.pressure, equal_nan=True)
