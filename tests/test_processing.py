"""Processing against ImageJ's own output, naive implementations, and properties."""

import importlib.util
import tracemalloc
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.transform import downscale_local_mean

from fesemlib.params import Parameters
from fesemlib.processing import (
    central_detail,
    equalize_histogram,
    input_shape,
    process,
    process_with,
    resize_by_area,
    subtract_background,
)

IMAGEJ = Path(__file__).parent / "data" / "imagej"
METHODS = ("classic", "imagej", "clahe", "none")

small_images = arrays(
    np.uint8, st.tuples(st.integers(9, 40), st.integers(9, 40)), elements=st.integers(0, 255)
)
any_images = arrays(
    np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 255)
)
radii = st.sampled_from([0.1, 1.0, 3.0, 10.0, 15.0, 50.0, 150.0])


def load_references(name: str) -> dict[str, np.ndarray]:
    with np.load(IMAGEJ / f"{name}.npz") as arrays:
        return dict(arrays)


LARGE = load_references("large")["image"]
REFERENCES = sorted(path.stem for path in IMAGEJ.glob("*.npz"))
BACKGROUNDS = [name for name in REFERENCES if name != "histograms"]


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_background_equals_imagej_on_every_pixel(name):
    references = load_references(name)
    for (i, radius), light, smooth in product(enumerate(references["radii"]), (0, 1), (0, 1)):
        subtracted, background = subtract_background(
            references["image"], radius, bool(light), bool(smooth), return_background=True
        )
        case = f"radius {radius}, light {light}, smooth {smooth}"
        assert np.array_equal(subtracted, references["subtracted"][i, light, smooth]), case
        if "background" in references:
            assert np.array_equal(background, references["background"][i, light, smooth]), case


def test_references_cover_what_imagej_tells_apart():
    """Radii in every branch and at every limit, white and black areas, flat images."""
    tried = np.concatenate([load_references(name)["radii"] for name in BACKGROUNDS])
    assert {1, 10, 10.5, 30, 31, 100, 101, 200} <= set(tried)
    saturated = load_references("saturated")["image"]
    assert min(np.mean(saturated == 0), np.mean(saturated == 255)) > 0.05
    assert np.ptp(load_references("uniform")["image"]) == 0


@pytest.mark.parametrize("method", ["classic", "imagej"])
@pytest.mark.parametrize("name", REFERENCES)
def test_equalisation_equals_imagej(name, method):
    references = load_references(name)
    images, expected = references["image"], references[method]
    if name != "histograms":
        images, expected = images[np.newaxis], expected[np.newaxis]
    for image, imagej in zip(images, expected, strict=True):
        assert np.array_equal(equalize_histogram(image, method), imagej)


def reference_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_references", IMAGEJ / "make_references.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_script_makes_the_references():
    script = reference_script()
    if reason := script.missing():
        pytest.skip(f"ImageJ cannot be run here: {reason}")
    made = script.references()
    assert sorted(made) == REFERENCES
    for name, expected in made.items():
        references = load_references(name)
        assert references.keys() == expected.keys()
        for kind, array in expected.items():
            assert array.dtype == references[kind].dtype
            assert np.array_equal(array, references[kind]), f"{name}: {kind}"


def test_classic_equalisation_is_the_cumulative_distribution():
    image = np.clip(LARGE, 1, 254)  # ImageJ counts the two end levels by half
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


def test_adaptive_equalisation_stretches_each_part_of_the_image():
    """Two textures of little contrast, dark and light: a single table cannot spread both."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 30, (160, 160)).astype(np.uint8)
    image[:, 80:] += 200
    adaptive, whole = (equalize_histogram(image, method) for method in ("clahe", "classic"))
    for half in (slice(0, 60), slice(100, 160)):
        assert adaptive[:, half].std() > 1.3 * image[:, half].std()
    assert adaptive.mean() == pytest.approx(whole.mean(), rel=0.2)
    dark_of_light, light_of_dark = adaptive[:, 100:].min(), adaptive[:, :60].max()
    assert int(dark_of_light) - light_of_dark < 200 - 30  # the step between the halves shrinks


@pytest.mark.parametrize("level", [0, 100, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (40, 40)])
def test_adaptive_equalisation_leaves_flat_images(shape, level):
    image = np.full(shape, level, np.uint8)
    assert np.array_equal(equalize_histogram(image, "clahe"), image)


def test_no_equalisation_changes_nothing():
    assert np.array_equal(equalize_histogram(LARGE, "none"), LARGE)


@given(any_images, radii, st.booleans(), st.booleans(), st.sampled_from(METHODS))
@settings(deadline=None, max_examples=60)
def test_every_step_keeps_shape_type_and_input(image, radius, light, smooth, method):
    before = image.copy()
    steps = process(image, radius, light, smooth, method)
    for step in (steps.original, steps.background, steps.subtracted, steps.equalized):
        assert step.shape == image.shape
        assert step.dtype == np.uint8
    assert np.array_equal(image, before)


@given(small_images, st.sampled_from([3.0, 20.0, 50.0, 150.0]), st.booleans())
@settings(deadline=None, max_examples=40)
def test_dark_background_is_the_negative_of_light(image, radius, smooth):
    light = subtract_background(image, radius, True, smooth).astype(int)
    dark = subtract_background(255 - image, radius, False, smooth).astype(int)
    assert np.abs(light + dark - 255).max() <= 1  # a half is rounded up in both


@given(small_images, st.integers(1, 127), radii, st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_background_follows_a_constant_shift(image, shift, radius, light, smooth):
    """As far as the image itself stays in the range of grey levels; both results are clipped."""
    image = image // 2
    shifted, unshifted = (
        subtract_background((image + change).astype(np.uint8), radius, light, smooth).astype(int)
        for change in (0, shift)
    )
    assert np.abs(shifted - unshifted).max() <= 1


@given(small_images, radii, st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_background_turns_with_the_image(image, radius, light, smooth):
    """Transposed always; turned and mirrored where whole blocks are shrunk and none is left over.

    The edge of the first block then becomes the edge of the last one.
    """

    def subtract(array: np.ndarray) -> np.ndarray:
        return subtract_background(array, radius, light, smooth).astype(int)

    assert np.abs(subtract(image.T) - subtract(image).T).max() <= 1
    image = image[: image.shape[0] // 8 * 8, : image.shape[1] // 8 * 8]
    for turn in (np.flipud, np.fliplr, lambda array: np.rot90(array, 2)):
        assert np.abs(subtract(turn(image)) - turn(subtract(image))).max() <= 1


@given(small_images, st.sampled_from([0.1, 1.0, 4.0, 10.0]), st.booleans())
@settings(deadline=None, max_examples=40)
def test_background_lies_on_one_side_of_the_image(image, radius, light):
    """Where nothing is smoothed, shrunk or extrapolated, the ball cannot cross the surface."""
    subtracted, background = subtract_background(
        image, radius, light, smooth=False, return_background=True
    )
    side = 1 if light else -1
    assert np.all(side * (background.astype(int) - image) >= 0)
    missing = 255 - subtracted if light else subtracted
    assert np.abs(missing - np.abs(background.astype(int) - image)).max() <= 1


@given(small_images, st.sampled_from([1.0, 4.0, 10.0]))
@settings(deadline=None, max_examples=40)
def test_an_image_that_the_ball_can_touch_is_its_own_background(image, radius):
    """An opening of an opening changes nothing, but for the rounding to grey levels between."""
    background = subtract_background(image, radius, False, False, return_background=True)[1]
    again = subtract_background(background, radius, False, False)
    assert again.max() <= 1


def test_rolling_ball_is_a_grey_opening_where_nothing_is_shrunk():
    """Up to a radius of 10 px ImageJ does not shrink: compare with SciPy's opening by the ball."""
    image, radius, half_width = LARGE, 8.0, 7
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


@pytest.mark.parametrize(("shape", "radius"), [((3, 90), 50), ((2, 30), 15), ((8, 60), 150)])
@pytest.mark.parametrize("light", [True, False])
def test_background_is_constant_along_a_side_no_longer_than_the_shrink_factor(shape, radius, light):
    """ImageJ itself fails there."""
    image = np.random.default_rng(4).integers(0, 256, shape).astype(np.uint8)
    flat = subtract_background(image, radius, light, return_background=True)[1]
    assert np.all(flat == flat[0])
    assert np.ptp(flat) > 0
    upright = subtract_background(image.T, radius, light, return_background=True)[1]
    assert np.abs(upright.T.astype(int) - flat).max() <= 1


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


@pytest.mark.parametrize("method", METHODS)
def test_process_returns_every_step(method):
    steps = process_with(Parameters(equalization=method), LARGE)
    assert np.array_equal(steps.original, LARGE)
    subtracted, background = subtract_background(LARGE, return_background=True)
    assert np.array_equal(steps.subtracted, subtracted)
    assert np.array_equal(steps.background, background)
    assert np.array_equal(steps.equalized, equalize_histogram(subtracted, method))


def test_processing_a_full_micrograph_takes_little_memory():
    image = np.random.default_rng(0).integers(0, 256, (1536, 2048)).astype(np.uint8)
    tracemalloc.start()
    try:
        for radius in (10, 50):
            tracemalloc.reset_peak()
            subtract_background(image, radius, return_background=True)
            assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


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
    for radius in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="positive radius"):
            subtract_background(image, radius)
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


def test_detail_is_the_middle_and_no_larger_than_the_image():
    image = np.arange(48, dtype=np.uint8).reshape(6, 8)
    assert np.array_equal(central_detail(image, (2, 4)), image[2:4, 2:6])
    assert np.array_equal(central_detail(image, (9, 4)), image[:, 2:6])
