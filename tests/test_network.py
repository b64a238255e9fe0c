"""The network against counting by hand and a forward pass in plain NumPy."""

import numpy as np
import pytest
from scipy.signal import correlate

from fesemlib.network import FILTERS, HIDDEN_UNITS, build_network, layer_table


def parameters_by_hand(height: int, width: int, padding: str) -> int:
    """Weights and biases, layer by layer."""
    count, channels = 0, 1
    for filters in FILTERS:
        count += 3 * 3 * channels * filters + filters
        lost = 0 if padding == "same" else 2
        height, width, channels = (height - lost) // 2, (width - lost) // 2, filters
    count += (height * width * channels + 1) * HIDDEN_UNITS
    return count + HIDDEN_UNITS + 1


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("shape", [(22, 22), (48, 64), (75, 101)])
def test_number_of_parameters(shape, padding):
    network = build_network(shape, padding=padding)
    assert network.count_params() == parameters_by_hand(*shape, padding)
    assert layer_table(network)["parameters"].sum() == network.count_params()


def test_number_of_parameters_at_full_size():
    """The paper's input; counted with pencil and paper."""
    assert parameters_by_hand(1536, 2048, "same") == 7_865_845
    assert build_network((1536, 2048)).count_params() == 7_865_845
    assert build_network((1536, 2048), padding="valid").count_params() == 7_723_125


def naive_prediction(image: np.ndarray, weights: list[np.ndarray]) -> float:
    maps = image[..., np.newaxis].astype(np.float64)
    for kernel, bias in zip(weights[0:6:2], weights[1:6:2], strict=True):
        padded = np.pad(maps, ((1, 1), (1, 1), (0, 0)))
        convolved = np.stack(
            [
                correlate(padded, kernel[..., filter_], mode="valid")[..., 0]
                for filter_ in range(kernel.shape[-1])
            ],
            axis=-1,
        )
        active = np.maximum(convolved + bias, 0)
        height, width = active.shape[0] // 2, active.shape[1] // 2
        blocks = active[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
        maps = blocks.max(axis=(1, 3))
    hidden = np.maximum(maps.ravel() @ weights[6] + weights[7], 0)
    return float((hidden @ weights[8] + weights[9])[0])


def test_prediction_equals_plain_numpy():
    image = np.random.default_rng(0).random((25, 38), dtype=np.float32)
    network = build_network(image.shape, seed=5)
    predicted = network(image[np.newaxis, ..., np.newaxis]).numpy()[0, 0]
    assert predicted == pytest.approx(naive_prediction(image, network.get_weights()), rel=1e-4)


@pytest.mark.parametrize(("position", "before"), [("dense", "dense"), ("flatten", "flatten")])
def test_place_of_the_dropout(position, before):
    network = build_network((32, 32), dropout_position=position, dropout_rate=0.3)
    names = [layer.name for layer in network.layers]
    assert names[names.index("dropout") - 1] == before
    assert network.get_layer("dropout").rate == 0.3


def test_seed_decides_the_weights():
    first, same, other = (build_network((32, 32), seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_initializer_decides_their_spread():
    """Glorot uniform: variance 2 / (fan in + fan out); He normal: 2 / fan in."""
    fan_in, fan_out = 96 * 128 // 64 * 16, HIDDEN_UNITS
    for name, variance in (("glorot_uniform", 2 / (fan_in + fan_out)), ("he_normal", 2 / fan_in)):
        weights = build_network((96, 128), initializer=name).get_layer("dense").get_weights()[0]
        assert weights.shape == (fan_in, fan_out)
        assert weights.var() == pytest.approx(variance, rel=0.05)


def test_too_small_images_are_refused():
    with pytest.raises(ValueError, match=r"30×21 px.*input_width"):
        build_network((21, 30))
