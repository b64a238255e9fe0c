"""How far Adam's first step moves the hidden units."""

from __future__ import annotations

import numpy as np
import pytest

from fesemlib.dataset import draw_stand_ins
from fesemlib.evaluation.first_step import (
    REMEDIES,
    REMEDY_SEEDS,
    first_step,
    first_step_by_width,
    remedy_effort,
    trainings_by_remedy,
)
from fesemlib.network.architecture import build_network, load_tensorflow
from fesemlib.params import Parameters

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


@pytest.mark.usefixtures("shared_build")
def test_widths_go_down_from_the_full_one_to_the_smallest_that_the_network_takes():
    table = first_step_by_width(draw_stand_ins(2, 0, (96, 128)), Parameters(input_width=64))
    assert table["inputs"].to_dict() == {32: 192, 64: 768, 128: 3072}
    assert list(table["ratio"]) == pytest.approx(list(table["shift"] / table["scale"]))


@pytest.mark.slow
@pytest.mark.usefixtures("shared_build")
def test_every_remedy_is_tried_at_two_widths():
    data = draw_stand_ins(2, 0, (48, 64))
    parameters = Parameters(input_width=32, epochs=4, parallel_jobs=1)
    assert remedy_effort(data, parameters) == {32: 4, 64: 2}
    table = trainings_by_remedy(data, parameters)
    counts = table.groupby(["width", "remedy"]).size()
    assert set(counts.index.unique("width")) == {32, 64}
    assert set(counts.index.unique("remedy")) == set(REMEDIES)
    assert (counts == REMEDY_SEEDS).all()
    assert table["silent"].between(0, 10).all()
