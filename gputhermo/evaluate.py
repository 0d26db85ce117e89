"""Evaluate a network on the test states of a dataset: axioms, entropy, results.json, figures and report.

    relatives.h5      twins, split and recombined states (see `relatives`)
    evaluation.npz    the arrays behind the figures
    figure_*.png      the paper's figures, from them
    report.md         claims, the paper's numbers and ours
    results.json      the same for programs; it is written last, so where it is, all is there
"""

import hashlib
import time
import tomllib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import axioms, entropy
from .bootstrap import Bootstrap
from .claims import (
    Claim,
    Evaluation,
    Results,
    Run,
    claim,
    dust_claim,
    line_claims,
    save_evaluation,
    save_results,
    scaled_claims,
)
from .compose import compound, dusted, scaled
from .dataset import SPLITS, open_dataset, settings_of
from .encoder import Encoder
from .errors import InputError
from .measure import EPSILONS, JOINT_FRACTIONS, SCALES, Choices, Measured, choose, measure, network_representation
from .model import EntropyNetwork, load_network, read_origin
from .observables import piston_position
from .paper_figures import save_paper_figures
from .parameters import EvaluateSettings, Settings, TrainSettings, validate, validate_as
from .process import Timetable, compile_process, plan_processes
from .relatives import RelativesStatus, make_relatives
from .report import write_report
from .states import N_PARTICLES, WIDTH, States, load_states
from .torch_device import choose_device, choose_precision, torch_state
from .workfolder import claimed

RELATIVES_SHARE = 0.6
"""Of the time that an evaluation takes on two CPU cores, about, until the relatives are made."""
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

    Relatives that an earlier run made there are taken up. `report` is called and `stop` asked all the time; a true
    answer raises Stopped. Raises InputError for files that cannot be used or do not fit together, if the network has
    seen these processes in training, and if `out` has results already; nothing is overwritten then.
    """
    settings = settings or EvaluateSettings()
    out, began = Path(out), time.monotonic()
    origin, network = read_origin(weights), load_network(weights)
    trained = tomllib.loads(origin.training)
    training = validate_as(TrainSettings, trained["train"])
    dataset_settings, sizes = examine(dataset)
    check_match(network, validate(trained["dataset"]), dataset_settings)
    if (out / "results.json").exists():
        raise InputError(f"out = {str(out)!r} has results already; remove them or choose another folder")
    with torch_state(choose_device(device)) as chosen, claimed(out):

        def say(stage: str, fraction: float) -> None:
            report(EvaluateStatus(stage, fraction, time.monotonic() - began, str(chosen)))

        def say_relatives(status: RelativesStatus) -> None:
            say(str(status), RELATIVES_SHARE * status.fraction)

        relatives = out / "relatives.h5"
        make_relatives(
            dataset, relatives, settings, device=device, n_threads=n_threads, report=say_relatives, stop=stop
        )
        seconds = {"relatives": time.monotonic() - began}
        states = load_states(dataset, "test", n_threads)
        choices = choose(states, relatives, settings.seed)
        precision = choose_precision(training.precision, chosen)  # the weights were chosen by what they give in it
        with closing(Encoder(network.to(chosen), precision, n_threads)) as encoder:
            learned, true = measure(
                states,
                relatives,
                choices,
                [network_representation(encoder), entropy.true_entropy],
                n_threads=n_threads,
                report=lambda stage, fraction: say(stage, RELATIVES_SHARE + (0.95 - RELATIVES_SHARE) * fraction),
                stop=stop,
            )
        seconds["representation"] = time.monotonic() - began - seconds["relatives"]
        say("statistics", 0.95)
        bootstrap = Bootstrap(settings.seed, settings.n_resamples)
        strength = dataset_settings.gas.interaction_strength
        results = Results(
            run=Run(
                package_version=origin.package_version,
                device=trained["device"],
                dataset=dataset_settings,
                training=training,
                evaluation=settings,
                best_epoch=origin.epoch,
                n_parameters=sum(parameter.numel() for parameter in network.parameters()),
                weights_sha256=hashlib.sha256(Path(weights).read_bytes()).hexdigest(),
                **sizes,
                seconds=seconds,
            ),
            **judge(states, choices, learned, true, bootstrap, strength),
        )
        evaluation = gather(states, choices, learned, results, dataset_settings)
        save_evaluation(evaluation, out / "evaluation.npz")
        save_paper_figures(results, evaluation, out)
        write_report(results, out)
        save_results(results, out / "results.json")
        say("done", 1.0)
    return results


def examine(dataset: str | Path) -> tuple[Settings, dict[str, dict[str, int]]]:
    """Settings of a dataset file, and its numbers of processes and states by split; InputError if none is for tests."""
    with open_dataset(dataset) as file:
        settings = settings_of(file)
        split, n_states = file["processes/split"][()], file["processes/n_states"][()]
    members = {name: split == code for name, code in SPLITS.items()}
    if not members["test"].any():
        raise InputError(f"dataset = {str(dataset)!r} is not allowed: it has no test process; at least 1 is needed")
    return settings, {
        "processes": {name: int(rows.sum()) for name, rows in members.items()},
        "states": {name: int(n_states[rows].sum()) for name, rows in members.items()},
    }


def check_match(network: EntropyNetwork, trained_on: Settings, dataset: Settings) -> None:
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


def judge(
    states: States, choices: Choices, learned: Measured, true: Measured, bootstrap: Bootstrap, strength: float
) -> dict[str, Any]:
    """Every claim, by its name in Results: of S~ as learned, with that of the true entropy as its bound."""
    process, n_particles = states.process, states.parts[:, 0, N_PARTICLES]
    half = choices.half
    cut_process = process[choices.original]

    def both(name: str, statistic: Callable[[Measured], Any]) -> Claim:
        return claim(name, statistic(learned), statistic(true))

    def order(found: Measured) -> axioms.Ordering:
        return axioms.ordering(found.state, process, bootstrap)

    def consistency(found: Measured, equal_n: bool) -> Any:
        s = found.state[half]
        return axioms.consistency(s, found.compound, n_particles[half], process[half], bootstrap, equal_n=equal_n)

    def scaling(found: Measured, equal_n: bool) -> axioms.Agreement:
        return axioms.scaling(found.state, found.scaled, n_particles, process, bootstrap, equal_n=equal_n)

    def stability(found: Measured, k: int, equal_n: bool) -> axioms.Agreement:
        first, second = found.dusted[k, :, 0], found.dusted[k, :, 1]
        return axioms.stability(found.state, first, second, n_particles, process, bootstrap, equal_n=equal_n)

    def dust_curve(equal_n: bool) -> tuple[Any, ...]:
        return tuple(
            dust_claim(epsilon, stability(learned, k, equal_n), stability(true, k, equal_n))
            for k, epsilon in enumerate(EPSILONS)
        )

    def additivity(found: Measured) -> Any:
        return axioms.r_squared(
            expected(found, choices).ravel(), found.joined.ravel(), np.tile(process, len(JOINT_FRACTIONS)), bootstrap
        )

    ordering, true_ordering = order(learned), order(true)
    scaling_at_equal_n, true_scaling = scaling(learned, True), scaling(true, True)
    van_der_waals, virial = entropy.vdw_entropy(states.parts), entropy.virial_entropy(states.parts, strength)
    return {
        "test_accuracy": claim("test_accuracy", ordering.accuracy, true_ordering.accuracy),
        "test_process_accuracy": claim(
            "test_process_accuracy", ordering.process_accuracy, true_ordering.process_accuracy
        ),
        "test_loss": claim("test_loss", ordering.loss),
        "A1_r2": both("A1_r2", lambda found: axioms.reflexivity(found.state, found.twin, process, bootstrap)),
        "A2": claim("A2", axioms.transitivity(learned.state, process, bootstrap)),
        "A3_agreement": both("A3_agreement", lambda found: consistency(found, True)),
        "A3_agreement_unrestricted": both("A3_agreement_unrestricted", lambda found: consistency(found, False)),
        "A4_agreement": claim("A4_agreement", scaling_at_equal_n.mean, true_scaling.mean),
        "A4_agreement_unrestricted": both("A4_agreement_unrestricted", lambda found: scaling(found, False).mean),
        "A4_scaled": scaled_claims(SCALES, scaling_at_equal_n, true_scaling),
        "A5_split_r2": both(
            "A5_split_r2",
            lambda found: axioms.splitting(found.split, found.state[choices.original], cut_process, bootstrap),
        ),
        "A5_recombined_r2": both(
            "A5_recombined_r2",
            lambda found: axioms.splitting(found.split, found.recombined, cut_process, bootstrap),
        ),
        "A6_curve": dust_curve(True),
        "A6_curve_unrestricted": dust_curve(False),
        "entropy_r2": line_claims(entropy.fit_lines(learned.state, van_der_waals, n_particles, process, bootstrap)),
        "virial_r2": line_claims(entropy.fit_lines(learned.state, virial, n_particles, process, bootstrap)),
        "extensivity_r2": both("extensivity_r2", additivity),
        "monotonicity": claim(
            "monotonicity", entropy.monotonicity(learned.state, van_der_waals, n_particles, process, bootstrap)
        ),
    }


def expected(found: Measured, choices: Choices) -> np.ndarray:
    """lambda S~(X) + (1 - lambda) S~(Y) of the joined states, float64 [len(JOINT_FRACTIONS), n]."""
    fraction = np.array(JOINT_FRACTIONS)[:, None]
    return fraction * found.state + (1.0 - fraction) * found.state[choices.partner]


def gather(states: States, choices: Choices, learned: Measured, results: Results, settings: Settings) -> Evaluation:
    """The arrays behind the figures."""
    n_particles = states.parts[:, 0, N_PARTICLES].astype(np.int64)
    rescaled = np.empty(len(states))
    for size, line in results.entropy_r2.items():
        rows = n_particles == int(size)
        rescaled[rows] = (learned.state[rows] - line.intercept.value) / line.slope.value
    table = one_cycle(settings)
    corners = np.concatenate([[0], table.segment_end])
    first, second = (states[choices.half[[k]]] for k in (0, -1))
    example, dust = states[choices.half[[0]]], states[choices.dusts[0, :1]]
    left = scaled(example, EXAMPLE_SCALE, "y"), scaled(example, EXAMPLE_SCALE, "x")
    return Evaluation(
        process=states.process,
        n_particles=n_particles,
        entropies=learned.state,
        twins=learned.twin,
        van_der_waals=entropy.vdw_entropy(states.parts),
        virial=entropy.virial_entropy(states.parts, settings.gas.interaction_strength),
        rescaled=rescaled,
        split=learned.split,
        recombined=learned.recombined,
        split_state=choices.original,
        joined=learned.joined.ravel(),
        expected=expected(learned, choices).ravel(),
        joined_state=np.tile(np.arange(len(states)), len(JOINT_FRACTIONS)),
        piston_time=corners * table.grid_step,
        piston_position=piston_position(corners, table),
        recorded_time=table.clip_time,
        recorded_position=table.clip_piston,
        compound_images=last_snapshots(first, second, compound(first, second)),
        scaled_images=last_snapshots(example, *left),
        scaled_fraction=EXAMPLE_SCALE,
        scaled_width=float(example.parts[0, 0, WIDTH]),
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
