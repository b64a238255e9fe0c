"""How far Adam's first step moves the hidden units."""

from __future__ import annotations

import numpy as np
import pytest

from fesemlib.evaluation.first_step import first_step
from fesemlib.network.architecture import build_network, load_tensorflow

RATE = 1e-3


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((4, 24, 32), dtype=np.float32)


def hidden(network, images):
    keras = load_tensorflow().keras
    below = keras.Model(network.inputs[0], network.get_layer("dense").input)
    dense = network.get_layer("dense")
    return np.asarray(below(images[..., None])) @ dense.kernel.numpy() + dense.bias.numpy()


def test_it_is_what_keras_own_step_does(images):
    """With targets far above the outputs, all images push a unit to one side."""
    keras = load_tensorflow().keras
    network = build_network(images.shape[1:], dropout_rate=0.0, seed=3)
    for layer in network.layers:  # the step of the hidden layer alone
        layer.trainable = layer.name == "dense"
    found = first_step(network, images, RATE)
    before = hidden(network, images)
    network.compile(keras.optimizers.Adam(RATE), loss="mse")
    network.train_on_batch(images[..., None], np.full((4, 1), 100.0, np.float32))
    moved = np.abs(hidden(network, images) - before)
    active = (before > 0).all(axis=0)
    assert active.any()
    bias = RATE  # it moves, too
    assert moved[:, active].mean() - bias == pytest.approx(found.shift, rel=0.01)
    assert found.scale == pytest.approx(np.sqrt((before**2).mean()), rel=1e-5)


def test_the_ratio_grows_with_the_number_of_inputs():
    large = np.full((1, 256, 256), 0.5, np.float32)
    small = large[:, :64, :64]
    found = [
        first_step(build_network(image.shape[1:], seed=0), image, RATE) for image in (small, large)
    ]
    assert found[1].inputs == 16 * found[0].inputs
    assert found[1].ratio / found[0].ratio == pytest.approx(16, rel=0.5)


def test_the_shift_is_proportional_to_the_learning_rate(images):
    network = build_network(images.shape[1:], seed=0)
    once, twice = (first_step(network, images, rate) for rate in (RATE, 2 * RATE))
    assert twice.shift == pytest.approx(2 * once.shift)
    assert twice.scale == once.scale


def test_a_smaller_input_shrinks_step_and_scale_alike(images):
    """Before training there are no biases, so that all is in proportion to the input."""
    network = build_network(images.shape[1:], seed=0)
    whole, tenth = (first_step(network, np.float32(factor) * images, RATE) for factor in (1, 0.1))
    assert tenth.shift == pytest.approx(0.1 * whole.shift, rel=1e-4)
    assert tenth.ratio == pytest.approx(whole.ratio, rel=1e-4)
