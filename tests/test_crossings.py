"""Free particles that cross from cell to cell within a window: some steps late, and no contact is missed."""

import numpy as np
import pytest
from gases import random_gas

from gputhermo import Hold, Protocol, ReplicaBatch, simulate
from gputhermo.backend import CpuBackend
from gputhermo.kernels import replica
from gputhermo.parameters import IntegratorSettings
from gputhermo.process import compile_protocol
from gputhermo.simulate import Simulation


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("bystanders", range(1, 9))
def test_two_that_come_to_the_middle_cell_from_either_side_meet(axis: int, bystanders: int):
    """At one time, so half a period apart; the number of bystanders decides into how many cells the box is cut."""
    length = 40.0
    positions = np.full((2 + bystanders, 2), 0.5 * length)
    positions[:2, axis] += [-8.0, 8.0]
    positions[2:] = [[2.0 + 4.0 * k, 2.0] for k in range(bystanders)]
    velocities = np.zeros_like(positions)
    velocities[:2, axis] = [4.0, -4.0]
    batch = ReplicaBatch.from_arrays([positions], [velocities], 10_000.0)
    phase_points = simulate(batch, Protocol(length, length, [Hold(3.0)]), device="cpu", frames=1)[0].phase_points
    np.testing.assert_allclose(phase_points[-1, :2, 2:], -velocities[:2], atol=1e-2)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("mirror", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize(
    ("positions", "velocities"),
    [
        ([[-0.0201, 12.3], [13.0 - 40.0 / 3.0, 1.005 + 40.0 / 3.0]], [[0.2, 0.0], [0.0, -10.0]]),
        ([[-1.005, 27.5], [27.5 - 40.0 / 3.0, -1.005]], [[10.0, 0.0], [0.0, 10.0]]),
    ],
    ids=["into the column that the other left", "diagonally"],
)
def test_two_that_cross_at_right_angles_at_one_time_meet(positions, velocities, mirror, order: int):
    """Both are at a border after 0.1005, in a box of three by three cells; before, neither is next to the other.

    They are taken across at one step if both go forward, or both backward, along their axes.
    """
    length = 40.0
    border = np.array([[length / 3.0, 0.0], [length / 3.0, length / 3.0]])
    positions = 0.5 * length + np.array(mirror) * (border + positions - 0.5 * length)
    velocities = np.array(mirror) * velocities
    batch = ReplicaBatch.from_arrays([positions[::order]], [velocities[::order]], 10_000.0)
    contact, verlet = (
        simulate(batch, Protocol(length, length, [Hold(1.7)]), device="cpu", frames=1, integrator=integrator)[0]
        for integrator in (IntegratorSettings(), IntegratorSettings(engine="verlet"))
    )
    assert contact.counters["contacts"] == 1
    np.testing.assert_allclose(contact.phase_points, verlet.phase_points, atol=1e-8)


def outside(positions: np.ndarray, velocities: np.ndarray, protocol: Protocol) -> tuple[float, float]:
    """How far the furthest free particle is outside of its cell at the end of a protocol; and the slack."""
    integrator = IntegratorSettings()
    table = compile_protocol(protocol, integrator.timestep, 1, 1.0)
    simulation = Simulation(
        n_slots=1, n_max=len(positions), timetables=[table], integrator=integrator, backend=CpuBackend(1)
    )
    simulation.load(0, positions, velocities, 10_000.0, protocol, table)
    while len(simulation.running):
        simulation.advance()
    ints, floats = simulation.workspace.ints[0], simulation.workspace.floats[0]
    flown = (ints[replica.STEP] - simulation.particles.since[0]) * integrator.timestep
    motion, cell = simulation.particles.motion[0], simulation.workspace.cell[0]
    now = motion[:, :2] + motion[:, 2:] * flown[:, None]
    size = floats[[replica.CELL_WIDTH, replica.CELL_HEIGHT]]
    last = ints[[replica.N_COLUMNS, replica.N_ROWS]] - 1
    below = np.where(cell > 0, cell * size - now, -np.inf)
    beyond = np.where(cell < last, now - (cell + 1) * size, -np.inf)
    free = simulation.particles.contact[0] == replica.FREE
    return np.maximum(below, beyond)[free].max(), 0.5 * (size.min() - 2.0)


@pytest.mark.parametrize(("n_particles", "length"), [(400, 30.0), (60, 60.0)])
def test_nobody_is_further_outside_of_its_cell_than_the_slack(n_particles: int, length: float):
    """Windows end at any step of a period; somebody is so far outside that it has been left there for some time."""
    furthest, slack = np.transpose(
        [
            outside(*random_gas(n_particles, length, 100.0, seed=steps), Protocol(length, 100.0, [Hold(1e-3 * steps)]))
            for steps in range(400, 500, 7)
        ]
    )
    assert (furthest < slack).all()
    assert furthest.max() > 0.1 * slack.min()


def test_who_cuts_a_corner_is_not_further_outside_either():
    """It waits twice: for the step after which it crossed to the right, and then for that at which it may go up.

    Periods are of 256 steps, and the two crossings come right after two of them.
    """
    length, speed = 40.0, 10.0  # cells of half of the length
    positions = np.array([[20.0 - 0.5125 * speed, 20.0 - 0.5135 * speed]])
    velocities = np.full((1, 2), speed)
    furthest, slack = np.transpose(
        [outside(positions, velocities, Protocol(length, length, [Hold(1e-3 * steps)])) for steps in (767, 1023, 1535)]
    )
    assert (furthest < slack).all()
    assert furthest.max() > 0.5 * slack.max()
