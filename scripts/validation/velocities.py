"""How energy is shared out: velocities of a gas of fixed energy are uniform on a sphere of 2N dimensions."""

import dataclasses
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from gputhermo import Hold, Protocol, ReplicaBatch
from gputhermo.backend import Backend, as_numpy
from gputhermo.figures import BLUE, GREY, ORANGE, STYLE, new_figure

from .check import Check, ks_distance, mean
from .replicas import in_batches

SIZES = (8, 32, 128)
PACKING_FRACTION = 0.1
SETTLE, INTERVAL, N_SAMPLES = 200.0, 20.0, 40
SPHERE = "uniform on a sphere of 2N dimensions: "


@dataclass(frozen=True, kw_only=True)
class Measured:
    """By number of particles.

    along_x  float64 [n_replicas, N_SAMPLES]              K_x / K
    of_one   float64 [n_replicas, N_SAMPLES, n_particles]  each particle's share of K
    """

    along_x: dict[int, np.ndarray]
    of_one: dict[int, np.ndarray]
    n_steps: dict[int, int]


def measure(backend: Backend, n_replicas: int = 64) -> Measured:
    """Gases that begin with particles of one speed, all along x; as many samples of each number."""
    found = Measured(along_x={}, of_one={}, n_steps={})
    for n_particles in SIZES:
        length = 2.0 + np.sqrt(n_particles * np.pi / PACKING_FRACTION)
        protocol = Protocol(length, length, [Hold(SETTLE, record=False)] + [Hold(INTERVAL)] * N_SAMPLES)

        def draw(numbers: list[int], n: int = n_particles, protocol: Protocol = protocol) -> ReplicaBatch:
            batch = ReplicaBatch.draw([n] * len(numbers), protocol, seed=3, stream=numbers, device=backend)
            velocities = backend.xp.sign(batch.velocities) * np.sqrt(2.0)
            velocities[:, :, 1] = 0.0
            return dataclasses.replace(batch, velocities=velocities)

        along_x, of_one, n_steps = [], [], 0
        for recording in in_batches(draw, protocol, n_replicas, backend):
            squares = as_numpy(recording.phase_points)[:, :, 2:] ** 2
            total = squares.sum(axis=(1, 2))
            along_x.append(squares[:, :, 0].sum(axis=1) / total)
            of_one.append(squares.sum(axis=2) / total[:, None])
            n_steps += recording.counters["steps"]
        found.along_x[n_particles] = np.array(along_x)
        found.of_one[n_particles] = np.array(of_one)
        found.n_steps[n_particles] = n_steps
    return found


def independent(of_one: np.ndarray) -> float:
    """Number of samples over 1 + 2 (sum of their autocorrelation in time, until that is lost in noise)."""
    n_samples, n_particles = of_one.shape[1:]
    deviation = of_one - 1.0 / n_particles
    variance = np.mean(deviation**2)
    slowness = 1.0
    for lag in range(1, n_samples):
        products = (deviation[:, lag:] * deviation[:, :-lag]).mean(axis=(1, 2)) / variance
        if products.mean() < 2.0 * stats.sem(products):
            break
        slowness += 2.0 * products.mean()
    return of_one.size / slowness


def checks(measured: Measured) -> list[Check]:
    """Means, variances and distributions."""
    found = []
    for n in SIZES:
        along_x, of_one, n_steps = measured.along_x[n], measured.of_one[n], measured.n_steps[n]
        found += [
            Check(
                name=f"equipartition, N = {n}: K_x / K",
                measured=mean(along_x.mean(axis=1)),
                relation="is",
                reference=0.5,
                resolution=0.05,
                source="equipartition",
                n_steps=n_steps,
            ),
            Check(
                name=f"fluctuation, N = {n}: variance of K_x / K times 4 (N + 1)",
                measured=mean(4.0 * (n + 1) * ((along_x - 0.5) ** 2).mean(axis=1)),
                relation="is",
                reference=1.0,
                resolution=0.25,
                source=SPHERE + "K_x / K follows the beta distribution (N/2, N/2)",
                n_steps=n_steps,
            ),
            Check(
                name=f"fluctuation, N = {n}: variance of one particle's share of K times N^2 (N + 1) / (N - 1)",
                measured=mean(n**2 * (n + 1) / (n - 1) * ((of_one - 1.0 / n) ** 2).mean(axis=(1, 2))),
                relation="is",
                reference=1.0,
                resolution=0.25,
                source=SPHERE + "the share follows the beta distribution (1, N - 1)",
                n_steps=n_steps,
            ),
        ]
    n = SIZES[-1]
    distance, limit = ks_distance(measured.of_one[n].ravel(), stats.beta(1, n - 1), independent(measured.of_one[n]))
    found.append(
        Check(
            name=f"speeds, N = {n}: Kolmogorov's distance of v^2 from its distribution",
            measured=distance,
            relation="below",
            reference=limit,
            source="Maxwell, (v/T) exp(-v^2 / 2T), at fixed energy: the beta distribution (1, N - 1) of v^2 / 2K",
            n_steps=measured.n_steps[n],
        )
    )
    return found


@matplotlib.rc_context(STYLE)
def draw(measured: Measured) -> Figure:
    """Variances against N, and the distribution of speeds."""
    figure = new_figure(8.4, 3.4)
    left, right = figure.subplots(1, 2)
    sizes = np.array(SIZES)
    fine = np.geomspace(SIZES[0], SIZES[-1])
    for values, label, colour, law in (
        ([((measured.along_x[n] - 0.5) ** 2).mean(axis=1) for n in SIZES], "K_x / K", ORANGE, 0.25 / (fine + 1)),
        (
            [((measured.of_one[n] - 1.0 / n) ** 2).mean(axis=(1, 2)) for n in SIZES],
            "one particle's share of K",
            BLUE,
            (fine - 1) / (fine**2 * (fine + 1)),
        ),
    ):
        estimates = [mean(each) for each in values]
        margins = [each.half_width for each in estimates]
        left.errorbar(sizes, [each.value for each in estimates], margins, fmt="o", ms=4, color=colour, label=label)
        left.plot(fine, law, color=GREY, zorder=0)
    left.set(xscale="log", yscale="log", xlabel="number of particles", title="Variances; grey: beta distributions")
    left.set_xticks(SIZES, [str(n) for n in SIZES])
    left.minorticks_off()
    left.legend()
    n = SIZES[-1]
    speeds = np.sqrt(2.0 * n * measured.of_one[n])
    edges = np.linspace(0.0, 4.5, 46)
    counts = np.array([np.histogram(each, edges, density=True)[0] for each in speeds])
    middle = 0.5 * (edges[1:] + edges[:-1])
    estimates = [mean(each) for each in counts.T]
    right.errorbar(
        middle, [e.value for e in estimates], [e.half_width for e in estimates], fmt="o", ms=2.5, color=ORANGE
    )
    right.plot(middle, middle * np.exp(-(middle**2) / 2.0), color=GREY, zorder=0)
    right.set(xlabel="speed", ylabel="density", title=f"Speeds of {n} particles; grey: Maxwell")
    return figure
