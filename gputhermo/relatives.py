"""States made from the test states by simulation: twins, split and recombined ones; made, kept in a file and read.

Each test process gives two parts of the work, its twin and its splits, which are files of their own, written whole: a
kill costs what is unfinished of them. The HDF5 file is put together from the parts, with a group for each process:

    process-000017/twin/positions        float32 [n_states, frames, N, 2]
    process-000017/twin/parts            float64 [n_states, 1, 4]
    process-000017/split/positions       float32 [n_cuts, frames, N, 2]
    process-000017/split/parts           float64 [n_cuts, 2, 4]
    process-000017/recombined/positions  float32 [n_cuts, frames, N, 2]
    process-000017/recombined/parts      float64 [n_cuts, 1, 4]
    process-000017/cuts/hold, axis, fraction     [n_cuts], axis 0 for x and 1 for y

`parts` are N, U, Lx, Ly of each simple gas. Rows of positions beyond a state's particles are NaN.
"""

import time
import tomllib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import tomli_w
import torch

from .backend import Backend, CpuBackend, select
from .dataset import description_of, members, open_dataset, settings_of, split_of
from .errors import InputError, Stopped
from .hdf5 import attributes, new_file, open_file, open_whole
from .outfile import check_parent
from .parameters import EvaluateSettings, validate
from .process import compile_process, estimated_cost, plan_processes, whole_steps
from .rasterize import render
from .reader import ProcessReader
from .seal import is_whole
from .simulate import Recording
from .split import AXES, draw_cuts, split_and_recombine
from .states import N_PARTICLES, States
from .twins import run_twins
from .version import __version__
from .workfolder import WorkFolder

FORMAT = "gputhermo relatives"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class RelativesStatus:
    """How far a run is, what earlier, interrupted runs did included."""

    twins_done: int
    splits_done: int
    """Processes whose states have been split and recombined."""
    n_processes: int
    fraction: float
    """Of the estimated cost."""
    elapsed: float
    """Seconds since this run began."""
    device: str
    """Name of the device that it runs on."""

    def __str__(self) -> str:
        """Processes done."""
        return f"twins {self.twins_done}/{self.n_processes}  splits {self.splits_done}/{self.n_processes} processes"


@dataclass(frozen=True)
class Cuts:
    """Where the states were split, in the order of the split and recombined ones.

    original  int64   [n_cuts]  which of the test states was split
    axis      str     [n_cuts]  "x" or "y": the wall stands at constant x or y
    fraction  float64 [n_cuts]  lambda
    """

    original: np.ndarray
    axis: np.ndarray
    fraction: np.ndarray


def make_relatives(
    dataset: str | Path,
    out: str | Path,
    settings: EvaluateSettings | None = None,
    *,
    split_seed: int | None = None,
    device: str | Backend = "auto",
    n_threads: int | None = None,
    report: Callable[[RelativesStatus], None] = lambda status: None,
    stop: Callable[[], bool] = lambda: False,
) -> RelativesStatus:
    """Make the relatives of all test states of the file `dataset` and write them to `out`.

    `split_seed` draws another split than the file's. Work of an earlier run is taken up, and a finished file left as
    it is. `report` is called and `stop` asked after each launch of twins and each process of splits; a true answer
    raises Stopped. The file depends on the dataset, the settings, the split, the version and the kind of device only:
    not on threads or interruptions. Raises InputError for what cannot be used, and if `out` is something else; nothing
    is overwritten then.
    """
    with closing(
        RelativesRun(Path(dataset), Path(out), settings or EvaluateSettings(), split_seed, device, n_threads)
    ) as run:
        return run.to_the_end(report, stop)


class RelativesRun:
    """Relatives in the making: in a folder beside `out`, a file for each process's twin and one for its splits."""

    def __init__(
        self,
        dataset: Path,
        out: Path,
        settings: EvaluateSettings,
        split_seed: int | None,
        device: str | Backend,
        n_threads: int | None,
    ):
        self.dataset = dataset
        self.out = out
        self.settings = settings
        self.backend = select(device, n_threads) if isinstance(device, str) else device
        with open_dataset(dataset) as file:
            self.dataset_settings = settings_of(file)
            self.recipe = describe(file, settings, split_seed, self.backend)
            test = members(split_of(file, split_seed), "test")
            n_states = file["processes/n_states"][()]
        if not test:
            raise InputError(f"file = {str(dataset)!r} has no test process; at least 1 is needed")
        planned = plan_processes(self.dataset_settings)
        if [compile_process(process, self.dataset_settings).n_clips for process in planned] != n_states.tolist():
            raise InputError(f"file = {str(dataset)!r} is not allowed: its processes are not those of its settings")
        self.processes = [planned[index] for index in test]
        self.costs = self._costs(n_states)
        check_parent(out)
        self.finished = out.exists()
        if self.finished:
            with open_relatives(out) as file:
                if attributes(file).get("recipe") != self.recipe:
                    raise InputError(mismatch(out))
        folder = out.with_name(out.name + ".parts")
        self.folder = WorkFolder(folder, self.recipe, mismatch=mismatch(folder))
        self.done = {part for part in self.costs if self.finished or is_whole(self._path(*part))}
        self.began = time.monotonic()

    def _costs(self, n_states: np.ndarray) -> dict[tuple[str, int], float]:
        """Estimated cost of each part of the work."""
        protocol, settle_time = self.dataset_settings.protocol, self.settings.settle_time
        clip_time = (protocol.frames - 1) * protocol.frame_interval
        if settle_time < clip_time:
            raise InputError(f"settle_time = {settle_time:g} is not allowed: clips of the dataset last {clip_time:g}")
        settle = whole_steps("settle_time", settle_time, self.dataset_settings.integrator.grid_step)
        costs = {}
        for process in self.processes:
            n_runs = 2 * len(AXES) * int(n_states[process.index])
            n_steps = compile_process(process, self.dataset_settings).n_steps
            costs["twin", process.index] = estimated_cost(n_steps, process.n_particles)
            costs["splits", process.index] = estimated_cost(n_runs * settle, process.n_particles)
        return costs

    def close(self) -> None:
        """Let other processes work in the folder."""
        self.folder.close()

    def to_the_end(self, report: Callable[[RelativesStatus], None], stop: Callable[[], bool]) -> RelativesStatus:
        """Simulate what is missing, then put the file together."""
        if not self.finished:
            self._make_twins(report, stop)
            self._make_splits(report, stop)
            self._assemble()
        self.folder.remove()
        return self.status({})

    def _make_twins(self, report: Callable[[RelativesStatus], None], stop: Callable[[], bool]) -> None:
        missing = [process for process in self.processes if ("twin", process.index) not in self.done]
        if not missing:
            return
        run = run_twins(missing, self.dataset_settings, self.settings.seed, self.backend)
        height = self.dataset_settings.gas.box_length
        while run.unfinished:
            for process, recording in run.advance():
                twin = {
                    "positions": stack_positions([recording], process.n_particles),
                    "parts": simple_gases([recording], height),
                }
                self._write("twin", process.index, {"twin": twin})
            report(self.status(run.shares))
            if stop():
                raise Stopped

    def _make_splits(self, report: Callable[[RelativesStatus], None], stop: Callable[[], bool]) -> None:
        height = self.dataset_settings.gas.box_length
        for process in self.processes:
            if ("splits", process.index) in self.done:
                continue
            with ProcessReader(self.dataset, process.index) as reader:
                points = [reader.phase_points(hold) for hold in range(reader.n_states)]
                lengths = reader.table["piston_position"].tolist()
            cuts = draw_cuts(process.index, len(points), self.settings)
            states = list(
                split_and_recombine(
                    points, lengths, cuts, self.dataset_settings, self.settings.settle_time, self.backend
                )
            )
            split, recombined = [state.split for state in states], [state.recombined for state in states]
            groups = {
                "split": {
                    "positions": stack_positions(split, process.n_particles),
                    "parts": np.stack([state.parts for state in states]),
                },
                "recombined": {
                    "positions": stack_positions(recombined, process.n_particles),
                    "parts": simple_gases(recombined, height),
                },
                "cuts": {
                    "hold": np.array([cut.hold for cut in cuts]),
                    "axis": np.array([AXES.index(cut.axis) for cut in cuts]),
                    "fraction": np.array([cut.fraction for cut in cuts]),
                },
            }
            self._write("splits", process.index, groups)
            report(self.status({}))
            if stop():
                raise Stopped

    def _path(self, kind: str, index: int) -> Path:
        """Where a part of the work is kept."""
        return self.folder.path / f"{kind}-{index:06d}.h5"

    def _write(self, kind: str, index: int, groups: dict[str, dict[str, np.ndarray]]) -> None:
        """Write a part of the work, durably."""
        with new_file(self._path(kind, index)) as file:
            for group, arrays in groups.items():
                for name, array in arrays.items():
                    file[f"{group}/{name}"] = array
        self.done.add((kind, index))

    def _assemble(self) -> None:
        """Put the parts together."""
        with new_file(self.out) as file:
            file.attrs["format"] = FORMAT
            file.attrs["format_version"] = FORMAT_VERSION
            file.attrs["recipe"] = self.recipe
            for process in self.processes:
                group = file.create_group(f"process-{process.index:06d}")
                for kind in ("twin", "splits"):
                    with open_whole(self._path(kind, process.index)) as part:
                        for name in part:
                            part.copy(name, group)

    def status(self, shares: dict[int, float]) -> RelativesStatus:
        """How far the run is; `shares` are those of unfinished twins that are done, by process."""
        unfinished = sum(share * self.costs["twin", index] for index, share in shares.items())
        return RelativesStatus(
            twins_done=sum(kind == "twin" for kind, _ in self.done),
            splits_done=sum(kind == "splits" for kind, _ in self.done),
            n_processes=len(self.processes),
            fraction=(sum(self.costs[part] for part in self.done) + unfinished) / sum(self.costs.values()),
            elapsed=time.monotonic() - self.began,
            device=self.backend.name,
        )


def mismatch(path: Path) -> str:
    """What to say if the work at `path`, finished or not, is not this run's."""
    return (
        f"out = {str(path)!r} was made for another dataset or split, or with another seed, settle_time or "
        "split_fractions, another version or another kind of device; remove it or choose another name"
    )


def describe(dataset: h5py.File, settings: EvaluateSettings, split_seed: int | None, backend: Backend) -> str:
    """All that relatives depend on, as TOML."""
    split = {} if split_seed is None else {"split_seed": split_seed}
    return tomli_w.dumps(
        {
            **split,
            "package_version": __version__,
            "device": backend.name.partition(":")[0],
            "evaluate": settings.model_dump(mode="json", include={"seed", "settle_time", "split_fractions"}),
            "dataset": {
                **description_of(dataset).model_dump(include={"package_version", "device"}),
                "settings": settings_of(dataset).model_dump(mode="json"),
            },
        }
    )


def stack_positions(recordings: list[Recording], n_particles: int) -> np.ndarray:
    """The clips of recordings, float32 [n_clips, frames, n_particles, 2]; NaN where a recording has fewer particles."""
    clips = [Backend.to_host(recording.positions) for recording in recordings]
    missing = [((0, 0), (0, 0), (0, n_particles - clip.shape[2]), (0, 0)) for clip in clips]
    return np.concatenate([np.pad(clip, m, constant_values=np.nan) for clip, m in zip(clips, missing, strict=True)])


def simple_gases(recordings: list[Recording], height: float) -> np.ndarray:
    """N, U, Lx, Ly of undivided gases at the end of each clip, float64 [n_clips, 1, 4]."""
    gases = []
    for recording in recordings:
        energy = recording.kinetic_energy + recording.potential_energy
        n_particles = np.full_like(energy, recording.positions.shape[2])
        gases.append(np.stack([n_particles, energy, recording.piston_position, np.full_like(energy, height)], axis=-1))
    return np.concatenate(gases)[:, None]


def open_relatives(path: str | Path) -> h5py.File:
    """The file, opened for reading; InputError if it is no file of relatives."""
    return open_file(path, FORMAT, FORMAT_VERSION)


def load_relatives(
    path: str | Path, kind: Literal["twin", "split", "recombined"], n_threads: int | None = None
) -> States:
    """All relatives of a kind, from the file that `make_relatives` wrote.

    Twins come in the order of the test states, which is that of `load_states`; split and recombined states in the order
    of `load_cuts`. Images are drawn by `n_threads` as they are read; memory is that of the clips, 0.3 MB each at the
    paper's size.
    """
    backend = CpuBackend(n_threads)
    with open_relatives(path) as file:
        settings = validate(tomllib.loads(file.attrs["recipe"])["dataset"]["settings"])
        image, n_frames = settings.image, settings.protocol.frames
        parts = np.concatenate([group[f"{kind}/parts"][()] for group in file.values()])
        sizes = [len(group[f"{kind}/parts"]) for group in file.values()]
        clips = np.empty((len(parts), n_frames, image.pixels, image.pixels), dtype=np.uint8)
        n_particles = parts[:, :, N_PARTICLES].sum(axis=1).astype(np.int64)
        first = 0
        for group, size in zip(file.values(), sizes, strict=True):
            rows = slice(first, first + size)
            counts = np.broadcast_to(n_particles[rows, None], (size, n_frames))
            clips[rows] = render(group[f"{kind}/positions"][()], counts, image, settings.gas.box_length, backend)
            first += size
        processes = [int(name.removeprefix("process-")) for name in file]
    return States(torch.from_numpy(clips), parts, np.repeat(processes, sizes))


def load_cuts(path: str | Path) -> Cuts:
    """Where the split and recombined states of the file were split: each test state in x, then in y."""
    with open_relatives(path) as file:
        tables = [{name: data[()] for name, data in group["cuts"].items()} for group in file.values()]
        n_states = [len(group["twin/parts"]) for group in file.values()]
    first = np.cumsum(n_states) - n_states
    return Cuts(
        original=np.concatenate([start + table["hold"] for start, table in zip(first, tables, strict=True)]),
        axis=np.array(AXES)[np.concatenate([table["axis"] for table in tables])],
        fraction=np.concatenate([table["fraction"] for table in tables]),
    )
