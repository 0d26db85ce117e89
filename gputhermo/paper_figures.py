"""The figures of the paper, drawn from our data.

Each function draws one figure of Kuroyanagi and Yuge (arXiv:2506.01506) from plain arrays. `save_paper_figures` writes
all of them. Colour is the number of particles, the darker the more.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from .claims import Claim, DustClaim, Evaluation, LineClaim, Results
from .figures import BLUE, GAS, GREY, INK, ORANGE, PALE, STYLE, colours_of_sizes, new_figure, save

ENTROPY = r"$\tilde{S}$"
VAN_DER_WAALS = r"$N\,\log[\,u\,(v - 2\pi R^2)\,]$"
FEW_SHADES = GAS.resampled(8)
"""Enough for discs of a few pixels, and a fifth of the bytes."""
DASHES = (0, (5, 3))


def save_paper_figures(results: Results, evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write figures 1(b) and 3 to 8 as PNG into `folder`; returns their paths."""
    length, arrays = results.run.dataset.gas.box_length, evaluation
    numbers, split_numbers = arrays.n_particles, arrays.n_particles[arrays.split_state]
    figures = {
        "figure_1b": figure_1b(
            arrays.piston_time, arrays.piston_position, arrays.recorded_time, arrays.recorded_position, length
        ),
        "figure_3": figure_3(arrays.entropies, arrays.twins, numbers, results.A1_r2),
        "figure_4": figure_4(
            arrays.compound_images, arrays.scaled_images, arrays.scaled_fraction, arrays.scaled_width, length
        ),
        "figure_5": figure_5(
            arrays.entropies[arrays.split_state],
            arrays.recombined,
            arrays.split,
            split_numbers,
            results.A5_split_r2,
            results.A5_recombined_r2,
        ),
        "figure_6": figure_6(
            results.A6_curve,
            results.A6_curve_unrestricted,
            arrays.dusted_image,
            arrays.dust_epsilon,
            arrays.dust_width,
            length,
        ),
        "figure_7": figure_7(arrays.van_der_waals, arrays.entropies, arrays.rescaled, numbers, results.entropy_r2),
        "figure_8": figure_8(arrays.expected, arrays.joined, numbers[arrays.joined_state], results.extensivity_r2),
    }
    for name, figure in figures.items():
        save(figure, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in figures]


@matplotlib.rc_context(STYLE)
def figure_1b(
    time: np.ndarray, position: np.ndarray, recorded_time: np.ndarray, recorded_position: np.ndarray, box_length: float
) -> Figure:
    """The piston in one cycle, corner by corner; arrows where states are recorded."""
    figure = new_figure(5.6, 2.6)
    axes = figure.subplots()
    for level in (0.5 * box_length, box_length):
        axes.axhline(level, color=PALE, lw=0.8, zorder=0)
    axes.plot(time, position, color=INK)
    for when, where in zip(recorded_time, recorded_position, strict=True):
        axes.annotate(
            "",
            (when, where),
            xytext=(0, 15),
            textcoords="offset points",
            arrowprops={"arrowstyle": "-|>", "color": ORANGE, "lw": 1.0, "mutation_scale": 7, "shrinkB": 2},
        )
    axes.set_yticks([0.5 * box_length, box_length], ["$L/2$", "$L$"])
    axes.set_ylim(0.42 * box_length, 1.14 * box_length)
    axes.set_xlim(time[0], time[-1] + 0.01 * (time[-1] - time[0]))
    axes.set_ylabel("piston $L_x$")
    axes.set_xlabel("time / $R \\sqrt{m / k_B T_0}$")
    axes.set_title("One cycle; a state is recorded at each arrow")
    return figure


@matplotlib.rc_context(STYLE)
def figure_3(entropies: np.ndarray, twins: np.ndarray, n_particles: np.ndarray, r2: Claim) -> Figure:
    """A1: S~ of the twin X' against S~ of the state X, each [n]."""
    figure = new_figure(4.2, 4.1)
    axes = figure.subplots()
    against_identity(axes, entropies, twins, n_particles)
    axes.set_title(f"A1, reflexivity: $R^2$ = {r2}")
    axes.set_xlabel(f"{ENTROPY}$(X)$")
    axes.set_ylabel(f"{ENTROPY}$(X')$, twin of $X$")
    return figure


@matplotlib.rc_context(STYLE)
def figure_4(
    compound: np.ndarray, scaled: np.ndarray, fraction: float, scaled_width: float, box_length: float
) -> Figure:
    """How states are composed: X, X' and (X, X'); X and lambda X with the bottom and with the right of the gas masked.

    compound and scaled are pictures, uint8 [3, pixels, pixels]; `scaled_width` is Lx of the lower X.
    """
    figure = new_figure(5.6, 4.1)
    upper, lower = figure.subplots(2, 3)
    half = 0.5 * box_length
    for axes, image, title in zip(upper, compound, ("$X$", "$X'$", "$(X, X')$"), strict=True):
        draw_image(axes, image, box_length)
        axes.axvline(half, color=ORANGE, lw=1.2)
        axes.set_title(title)
    for axes in upper[:2]:
        axes.axvspan(half, box_length, color=PALE, lw=0)
    titles = ("$X$", f"${fraction:g}\\,X$, bottom masked", f"${fraction:g}\\,X$, right masked")
    for axes, image, title in zip(lower, scaled, titles, strict=True):
        draw_image(axes, image, box_length)
        axes.axvspan(scaled_width, box_length, color=PALE, lw=0)
        axes.axvline(scaled_width, color=ORANGE, lw=1.2, clip_on=False)
        axes.set_title(title)
    width, height = fraction * scaled_width, (1.0 - fraction) * box_length
    shade(lower[1], 0.0, 0.0, scaled_width, height)
    shade(lower[2], width, 0.0, scaled_width - width, box_length)
    upper[0].set_ylabel("(a)", rotation=0, ha="right", va="center")
    lower[0].set_ylabel("(b)", rotation=0, ha="right", va="center")
    return figure


@matplotlib.rc_context(STYLE)
def figure_5(
    entropies: np.ndarray,
    recombined: np.ndarray,
    split: np.ndarray,
    n_particles: np.ndarray,
    r2_split: Claim,
    r2_recombined: Claim,
) -> Figure:
    """A5: S~ of a split state against that of the state it was made from, and of the state recombined from it."""
    figure = new_figure(7.8, 4.1)
    left, right = figure.subplots(1, 2)
    against_identity(left, entropies, split, n_particles)
    against_identity(right, recombined, split, n_particles)
    left.set_title(f"A5, splitting: $R^2$ = {r2_split}")
    right.set_title(f"A5, recombination: $R^2$ = {r2_recombined}")
    left.set_xlabel(f"{ENTROPY}$(X)$")
    right.set_xlabel(f"{ENTROPY}$(X_\\mathrm{{recomb}})$")
    left.set_ylabel(f"{ENTROPY}$(X_\\mathrm{{split}})$")
    return figure


@matplotlib.rc_context(STYLE)
def figure_6(
    curve: Sequence[DustClaim],
    unrestricted: Sequence[DustClaim],
    dusted: np.ndarray,
    epsilon: float,
    dust_width: float,
    box_length: float,
) -> Figure:
    """A6: agreement of the order with and without dust, by the size of the dust; the inset is a state with dust.

    dusted is a picture, uint8 [pixels, pixels], of (X, epsilon Z), and `dust_width` is Lx of Z.
    """
    figure = new_figure(7.2, 3.1)
    axes, picture = figure.subplots(1, 2, width_ratios=[1.7, 1.0])
    axes.axhline(1.0, color=GREY, lw=0.8, ls=DASHES, zorder=0)
    for points, colour, label in ((curve, BLUE, "equal $N$"), (unrestricted, ORANGE, "any $N$")):
        sizes, values = [point.epsilon for point in points], np.array([point.value for point in points])
        ends = np.array([[point.low, point.high] for point in points]).T
        # The interval of a value near 1 need not contain it.
        errors = np.maximum(0.0, [values - ends[0], ends[1] - values])
        axes.plot(sizes, [point.pairs for point in points], color=colour, lw=0.7, alpha=0.35, zorder=1)
        axes.errorbar(
            sizes, values, errors, color=colour, marker="o", ms=4, mfc="white", elinewidth=0.9, capsize=2, label=label
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("relative size of the dust, $\\varepsilon$")
    axes.set_ylabel("agreement")
    axes.set_title("A6, stability; thin lines: each pair of dusts")
    axes.legend(loc="lower left")
    draw_image(picture, dusted, box_length)
    side = np.sqrt(epsilon)
    picture.add_patch(Rectangle((0.0, 0.0), side * dust_width, side * box_length, fill=False, ec=ORANGE, lw=1.2))
    picture.set_title(f"$(X, \\varepsilon Z)$ with $\\varepsilon$ = {epsilon:g}")
    return figure


@matplotlib.rc_context(STYLE)
def figure_7(
    van_der_waals: np.ndarray,
    entropies: np.ndarray,
    rescaled: np.ndarray,
    n_particles: np.ndarray,
    lines: Mapping[str, LineClaim],
) -> Figure:
    """S~ and its affine map S^ against N log[u (v - 2 pi R^2)], each [n], with the straight line of each N."""
    figure = new_figure(7.8, 3.9)
    left, right = figure.subplots(1, 2)
    draw_states(left, van_der_waals, entropies, n_particles)
    draw_states(right, van_der_waals, rescaled, n_particles)
    for n in np.unique(n_particles):
        line_ends = np.array(stretch(van_der_waals[n_particles == n]))
        line = lines[str(n)]
        fitted = line.slope.value * line_ends + line.intercept.value
        left.plot(line_ends, fitted, color=ORANGE, lw=0.9, ls=DASHES)
    ends = stretch(van_der_waals)
    right.plot(ends, ends, color=ORANGE, lw=0.9, ls=DASHES)
    left.set_title("(a) as learned, with a line for each $N$")
    right.set_title("(b) after an affine map for each $N$")
    left.set_ylabel(f"{ENTROPY}$(X)$")
    right.set_ylabel(r"$\hat{S}(X)$")
    for axes in (left, right):
        axes.set_xlabel(VAN_DER_WAALS)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    right.yaxis.set_major_formatter("{x:,.0f}")
    legend_of_sizes(left, n_particles, loc="upper left")
    return figure


@matplotlib.rc_context(STYLE)
def figure_8(expected: np.ndarray, joined: np.ndarray, n_particles: np.ndarray, r2: Claim) -> Figure:
    """Extensivity and additivity: S~ of (lambda X, (1 - lambda) Y) against lambda S~(X) + (1 - lambda) S~(Y)."""
    figure = new_figure(4.2, 4.1)
    axes = figure.subplots()
    against_identity(axes, expected, joined, n_particles)
    axes.set_title(f"Extensivity, additivity: $R^2$ = {r2}")
    axes.set_xlabel(rf"$\lambda\,${ENTROPY}$(X) + (1 - \lambda)\,${ENTROPY}$(Y)$")
    axes.set_ylabel(rf"{ENTROPY}$(\lambda X,\,(1 - \lambda) Y)$")
    return figure


def stretch(values: np.ndarray) -> tuple[float, float]:
    """Ends of a line that reaches beyond all of the values on both sides."""
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin


def against_identity(axes: Axes, x: np.ndarray, y: np.ndarray, n_particles: np.ndarray) -> None:
    """y against x, with the line on which they are equal, on axes of the same range."""
    draw_states(axes, x, y, n_particles)
    ends = stretch(np.concatenate([x, y]))
    axes.plot(ends, ends, color=ORANGE, lw=0.9, ls=DASHES)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_box_aspect(1.0)
    legend_of_sizes(axes, n_particles, loc="upper left")


def draw_states(axes: Axes, x: np.ndarray, y: np.ndarray, n_particles: np.ndarray) -> None:
    """A dot for each state, in an order that is drawn, so that no N hides another."""
    order = np.random.Generator(np.random.Philox(0)).permutation(len(x))
    colours = colours_of_sizes(set(n_particles.tolist()))
    shown = [colours[n] for n in n_particles[order].tolist()]
    axes.scatter(x[order], y[order], s=4.0, c=shown, alpha=0.5, linewidths=0, rasterized=True)


def legend_of_sizes(axes: Axes, n_particles: np.ndarray, **place: Any) -> None:
    """Which colour is which number of particles."""
    colours = colours_of_sizes(set(n_particles.tolist()))
    handles = [Line2D([], [], ls="", marker="o", ms=4, color=colour, label=f"{n:,}") for n, colour in colours.items()]
    axes.legend(handles=handles, title="particles", **place)


def draw_image(axes: Axes, image: np.ndarray, box_length: float) -> None:
    """A snapshot of the whole square, framed."""
    frame = (0.0, box_length, 0.0, box_length)
    axes.imshow(image, cmap=FEW_SHADES, vmin=0, vmax=255, extent=frame, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)


def shade(axes: Axes, left: float, bottom: float, width: float, height: float) -> None:
    """Mark a region that was masked."""
    axes.add_patch(Rectangle((left, bottom), width, height, fc="none", ec=GREY, hatch="////", lw=0.0, alpha=0.6))
