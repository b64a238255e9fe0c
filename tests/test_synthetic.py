"""The stand-in micrographs: their physics, their looks in numbers, and their limits."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage, stats

from fesemlib.drying.equations import porosity
from fesemlib.synthetic import (
    cell_diameter,
    synthesize_micrograph,
    throat_diameter,
    wall_thickness,
)

SMALL = (192, 256)


def small(k_m: float, seed: int, **options: float) -> np.ndarray:
    return synthesize_micrograph(k_m, seed, shape=SMALL, **options).image


def correlation_length(image: np.ndarray) -> float:
    """Lag in px at which the mean autocorrelation along the rows falls to one half."""
    flat = image - ndimage.gaussian_filter(image.astype(float), 40)
    power = (np.abs(np.fft.rfft(flat, n=2 * flat.shape[1], axis=1)) ** 2).mean(axis=0)
    correlation = np.fft.irfft(power)[: flat.shape[1] // 2]
    return float(np.interp(-0.5, -correlation[:40] / correlation[0], np.arange(40)))


def chord_length(image: np.ndarray) -> float:
    """Mean run in px, along the rows, of what is darker than its surroundings."""
    sharp = ndimage.gaussian_filter(image.astype(float), 1)
    dark = sharp < ndimage.gaussian_filter(sharp, 25)
    return float(dark.sum() / np.maximum((np.diff(dark.astype(int), axis=1) == 1).sum(), 1))


# ------------------------------------------------------------------------------------- physics


def test_throat_inverts_knudsens_law():
    mean_speed = np.sqrt(8 * 8.314462618 * 250 / (np.pi * 0.01801528))
    throat = throat_diameter(1e-3, 0.9)
    assert 0.9 / 1.5 * throat / 3 * mean_speed == pytest.approx(1e-3, rel=1e-12)


@pytest.mark.parametrize(
    ("k_m", "solids_percent", "throat_um"),
    [(1.9e-3, 5, 16), (9.3e-4, 5, 8), (1.0e-3, 5, 8.6), (2.8e-4, 10, 2.5)],
)
def test_throats_of_table_1(k_m, solids_percent, throat_um):
    throat = throat_diameter(k_m, porosity(solids_percent))
    assert 1e6 * throat == pytest.approx(throat_um, rel=0.03)


def test_porosity_is_the_volume_fraction_of_the_ice():
    assert porosity(5) == pytest.approx((95 / 918) / (95 / 918 + 5 / 1500))
    assert porosity(1e-9) == pytest.approx(1)
    assert porosity(10) < porosity(5)


def test_cells_and_walls_scale_with_the_throat():
    assert cell_diameter(16e-6) == pytest.approx(80e-6)
    assert wall_thickness(80.0, 0.97) == pytest.approx(0.825, rel=0.01)
    assert wall_thickness(1.0, 0.93) > wall_thickness(1.0, 0.97)


# -------------------------------------------------------------------------------------- images


def test_a_micrograph_is_what_it_promises():
    micrograph = synthesize_micrograph(1e-3, 1, shape=(90, 121), pixel_size_um=0.8)
    assert micrograph.image.dtype == np.uint8
    assert micrograph.image.shape == (90, 121)
    assert micrograph.pixel_size_um == 0.8
    assert micrograph.data_bar_row is None


def test_the_seed_fixes_every_byte():
    first = small(1e-3, 7)
    np.random.default_rng(0).random(10)
    np.testing.assert_array_equal(small(1e-3, 7), first)
    others = [small(1e-3, seed) for seed in (8, 9)]
    for other in others:
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.3


def test_global_random_state_is_neither_read_nor_changed():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    small(1e-3, 7)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("measure", [correlation_length, chord_length])
def test_pores_grow_with_k_m(measure):
    sizes = [
        np.mean([measure(small(k_m, seed, solids_percent=solids)) for seed in range(5)])
        for k_m, solids in ((2.8e-4, 10), (9.5e-4, 5), (1.9e-3, 5))
    ]
    assert sizes[1] > 1.3 * sizes[0]
    assert sizes[2] > 1.2 * sizes[1]


def test_pores_have_the_same_size_in_um_whatever_the_pixel():
    def length_um(pixel: float) -> float:
        shape = (round(400 / pixel), round(400 / pixel))
        images = [synthesize_micrograph(1.9e-3, s, shape, pixel).image for s in range(4)]
        return float(np.mean([correlation_length(image) for image in images])) * pixel

    assert length_um(2.0) == pytest.approx(length_um(1.0), rel=0.3)


@pytest.mark.parametrize(
    ("fine", "factor", "least"),
    [(0.5, 2, 0.9), (1.0, 2, 0.9), (1.0, 5, 0.9), (1.0, 16, 0.7)],
)
def test_a_field_shows_the_same_scene_at_any_pixel_size(fine, factor, least):
    side = 800 - 800 % factor
    frame = synthesize_micrograph(1.9e-3, 3, (side, side), fine).image.astype(float)
    averaged = frame.reshape(side // factor, factor, side // factor, factor).mean(axis=(1, 3))
    direct = synthesize_micrograph(1.9e-3, 3, averaged.shape, fine * factor).image
    other = synthesize_micrograph(1.9e-3, 4, averaged.shape, fine * factor).image
    assert np.corrcoef(averaged.ravel(), direct.ravel())[0, 1] > least
    assert np.corrcoef(averaged.ravel(), other.ravel())[0, 1] < 0.5


@pytest.mark.slow
def test_dark_spots_grow_in_proportion_to_the_cells():
    def spot(image: np.ndarray, cell: float) -> float:
        """Mean run, in cells, of what is darker than a cell's surroundings."""
        sharp = ndimage.gaussian_filter(image.astype(float), 0.06 * cell)
        dark = sharp < ndimage.gaussian_filter(sharp, cell)
        return float(dark.sum() / (np.diff(dark.astype(int), axis=1) == 1).sum() / cell)

    spots, of_noise = [], []
    for k_m in (4.7e-4, 9.3e-4, 1.9e-3):
        cell = 1e6 * cell_diameter(throat_diameter(k_m, porosity(5)))
        images = [synthesize_micrograph(k_m, seed, (512, 512), 1.0).image for seed in range(4)]
        spots.append(np.mean([spot(image, cell) for image in images]))
        shuffled = np.random.default_rng(0).permutation(images[0].ravel())
        of_noise.append(spot(shuffled.reshape(images[0].shape), cell))
    np.testing.assert_allclose(spots, np.mean(spots), rtol=0.1)
    assert max(of_noise) < 0.6 * min(spots)  # the filters alone make smaller ones


@pytest.mark.slow
def test_histograms_do_not_give_k_m_away():
    k_ms = np.tile([2.8e-4, 9.5e-4, 1.4e-3, 1.9e-3], 25)
    images = [small(k_m, seed) for seed, k_m in enumerate(k_ms)]
    for measure in (np.mean, np.std):
        values = [measure(image) for image in images]
        # 100 independent pairs exceed 0.33 once in a thousand times.
        assert abs(stats.spearmanr(k_ms, values).statistic) < 0.33
        assert np.std(values) > 2  # the operator's choice does vary


def left_out_r2(measures: np.ndarray, k_m: np.ndarray) -> float:
    """Leave-one-out R² of a linear model; the mean that it is compared with is left-out too."""
    others = ~np.eye(len(k_m), dtype=bool)
    model = np.column_stack([np.ones(len(k_m)), measures])
    errors, spreads = [], []
    for row, rest in enumerate(others):
        weights, *_ = np.linalg.lstsq(model[rest], k_m[rest])
        errors.append(k_m[row] - model[row] @ weights)
        spreads.append(k_m[row] - k_m[rest].mean())
    return float(1 - np.square(errors).sum() / np.square(spreads).sum())


@pytest.mark.slow
def test_mean_and_deviation_of_the_grey_levels_do_not_predict_k_m():
    k_m = np.random.default_rng(1).permutation(np.linspace(2.8e-4, 1.9e-3, 30))
    images = [
        synthesize_micrograph(value, seed, (288, 384), 2000 / 384).image
        for seed, value in enumerate(k_m)
    ]
    raw = np.array([(image.mean(), image.std()) for image in images])
    assert left_out_r2(raw, k_m) < 0.2
    # A gain that followed k_m would be found.
    assert left_out_r2(raw * (0.5 + 0.5 * k_m / k_m.max())[:, None], k_m) > 0.5


@pytest.mark.slow
def test_the_charging_patch_is_streaked_along_the_scan():
    ratios = []
    for seed in range(8):
        image = synthesize_micrograph(3e-4, seed, (300, 1200), 2.0).image.astype(float)
        rows, columns = (np.diff(image.mean(axis=axis)).std() for axis in (1, 0))
        ratios.append(rows / columns * np.sqrt(1200 / 300))  # 1 for the cells alone
    assert np.median(ratios) > 1.3


@pytest.mark.parametrize(("k_m", "solids_percent"), [(1.9e-3, 5), (2.8e-4, 10)])
def test_hardly_a_pixel_is_clipped(k_m, solids_percent):
    for seed in range(6):
        image = small(k_m, seed, solids_percent=solids_percent)
        assert np.isin(image, (0, 255)).mean() < 0.01
        assert image.std() > 10


def test_borders_are_less_sharp_than_the_centre():
    ratios = []
    for seed in range(5):
        image = synthesize_micrograph(9.5e-4, seed, (384, 512)).image.astype(float)
        sharpness = ndimage.laplace(image) ** 2
        corners = [
            sharpness[rows, columns]
            for rows in (slice(96), slice(-96, None))
            for columns in (slice(128), slice(-128, None))
        ]
        ratios.append(np.mean(corners) / sharpness[144:240, 192:320].mean())
    assert np.median(ratios) < 0.7


# -------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k_m": 0.0}, r"k_m 0\.0: .*m² s⁻¹"),
        ({"k_m": -1e-3}, r"k_m -0\.001"),
        ({"k_m": float("nan")}, "k_m nan"),
        ({"k_m": 1.9}, r"k_m 1\.9: gives cells .* with solids_percent 5\.0 give k_m from 9"),
        ({"k_m": 1e308}, r"k_m 1e\+308: gives cells"),
        ({"k_m": 1e-6}, r"k_m 1e-06: gives cells"),
        ({"seed": -1}, "seed -1"),
        ({"shape": (0, 10)}, r"shape \(0, 10\)"),
        ({"shape": (10, 10, 3)}, r"shape \(10, 10, 3\)"),
        ({"shape": (100_000, 100)}, r"shape \(100000, 100\)"),
        ({"pixel_size_um": 0.0}, r"pixel_size_um 0\.0"),
        ({"pixel_size_um": 2.0, "shape": (1800, 1800)}, r"rays are too many .* 3150000 px"),
        ({"pixel_size_um": 50.0, "shape": (1536, 2048)}, "at most 200000 .* smaller field"),
        ({"pixel_size_um": 1e300}, "smaller field"),
        ({"pixel_size_um": 0.22}, r"side is 42\.2 µm, less than one cell of 42\.8 µm"),
        ({"shape": (8, 400)}, "larger field"),
        ({"k_m": 1e-4, "shape": (3000, 3500), "pixel_size_um": 1.0}, "smaller field"),
        ({"solids_percent": 0.0}, r"solids_percent 0\.0"),
        ({"solids_percent": 51.0}, r"solids_percent 51\.0"),
    ],
)
def test_what_cannot_be_rendered_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthesize_micrograph(**{"k_m": 1e-3, "seed": 0, "shape": SMALL, **arguments})


@pytest.mark.parametrize("solids_percent", [0.5, 5.0, 10.0, 37.0])
@pytest.mark.parametrize(("end", "beyond", "pixel_size_um"), [(0, 0.99, 1.0), (1, 1.01, 32.0)])
def test_k_m_can_be_rendered_up_to_the_ends_named(solids_percent, end, beyond, pixel_size_um):
    def render(k_m: float) -> None:
        synthesize_micrograph(k_m, 0, (64, 64), pixel_size_um, solids_percent)

    with pytest.raises(ValueError, match="give k_m from") as caught:
        render(1.0)
    named = float(re.findall(r"from (\S+) to (\S+) m²", str(caught.value))[0][end])
    render(named)
    with pytest.raises(ValueError, match="give k_m from"):
        render(beyond * named)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1e-3, 0.0), "porosity 0.0"),
        ((1e-3, 1.1), "porosity 1.1"),
    ],
)
def test_throat_diameter_names_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        throat_diameter(*arguments)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (cell_diameter, (0.0,), "throat 0.0"),
        (wall_thickness, (0.0, 0.9), "cell 0.0"),
        (wall_thickness, (1.0, 0.0), "porosity 0.0"),
        (porosity, (float("nan"),), "solids_percent nan"),
    ],
)
def test_bad_lengths_and_fractions_are_named(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


@pytest.mark.parametrize(
    ("k_m", "shape", "pixel_size_um"),
    [
        (4e-2, (8, 8), 215.0),
        (1e-3, (8, 400), 5.5),
        (1e-3, (192, 256), 0.224),
        (1.2e-4, (64, 64), 3.0),
        (1e-3, (64, 64), 20.0),
    ],
)
def test_the_extremes_still_render(k_m, shape, pixel_size_um):
    image = synthesize_micrograph(k_m, 0, shape, pixel_size_um).image
    assert image.shape == shape
    assert 40 < image.mean() < 140


def test_importing_does_not_load_tensorflow():
    code = "import sys, fesemlib.synthetic; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
