"""Texture statistics against closed forms, and what they must not depend on."""

import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import gaussian

from fesemlib.texture import (
    charging_amplitude,
    cooccurrence_contrast,
    correlation_length,
    power_spectrum_slope,
    real_frames,
    statistics,
)

EVERY = [power_spectrum_slope, cooccurrence_contrast, charging_amplitude, correlation_length]


def to_grey(values: np.ndarray, mean: float = 128, deviation: float = 30) -> np.ndarray:
    values = (values - values.mean()) / values.std()
    return np.clip(np.rint(mean + deviation * values), 0, 255).astype(np.uint8)


def white(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def coloured_noise(exponent: float, shape: tuple[int, int] = (384, 512)) -> np.ndarray:
    """Noise whose power falls as the frequency to the power of −exponent."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :])
    frequency[0, 0] = 1
    return to_grey(np.fft.ifft2(np.fft.fft2(white(shape)) * frequency ** (-exponent / 2)).real)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0])
def test_slope_of_coloured_noise_is_its_exponent(exponent):
    assert power_spectrum_slope(coloured_noise(exponent)) == pytest.approx(-exponent, abs=0.1)


def test_slope_does_not_need_matching_borders():
    """A cut out of a larger image has other values at opposite borders."""
    cut = coloured_noise(3.0, (800, 1000))[100:484, 200:712]
    assert power_spectrum_slope(cut) == pytest.approx(-3, abs=0.2)


def test_contrast_of_a_checkerboard():
    """Two levels, 4 and 12 of 16: side by side always different, diagonally never."""
    board = np.indices((32, 48)).sum(axis=0) % 2 * np.uint8(100)
    assert cooccurrence_contrast(board.astype(np.uint8)) == pytest.approx((12 - 4) ** 2 / 2)


def test_contrast_of_two_halves():
    """Only pairs across the one border differ: 1 of 31 side by side, and 2 × 1 of 31 diagonally."""
    image = np.zeros((32, 32), dtype=np.uint8)
    image[:, 16:] = 200
    assert cooccurrence_contrast(image) == pytest.approx(8**2 * (1 + 1 + 1 + 0) / 31 / 4)


def test_contrast_of_noise_is_that_of_independent_levels():
    noise = np.random.default_rng(1).integers(0, 256, (400, 400)).astype(np.uint8)
    assert cooccurrence_contrast(noise) == pytest.approx((16**2 - 1) / 6, rel=0.01)


def test_contrast_does_not_depend_on_the_histogram():
    image = coloured_noise(2.0) // 4  # levels 0 to 63
    curve = np.rint(255 * (np.arange(64) / 63) ** 1.2).astype(np.uint8)
    assert (np.diff(curve.astype(int)) > 0).all()
    assert cooccurrence_contrast(curve[image]) == cooccurrence_contrast(image)


@pytest.mark.parametrize("amplitude", [0.1, 0.4])
def test_charging_of_a_ramp(amplitude):
    """Blurred by a twelfth of the width and mirrored, it ends at the mean of a folded normal."""
    ramp = np.tile(np.linspace(1 - amplitude / 2, 1 + amplitude / 2, 2048), (1536, 1))
    image = (150 * ramp + 10 * white(ramp.shape)).round().astype(np.uint8)
    at, sigma = 0.05, 1 / 12
    folded = sigma * math.sqrt(2 / math.pi) * math.exp(-((at / sigma) ** 2) / 2)
    folded += at * math.erf(at / sigma / math.sqrt(2))
    assert charging_amplitude(image) == pytest.approx((1 - 2 * folded) * amplitude, rel=0.01)


def test_charging_of_a_gaussian_shade():
    y, x = np.indices((768, 1024))
    shade = 0.5 * np.exp(-((x - 512) ** 2 + (y - 384) ** 2) / 2 / 200**2)
    image = np.rint(180 * (1 - shade)).astype(np.uint8)
    # Independent: the blur of a Gaussian is a wider, lower Gaussian, its percentiles counted.
    variance = 200**2 + (1024 / 12) ** 2
    blurred = 1 - 0.5 * 200**2 / variance * np.exp(
        -((x - 512) ** 2 + (y - 384) ** 2) / 2 / variance
    )
    low, high = np.percentile(blurred, [5, 95])
    assert charging_amplitude(image) == pytest.approx((high - low) / blurred.mean(), rel=0.03)


def test_fine_texture_is_no_charging():
    assert charging_amplitude(to_grey(white((768, 1024)))) < 0.01


@pytest.mark.parametrize("sigma", [2.0, 4.0, 8.0])
def test_correlation_length_of_blurred_noise(sigma):
    """Its correlation is exp(−r²/4σ²), a quarter at 2σ √ln 4."""
    lengths = [
        correlation_length(to_grey(gaussian(white((768, 1024), seed), sigma, mode="wrap")))
        for seed in range(4)
    ]
    assert np.mean(lengths) == pytest.approx(2 * sigma * np.log(4) ** 0.5, rel=0.05)


def test_correlation_length_grows_with_the_image():
    image = to_grey(gaussian(white((300, 400)), 4, mode="wrap"))
    twice = np.kron(image, np.ones((2, 2), dtype=np.uint8))
    assert correlation_length(twice) == pytest.approx(2 * correlation_length(image), rel=0.02)


@pytest.mark.parametrize("statistic", [power_spectrum_slope, correlation_length])
def test_gain_and_offset_do_not_matter(statistic):
    image = coloured_noise(1.5)
    assert image.max() > image.min() + 20
    shifted = image // 2 * 2
    assert statistic(shifted // 2 + 50) == pytest.approx(statistic(shifted), rel=1e-9)


def test_gain_does_not_matter_to_charging():
    image = coloured_noise(2.5) // 3
    assert charging_amplitude(image * 2) == pytest.approx(charging_amplitude(image), rel=1e-6)


@pytest.mark.parametrize("statistic", EVERY)
@pytest.mark.parametrize("turned", [np.fliplr, np.flipud, lambda image: image[::-1, ::-1]])
def test_mirrored_images_have_the_same_texture(statistic, turned):
    image = to_grey(ndimage.gaussian_filter(white((96, 128)), (1, 3)))
    assert statistic(turned(image)) == pytest.approx(statistic(image), rel=1e-6)


@pytest.mark.parametrize(
    "statistic", [power_spectrum_slope, cooccurrence_contrast, correlation_length]
)
def test_flat_image(statistic):
    with pytest.raises(ValueError, match="grey level 7 throughout"):
        statistic(np.full((96, 128), 7, dtype=np.uint8))


def test_black_image_has_no_shading():
    with pytest.raises(ValueError, match="black throughout"):
        charging_amplitude(np.zeros((96, 128), dtype=np.uint8))


def test_image_too_small_for_the_band():
    with pytest.raises(ValueError, match="image of 16×16 px: too small for the band"):
        power_spectrum_slope(to_grey(white((16, 16))))


def test_correlation_over_the_whole_image():
    image = to_grey(gaussian(white((96, 1024)), 20))  # a quarter is left at 47 px
    with pytest.raises(ValueError, match="correlated over more than a quarter"):
        correlation_length(image)


def test_a_shade_is_no_correlation():
    """The shade's standard deviation is twice the texture's."""
    texture = gaussian(white((768, 1024)), 4, mode="wrap")
    texture /= texture.std()
    ramp = np.linspace(-3.5, 3.5, 1024)
    with_shade = np.rint(128 + 12 * (texture + ramp)).astype(np.uint8)
    without = np.rint(128 + 12 * texture).astype(np.uint8)
    assert correlation_length(with_shade) == pytest.approx(correlation_length(without), rel=0.05)


def test_real_frames_were_measured_with_these_definitions():
    """Pins the definitions: when this fails, measure the real frames anew, then change it."""
    measured = statistics(coloured_noise(2.2))
    assert list(measured) == list(real_frames().columns[2:])
    pinned = [-2.2426, 7.5896, 0.29770, 12.186]
    assert list(measured.values()) == pytest.approx(pinned, rel=1e-3)
