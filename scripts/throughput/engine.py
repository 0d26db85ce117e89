"""The engine: state points beside LAMMPS, sizes at one density, temperatures, replicas on threads."""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gputhermo import Hold, Protocol, Recording, ReplicaBatch, Settings, simulate
from gputhermo.backend import Backend, CpuBackend
from gputhermo.initialize import draw
from gputhermo.parameters import IntegratorSettings
from gputhermo.rasterize import render

from .turns import processor_seconds, take_turns, wall_seconds

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from lammps_oracle import is_installed, run_lammps  # the tests' oracle, here for its speed

SETTINGS = Settings()
L = SETTINGS.gas.box_length
TIMESTEP = SETTINGS.integrator.timestep
ONE_CORE = CpuBackend(1)
SETTLING_TIME = 20.0
# Time simulated in one repeat. The contact engine gets more, so that its start, a millisecond, counts little.
CONTACT_TIME, EVERY_STEP_TIME = 400.0, 4.0
# The same for gases of all sizes.
SIZES_TIME = 100.0
N_FRAMES = 10
LAMMPS_SKINS = (0.4, 0.8, 1.6)
LAMMPS_CHECK_INTERVAL = 10
DENSITY = 2000 / L**2
"""Particles in R^2 at which sizes are compared, that of the paper's densest gas in the full box."""

State = tuple[np.ndarray, np.ndarray]


def run(state: State, length: float, duration: float, engine: str = "contact", height: float = L) -> Recording:
    """Hold the piston at `length` for `duration`, on one core."""
    batch = ReplicaBatch.from_arrays([state[0]], [state[1]], SETTINGS.gas.interaction_strength)
    protocol = Protocol(length, height, [Hold(duration)])
    return simulate(batch, protocol, device=ONE_CORE, integrator=IntegratorSettings(engine=engine), frames=1)[0]


def settled(n_particles: int, length: float, height: float = L, temperature: float = 1.0) -> State:
    """Positions and velocities, float64 [n_particles, 2], after a hold from a random start."""
    start = draw(n_particles, length, height, seed=SETTINGS.seed, temperature=temperature, backend=ONE_CORE)
    points = run((start[0][0], start[1][0]), length, SETTLING_TIME / math.sqrt(temperature), height=height)
    return points.phase_points[-1][:, :2].copy(), points.phase_points[-1][:, 2:].copy()


def first_calls() -> dict[str, float]:
    """Wall time of each program's first call, which compiles it or finds it in numba's cache."""
    positions, velocities = draw(10, L, L, seed=0, backend=ONE_CORE)
    state = positions[0], velocities[0]
    return {
        "contact": wall_seconds(lambda: run(state, L, TIMESTEP)),
        "verlet": wall_seconds(lambda: run(state, L, TIMESTEP, "verlet")),
        "images": wall_seconds(lambda: render(positions, 10, SETTINGS.image, L, ONE_CORE)),
    }


def lammps_seconds(state: State, length: float, duration: float, skin: float) -> float:
    """Processor time of LAMMPS's steps."""
    strokes = [(round(duration / TIMESTEP), 0.0)]
    return run_lammps(
        *state,
        strokes,
        length=length,
        height=L,
        stiffness=SETTINGS.gas.interaction_strength,
        timestep=TIMESTEP,
        skin=skin,
        check_interval=LAMMPS_CHECK_INTERVAL,
    ).seconds


def state_point(n_particles: int, length: float, repeats: int) -> dict[str, Any]:
    """Both engines, an image and LAMMPS at one state point, on one core."""
    state = settled(n_particles, length)
    frames = np.broadcast_to(state[0].astype(np.float32), (N_FRAMES, n_particles, 2))
    programs: dict[str, Callable[[], float]] = {
        "contact": lambda: processor_seconds(lambda: run(state, length, CONTACT_TIME)) / CONTACT_TIME,
        "verlet": lambda: processor_seconds(lambda: run(state, length, EVERY_STEP_TIME, "verlet")) / EVERY_STEP_TIME,
        "frame": lambda: processor_seconds(lambda: render(frames, n_particles, SETTINGS.image, L, ONE_CORE)) / N_FRAMES,
    }
    figures: dict[str, Any] = {"n_particles": n_particles, "length": length}
    if is_installed():
        skin = min(LAMMPS_SKINS, key=lambda skin: lammps_seconds(state, length, 0.5 * EVERY_STEP_TIME, skin))
        programs["lammps"] = lambda: lammps_seconds(state, length, EVERY_STEP_TIME, skin) / EVERY_STEP_TIME
        figures["lammps_skin"] = skin
    timings = take_turns(programs, repeats)
    for name, timing in timings.items():
        figures["frame_ms" if name == "frame" else f"{name}_ms_per_time_unit"] = 1e3 * timing.median
        figures[f"{name}_spread"] = timing.spread
    figures |= rates(n_particles, run(state, length, CONTACT_TIME).counters, CONTACT_TIME * timings["contact"].median)
    figures["frames_per_second"] = 1.0 / timings["frame"].median
    figures |= {
        f"times_{peer}": timings[peer].median / timings["contact"].median
        for peer in ("verlet", "lammps")
        if peer in timings
    }
    return figures


def rates(n_particles: int, counters: dict[str, int], seconds: float) -> dict[str, float]:
    """Work a second of a run."""
    return {
        "equivalent_particle_steps_per_second": n_particles * counters["steps"] / seconds,
        "executed_particle_steps_per_second": counters["executed"] / seconds,
        "contacts_per_second": counters["contacts"] / seconds,
    }


def size(n_particles: int, repeats: int) -> dict[str, Any]:
    """One gas of N particles in a square, at one density, on one core."""
    side = math.sqrt(n_particles / DENSITY)
    state = settled(n_particles, side, side)
    work = {"contact": lambda: processor_seconds(lambda: run(state, side, SIZES_TIME, height=side))}
    timing = take_turns(work, repeats)["contact"]
    counters = run(state, side, SIZES_TIME, height=side).counters
    return {
        "n_particles": n_particles,
        "ns_per_particle_and_time_unit": 1e9 * timing.median / (n_particles * SIZES_TIME),
        "spread": timing.spread,
    } | rates(n_particles, counters, timing.median)


def temperature(kT: float, repeats: int) -> dict[str, Any]:  # noqa: N803
    """1000 particles in L x L at a temperature, on one core, for a time in which as much happens as at kT0."""
    state = settled(1000, L, temperature=kT)
    duration = CONTACT_TIME / math.sqrt(kT)
    timing = take_turns({"contact": lambda: processor_seconds(lambda: run(state, L, duration))}, repeats)["contact"]
    return {
        "temperature": kT,
        "contact_ms_per_time_unit": 1e3 * timing.median / duration,
        "spread": timing.spread,
    } | rates(1000, run(state, L, duration).counters, timing.median)


def replicas(n_replicas: int, backends: Sequence[Backend], repeats: int) -> list[dict[str, Any]]:
    """Replicas of 500 particles side by side, on each of the backends in turn; time on the wall."""
    protocol = Protocol(L, L, [Hold(CONTACT_TIME)])
    batch = ReplicaBatch.draw([500] * n_replicas, protocol, seed=SETTINGS.seed, device=ONE_CORE)
    names = [f"{backend.name}, {getattr(backend, 'n_threads', 'all')} threads" for backend in backends]
    timings = take_turns(
        {
            name: lambda backend=backend: wall_seconds(lambda: simulate(batch, protocol, device=backend, frames=1))
            for name, backend in zip(names, backends, strict=True)
        },
        repeats,
    )
    steps = 500 * n_replicas * round(CONTACT_TIME / TIMESTEP)
    return [
        {
            "device": name,
            "n_replicas": n_replicas,
            "equivalent_particle_steps_per_second": steps / timing.median,
            "spread": timing.spread,
        }
        for name, timing in timings.items()
    ]
