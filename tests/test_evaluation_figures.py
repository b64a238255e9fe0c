"""Figures of the chapter on the numbers: what is drawn is read back from the artists."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from fesemlib.pages.figures.evaluation import (
    controls_figure,
    epochs_figure,
    permutation_figure,
    spread_figure,
)
from fesemlib.validation.leave_one_out import COLUMNS

pytestmark = pytest.mark.filterwarnings("error")


def drawn(figure: Figure) -> Figure:
    """Drawn, so that what cannot be drawn is noticed."""
    FigureCanvasAgg(figure).draw()
    return figure


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def points(figure: Figure, marker: str) -> dict[float, list[float]]:
    """Abscissae of the markers by their row."""
    found: dict[float, list[float]] = {}
    for line in figure.axes[0].lines:
        if line.get_marker() == marker:
            for x, y in zip(*line.get_data(), strict=True):
                found.setdefault(float(y), []).append(float(x))
    return found


def controls(errors: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        (name, str(number), error)
        for name, values in errors.items()
        for number, error in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["control", "held_out", "relative_error"])


def runs(errors: dict[tuple[str, int], list[float]]) -> pd.DataFrame:
    """Errors along the epochs by held-out formulation and seed."""
    rows = [
        (name, name, "x.png", "test", 0, seed, "original", epoch, 1.0, 1 + error, error)
        for (name, seed), along in errors.items()
        for epoch, error in enumerate(along, start=1)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


# ----------------------------------------------------------------------------------- controls


def test_controls_are_sorted_and_show_every_formulation():
    net, paper = "network, small input", "published, original set"
    table = controls({"worse": [0.4, 0.8], net: [0.1, 0.3], paper: [0.2, 0.6]})
    figure = drawn(controls_figure(table))
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert names == [net, paper, "worse"]
    means = points(figure, "D")
    assert [means[row][0] for row in range(3)] == pytest.approx([20, 40, 60])
    dots = points(figure, "o")
    assert sorted(dots[0]) == pytest.approx([10, 30])
    assert sorted(dots[2]) == pytest.approx([40, 80])
    assert labels(figure) == ["networks of this book", "published", "controls"]
    low, high = figure.axes[0].get_ylim()
    assert low > high  # the best on top


def test_a_mean_over_fewer_formulations_is_hollow_and_last():
    table = controls({"partial": [0.01, np.nan, 0.01], "all": [0.5, 0.6, 0.7]})
    figure = drawn(controls_figure(table))
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert names == ["all", "partial (2 of 3)"]
    faces = [
        line.get_markerfacecolor() for line in figure.axes[0].lines if line.get_marker() == "D"
    ]
    assert not same_color(faces[0], "white")
    assert same_color(faces[1], "white")
    assert labels(figure) == ["controls"]  # nothing published in this table


def test_a_diverged_control_has_no_mean():
    """Not even that of the formulations on which it did not diverge."""
    table = controls({"lost": [0.1, np.inf], "all lost": [np.inf] * 2, "fine": [0.5, 0.6]})
    figure = drawn(controls_figure(table))
    assert list(points(figure, "D")) == [0]
    assert points(figure, "o")[1] == pytest.approx([10])
    assert len(figure.axes[0].get_yticklabels()) == 3


def test_errors_of_zero_stand_at_the_edge():
    figure = drawn(controls_figure(controls({"exact": [0.0, 0.0]})))
    assert points(figure, "o")[0] == [0.01, 0.01]
    assert points(figure, "D")[0] == [0.01]


# -------------------------------------------------------------------------------------- others


@pytest.mark.parametrize("number", [2, 3, 20])
@pytest.mark.parametrize("seeds", [1, 4])
def test_spread_shows_every_seed_and_the_median(number, seeds):
    errors = {
        (f"batch {n}", seed): [0.1 * (seed + 1)] for n in range(number) for seed in range(seeds)
    }
    first = runs(errors)
    second = runs({key: [2 * along[0]] for key, along in errors.items()})
    figure = drawn(spread_figure({"original": first, "augmented": second}))
    dots, bars = points(figure, "o"), points(figure, "|")
    assert len(dots) == len(bars) == 2 * number
    expected = [10.0 * (seed + 1) for seed in range(seeds)]
    assert dots[-0.15] == pytest.approx(expected)
    assert bars[-0.15] == pytest.approx([np.median(expected)])
    assert bars[0.15] == pytest.approx([2 * np.median(expected)])
    assert labels(figure) == ["original set", "augmented set"]


def test_spread_of_diverged_runs_can_be_drawn():
    figure = spread_figure({"original": runs({("A", 0): [np.inf], ("B", 0): [0.1]})})
    assert points(drawn(figure), "o")[1] == pytest.approx([10])


@pytest.mark.parametrize("shuffled", [[0.5], [0.5] * 4, [0.2, 0.4, 0.9], [0.3, np.inf]])
@pytest.mark.parametrize("observed", [0.1, np.inf])
def test_histogram_holds_every_finite_shuffle(observed, shuffled):
    figure = drawn(permutation_figure([observed, *shuffled]))
    axes = figure.axes[0]
    finite = np.isfinite(shuffled).sum()
    assert sum(patch.get_height() for patch in axes.patches) == finite
    lines = [line.get_xdata()[0] for line in axes.lines]
    assert lines == ([pytest.approx(10)] if np.isfinite(observed) else [])
    assert any("1 more diverged" in label for label in labels(figure)) == (finite < len(shuffled))


def test_only_diverged_shuffles_can_be_drawn():
    drawn(permutation_figure([0.1, np.inf, np.inf]))


@pytest.mark.parametrize("epochs", [1, 3])
def test_epochs_show_formulations_and_their_mean(epochs):
    table = runs(
        {
            ("A", 0): [0.1, 0.2, 0.3][:epochs],
            ("A", 1): [0.3, 0.4, 0.5][:epochs],
            ("b 2", 0): [0.6, 0.7, 0.8][:epochs],
            ("b 2", 1): [0.8, 0.9, 1.0][:epochs],
        }
    )
    fitted = table.assign(role="train", relative_error=0.02)
    figure = drawn(epochs_figure(pd.concat([table, fitted]), 0.408))
    axes = figure.axes[0]
    heights = [list(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == epochs]
    assert heights[0] == pytest.approx([20, 30, 40][:epochs])
    assert heights[1] == pytest.approx([70, 80, 90][:epochs])
    mean = next(line for line in axes.lines if line.get_label() == "their mean")
    assert list(mean.get_ydata()) == pytest.approx([45, 55, 65][:epochs])
    own = next(line for line in axes.lines if line.get_label() == "micrographs trained on")
    assert list(own.get_ydata()) == pytest.approx([2] * epochs)
    blind = next(line for line in axes.lines if line.get_label() == "median of the others")
    assert blind.get_ydata()[0] == pytest.approx(40.8)
    assert [text.get_text() for text in axes.texts] == ["A", "b 2"]


@pytest.mark.parametrize("diverged", [np.inf, np.nan])
def test_epochs_of_a_diverging_training_can_be_drawn(diverged):
    figure = drawn(epochs_figure(runs({("A", 0): [0.5, diverged], ("B", 0): [0.5, 0.1]}), 0.4))
    assert [text.get_text() for text in figure.axes[0].texts] == ["B"]


def test_names_at_the_ends_of_lines_do_not_cover_each_other():
    ends = {"A": 0.5, "B": 0.49, "C": 0.48, "D": 0.1}
    figure = drawn(epochs_figure(runs({(name, 0): [0.9, end] for name, end in ends.items()}), 0.4))
    boxes = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    assert sorted(boxes, key=lambda name: boxes[name].y0) == ["D", "C", "B", "A"]
    assert not any(one.overlaps(other) for one, other in combinations(boxes.values(), 2))
    line = figure.axes[0].transData.transform((2, 10))[1]
    assert (boxes["D"].y0 + boxes["D"].y1) / 2 == pytest.approx(line, abs=3)
