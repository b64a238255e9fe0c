"""Figures of the chapter on what the numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from fesemlib.evaluation.controls import control_summary
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


def controls_figure(
    controls: pd.DataFrame, networks: Sequence[str], published: Sequence[str]
) -> Figure:
    """Every control: its mean relative error, and the error of each formulation.

    Of a control with several runs, both are medians over them. The mean of a control that does not
    predict every formulation is drawn hollow, and stands below the others. An infinite error, of a
    training that diverged, is not drawn, nor is its mean.

    Parameters
    ----------
    controls
        Rows as of `fesemlib.evaluation.controls.with_errors`, of networks with ``seed``.
    networks, published
        Which controls are drawn as networks of this book, and as the paper's numbers.

    Examples
    --------
    >>> controls = pd.DataFrame(
    ...     {
    ...         "control": ["median", "median", "network", "network"],
    ...         "held_out": ["A", "B", "A", "B"],
    ...         "seed": 0,
    ...         "relative_error": [0.5, 0.3, 0.2, 0.1],
    ...     }
    ... )
    >>> axes = controls_figure(controls, networks=["network"], published=[]).axes[0]
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['network', 'median']
    """
    predicted = controls.dropna(subset="relative_error").fillna({"seed": 0})
    summary = control_summary(controls)
    every = summary["formulations"].max()
    figure = Figure(figsize=(8.5, 0.9 + 0.34 * len(summary)))
    axes = figure.subplots()
    kinds = {}
    for row, (name, mean, number) in enumerate(
        zip(summary.index, summary[MEAN], summary["formulations"], strict=True)
    ):
        kind, colour = _kind(name, networks, published)
        kinds[kind] = colour
        errors = errors_of_formulations(predicted[predicted["control"] == name])
        values = _percent(errors[np.isfinite(errors)])
        axes.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.35, markersize=4.5)
        _draw_mean(axes, mean, row, colour, hollow=bool(number < every))
    axes.set_yticks(range(len(summary)), _control_labels(summary), fontsize=10)
    axes.invert_yaxis()
    _error_axis(axes)
    for kind, colour in kinds.items():
        axes.plot([], [], "D", color=colour, label=kind)
    above = 1 + 0.7 / len(summary)
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.4, above), ncols=3)
    return figure


def spread_figure(predictions: Mapping[str, pd.DataFrame]) -> Figure:
    """Errors of all runs for each formulation, both training sets side by side.

    Parameters
    ----------
    predictions
        From `fesemlib.validation.leave_one_out.held_out_predictions`, by training set.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"held_out": ["A", "A", "B"], "seed": [0, 1, 0], "relative_error": [0.5, 0.4, 0.1]}
    ... )
    >>> axes = spread_figure({"original": table, "augmented": table}).axes[0]
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['original set', 'augmented set']
    """
    names = list(dict.fromkeys(next(iter(predictions.values()))["held_out"]))
    figure = Figure(figsize=(8.5, 1.2 + 0.42 * len(names)))
    axes = figure.subplots()
    for number, (training_set, table) in enumerate(predictions.items()):
        colour = (_FIRST, _SECOND)[number % 2]
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
    _error_axis(axes)
    above = 1 + 1.2 / len(names)
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, above), ncols=2)
    return figure


def permutation_figure(errors: Sequence[float]) -> Figure:
    """Mean errors with shuffled labels beside that with the true ones.

    Parameters
    ----------
    errors
        Mean relative errors of `permutation_test`, the true order first.

    Examples
    --------
    >>> axes = permutation_figure([0.2, 0.5, 0.4, np.inf]).axes[0]
    >>> sorted(text.get_text() for text in axes.get_legend().get_texts())
    ['shuffled (1 more diverged)', 'true order']
    """
    figure = Figure(figsize=(7, 2.6))
    axes = figure.subplots()
    observed, *shuffled = np.asarray(errors, dtype=np.float64)
    finite = np.array([error for error in shuffled if np.isfinite(error)])
    lost = len(shuffled) - len(finite)
    label = f"shuffled ({lost} more diverged)" if lost else "shuffled"
    sns.histplot(100 * finite, ax=axes, color=_FIRST, bins=12, label=label)
    if np.isfinite(observed):
        axes.axvline(100 * observed, color=_SECOND, linewidth=2.5, label="true order")
    axes.set_xlabel("mean relative error (%)", fontsize=10)
    axes.set_ylabel("shuffles", fontsize=10)
    axes.legend(fontsize=9)
    return figure


def epochs_figure(outer: pd.DataFrame, blind_error: float) -> Figure:
    """The error along the training: of every formulation held out, their mean, and of the others.

    Parameters
    ----------
    outer
        From `train_for_selection`, of trainings that end at the same epoch.
    blind_error
        Of the median of the others.

    Examples
    --------
    >>> outer = pd.DataFrame(
    ...     {
    ...         "training_set": "original", "role": "test", "held_out": "A", "seed": 0,
    ...         "epoch": [1, 2], "relative_error": [0.5, 0.25],
    ...     }
    ... )
    >>> axes = epochs_figure(outer, blind_error=0.4).axes[0]
    >>> axes.lines[0].get_ydata().tolist()  # %
    [50.0, 25.0]
    """
    test = outer[outer["role"] == "test"]
    runs = test.groupby(["held_out", "epoch", *run_columns(test)])["relative_error"].mean()
    errors = runs.groupby(["held_out", "epoch"]).median()
    figure = Figure(figsize=(8.5, 4.2))
    axes = figure.subplots()
    looks = formulation_looks(test["held_out"])
    for name in dict.fromkeys(test["held_out"]):
        line = errors[name]
        colour = looks[str(name)].colour
        axes.plot(line.index, _percent(line), color=colour, alpha=0.7, linewidth=1.2)
    axes.plot([], [], color="#888888", linewidth=1.2, label="one formulation each")
    mean, fit = (along(outer)["median"] for along in (held_out_error_along, training_error_along))
    for line, style, label in ((mean, "-", "their mean"), (fit, ":", "micrographs trained on")):
        epochs = line.index.get_level_values("epoch")
        axes.plot(epochs, _percent(line), style, color=INK, linewidth=2.5, label=label)
    axes.axhline(100 * blind_error, color=INK, linestyle="--", label="median of the others")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, name in ((axes.xaxis, "epoch"), (axes.yaxis, "relative error (%)")):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_label_text(name, fontsize=10)
    axes.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    figure.draw_without_rendering()  # so that the axes have their place
    last = int(test["epoch"].max())
    ends = errors.xs(last, level="epoch")
    _label_ends(axes, last, 100 * ends[np.isfinite(ends)].clip(lower=_LEAST / 100), looks)
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


def _kind(name: str, networks: Sequence[str], published: Sequence[str]) -> tuple[str, str]:
    """What a control is called in the legend, and its colour."""
    if name in networks:
        return "networks of this book", _SECOND
    return ("published", _THIRD) if name in published else ("controls", _FIRST)


def _draw_mean(axes: Axes, mean: float, row: int, colour: str, hollow: bool) -> None:
    if np.isfinite(mean):
        face, edge = ("white", colour) if hollow else (colour, "white")
        axes.plot(
            max(100 * mean, _LEAST),
            row,
            "D",
            markersize=7,
            markerfacecolor=face,
            markeredgecolor=edge,
        )


def _control_labels(summary: pd.DataFrame) -> list[str]:
    every = summary["formulations"].max()
    return [
        str(name) if number == every else f"{name} ({number} of {every})"
        for name, number in summary["formulations"].items()
    ]


def _percent(errors: pd.Series[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.maximum(100 * errors.to_numpy(dtype=np.float64), _LEAST)


def _error_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("relative error of the held-out formulation (%)", fontsize=10)
    axes.grid(axis="x", color="#e6e6e6")
