"""Figures of the chapter on new micrographs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fesemlib.drying.outlook import Outlook
from fesemlib.pages.names import PREDICTOR_NAME, shortened
from fesemlib.pages.style import COLOURS, INK, drawing, plain_logarithmic
from fesemlib.prediction.folder import Card
from fesemlib.prediction.model import Model, Prediction
from fesemlib.predictors.regressions import MEDIAN

_PALE = "#999999"
_INSIDE, _OUTSIDE = COLOURS[0], COLOURS[3]
_DOTS = {
    True: {"color": _INSIDE, "markerfacecolor": _INSIDE},
    False: {"color": _OUTSIDE, "markerfacecolor": "white"},
}  # by whether it is inside the domain
_WIDTH = 8.5  # inches, of every figure
_MOST_ROWS = 40  # micrographs in one figure
_K_M = "k$_m$ (10$^{-3}$ m² s$^{-1}$)"
_LONGEST_NAME = 28
_LEAST_ERROR = 1e-3  # smaller ones are drawn there
_TICKS = (1, 2, 5)  # of each decade


def short_names(images: Sequence[str]) -> list[str]:
    """Names of files, of long ones beginning and end; where two become equal, all are numbered."""
    short = shortened(images, _LONGEST_NAME, lambda image: Path(image).name)
    return [short[image] for image in images]


def candidates_figure(card: Card) -> Figure:
    """|ln(predicted/true)| of what each candidate was not fitted to, and of the choice among them.

    A dot for each formulation, a diamond for their mean; the best candidate on top.
    """
    errors = card.candidate_residuals.dropna(axis="columns").abs()
    errors = errors.loc[:, errors.mean().sort_values().index]
    errors.insert(0, f"chosen: {card.predictor}", pd.Series(card.residuals).abs())
    figure, axes = drawing(_WIDTH, 1.6 + 0.36 * errors.shape[1], label_size=12)
    colours = [_OUTSIDE, *[_INSIDE] * (errors.shape[1] - 1)]
    dots = errors.clip(lower=_LEAST_ERROR).rename(
        columns=shortened(map(str, errors), PREDICTOR_NAME)
    )
    look: Any = {"jitter": False, "alpha": 0.45, "size": 5}
    sns.stripplot(dots, orient="h", palette=colours, ax=axes, **look)
    axes.collections[1].set_label("a formulation")
    means = errors.mean().clip(lower=_LEAST_ERROR)
    axes.plot(means[1:], range(1, len(means)), "D", color=_INSIDE, ms=9, label="mean")
    axes.plot(means[:1], [0], "D", color=_OUTSIDE, ms=9)
    median = errors[MEDIAN.name].mean()
    axes.axvline(median, color=INK, ls="--", lw=1, label="mean of the median rule")
    axes.set_xlabel("|ln(predicted/true)| of formulations left out")
    axes.tick_params(axis="y", labelsize=10)
    plain_logarithmic(axes, "x", (1, 3))
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def predictions_figure(rows: Sequence[Prediction], model: Model) -> Figure:
    """Predicted k_m with their intervals, above those of the training set; of many the first."""
    drawn = rows[:_MOST_ROWS]
    figure, axes = drawing(_WIDTH, 1.7 + 0.33 * len(drawn), label_size=12)
    least, greatest = (1e3 * k_m for k_m in model.card.k_m_range)
    axes.axvspan(least, greatest, color="#eeeeee", zorder=0, label="range of the training set")
    table = pd.DataFrame(list(drawn)).replace(math.inf, math.nan)
    for inside, dot in _DOTS.items():
        own = table[table["in_domain"] == inside]
        low, k_m, high = (1e3 * own[name] for name in ("k_m_low", "k_m", "k_m_high"))
        axes.hlines(own.index, low, high, color=dot["color"], lw=2)
        label = "inside the domain" if inside else "outside the domain"
        axes.plot(k_m, own.index, "o", **dot, ms=8, label=label)
    training = [1e3 * k_m for k_m in model.card.k_m.values()]
    axes.plot(training, [len(drawn)] * len(training), "|", color=INK, ms=14, mew=1.5)
    names = short_names([row.image for row in drawn])
    axes.set_yticks(range(len(drawn) + 1), [*names, "training set"], fontsize=10)
    axes.set(xlabel=_K_M, ylim=(len(drawn) + 0.6, -0.6))
    plain_logarithmic(axes, "x", _TICKS)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def coverage_figure(trial: pd.DataFrame, model: Model) -> Figure:
    """Intervals of `coverage_trial` beside the truth, and the k_m they were drawn from."""
    stacked = {"sharex": True, "height_ratios": (1, 4)}
    figure, (top, axes) = drawing(_WIDTH, 5.4, 2, 1, label_size=12, **stacked)
    ends = [1e3 * k_m for k_m in model.card.k_m_range]
    top.hist(
        1e3 * trial["true_km"],
        np.geomspace(ends[0], ends[1], 11),
        color=_PALE,
        label="fresh stand-ins",
    )
    training = [1e3 * k_m for k_m in model.card.k_m.values()]
    top.plot(training, np.zeros(len(training)), "^", color=_OUTSIDE, clip_on=False, ms=7)
    top.plot([], [], "^", color=_OUTSIDE, label="training set")
    top.set_ylabel("number")
    k_m = 1e3 * trial[["true_km", "low", "predicted_km", "high"]]
    for holds, colour, label in ((True, _INSIDE, "holds the truth"), (False, _OUTSIDE, "does not")):
        true, low, middle, high = k_m[trial["covered"] == holds].to_numpy().T
        look: Any = {"fmt": "o", "ms": 4, "lw": 1, "color": colour}
        label = f"interval {label} ({len(true)})"
        axes.errorbar(true, middle, [middle - low, high - middle], label=label, **look)
    axes.plot(ends, ends, color=INK, lw=1, ls="--", label="predicted = true")
    plain_logarithmic(axes, "xy", _TICKS)
    axes.set(xlabel=f"true {_K_M}", ylabel=f"predicted {_K_M}")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def domain_figure(trial: pd.DataFrame, limit: float) -> Figure:
    """Distances of `domain_trial` to the training set, and the limit beyond which is flagged."""
    places, kinds = pd.factorize(trial["kind"])
    figure, axes = drawing(_WIDTH, 1.5 + 0.42 * len(kinds), label_size=12)
    axes.axvline(limit, color=INK, ls="--", lw=1, label="limit")
    for inside, dot in _DOTS.items():
        own = (trial["flagged"] != inside).to_numpy()
        label = "not flagged" if inside else "flagged"
        axes.plot(trial["distance"][own], places[own], "o", **dot, ms=6, alpha=0.8, label=label)
    axes.set_yticks(range(len(kinds)), kinds, fontsize=10)
    axes.set(ylim=(len(kinds) - 0.5, -0.5), xlim=(0, None))
    axes.set_xlabel("distance to the nearest mixture of two training micrographs")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def drying_figure(outlooks: Sequence[Outlook], collapse_temperature: float) -> Figure:
    """Temperature (K) of the sublimation front during drying, and how long drying takes.

    Of many micrographs the first; of a single one both ends of the interval have their curves, too.
    """
    drawn = outlooks[:_MOST_ROWS]
    high = max(3.9, 2.2 + 0.3 * len(drawn))
    figure, (left, right) = drawing(_WIDTH, high, 1, 2, label_size=12, width_ratios=(1.4, 1))
    for number, outlook in enumerate(drawn):
        colour = COLOURS[number % len(COLOURS)]
        _draw_fronts(left, outlook, colour, single=len(drawn) == 1)
        _draw_time(right, outlook, number, colour)
    collapse = collapse_temperature - 273.15
    left.axhline(collapse, color=INK, ls="-.", lw=1.2, label="collapse temperature")
    left.set(xlabel="time (h)", ylabel="front temperature (°C)", xlim=(0, None))
    left.grid(axis="y", color="#e6e6e6")
    names = short_names([outlook.image for outlook in drawn])
    right.set_yticks(range(len(drawn)), names, fontsize=9)
    right.margins(x=0.08)
    right.set(xlabel="primary drying (h)", xlim=(0, None), ylim=(len(drawn) - 0.4, -0.6))
    right.yaxis.tick_right()
    right.spines["right"].set_visible(True)
    right.spines["left"].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def _draw_fronts(axes: Axes, outlook: Outlook, colour: str, single: bool) -> None:
    """The front as predicted; of a single micrograph at both ends of the interval, too."""
    cases = [
        (outlook.predicted, "-", "as predicted" if single else None),
        (outlook.slow, "--", "lower end of the interval"),
        (outlook.fast, ":", "upper end of the interval"),
    ]
    for case, style, label in cases if single else cases[:1]:
        if case and case.run is not None:
            subliming = case.run[case.run["flux"] > 0]
            hours, front = subliming["time"] / 3600, subliming["front_temperature"] - 273.15
            axes.plot(hours, front, style, color=colour, lw=1.6, label=label)


def _draw_time(axes: Axes, outlook: Outlook, place: int, colour: str) -> None:
    slow, fast = outlook.slow, outlook.fast
    if slow and fast and math.isfinite(slow.time):
        axes.plot([fast.time / 3600, slow.time / 3600], [place, place], color=colour, lw=2)
    if math.isfinite(outlook.predicted.time):
        axes.plot(outlook.predicted.time / 3600, place, "o", color=colour, ms=8)
