"""Figures of leave-one-out: training, held-out predictions, augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from fesemlib.pages.style import COLOURS, INK, Look, colour_formulations, formulation_looks
from fesemlib.processing import FloatImage, GreyImage
from fesemlib.validation.errors import (
    at_the_end,
    held_out_error_along,
    held_out_errors,
    training_error_along,
)

if TYPE_CHECKING:
    pass
from fesemlib.pages.figures.micrographs import _GREY, _K_M_LABEL

_TRAINING = "#888888"


def held_out_figure(
    results: pd.DataFrame, predictions: pd.DataFrame, published: pd.DataFrame | None
) -> Figure:
    """Figure 5: predictions of the training micrographs and of the one that was held out.

    Parameters
    ----------
    results
        Of `leave_one_formulation_out`, one held-out formulation and one training set only.
    predictions
        The held-out predictions among them that count, see `held_out_predictions`.
    published
        Row of `published.candidates` for the held-out formulation, or None.

    Examples
    --------
    >>> rows = [["A", "a", "train", 2e-3, 1.9e-3], ["B", "b", "test", 1e-3, 1.4e-3]]
    >>> columns = ["formulation", "image", "role", "true_km", "predicted_km"]
    >>> results = pd.DataFrame(rows, columns=columns)
    >>> results = results.assign(held_out="B", training_set="original", epoch=1)
    >>> figure = held_out_figure(results, results[results["role"] == "test"], published=None)
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['training, median and range', 'held out (B), median and range']
    """
    figure = Figure(figsize=(5.6, 4.8))
    axes = figure.subplots()
    train = at_the_end(results[results["role"] == "train"])
    _parity_line(axes, pd.concat([train, predictions]), published)
    held_out = str(predictions["held_out"].iloc[0])
    looks = formulation_looks([*train["formulation"], held_out])
    for frame, look, label in (
        (train, Look(_TRAINING, "o"), "training"),
        (predictions, looks[held_out], f"held out ({held_out})"),
    ):
        _whiskers(axes, _over_seeds(frame), look, f"{label}, median and range")
    if published is not None:
        _draw_candidates(axes, published)
    axes.legend(loc="upper left", fontsize=9)
    return figure


def training_figure(
    results: pd.DataFrame, criterion: float, steps_per_epoch: Mapping[str, int]
) -> Figure:
    """The errors along the training: of what is trained on, and of what is held out.

    Parameters
    ----------
    results
        Of `leave_one_formulation_out`, of one or more training sets.
    criterion
        Mean relative error on the training micrographs from which on a training is finished.
    steps_per_epoch
        Of each training set.

    Examples
    --------
    >>> rows = {"training_set": "original", "seed": 0, "held_out": "A", "epoch": [1, 2, 1, 2]}
    >>> rows |= {"role": ["train", "train", "test", "test"], "relative_error": [0.5, 0.2, 0.6, 0.5]}
    >>> figure = training_figure(pd.DataFrame(rows), 0.05, {"original": 1})
    >>> [axes.get_title() for axes in figure.axes]
    ['micrographs trained on', 'formulations held out']
    """
    figure = Figure(figsize=(9.4, 3.9))
    panels = figure.subplots(1, 2)
    for number, (training_set, steps) in enumerate(steps_per_epoch.items()):
        colour = COLOURS[number]
        for axes, along in zip(
            panels, (training_error_along(results), held_out_error_along(results)), strict=True
        ):
            course = 100 * along.loc[training_set]
            at = course.index.to_numpy() * steps
            axes.fill_between(
                at, course["least"], course["greatest"], color=colour, alpha=0.2, lw=0
            )
            axes.plot(at, course["median"], color=colour, label=f"{training_set} set")
    panels[0].axhline(100 * criterion, color=INK, linewidth=1, linestyle="--", label="criterion")
    panels[0].set_title("micrographs trained on")
    panels[1].set_title("formulations held out")
    for axes, ticks in zip(panels, ((1, 2, 5), (1, 2, 3, 4, 5, 7)), strict=True):
        axes.set(xscale="log", yscale="log")
        axes.set_xlabel("training steps", fontsize=10)
        axes.yaxis.set_major_locator(LogLocator(subs=ticks))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(color="#e6e6e6")
    panels[0].set_ylabel("mean relative error (%)", fontsize=10)
    panels[0].legend(fontsize=9)
    return figure


def parity_figure(predictions: pd.DataFrame, published: pd.DataFrame | None) -> Figure:
    """Figures 6 and 8: held-out predictions against true values, and the errors of Table 2.

    Parameters
    ----------
    predictions
        Of `held_out_predictions`, one training set.
    published
        `published.candidates` of the same training set, or None.

    Examples
    --------
    >>> predictions = pd.DataFrame(
    ...     {
    ...         "held_out": ["A", "B"], "image": ["a", "b"], "seed": 0, "true_km": [2e-3, 1e-3],
    ...         "predicted_km": [1e-3, 1.5e-3], "relative_error": 0.5,
    ...     }
    ... )
    >>> parity, errors = parity_figure(predictions, published=None).axes
    >>> errors.get_xlabel()
    'relative error of the held-out formulation (%)'
    """
    figure = Figure(figsize=(9.4, 4.7))
    parity, errors = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _parity_line(parity, predictions, published)
    names = list(dict.fromkeys(predictions["held_out"]))
    looks = formulation_looks(names)
    if published is not None:
        _draw_candidates(parity, published.loc[published.index.isin(names)])
    for name in names:
        own = predictions[predictions["held_out"] == name]
        _whiskers(parity, _over_seeds(own), looks[str(name)], str(name))
    handles, labels = parity.get_legend_handles_labels()
    last = [number for number, label in enumerate(labels) if label not in names]
    order = [*(number for number in range(len(labels)) if number not in last), *last]
    parity.legend(
        [handles[number] for number in order],
        [labels[number] for number in order],
        loc="upper left",
        fontsize=9,
        ncols=2,
        title="held out",
        alignment="left",
    )
    _draw_errors(errors, predictions, names, published)
    return figure


def augmentation_figure(images: Mapping[str, FloatImage | GreyImage]) -> Figure:
    """Figure 7: an image and its copies, in a 2 × 2 grid.

    Parameters
    ----------
    images
        Title and image, shape (H, W) each, grey levels up to 255.

    Examples
    --------
    >>> image = np.arange(1200, dtype=np.uint16).reshape(30, 40).astype(np.uint8)
    >>> copies = {"as it is": image, "mirrored": image[:, ::-1], "upside down": image[::-1]}
    >>> figure = augmentation_figure({**copies, "turned by 180°": image[::-1, ::-1]})
    >>> [axes.get_title() for axes in figure.axes]
    ['as it is', 'mirrored', 'upside down', 'turned by 180°']
    """
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


def _whiskers(axes: Axes, summary: pd.DataFrame, look: Look, label: str) -> None:
    spread = [summary["median"] - summary["least"], summary["greatest"] - summary["median"]]
    axes.errorbar(
        summary["true_km"],
        summary["median"],
        yerr=np.array(spread),
        fmt=look.marker,
        color=look.colour,
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.6,
        elinewidth=1.2,
        capsize=3,
        label=label,
        zorder=3,
    )


def _parity_line(axes: Axes, predictions: pd.DataFrame, published: pd.DataFrame | None) -> None:
    predicted = predictions["predicted_km"]
    predicted = predicted[np.isfinite(predicted)]  # the others diverged
    values = [predictions["true_km"].max(), *predicted]
    if published is not None:
        values += [published["high_km"].max()]
    top = 1.08e3 * max(values)
    bottom = 1.05e3 * min(0.0, *values)
    axes.plot([0, top], [0, top], color=INK, linewidth=1, linestyle="--", zorder=1)
    axes.set(xlim=(0, 1.1e3 * predictions["true_km"].max()), ylim=(bottom, top))
    axes.set_xlabel(f"true {_K_M_LABEL}", fontsize=10)
    axes.set_ylabel(f"predicted {_K_M_LABEL}", fontsize=10)


def _draw_candidates(axes: Axes, published: pd.DataFrame) -> None:
    """Both predictions that each unsigned published error allows, joined by a line."""
    scaled = published * 1e3
    axes.vlines(
        scaled["true_km"], scaled["low_km"], scaled["high_km"], color="#bbbbbb", lw=1, zorder=1
    )
    for column in ("low_km", "high_km"):
        axes.scatter(
            scaled["true_km"],
            scaled[column],
            marker="d",
            s=42,
            facecolor="white",
            edgecolor=INK,
            linewidth=1,
            zorder=2,
            label="published, sign not in Table 2" if column == "high_km" else None,
        )


def _draw_errors(
    axes: Axes, predictions: pd.DataFrame, names: Sequence[str], published: pd.DataFrame | None
) -> None:
    finite = predictions[np.isfinite(predictions["predicted_km"])]
    summary = held_out_errors(finite).reindex(list(names)) * 100
    rows = np.arange(len(names))
    looks = formulation_looks(names)
    for row, name in enumerate(names):
        colour, marker = looks[str(name)]
        axes.hlines(
            row, summary["least"][name], summary["greatest"][name], color=colour, linewidth=1.6
        )
        axes.plot(summary["median"][name], row, marker, color=colour)
    axes.plot([], [], "o-", color=_TRAINING, label="reproduced, range of runs")
    if published is not None:
        error = 100 * (published["high_km"] / published["true_km"] - 1).reindex(list(names))
        axes.plot(error, rows, "d", markerfacecolor="white", color=INK, label="published")
    axes.set_xscale("log")
    if np.ptp(np.log10(axes.get_xlim())) < 1.5:  # a decade or less would have no label
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(rows, list(names))
    colour_formulations(axes)
    axes.invert_yaxis()
    axes.set_xlabel("relative error of the held-out formulation (%)", fontsize=10)
    axes.grid(axis="x", color="#e6e6e6")
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2)
