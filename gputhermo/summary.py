"""What a dataset file holds, in numbers: sizes, energies, work, drift, modes at recording.

Reads the small tables only, so it takes a moment whatever the size of the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .dataset import GUARDS, PROCESSES, SPLITS, STATES, description_of, flatten, open_dataset, settings_of
from .parameters import PRESETS, Settings


@dataclass(frozen=True, kw_only=True)
class StoredArray:
    """An array of the file: `bytes` unpacked, `stored_bytes` in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    stored_bytes: int


@dataclass(frozen=True)
class Tables:
    """The small tables of a dataset file.

    states     name: array [n_states], the columns of /states (modes [n_states, 2])
    processes  name: array [n_processes], the columns of /processes
    guards     likewise, those of the guards; none in a file of format 1
    """

    path: Path
    file_bytes: int
    format_version: int
    package_version: str
    settings: Settings
    arrays: tuple[StoredArray, ...]
    states: dict[str, np.ndarray]
    processes: dict[str, np.ndarray]
    guards: dict[str, np.ndarray]

    @property
    def has_images(self) -> bool:
        """Whether the file holds images."""
        return any(array.name == "states/images" for array in self.arrays)

    @cached_property
    def energy(self) -> np.ndarray:
        """Kinetic and potential energy of each state, float64 [n_states]."""
        return self.states["kinetic_energy"] + self.states["potential_energy"]

    @cached_property
    def first(self) -> np.ndarray:
        """Row of the first state of each process."""
        return self.processes["first_state"]

    @cached_property
    def last(self) -> np.ndarray:
        """Row of the last state of each process."""
        return self.first + self.processes["n_states"] - 1

    @cached_property
    def energy_change(self) -> np.ndarray:
        """Energy of each state less that of the first state of its process, float64 [n_states]."""
        return self.energy - self.energy[self.first[self.states["process"]]]

    @cached_property
    def work_since_first(self) -> np.ndarray:
        """Work of the piston between the first state of the process and each state, float64 [n_states]."""
        return self.states["work"] - self.states["work"][self.first[self.states["process"]]]

    @cached_property
    def drift(self) -> np.ndarray:
        """Relative energy drift of each state: (energy change - work) / energy, float64 [n_states].

        Change and work are counted from the first state of the process; exact integration would give 0.
        """
        error = self.energy_change - self.work_since_first
        return np.divide(error, self.energy, out=np.zeros_like(error), where=self.energy > 0.0)

    @cached_property
    def cycle(self) -> np.ndarray:
        """Completed cycles where the piston is back at L (0: before the first push), -1 elsewhere, int [n_states]."""
        full = np.isclose(self.states["piston_position"], self.settings.gas.box_length)
        returns = np.cumsum(full)
        before_process = (returns - full)[self.first[self.states["process"]]]
        return np.where(full, returns - before_process - 1, -1)

    @cached_property
    def moved(self) -> np.ndarray:
        """Direction of the stroke before each state's hold: -1 push, 1 pull, 0 none yet, int [n_states]."""
        moved = np.sign(np.diff(self.states["piston_position"], prepend=np.nan))
        moved[self.first] = 0
        return moved.astype(np.int64)


def read_tables(path: str | Path) -> Tables:
    """The small tables of the dataset file at `path`; InputError if it is no dataset."""
    with open_dataset(path) as file:
        return Tables(
            path=Path(path),
            file_bytes=Path(path).stat().st_size,
            format_version=int(file.attrs["format_version"]),
            package_version=description_of(file).package_version,
            settings=settings_of(file),
            arrays=tuple(stored_arrays(file)),
            states={name: file[f"states/{name}"][()] for name in STATES},
            processes={name: file[f"processes/{name}"][()] for name in PROCESSES},
            guards=read_guards(file),
        )


def read_guards(file: h5py.File) -> dict[str, np.ndarray]:
    """The columns of the guards in /processes; none in a file of format 1."""
    return {name: file[f"processes/{name}"][()] for name in GUARDS if name in file["processes"]}


def stored_arrays(file: h5py.File) -> Iterator[StoredArray]:
    """Name, type and sizes of every array in the file."""
    for group in ("processes", "states", "series"):
        for name, dataset in file.get(group, {}).items():
            yield StoredArray(
                name=f"{group}/{name}",
                dtype=str(dataset.dtype),
                shape=tuple(dataset.shape),
                bytes=int(dataset.nbytes),
                stored_bytes=int(dataset.id.get_storage_size()),
            )


@dataclass(frozen=True, kw_only=True)
class GasSummary:
    """The processes with one number of particles. Energies are per particle, means over processes, in kB T0."""

    n_particles: int
    processes: int
    states: int
    simulated_time: float
    particle_steps: int
    executed: int
    contacts: int
    first_energy: float
    last_energy: float
    mean_drift: float
    largest_drift: float


@dataclass(frozen=True, kw_only=True)
class CycleEnergy:
    """Energy per particle with the piston back at L, in kB T0: mean and standard deviation over processes."""

    n_particles: int
    push_speed: float
    pull_speed: float
    cycle: int
    energy: float
    deviation: float
    processes: int


@dataclass(frozen=True, kw_only=True)
class WorkBalance:
    """Work of the piston and energy change of whole processes, per particle, in kB T0: means over processes."""

    n_particles: int
    push_speed: float
    pull_speed: float
    work: float
    energy_change: float
    processes: int


@dataclass(frozen=True, kw_only=True)
class ModeSummary:
    """Mean squares of the first flow and density modes at recording, after a push or a pull; 1 in equilibrium."""

    n_particles: int
    stroke: str
    speed: float
    flow_x: float
    flow_y: float
    density_x: float
    density_y: float
    states: int


@dataclass(frozen=True, kw_only=True)
class GuardSummary:
    """What the guards found, the worst of all processes; as text, in one line. Units and meaning as in the file."""

    warnings: int
    energy_imbalance: float
    closest_pair: float
    potential_mismatch: float
    reruns: int
    rerun_deviation: float | None
    """None if nothing was run again."""
    rerun_imbalance: float | None

    def __str__(self) -> str:
        """Warnings and numbers."""
        text = (
            f"{self.warnings or 'no'} warning{'s' if self.warnings > 1 else ''}; at most: energy imbalance "
            f"{self.energy_imbalance:.1e}, potential mismatch {self.potential_mismatch:.1e}; closest pair "
            f"{self.closest_pair:.3f} R"
        )
        if self.rerun_deviation is None:
            return f"{text}; nothing was run again"
        return (
            f"{text}; run again in {self.reruns:,} processes: engines {self.rerun_deviation:.1e} R apart, energy "
            f"imbalance {self.rerun_imbalance:.1e}"
        )


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A dataset file in numbers. Drifts are those of whole processes (`Tables.drift` at their last state)."""

    file: str
    file_bytes: int
    format_version: int
    package_version: str
    processes: int
    states: int
    images: bool
    splits: dict[str, dict[str, int]]
    changed_settings: dict[str, tuple[Any, Any]]
    """Name: value here and value of the preset `paper`, where the two differ."""
    simulated_time: float
    particle_steps: int
    executed: int
    contacts: int
    mean_drift: float
    largest_drift: float
    """Of largest magnitude, with its sign."""
    guards: GuardSummary | None
    """None of a file of format 1, which does not have them."""
    gases: list[GasSummary]
    cycles: list[CycleEnergy]
    balances: list[WorkBalance]
    modes: list[ModeSummary]
    arrays: list[StoredArray]


def summarise(tables: Tables) -> Summary:
    """The whole summary."""
    processes, drift = tables.processes, tables.drift[tables.last]
    steps = processes["steps"]
    return Summary(
        file=tables.path.name,
        file_bytes=tables.file_bytes,
        format_version=tables.format_version,
        package_version=tables.package_version,
        processes=len(steps),
        states=len(tables.energy),
        images=tables.has_images,
        splits={
            name: {
                "processes": int((processes["split"] == code).sum()),
                "states": int(processes["n_states"][processes["split"] == code].sum()),
            }
            for name, code in SPLITS.items()
        },
        changed_settings=changed_settings(tables.settings),
        simulated_time=float(steps.sum() * tables.settings.integrator.grid_step),
        particle_steps=int((steps * processes["n_particles"]).sum()),
        executed=int(processes["executed"].sum()),
        contacts=int(processes["contacts"].sum()),
        mean_drift=float(drift.mean()),
        largest_drift=largest(drift),
        guards=summarise_guards(tables.guards),
        gases=summarise_gases(tables),
        cycles=summarise_cycles(tables),
        balances=summarise_balances(tables),
        modes=summarise_modes(tables),
        arrays=list(tables.arrays),
    )


def summarise_guards(guards: dict[str, np.ndarray]) -> GuardSummary | None:
    """The worst of all processes, from the columns of the guards; None if there are none."""
    if not guards:
        return None
    again = np.isfinite(guards["rerun_deviation"])
    return GuardSummary(
        warnings=int(guards["warnings"].sum()),
        energy_imbalance=float(guards["energy_imbalance"].max()),
        closest_pair=float(guards["closest_pair"].min()),
        potential_mismatch=float(guards["potential_mismatch"].max()),
        reruns=int(again.sum()),
        rerun_deviation=float(guards["rerun_deviation"][again].max()) if again.any() else None,
        rerun_imbalance=float(guards["rerun_imbalance"][again].max()) if again.any() else None,
    )


def largest(values: np.ndarray) -> float:
    """The value of largest magnitude, with its sign."""
    return float(values[np.argmax(np.abs(values))])


def changed_settings(settings: Settings) -> dict[str, tuple[Any, Any]]:
    """Settings that differ from the preset `paper`: name, value here, value there."""
    paper = dict(flatten(PRESETS["paper"].model_dump()))
    return {name: (value, paper[name]) for name, value in flatten(settings.model_dump()) if value != paper[name]}


def groups(columns: list[np.ndarray], within: np.ndarray | None = None) -> Iterator[tuple[list[Any], np.ndarray]]:
    """Each combination of values in the columns that occurs, in ascending order, and the rows that have it."""
    table = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    rows = np.arange(len(table)) if within is None else np.flatnonzero(within)
    values, member = np.unique(table[rows], axis=0, return_inverse=True)
    for number, value in enumerate(values):
        yield value.tolist(), rows[member.reshape(-1) == number]


def summarise_gases(tables: Tables) -> list[GasSummary]:
    """One entry for each number of particles."""
    processes, drift = tables.processes, tables.drift[tables.last]
    found = []
    for (n,), rows in groups([processes["n_particles"]]):
        steps = int(processes["steps"][rows].sum())
        found.append(
            GasSummary(
                n_particles=int(n),
                processes=len(rows),
                states=int(processes["n_states"][rows].sum()),
                simulated_time=steps * tables.settings.integrator.grid_step,
                particle_steps=steps * int(n),
                executed=int(processes["executed"][rows].sum()),
                contacts=int(processes["contacts"][rows].sum()),
                first_energy=float(tables.energy[tables.first[rows]].mean() / n),
                last_energy=float(tables.energy[tables.last[rows]].mean() / n),
                mean_drift=float(drift[rows].mean()),
                largest_drift=largest(drift[rows]),
            )
        )
    return found


def summarise_cycles(tables: Tables) -> list[CycleEnergy]:
    """One entry for each number of particles, pair of speeds and cycle."""
    process = tables.states["process"]
    keys = [tables.processes[name][process] for name in ("n_particles", "push_speed", "pull_speed")]
    found = []
    for (n, push, pull, cycle), rows in groups([*keys, tables.cycle], tables.cycle >= 0):
        energy = tables.energy[rows] / n
        found.append(
            CycleEnergy(
                n_particles=int(n),
                push_speed=push,
                pull_speed=pull,
                cycle=int(cycle),
                energy=float(energy.mean()),
                deviation=float(energy.std()),
                processes=len(rows),
            )
        )
    return found


def summarise_balances(tables: Tables) -> list[WorkBalance]:
    """One entry for each number of particles and pair of speeds."""
    found = []
    for (n, push, pull), rows in groups(
        [tables.processes[name] for name in ("n_particles", "push_speed", "pull_speed")]
    ):
        last = tables.last[rows]
        found.append(
            WorkBalance(
                n_particles=int(n),
                push_speed=push,
                pull_speed=pull,
                work=float(tables.work_since_first[last].mean() / n),
                energy_change=float(tables.energy_change[last].mean() / n),
                processes=len(rows),
            )
        )
    return found


def summarise_modes(tables: Tables) -> list[ModeSummary]:
    """One entry for each number of particles, kind of stroke and its speed."""
    process = tables.states["process"]
    speed = np.where(tables.moved < 0, tables.processes["push_speed"][process], tables.processes["pull_speed"][process])
    found = []
    for (n, moved, value), rows in groups([tables.states["n_particles"], tables.moved, speed], tables.moved != 0):
        flow = (tables.states["flow_modes"][rows] ** 2).mean(axis=0)
        density = (tables.states["density_modes"][rows] ** 2).mean(axis=0)
        found.append(
            ModeSummary(
                n_particles=int(n),
                stroke="push" if moved < 0 else "pull",
                speed=value,
                flow_x=float(flow[0]),
                flow_y=float(flow[1]),
                density_x=float(density[0]),
                density_y=float(density[1]),
                states=len(rows),
            )
        )
    return found
