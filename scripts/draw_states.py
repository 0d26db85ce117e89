"""Draw the pictures of docs/states.md: how states are made from states of a dataset's validation processes.

    python scripts/draw_states.py FILE --out docs/images

Of these processes, the one with the most particles and the one with the fewest are shown; of several, the one with the
most holds. A picture shows the last snapshot of each clip; walls and cuts, and the tint where no gas is, are added.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from gputhermo.backend import CpuBackend
from gputhermo.clips import draw_clips
from gputhermo.compose import compound, dusted, joined, scaled
from gputhermo.figures import ORANGE, PALE, STYLE, draw_gas, new_figure, save
from gputhermo.parameters import EvaluateSettings
from gputhermo.reader import ProcessReader
from gputhermo.simulate import Recording
from gputhermo.split import Cut, split_and_recombine
from gputhermo.states import HEIGHT, N_PARTICLES, WIDTH, States, load_states
from gputhermo.twins import run_twins

SCALE, SHARE, WALL, DUST = 0.7, 0.4, 0.6, 0.05
"""lambda of the scaled, the joined and the split states, and epsilon of the dust."""
COLOURS = 32
"""Of a picture's palette, which makes it small."""
Line = tuple[tuple[float, float], tuple[float, float]]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Panel:
    """A snapshot [pixels, pixels], the piston at Lx = `length`, and what is drawn upon it.

    lines  walls and cuts, (x, x), (y, y)
    empty  regions of the container without gas: x and y of the lower left corner, width, height
    """

    title: str
    image: np.ndarray
    length: float
    lines: Sequence[Line] = ()
    empty: Sequence[Box] = ()


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="a dataset with processes in the validation set")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the pictures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    states = load_states(arguments.file, "validation")
    dense, thin = extremes(states)
    with ProcessReader(arguments.file, int(dense.process[0])) as reader:
        pictures = {
            "compound": compound_panels(dense, thin),
            "scaled": scaled_panels(dense),
            "joined": joined_panels(dense),
            "dusted": dusted_panels(dense, thin),
            "split": split_panels(dense, reader),
            "twin": twin_panels(dense, reader),
        }
    height = float(states.parts[0, 0, HEIGHT])
    for name, panels in pictures.items():
        draw(panels, height, arguments.out / f"state_{name}.png")


def extremes(states: States) -> tuple[States, States]:
    """The states of the process with the most particles, and those of the one with the fewest."""
    processes, first, n_states = np.unique(states.process, return_index=True, return_counts=True)
    n_particles = states.parts[first, 0, N_PARTICLES]
    most, fewest = np.lexsort((n_states, n_particles))[-1], np.lexsort((-n_states, n_particles))[0]
    return states[states.process == processes[most]], states[states.process == processes[fewest]]


def hold_at(states: States, share: float) -> int:
    """Number of the first hold of a process with the piston nearest to `share` of L."""
    return int(np.argmin(np.abs(states.parts[:, 0, WIDTH] - share * states.parts[:, 0, HEIGHT])))


def at(states: States, share: float) -> States:
    """The state in that hold alone."""
    return states[[hold_at(states, share)]]


def sides(states: States) -> tuple[float, float]:
    """Lx and Ly of the first of the states."""
    return float(states.parts[0, 0, WIDTH]), float(states.parts[0, 0, HEIGHT])


def last_image(states: States) -> np.ndarray:
    """The last snapshot of the first of the states."""
    image: np.ndarray = states.clips[0, -1].numpy()
    return image


def compound_panels(dense: States, thin: States) -> list[Panel]:
    """X, X' and (X, X')."""
    first, second = at(dense, 0.5), at(thin, 0.5)
    half, height = sides(first)
    wall: Line = ((half, half), (0.0, height))
    return [
        Panel("X", last_image(first), half),
        Panel("X'", last_image(second), half),
        Panel("(X, X')", last_image(compound(first, second)), height, [wall]),
    ]


def scaled_panels(dense: States) -> list[Panel]:
    """X and lambda X, cut in y and in x."""
    whole = at(dense, 0.75)
    length, height = sides(whole)
    below: Box = (0.0, 0.0, length, (1.0 - SCALE) * height)
    right: Box = (SCALE * length, 0.0, (1.0 - SCALE) * length, height)
    return [
        Panel("X", last_image(whole), length),
        Panel(f"{SCALE} X, cut in y", last_image(scaled(whole, SCALE, "y")), length, empty=[below]),
        Panel(f"{SCALE} X, cut in x", last_image(scaled(whole, SCALE, "x")), length, empty=[right]),
    ]


def joined_panels(dense: States) -> list[Panel]:
    """X, Y and (lambda X, (1 - lambda) Y)."""
    first, second = at(dense, 0.75), at(dense, 1.0)
    length, height = sides(first)
    cut = (1.0 - SHARE) * height
    lines: list[Line] = [((0.0, height), (cut, cut)), ((length, length), (cut, height))]
    beyond: Box = (length, cut, height - length, height - cut)
    return [
        Panel("X", last_image(first), length),
        Panel("Y", last_image(second), height),
        Panel(f"({SHARE} X, {1.0 - SHARE:g} Y)", last_image(joined(first, second, SHARE)), height, lines, [beyond]),
    ]


def dusted_panels(dense: States, thin: States) -> list[Panel]:
    """X, Z and (X, epsilon Z)."""
    clean, dust = at(thin, 1.0), at(dense, 0.5)
    width, height = (np.sqrt(DUST) * side for side in sides(dust))
    corner: list[Line] = [((0.0, width), (height, height)), ((width, width), (0.0, height))]
    return [
        Panel("X", last_image(clean), sides(clean)[0]),
        Panel("Z", last_image(dust), sides(dust)[0], corner),
        Panel(f"(X, {DUST} Z)", last_image(dusted(clean, dust, DUST)), sides(clean)[0], corner),
    ]


def split_panels(dense: States, reader: ProcessReader) -> list[Panel]:
    """X, split by a wall in y and by one in x, and recombined from the latter."""
    hold = hold_at(dense, 0.75)
    length, height = sides(dense[[hold]])
    in_y, in_x = split_and_recombine(
        [reader.phase_points(hold)],
        [length],
        [Cut(0, "y", WALL), Cut(0, "x", WALL)],
        reader.settings,
        EvaluateSettings().settle_time,
        CpuBackend(1),
    )
    across: Line = ((0.0, length), (WALL * height, WALL * height))
    along: Line = ((WALL * length, WALL * length), (0.0, height))
    return [
        Panel("X", last_image(dense[[hold]]), length),
        Panel(f"split at y = {WALL} L", drawn(in_y.split, 0, reader), length, [across]),
        Panel(f"split at x = {WALL} Lx", drawn(in_x.split, 0, reader), length, [along]),
        Panel("recombined", drawn(in_x.recombined, 0, reader), length),
    ]


def twin_panels(dense: States, reader: ProcessReader) -> list[Panel]:
    """X and the state of the twin process in the same hold."""
    hold = hold_at(dense, 0.75)
    run = run_twins([reader.process], reader.settings, EvaluateSettings().seed, CpuBackend(1))
    while run.unfinished:
        finished = run.advance()
    ((_, recording),) = finished
    length, _ = sides(dense[[hold]])
    twin = drawn(recording, hold, reader)
    return [Panel("X", last_image(dense[[hold]]), length), Panel("its twin", twin, length)]


def drawn(recording: Recording, clip: int, reader: ProcessReader) -> np.ndarray:
    """The last snapshot of a clip that was just simulated."""
    clips = draw_clips(recording, reader.settings.gas.box_length, reader.settings.image)
    image: np.ndarray = clips[clip, 0, -1].numpy()
    return image


@matplotlib.rc_context(STYLE)
def draw(panels: Sequence[Panel], height: float, path: Path) -> None:
    """Write panels side by side as PNG."""
    figure = new_figure(2.1 * len(panels), 2.35)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw_gas(axes, panel.image, height, panel.length)
        axes.set_title(panel.title)
        for x, y, width, depth in panel.empty:
            axes.fill([x, x + width, x + width, x], [y, y, y + depth, y + depth], color=PALE, lw=0)
        for xs, ys in panel.lines:
            axes.plot(xs, ys, color=ORANGE, lw=1.5, solid_capstyle="butt")
    save(figure, path)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
