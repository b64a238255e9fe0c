"""How far the first step of training moves a hidden unit, and what keeps units alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.dataset import Dataset
from fesemlib.network.architecture import SMALLEST_SIDE, build_network, load_tensorflow
from fesemlib.network.engine import InputScale
from fesemlib.network.inputs import network_inputs, processed_micrographs
from fesemlib.params import NetworkParameters, Parameters
from fesemlib.processing.background import input_shape, resize_by_area
from fesemlib.validation.leave_one_out import Split, kept_networks, train_splits, training_summary

if TYPE_CHECKING:
    import keras

REMEDIES: dict[str, dict[str, object]] = {
    "as it is": {},
    "centred": {"input_scaling": "centred"},
    "standardised": {"input_scaling": "standardised"},
    "first step limited": {"limit_first_step": True},
    "cosine schedule": {"learning_rate_schedule": "cosine"},
}
"""Ways to keep hidden units alive, and the parameters that they change."""

_WIDER = 4  # times the width of the input
REMEDY_SEEDS = 3


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
        From `fesemlib.network.architecture.build_network`.
    images
        As the network is shown them, shape (n, h, w).
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
        small = np.stack([resize_by_area(image, width) for image in images]) / np.float32(255)
        shown = InputScale.fit(small, parameters).of(small)
        network = build_network(
            (small.shape[1], small.shape[2]),
            **NetworkParameters.values_of(parameters),
            seed=parameters.first_seed,
        )
        found = first_step(network, shown, parameters.learning_rate)
        rows[width] = {
            "inputs": found.inputs,
            "scale": found.scale,
            "shift": found.shift,
            "ratio": found.ratio,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("input width")


def trainings_by_remedy(dataset: Dataset, parameters: Parameters) -> pd.DataFrame:
    """What each of the `REMEDIES` does to steps and silent units, at two widths of the input.

    Parameters
    ----------
    dataset
        The micrographs.
    parameters
        Of the training; what `held_out_example` names is held out, from three seeds. The second
        width is four times `input_width`, or as much as the micrographs have, and may take as many
        times fewer epochs.

    Returns
    -------
    DataFrame
        A row a training: ``width, remedy, steps, training_error, silent``, the last the number of
        hidden units that give zero for every micrograph trained on.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(48, 64))
    ...     parameters = Parameters(input_width=32, epochs=1, parallel_jobs=1)
    ...     table = trainings_by_remedy(dataset, parameters)
    >>> table.groupby("width").size().to_dict()
    {32: 15, 64: 15}
    """
    held_out = dataset.formulation_or_first(parameters.held_out_example)
    seeds = range(parameters.first_seed, parameters.first_seed + REMEDY_SEEDS)
    splits = [Split((held_out,), seed=seed, keep_network=True, to_criterion=True) for seed in seeds]
    tables = []
    for width, fewer in remedy_effort(dataset, parameters).items():
        for remedy, changes in REMEDIES.items():
            changed = {"input_width": width, "epochs": fewer, "longer_training": 1, **changes}
            used = parameters.model_copy(update=changed)
            summary = training_summary(train_splits(dataset, used, splits))
            trained_on = network_inputs(dataset, used)[dataset.images["formulation"] != held_out]
            tables.append(
                pd.DataFrame(
                    {
                        "width": width,
                        "remedy": remedy,
                        "steps": summary["epoch"] * np.ceil(summary["images"] / used.batch_size),
                        "training_error": summary["training_error"],
                        "silent": [
                            _silent_units(network.model, trained_on)
                            for network in kept_networks(dataset, used, splits)
                        ],
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def remedy_effort(dataset: Dataset, parameters: Parameters) -> dict[int, int]:
    """The widths at which `trainings_by_remedy` trains, and the most epochs at each.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> dataset = SimpleNamespace(shape=(1536, 2048))
    >>> remedy_effort(dataset, Parameters(input_width=128, epochs=1200))
    {128: 1200, 512: 300}
    """
    own = parameters.input_width
    widths = (own, min(_WIDER * own, dataset.shape[1]))
    return {width: max(parameters.epochs * own // width, 1) for width in widths}


def _silent_units(network: keras.Model, images: npt.NDArray[np.float32]) -> int:
    """How many hidden units give zero for each of these images."""
    values = images[..., np.newaxis]
    for layer in network.layers[:-1]:
        values = layer(values)
    return int((np.asarray(values) == 0).all(axis=0).sum())
