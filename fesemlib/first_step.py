"""How far the first step of training moves a hidden unit, beside the unit's own scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.dataset import Dataset
from fesemlib.inputs import processed_micrographs
from fesemlib.network import SMALLEST_SIDE, build_network, load_tensorflow
from fesemlib.params import Parameters
from fesemlib.processing import input_shape, resize_by_area

if TYPE_CHECKING:
    import keras

__all__ = ["FirstStep", "first_step", "first_step_by_width"]


@dataclass(frozen=True)
class FirstStep:
    """The hidden units before training, and the reach of the first step.

    Attributes
    ----------
    inputs
        Numbers that every hidden unit takes in.
    scale
        Root mean square, over images and units, of what the units have before the ReLU.
    shift
        How far one step moves that, averaged over the images.

    Examples
    --------
    >>> FirstStep(inputs=6144, scale=0.5, shift=0.25).ratio
    0.5
    """

    inputs: int
    scale: float
    shift: float

    @property
    def ratio(self) -> float:
        """The shift in units of the scale."""
        return self.shift / self.scale


def first_step(
    network: keras.Model, images: npt.NDArray[np.float32], learning_rate: float
) -> FirstStep:
    """How far Adam's first step moves the hidden units of a network with its first weights.

    Parameters
    ----------
    network
        From `fesemlib.network.build_network`.
    images
        Inputs in [0, 1], shape (n, h, w).
    learning_rate
        Of Adam.

    Notes
    -----
    In the first step Adam's mean and root mean square of a gradient are the gradient and its
    size, so that every weight moves by the learning rate, whatever the gradient [1]_. The inputs x
    of the hidden layer are not negative. Where all images push a unit to the same side, all its
    weights move to that side, and the unit by the learning rate times Σx: it grows with the number
    of inputs, while the first weights are drawn so that the unit's scale does not.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015,
       Algorithm 1 at t = 1.

    Examples
    --------
    The first step moves a hidden unit by the learning rate times the sum of its inputs:

    >>> images = np.random.default_rng(0).random((2, 24, 32), np.float32)
    >>> found = first_step(build_network((24, 32)), images, learning_rate=1e-3)
    >>> twice = first_step(build_network((24, 32)), images, learning_rate=2e-3)
    >>> found.inputs, round(twice.shift / found.shift, 6)
    (192, 2.0)
    """
    keras = load_tensorflow().keras
    dense = network.get_layer("dense")
    below = keras.Model(network.inputs[0], dense.input)
    inputs = np.concatenate([np.asarray(below(image[np.newaxis, ..., None])) for image in images])
    before = inputs @ dense.kernel.numpy() + dense.bias.numpy()
    return FirstStep(
        inputs=inputs.shape[1],
        scale=float(np.sqrt(np.mean(before**2))),
        shift=float(learning_rate * inputs.sum(axis=1).mean()),
    )


def first_step_by_width(dataset: Dataset, parameters: Parameters) -> pd.DataFrame:
    """How far the first step goes at widths of the input from the full one downwards, and at ours.

    Parameters
    ----------
    dataset
        The micrographs.
    parameters
        Those of processing and network, and the learning rate.

    Returns
    -------
    DataFrame
        Indexed by ``input width``: ``inputs``, ``scale``, ``shift`` and ``ratio`` of `FirstStep`.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     table = first_step_by_width(dataset, Parameters(input_width=64))
    >>> table["inputs"].to_dict()
    {32: 192, 64: 768, 128: 3072}
    """
    images = processed_micrographs(dataset, parameters)
    full = dataset.shape[1]
    halves = {full // 2**power for power in range(5)}
    widths = sorted(
        width
        for width in halves | {parameters.input_width}
        if min(input_shape(dataset.shape, width)) >= SMALLEST_SIDE
    )
    rows = {}
    for width in widths:
        small = np.stack([resize_by_area(image, width) / 255 for image in images])
        network = build_network(
            (small.shape[1], small.shape[2]),
            padding=parameters.padding,
            initializer=parameters.initializer,
            seed=parameters.first_seed,
            head=parameters.head,
        )
        found = first_step(network, small.astype(np.float32), parameters.learning_rate)
        rows[width] = {
            "inputs": found.inputs,
            "scale": found.scale,
            "shift": found.shift,
            "ratio": found.ratio,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("input width")
