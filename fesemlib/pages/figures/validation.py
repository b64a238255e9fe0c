"""Figures of leave-one-out: training, held-out predictions, augmentation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from fesemlib.pages.figures.micrographs import K_M_LABEL
from fesemlib.pages.names import A_DOZEN, height_of_rows, name_points, shortened, widened
from fesemlib.pages.style import (
    COLOURS,
    INK,
    Look,
    drawing,
    formulation_looks,
    name_formulations,
    plain_logarithmic,
    shade_not_positive,
)
from fesemlib.params import Parameters
from fesemlib.validation.errors import (
    at_the_end,
    held_out_error_along,
    held_out_errors,
    training_error_along,
)
from fesemlib.validation.leave_one_out import training_summary

_TRAINING = "#888888"
_LARGEST_ERRORS = 6  # named in a parity diagram without a legend
_POINT: dict[str, Any] = {"markersize": 7, "markeredgecolor": "white", "markeredgewidth": 0.6}
_WHISKERS = _POINT | {"elinewidth": 1.2, "capsize": 3, "zorder": 3}
_PUBLISHED: dict[str, Any] = {"marker": "d", "s": 42, "facecolor": "white", "edgecolor": INK}


def held_out_figure(
    results: pd.DataFrame, predictions: pd.DataFrame, published: pd.DataFrame | None
) -> Figure:
    """Figure 5: predictions of the training micrographs and of the one that was held out.

    `results` and `predictions` are of one held-out formulation and one training set; `published`
    is of `published.candidates`, or None.
    """
    held_out = str(predictions["held_out"].iloc[0])
    train = at_the_end(results[results["role"] == "train"])
    look = formulation_looks([*train["formulation"], held_out])[held_out]
    figure, axes = drawing(5.6, 4.8)
    candidates = None if published is None else published.loc[[held_out]]
    _parity(axes, pd.concat([train, predictions]), candidates)
    _whiskers(axes, train, Look(_TRAINING, "o"), "training, median and range")
    name = shortened([held_out])[held_out]
    _whiskers(axes, predictions, look, f"held out ({name}), median and range")
    axes.legend(loc="upper left")
    return figure


def training_figure(results: pd.DataFrame, parameters: Parameters) -> Figure:
    """The errors along the training steps: of what is trained on, and of what is held out."""
    figure, panels = drawing(9.4, 3.9, 1, 2)
    images = training_summary(results).groupby("training_set", sort=False)["images"].max()
    shown = (
        ("micrographs trained on", training_error_along(results), (1, 2, 5)),
        ("formulations held out", held_out_error_along(results), (1, 2, 3, 4, 5, 7)),
    )
    for axes, (title, along, ticks) in zip(panels, shown, strict=True):
        for colour, (training_set, number) in zip(COLOURS, images.items(), strict=False):
            course = 100 * along.loc[str(training_set)]
            at = course.index.to_numpy() * math.ceil(number / parameters.batch_size)
            axes.fill_between(at, course["least"], course["greatest"], fc=colour, alpha=0.2, lw=0)
            axes.plot(at, course["median"], color=colour, label=f"{training_set} set")
        axes.set(xscale="log", title=title, xlabel="training steps")
        plain_logarithmic(axes, "y", ticks)
        axes.grid(color="#e6e6e6")
    finished = 100 * parameters.training_criterion
    panels[0].axhline(finished, color=INK, linewidth=1, linestyle="--", label="criterion")
    panels[0].set_ylabel("mean relative error (%)")
    panels[0].legend()
    return figure


def parity_figure(predictions: pd.DataFrame, published: pd.DataFrame | None) -> Figure:
    """Figures 6 and 8: held-out predictions against true values, and the errors of Table 2.

    `predictions` are of one training set, as `published.candidates`, if any.
    """
    looks = formulation_looks(predictions["held_out"])
    high = max(4.7, 1.3 + height_of_rows(len(looks), 0))
    figure, (parity, errors) = drawing(widened(9.4, looks), high, 1, 2, width_ratios=(1.15, 1))
    _parity(parity, predictions, published)
    short = shortened(looks)
    few = max(len(looks), *map(len, short.values())) <= A_DOZEN  # names, and letters of each
    labels = short if few else {}
    for name, own in predictions.groupby("held_out", sort=False):
        _whiskers(parity, own, looks[str(name)], labels.get(str(name)))
    handles, _ = parity.get_legend_handles_labels()
    handles.sort(key=lambda handle: handle.get_label() not in labels.values())
    title = "held out" if few else None
    parity.legend(handles=handles, loc="upper left", ncols=2, title=title, alignment="left")
    _draw_errors(errors, predictions, published)
    if not few:
        _name_largest(parity, predictions, looks)
    return figure


def _whiskers(axes: Axes, predictions: pd.DataFrame, look: Look, label: str | None) -> None:
    """Median and range of the predictions of each image over the runs."""
    finite = predictions[np.isfinite(predictions["predicted_km"])]
    grouped = finite.groupby(["image", "true_km"], sort=False)["predicted_km"]
    runs = 1e3 * grouped.agg(["median", "min", "max"]).reset_index("true_km")
    spread = np.array([runs["median"] - runs["min"], runs["max"] - runs["median"]])
    shown = {"fmt": look.marker, "color": look.colour, "label": label, **_WHISKERS}
    axes.errorbar(runs["true_km"], runs["median"], spread, **shown)


def _parity(axes: Axes, predictions: pd.DataFrame, published: pd.DataFrame | None) -> None:
    """The line of perfect predictions; both predictions that each unsigned error allows."""
    predicted = predictions["predicted_km"]
    values = [predictions["true_km"].max(), *predicted[np.isfinite(predicted)]]
    if published is not None:
        values.append(published["high_km"].max())
    ends = np.array([0, 1.08e3 * max(values)])
    axes.plot(ends, ends, color=INK, linewidth=1, linestyle="--", zorder=1)
    axes.set(xlabel=f"true {K_M_LABEL}", xlim=(0, 1.1e3 * predictions["true_km"].max()))
    axes.set(ylabel=f"predicted {K_M_LABEL}", ylim=(1.05e3 * min(0.0, *values), ends[1]))
    shade_not_positive(axes, "y", predicted)
    if published is not None:
        true, low, high = (1e3 * published[name] for name in ("true_km", "low_km", "high_km"))
        axes.vlines(true, low, high, color="#bbbbbb", lw=1, zorder=1)
        for candidates, label in ((low, None), (high, "published, sign not in Table 2")):
            axes.scatter(true, candidates, **_PUBLISHED, linewidth=1, zorder=2, label=label)


def _name_largest(axes: Axes, predictions: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Names beside the points of the largest errors."""
    finite = predictions[np.isfinite(predictions["predicted_km"])]
    median = 1e3 * finite.groupby("held_out")[["true_km", "predicted_km"]].median()
    largest = held_out_errors(finite)["median"].nlargest(_LARGEST_ERRORS).index
    colours = {name: look.colour for name, look in looks.items()}
    name_points(axes, median.loc[largest], colours)


def _draw_errors(axes: Axes, predictions: pd.DataFrame, published: pd.DataFrame | None) -> None:
    looks = formulation_looks(predictions["held_out"])
    names = list(dict.fromkeys(predictions["held_out"]))
    finite = predictions[np.isfinite(predictions["predicted_km"])]
    errors = 100 * held_out_errors(finite).reindex(names)
    for row, (name, (median, least, greatest)) in enumerate(errors.iterrows()):
        colour, marker = looks[str(name)]
        axes.hlines(row, least, greatest, color=colour, linewidth=1.6)
        axes.plot(median, row, marker, color=colour)
    axes.plot([], [], "o-", color=_TRAINING, label="reproduced, range of runs")
    if published is not None:
        error = 100 * (published["high_km"] / published["true_km"] - 1).reindex(names)
        rows = range(len(names))
        axes.plot(error, rows, "d", markerfacecolor="white", color=INK, label="published")
    error_axis(axes)
    if np.ptp(np.log10(axes.get_xlim())) < 1.5:  # a decade or less would have no label
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    name_formulations(axes, names, errors["median"])
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def error_axis(axes: Axes) -> None:
    """The horizontal axis of relative errors in %, logarithmic and without powers of ten."""
    plain_logarithmic(axes, "x")
    axes.set_xlabel("relative error of the held-out formulation (%)")
    axes.grid(axis="x", color="#e6e6e6")
