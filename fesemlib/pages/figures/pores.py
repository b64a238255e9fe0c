"""Figures of the chapter on pores, and of the report on a user's micrographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fesemlib.pages.names import A_DOZEN, shortened
from fesemlib.pages.style import COLOURS, drawing, formulation_looks, plain_logarithmic
from fesemlib.pores import Pores
from fesemlib.pores.measures import FloatArray
from fesemlib.processing import GreyImage

_WIDTH = 8.5  # inches


def pores_figure(image: GreyImage, found: Sequence[Pores]) -> Figure:
    """The outline of the pores at each threshold, over the middle of the micrograph.

    Below, how the chords and the local thickness are distributed at these thresholds.
    """
    columns = max(2, len(found))
    high = _WIDTH / columns * image.shape[0] / image.shape[1] + 0.3
    figure, axes = drawing(_WIDTH, high + 2.6, 2, columns, height_ratios=(high, 2.6), squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    middle = tuple(slice(side // 4, side - side // 4) for side in image.shape)
    for panel, each, colour in zip(axes[0], found, COLOURS, strict=False):
        panel.imshow(image[middle], cmap="gray")
        panel.contour(each.frame[middle], [each.level + 0.5], colors=colour, linewidths=0.8)
        panel.set_title(f"{each.threshold}: pores up to grey level {each.level}", fontsize=10)
    for each, colour in zip(found, COLOURS, strict=False):
        covering = each.thickness[each.thickness > 0]
        _draw_shares(axes[1, 0], each.chords, each.chord_weights, colour, each.threshold)
        _draw_shares(axes[1, 1], covering, np.ones_like(covering), colour, each.threshold)
    unit = found[0].unit
    axes[1, 0].set(xlabel=f"chord length ({unit})", ylabel="share of the chords (%)")
    axes[1, 1].set(xlabel=f"local thickness ({unit})", ylabel="share of the pores' area (%)")
    return figure


def _draw_shares(
    axes: Axes, values: FloatArray, weights: FloatArray, colour: str, name: str
) -> None:
    """The share, in %, of what is no greater than each value."""
    sizes, places = np.unique(values, return_inverse=True)
    shares = 100 * np.cumsum(np.bincount(places, weights)) / weights.sum()
    axes.step(sizes, shares, where="post", color=colour, label=name)
    axes.set_axis_on()
    axes.axhline(50, color="#999999", linewidth=0.8, linestyle=":")
    plain_logarithmic(axes, "x", (1, 2, 5))
    axes.legend(loc="lower right")


def measures_figure(table: pd.DataFrame, formulations: pd.DataFrame) -> Figure:
    """Measures of `measure_pores` against k_m, with its standard deviation: a panel each.

    A point is the mean over a formulation's micrographs, filled at the first of the thresholds.
    """
    measures = [name for name in table.columns[5:] if "%" not in name]
    means = table.groupby(["threshold", "formulation"], sort=False)[measures].mean()
    looks, rows = formulation_looks(formulations.index), -(-len(measures) // 3)
    figure, grid = drawing(_WIDTH, 2.5 * rows + 0.8, rows, 3, squeeze=False)
    for (threshold, name), own in means.iterrows():
        k_m, std = 1e3 * formulations.loc[name, "k_m"], formulations.loc[name, "std_percent"]
        style: Any = {"color": looks[name].colour, "fmt": looks[name].marker, "elinewidth": 1}
        style |= {"fillstyle": "full" if threshold == table["threshold"][0] else "none"}
        for axes, measure in zip(grid.flat, measures, strict=False):
            axes.errorbar(k_m, own[measure], xerr=k_m * std / 100, markersize=5, **style)
    for axes, measure in zip(grid.flat, measures, strict=False):
        axes.set(ylabel=measure, xlabel="k$_m$ (10$^{-3}$ m² s$^{-1}$)")
        plain_logarithmic(axes, "x", (1, 2, 5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    if len(looks) <= A_DOZEN:
        short = shortened(looks)
        points = [
            Line2D([], [], marker=look.marker, color=look.colour, ls="none", label=short[name])
            for name, look in looks.items()
        ]
        columns = max(1, 100 // (8 + max(map(len, short.values()))))
        figure.legend(handles=points, loc="outside lower center", ncols=columns)
    return figure
