"""The race: at each state point every program is set to its best, its physics is checked, and all take turns."""

import dataclasses
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from gputhermo import Settings
from gputhermo.backend import CpuBackend
from gputhermo.initialize import draw

from . import physics
from .gas import Gas, Model
from .gas import Settings as Trial
from .gputhermo_gas import GputhermoGas
from .team import Team

SETTINGS = Settings()
L = SETTINGS.gas.box_length
TIMESTEP = SETTINGS.integrator.timestep
UNIT = round(1.0 / TIMESTEP)
"""Steps in a unit of time."""
OURS = "gputhermo"
MODES = ("one_core", "all_cores")
SETTLING_TIME = 20.0
SAMPLE_STEPS = UNIT
FIRST_STEPS = UNIT // 10


@dataclass(frozen=True)
class Plan:
    """How long everything takes.

    points         state points (N, Lx)
    rounds         turns of each program in each mode
    turn_seconds   about what a turn takes
    trial_seconds  about what a trial of a setting takes
    n_samples      of a physics check, a unit of time apart
    """

    points: tuple[tuple[int, float], ...]
    rounds: int
    turn_seconds: float
    trial_seconds: float
    n_samples: int


@dataclass(frozen=True)
class Cores:
    """The cores that the programs get, and how many replicas run on all of them."""

    numbers: tuple[int, ...]

    @property
    def n_replicas(self) -> int:
        """Eight or two a core, the same number on each core."""
        n = len(self.numbers)
        return n * max(2, -(-8 // n))


class Teams:
    """A program in its processes: on one core; on all, as a process each or as the threads of one."""

    def __init__(self, program: type[Gas], cores: Cores):
        self.program = program
        self.one_core = Team(program, [cores.numbers[:1]])
        self.all_cores = {
            "processes": Team(program, [(core,) for core in cores.numbers]),
            "threads": Team(program, [cores.numbers]),
        }

    def close(self) -> None:
        """End the processes."""
        for team in (self.one_core, *self.all_cores.values()):
            team.close()


@dataclass(frozen=True)
class Entry:
    """A team at work: which clock counts, how many replicas it runs, and how many steps a turn has."""

    team: Team
    clock: str
    n_replicas: int
    n_steps: int
    first_call_seconds: float

    def turn(self) -> float:
        """Milliseconds for a unit of time of one replica."""
        elapsed = self.team.advance(self.n_steps)
        return 1e3 * getattr(elapsed, self.clock) * UNIT / (self.n_steps * self.n_replicas)


def start(team: Team, model: Model, states: np.ndarray, settings: Trial) -> float:
    """Bring a team to `states` and let it do its first steps; returns how long that takes."""
    began = time.perf_counter()
    team.prepare(model, states, settings)
    team.advance(FIRST_STEPS)
    return time.perf_counter() - began


def pace(team: Team, clock: str, n_replicas: int, first_call_seconds: float, seconds: float) -> Entry:
    """An Entry whose turn takes about `seconds`, of a team that was started."""
    n_steps = FIRST_STEPS
    while (elapsed := team.advance(n_steps).wall) < 0.5 * seconds:
        n_steps *= max(2, min(50, round(seconds / elapsed)))
    return Entry(team, clock, n_replicas, n_steps, first_call_seconds)


def chosen(
    teams: Teams, model: Model, states: np.ndarray, ours: physics.Course, plan: Plan
) -> tuple[dict[str, Any], dict[str, Entry]]:
    """The fastest settings whose physics holds: what is to be said of them, and an Entry for each mode.

    Settings are ranked on one core; how several replicas share all cores is then tried for the best of them. If it is
    refused, the next best has its turn. With none left there is no Entry.
    """
    program, refused = teams.program, []

    def one_core(settings: Trial, seconds: float) -> Entry:
        first = start(teams.one_core, model, states[:1], settings)
        return pace(teams.one_core, "processor", 1, first, seconds)

    def all_cores_turn(settings: Trial, way: str) -> float:
        first = start(teams.all_cores[way], model, states, settings)
        return pace(teams.all_cores[way], "wall", len(states), first, plan.trial_seconds).turn()

    for settings in sorted(program.SETTINGS, key=lambda each: one_core(each, plan.trial_seconds).turn()):
        ways = [(settings | more, way) for more in program.FOR_MANY_REPLICAS for way in teams.all_cores]
        settings_of_many, way = min(ways, key=lambda each: all_cores_turn(*each))
        early = physics.early_points(teams.one_core, model, states, settings)
        many = teams.all_cores[way]
        first = start(many, model, states, settings_of_many)
        samples = physics.sampled_points(many, plan.n_samples, SAMPLE_STEPS)
        verdict = physics.judge(physics.Course(early=early, samples=samples), ours, states, model)
        check = {"settings": settings, "settings_of_many": settings_of_many, "way": way, **dataclasses.asdict(verdict)}
        if verdict.refused is None:
            return {"refused": refused, "chosen": check}, {
                "one_core": one_core(settings, plan.turn_seconds),
                "all_cores": pace(many, "wall", len(states), first, plan.turn_seconds),
            }
        refused.append(check)
    return {"refused": refused}, {}


def settled(n_particles: int, length: float, cores: Cores) -> np.ndarray:
    """States of one energy after a hold, float64 [n_replicas, n_particles, 4]."""
    n = cores.n_replicas
    backend = CpuBackend(len(cores.numbers))
    energy = float(n_particles)
    start = draw([n_particles] * n, length, L, seed=SETTINGS.seed, backend=backend, kinetic_energy=energy)
    gas = GputhermoGas(model_of(length), np.concatenate(start, axis=2), len(cores.numbers))
    gas.advance(round(SETTLING_TIME * UNIT))
    return gas.phase_points()


def model_of(length: float) -> Model:
    """The gas of the paper, with the piston at `length`."""
    return Model(length=length, height=L, stiffness=SETTINGS.gas.interaction_strength, timestep=TIMESTEP)


def measure(n_particles: int, length: float, programs: dict[str, Teams], cores: Cores, plan: Plan) -> dict[str, Any]:
    """All figures of one state point."""
    model, states = model_of(length), settled(n_particles, length, cores)
    ours = physics.our_course(model, states, len(cores.numbers), plan.n_samples, SAMPLE_STEPS)
    said: dict[str, Any] = {}
    entries: dict[tuple[str, str], Entry] = {}
    for name, teams in programs.items():
        try:
            said[name], of_modes = chosen(teams, model, states, ours, plan)
        except Exception as error:  # whatever stops a peer is told, and the others go on
            if name == OURS:
                raise
            said[name], of_modes = {"refused": [{"refused": f"{type(error).__name__}: {error}"}]}, {}
        entries |= {(mode, name): each for mode, each in of_modes.items()}
    turns: dict[tuple[str, str], list[float]] = {key: [] for key in entries}
    for number in range(1 + plan.rounds):
        for key, each in entries.items():
            spent = each.turn()
            if number > 0:  # the first round warms up
                turns[key].append(spent)
    figures: dict[str, Any] = {"n_particles": n_particles, "length": length, "n_replicas": len(states)}
    for mode in MODES:
        median = {name: statistics.median(turns[mode, name]) for name in programs if (mode, name) in turns}
        figures[mode] = {
            name: {
                "ms_per_time_unit": median[name],
                "spread": (max(turns[mode, name]) - min(turns[mode, name])) / median[name],
                "first_call_seconds": entries[mode, name].first_call_seconds,
            }
            for name in median
        } | {f"{name}_ratio": median[name] / median[OURS] for name in median if name != OURS}
    return figures | {"programs": said}
