"""The paper's network in a form that trains faster on a processor, with the same variables.

The same function is computed with fewer passes over memory; results differ by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.network.architecture import FILTERS, tensorflow

# What computes a tensor's values; TensorFlow has no types that mypy could check.
Tensor = Any

Axes = tuple[int, int]  # along which the rows and columns of pooling windows run

_POSITIONS = tuple(product((0, 1), (0, 1)))  # in a 2 × 2 window, in reading order
_SILENT = len(_POSITIONS)  # stands in the place of a position where ReLU gives zero

_GROUPED = (3, 4)  # of (n, rows, columns, 2, 2, filters)
_IN_PLACE = (2, 4)  # of (n, rows, 2, columns, 2, filters)


class StandardForm:
    """A network as Keras computes it, layer by layer, with a dropout that keeps no state."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def prepare(self, images: npt.NDArray[np.float32]) -> Tensor:
        """What `__call__` takes, of images of shape (n, H, W)."""
        return tensorflow.constant(images[..., np.newaxis])

    def __call__(self, prepared: Tensor, dropout_seed: Tensor | None = None) -> Tensor:
        """The outputs, shape (n, 1), of images from `prepare`, or some of them.

        Two integers decide which units are dropped; None drops none.
        """
        return _apply(self.network.layers, prepared, dropout_seed)


class FastForm(StandardForm):
    """The same network with the blocks of convolution and pooling computed as described below.

    It reads the variables of the Keras network: whatever changes them there changes them here.
    """

    def prepare(self, images: npt.NDArray[np.float32]) -> Tensor:
        """What `__call__` takes, of images of shape (n, H, W): groups of 2 × 2 px."""
        return _compiled(_group)(images[..., np.newaxis], _margin(self.network.layers[0]))

    def __call__(self, prepared: Tensor, dropout_seed: Tensor | None = None) -> Tensor:
        """The network's outputs, shape (n, 1); parameters as in `StandardForm`."""
        blocks = 2 * len(FILTERS)
        first, second, third = self.network.layers[:blocks:2]
        maps = _pool(_grouped_convolution(prepared, first), first, _GROUPED, _margin(second))
        maps = _pool(_grouped_convolution(maps, second), second, _GROUPED)
        maps = _pool(_convolution(maps, third), third, _IN_PLACE)
        return _apply(self.network.layers[blocks:], maps, dropout_seed)


def executable_form(network: Any) -> StandardForm:
    """The form that is fast on this machine: on a GPU that TensorFlow can use, Keras' layers."""
    has_gpu = tensorflow.config.list_logical_devices("GPU")
    return StandardForm(network) if has_gpu else FastForm(network)


def _apply(layers: list[Any], values: Tensor, dropout_seed: Tensor | None) -> Tensor:
    """Keras' layers one after another; of dropout only the rate is Keras'."""
    for layer in layers:
        if not isinstance(layer, tensorflow.keras.layers.Dropout):
            values = layer(values)
        elif dropout_seed is not None:
            values = tensorflow.nn.experimental.stateless_dropout(values, layer.rate, dropout_seed)
    return values


def _margin(convolution: Any) -> int:
    """How many rows of zeros a convolution sets around its input."""
    return int(convolution.padding == "same")


# The first two convolutions have 1 and 4 input channels, too few to fill a processor's registers.
# The four positions of a pooling window become channels, before and after the convolution: groups
# of 2 × 2 numbers go in as four times the channels, and for every position its own filters come
# out. Two groups side by side span 4 px, the 3 × 3 kernel fits into 4 × 4 in four ways, shifted by
# the position and filled up with zeros; so a kernel of 2 × 2 groups holds all four. The images are
# grouped once. The third convolution and the dense layers are TensorFlow's own.


def _group(maps: Tensor, margin: int) -> Tensor:
    """Groups of 2 × 2 numbers as channels, of maps with zeros around: (n, H, W, c) to 4 c channels.

    A last row or column that pooling would drop after the convolution is left out.
    """
    height, width = maps.shape[1:3]
    rows, columns = ((side + 2 * margin) // 2 * 2 - margin for side in (height, width))
    below, right = max(0, rows - height), max(0, columns - width)
    padding = [[0, 0], [margin, below], [margin, right], [0, 0]]
    return tensorflow.nn.space_to_depth(tensorflow.pad(maps[:, :rows, :columns], padding), 2)


def _ungroup(groups: Tensor, height: int, width: int, margin: int) -> Tensor:
    """The gradient of `_group` with respect to its maps of this height and width."""
    padded = tensorflow.nn.depth_to_space(groups, 2)
    kept = padded[:, margin : margin + height, margin : margin + width]
    below, right = height - kept.shape[1], width - kept.shape[2]
    return tensorflow.pad(kept, [[0, 0], [0, below], [0, right], [0, 0]])


def _grouped_convolution(groups: Tensor, convolution: Any) -> Tensor:
    """The convolution of grouped maps: shape (n, rows, columns, 2, 2, filters)."""
    kernel = convolution.kernel.value
    _, _, channels, filters = kernel.shape
    shifted = [
        tensorflow.pad(kernel, [[row, 1 - row], [column, 1 - column], [0, 0], [0, 0]])
        for row, column in _POSITIONS
    ]
    parts = tensorflow.reshape(
        tensorflow.stack(shifted, axis=3), (2, 2, 2, 2, channels, 4 * filters)
    )
    parts = tensorflow.transpose(parts, (0, 2, 1, 3, 4, 5))
    grouped = tensorflow.reshape(parts, (2, 2, 4 * channels, 4 * filters))
    convolved = tensorflow.nn.conv2d(groups, grouped, strides=1, padding="VALID")
    return tensorflow.reshape(convolved, (-1, *convolved.shape[1:3], 2, 2, filters))


def _convolution(maps: Tensor, convolution: Any) -> Tensor:
    """The convolution of maps: shape (n, rows, 2, columns, 2, filters)."""
    convolved = tensorflow.nn.conv2d(
        maps, convolution.kernel.value, strides=1, padding=convolution.padding.upper()
    )
    _, rows, columns, filters = convolved.shape
    if rows % 2 or columns % 2:  # pooling drops the last row or column
        convolved = convolved[:, : rows // 2 * 2, : columns // 2 * 2]
    return tensorflow.reshape(convolved, (-1, rows // 2, 2, columns // 2, 2, filters))


# A block, maximum over 2 × 2 of ReLU(convolution + bias), equals ReLU(maximum over 2 × 2 of the
# convolution + bias), which applies bias and ReLU to a quarter of the numbers. The gradient of the
# maximum needs no second search, as Keras makes it: the position is remembered, one byte for each
# maximum, and XLA compiles search and gradient into one loop each. Where numbers tie, as in a flat
# region of an image, the first one in reading order takes the whole gradient, which is what
# TensorFlow's pooling does.


def _pool(windows: Tensor, convolution: Any, axes: Axes, margin: int | None = None) -> Tensor:
    """ReLU(maximum + bias) of windows whose rows and columns run along the two axes.

    With the margin of the next convolution, the result comes in groups for it; see `_group`.
    """

    @tensorflow.custom_gradient  # type: ignore[untyped-decorator]
    def pool(windows: Tensor, bias: Tensor) -> tuple[Tensor, Callable[..., Any]]:
        pooled, position = _compiled(_maximum)(windows, bias, axes)

        def backward(gradient: Tensor) -> tuple[Tensor, Tensor]:
            if margin is not None:
                gradient = _compiled(_ungroup)(gradient, *position.shape[1:3], margin)
            of_windows, of_bias = _compiled(_maximum_gradient)(gradient, position, axes)
            return tensorflow.reshape(of_windows, (-1, *windows.shape[1:])), of_bias

        return pooled if margin is None else _compiled(_group)(pooled, margin), backward

    return pool(windows, convolution.bias.value)


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled by XLA, once for each shape of its arguments."""
    compiled: Callable[..., Any] = tensorflow.function(function, jit_compile=True, autograph=False)
    return compiled


def _maximum(windows: Tensor, bias: Tensor, axes: Axes) -> tuple[Tensor, Tensor]:
    """ReLU(maximum + bias), and where in its window each maximum stands first."""
    rows, columns = axes
    values = [
        value
        for row in tensorflow.unstack(windows, axis=rows)
        for value in tensorflow.unstack(row, axis=columns - 1)
    ]
    maximum, position = values[0], tensorflow.zeros_like(values[0], "int8")
    for number, value in enumerate(values[1:], start=1):
        position = tensorflow.where(value > maximum, np.int8(number), position)
        maximum = tensorflow.maximum(maximum, value)
    pooled = tensorflow.nn.relu(maximum + bias)
    position = tensorflow.where(pooled > 0, position, np.int8(_SILENT))
    return pooled, position


def _maximum_gradient(gradient: Tensor, position: Tensor, axes: Axes) -> tuple[Tensor, Tensor]:
    """The gradients with respect to the windows and the bias of `_maximum`.

    That of the windows has as few axes as tell the windows' numbers apart, in the same order: XLA's
    loops over many short axes take twice as long or more.
    """
    _, _, columns, filters = position.shape
    apart: tuple[int, ...] = (-1, 1, columns, 1, filters)
    positions: tuple[int, ...] = (2, 1, 2, 1)
    if axes == _GROUPED:
        apart, positions = (-1, 1, filters), (len(_POSITIONS), 1)
    windows = tensorflow.where(
        tensorflow.reshape(position, apart)
        == np.arange(len(_POSITIONS), dtype=np.int8).reshape(positions),
        tensorflow.reshape(gradient, apart),
        0.0,
    )
    alive = tensorflow.where(position < _SILENT, gradient, 0.0)
    # Summed over images and rows first: long rows are added to each other faster than short ones.
    by_column = tensorflow.reduce_sum(tensorflow.reshape(alive, (-1, columns * filters)), axis=0)
    bias = tensorflow.reduce_sum(tensorflow.reshape(by_column, (columns, filters)), axis=0)
    return windows, bias
