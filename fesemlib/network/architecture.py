"""The convolutional network of Section 4.1, from Keras' own layers.

`fesemlib.network.fast` computes the same function of the same variables in less time.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import keras

FILTERS = (4, 8, 16)
HIDDEN_UNITS = 10

# Linux, and Linux within Windows.
NVIDIA_DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))

Shape = tuple[int, int]  # (H, W) in px

SMALLEST_SIDE = 22  # px: three times "valid" convolution and pooling leave one number


@cache
def load_tensorflow() -> Any:
    """Import TensorFlow without the lines that it writes when it starts."""
    # They come before any setting can stop them, so that the file descriptor is turned away.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import tensorflow
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    tensorflow.get_logger().setLevel("ERROR")
    graphics_processors = tensorflow.config.list_physical_devices("GPU")
    for processor in graphics_processors:  # take their memory as it is needed
        tensorflow.config.experimental.set_memory_growth(processor, True)
    if graphics_processors:  # only operations that are repeatable to the last bit
        tensorflow.config.experimental.enable_op_determinism()
    return tensorflow


class _Lazy:
    """TensorFlow, which takes seconds to import, from its first use on."""

    def __getattr__(self, name: str) -> Any:
        return getattr(load_tensorflow(), name)


tensorflow: Any = _Lazy()


def training_device() -> str:
    """``"GPU"`` where there is a driver of NVIDIA's and TensorFlow can use it, else ``"CPU"``."""
    if not any(driver.exists() for driver in NVIDIA_DRIVERS):
        return "CPU"
    return "GPU" if load_tensorflow().config.list_physical_devices("GPU") else "CPU"


def build_network(
    input_shape: Shape,
    padding: str = "same",
    dropout_rate: float = 0.5,
    dropout_position: str = "flatten",
    initializer: str = "glorot_uniform",
    seed: int = 0,
    head: str = "flatten",
    input_scale: tuple[float, float] = (0.0, 1.0),
) -> keras.Model:
    """Build the paper's network (Section 4.1, Figure 4).

    Three blocks of a 3 × 3 convolution with ReLU (4, 8, 16 filters) and 2 × 2 max pooling, then
    a dense layer of ten ReLU units and a single linear unit.

    Parameters
    ----------
    input_shape
        Shape (H, W) of the input images in px; one grey channel is added.
    padding, dropout_rate, dropout_position, initializer, head
        See `fesemlib.params.NetworkParameters`.
    seed
        Of the initial weights and of the dropout.
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

    Examples
    --------
    >>> build_network((1536, 2048)).count_params(), build_network((48, 64)).count_params()
    (7865845, 9205)
    """
    check_input_shape(input_shape)
    keras = tensorflow.keras
    layers = keras.layers

    def initial(number: int) -> Any:
        configuration = {"class_name": initializer, "config": {"seed": seed + number}}
        return keras.initializers.get(configuration)

    dropout = layers.Dropout(dropout_rate, seed=seed, name="dropout")
    offset, factor = input_scale
    stack: list[Any] = [keras.Input((*input_shape, 1))]
    if (offset, factor) != (0.0, 1.0):
        stack.append(layers.Rescaling(factor, -offset * factor, name="input_scale"))
    for number, filters in enumerate(FILTERS, start=1):
        options = {"padding": padding, "activation": "relu", "kernel_initializer": initial(number)}
        stack += [
            layers.Conv2D(filters, kernel_size=3, name=f"convolution_{number}", **options),
            layers.MaxPooling2D(pool_size=2, name=f"pooling_{number}"),
        ]
    heads = {"flatten": layers.Flatten, "global_average": layers.GlobalAveragePooling2D}
    stack.append(heads[head](name=head))
    dense = layers.Dense(HIDDEN_UNITS, "relu", kernel_initializer=initial(4), name="dense")
    stack += [dropout, dense] if dropout_position == "flatten" else [dense, dropout]
    stack.append(layers.Dense(1, kernel_initializer=initial(5), name="k_m"))
    return keras.Sequential(stack, name="paper_network")  # all at once: `add` builds it each time


def number_of_weights(input_shape: Shape, padding: str = "same", head: str = "flatten") -> int:
    """How many weights and biases a network has, without building it; arguments as there.

    Examples
    --------
    >>> number_of_weights((1536, 2048)), number_of_weights((48, 64), head="global_average")
    (7865845, 1685)
    """
    convolutions = sum((9 * before + 1) * after for before, after in pairwise((1, *FILTERS)))
    dense = (number_of_inputs(input_shape, padding, head) + 1) * HIDDEN_UNITS
    return convolutions + dense + HIDDEN_UNITS + 1


def number_of_inputs(input_shape: Shape, padding: str = "same", head: str = "flatten") -> int:
    """How many numbers each unit of the dense layer takes in; arguments as for `build_network`."""
    check_input_shape(input_shape)
    height, width = input_shape
    lost = 2 if padding == "valid" else 0
    for _ in FILTERS:
        height, width = (height - lost) // 2, (width - lost) // 2
    return FILTERS[-1] if head == "global_average" else height * width * FILTERS[-1]


def check_input_shape(shape: Shape) -> None:
    """Raise a ValueError when images of this shape (H, W) are too small for the three blocks."""
    if min(shape) < SMALLEST_SIDE:
        raise ValueError(
            f"input of {shape[1]}×{shape[0]} px: three convolutions with pooling need at least "
            f"{SMALLEST_SIDE} px on both sides; raise input_width"
        )


def layer_table(network: keras.Model) -> pd.DataFrame:
    """The layers of a network, by name: ``type``, ``output`` and number of ``parameters``.

    The output is height × width × channels, or units.

    Examples
    --------
    >>> layer_table(build_network((48, 64))).loc["convolution_1"].to_dict()
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
