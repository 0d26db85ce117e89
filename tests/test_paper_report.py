"""The report and the figures show the numbers that they were given."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image
from planted_results import SIZES, around, plant_evaluation, plant_results

from gputhermo import paper_figures
from gputhermo.claims import Claim
from gputhermo.figures import colours_of_sizes
from gputhermo.parameters import PRESETS
from gputhermo.report import as_markdown, opening, verdict, write_report

GASLIGHT = (np.random.default_rng(0).uniform(size=(4, 256, 256)) > 0.85).astype(np.uint8) * 255
"""Pictures as hard to compress as those of a gas."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A report with its figures."""
    folder = tmp_path_factory.mktemp("report")
    write_report(plant_results(), folder)
    paper_figures.save_paper_figures(plant_results(), plant_evaluation(GASLIGHT), folder)
    return folder


def test_the_report_shows_every_figure_and_each_is_small(folder: Path):
    shown = re.findall(r"!\[.*?\]\((.*?)\)", (folder / "report.md").read_text())
    assert sorted(shown) == sorted(path.name for path in folder.glob("*.png"))
    assert [name.removeprefix("figure_") for name in shown] == [f"{n}.png" for n in ("1b", *range(3, 9))]
    for name in shown:
        assert (folder / name).stat().st_size < 200_000
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 350


def test_the_first_lines_say_what_was_trained_on_what():
    first = as_markdown(plant_results()).split("|")[0]
    for fact in (
        "network `paper`, of 1,117,041 parameters",
        "336 simulated processes",
        "14,532 states",
        "epoch 57 of 60",
        "2,639 states",
    ):
        assert fact in first
    assert "500, 1,000, 1,500 or 2,000 discs" in first
    assert "not the dataset" not in first


def test_another_dataset_than_the_paper_s_is_named():
    run = plant_results().run
    last = opening(run.model_copy(update={"dataset": PRESETS["demo"].model_copy(update={"seed": 5})}))[-1]
    assert "not the dataset of the preset" in last
    assert "gas.box_length = 150.0 (there 300.0)" in last
    assert "plan.pull_speeds = [0.5] (there [0.1, 0.5])" in last
    assert "seed" not in last
    assert len(opening(run.model_copy(update={"dataset": PRESETS["paper"].model_copy(update={"seed": 5})}))) == 2


def test_the_table_has_a_row_for_each_claim_with_both_numbers():
    text = as_markdown(plant_results())
    assert "all pairs | 0.9534 | 0.9621 [0.9601, 0.9641] | 0.9990 | above the paper |" in text
    assert "(less is better) | 0.1041 | 0.0951 [0.0931, 0.0971] | - | below the paper, which is better |" in text
    assert "A3, consistency: agreement, equal N | 0.9995 | 0.99998 [0.9980, 1.0000] |" in text
    assert "original | 0.9949 | 0.9900 [0.9880, 0.9920] | 0.9990 | below the paper |" in text
    assert "at the smallest ε, equal N | towards 1 | 0.9992 " in text
    assert "| 0.5 | 0.9500 [0.9480, 0.9520] | 0.9400 [0.9380, 0.9420] |" in text
    assert "| 2,000 | 0.008 [0.0079, 0.0081] | -30 [-31, -29] |" in text
    rows = [line for line in text.splitlines() if line.count("|") == 6]
    assert sum("Entropy, N =" in row for row in rows) == len(SIZES)


@pytest.mark.parametrize(
    ("value", "half_width", "paper", "less_is_better", "expected"),
    [
        (0.96, 0.005, 0.9534, False, "above the paper"),
        (0.96, 0.010, 0.9534, False, "equal within the interval"),
        (0.94, 0.005, 0.9534, False, "below the paper"),
        (0.09, 0.005, 0.1041, True, "below the paper, which is better"),
        (0.12, 0.005, 0.1041, True, "above the paper, which is worse"),
        (0.98, 0.005, None, False, "no number in the paper"),
    ],
)
def test_verdict(value, half_width, paper, less_is_better, expected):
    assert verdict(Claim(**around(value, half_width), paper=paper), less_is_better) == expected


def test_a_curve_that_does_not_rise_is_not_said_to():
    curve = plant_results().A6_curve
    assert "rises as ε falls, as in the paper" in as_markdown(plant_results())
    text = as_markdown(plant_results(A6_curve=(curve[1], curve[0], *curve[2:])))
    assert text.count("rises as ε falls, as in the paper") == 1
    assert text.count("does not rise throughout") == 1


def test_each_dot_is_a_state_in_the_colour_of_its_n():
    evaluation = plant_evaluation()
    figure = paper_figures.figure_3(
        evaluation.entropies, evaluation.twins, evaluation.n_particles, plant_results().A1_r2
    )
    axes = figure.axes[0]
    dots = axes.collections[0]
    order = np.argsort(dots.get_offsets()[:, 0])
    states = np.argsort(evaluation.entropies)
    np.testing.assert_array_equal(dots.get_offsets()[order, 0], evaluation.entropies[states])
    np.testing.assert_array_equal(dots.get_offsets()[order, 1], evaluation.twins[states])
    colours = {n: to_rgba(colour, 0.5) for n, colour in colours_of_sizes(SIZES).items()}
    expected = np.array([colours[n] for n in evaluation.n_particles[states]])
    np.testing.assert_allclose(dots.get_facecolors()[order], expected)
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
    assert "0.9961" in axes.get_title(loc="left")


def test_split_states_stand_against_originals_left_and_against_recombined_right():
    results, evaluation = plant_results(), plant_evaluation()
    original = evaluation.entropies[evaluation.split_state]
    figure = paper_figures.figure_5(
        original,
        evaluation.recombined,
        evaluation.split,
        evaluation.n_particles[evaluation.split_state],
        results.A5_split_r2,
        results.A5_recombined_r2,
    )
    for axes, x, r2 in zip(figure.axes, (original, evaluation.recombined), ("0.9900", "0.9951"), strict=True):
        np.testing.assert_array_equal(np.sort(axes.collections[0].get_offsets()[:, 0]), np.sort(x))
        np.testing.assert_array_equal(np.sort(axes.collections[0].get_offsets()[:, 1]), np.sort(evaluation.split))
        assert r2 in axes.get_title(loc="left")


def test_the_line_of_each_n_has_its_slope_and_intercept():
    results, evaluation = plant_results(), plant_evaluation()
    figure = paper_figures.figure_7(
        evaluation.van_der_waals, evaluation.entropies, evaluation.rescaled, evaluation.n_particles, results.entropy_r2
    )
    assert len(figure.axes[0].lines) == len(SIZES)
    for n, line in zip(SIZES, figure.axes[0].lines, strict=True):
        slope, intercept = np.polyfit(line.get_xdata(), line.get_ydata(), 1)
        assert slope == pytest.approx(results.entropy_r2[str(n)].slope.value)
        assert intercept == pytest.approx(-30.0)


def test_what_is_shaded_is_what_was_masked():
    scaled = np.full((3, 40, 40), 255, dtype=np.uint8)
    figure = paper_figures.figure_4(scaled, scaled, fraction=0.6, scaled_width=200.0, box_length=400.0)
    bottom, right = (axes.patches[-1] for axes in figure.axes[4:6])
    assert bottom.get_bbox().bounds == pytest.approx((0.0, 0.0, 200.0, 160.0))
    assert right.get_bbox().bounds == pytest.approx((120.0, 0.0, 80.0, 400.0))


def test_a_constant_entropy_can_be_drawn():
    nothing = np.zeros(10)
    paper_figures.figure_8(nothing, nothing, np.full(10, 500), plant_results().extensivity_r2).canvas.draw()


def test_two_modules_import_matplotlib():
    importing = re.compile(r"^\s*(from|import)\s+matplotlib\b", re.MULTILINE)
    modules = (Path(__file__).parents[1] / "gputhermo").glob("*.py")
    found = {path.name for path in modules if importing.search(path.read_text("utf-8"))}
    assert found == {"figures.py", "paper_figures.py"}
