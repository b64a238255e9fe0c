"""The convolutional network of Section 4.1, from Keras' own layers.

`fast_network` computes the same function of the same variables in less time.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    import keras

FILTERS = (4, 8, 16)
HIDDEN_UNITS = 10

# Linux, and Linux within Windows.
NVIDIA_DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))

SMALLEST_SIDE = 22  # px: three times "valid" convolution and pooling leave one number


@cache
def load_tensorflow() -> Any:
    """Import TensorFlow without the lines that it writes when it starts.

    Where it finds graphics processors, it takes their memory as it needs it, and is told to use
    only operations that are repeatable to the last bit.

    They reach stderr before any setting of TensorFlow's can stop them, so the file descriptor is
    turned away while it is imported. Errors are raised as ever.

    Examples
    --------
    >>> load_tensorflow() is load_tensorflow()  # imported once, without a word
    True
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
    tensorflow.get_logger().setLevel("ERROR")
    graphics_processors = tensorflow.config.list_physical_devices("GPU")
    for processor in graphics_processors:
        tensorflow.config.experimental.set_memory_growth(processor, True)
    if graphics_processors:
        tensorflow.config.experimental.enable_op_determinism()
    return tensorflow


def training_device() -> str:
    """``"GPU"`` where TensorFlow can use a graphics processor of NVIDIA's, else ``"CPU"``.

    TensorFlow is imported only where there is a driver for one.

    Examples
    --------
    >>> training_device() in ("CPU", "GPU")
    True
    """
    if not any(driver.exists() for driver in NVIDIA_DRIVERS):
        return "CPU"
    return "GPU" if load_tensorflow().config.list_physical_devices("GPU") else "CPU"


def build_network(
    input_shape: tuple[int, int],
    padding: str = "same",
    dropout_rate: float = 0.5,
    dropout_position: str = "flatten",
    initializer: str = "glorot_uniform",
    seed: int = 0,
    head: str = "flatten",
    input_scale: tuple[float, float] = (0.0, 1.0),
) -> keras.Model:
    """Build the paper's network.

    Three blocks of a 3 × 3 convolution with ReLU (4, 8, 16 filters) and 2 × 2 max pooling, then
    a dense layer of ten ReLU units and a single linear unit.

    Parameters
    ----------
    input_shape
        Shape (H, W) of the input images in px; one grey channel is added.
    padding
        ``"same"`` or ``"valid"``, for the convolutions.
    dropout_rate
        Share of units that are dropped in training.
    dropout_position
        ``"flatten"``: before the dense layer of ten units; ``"dense"``: after it.
    initializer
        Keras' name of the initial distribution of all weights.
    seed
        Seed of the initial weights and of the dropout.
    head
        What stands between the blocks and the dense layer: ``"flatten"``, the paper's, gives every
        place of every feature map a weight of its own; ``"global_average"`` averages each map, so
        that the number of weights does not depend on the size of the images.
    input_scale
        Offset and factor of a first layer that gives (image − offset) · factor to the others; there
        is none for 0 and 1.

    Returns
    -------
    keras.Model
        Not compiled; maps (n, H, W, 1) to (n, 1).

    Raises
    ------
    ValueError
        When the images are too small for three blocks.

    References
    ----------
    Section 4.1 and Figure 4.

    Examples
    --------
    >>> build_network((1536, 2048)).count_params(), build_network((48, 64)).count_params()
    (7865845, 9205)
    >>> build_network((48, 64), head="global_average").count_params()
    1685
    """
    keras = load_tensorflow().keras
    layers = keras.layers
    check_input_shape(input_shape)

    def initial(number: int) -> Any:
        configuration = {"class_name": initializer, "config": {"seed": seed + number}}
        return keras.initializers.get(configuration)

    dropout = layers.Dropout(dropout_rate, seed=seed, name="dropout")
    offset, factor = input_scale
    stack: list[Any] = [keras.Input((*input_shape, 1))]
    if (offset, factor) != (0.0, 1.0):
        stack.append(layers.Rescaling(factor, -offset * factor, name="input_scale"))
    for number, filters in enumerate(FILTERS, start=1):
        stack += [
            layers.Conv2D(
                filters,
                kernel_size=3,
                padding=padding,
                activation="relu",
                kernel_initializer=initial(number),
                name=f"convolution_{number}",
            ),
            layers.MaxPooling2D(pool_size=2, name=f"pooling_{number}"),
        ]
    if head == "global_average":
        stack.append(layers.GlobalAveragePooling2D(name="global_average"))
    else:
        stack.append(layers.Flatten(name="flatten"))
    dense = layers.Dense(HIDDEN_UNITS, "relu", kernel_initializer=initial(4), name="dense")
    stack += [dropout, dense] if dropout_position == "flatten" else [dense, dropout]
    stack.append(layers.Dense(1, kernel_initializer=initial(5), name="k_m"))
    return keras.Sequential(stack, name="paper_network")  # all at once: `add` builds it each time


def number_of_weights(
    input_shape: tuple[int, int], padding: str = "same", head: str = "flatten"
) -> int:
    """How many weights and biases a network has; it is not built, nor TensorFlow imported.

    Parameters
    ----------
    input_shape, padding, head
        As for `build_network`.

    Examples
    --------
    >>> number_of_weights((1536, 2048)), number_of_weights((48, 64), head="global_average")
    (7865845, 1685)
    """
    number, channels = 0, 1
    for filters in FILTERS:
        number += (3 * 3 * channels + 1) * filters
        channels = filters
    inputs = number_of_inputs(input_shape, padding, head)
    return number + (inputs + 1) * HIDDEN_UNITS + HIDDEN_UNITS + 1


def number_of_inputs(
    input_shape: tuple[int, int], padding: str = "same", head: str = "flatten"
) -> int:
    """How many numbers each unit of the dense layer takes in.

    Parameters
    ----------
    input_shape, padding, head
        As for `build_network`.

    Examples
    --------
    >>> number_of_inputs((1536, 2048)), number_of_inputs((48, 64), head="global_average")
    (786432, 16)
    """
    check_input_shape(input_shape)
    height, width = input_shape
    lost = 2 if padding == "valid" else 0
    for _ in FILTERS:
        height, width = (height - lost) // 2, (width - lost) // 2
    return FILTERS[-1] if head == "global_average" else height * width * FILTERS[-1]


def initial_weights(network: keras.Model, seed: int) -> list[npt.NDArray[np.float32]]:
    """The weights with which a network would begin, had it been built with another seed.

    To draw them takes a small part of the time of building it.

    Parameters
    ----------
    network
        From `build_network`.
    seed
        As for `build_network`.

    Returns
    -------
    list of ndarray
        In Keras' order.

    Examples
    --------
    >>> first, second = (build_network((24, 32), seed=seed) for seed in (1, 2))
    >>> drawn = initial_weights(first, seed=2)
    >>> all(map(np.array_equal, drawn, second.get_weights()))
    True
    """
    weights = []
    layers = [layer for layer in network.layers if layer.weights]
    for number, layer in enumerate(layers, start=1):
        kernel, bias = layer.weights
        told = {**layer.kernel_initializer.get_config(), "seed": seed + number}
        initializer = type(layer.kernel_initializer).from_config(told)
        weights += [
            np.asarray(initializer(kernel.shape)),
            np.asarray(layer.bias_initializer(bias.shape)),
        ]
    return weights


def check_input_shape(shape: tuple[int, int]) -> None:
    """Raise a ValueError when images of this shape (H, W) are too small for the three blocks.

    Examples
    --------
    >>> check_input_shape((22, 22))
    >>> try:
    ...     check_input_shape((21, 28))
    ... except ValueError as error:
    ...     print(str(error).split(":")[0])
    input of 28×21 px
    """
    if min(shape) < SMALLEST_SIDE:
        raise ValueError(
            f"input of {shape[1]}×{shape[0]} px: three convolutions with pooling need at least "
            f"{SMALLEST_SIDE} px on both sides; raise input_width"
        )


def layer_table(network: keras.Model) -> pd.DataFrame:
    """The layers of a network: type, shape of the output, number of parameters.

    Parameters
    ----------
    network
        Any network whose layers have one output each.

    Returns
    -------
    DataFrame
        Indexed by the layers' names: ``type``, ``output`` (height × width × channels, or units)
        and ``parameters``.

    Examples
    --------
    >>> table = layer_table(build_network((48, 64)))
    >>> table.loc["convolution_1"].to_dict()
    {'type': 'Conv2D', 'output': '48 × 64 × 4', 'parameters': 40}
    """
    rows = {
        layer.name: {
            "type": type(layer).__name__,
            "output": " × ".join(str(side) for side in layer.output.shape[1:]),
            "parameters": layer.count_params(),
        }
        for layer in network.layers
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("layer")
