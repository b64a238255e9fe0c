"""Figures of the chapter on what the network looks at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from fesemlib.evaluation.frames import Place, combined_errors
from fesemlib.evaluation.imaging import DEGRADATIONS
from fesemlib.evaluation.occlusion import HeldOutMap, Images, Values
from fesemlib.pages.figures.micrographs import grid_of
from fesemlib.pages.names import height_of_rows, shortened, widened
from fesemlib.pages.numbers import minus
from fesemlib.pages.style import COLOURS, INK, Look, drawing, name_formulations, shade_not_positive

_FIRST, _SECOND = COLOURS[:2]
_WIDTH = 8.5  # inches, of every figure
_COLUMNS = 3
_MAP = "PuOr_r"


def maps_figure(maps: Sequence[HeldOutMap], looks: Mapping[str, Look]) -> Figure:
    """Occlusion maps of `held_out_maps` over the inputs they belong to, on one scale."""
    short = shortened(looks)
    shares = [each.grey / abs(each.predicted) for each in maps]
    columns = min(_COLUMNS, len(maps))
    inches = _WIDTH / _COLUMNS * columns
    figure, grid = grid_of([255 * each.image for each in maps], columns, inches, 0.3)
    figure.set_size_inches(_WIDTH, figure.get_figheight() + 0.9)
    scale = _scale(shares)
    for axes, each, share in zip(grid, maps, shares, strict=False):
        _draw_map(axes, each.image, share, scale)
        colour = looks[each.formulation].colour
        axes.set_title(short[each.formulation], fontsize=10, color=colour, fontweight="bold")
    label = "change of the predicted k$_m$ when the place is hidden (%)"
    below = {"ax": grid, "fraction": 0.05, "pad": 0.03, "aspect": 50}
    _draw_scale(figure, scale, label, 5, **below)
    return figure


def pasted_figure(maps: Mapping[str, tuple[Images, Values, Place]]) -> Figure:
    """A picture with a patch of finer pores, and its maps from `pasted_maps`, a scale each."""
    first, _, place = next(iter(maps.values()))
    height, width = first.shape
    columns = len(maps) + 1
    high = _WIDTH / columns * height / width
    figure, panels = drawing(_WIDTH, high + 0.95, 2, columns, height_ratios=(high, 0.09))
    (picture, *others), (empty, *bars) = panels
    empty.set_axis_off()
    picture.imshow(first, cmap="gray", vmin=0, vmax=1)
    picture.set_title("the picture", fontsize=10)
    _outline(picture, place)
    for axes, bar, (name, (image, share, where)) in zip(others, bars, maps.items(), strict=True):
        scale = _scale([share])
        _draw_map(axes, image, share, scale)
        axes.set_title(name, fontsize=10)
        _outline(axes, where)
        _draw_scale(figure, scale, "change (%)", 3, cax=bar)
    picture.set(xticks=[], yticks=[])
    return figure


def combination_figure(
    sources: Mapping[str, pd.DataFrame], scales: Mapping[str, pd.DataFrame], names: Sequence[str]
) -> Figure:
    """Predictions of several images of each formulation, and the error of their mean.

    To the left those of the last of the sources, the formulations from top to bottom as they are
    named; to the right the errors of all sources and scales.
    """
    frames = list(sources.values())[-1]
    high = max(3.6, 1.4 + height_of_rows(len(names), 0.26))
    figure, (left, right) = drawing(widened(_WIDTH, names), high, 1, 2, width_ratios=(1.1, 1))
    for row, name in enumerate(names):
        own = frames[frames["formulation"] == name]
        left.plot(1e3 * own["predicted_km"], np.full(len(own), row), "o", color=_FIRST, alpha=0.6)
        left.plot(1e3 * own["true_km"].iloc[0], row, "|", color=INK, ms=15, mew=2)
    left.plot([], [], "o", color=_FIRST, label="predicted, one image each")
    left.plot([], [], "|", color=INK, ms=10, mew=2, label="true")
    errors = (frames["predicted_km"] / frames["true_km"] - 1).abs()
    name_formulations(left, names, errors.groupby(frames["formulation"]).mean())
    shade_not_positive(left, "x", frames["predicted_km"])
    left.set_xlabel("k$_m$ (10$^{-3}$ m² s$^{-1}$)")
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    lines = zip(cycle(COLOURS), cycle("osD^v*"), {**sources, **scales}.items(), strict=False)
    for colour, marker, (name, table) in lines:
        right.plot(100 * combined_errors(table), marker=marker, color=colour, label=name)
    right.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    right.set(xlabel="images that are averaged", ylabel="mean relative error (%)")
    least, most = right.get_ylim()
    right.set_ylim(max(0, least - 0.6 * (most - least)), most)
    right.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def imaging_figure(table: pd.DataFrame, exchanged: Mapping[str, float]) -> Figure:
    """How far each degradation of `degraded_predictions` moves the predictions, one panel each.

    `exchanged`: by reader, the mean change by the micrograph of another formulation.
    """
    changes = table.assign(size=100 * table["change"].abs())
    parts = changes.groupby("degradation", sort=False)
    columns = 4
    rows = math.ceil((len(parts) + 1) / columns)
    figure, panels = drawing(_WIDTH, 2.45 * rows, rows, columns, label_size=9, sharey=True)
    figure.set_layout_engine("constrained", h_pad=0.12)
    grid = panels.ravel()
    readers = list(dict.fromkeys(table["reader"]))
    for axes, (name, part) in zip(grid, parts, strict=False):
        strengths = sorted(part["strength"].unique())
        for colour, reader in zip(COLOURS, readers, strict=False):
            sizes = part[part["reader"] == reader].pivot_table("size", "strength", "formulation")
            mean = sizes.mean(axis=1).to_numpy()
            axes.plot(mean, "o-", color=colour, lw=2, ms=4, label=f"{reader}:\nmean")
            if reader == readers[0]:
                labels = ["one formulation each", *["_"] * (sizes.shape[1] - 1)]
                axes.plot(sizes.to_numpy(), color=colour, alpha=0.3, lw=0.8, label=labels)
            change, label = 100 * exchanged[reader], f"{reader}:\nexchanged"
            axes.axhline(change, color=colour, linestyle="--", linewidth=1, label=label)
        labels = [minus(f"{strength:g}") for strength in strengths]
        axes.set_xticks(range(len(strengths)), labels, fontsize=9)
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.tick_params(axis="y", labelsize=9)
        axes.set_title(str(name), fontsize=10)
        axes.set_xlabel(DEGRADATIONS[str(name)].unit)
    most = max(float(changes["size"].max()), *(100 * value for value in exchanged.values()), 1.0)
    for axes in grid[::columns]:
        axes.set_ylim(0, 1.2 * most)  # all panels share it
        axes.set_ylabel("change of k$_m$ (%)")
    for axes in grid[len(parts) :]:
        axes.set_axis_off()
    entries = grid[0].get_legend_handles_labels()
    grid[len(parts)].legend(*entries, fontsize=8, loc="center", borderaxespad=0)
    return figure


def _scale(shares: Sequence[Values]) -> Normalize:
    most = max(float(np.abs(share).max()) for share in shares) or 1e-6
    return Normalize(-100 * most, 100 * most)


def _draw_map(axes: Axes, image: Images, share: Values, scale: Normalize) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    axes.imshow(100 * share, cmap=_MAP, norm=scale, alpha=0.65, interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def _outline(axes: Axes, place: Place) -> None:
    rows, columns = place
    corner = (columns.start - 0.5, rows.start - 0.5)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=_SECOND, linewidth=2))


def _draw_scale(figure: Figure, scale: Normalize, label: str, ticks: int, **place: Any) -> None:
    colours = ScalarMappable(scale, _MAP)
    bar = figure.colorbar(colours, orientation="horizontal", **place).ax
    bar.xaxis.set_major_locator(MaxNLocator(ticks))
    bar.tick_params(labelsize=9)
    bar.set_xlabel(label, fontsize=9)
