"""Figures of drying runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fesemlib.drying.coefficients import DryingLabels
from fesemlib.drying.resistance import ResistanceFit
from fesemlib.pages.names import shortened
from fesemlib.pages.style import COLOURS, INK, drawing

_NAMED = 4  # with more thermocouples, the legend does not name each


def _legend(names: list[str]) -> dict[str, str]:
    """What a legend says of thermocouples: their names, or of many how many there are."""
    if len(names) <= _NAMED:
        return shortened(names, 16)
    hidden = {name: f"_{name}" for name in names}  # by the underscore
    return hidden | {names[0]: f"{len(names)} thermocouples"}


def depth_figure(labels: DryingLabels, fit: ResistanceFit) -> Figure:
    """k_m against the dried thickness: the thermocouples, the law of R_p, and the mean."""
    figure, axes = drawing(8.5, 3.4, label_size=12)
    legend = _legend(labels.used)
    steady = labels.instants[labels.instants["steady"]]
    for number, name in enumerate(labels.used):
        table = labels.instants[labels.instants["thermocouple"] == name]
        dried, k_m = 1e3 * table["dried_thickness"], 1e3 * table["k_m"]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(dried, k_m, color=colour, linewidth=1, alpha=0.3)
        steadily = k_m.where(table["steady"])
        axes.plot(dried, steadily, color=colour, linewidth=1.2, label=legend[name])
    depth = np.linspace(0, fit.vial.ice_thickness, 200)
    law = 1e3 * fit.k_m(depth, float(steady["front_temperature"].median()))
    axes.plot(1e3 * depth, law, "--", color=INK, linewidth=1.5, label="law of R$_p$")
    axes.axhline(1e3 * labels.k_m, color=INK, linewidth=1, linestyle=":", label="mean")
    axes.set(xlabel="thickness of the dried layer (mm)", ylabel="k$_m$ (10$^{-3}$ m² s$^{-1}$)")
    axes.set(xlim=(0, 1e3 * fit.vial.ice_thickness), ylim=(0, 1.4e3 * steady["k_m"].max()))
    axes.grid(axis="y", color="#e6e6e6")
    figure.legend(loc="outside upper center", ncols=_NAMED + 2)
    return figure


def drying_run_figure(labels: DryingLabels) -> Figure:
    """A drying run: its temperatures, and below them k_m; pale is what does not count for it."""
    stacked = {"sharex": True, "height_ratios": (1.15, 1)}
    figure, (upper, lower) = drawing(8.5, 6.2, 2, label_size=12, **stacked)
    instants = labels.instants.assign(hours=labels.instants["time"] / 3600)
    first = instants[instants["thermocouple"] == labels.used[0]]
    shelf = first["shelf_temperature"] - 273.15
    upper.plot(first["hours"], shelf, color=INK, linewidth=1.5, label="shelf")
    short, legend = shortened(labels.used, 16), _legend(labels.used)
    for number, name in enumerate(labels.used):
        table = instants[instants["thermocouple"] == name]
        hours, k_m, colour = table["hours"], 1e3 * table["k_m"], COLOURS[number % len(COLOURS)]
        bottom = table["bottom_temperature"] - 273.15
        upper.plot(hours, bottom, color=colour, linewidth=1.2, label=legend[name])
        lower.plot(hours, k_m, color=colour, linewidth=1, alpha=0.3)
        lower.plot(hours, k_m.where(table["steady"]), color=colour, linewidth=1.2)
    front = first["front_temperature"] - 273.15
    if (first["front_temperature"] < first["bottom_temperature"]).any():
        label = f"sublimation front at {short[labels.used[0]]}, worked out"
        upper.plot(first["hours"], front, "--", color=COLOURS[0], linewidth=1.2, label=label)
    lowest = min(shelf.min(), front.min(), (instants["bottom_temperature"] - 273.15).min())
    highest = shelf[first["flux"] > 0].max()
    upper.set(ylabel="temperature (°C)", ylim=(lowest - 2, highest + 4))
    upper.grid(axis="y", color="#e6e6e6")
    figure.legend(loc="outside upper center", ncols=3)
    mean, greatest = 1e3 * labels.k_m, 1e3 * instants["k_m"][instants["steady"]].max()
    lower.axhline(mean, color=INK, linewidth=1, linestyle=":")
    beside: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    corner: Any = {"ha": "right", "va": "bottom", "fontsize": 9, "color": INK}
    lower.annotate(f"mean {mean:#.3g}", (1, mean), xytext=(-4, 3), **beside, **corner)
    lower.set(ylabel="k$_m$ (10$^{-3}$ m² s$^{-1}$)", ylim=(0, 1.25 * max(greatest, mean)))
    lower.grid(axis="y", color="#e6e6e6")
    hours = instants["hours"]
    start, end = hours[instants["flux"] > 0].min(), hours[instants["steady"]].max()
    margin = 0.08 * (end - start)
    ends = max(start - margin, hours.min()), min(end + 2 * margin, hours.max())
    lower.set(xlabel="time (h)", xlim=ends)
    return figure
