"""Processing against ImageJ's own output, naive implementations, and properties."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy import ndimage
from skimage.transform import downscale_local_mean

from fesemlib.params import Parameters
from fesemlib.processing import (
    equalize_histogram,
    input_shape,
    process,
    process_with,
    resize_by_area,
    subtract_background,
)

IMAGEJ = Path(__file__).parent / "data" / "imagej"

small_images = arrays(
    np.uint8, st.tuples(st.integers(9, 40), st.integers(9, 40)), elements=st.integers(0, 255)
)


def imagej(name: str) -> np.ndarray:
    with Image.open(IMAGEJ / f"synthetic201x238_{name}.png") as picture:
        return np.array(picture)


@pytest.mark.parametrize("background", ["light", "dark"])
@pytest.mark.parametrize("radius", [8, 20, 50, 120])
def test_background_equals_imagej(radius, background):
    ours = subtract_background(imagej("input"), radius, light_background=background == "light")
    difference = np.abs(ours.astype(int) - imagej(f"rb{radius}_{background}"))
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 10


@pytest.mark.parametrize("source", ["input", "rb50_light", "rb50_dark"])
def test_square_root_equalisation_equals_imagej(source):
    reference = f"{'raw' if source == 'input' else source}_equalize_sqrt"
    assert np.array_equal(equalize_histogram(imagej(source), "imagej"), imagej(reference))


def test_classic_equalisation_is_the_cumulative_distribution():
    image = np.clip(imagej("rb50_light"), 1, 254)  # ImageJ counts the two end levels by half
    levels, counts = np.unique(image, return_counts=True)
    # The share of pixels below a level plus half of those at it, on the scale of grey levels.
    share = (np.cumsum(counts) - counts / 2) / image.size
    expected = dict(zip(levels, 255 * share, strict=True))
    ours = equalize_histogram(image)
    for level in levels:
        got = ours[image == level]
        assert np.ptp(got) == 0
        assert got[0] == pytest.approx(expected[level], abs=0.501)


def test_equalised_histogram_is_even():
    rng = np.random.default_rng(0)
    image = np.clip(rng.normal(200, 12, (200, 300)), 0, 255).astype(np.uint8)
    equalized = equalize_histogram(image)
    assert equalized.mean() == pytest.approx(127.5, abs=2)
    assert equalized.std() == pytest.approx(255 / np.sqrt(12), rel=0.03)


@given(small_images)
@settings(deadline=None, max_examples=40)
def test_equalisation_keeps_the_order_of_grey_levels(image):
    for method in ("classic", "imagej"):
        equalized = equalize_histogram(image, method).ravel()
        order = np.argsort(image.ravel(), kind="stable")
        assert np.all(np.diff(equalized[order].astype(int)) >= 0)


@given(small_images, st.sampled_from([3.0, 20.0, 50.0, 150.0]), st.booleans())
@settings(deadline=None, max_examples=40)
def test_dark_background_is_the_negative_of_light(image, radius, smooth):
    light = subtract_background(image, radius, True, smooth).astype(int)
    dark = subtract_background(255 - image, radius, False, smooth).astype(int)
    assert np.abs(light + dark - 255).max() <= 1  # a half is rounded up in both


@given(small_images, st.integers(1, 60), st.sampled_from([5.0, 50.0]))
@settings(deadline=None, max_examples=40)
def test_background_follows_a_constant_shift(image, shift, radius):
    image = image // 2
    shifted = subtract_background((image + shift).astype(np.uint8), radius).astype(int)
    assert np.abs(shifted - subtract_background(image, radius)).max() <= 1


def test_rolling_ball_is_a_grey_opening_where_nothing_is_shrunk():
    """Up to a radius of 10 px ImageJ does not shrink: compare with SciPy's opening by the ball."""
    image = imagej("input")
    radius, half_width = 8.0, 7
    offsets = np.arange(-half_width, half_width + 1)
    ball = np.sqrt(np.maximum(radius**2 - offsets[:, None] ** 2 - offsets**2, 0))
    opened = ndimage.grey_opening(image.astype(float), structure=ball, mode="nearest")
    expected = np.clip(np.floor(image - opened + 0.5), 0, 255)
    ours = subtract_background(image, radius, light_background=False, smooth=False)
    inner = (slice(20, -20), slice(20, -20))  # SciPy's borders differ
    assert np.abs(ours[inner] - expected[inner]).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (3, 5), (4, 4), (9, 2), (7, 200)])
@pytest.mark.parametrize("radius", [1.0, 15.0, 50.0, 200.0])
def test_flat_images_of_any_shape_have_a_flat_background(shape, radius):
    image = np.full(shape, 100, np.uint8)
    assert np.all(subtract_background(image, radius) == 255)
    assert np.all(subtract_background(image, radius, light_background=False) == 0)


def test_charging_is_removed_and_pores_stay():
    rows, columns = np.mgrid[:400, :400]
    pores = 20 * np.sin(rows / 3) * np.sin(columns / 3)
    charge = 60 * np.exp(-((rows - 200) ** 2 + (columns - 200) ** 2) / 2 / 80**2)
    image = np.round(160 + pores - charge).astype(np.uint8)
    subtracted = subtract_background(image).astype(float)
    middle, corner = (slice(180, 220),) * 2, (slice(20, 60),) * 2
    assert abs(image[middle].mean() - image[corner].mean()) > 50
    assert abs(subtracted[middle].mean() - subtracted[corner].mean()) < 5
    assert subtracted.std() > 0.8 * pores.std()


def test_process_returns_every_step():
    image = imagej("input")
    steps = process(image)
    assert np.array_equal(steps.original, image)
    assert np.array_equal(steps.subtracted, imagej("rb50_light"))  # not one of the few that differ
    assert np.array_equal(steps.equalized, equalize_histogram(steps.subtracted))
    untouched = process_with(Parameters(equalization="none"), image)
    assert np.array_equal(untouched.equalized, untouched.subtracted)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((4, 4), np.float32), TypeError),
        (np.zeros((4, 4, 3), np.uint8), ValueError),
        (np.zeros((0, 4), np.uint8), ValueError),
    ],
)
def test_other_images_are_refused(image, error):
    for operation in (subtract_background, equalize_histogram):
        with pytest.raises(error, match=r"uint8|shape"):
            operation(image)


def test_bad_settings_are_refused():
    image = np.zeros((8, 8), np.uint8)
    with pytest.raises(ValueError, match="positive radius"):
        subtract_background(image, 0)
    with pytest.raises(ValueError, match="classic"):
        equalize_histogram(image, "sqrt")


def test_area_average_equals_block_means_for_whole_factors():
    image = np.random.default_rng(1).integers(0, 256, (48, 64)).astype(np.uint8)
    assert np.allclose(resize_by_area(image, 16), downscale_local_mean(image, (4, 4)), rtol=1e-6)


def test_area_average_weights_fractions_of_pixels():
    """Against the plain double sum over the overlaps of old and new pixels."""
    image = np.random.default_rng(2).integers(0, 256, (7, 11)).astype(np.uint8)
    small = resize_by_area(image, 4)
    height, width = small.shape
    assert (height, width) == (3, 4)

    def overlaps(old: int, new: int) -> np.ndarray:
        weights = np.zeros((new, old))
        for i in range(new):
            for j in range(old):
                left, right = max(i * old / new, j), min((i + 1) * old / new, j + 1)
                weights[i, j] = max(right - left, 0) * new / old
        return weights

    expected = overlaps(7, height) @ image @ overlaps(11, width).T
    assert np.allclose(small, expected, rtol=1e-5)


@given(small_images, st.integers(1, 9))
@settings(deadline=None, max_examples=40)
def test_area_average_keeps_the_mean_and_the_range(image, width):
    small = resize_by_area(image, width)
    assert small.mean() == pytest.approx(image.mean(), abs=1e-3)
    assert small.min() >= image.min() - 1e-3
    assert small.max() <= image.max() + 1e-3


def test_enlarging_is_refused():
    with pytest.raises(ValueError, match=r"input_width = 65 px.*64 px wide"):
        resize_by_area(np.zeros((48, 64), np.uint8), 65)


def test_input_shape_keeps_the_aspect_ratio():
    assert input_shape((1536, 2048), 512) == (384, 512)
    assert input_shape((1536, 2048), 2048) == (1536, 2048)
    assert input_shape((1370, 2048), 512) == (342, 512)
