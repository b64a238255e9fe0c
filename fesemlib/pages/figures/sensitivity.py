"""Figures of the chapter on what the choices do."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from fesemlib.evaluation.learning_curve import AVERAGED, MEDIAN, NETWORK, RIDGE
from fesemlib.evaluation.sensitivity import LOGARITHM, STEPS
from fesemlib.pages.style import COLOURS, INK, drawing, plain_logarithmic
from fesemlib.pages.tables.sensitivity import changes
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
    """What each factor does to the error and to the steps of training, from `main_effects`.

    What is not finite has no dot.
    """
    rows = len(effects) // effects["measure"].nunique()
    figure, (error, steps) = drawing(9, 1.2 + 0.36 * rows, 1, 2, sharey=True)
    change = "change of the mean |ln(predicted / true)|"
    _effects(error, effects[effects["measure"] == LOGARITHM], _FIRST, change, none=0)
    ratios = effects[effects["measure"] == STEPS].copy()
    parts = ["effect", "low", "high"]
    ratios[parts] = np.exp(ratios[parts])
    times = "steps of training, times those of the first level"
    _effects(steps, ratios, _SECOND, times, none=1)
    plain_logarithmic(steps, "x")
    ends = ratios[parts].to_numpy(dtype=np.float64)
    steps.set_xlim(0.8 * np.nanmin(ends, initial=0.6), 1.25 * np.nanmax(ends, initial=1.6))
    least, most = steps.get_xlim()
    steps.set_xticks([tick for tick in _RATIOS if least < tick < most])
    steps.xaxis.set_minor_locator(NullLocator())
    error.set_ylim(rows - 0.5, -0.5)
    return figure


def learning_curve_figure(curve: pd.DataFrame) -> Figure:
    """The error on new stand-ins against the number trained on, from `curve_of`."""
    figure, panels = drawing(9, 4.4, 1, 2, sharey=True)
    sizes = sorted(set(curve["size"]))
    for axes, region in zip(panels, ("inside", "outside"), strict=True):
        for name, (colour, marker, line) in _PREDICTORS.items():
            part = curve[(curve["predictor"] == name) & (curve["region"] == region)]
            axes.plot(part["size"], 100 * part[MEAN], marker, color=colour, alpha=0.4, ms=6)
            middle = 100 * part.groupby("size")[MEAN].median()
            axes.plot(middle.index, middle, line, color=colour, linewidth=2, label=name)
        axes.set_title(f"{region} the range of the training sets", fontsize=10, loc="left")
        axes.set(xscale="log", xlabel="stand-ins trained on")
        axes.set_xticks(sizes, map(str, sizes))
        axes.xaxis.set_minor_locator(NullLocator())
        plain_logarithmic(axes, "y")
        axes.grid(color="#e6e6e6")
    panels[0].set_ylabel("mean relative error of the test set (%)")
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper center", ncols=4)
    return figure


def _effects(axes: Axes, effects: pd.DataFrame, colour: str, label: str, none: float) -> None:
    """A row for each effect: a dot, and a line for its interval; dashed where there is none."""
    rows = range(len(effects))
    axes.hlines(rows, effects["low"], effects["high"], color=colour, linewidth=1.8, alpha=0.7)
    axes.plot(effects["effect"], rows, "o", color=colour, markersize=6.5)
    axes.set_yticks(rows, changes(effects), fontsize=9)
    axes.tick_params(axis="x", labelsize=9)
    axes.grid(axis="x", color="#e6e6e6")
    axes.axvline(none, color=INK, linewidth=1, linestyle="--")
    axes.set_xlabel(label)
