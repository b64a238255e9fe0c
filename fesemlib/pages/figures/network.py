"""The figure of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fesemlib.pages.style import INK

if TYPE_CHECKING:
    import keras
from fesemlib.pages.figures.micrographs import _arrow


def network_figure(network: keras.Model) -> Figure:
    """Figure 4: the network, drawn from the Keras model itself.

    Feature maps are stacks of rectangles whose sides shrink with the logarithm of their size,
    dense layers are columns of units.

    Parameters
    ----------
    network
        A sequence of layers; whatever layers it has are drawn.

    Examples
    --------
    >>> from fesemlib.network.architecture import build_network
    >>> axes = network_figure(build_network((24, 32))).axes[0]
    >>> [text.get_text() for text in axes.texts[::3]][:4]
    ['input', 'convolution', 'max pooling', 'convolution']
    """
    drawn = [layer for layer in network.layers if type(layer).__name__ != "InputLayer"]
    shapes = [tuple(network.input_shape[1:])] + [tuple(layer.output.shape[1:]) for layer in drawn]
    names = ["Input"] + [type(layer).__name__ for layer in drawn]
    details = [""] + [_layer_detail(layer) for layer in drawn]
    figure = Figure(figsize=(9.4, 2.8))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.005, 0.0, 0.99, 1.0))
    position = 0.0
    tallest = np.log2(shapes[0][0])
    for number, (shape, name, detail) in enumerate(zip(shapes, names, details, strict=True)):
        size = _draw_stack(axes, position, shape, float(tallest))
        middle = position + size / 2
        axes.text(middle, -0.56, _SHORT_NAMES.get(name, name), ha="center", va="top", fontsize=9)
        axes.text(middle, -0.72, detail, ha="center", va="top", fontsize=8, color="#666666")
        axes.text(middle, 0.6, _shape_text(shape), ha="center", va="bottom", fontsize=8.5)
        gap = 0.23 if len(shape) == 3 else 0.4  # the names of dense layers are wider than they
        if number + 1 < len(shapes):
            axes.add_patch(_arrow((position + size + 0.03, 0), (position + size + gap - 0.03, 0)))
        position += size + gap
    axes.set(xlim=(-0.08, position - 0.15), ylim=(-1.05, 0.9))
    axes.set_axis_off()
    return figure


_SHORT_NAMES = {
    "Conv2D": "convolution",
    "MaxPooling2D": "max pooling",
    "Flatten": "flatten",
    "Dense": "dense",
    "Dropout": "dropout",
    "Input": "input",
}


def _layer_detail(layer: keras.Layer) -> str:
    """Kernel, pool or rate of a layer, and its activation, read off the layer."""
    settings = layer.get_config()
    lines = []
    for key in ("kernel_size", "pool_size"):
        if key in settings:
            lines.append("×".join(str(side) for side in settings[key]))
    if "rate" in settings:
        lines.append(f"{settings['rate']:.0%}")
    activation = settings.get("activation")
    if activation:
        lines.append({"relu": "ReLU"}.get(activation, activation))
    return "\n".join(lines)


def _shape_text(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"{shape[0]:,}"
    return f"{shape[1]}×{shape[0]}\n×{shape[2]}"


def _draw_stack(axes: Axes, left: float, shape: tuple[int, ...], tallest: float) -> float:
    """Draw a layer's output and return the width that it takes."""
    if len(shape) == 1:
        height = 1.1 * min(np.log2(shape[0] + 1) / 16, 1.0) + 0.06
        axes.add_patch(
            Rectangle((left, -height / 2), 0.09, height, facecolor="#d9a441", edgecolor=INK, lw=0.7)
        )
        return 0.09
    height = 0.6 * float(np.log2(shape[0])) / tallest
    width = height * shape[1] / shape[0]
    sheets = min(int(shape[2]), 16)
    for sheet in range(sheets):
        shift = 0.014 * (sheets - 1 - sheet)
        axes.add_patch(
            Rectangle(
                (left + shift, -height / 2 + shift),
                width,
                height,
                facecolor="#cfe0ee",
                edgecolor=INK,
                lw=0.5,
            )
        )
    return width + 0.014 * (sheets - 1)
