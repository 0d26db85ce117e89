"""What a run costs: counters, which are the same on every machine, and ratios of two programs in one run.

Counters may grow by a fifth and ratios fall to a half before a test fails: less than a real slowdown, more than noise.
"""

import time
from collections.abc import Callable

import pytest
from PIL import Image

from gputhermo import Hold, Protocol, Recording, ReplicaBatch, Settings, simulate
from gputhermo.backend import CpuBackend
from gputhermo.parameters import IntegratorSettings
from gputhermo.process import compile_protocol
from gputhermo.rasterize import draw_raster, render
from gputhermo.simulate import Simulation

SETTINGS = Settings()
L = SETTINGS.gas.box_length
DURATION = 30.0


class CountingBackend(CpuBackend):
    """One core, and how often a program was launched on it."""

    def __init__(self):
        super().__init__(1)
        self.launches = 0

    def run(self, entry, order, *arguments):
        self.launches += 1
        super().run(entry, order, *arguments)


@pytest.fixture(scope="module")
def backend() -> CountingBackend:
    return CountingBackend()


@pytest.fixture(scope="module")
def batch(backend: CountingBackend) -> ReplicaBatch:
    """The paper's smallest gas in half of the box."""
    return ReplicaBatch.draw(500, Protocol(0.5 * L, L, [Hold(DURATION)]), seed=1, device=backend)


def hold(batch: ReplicaBatch, backend: CpuBackend, duration: float, engine: str = "contact") -> Recording:
    protocol = Protocol(0.5 * L, L, [Hold(duration)])
    return simulate(batch, protocol, device=backend, integrator=IntegratorSettings(engine=engine), frames=1)[0]


def processor_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The least of some, since other work on the machine can only add to it."""
    seconds = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def test_work_of_a_run(batch: ReplicaBatch, backend: CountingBackend, record_property: Callable[[str, object], None]):
    before = backend.launches
    counters = hold(batch, backend, DURATION).counters
    counters["launches"] = backend.launches - before
    record_property("figure", f"500 particles, 30 units of time: {counters}")
    assert counters["steps"] == 30_000
    assert counters["contacts"] == pytest.approx(711, rel=0.2), "another gas than the one that was measured"
    assert counters["launches"] == 1
    assert counters["windows"] <= 6  # 5 were measured
    assert counters["predictions"] <= 12.0 * counters["contacts"]  # 10.3: 8 crossings, 2 contacts or walls
    assert counters["executed"] <= 53.0 * counters["contacts"]  # 44: two particles for 22 steps


def test_one_launch_begins_the_largest_gas(backend: CountingBackend):
    """No buffer is too small for the paper's states: a launch that fills one is done twice."""
    protocol = Protocol(L, L, [Hold(0.1)])
    batch = ReplicaBatch.draw(2000, protocol, seed=1, device=backend)
    before = backend.launches
    simulate(batch, protocol, device=backend, frames=1)
    assert backend.launches - before == 1


def test_memory_of_a_replica(backend: CountingBackend):
    """Of 2000 particles: what the engine works with, without what it records."""
    table = compile_protocol(Protocol(L, L, [Hold(1.0)]), SETTINGS.integrator.timestep, 1, 1.0)
    simulation = Simulation(n_slots=1, n_max=2000, timetables=[table], integrator=SETTINGS.integrator, backend=backend)
    n_bytes = sum(array.nbytes for array in (*simulation.particles, *simulation.workspace))
    assert n_bytes < 0.9e6  # 0.78 MB were measured


def test_contact_engine_against_every_particle_at_every_step(
    batch: ReplicaBatch, backend: CountingBackend, record_property: Callable[[str, object], None]
):
    contact = processor_seconds(lambda: hold(batch, backend, DURATION)) / DURATION
    verlet = processor_seconds(lambda: hold(batch, backend, 1.0, "verlet"), 3)
    record_property("figure", f"contact engine: {verlet / contact:.0f} times as fast as Verlet for all, 500 particles")
    assert verlet / contact > 25.0  # 40 to 60 were measured


def test_images_against_pillow(
    batch: ReplicaBatch, backend: CountingBackend, record_property: Callable[[str, object], None]
):
    """Pillow's filter alone, on a raster that was drawn before."""
    positions = batch.positions.astype("float32")
    raster = Image.fromarray(draw_raster(positions[0], SETTINGS.image, L, backend).astype("float32"))
    size = (SETTINGS.image.pixels, SETTINGS.image.pixels)
    ours = processor_seconds(lambda: render(positions, 500, SETTINGS.image, L, backend), 20)
    pillow = processor_seconds(lambda: raster.resize(size, Image.Resampling.LANCZOS))
    record_property("figure", f"drawing and filter: {pillow / ours:.0f} times as fast as Pillow's filter alone")
    assert pillow / ours > 17.0  # 35 to 37 were measured
