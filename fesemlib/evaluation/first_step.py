"""How far the first step of training moves a hidden unit, and what keeps units alive."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.dataset import Dataset
from fesemlib.network.architecture import SMALLEST_SIDE, build_network, load_tensorflow
from fesemlib.network.engine import InputScale
from fesemlib.network.inputs import network_inputs, processed_micrographs, shrunk_input
from fesemlib.params import NetworkParameters, Parameters
from fesemlib.processing import input_shape
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


class FirstStep(NamedTuple):
    """The hidden units before training, and the reach of the first step."""

    inputs: int  # numbers that every hidden unit takes in
    scale: float  # root mean square, over images and units, before the ReLU
    shift: float  # how far one step moves that, averaged over the images
    ratio: float  # shift in units of the scale


def first_step(
    network: keras.Model, images: npt.NDArray[np.float32], learning_rate: float
) -> FirstStep:
    """How far Adam's first step moves the hidden units of a network with its first weights.

    `images` are as the network is shown them, (n, h, w).

    In the first step Adam's mean and root mean square of a gradient are the gradient and its size,
    so that every weight moves by the learning rate, whatever the gradient (Kingma & Ba, ICLR 2015,
    Algorithm 1 at t = 1). The inputs x of the hidden layer are not negative. Where all images push
    a unit to the same side, all its weights move to that side, and the unit by the learning rate
    times Σx: it grows with the number of inputs, while the first weights are drawn so that the
    unit's scale does not.
    """
    keras = load_tensorflow().keras
    dense = network.get_layer("dense")
    below = keras.Model(network.inputs[0], dense.input)
    inputs = np.concatenate([np.asarray(below(image[np.newaxis, ..., None])) for image in images])
    before = inputs @ dense.kernel.numpy() + dense.bias.numpy()
    scale = float(np.sqrt(np.mean(before**2)))
    shift = float(learning_rate * inputs.sum(axis=1).mean())
    return FirstStep(inputs.shape[1], scale, shift, shift / scale)


def first_step_by_width(dataset: Dataset, parameters: Parameters) -> pd.DataFrame:
    """`FirstStep` at widths of the input from the full one downwards, and at ours."""
    images = processed_micrographs(dataset, parameters)
    halves = {dataset.shape[1] // 2**power for power in range(5)}
    widths = sorted(
        width
        for width in halves | {parameters.input_width}
        if min(input_shape(dataset.shape, width)) >= SMALLEST_SIDE
    )
    steps = []
    for width in widths:
        small = np.stack([shrunk_input(image, width) for image in images])
        shown = InputScale.fit(small, parameters).of(small)
        network = build_network(
            (small.shape[1], small.shape[2]),
            **NetworkParameters.values_of(parameters),
            seed=parameters.first_seed,
        )
        steps.append(first_step(network, shown, parameters.learning_rate))
    return pd.DataFrame(steps, pd.Index(widths, name="input width"))


def trainings_by_remedy(dataset: Dataset, parameters: Parameters) -> pd.DataFrame:
    """What each of the `REMEDIES` does to steps and silent units, at two widths of the input.

    A row a training: ``width, remedy, steps, training_error, silent``, the last the number of
    hidden units that give zero for every micrograph trained on. What `held_out_example` names is
    held out, from three seeds.
    """
    held_out = dataset.formulation_or_first(parameters.held_out_example)
    seeds = range(parameters.first_seed, parameters.first_seed + REMEDY_SEEDS)
    splits = [Split((held_out,), seed=seed, keep_network=True, to_criterion=True) for seed in seeds]
    tables = []
    for width, fewer in remedy_effort(dataset, parameters).items():
        for remedy, changes in REMEDIES.items():
            effort = {"input_width": width, "epochs": fewer, "longer_training": 1}
            used = parameters.changed(**effort, **changes)
            runs = training_summary(train_splits(dataset, used, splits))
            trained_on = network_inputs(dataset, used)[dataset.images["formulation"] != held_out]
            networks = kept_networks(dataset, used, splits)
            steps = runs["epoch"] * np.ceil(runs["images"] / used.batch_size)
            silent = [_silent_units(each.model, trained_on) for each in networks]
            tables.append(runs.assign(width=width, remedy=remedy, steps=steps, silent=silent))
    table = pd.concat(tables, ignore_index=True)
    return table[["width", "remedy", "steps", "training_error", "silent"]]


def remedy_effort(dataset: Dataset, parameters: Parameters) -> dict[int, int]:
    """The widths at which `trainings_by_remedy` trains, and the most epochs at each.

    The second width is four times `input_width`, or as much as the micrographs have, and may take
    as many times fewer epochs.
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
