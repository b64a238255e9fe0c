"""Figures of drying runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fesemlib.drying.coefficients import DryingLabels
from fesemlib.pages.style import COLOURS, INK

_NAMED = 4  # with more thermocouples, the legend does not name each


def drying_run_figure(labels: DryingLabels) -> Figure:
    """A drying run: its temperatures, and below them k_m at every instant.

    Parameters
    ----------
    labels
        Of `fesemlib.drying.coefficients.label_run`. What does not count for k_m is drawn pale.

    Examples
    --------
    >>> from fesemlib.drying.coefficients import label_run, vial_of
    >>> from fesemlib.pages.tables.drying import drying_record
    >>> from fesemlib.params import Parameters
    >>> from fesemlib.drying.records import read_drying_run
    >>> run = read_drying_run(drying_record(Parameters()))
    >>> figure = drying_run_figure(label_run(run, vial_of(Parameters())))
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['temperature (°C)', 'k$_m$ (10$^{-3}$ m² s$^{-1}$)']
    """
    figure = Figure(figsize=(8.5, 6.2))
    temperatures, coefficients = figure.subplots(2, sharex=True, height_ratios=(1.15, 1))
    _draw_temperatures(temperatures, labels)
    _draw_coefficients(coefficients, labels)
    subliming = labels.instants[labels.instants["flux"] > 0]
    steady = labels.instants[labels.instants["steady"]]
    start, end = (hour / 3600 for hour in (subliming["time"].min(), steady["time"].max()))
    margin = 0.08 * (end - start)
    first, last = (hour / 3600 for hour in labels.instants["time"].agg(["min", "max"]))
    coefficients.set_xlim(max(start - margin, first), min(end + 2 * margin, last))
    coefficients.set_xlabel("time (h)")
    figure.legend(
        *temperatures.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=9
    )
    return figure


def _draw_temperatures(axes: Axes, labels: DryingLabels) -> None:
    first = labels.instants[labels.instants["thermocouple"] == labels.used[0]]
    hours = first["time"] / 3600
    shelf = first["shelf_temperature"] - 273.15
    axes.plot(hours, shelf, color=INK, linewidth=1.5, label="shelf")
    for colour, name, table in _thermocouples(labels):
        bottom = table["bottom_temperature"] - 273.15
        axes.plot(table["time"] / 3600, bottom, color=colour, linewidth=1.2, label=name)
    front = first["front_temperature"] - 273.15
    if (first["front_temperature"] < first["bottom_temperature"]).any():
        axes.plot(
            hours,
            front,
            color=COLOURS[0],
            linestyle="--",
            linewidth=1.2,
            label=f"sublimation front at {labels.used[0]}, worked out",
        )
    lowest = min(shelf.min(), front.min(), (labels.instants["bottom_temperature"] - 273.15).min())
    while_subliming = shelf[first["flux"] > 0]
    axes.set_ylim(lowest - 2, while_subliming.max() + 4)
    axes.set_ylabel("temperature (°C)")
    axes.grid(axis="y", color="#e6e6e6")


def _draw_coefficients(axes: Axes, labels: DryingLabels) -> None:
    for colour, _, table in _thermocouples(labels):
        hours, k_m = table["time"] / 3600, 1e3 * table["k_m"]
        axes.plot(hours, k_m, color=colour, linewidth=1, alpha=0.3)
        axes.plot(hours, k_m.where(table["steady"]), color=colour, linewidth=1.2)
    mean = 1e3 * labels.k_m
    axes.axhline(mean, color=INK, linewidth=1, linestyle=":")
    axes.annotate(
        f"mean {mean:#.3g}",
        (1, mean),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=9,
        color=INK,
    )
    greatest = 1e3 * labels.instants["k_m"][labels.instants["steady"]].max()
    axes.set_ylim(0, 1.25 * float(np.maximum(greatest, mean)))
    axes.set_ylabel("k$_m$ (10$^{-3}$ m² s$^{-1}$)")
    axes.grid(axis="y", color="#e6e6e6")


def _thermocouples(labels: DryingLabels) -> list[tuple[str, str, pd.DataFrame]]:
    """Colour, name in the legend, and table of each; a leading underscore hides a name."""
    drawn = []
    many = len(labels.used) > _NAMED
    for number, name in enumerate(labels.used):
        shown = name
        if many:
            shown = f"_{name}" if number else f"{len(labels.used)} thermocouples"
        table = labels.instants[labels.instants["thermocouple"] == name]
        drawn.append((COLOURS[number % len(COLOURS)], shown, pd.DataFrame(table)))
    return drawn
