"""Figures of the chapter on what the numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from fesemlib.evaluation.controls import control_summary
from fesemlib.pages.figures.validation import error_axis
from fesemlib.pages.names import A_DOZEN, PREDICTOR_NAME, height_of_rows, name_points, shortened
from fesemlib.pages.style import COLOURS, INK, drawing, formulation_looks, name_formulations
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
_KINDS = {"network": ("networks of this book", _SECOND), "published": ("published", _THIRD)}


def controls_figure(controls: pd.DataFrame) -> Figure:
    """Every control, as of `control_summary`: its mean relative error, and each formulation's.

    Of a control with several runs, both are medians over them. The mean of a control that does not
    predict every formulation is drawn hollow, and stands below the others. An infinite error, of a
    training that diverged, is not drawn, nor is its mean.
    """
    predicted = controls.dropna(subset="relative_error").fillna({"seed": 0})
    summary = control_summary(controls)
    every = summary["formulations"].max()
    figure, axes = drawing(8.5, 0.9 + 0.34 * len(summary))
    labels, kinds, short = [], {}, shortened(summary.index, PREDICTOR_NAME)
    for row, (name, found) in enumerate(summary.iterrows()):
        kind, colour = _KINDS.get(str(name).split(",")[0], ("controls", _FIRST))
        kinds[kind] = colour
        errors = errors_of_formulations(predicted[predicted["control"] == name])
        values = _percent(errors[np.isfinite(errors)])
        axes.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.35, markersize=4.5)
        labels.append(short[str(name)])
        face, edge = colour, "white"
        if found["formulations"] < every:
            labels[-1] += f" ({found['formulations']:.0f} of {every})"
            face, edge = edge, face
        if np.isfinite(found[MEAN]):
            mean = max(100 * found[MEAN], _LEAST)
            axes.plot(mean, row, "D", ms=7, markerfacecolor=face, markeredgecolor=edge)
    axes.set_yticks(range(len(summary)), labels, fontsize=10)
    axes.invert_yaxis()
    error_axis(axes)
    for kind, colour in kinds.items():
        axes.plot([], [], "D", color=colour, label=kind)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=3)
    return figure


def spread_figure(predictions: Mapping[str, pd.DataFrame]) -> Figure:
    """Errors of all runs for each formulation, both training sets side by side."""
    names = list(dict.fromkeys(next(iter(predictions.values()))["held_out"]))
    figure, axes = drawing(8.5, 1.2 + height_of_rows(len(names), 0.42))
    tall = 15 if len(names) <= A_DOZEN else 6
    for number, (training_set, table) in enumerate(predictions.items()):
        colour, errors = COLOURS[number], errors_of_runs(table)
        rows = np.arange(len(names)) + (number - (len(predictions) - 1) / 2) * 0.3
        for row, name in zip(rows, names, strict=True):
            values = _percent(errors.loc[name])
            axes.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.4, markersize=5)
            axes.plot(np.median(values), row, "|", color=colour, ms=tall, mew=2.5)
        axes.plot([], [], "o", color=colour, label=f"{training_set} set")
    name_formulations(axes, names, errors_of_formulations(table))
    error_axis(axes)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure


def permutation_figure(errors: Sequence[float]) -> Figure:
    """Mean relative errors with shuffled labels beside that with the true ones, which is first."""
    figure, axes = drawing(7, 2.6)
    observed, *shuffled = 100 * np.array(errors)
    finite = [error for error in shuffled if np.isfinite(error)]
    lost = len(shuffled) - len(finite)
    label = f"shuffled ({lost} more diverged)" if lost else "shuffled"
    sns.histplot(finite, ax=axes, color=_FIRST, bins=12, label=label)
    if np.isfinite(observed):
        axes.axvline(observed, color=_SECOND, linewidth=2.5, label="true order")
    axes.set(xlabel="mean relative error (%)", ylabel="shuffles")
    axes.legend()
    return figure


def epochs_figure(outer: pd.DataFrame, blind_error: float) -> Figure:
    """The error along the training: of every formulation held out, their mean, and of the others.

    `outer` is of `fesemlib.evaluation.epochs.train_for_selection`, of trainings that end at the
    same epoch; `blind_error`, that of the median of the others.
    """
    test = outer[outer["role"] == "test"]
    runs = test.groupby(["held_out", "epoch", *run_columns(test)])["relative_error"].mean()
    errors = runs.groupby(["held_out", "epoch"]).median()
    figure, axes = drawing(8.5, 4.2)
    colours = {name: look.colour for name, look in formulation_looks(test["held_out"]).items()}
    for name in dict.fromkeys(test["held_out"]):
        line, colour = errors[name], colours[str(name)]
        axes.plot(line.index, _percent(line), color=colour, alpha=0.7, linewidth=1.2)
    axes.plot([], [], color="#888888", linewidth=1.2, label="one formulation each")
    mean, fit = (along(outer)["median"] for along in (held_out_error_along, training_error_along))
    for line, style, label in ((mean, "-", "their mean"), (fit, ":", "micrographs trained on")):
        epochs = line.index.get_level_values("epoch")
        axes.plot(epochs, _percent(line), style, color=INK, linewidth=2.5, label=label)
    axes.axhline(100 * blind_error, color=INK, linestyle="--", label="median of the others")
    axes.set(xscale="log", xlabel="epoch", yscale="log", ylabel="relative error (%)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    last = int(test["epoch"].max())
    ends = 100 * errors.xs(last, level="epoch").clip(lower=_LEAST / 100)
    named = pd.DataFrame({"epoch": last, "error": ends[np.isfinite(ends)].nlargest(A_DOZEN)})
    name_points(axes, named, colours, outside=True)
    return figure


def _percent(errors: pd.Series[float]) -> npt.NDArray[np.float64]:
    """What is smaller than the least that is drawn is drawn there."""
    return np.maximum(100 * errors.to_numpy(dtype=np.float64), _LEAST)
