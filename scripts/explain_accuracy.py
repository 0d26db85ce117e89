"""Why S~ orders states no better than it does: how exactly energy can be read from a clip, and how exactly S~ reads it.

    python scripts/explain_accuracy.py paper.h5 --out docs/results

writes accuracy.md and accuracy.png. All is measured on the validation processes of the dataset; readings of energy are
fitted on its training processes, which is also what the networks learned from: those of the package, or `--network`.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import torch

from gputhermo.backend import CpuBackend
from gputhermo.claims import Results, load_results
from gputhermo.clips import N_SYMMETRIES, transform
from gputhermo.dataset import SPLITS, members, open_dataset, settings_of
from gputhermo.encoder import Encoder
from gputhermo.entropy import EXCLUDED_AREA
from gputhermo.errors import InputError
from gputhermo.evaluate import digest
from gputhermo.feed import Feed
from gputhermo.figures import BLUE, ORANGE, STYLE, new_figure, save
from gputhermo.network_file import load_network
from gputhermo.pairs import Score, count_pairs, over_pairs, over_processes, score
from gputhermo.pretrained import PRETRAINED, pretrained_file
from gputhermo.process import Hold, Protocol
from gputhermo.rasterize import render
from gputhermo.report import table
from gputhermo.simulate import simulate
from gputhermo.state import ReplicaBatch
from gputhermo.torch_device import choose_precision

PAUSE = 40.0
"""Time between the two clips of a hold. Most particles collide several times in it; the state stays the same one."""
NOISES = (0.0, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06)
"""Relative errors of u for which the accuracy is tabulated."""
N_DRAWS = 10
"""Of random errors, for each accuracy."""
GOAL = 0.97
"""Drawn as a line."""
LEFT_OF = 5.0
"""Per cent: names of points with larger errors stand to their left."""
RESULTS = Path(__file__).parents[1] / "docs" / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="the dataset that the network was trained on")
    parser.add_argument(
        "--network",
        nargs=3,
        action="append",
        metavar=("NAME", "WEIGHTS", "RESULTS"),
        help="a network and its results.json; default: those of the package, and of docs/results",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for accuracy.md and .png")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    arguments = parser.parse_args(argv)
    try:
        gas = Gas(arguments.file)
        learned, results = {}, {}
        with ExitStack() as stack:
            shipped = [
                (name, stack.enter_context(pretrained_file(name)), RESULTS / name / "results.json")
                for name in PRETRAINED
            ]
            for name, weights, judged in arguments.network or shipped:
                results[name] = load_results(judged)
                check_match(name, results[name], digest(weights), gas)
                learned[name] = learn(gas, weights, results[name].run.training.precision, arguments.threads)
        readings = gas.readings()
        curve = {noise: gas.noisy(noise) for noise in NOISES}
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = as_markdown(gas, readings, curve, learned, results)
    (arguments.out / "accuracy.md").write_text(text, encoding="utf-8")
    draw(curve, readings, learned, arguments.out / "accuracy.png")
    return 0


class Gas:
    """The states of a dataset, and what their snapshots tell of their energy.

    rows     int64 [n_states]  those of training and validation, in the file's order
    log_u    float64           log(U / N), true
    free     float64           v - 2 pi R^2, v = Lx Ly / N
    """

    def __init__(self, path: Path):
        self.path = path
        with open_dataset(path) as file:
            self.settings = settings_of(file)
            split = file["processes/split"][()]
            self.processes = {name: members(split, name) for name in ("train", "validation")}
            self.speeds = np.stack([file["processes/push_speed"][()], file["processes/pull_speed"][()]], axis=-1)
            states = {name: data[()] for name, data in file["states"].items() if data.ndim == 1}
            self.rows = np.flatnonzero(split[states["process"]] != SPLITS["test"])
            states = {name: data[self.rows] for name, data in states.items()}
            self.process, self.n_particles = states["process"], states["n_particles"]
            self.piston = states["piston_position"]
            area = self.piston * self.settings.gas.box_length
            self.log_u = np.log((states["kinetic_energy"] + states["potential_energy"]) / self.n_particles)
            self.free = area / self.n_particles - EXCLUDED_AREA
            self.displacements = displacements(file, self.rows, self.n_particles)
        self.trained = np.isin(self.process, self.processes["train"])

    def order(self, log_u: np.ndarray) -> tuple[Score, Score]:
        """How the entropy with a log u that was read orders the states of the validation processes."""
        s = self.entropy(log_u)
        return both(s[self.process == process] for process in self.processes["validation"])

    def entropy(self, log_u: np.ndarray) -> np.ndarray:
        """N log[u (v - 2 pi R^2)] for a log u that was read."""
        s: np.ndarray = self.n_particles * (log_u + np.log(self.free))
        return s

    def noisy(self, noise: float) -> float:
        """The accuracy over all pairs if log u has a normal error of this size; the mean of some draws."""
        random = np.random.default_rng(0)
        draws = [self.order(self.log_u + noise * random.standard_normal(len(self.rows))) for _ in range(N_DRAWS)]
        return float(np.mean([pairs.accuracy for pairs, _ in draws]))

    def readings(self) -> dict[str, tuple[float, Score, Score]]:
        """Ways to read u from the displacements of particles: relative error, order by pairs and by processes.

        The error is what is left when the mean of each process is taken off, as that does not change an order.
        """
        known = [np.log(self.n_particles), np.log(self.n_particles * (self.free + EXCLUDED_AREA))]
        lags = list(np.log(self.displacements).T)
        ways = {
            "true energy": self.log_u,
            "displacements, mean square": lags[0],
            "displacements, corrected for N and area": fit([lags[0], *known], self.log_u, self.trained),
            "displacements over all times, corrected": fit([*lags, *known], self.log_u, self.trained),
        }
        found = {}
        for name, log_u in ways.items():
            errors = [(log_u - self.log_u)[self.process == process] for process in self.processes["validation"]]
            spread = np.concatenate([error - error.mean() for error in errors])
            found[name] = float(np.sqrt(np.mean(spread**2))), *self.order(log_u)
        return found

    def shares(self) -> dict[tuple[float, float], float]:
        """Share of the pairs of training and validation that processes of each pair of speeds have."""
        pairs: dict[tuple[float, float], int] = {}
        for process in self.processes["train"] + self.processes["validation"]:
            push, pull = self.speeds[process].tolist()
            pairs[push, pull] = pairs.get((push, pull), 0) + count_pairs(int((self.process == process).sum()))
        return {kind: n / sum(pairs.values()) for kind, n in sorted(pairs.items())}


def displacements(file: h5py.File, rows: np.ndarray, n_particles: np.ndarray) -> np.ndarray:
    """Mean square displacement of the particles of each state in 1, 2, ... intervals of its clip: float64 [n, lags]."""
    positions = file["states/positions"]
    squares = np.empty((len(rows), positions.shape[1] - 1))
    for row, n, found in zip(rows, n_particles, squares, strict=True):
        clip = positions[row, :, :n].astype(np.float64)
        for k in range(len(found)):
            found[k] = ((clip[k + 1 :] - clip[: -k - 1]) ** 2).sum(axis=-1).mean()
    return squares


def fit(features: Iterable[np.ndarray], target: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The quadratic polynomial of features that is nearest to `target` for the chosen states; its values for all."""
    x = np.stack(list(features), axis=-1)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    first, second = np.triu_indices(x.shape[1])
    terms = np.concatenate([np.ones((len(x), 1)), x, x[:, first] * x[:, second]], axis=1)
    values: np.ndarray = terms @ np.linalg.lstsq(terms[chosen], target[chosen], rcond=None)[0]
    return values


def check_match(name: str, results: Results, weights: str, gas: Gas) -> None:
    """Raise InputError unless the results are of these weights (SHA-256), and of this dataset and its own split."""
    run = results.run
    if run.weights_sha256 != weights:
        raise InputError(f"network = {name!r}: the results are those of other weights")
    if run.dataset != gas.settings or run.training.split_seed is not None:
        raise InputError(f"network = {name!r} was trained on another dataset, or another split of it")


def learn(gas: Gas, weights: str | Path, precision: str, n_threads: int | None) -> "Learned":
    """What the network in a file makes of the states, in the precision that it was trained with."""
    network = load_network(weights)
    with closing(Encoder(network, choose_precision(precision, torch.device("cpu")), n_threads)) as encoder:
        return Learned(gas, encoder, n_threads)


class Learned:
    """What a network makes of the states.

    scores  of the states of each split, and of the mean over views: over pairs, over processes
    errors  by N: relative errors of u that its S~ amounts to, about the line, between clips, between views
    """

    def __init__(self, gas: Gas, encoder: Encoder, n_threads: int | None):
        def entropies(clips: torch.Tensor) -> np.ndarray:
            return encoder.entropies(clips).double().numpy()

        with closing(Feed(gas.path, n_threads)) as feed:
            trained = [entropies(feed.read(process)) for process in gas.processes["train"]]
            views = [
                np.stack([entropies(view) for view in views_of(feed.read(process))])
                for process in gas.processes["validation"]
            ]
        first = [each[0] for each in views]
        self.scores = {
            "training": both(trained),
            "validation": both(first),
            "validation, mean of 16 views": both([each.mean(axis=0) for each in views]),
        }
        between_clips = np.concatenate(first) - np.concatenate(list(map(entropies, later_clips(gas, n_threads))))
        between_views = np.concatenate([each.std(axis=0, ddof=1) for each in views])
        entropy, n_particles = (each[~gas.trained] for each in (gas.entropy(gas.log_u), gas.n_particles))
        self.errors = {}
        for n in np.unique(n_particles).tolist():
            here = n_particles == n
            s = np.concatenate(first)[here]
            slope, intercept = np.polyfit(entropy[here], s, 1)
            about_the_line = s - (slope * entropy[here] + intercept)
            kinds = about_the_line, between_clips[here] / np.sqrt(2.0), between_views[here]
            self.errors[n] = [float(np.sqrt(np.mean(each**2)) / (slope * n)) for each in kinds]


def both(s: Iterable[np.ndarray]) -> tuple[Score, Score]:
    """The order of the states of several processes, over pairs and over processes."""
    scores = [score(torch.from_numpy(each)) for each in s]
    return over_pairs(scores), over_processes(scores)


def views_of(clips: torch.Tensor) -> Iterator[torch.Tensor]:
    """Each clip in sixteen views, the first of which is as it is."""
    for symmetry in range(N_SYMMETRIES):
        for reverse in (False, True):
            yield transform(clips, symmetry, reverse)


def later_clips(gas: Gas, n_threads: int | None) -> Iterator[torch.Tensor]:
    """Clips of the validation states PAUSE later: the piston rests, the gas moves on from the last snapshot."""
    settings, backend = gas.settings, CpuBackend(n_threads)
    height, clip = settings.gas.box_length, settings.protocol
    for process in gas.processes["validation"]:
        here = gas.process == process
        n = int(gas.n_particles[here][0])
        with open_dataset(gas.path) as file:
            points = file["states/phase_points"][gas.rows[here], :n]
        recordings = simulate(
            ReplicaBatch.from_arrays(points[..., :2], points[..., 2:], settings.gas.interaction_strength),
            [Protocol(float(length), height, [Hold(PAUSE)]) for length in gas.piston[here]],
            device=backend,
            integrator=settings.integrator,
            frames=clip.frames,
            frame_interval=clip.frame_interval,
        )
        positions = np.concatenate([recording.positions for recording in recordings])
        yield torch.from_numpy(render(positions, n, settings.image, height, backend))


def as_markdown(
    gas: Gas,
    readings: dict[str, tuple[float, Score, Score]],
    curve: dict[float, float],
    learned: dict[str, Learned],
    results: dict[str, Results],
) -> str:
    """The report."""
    n_states = {name: int(np.isin(gas.process, each).sum()) for name, each in gas.processes.items()}
    energy = [
        (name, f"{error:.2%}", f"{pairs.accuracy:.4f}", f"{mean.accuracy:.4f}")
        for name, (error, pairs, mean) in readings.items()
    ]
    noise = [(f"{size:.2%}", f"{accuracy:.4f}") for size, accuracy in curve.items()]
    networks = [
        (name, states, f"{pairs.loss:.4f}", f"{pairs.accuracy:.4f}", f"{mean.accuracy:.4f}")
        for name, one in learned.items()
        for states, (pairs, mean) in one.scores.items()
    ]
    errors = [
        (name, f"{n:,}", *(f"{each:.2%}" for each in kinds))
        for name, one in learned.items()
        for n, kinds in one.errors.items()
    ]
    return f"""# What limits the order of time

Made with `scripts/explain_accuracy.py`, on {n_states["validation"]:,} states of {len(gas.processes["validation"])}
validation processes; what is fitted is fitted on {n_states["train"]:,} states of {len(gas.processes["train"])} training
processes.

## What a clip tells

Pairs of states of a process are ordered by N log[u (v - 2πR²)], with N and v known and u = U/N read in several ways:
from the energy, and from the displacements of single particles, which images do not name. The relative error of u is
the root mean square about the mean of each process, which does not change an order.

{table(("u", "relative error", "accuracy, all pairs", "mean over processes"), energy)}

## What an error of u costs

The same with an error of log u that is drawn for each state, normal; means of {N_DRAWS} draws.

{table(("relative error of u", "accuracy, all pairs"), noise)}

## What S~ reads

Without dropout:

{table(("network", "states", "loss", "accuracy, all pairs", "mean over processes"), networks)}

Errors of S~, divided by the slope of its line against the entropy and by N, so that they are relative errors of u:
about the line; between two clips of one hold, {PAUSE:g} units of time apart (root mean square difference over √2);
between the sixteen views of one clip.

{table(("network", "N", "about the line", "between clips", "between views"), errors)}

![Accuracy against the relative error of u](accuracy.png)

The line is the random error above; the dots are the readings of u, the squares the networks, at the mean over N of the
error between clips. The grey line is {GOAL}.

## The split

{split_section(gas.shares(), results)}
"""


def split_section(shares: dict[tuple[float, float], float], results: dict[str, Results]) -> str:
    """Test accuracy by speed, and what it would be with the shares that other splits have."""
    accuracies = [
        {(each.push_speed, each.pull_speed): each.value for each in one.order_by_speed} for one in results.values()
    ]
    # All networks are judged by the same test processes: dataset and split are those of `check_match`.
    pairs = {(each.push_speed, each.pull_speed): each.n_pairs for each in next(iter(results.values())).order_by_speed}
    tested = {kind: n / sum(pairs.values()) for kind, n in pairs.items()}
    if set(tested) != set(shares):
        return "Some speeds are in training and validation or in the test alone, so nothing is compared."
    rows = [
        (
            ", ".join(f"{speed:g}" for speed in kind),
            f"{tested[kind]:.1%}",
            f"{shares[kind]:.1%}",
            *(f"{each[kind]:.4f}" for each in accuracies),
        )
        for kind in shares
    ]
    for name, weights in (("all, as in the test", tested), ("all, as in training and validation", shares)):
        means = [sum(weights[kind] * each[kind] for kind in weights) for each in accuracies]
        rows.append((name, "", "", *(f"{mean:.4f}" for mean in means)))
    header = ("speeds of push, pull", "share of test pairs", "of training and validation")
    return table((*header, *(f"test accuracy, {name}" for name in results)), rows)


@matplotlib.rc_context(STYLE)
def draw(
    curve: dict[float, float],
    readings: dict[str, tuple[float, Score, Score]],
    learned: dict[str, Learned],
    path: Path,
) -> None:
    """Accuracy against the relative error of u: what the error costs, and where each reading stands."""
    figure = new_figure(6.0, 3.6)
    axes = figure.subplots()
    axes.plot([100 * noise for noise in curve], list(curve.values()), color=BLUE)
    axes.axhline(GOAL, color="0.7", linewidth=0.8)
    points = {name: (error, pairs.accuracy, "o", BLUE) for name, (error, pairs, _) in readings.items()}
    for name, one in learned.items():
        error = float(np.mean([clips for _, clips, _ in one.errors.values()]))
        points[f"S~, network {name}"] = error, one.scores["validation"][0].accuracy, "s", ORANGE
    for name, (error, accuracy, marker, colour) in points.items():
        axes.plot(100 * error, accuracy, marker, color=colour)
        left = 100 * error > LEFT_OF
        axes.annotate(
            name,
            (100 * error, accuracy),
            xytext=(-6 if left else 6, 3),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=7,
        )
    axes.set_xlabel("relative error of u, %")
    axes.set_ylabel("accuracy in the order of time")
    save(figure, path)


if __name__ == "__main__":
    sys.exit(main())
