"""The network against counting by hand and a forward pass in plain NumPy."""

import sys

import numpy as np
import pytest
from scipy.signal import correlate

import fesemlib.network.architecture
from fesemlib.network.architecture import (
    FILTERS,
    HIDDEN_UNITS,
    build_network,
    layer_table,
    load_tensorflow,
    number_of_weights,
    training_device,
)


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
    assert number_of_weights(shape, padding) == network.count_params()
    averaged = build_network(shape, padding=padding, head="global_average")
    assert number_of_weights(shape, padding, "global_average") == averaged.count_params()
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


@pytest.mark.parametrize("shape", [(22, 30), (96, 128)])
def test_with_averaged_maps_the_number_of_parameters_does_not_depend_on_the_size(shape):
    network = build_network(shape, head="global_average")
    convolutions = sum(
        9 * channels * filters + filters
        for channels, filters in zip((1, *FILTERS), FILTERS, strict=False)
    )
    by_hand = convolutions + (FILTERS[-1] + 1) * HIDDEN_UNITS + HIDDEN_UNITS + 1
    assert network.count_params() == by_hand == 1685


class Tensorflow:
    """What loading uses of a TensorFlow that sees graphics processors."""

    def __init__(self, processors: list[str]) -> None:
        self.asked: list[object] = []
        self.config = self
        self.experimental = self
        self.processors = processors

    def list_physical_devices(self, kind: str) -> list[str]:
        return self.processors if kind == "GPU" else []

    def set_memory_growth(self, processor: str, grow: bool) -> None:
        self.asked.append((processor, grow))

    def enable_op_determinism(self) -> None:
        self.asked.append("determinism")

    def get_logger(self) -> "Tensorflow":
        return self

    def setLevel(self, _: str) -> None:  # noqa: N802
        pass


@pytest.mark.parametrize("processors", [[], ["one", "other"]])
def test_graphics_processors_are_shared_and_repeatable(monkeypatch, tmp_path, processors):
    """No machine with one takes part in the tests: this follows TensorFlow's documentation."""
    fake = Tensorflow(processors)
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    monkeypatch.setattr(
        fesemlib.network.architecture, "load_tensorflow", load_tensorflow.__wrapped__
    )
    assert fesemlib.network.architecture.load_tensorflow() is fake
    expected = [*((each, True) for each in processors), "determinism"] if processors else []
    assert fake.asked == expected
    driver = tmp_path / "version"
    monkeypatch.setattr(
        fesemlib.network.architecture, "NVIDIA_DRIVERS", (tmp_path / "other", driver)
    )
    assert training_device() == "CPU"
    driver.touch()
    assert training_device() == ("GPU" if processors else "CPU")
