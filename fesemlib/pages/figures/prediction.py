"""Figures of the chapter on new micrographs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fesemlib.drying.outlook import Case, Outlook
from fesemlib.pages.figures.micrographs import titled_figure
from fesemlib.pages.style import COLOURS, INK
from fesemlib.prediction.model import Model, Prediction
from fesemlib.processing import GreyImage

_PALE = "#999999"
_INSIDE, _OUTSIDE = COLOURS[0], COLOURS[3]
_WIDTH = 8.5  # inches, of every figure
_MOST_ROWS = 40  # micrographs in one figure
_K_M = "k$_m$ (10$^{-3}$ m² s$^{-1}$)"
_LONGEST_NAME = 28


def short_name(image: str) -> str:
    """The file's name; of a long one the beginning and the end, which tell files apart."""
    name = Path(image).name
    if len(name) <= _LONGEST_NAME:
        return name
    half = _LONGEST_NAME // 2
    return f"{name[: half - 1]}…{name[-half:]}"


def short_names(images: Sequence[str]) -> list[str]:
    """`short_name` of each; where two become equal, all are numbered."""
    names = [short_name(image) for image in images]
    if len(set(names)) == len(names):
        return names
    return [f"{number}: {name}" for number, name in enumerate(names, start=1)]


def pictures_figure(pictures: Mapping[str, GreyImage]) -> Figure:
    """New micrographs, or one of them at several steps, under their names."""
    titles = short_names(list(pictures))
    return titled_figure(dict(zip(titles, pictures.values(), strict=True)))


def predictions_figure(rows: Sequence[Prediction], model: Model) -> Figure:
    """Predicted k_m with their intervals, above those of the training set; of many the first."""
    drawn = rows[:_MOST_ROWS]
    figure = Figure(figsize=(_WIDTH, 1.7 + 0.33 * len(drawn)))
    axes = figure.subplots()
    least, greatest = (1e3 * k_m for k_m in model.card.k_m_range)
    axes.axvspan(least, greatest, color="#eeeeee", zorder=0, label="range of the training set")
    for place, row in enumerate(drawn):
        _draw_interval(axes, row, place)
    training = [1e3 * k_m for k_m in model.card.k_m.values()]
    axes.plot(training, [len(drawn)] * len(training), "|", color=INK, ms=14, mew=1.5)
    names = short_names([row.image for row in drawn])
    axes.set_yticks(range(len(drawn) + 1), [*names, "training set"], fontsize=10)
    axes.set_ylim(len(drawn) + 0.6, -0.6)
    _logarithmic(axes)
    axes.set_xlabel(_K_M)
    for colour, face, label in (
        (_INSIDE, _INSIDE, "inside the domain"),
        (_OUTSIDE, "white", "outside the domain"),
    ):
        axes.plot([], [], "o", color=colour, markerfacecolor=face, label=label)
    figure.legend(loc="outside upper center", ncols=3, fontsize=9)
    return figure


def coverage_figure(trial: pd.DataFrame, model: Model) -> Figure:
    """Intervals of `coverage_trial` beside the truth, and the k_m they were drawn from."""
    figure = Figure(figsize=(_WIDTH, 5.4))
    top, axes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 4))
    true = 1e3 * trial["true_km"]
    least, greatest = model.card.k_m_range
    edges = np.geomspace(1e3 * least, 1e3 * greatest, 11)
    top.hist(true, bins=list(edges), color=_PALE, label="fresh stand-ins")
    training = [1e3 * k_m for k_m in model.card.k_m.values()]
    top.plot(training, np.zeros(len(training)), "^", color=_OUTSIDE, clip_on=False, ms=7)
    top.plot([], [], "^", color=_OUTSIDE, label="training set")
    top.set_ylabel("number")
    for covered, colour, label in (
        (True, _INSIDE, "holds the truth"),
        (False, _OUTSIDE, "does not"),
    ):
        part = trial[trial["covered"] == covered]
        low, middle, high = (1e3 * part[name] for name in ("low", "predicted_km", "high"))
        axes.errorbar(
            1e3 * part["true_km"],
            middle,
            yerr=[middle - low, high - middle],
            fmt="o",
            ms=4,
            lw=1,
            color=colour,
            label=f"interval {label} ({len(part)})",
        )
    ends = [1e3 * least, 1e3 * greatest]
    axes.plot(ends, ends, color=INK, lw=1, ls="--", label="predicted = true")
    _logarithmic(axes)
    _logarithmic(axes, "y")
    axes.set_xlabel(f"true {_K_M}")
    axes.set_ylabel(f"predicted {_K_M}")
    figure.legend(loc="outside upper center", ncols=3, fontsize=9)
    return figure


def domain_figure(trial: pd.DataFrame, limit: float) -> Figure:
    """Distances of `domain_trial` to the training set, and the limit beyond which is flagged."""
    kinds = list(dict.fromkeys(trial["kind"]))
    figure = Figure(figsize=(_WIDTH, 1.5 + 0.42 * len(kinds)))
    axes = figure.subplots()
    for place, kind in enumerate(kinds):
        own = trial[trial["kind"] == kind]
        for flagged, colour, face in ((False, _INSIDE, _INSIDE), (True, _OUTSIDE, "white")):
            distances = own["distance"][own["flagged"] == flagged]
            shown = np.full(len(distances), place)
            axes.plot(distances, shown, "o", color=colour, markerfacecolor=face, ms=6, alpha=0.8)
    axes.axvline(limit, color=INK, ls="--", lw=1, label="limit")
    axes.plot([], [], "o", color=_INSIDE, label="not flagged")
    axes.plot([], [], "o", color=_OUTSIDE, markerfacecolor="white", label="flagged")
    axes.set_yticks(range(len(kinds)), kinds, fontsize=10)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("distance to the nearest mixture of two training micrographs")
    figure.legend(loc="outside upper center", ncols=3, fontsize=9)
    return figure


def drying_figure(outlooks: Sequence[Outlook], collapse_temperature: float) -> Figure:
    """Temperature (K) of the sublimation front during drying, and how long drying takes.

    Of many micrographs the first; of a single one both ends of the interval have their curves, too.
    """
    drawn = outlooks[:_MOST_ROWS]
    figure = Figure(figsize=(_WIDTH, max(3.9, 2.2 + 0.3 * len(drawn))))
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    single = len(drawn) == 1
    for number, outlook in enumerate(drawn):
        colour = COLOURS[number % len(COLOURS)]
        label = "as predicted" if single else ""
        _draw_front(left, outlook.predicted, colour, "-", label)
        if single:
            _draw_front(left, outlook.slow, colour, "--", "lower end of the interval")
            _draw_front(left, outlook.fast, colour, ":", "upper end of the interval")
        _draw_time(right, outlook, number, colour)
    left.axhline(
        collapse_temperature - 273.15, color=INK, ls="-.", lw=1.2, label="collapse temperature"
    )
    left.set_xlabel("time (h)")
    left.set_ylabel("front temperature (°C)")
    left.set_xlim(left=0)
    left.grid(axis="y", color="#e6e6e6")
    names = short_names([outlook.image for outlook in drawn])
    right.set_yticks(range(len(drawn)), names, fontsize=9)
    right.set_ylim(len(drawn) - 0.4, -0.6)
    right.margins(x=0.08)
    right.set_xlim(left=0)
    right.set_xlabel("primary drying (h)")
    right.yaxis.tick_right()
    right.spines["right"].set_visible(True)
    right.spines["left"].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, fontsize=9)
    return figure


def _draw_interval(axes: Axes, row: Prediction, place: int) -> None:
    colour, face = (_INSIDE, _INSIDE) if row.in_domain else (_OUTSIDE, "white")
    if math.isfinite(row.k_m_high):
        axes.plot([1e3 * row.k_m_low, 1e3 * row.k_m_high], [place, place], color=colour, lw=2)
    axes.plot(1e3 * row.k_m, place, "o", color=colour, markerfacecolor=face, ms=8)


def _draw_front(axes: Axes, case: Case | None, colour: str, style: str, label: str) -> None:
    if case is None or case.run is None:
        return
    subliming = case.run[case.run["flux"] > 0]
    axes.plot(
        subliming["time"] / 3600,
        subliming["front_temperature"] - 273.15,
        color=colour,
        ls=style,
        lw=1.6,
        label=label or None,
    )


def _draw_time(axes: Axes, outlook: Outlook, place: int, colour: str) -> None:
    slow, fast = outlook.slow, outlook.fast
    if slow and fast and math.isfinite(slow.time):
        axes.plot([fast.time / 3600, slow.time / 3600], [place, place], color=colour, lw=2)
    if math.isfinite(outlook.predicted.time):
        axes.plot(outlook.predicted.time / 3600, place, "o", color=colour, ms=8)


def _logarithmic(axes: Axes, which: str = "x") -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
