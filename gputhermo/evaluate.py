"""Evaluate a network on the test states of a dataset: axioms, entropy, results.json, figures and report.

relatives.h5      twins, split and recombined states (see `relatives`)
evaluation.npz    the arrays behind the figures
figure_*.png      the paper's figures, from them
report.md         claims, the paper's numbers and ours
results.json      the same for programs; it is written last, so where it is, all is there
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import torch

from .bootstrap import Bootstrap
from .claims import Evaluation, Results, Run, save_evaluation, save_results
from .compose import compound, dusted, scaled
from .dataset import SPLITS, open_dataset, settings_of, split_of
from .encoder import Encoder
from .entropy import Line, true_entropy, vdw_entropy, virial_entropy
from .errors import InputError, Stopped
from .judge import claims_of, identities, judge, on_scale
from .measure import JOINT_FRACTIONS, Choices, Measured, choose, expected, measure, network_representation
from .network_file import read_network
from .observables import piston_position
from .paper_figures import save_paper_figures
from .parameters import EvaluateSettings, Settings, TrainSettings, parse_toml, validate, validate_as
from .process import Timetable, compile_process, plan_processes
from .relatives import RelativesStatus, make_relatives
from .report import write_report
from .representation import Representation
from .states import N_PARTICLES, WIDTH, States, load_states
from .summary import read_guards, summarise_guards
from .torch_device import choose_device, choose_precision, torch_state
from .version import __version__
from .workfolder import claimed

RELATIVES_SHARE, MEASURED_SHARE = 0.6, 0.95
"""Of the time that an evaluation takes on two CPU cores, about, until the relatives are made and S~ is measured."""
EXAMPLE_SCALE, EXAMPLE_EPSILON = 0.7, 0.05
"""Lambda and epsilon of the pictures in figures 4 and 6."""


@dataclass(frozen=True)
class EvaluateStatus:
    """How far an evaluation is."""

    stage: str
    fraction: float
    """Of the estimated cost."""
    elapsed: float
    """Seconds since it began."""
    device: str

    def __str__(self) -> str:
        """What is at work."""
        return self.stage


class Course:
    """Tells how far an evaluation is, and times its stages.

    seconds  wall time of each stage that has ended
    """

    def __init__(self, device: torch.device, report: Callable[[EvaluateStatus], None]):
        self.seconds: dict[str, float] = {}
        self._device, self._report = device, report
        self._began = self._stage_began = time.monotonic()

    def end_stage(self, name: str) -> None:
        """Note how long it took."""
        now = time.monotonic()
        self.seconds[name], self._stage_began = now - self._stage_began, now

    def relatives(self, status: RelativesStatus) -> None:
        """Relatives are in the making."""
        self.tell(str(status), RELATIVES_SHARE * status.fraction)

    def measured(self, kind: str, fraction: float) -> None:
        """S~ is asked of a kind of states, the last of which are this share of all."""
        self.tell(f"S~, {kind}", RELATIVES_SHARE + (MEASURED_SHARE - RELATIVES_SHARE) * fraction)

    def tell(self, stage: str, fraction: float) -> None:
        """Report this."""
        self._report(EvaluateStatus(stage, fraction, time.monotonic() - self._began, str(self._device)))


def evaluate(
    dataset: str | Path,
    weights: str | Path,
    out: str | Path,
    settings: EvaluateSettings | None = None,
    *,
    device: str = "auto",
    n_threads: int | None = None,
    report: Callable[[EvaluateStatus], None] = lambda status: None,
    stop: Callable[[], bool] = lambda: False,
) -> Results:
    """Judge the network in the file `weights` by the test states of the file `dataset`; fills the folder `out`.

    Relatives that an earlier run made there are taken up. `report` is called until all is measured, and `stop` asked
    until results are written; a true answer raises Stopped. Raises InputError for files that cannot be used or do not
    fit together, if the network may have seen these processes in training, and if `out` has results, or files of
    another origin in their place; nothing is overwritten then.
    """
    settings, out = settings or EvaluateSettings(), Path(out)
    origin, network = read_network(weights)
    weights_sha256 = digest(weights)  # now, as a training that goes on may replace the file
    try:
        trained = parse_toml(origin.training)
        training, trained_on = validate_as(TrainSettings, trained["train"]), validate(trained["dataset"])
        trained_device = str(trained["device"])
    except (KeyError, InputError):
        raise InputError(f"weights = {str(weights)!r} does not tell how it was trained") from None
    with open_dataset(dataset) as file:
        dataset_settings, sizes = settings_of(file), count(file, training.split_seed)
        guards = summarise_guards(read_guards(file))
        speeds = np.stack([file["processes/push_speed"][()], file["processes/pull_speed"][()]], axis=-1)
    check_match(network, trained_on, dataset_settings)
    with torch_state(choose_device(device)) as chosen, claimed(out):
        relatives = out / "relatives.h5"
        check_room(out, relatives)
        course = Course(chosen, report)
        states = load_states(dataset, "test", n_threads, training.split_seed)
        choices = choose(states, settings.seed)
        precision = choose_precision(training.precision, chosen)  # the weights were chosen by what they give in it
        with closing(Encoder(network.to(chosen), precision, n_threads)) as encoder:
            learned_entropy = network_representation(encoder)
            learned_entropy(states[:1])  # fails now rather than after the simulations
            make_relatives(
                dataset,
                relatives,
                settings,
                split_seed=training.split_seed,
                device=device,
                n_threads=n_threads,
                report=course.relatives,
                stop=stop,
            )
            course.end_stage("relatives")
            learned, true = measure(
                states,
                relatives,
                choices,
                [learned_entropy, true_entropy],
                n_threads=n_threads,
                report=course.measured,
                stop=stop,
            )
        course.end_stage("representation")
        course.tell("statistics", MEASURED_SHARE)
        bootstrap = Bootstrap(settings.seed, settings.n_resamples)
        strength = dataset_settings.gas.interaction_strength
        judged = []
        for each in (learned, true):
            pause(stop)
            judged.append(judge(each, states, choices, speeds[states.process], strength, bootstrap))
        learned_statistics, reference = judged
        scaled_reference = on_scale(true, learned_statistics.entropy_r2, states)
        reference = replace(reference, **identities(scaled_reference, states, bootstrap))
        course.end_stage("statistics")
        results = Results(
            run=Run(
                package_version=__version__,
                training_version=origin.package_version,
                device=trained_device,
                dataset=dataset_settings,
                training=training,
                evaluation=settings,
                best_epoch=origin.epoch,
                n_parameters=sum(parameter.numel() for parameter in network.parameters()),
                weights_sha256=weights_sha256,
                processes=sizes["processes"],
                states=sizes["states"],
                seconds=course.seconds,
                guards=None if guards is None else str(guards),
            ),
            **claims_of(learned_statistics, reference),
        )
        evaluation = gather(states, choices, learned, learned_statistics.entropy_r2, dataset_settings)
        pause(stop)
        save_evaluation(evaluation, out / "evaluation.npz")
        save_paper_figures(results, evaluation, out)
        write_report(results, out)
        save_results(results, out / "results.json")
        course.tell("done", 1.0)
    return results


def pause(stop: Callable[[], bool]) -> None:
    """Raise Stopped if the run shall stop."""
    if stop():
        raise Stopped


def check_room(out: Path, relatives: Path) -> None:
    """Raise InputError if results are in `out`, or files in their place that an earlier run cannot have left."""
    if (out / "results.json").exists():
        raise InputError(f"out = {str(out)!r} has results already; remove them or choose another folder")
    written = [name for name in ("report.md", "evaluation.npz") if (out / name).exists()]
    written += [path.name for path in sorted(out.glob("figure_*.png"))]
    if written and not relatives.exists():
        raise InputError(f"out = {str(out)!r} has a {written[0]} of another origin; choose another folder")


def count(dataset: h5py.File, split_seed: int | None) -> dict[str, dict[str, int]]:
    """Numbers of processes and states in each split, by `split_of`; InputError if no process is for tests."""
    split, n_states = split_of(dataset, split_seed), dataset["processes/n_states"][()]
    members = {name: split == code for name, code in SPLITS.items()}
    if not members["test"].any():
        raise InputError(f"dataset = {dataset.filename!r} is not allowed: it has no test process; at least 1 is needed")
    return {
        "processes": {name: int(rows.sum()) for name, rows in members.items()},
        "states": {name: int(n_states[rows].sum()) for name, rows in members.items()},
    }


def check_match(network: Representation, trained_on: Settings, dataset: Settings) -> None:
    """Raise InputError if a network cannot read a dataset's clips, or may have seen its test processes in training."""
    if (network.frames, network.pixels) != (dataset.protocol.frames, dataset.image.pixels):
        raise InputError(
            f"weights are not allowed: the network is for clips of {network.frames} frames of {network.pixels} pixels, "
            f"the dataset has {dataset.protocol.frames} of {dataset.image.pixels}"
        )
    if trained_on != dataset and trained_on.seed == dataset.seed:
        raise InputError(
            "weights are not allowed: they were trained on another dataset of the same seed, so its training processes "
            "may be test processes here; the same settings, or another seed, are needed"
        )


def digest(weights: str | Path) -> str:
    """SHA-256 of the file."""
    return hashlib.sha256(Path(weights).read_bytes()).hexdigest()


def gather(
    states: States, choices: Choices, learned: Measured, lines: dict[int, Line], settings: Settings
) -> Evaluation:
    """The arrays behind the figures; `lines` are those of S~ against the van der Waals entropy."""
    n_particles = states.parts[:, 0, N_PARTICLES].astype(np.int64)
    alpha, beta = np.array([lines[size].affine_map for size in n_particles.tolist()]).T
    table = one_cycle(settings)
    corners = np.concatenate([[0], table.segment_end])
    first, second = (states[choices.half[[k]]] for k in (0, -1))
    dust = states[choices.dusts[0, :1]]
    cut_in_y, cut_in_x = scaled(first, EXAMPLE_SCALE, "y"), scaled(first, EXAMPLE_SCALE, "x")
    return Evaluation(
        process=states.process,
        n_particles=n_particles,
        entropies=learned.state,
        twins=learned.twin,
        van_der_waals=vdw_entropy(states.parts),
        virial=virial_entropy(states.parts, settings.gas.interaction_strength),
        rescaled=alpha * learned.state + beta,
        split=learned.split,
        recombined=learned.recombined,
        split_state=learned.original,
        joined=learned.joined.ravel(),
        expected=expected(learned, choices).ravel(),
        joined_state=np.tile(np.arange(len(states)), len(JOINT_FRACTIONS)),
        piston_time=corners * table.grid_step,
        piston_position=piston_position(corners, table),
        recorded_time=table.clip_time,
        recorded_position=table.clip_piston,
        compound_images=last_snapshots(first, second, compound(first, second)),
        scaled_images=last_snapshots(first, cut_in_y, cut_in_x),
        scaled_fraction=EXAMPLE_SCALE,
        scaled_width=float(first.parts[0, 0, WIDTH]),
        dusted_image=last_snapshots(dusted(second, dust, EXAMPLE_EPSILON))[0],
        dust_epsilon=EXAMPLE_EPSILON,
        dust_width=float(dust.parts[0, 0, WIDTH]),
    )


def one_cycle(settings: Settings) -> Timetable:
    """A cycle of the process that figure 1(b) shows: the first one whose strokes are nearest to a tenth of L/2."""
    processes, shown = plan_processes(settings), 0.05 * settings.gas.box_length
    nearest = min(processes, key=lambda process: abs(process.push_stroke - shown) + abs(process.pull_stroke - shown))
    return compile_process(replace(nearest, n_cycles=1), settings)


def last_snapshots(*states: States) -> np.ndarray:
    """The last snapshot of the first of each of the states, uint8 [n, pixels, pixels]."""
    return np.stack([each.clips[0, -1].numpy() for each in states])
