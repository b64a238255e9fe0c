"""Figures of the chapter on what the choices do."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from fesemlib.learning_curve import AVERAGED, MEDIAN, NETWORK, RIDGE, curve_of
from fesemlib.sensitivity import MEDIAN_RULE, REFERENCE, SEED
from fesemlib.style import COLOURS, INK

__all__ = ["learning_curve_figure", "sensitivity_figure"]

_FIRST, _SECOND, _THIRD = COLOURS[:3]
_LINEAR = 20  # percentage points; larger changes are drawn on a logarithmic scale
_TICKS = (-200, -100, -50, -20, -10, 0, 10, 20, 50, 100, 200, 500, 1000)
_KINDS = {
    "one choice changed": (_FIRST, "o"),
    "nothing but chance changed": (_SECOND, "D"),
    "looks at the held-out one": (_THIRD, "s"),
    "reference, or no image": (INK, "|"),
}
_PREDICTORS = {
    NETWORK: (_FIRST, "o", "-"),
    AVERAGED: (_SECOND, "D", "-"),
    RIDGE: (_THIRD, "s", "-"),
    MEDIAN: (INK, "|", "--"),
}


def sensitivity_figure(table: pd.DataFrame) -> Figure:
    """How much every choice changes the mean error, sorted, with the error and failed runs beside.

    Parameters
    ----------
    table
        From `fesemlib.sensitivity.sensitivity_table`. What has no finite error has no dot.

    Examples
    --------
    >>> from fesemlib.params import Parameters
    >>> from fesemlib.sensitivity import Setting, sensitivity_table
    >>> reference = Setting(REFERENCE, Parameters(), "original", REFERENCE)
    >>> run = {"setting": REFERENCE, "seed": 0, "collapsed": False, "diverged": False}
    >>> predictions = pd.DataFrame({"held_out": ["A", "B"], "relative_error": [0.5, 0.3], **run})
    >>> k_m = pd.Series({"A": 1e-3, "B": 2e-3})
    >>> axes = sensitivity_figure(sensitivity_table(predictions, [reference], k_m)).axes[0]
    >>> sorted(label.get_text() for label in axes.get_yticklabels())
    ['no image: median of the others', 'reference']
    """
    groups = [part for _, part in table.groupby("reference", sort=False)]
    heights = [len(part) for part in groups]
    figure = Figure(figsize=(9, 1.9 + 0.31 * sum(heights)))
    panels = figure.subplots(
        len(groups), squeeze=False, sharex=True, height_ratios=[count + 1 for count in heights]
    )[:, 0]
    for axes, part in zip(panels, groups, strict=True):
        _changes(axes, part)
        axes.set_title(f"compared with: {part['reference'].iloc[0]}", fontsize=10, loc="left")
    _change_axis(panels[-1], table)
    for name, (colour, marker) in _KINDS.items():
        panels[0].plot([], [], marker, color=colour, label=name, markersize=6, markeredgewidth=2)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9
    )
    return figure


def learning_curve_figure(results: pd.DataFrame) -> Figure:
    """The error on new stand-ins against the number trained on, inside and outside their range.

    Parameters
    ----------
    results
        From `fesemlib.learning_curve.learning_curve`.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {
    ...         "predictor": NETWORK, "size": [5, 10, 5, 10], "draw": 1,
    ...         "region": ["inside", "inside", "outside", "outside"],
    ...         "relative_error": [0.3, 0.2, 0.6, 0.6],
    ...     }
    ... )
    >>> [axes.get_title(loc="left") for axes in learning_curve_figure(results).axes]
    ['inside the range of the training sets', 'outside the range of the training sets']
    """
    curve = curve_of(results)
    figure = Figure(figsize=(9, 4.4))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, region in zip(panels, ("inside", "outside"), strict=True):
        for name, (colour, marker, line) in _PREDICTORS.items():
            part = curve[(curve["predictor"] == name) & (curve["region"] == region)]
            axes.plot(part["size"], 100 * part["error"], marker, color=colour, alpha=0.4, ms=6)
            mean = 100 * part.groupby("size")["error"].mean()
            axes.plot(mean.index, mean, line, color=colour, linewidth=2, label=name)
        axes.set_title(f"{region} the range of the training sets", fontsize=10, loc="left")
        _sizes_axis(axes, sorted(set(curve["size"])))
    panels[0].set_ylabel("mean relative error of the test set (%)", fontsize=10)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=9
    )
    return figure


def _changes(axes: Axes, table: pd.DataFrame) -> None:
    """One row for each setting: its change with the interval, and in words what stands beside."""
    for row, (_, setting) in enumerate(table.iterrows()):
        colour, marker = _KINDS[_kind(setting)]
        if np.isfinite(setting["change"]):
            limits = 100 * np.array([setting["low"], setting["high"]])
            axes.plot(limits, [row, row], color=colour, linewidth=1.6, alpha=0.7)
            size = 11 if marker == "|" else 6.5
            axes.plot(100 * setting["change"], row, marker, color=colour, ms=size, mew=2)
        error = f"{100 * setting['error']:.1f} %" if np.isfinite(setting["error"]) else "—"
        failed = "" if setting["runs"] == 0 else f"{setting['failed']} of {setting['runs']}"
        for place, text in ((1.11, error), (1.28, failed)):
            axes.text(
                place, row, text, transform=axes.get_yaxis_transform(), fontsize=9, va="center",
                ha="right",
            )  # fmt: skip
    for place, text in ((1.11, "error"), (1.28, "failed runs")):
        axes.text(
            place, -0.9, text, transform=axes.get_yaxis_transform(), fontsize=9, color=INK,
            ha="right", va="center", style="italic",
        )  # fmt: skip
    seeds = table[table["parameter"] == SEED]
    if len(seeds):
        axes.axvspan(
            100 * seeds["low"].min(), 100 * seeds["high"].max(), color=_SECOND, alpha=0.1, lw=0
        )
    axes.axvline(0, color=INK, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(table)), list(table.index), fontsize=9)
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.grid(axis="x", color="#e6e6e6")


def _change_axis(axes: Axes, table: pd.DataFrame) -> None:
    """The axis that all panels share: a choice that ruins the training must not hide the others."""
    axes.set_xscale("symlog", linthresh=_LINEAR, linscale=1.5)
    axes.set_xticks(_TICKS)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelsize=9)
    ends = 1.15 * table[["low", "change", "high"]].to_numpy(dtype=np.float64)
    ends = 100 * ends[np.isfinite(ends)]
    axes.set_xlim(ends.min(initial=-12), ends.max(initial=12))
    axes.set_xlabel(
        f"change of the mean relative error (percentage points; logarithmic beyond ±{_LINEAR})",
        fontsize=10,
    )


def _kind(setting: pd.Series[float]) -> str:
    if str(setting.name) in (REFERENCE, MEDIAN_RULE):
        return "reference, or no image"
    if not setting["fair"]:
        return "looks at the held-out one"
    return (
        "nothing but chance changed" if str(setting["parameter"]) == SEED else "one choice changed"
    )


def _sizes_axis(axes: Axes, sizes: list[int]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("stand-ins trained on", fontsize=10)
    axes.grid(color="#e6e6e6")
