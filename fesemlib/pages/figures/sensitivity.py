"""Figures of the chapter on what the choices do."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from fesemlib.evaluation.learning_curve import AVERAGED, MEDIAN, NETWORK, RIDGE
from fesemlib.evaluation.sensitivity import LOGARITHM, STEPS, change_in_words
from fesemlib.pages.style import COLOURS, INK
from fesemlib.validation.errors import MEAN

_FIRST, _SECOND, _THIRD = COLOURS[:3]
_RATIOS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 100, 1000)
_PREDICTORS = {
    NETWORK: (_FIRST, "o", "-"),
    AVERAGED: (_SECOND, "D", "-"),
    RIDGE: (_THIRD, "s", "-"),
    MEDIAN: (INK, "|", "--"),
}


def effects_figure(effects: pd.DataFrame) -> Figure:
    """What each factor does to the error and to the steps of training, with intervals.

    Parameters
    ----------
    effects
        From `fesemlib.evaluation.sensitivity.main_effects`. What is not finite has no dot.

    Examples
    --------
    >>> effect = {"factor": "target", "first": "minmax", "level": "log10", "effect": -0.1}
    >>> effects = pd.DataFrame({**effect, "low": -0.2, "high": 0.1, "measure": [LOGARITHM, STEPS]})
    >>> [label.get_text() for label in effects_figure(effects).axes[0].get_yticklabels()]
    ['target: minmax → log10']
    """
    rows = len(effects) // effects["measure"].nunique()
    figure = Figure(figsize=(9, 1.2 + 0.36 * rows))
    error, steps = figure.subplots(1, 2, sharey=True)
    _effects(error, effects[effects["measure"] == LOGARITHM], _FIRST)
    error.axvline(0, color=INK, linewidth=1, linestyle="--")
    error.set_xlabel("change of the mean |ln(predicted / true)|", fontsize=10)
    of_steps = effects[effects["measure"] == STEPS]
    parts = ["effect", "low", "high"]
    ratios = of_steps.assign(**{part: np.exp(of_steps[part]) for part in parts})
    _effects(steps, ratios, _SECOND)
    steps.axvline(1, color=INK, linewidth=1, linestyle="--")
    steps.set_xscale("log")
    ends = ratios[parts].to_numpy(dtype=np.float64)
    ends = ends[np.isfinite(ends)]
    steps.set_xlim(0.8 * ends.min(initial=0.6), 1.25 * ends.max(initial=1.6))
    steps.set_xticks([tick for tick in _RATIOS if steps.get_xlim()[0] < tick < steps.get_xlim()[1]])
    steps.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    steps.xaxis.set_minor_locator(NullLocator())
    steps.set_xlabel("steps of training, times those of the first level", fontsize=10)
    error.set_ylim(rows - 0.5, -0.5)
    return figure


def learning_curve_figure(curve: pd.DataFrame) -> Figure:
    """The error on new stand-ins against the number trained on, inside and outside their range.

    Parameters
    ----------
    curve
        From `fesemlib.evaluation.learning_curve.curve_of`.

    Examples
    --------
    >>> curve = pd.DataFrame(
    ...     {
    ...         "predictor": NETWORK, "size": [5, 10, 5, 10], "draw": 1,
    ...         "region": ["inside", "inside", "outside", "outside"], "mean": [0.3, 0.2, 0.6, 0.6],
    ...     }
    ... )
    >>> [axes.get_title(loc="left") for axes in learning_curve_figure(curve).axes]
    ['inside the range of the training sets', 'outside the range of the training sets']
    """
    figure = Figure(figsize=(9, 4.4))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, region in zip(panels, ("inside", "outside"), strict=True):
        for name, (colour, marker, line) in _PREDICTORS.items():
            part = curve[(curve["predictor"] == name) & (curve["region"] == region)]
            axes.plot(part["size"], 100 * part[MEAN], marker, color=colour, alpha=0.4, ms=6)
            middle = 100 * part.groupby("size")[MEAN].median()
            axes.plot(middle.index, middle, line, color=colour, linewidth=2, label=name)
        axes.set_title(f"{region} the range of the training sets", fontsize=10, loc="left")
        _sizes_axis(axes, sorted(set(curve["size"])))
    panels[0].set_ylabel("mean relative error of the test set (%)", fontsize=10)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=9
    )
    return figure


def _effects(axes: Axes, effects: pd.DataFrame, colour: str) -> None:
    """A row for each effect: a dot, and a line for its interval."""
    names = [
        change_in_words(*change) for change in effects[["factor", "first", "level"]].to_numpy()
    ]
    rows = range(len(effects))
    axes.hlines(rows, effects["low"], effects["high"], color=colour, linewidth=1.8, alpha=0.7)
    axes.plot(effects["effect"], rows, "o", color=colour, markersize=6.5)
    axes.set_yticks(rows, names, fontsize=9)
    axes.tick_params(axis="x", labelsize=9)
    axes.grid(axis="x", color="#e6e6e6")


def _sizes_axis(axes: Axes, sizes: list[int]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("stand-ins trained on", fontsize=10)
    axes.grid(color="#e6e6e6")
