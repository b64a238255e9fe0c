"""Figures of the chapter on what the numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fesemlib.evaluation.controls import control_summary
from fesemlib.pages.figures.validation import error_axis
from fesemlib.pages.style import COLOURS, INK, Look, colour_formulations, formulation_looks
from fesemlib.validation.errors import (
    MEAN,
    errors_of_formulations,
    errors_of_runs,
    held_out_error_along,
    run_columns,
    training_error_along,
)

_FIRST, _SECOND, _THIRD = COLOURS[:3]
_LEAST = 0.01  # %; smaller errors are drawn there
_LABEL_POINTS = 10.0  # from one name at the end of a line to the next


def controls_figure(controls: pd.DataFrame) -> Figure:
    """Every control, as of `control_summary`: its mean relative error, and each formulation's.

    Of a control with several runs, both are medians over them. The mean of a control that does not
    predict every formulation is drawn hollow, and stands below the others. An infinite error, of a
    training that diverged, is not drawn, nor is its mean.
    """
    predicted = controls.dropna(subset="relative_error").fillna({"seed": 0})
    summary = control_summary(controls)
    every = summary["formulations"].max()
    figure = Figure(figsize=(8.5, 0.9 + 0.34 * len(summary)))
    axes = figure.subplots()
    labels, kinds = [], {}
    for row, (name, found) in enumerate(summary.iterrows()):
        hollow = found["formulations"] < every
        labels.append(f"{name} ({found['formulations']:.0f} of {every})" if hollow else str(name))
        kind, colour = _kind(str(name))
        kinds[kind] = colour
        errors = errors_of_formulations(predicted[predicted["control"] == name])
        values = _percent(errors[np.isfinite(errors)])
        axes.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.35, markersize=4.5)
        if np.isfinite(found[MEAN]):
            axes.plot(
                max(100 * found[MEAN], _LEAST),
                row,
                "D",
                markersize=7,
                markerfacecolor="white" if hollow else colour,
                markeredgecolor=colour if hollow else "white",
            )
    axes.set_yticks(range(len(summary)), labels, fontsize=10)
    axes.invert_yaxis()
    error_axis(axes)
    for kind, colour in kinds.items():
        axes.plot([], [], "D", color=colour, label=kind)
    place = (0.4, 1 + 0.7 / len(summary))
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=place, ncols=3)
    return figure


def _kind(control: str) -> tuple[str, str]:
    """What a control is called in the legend, and its colour."""
    kinds = {"network": ("networks of this book", _SECOND), "published": ("published", _THIRD)}
    return kinds.get(control.split(",")[0], ("controls", _FIRST))


def spread_figure(predictions: Mapping[str, pd.DataFrame]) -> Figure:
    """Errors of all runs for each formulation, both training sets side by side."""
    names = list(dict.fromkeys(next(iter(predictions.values()))["held_out"]))
    figure = Figure(figsize=(8.5, 1.2 + 0.42 * len(names)))
    axes = figure.subplots()
    for number, (training_set, table) in enumerate(predictions.items()):
        colour = COLOURS[number]
        errors = errors_of_runs(table)
        rows = np.arange(len(names)) + (number - (len(predictions) - 1) / 2) * 0.3
        for row, name in zip(rows, names, strict=True):
            values = _percent(errors.loc[name])
            axes.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.4, markersize=5)
            axes.plot(np.median(values), row, "|", color=colour, markersize=15, markeredgewidth=2.5)
        axes.plot([], [], "o", color=colour, label=f"{training_set} set")
    axes.set_yticks(range(len(names)), names)
    colour_formulations(axes)
    axes.invert_yaxis()
    error_axis(axes)
    above = 1 + 1.2 / len(names)
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, above), ncols=2)
    return figure


def permutation_figure(errors: Sequence[float]) -> Figure:
    """Mean relative errors with shuffled labels beside that with the true ones, which is first."""
    figure = Figure(figsize=(7, 2.6))
    axes = figure.subplots()
    observed, *shuffled = errors
    finite = 100 * np.array([error for error in shuffled if np.isfinite(error)])
    lost = len(shuffled) - len(finite)
    label = f"shuffled ({lost} more diverged)" if lost else "shuffled"
    sns.histplot(finite, ax=axes, color=_FIRST, bins=12, label=label)
    if np.isfinite(observed):
        axes.axvline(100 * observed, color=_SECOND, linewidth=2.5, label="true order")
    axes.set_xlabel("mean relative error (%)", fontsize=10)
    axes.set_ylabel("shuffles", fontsize=10)
    axes.legend(fontsize=9)
    return figure


def epochs_figure(outer: pd.DataFrame, blind_error: float) -> Figure:
    """The error along the training: of every formulation held out, their mean, and of the others.

    `outer` is of `fesemlib.evaluation.epochs.train_for_selection`, of trainings that end at the
    same epoch; `blind_error`, that of the median of the others.
    """
    test = outer[outer["role"] == "test"]
    runs = test.groupby(["held_out", "epoch", *run_columns(test)])["relative_error"].mean()
    errors = runs.groupby(["held_out", "epoch"]).median()
    figure = Figure(figsize=(8.5, 4.2))
    axes = figure.subplots()
    looks = formulation_looks(test["held_out"])
    for name in dict.fromkeys(test["held_out"]):
        line, colour = errors[name], looks[str(name)].colour
        axes.plot(line.index, _percent(line), color=colour, alpha=0.7, linewidth=1.2)
    axes.plot([], [], color="#888888", linewidth=1.2, label="one formulation each")
    mean, fit = (along(outer)["median"] for along in (held_out_error_along, training_error_along))
    for line, style, label in ((mean, "-", "their mean"), (fit, ":", "micrographs trained on")):
        epochs = line.index.get_level_values("epoch")
        axes.plot(epochs, _percent(line), style, color=INK, linewidth=2.5, label=label)
    axes.axhline(100 * blind_error, color=INK, linestyle="--", label="median of the others")
    axes.set(xscale="log", yscale="log")
    for axis, name in ((axes.xaxis, "epoch"), (axes.yaxis, "relative error (%)")):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_label_text(name, fontsize=10)
    axes.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    figure.draw_without_rendering()  # so that the axes have their place
    last = int(test["epoch"].max())
    ends = 100 * errors.xs(last, level="epoch").clip(lower=_LEAST / 100)
    _label_ends(axes, last, ends[np.isfinite(ends)], looks)
    return figure


def _label_ends(axes: Axes, last: int, ends: pd.Series[float], looks: Mapping[str, Look]) -> None:
    """Name lines at their ends, names that would cover each other a little apart."""
    ends = ends.sort_values()
    points = 72 / axes.figure.dpi
    heights = [points * axes.transData.transform((last, end))[1] for end in ends]
    lifted: list[float] = []
    for height in heights:
        lifted.append(max(height, lifted[-1] + _LABEL_POINTS) if lifted else height)
    for (name, end), height, place in zip(ends.items(), heights, lifted, strict=True):
        axes.annotate(
            str(name),
            (last, end),
            xytext=(4, place - height),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=looks[str(name)].colour,
        )


def _percent(errors: pd.Series[float]) -> npt.NDArray[np.float64]:
    """What is smaller than the least that is drawn is drawn there."""
    return np.maximum(100 * errors.to_numpy(dtype=np.float64), _LEAST)
