"""The figure of pores: in the chapter on them, and in the report on a user's micrographs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from fesemlib.pages.style import COLOURS, drawing, plain_logarithmic
from fesemlib.pores import Pores
from fesemlib.processing import GreyImage


def pores_figure(image: GreyImage, found: Mapping[str, Pores]) -> Figure:
    """The outline of the pores at each threshold, over the middle of the micrograph, (H, W).

    Below, how chords and local thickness are distributed: the share no greater than a length.
    """
    columns = max(2, len(found))
    high = 8.5 / columns * image.shape[0] / image.shape[1] + 0.3
    figure, grid = drawing(8.5, high + 2.6, 2, columns, height_ratios=(high, 2.6))
    figure.set_layout_engine("constrained")
    for axes in (*grid[0], *grid[1, 2:]):
        axes.set_axis_off()
    middle = tuple(slice(side // 4, side - side // 4) for side in image.shape)
    for axes, (name, pores), colour in zip(grid[0], found.items(), COLOURS, strict=False):
        level, frame = pores.measures["grey level"], pores.frame[middle]
        axes.imshow(image[middle], cmap="gray")
        if frame.min() <= level < frame.max():
            axes.contour(frame, [level + 0.5], colors=colour, linewidths=0.8)
        axes.set_title(f"{name}: pores up to grey level {level}", fontsize=10)
        for below, (label, (lengths, weights)) in zip(grid[1], pores.lengths.items(), strict=False):
            sizes, places = np.unique(lengths, return_inverse=True)
            shares = 100 * np.cumsum(np.bincount(places, weights)) / weights.sum()
            below.step(sizes, shares, where="post", color=colour, label=name)
            below.set(xlabel=label, ylabel="share that is no greater (%)")
            plain_logarithmic(below, "x", (1, 2, 5))
            below.legend(loc="lower right")
    return figure
