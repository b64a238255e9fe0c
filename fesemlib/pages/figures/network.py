"""The figure of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fesemlib.pages.figures.micrographs import ARROW
from fesemlib.pages.style import INK

if TYPE_CHECKING:
    import keras


def network_figure(network: keras.Model) -> Figure:
    """Figure 4: whatever layers a sequence has, drawn from the Keras model itself.

    Feature maps are stacks of rectangles whose sides shrink with the logarithm of their size,
    dense layers are columns of units.
    """
    drawn = [("input", network.input_shape[1:], "")]
    drawn += [(_name(layer), layer.output.shape[1:], _detail(layer)) for layer in network.layers]
    figure = Figure(figsize=(9.4, 2.8))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.005, 0.0, 0.99, 1.0))
    position = 0.0
    for number, (name, shape, detail) in enumerate(drawn, start=1):
        size = _draw_output(axes, position, shape, network.input_shape[1])
        middle = position + size / 2
        flat = len(shape) == 1
        sides = f"{shape[0]:,}" if flat else f"{shape[1]}×{shape[0]}\n×{shape[2]}"
        axes.text(middle, -0.56, name, ha="center", va="top", fontsize=9)
        axes.text(middle, -0.72, detail, ha="center", va="top", fontsize=8, color="#666666")
        axes.text(middle, 0.6, sides, ha="center", va="bottom", fontsize=8.5)
        gap = 0.4 if flat else 0.23  # the names of dense layers are wider than they
        if number < len(drawn):
            start, end = (position + size + 0.03, 0), (position + size + gap - 0.03, 0)
            axes.annotate("", end, start, arrowprops=ARROW)
        position += size + gap
    axes.set(xlim=(-0.08, position - 0.15), ylim=(-1.05, 0.9))
    axes.set_axis_off()
    return figure


def _name(layer: keras.Layer) -> str:
    kind = type(layer).__name__
    return {"Conv2D": "convolution", "MaxPooling2D": "max pooling"}.get(kind, kind.lower())


def _detail(layer: keras.Layer) -> str:
    """Kernel, pool or rate of a layer, and its activation, read off the layer."""
    told = layer.get_config()
    sides = told.get("kernel_size") or told.get("pool_size") or ()
    share = f"{told['rate']:.0%}" if "rate" in told else ""
    activation = (told.get("activation") or "").replace("relu", "ReLU")
    return "\n".join(filter(None, ["×".join(map(str, sides)), share, activation]))


def _draw_output(axes: Axes, left: float, shape: tuple[int, ...], tallest: int) -> float:
    """Draw a layer's output and return the width that it takes."""
    look: dict[str, Any] = {"edgecolor": INK, "facecolor": "#cfe0ee", "lw": 0.5}
    if len(shape) == 1:
        height = 1.1 * min(np.log2(shape[0] + 1) / 16, 1.0) + 0.06
        width, sheets = 0.09, 1
        look |= {"facecolor": "#d9a441", "lw": 0.7}
    else:
        height = 0.6 * float(np.log2(shape[0])) / float(np.log2(tallest))
        width, sheets = height * shape[1] / shape[0], min(shape[2], 16)
    for shift in 0.014 * np.arange(sheets)[::-1]:
        place = (left + shift, -height / 2 + shift)
        axes.add_patch(Rectangle(place, width, height, **look))
    return width + 0.014 * (sheets - 1)
