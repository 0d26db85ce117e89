"""Free particles that cross from cell to cell within a window: some steps late, and no contact is missed."""

import numpy as np
import pytest
from gases import random_gas

from gputhermo import Hold, Protocol, ReplicaBatch, simulate
from gputhermo.backend import CpuBackend
from gputhermo.kernels import cells, replica
from gputhermo.parameters import IntegratorSettings
from gputhermo.process import compile_protocol
from gputhermo.simulate import Simulation


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("bystanders", range(1, 9))
def test_two_that_enter_the_middle_cell_from_either_side_meet(axis: int, bystanders: int):
    """At one step; the number of bystanders decides into how many cells the box is cut."""
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
@pytest.mark.parametrize("right", [1, -1])
@pytest.mark.parametrize("up", [1, -1])
def test_two_that_cross_at_right_angles_at_one_step_meet(order: int, right: int, up: int):
    """One goes right, the other comes down into the column that it left, from two cells away, and hits it."""
    length, side = 40.0, 40.0 / 3.0  # of a cell, for two particles
    positions = np.array([[side - 0.0201, 12.3], [13.0, 2.0 * side + 1.005]])[::order]
    velocities = np.array([[0.2, 0.0], [0.0, -10.0]])[::order]  # both are at the border after 0.1005
    mirror = np.array([right, -up])
    positions = 0.5 * length + mirror * (positions - 0.5 * length)
    batch = ReplicaBatch.from_arrays([positions], [mirror * velocities], 10_000.0)
    contact, verlet = (
        simulate(batch, Protocol(length, length, [Hold(1.5)]), device="cpu", frames=1, integrator=integrator)[0]
        for integrator in (IntegratorSettings(), IntegratorSettings(engine="verlet"))
    )
    assert contact.counters["contacts"] == 1
    np.testing.assert_allclose(contact.phase_points, verlet.phase_points, atol=1e-8)


def outside(n_particles: int, length: float, steps: int) -> tuple[float, float]:
    """How far the furthest particle is outside of its cell after a window that ends after `steps`; and the slack."""
    integrator = IntegratorSettings()
    protocol = Protocol(length, 100.0, [Hold(steps * integrator.timestep)])
    table = compile_protocol(protocol, integrator.timestep, 1, 1.0)
    simulation = Simulation(
        n_slots=1, n_max=n_particles, timetables=[table], integrator=integrator, backend=CpuBackend(1)
    )
    simulation.load(0, *random_gas(n_particles, length, 100.0, seed=steps), 10_000.0, protocol, table)
    while len(simulation.running):
        simulation.advance()
    ints, floats = simulation.workspace.ints[0], simulation.workspace.floats[0]
    flown = (ints[replica.STEP] - simulation.particles.since[0]) * integrator.timestep
    motion, cell = simulation.particles.motion[0], simulation.workspace.cell[0]
    positions = motion[:, :2] + motion[:, 2:] * flown[:, None]
    size = floats[[replica.CELL_WIDTH, replica.CELL_HEIGHT]]
    last = ints[[replica.N_COLUMNS, replica.N_ROWS]] - 1
    below = np.where(cell > 0, cell * size - positions, -np.inf)
    beyond = np.where(cell < last, positions - (cell + 1) * size, -np.inf)
    return np.maximum(below, beyond).max(), 0.5 * (size.min() - 2.0 - cells.SKIN)


@pytest.mark.parametrize(("n_particles", "length"), [(400, 30.0), (60, 60.0)])
def test_nobody_is_further_outside_of_its_cell_than_the_slack(n_particles: int, length: float):
    """Windows end at any step of a period; somebody is far enough outside to have been left there."""
    furthest, slack = np.transpose([outside(n_particles, length, steps) for steps in range(400, 500, 7)])
    assert (slack >= cells.SLACK - 1e-9).all()
    assert (furthest < slack).all()
    assert furthest.max() > 0.1 * slack.min()
