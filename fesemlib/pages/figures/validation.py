"""Figures of leave-one-out: training, held-out predictions, augmentation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from fesemlib.pages.figures.micrographs import _GREY, _K_M_LABEL
from fesemlib.pages.style import COLOURS, INK, Look, colour_formulations, formulation_looks
from fesemlib.params import Parameters
from fesemlib.processing import GreyImage
from fesemlib.validation.errors import (
    at_the_end,
    held_out_error_along,
    held_out_errors,
    training_error_along,
)
from fesemlib.validation.leave_one_out import training_summary

_TRAINING = "#888888"
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
    if published is not None:
        published = published.loc[[held_out]]
    figure = Figure(figsize=(5.6, 4.8))
    axes = figure.subplots()
    train = at_the_end(results[results["role"] == "train"])
    _parity_line(axes, pd.concat([train, predictions]), published)
    look = formulation_looks([*train["formulation"], held_out])[held_out]
    _whiskers(axes, train, Look(_TRAINING, "o"), "training, median and range")
    _whiskers(axes, predictions, look, f"held out ({held_out}), median and range")
    if published is not None:
        _draw_candidates(axes, published)
    axes.legend(loc="upper left", fontsize=9)
    return figure


def training_figure(results: pd.DataFrame, parameters: Parameters) -> Figure:
    """The errors along the training steps: of what is trained on, and of what is held out."""
    figure = Figure(figsize=(9.4, 3.9))
    panels = figure.subplots(1, 2)
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
        axes.set(xscale="log", yscale="log", title=title)
        axes.set_xlabel("training steps", fontsize=10)
        axes.yaxis.set_major_locator(LogLocator(subs=ticks))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(color="#e6e6e6")
    finished = 100 * parameters.training_criterion
    panels[0].axhline(finished, color=INK, linewidth=1, linestyle="--", label="criterion")
    panels[0].set_ylabel("mean relative error (%)", fontsize=10)
    panels[0].legend(fontsize=9)
    return figure


def parity_figure(predictions: pd.DataFrame, published: pd.DataFrame | None) -> Figure:
    """Figures 6 and 8: held-out predictions against true values, and the errors of Table 2.

    `predictions` are of one training set, as `published.candidates`, if any.
    """
    figure = Figure(figsize=(9.4, 4.7))
    parity, errors = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _parity_line(parity, predictions, published)
    names = list(dict.fromkeys(predictions["held_out"]))
    looks = formulation_looks(names)
    if published is not None:
        _draw_candidates(parity, published)
    for name in names:
        own = predictions[predictions["held_out"] == name]
        _whiskers(parity, own, looks[str(name)], str(name))
    entries = zip(*parity.get_legend_handles_labels(), strict=True)
    handles, labels = zip(*sorted(entries, key=lambda entry: entry[1] not in names), strict=True)
    parity.legend(
        handles, labels, loc="upper left", fontsize=9, ncols=2, title="held out", alignment="left"
    )
    _draw_errors(errors, predictions, names, published)
    return figure


def augmentation_figure(images: Mapping[str, GreyImage]) -> Figure:
    """Figure 7: an image and its copies, (H, W) each, in a 2 × 2 grid under their titles."""
    height, width = next(iter(images.values())).shape
    figure = Figure(figsize=(8, 8 * height / width + 0.7))
    for axes, (title, image) in zip(figure.subplots(2, 2).ravel(), images.items(), strict=True):
        axes.imshow(image, **_GREY)
        axes.set_title(title)
        axes.set_axis_off()
    return figure


def _over_seeds(predictions: pd.DataFrame) -> pd.DataFrame:
    """Median, least and greatest prediction of each image over the runs, 10⁻³ m² s⁻¹."""
    finite = predictions[np.isfinite(predictions["predicted_km"])]
    grouped = finite.groupby(["image", "true_km"], sort=False)["predicted_km"]
    summary = grouped.agg(median="median", least="min", greatest="max").reset_index()
    summary[["true_km", "median", "least", "greatest"]] *= 1e3
    return pd.DataFrame(summary)


def _whiskers(axes: Axes, predictions: pd.DataFrame, look: Look, label: str) -> None:
    summary = _over_seeds(predictions)
    spread = [summary["median"] - summary["least"], summary["greatest"] - summary["median"]]
    axes.errorbar(
        summary["true_km"],
        summary["median"],
        yerr=np.array(spread),
        fmt=look.marker,
        color=look.colour,
        label=label,
        **_WHISKERS,
    )


def _parity_line(axes: Axes, predictions: pd.DataFrame, published: pd.DataFrame | None) -> None:
    predicted = predictions["predicted_km"]
    values = [predictions["true_km"].max(), *predicted[np.isfinite(predicted)]]
    if published is not None:
        values.append(published["high_km"].max())
    top = 1.08e3 * max(values)
    bottom = 1.05e3 * min(0.0, *values)
    axes.plot([0, top], [0, top], color=INK, linewidth=1, linestyle="--", zorder=1)
    axes.set(xlim=(0, 1.1e3 * predictions["true_km"].max()), ylim=(bottom, top))
    axes.set_xlabel(f"true {_K_M_LABEL}", fontsize=10)
    axes.set_ylabel(f"predicted {_K_M_LABEL}", fontsize=10)


def _draw_candidates(axes: Axes, published: pd.DataFrame) -> None:
    """Both predictions that each unsigned published error allows, joined by a line."""
    true, low, high = (1e3 * published[name] for name in ("true_km", "low_km", "high_km"))
    axes.vlines(true, low, high, color="#bbbbbb", lw=1, zorder=1)
    for values, label in ((low, None), (high, "published, sign not in Table 2")):
        axes.scatter(true, values, **_PUBLISHED, linewidth=1, zorder=2, label=label)


def _draw_errors(
    axes: Axes, predictions: pd.DataFrame, names: Sequence[str], published: pd.DataFrame | None
) -> None:
    finite = predictions[np.isfinite(predictions["predicted_km"])]
    errors = 100 * held_out_errors(finite).reindex(list(names))
    rows = np.arange(len(names))
    looks = formulation_looks(names)
    for row, (name, (median, least, greatest)) in enumerate(errors.iterrows()):
        colour, marker = looks[str(name)]
        axes.hlines(row, least, greatest, color=colour, linewidth=1.6)
        axes.plot(median, row, marker, color=colour)
    axes.plot([], [], "o-", color=_TRAINING, label="reproduced, range of runs")
    if published is not None:
        error = 100 * (published["high_km"] / published["true_km"] - 1).reindex(list(names))
        axes.plot(error, rows, "d", markerfacecolor="white", color=INK, label="published")
    axes.set_yticks(rows, list(names))
    error_axis(axes)
    if np.ptp(np.log10(axes.get_xlim())) < 1.5:  # a decade or less would have no label
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    colour_formulations(axes)
    axes.invert_yaxis()
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2)


def error_axis(axes: Axes) -> None:
    """The horizontal axis of relative errors in %, logarithmic and without powers of ten."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("relative error of the held-out formulation (%)", fontsize=10)
    axes.grid(axis="x", color="#e6e6e6")
