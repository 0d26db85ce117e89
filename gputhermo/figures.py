"""Figures and animations. Within the package only this module and paper_figures.py import matplotlib.

Figures are matplotlib's, held by no global state; `save` writes them. Colours are those of Okabe and Ito, which
colour-blind readers can tell apart; where colour means the number of particles it is a ramp in lightness.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image, ImageDraw, ImageFont

from .observables import piston_position
from .outfile import replaced
from .reader import ProcessReader
from .summary import Summary, Tables

INK, GREY, PALE = "#22303c", "#7a8590", "#e9ecef"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
GAS = LinearSegmentedColormap.from_list("gas", ["#ffffff", INK])
SIZES = LinearSegmentedColormap.from_list("sizes", ["#9ecae1", "#08306b"])
MARKERS = "osD^v<>P"
STYLE = {
    "figure.dpi": 150,
    "font.size": 8.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.2,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
MOST_STATES_SHOWN = 7
FRAME_DURATION = 100
"""Milliseconds that an animation shows a frame."""
ANIMATION_PIXELS = 256
"""Least side of the gas in an animation; smaller images are enlarged by a whole factor."""


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    with replaced(path) as new:
        figure.savefig(new, format="png")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@matplotlib.rc_context(STYLE)
def process_overview(reader: ProcessReader) -> Figure:
    """A whole process: piston, energy and work, kinetic energy per particle over time; pictures of the gas beneath."""
    process, table, timetable = reader.process, reader.table, reader.timetable
    n, time, series = process.n_particles, table["time"], reader.series()
    shown = turning_points(table["piston_position"])
    dot = 3.2 if reader.n_states < 50 else 2.0
    pictures_height = min(9.0 / len(shown), 2.4) + 0.25
    figure = new_figure(9.0, 4.9 + pictures_height)
    figure.suptitle(
        f"Process {process.index}: {n} particles, pushed by {process.push_stroke:g} at speed {process.push_speed:g}, "
        f"pulled by {process.pull_stroke:g} at speed {process.pull_speed:g}",
        x=0.008,
        ha="left",
        fontsize=11,
    )
    halves: Any = figure.subfigures(2, 1, height_ratios=[4.9, pictures_height])
    upper, lower = halves
    piston, energy, kinetic = upper.subplots(3, 1, sharex=True, height_ratios=[0.8, 1.2, 1.0])

    corners = np.concatenate([[0], timetable.segment_end])
    steps = np.linspace(0, timetable.n_steps, 1000).astype(np.int64)
    piston.plot(corners * timetable.grid_step, piston_position(corners, timetable), color=INK)
    piston.plot(time[shown], table["piston_position"][shown], "o", color=ORANGE, ms=4, zorder=3)
    for number, hold in enumerate(shown):
        piston.annotate(
            letter(number),
            (time[hold], table["piston_position"][hold]),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=ORANGE,
            fontweight="bold",
        )
    piston.set_ylabel("piston $L_x$ / R")
    piston.set_ylim(0.4 * process.box_length, 1.16 * process.box_length)

    change = table["kinetic_energy"] + table["potential_energy"]
    change = change - change[0]
    if series is None:
        # The piston rests in a hold, so the work at the end of a stroke is that at the end of the hold after it.
        work = table["work"][np.searchsorted(time, corners * timetable.grid_step * (1.0 - 1e-12))]
        energy.plot(corners * timetable.grid_step, work, color=ORANGE, label="work of the piston, $W$")
    else:
        energy.plot(series["time"], series["work"], color=ORANGE, label="work of the piston, $W$")
    energy.plot(time, change, "o", color=BLUE, ms=dot, mfc="white", label="energy, $E(t) - E(t_0)$")
    energy.axhline(0.0, color=PALE, lw=0.8, zorder=0)
    energy.set_ylabel("energy / $k_B T_0$")
    energy.legend(loc="upper left", ncols=2)

    area = (process.box_length - 2.0) * (piston_position(steps, timetable) - 2.0)
    reversible = table["kinetic_energy"][0] / n * area[0] / area
    kinetic.plot(
        steps * timetable.grid_step, reversible, color=GREY, lw=0.8, ls=(0, (4, 3)), label="ideal gas, reversible"
    )
    if series is not None:
        temperature = 0.5 * (series["kinetic_temperature_x"] + series["kinetic_temperature_y"])
        kinetic.plot(series["time"], temperature, color=GREEN, lw=0.8, label="this gas")
        kinetic.plot(time, table["kinetic_energy"] / n, "o", color=GREEN, ms=dot, mfc="white")
    else:
        kinetic.plot(
            time,
            table["kinetic_energy"] / n,
            "o-",
            color=GREEN,
            ms=dot,
            lw=0.8,
            mfc="white",
            label="this gas, as recorded",
        )
    kinetic.set_ylabel("kinetic energy\nper particle / $k_B T_0$")
    kinetic.legend(loc="upper left", ncols=2)
    kinetic.set_xlabel("time / $R \\sqrt{m / k_B T_0}$")
    kinetic.set_xlim(0.0, 1.01 * timetable.n_steps * timetable.grid_step)
    upper.align_ylabels()

    for number, (axes, hold) in enumerate(zip(lower.subplots(1, len(shown), squeeze=False)[0], shown, strict=True)):
        draw_gas(axes, reader.images(hold)[-1], process.box_length, float(table["piston_position"][hold]))
        axes.set_title(letter(number), loc="left", color=ORANGE, fontweight="bold")
        axes.set_title(f"t = {time[hold]:,.0f}", loc="right", fontsize=8)
    return figure


def letter(number: int) -> str:
    """A, B, C, ..."""
    return chr(ord("A") + number)


def turning_points(piston: np.ndarray) -> list[int]:
    """The holds at which the piston turns, the first and the last included; thinned out if they are many."""
    direction = np.sign(np.diff(piston))
    turns = [0, *(np.flatnonzero(direction[1:] != direction[:-1]) + 1).tolist(), len(piston) - 1]
    turns = sorted(set(turns))
    chosen = np.unique(np.round(np.linspace(0, len(turns) - 1, min(len(turns), MOST_STATES_SHOWN))).astype(int))
    return [turns[k] for k in chosen]


@matplotlib.rc_context(STYLE)
def state_frames(reader: ProcessReader, hold: int) -> Figure:
    """One state: the snapshots of its clip in a row."""
    images = reader.images(hold)
    interval = reader.settings.protocol.frame_interval
    last, piston = float(reader.table["time"][hold]), float(reader.table["piston_position"][hold])
    figure = new_figure(2.6 * len(images) + 0.1, 3.2)
    figure.suptitle(
        f"Process {reader.process.index}, hold {hold}: {reader.process.n_particles} particles, piston at {piston:g}",
        x=0.008,
        ha="left",
        fontsize=11,
    )
    for frame, axes in enumerate(figure.subplots(1, len(images), squeeze=False)[0]):
        draw_gas(axes, images[frame], reader.process.box_length, piston)
        axes.set_title(f"t = {last - (len(images) - 1 - frame) * interval:,.4g}")
    return figure


def draw_gas(axes: Axes, image: np.ndarray, box_length: float, piston: float) -> None:
    """The gas in its container: an image of the whole square, the piston a line, what lies beyond it grey."""
    axes.imshow(
        image, cmap=GAS, vmin=0, vmax=255, extent=(0.0, box_length, 0.0, box_length), interpolation="antialiased"
    )
    axes.axvspan(piston, max(piston, box_length), color=PALE, lw=0)
    axes.plot([piston, piston], [0.0, box_length], color=ORANGE, lw=1.5, solid_capstyle="butt", clip_on=False)
    axes.set_xlim(0.0, box_length)
    axes.set_ylim(0.0, box_length)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)


def save_animation(reader: ProcessReader, holds: Iterable[int], path: Path) -> None:
    """Write a GIF of every snapshot of the holds, with time and piston beneath each."""
    pictures = [picture for hold in holds for picture in animation_frames(reader, hold)]
    with replaced(path) as new:
        pictures[0].save(
            new,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=FRAME_DURATION,
            loop=0,
            optimize=False,
        )


def animation_frames(reader: ProcessReader, hold: int) -> list[Image.Image]:
    """The snapshots of a hold as pictures with a caption, in a palette of few colours."""
    piston, height = float(reader.table["piston_position"][hold]), reader.process.box_length
    interval, last = reader.settings.protocol.frame_interval, float(reader.table["time"][hold])
    images = reader.images(hold)
    scale = -(-ANIMATION_PIXELS // images.shape[-1])
    side = scale * images.shape[-1]
    shades = 15
    palette = [round(255 * value) for shade in range(shades + 1) for value in GAS(shade / shades)[:3]]
    orange, pale = shades + 1, shades + 2
    for colour in (ORANGE, PALE):
        palette += [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    wall = round(piston / height * side)
    frames = []
    for frame, image in enumerate(images):
        canvas = np.zeros((side + 22, side + 3), dtype=np.uint8)
        canvas[:side, :side] = np.kron(
            np.round(image / 255.0 * shades).astype(np.uint8), np.ones((scale, scale), np.uint8)
        )
        canvas[:side, wall:] = pale
        canvas[:side, wall : wall + 3] = orange
        canvas[[0, side], :side] = canvas[:side, 0] = shades // 3
        picture = Image.fromarray(canvas)
        picture.putpalette(palette)
        time = last - (len(images) - 1 - frame) * interval
        text = f"t = {time:,.0f}   piston {piston:g}   hold {hold} of {reader.n_states - 1}"
        drawing = ImageDraw.Draw(picture)
        drawing.fontmode = "1"
        drawing.text((4, side + 4), text, fill=shades, font=ImageFont.load_default(12))
        frames.append(picture)
    return frames


@matplotlib.rc_context(STYLE)
def dataset_overview(tables: Tables, summary: Summary) -> Figure:
    """A dataset: energy after each cycle, work against energy change, flow modes at recording, energy drift."""
    figure = new_figure(9.0, 7.2)
    (cycles, balance), (modes, drift) = figure.subplots(2, 2)
    draw_cycles(cycles, summary)
    draw_balance(balance, tables)
    draw_modes(modes, summary)
    draw_drift(drift, tables)
    return figure


def colours_of_sizes(sizes: Iterable[int]) -> dict[int, Any]:
    """A colour for each number of particles: the darker, the more."""
    sizes = sorted(sizes)
    return {n: SIZES(k / max(1, len(sizes) - 1)) for k, n in enumerate(sizes)}


def draw_cycles(axes: Axes, summary: Summary) -> None:
    """Energy per particle with the piston back at L, by speeds and number of particles."""
    speeds = sorted({(row.push_speed, row.pull_speed) for row in summary.cycles})
    sizes = sorted({row.n_particles for row in summary.cycles})
    colours = dict(zip(speeds, (BLUE, GREEN, PURPLE, ORANGE) * (1 + len(speeds) // 4), strict=False))
    for pair in speeds:
        for number, n in enumerate(sizes):
            rows = [row for row in summary.cycles if (row.push_speed, row.pull_speed) == pair and row.n_particles == n]
            rows.sort(key=lambda row: row.cycle)
            axes.plot(
                [row.cycle for row in rows],
                [row.energy for row in rows],
                color=colours[pair],
                marker=MARKERS[number % len(MARKERS)],
                ms=4,
                mfc="white",
                lw=0.9,
            )
    handles = [Line2D([], [], color=colours[pair], label=f"{pair[0]:g} / {pair[1]:g}") for pair in speeds]
    first = axes.legend(handles=handles, title="speed of push / pull", loc="upper left")
    axes.add_artist(first)
    handles = [
        Line2D([], [], color=GREY, ls="", marker=MARKERS[k % len(MARKERS)], mfc="white", label=f"{n:,}")
        for k, n in enumerate(sizes)
    ]
    axes.legend(handles=handles, title="particles", loc="upper left", bbox_to_anchor=(0.36, 1.0))
    axes.set_title("Energy per particle after each cycle (mean over processes)")
    axes.set_xlabel("cycles completed")
    axes.set_ylabel("energy per particle / $k_B T_0$")
    axes.set_xticks(sorted({row.cycle for row in summary.cycles}))


def draw_balance(axes: Axes, tables: Tables) -> None:
    """Work of the piston against the change of energy, whole processes, per particle."""
    sizes = tables.processes["n_particles"]
    change, work = (values[tables.last] / sizes for values in (tables.energy_change, tables.work_since_first))
    end = 1.08 * max(change.max(), work.max())
    axes.axline((0.0, 0.0), slope=1.0, color=GREY, lw=0.8, zorder=0)
    for n, colour in colours_of_sizes(set(sizes.tolist())).items():
        axes.plot(work[sizes == n], change[sizes == n], "o", color=colour, ms=3, alpha=0.8, mew=0, label=f"{n:,}")
    axes.set_xlim(min(0.0, work.min()), end)
    axes.set_ylim(min(0.0, change.min()), end)
    axes.legend(title="particles", loc="upper left", markerscale=1.5)
    axes.set_title("Work of the piston and change of energy, each process")
    axes.set_xlabel("work per particle / $k_B T_0$")
    axes.set_ylabel("energy change per particle / $k_B T_0$")


def draw_modes(axes: Axes, summary: Summary) -> None:
    """Mean square of the first flow mode when a state is recorded, along x and y, by stroke, speed and particles."""
    kinds = sorted({(row.stroke, row.speed) for row in summary.modes}, key=lambda kind: (kind[0] == "pull", kind[1]))
    colours = colours_of_sizes({row.n_particles for row in summary.modes})
    width = 0.8 / len(colours)
    axes.axhline(1.0, color=GREY, lw=0.8, ls=(0, (4, 3)), zorder=0)
    for k, (n, colour) in enumerate(colours.items()):
        rows = [row for row in summary.modes if row.n_particles == n]
        place = [kinds.index((row.stroke, row.speed)) + (k + 0.5) * width - 0.4 for row in rows]
        axes.plot(place, [row.flow_x for row in rows], "o", color=colour, ms=4.5)
        axes.plot(place, [row.flow_y for row in rows], "o", color=colour, ms=4.5, mfc="white")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_xticks(range(len(kinds)), [f"{stroke}, {speed:g}" for stroke, speed in kinds])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, len(kinds) - 0.5)
    handles = [Line2D([], [], color=colour, ls="", marker="o", ms=4.5, label=f"{n:,}") for n, colour in colours.items()]
    handles += [
        Line2D([], [], color=INK, ls="", marker="o", ms=4.5, label="along x"),
        Line2D([], [], color=INK, ls="", marker="o", ms=4.5, mfc="white", label="along y"),
    ]
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.25)
    axes.legend(handles=handles, loc="upper left", ncols=3)
    axes.set_title("First flow mode when recorded (1: thermal)")
    axes.set_xlabel("stroke before the hold, speed")
    axes.set_ylabel("mean square")


def draw_drift(axes: Axes, tables: Tables) -> None:
    """Relative energy drift of each process over its length."""
    sizes, time = tables.processes["n_particles"], tables.states["time"][tables.last]
    drift = 100.0 * tables.drift[tables.last]
    axes.axhline(0.0, color=GREY, lw=0.8, zorder=0)
    for n, colour in colours_of_sizes(set(sizes.tolist())).items():
        axes.plot(time[sizes == n], drift[sizes == n], "o", color=colour, ms=3, alpha=0.8, mew=0, label=f"{n:,}")
    axes.set_xlim(0.0, 1.25 * time.max())
    axes.legend(title="particles", loc="upper right", markerscale=1.5)
    axes.set_title("Energy drift, each process")
    axes.set_xlabel("length of the process / $R \\sqrt{m / k_B T_0}$")
    axes.set_ylabel("(energy change − work) / energy, %")
