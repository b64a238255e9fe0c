"""Figures of the chapter on what the network looks at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from fesemlib.evaluation.frames import combined_errors
from fesemlib.evaluation.imaging import DEGRADATIONS
from fesemlib.evaluation.occlusion import HeldOutMap
from fesemlib.pages.style import COLOURS, INK, Look, colour_formulations

_FIRST, _SECOND = COLOURS[:2]
_WIDTH = 8.5  # inches, of every figure
_COLUMNS = 3
_MAP = "PuOr_r"


def maps_figure(maps: Sequence[HeldOutMap], looks: Mapping[str, Look] | None = None) -> Figure:
    """Occlusion maps over the inputs they belong to, on one scale.

    Parameters
    ----------
    maps
        From `fesemlib.evaluation.occlusion.held_out_maps`.
    looks
        From `fesemlib.pages.style.formulation_looks`, to colour the names.

    Examples
    --------
    >>> image = np.full((30, 40), 0.5, np.float32)
    >>> change = np.linspace(-1e-4, 1e-4, 1200).reshape(30, 40)
    >>> one = HeldOutMap("A", image, predicted=1e-3, grey=change, mean=change, rotated=change)
    >>> scale = maps_figure([one]).axes[-1]
    >>> [f"{end:g} %" for end in scale.get_xlim()]
    ['-10 %', '10 %']
    """
    shares = [each.grey / abs(each.predicted) for each in maps]
    height, width = maps[0].image.shape
    columns = min(_COLUMNS, len(maps))
    rows = math.ceil(len(maps) / columns)
    each_high = _WIDTH / _COLUMNS * height / width + 0.3
    figure = Figure(figsize=(_WIDTH, rows * each_high + 0.9))
    grid = figure.subplots(rows, columns, squeeze=False)
    scale = _scale(shares)
    for axes in grid.ravel()[len(maps) :]:
        axes.set_axis_off()
    for axes, each, share in zip(grid.ravel(), maps, shares, strict=False):
        _draw_map(axes, each.image, share, scale)
        colour = looks[each.formulation].colour if looks else INK
        axes.set_title(each.formulation, fontsize=10, color=colour, fontweight="bold")
    bar = figure.colorbar(
        ScalarMappable(scale, _MAP),
        ax=grid,
        orientation="horizontal",
        fraction=0.05,
        pad=0.03,
        aspect=50,
    )
    _label_scale(bar.ax, "change of the predicted k$_m$ when the place is hidden (%)", ticks=5)
    return figure


def pasted_figure(maps: Mapping[str, tuple[Any, Any, tuple[slice, slice]]]) -> Figure:
    """A picture with a patch of finer pores, and the maps that several predictors give of it.

    Parameters
    ----------
    maps
        From `fesemlib.evaluation.occlusion.pasted_maps`. Each map has a scale of its own.

    Examples
    --------
    >>> image, share = np.full((30, 40), 0.5, np.float32), np.full((30, 40), -0.1)
    >>> place = slice(5, 15), slice(10, 20)
    >>> figure = pasted_figure({"network": (image, share, place)})
    >>> [axes.get_title() for axes in figure.axes[:2]]
    ['the picture', 'network']
    """
    first, _, place = next(iter(maps.values()))
    height, width = first.shape
    columns = len(maps) + 1
    high = _WIDTH / columns * height / width
    figure = Figure(figsize=(_WIDTH, high + 0.95))
    (picture, *others), (empty, *bars) = figure.subplots(2, columns, height_ratios=(high, 0.09))
    empty.set_axis_off()
    picture.imshow(first, cmap="gray", vmin=0, vmax=1)
    picture.set_title("the picture", fontsize=10)
    _outline(picture, place)
    for axes, bar, (name, (image, share, where)) in zip(others, bars, maps.items(), strict=True):
        scale = _scale([share])
        _draw_map(axes, image, share, scale)
        axes.set_title(name, fontsize=10)
        _outline(axes, where)
        figure.colorbar(ScalarMappable(scale, _MAP), cax=bar, orientation="horizontal")
        _label_scale(bar, "change (%)", ticks=3)
    picture.set(xticks=[], yticks=[])
    return figure


def combination_figure(
    frames: pd.DataFrame, k_m_names: Sequence[str], sources: Mapping[str, pd.DataFrame]
) -> Figure:
    """Predictions of several images of each formulation, and the error of their mean.

    Parameters
    ----------
    frames
        Predictions of several images, as of `fesemlib.evaluation.frames.window_predictions`.
    k_m_names
        The formulations from top to bottom.
    sources
        Name of each source and its predictions, for the errors.

    Examples
    --------
    >>> frames = pd.DataFrame(
    ...     {"formulation": "A", "true_km": 1e-3, "predicted_km": [8e-4, 1.2e-3]}
    ... )
    >>> left, right = combination_figure(frames, ["A"], {"frames": frames}).axes
    >>> right.lines[0].get_ydata().round().tolist()  # of one, and of the mean of both, %
    [20.0, 0.0]
    """
    figure = Figure(figsize=(_WIDTH, max(3.6, 1.4 + 0.26 * len(k_m_names))))
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    for row, name in enumerate(k_m_names):
        own = frames[frames["formulation"] == name]
        left.plot(1e3 * own["predicted_km"], np.full(len(own), row), "o", color=_FIRST, alpha=0.6)
        left.plot(1e3 * own["true_km"].iloc[0], row, "|", color=INK, ms=15, mew=2)
    left.plot([], [], "o", color=_FIRST, label="predicted, one image each")
    left.plot([], [], "|", color=INK, ms=10, mew=2, label="true")
    left.set_yticks(range(len(k_m_names)), list(k_m_names))
    colour_formulations(left)
    left.invert_yaxis()
    left.set_xlabel("k$_m$ (10$^{-3}$ m² s$^{-1}$)", fontsize=10)
    left.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    markers = "osD^v*"
    for number, (name, table) in enumerate(sources.items()):
        errors = combined_errors(table)
        colour, marker = COLOURS[number % len(COLOURS)], markers[number % len(markers)]
        right.plot(errors.index, 100 * errors, marker=marker, color=colour, label=name)
    right.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    right.set_xlabel("images that are averaged", fontsize=10)
    right.set_ylabel("mean relative error (%)", fontsize=10)
    low, high = right.get_ylim()
    right.set_ylim(max(0, low - 0.6 * (high - low)), high)
    right.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def imaging_figure(table: pd.DataFrame, exchanged: Mapping[str, float]) -> Figure:
    """How far each degradation moves the predictions, one panel each.

    Parameters
    ----------
    table
        From `fesemlib.evaluation.imaging.degraded_predictions`.
    exchanged
        For each reader, the mean change when the micrograph is exchanged for that of another
        formulation.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "degradation": "defocus", "reader": "network", "formulation": "A",
    ...         "strength": [1, 2], "change": [0.1, -0.2],
    ...     }
    ... )
    >>> axes = imaging_figure(table, exchanged={"network": 0.5}).axes[0]
    >>> axes.get_title(), axes.get_xlabel()
    ('defocus', 'σ of the blur, px')
    """
    names = list(dict.fromkeys(table["degradation"]))
    columns = 4
    rows = math.ceil((len(names) + 1) / columns)
    figure = Figure(figsize=(_WIDTH, 2.45 * rows))
    figure.set_layout_engine("constrained", h_pad=0.12)
    grid = figure.subplots(rows, columns, sharey=True).ravel()
    changes = table.assign(size=100 * table["change"].abs())
    readers = list(dict.fromkeys(table["reader"]))
    for axes, name in zip(grid, names, strict=False):
        part = changes[changes["degradation"] == name]
        strengths = sorted(part["strength"].unique())
        for colour, reader in zip(COLOURS, readers, strict=False):
            sizes = part[part["reader"] == reader].pivot_table("size", "strength", "formulation")
            if reader == readers[0]:
                axes.plot(sizes.to_numpy(), color=colour, alpha=0.3, linewidth=0.8)
            axes.plot(sizes.mean(axis=1).to_numpy(), "o-", color=colour, linewidth=2, markersize=4)
            axes.axhline(100 * exchanged[reader], color=colour, linestyle="--", linewidth=1)
        labels = [f"{value:g}".replace("-", "−") for value in strengths]
        axes.set_xticks(range(len(strengths)), labels, fontsize=9)
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.tick_params(axis="y", labelsize=9)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(DEGRADATIONS[name].unit, fontsize=9)
    most = max(float(changes["size"].max()), *(100 * value for value in exchanged.values()), 1.0)
    for axes in grid[::columns]:
        axes.set_ylim(0, 1.2 * most)  # all panels share it
        axes.set_ylabel("change of k$_m$ (%)", fontsize=9)
    legend, *empty = grid[len(names) :]
    for axes in (legend, *empty):
        axes.set_axis_off()
    for colour, reader in zip(COLOURS, readers, strict=False):
        legend.plot([], [], "o-", color=colour, linewidth=2, label=f"{reader}:\nmean")
        if reader == readers[0]:
            legend.plot([], [], color=colour, alpha=0.4, label="one formulation each")
        legend.plot([], [], "--", color=colour, label=f"{reader}:\nexchanged")
    legend.legend(fontsize=8, loc="center", borderaxespad=0)
    return figure


def _scale(shares: Sequence[npt.NDArray[np.float64]]) -> Normalize:
    most = max(float(np.abs(share).max()) for share in shares) or 1e-6
    return Normalize(-100 * most, 100 * most)


def _draw_map(
    axes: Axes, image: npt.NDArray[np.float32], share: npt.NDArray[np.float64], scale: Normalize
) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    axes.imshow(100 * share, cmap=_MAP, norm=scale, alpha=0.65, interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def _outline(axes: Axes, place: tuple[slice, slice]) -> None:
    rows, columns = place
    corner = (columns.start - 0.5, rows.start - 0.5)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=_SECOND, linewidth=2))


def _label_scale(bar: Axes, label: str, ticks: int) -> None:
    bar.xaxis.set_major_locator(MaxNLocator(ticks))
    bar.tick_params(labelsize=9)
    bar.set_xlabel(label, fontsize=9)
