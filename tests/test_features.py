"""Texture features: on images whose answer is known, and against naive sums."""

import numpy as np
import pandas as pd
import pytest
from conftest import texture

from fesemlib.dataset import Dataset
from fesemlib.micrographs.reading import Micrograph
from fesemlib.network.inputs import processed_micrographs
from fesemlib.params import Parameters
from fesemlib.texture import (
    FAMILIES,
    cooccurrence,
    local_patterns,
    spectrum,
    texture_features,
    wavelet_energies,
)

NOISE = texture(0, (64, 96))


def waves(wavelength_px: float, angle: float = 0.0, shape: tuple[int, int] = (256, 320)):
    rows, columns = np.indices(shape)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    return np.rint(127.5 + 100 * np.sin(2 * np.pi * along / wavelength_px)).astype(np.uint8)


def blocks(image: np.ndarray, size: int) -> np.ndarray:
    """Every pixel as large as so many."""
    return np.kron(image, np.ones((size, size), np.uint8))


@pytest.mark.parametrize("distance", [2, 4, 8])
def test_cooccurrence_equals_sums_over_pairs(distance):
    """Contrast and correlation of 32 levels, along rows, columns and both diagonals."""
    levels = (NOISE // 8).astype(float)
    diagonal = round(distance / np.sqrt(2))
    contrasts, correlations = [], []
    for down, right in ((0, distance), (diagonal, diagonal), (distance, 0), (diagonal, -diagonal)):
        first = levels[: 64 - down, max(0, -right) : 96 - max(0, right)]
        second = levels[down:, max(0, right) : 96 + min(0, right)]
        contrasts.append(((first - second) ** 2).mean())
        pairs = np.concatenate(
            [[first.ravel(), second.ravel()], [second.ravel(), first.ravel()]], 1
        )
        correlations.append(np.corrcoef(pairs)[0, 1])
    ours = cooccurrence(NOISE, 1.0)
    assert ours[f"contrast at {distance}"] == pytest.approx(np.mean(contrasts))
    assert ours[f"correlation at {distance}"] == pytest.approx(np.mean(correlations))


def test_distances_are_lengths_not_pixels():
    """An image at half the pixel size, each pixel four times, along rows and columns alike."""
    coarse, fine = cooccurrence(NOISE, 2.0), cooccurrence(blocks(NOISE, 2), 1.0)
    assert fine["correlation at 8"] == pytest.approx(coarse["correlation at 8"], abs=0.05)
    assert fine["contrast at 16"] == pytest.approx(coarse["contrast at 16"], rel=0.05)


def test_patterns_are_shares():
    shares = local_patterns(NOISE, 1.0)
    for radius in (1, 2, 4):
        own = [value for name, value in shares.items() if name.endswith(f"at {radius} px")]
        assert len(own) == 10
        assert sum(own) == pytest.approx(1)


def test_patterns_at_one_pixel_equal_a_naive_count():
    """The pattern of a local maximum is 0, and that of a pixel below all its neighbours is 8."""
    image = np.full((9, 9), 100, np.uint8)
    image[4, 4] = 200
    shares = local_patterns(image, 1.0)
    assert shares["pattern 0 at 1 px"] == pytest.approx(1 / 81)
    flat = local_patterns(np.full((9, 9), 7, np.uint8), 1.0)
    assert flat["pattern 8 at 1 px"] > 0.5  # neighbours that are no darker count


@pytest.mark.parametrize("change", [np.flipud, np.fliplr, lambda image: image[::-1, ::-1]])
@pytest.mark.parametrize("name", FAMILIES)
def test_augmentation_hardly_changes_a_feature(name, change):
    """Flips and rotation by 180° leave the texture as it is, but for the borders."""
    image = waves(20, 0.4) // 2 + texture(1, (256, 320)) // 2
    before, after = (FAMILIES[name](each, 1.0) for each in (image, change(image)))
    assert list(after.values()) == pytest.approx(list(before.values()), rel=0.02, abs=0.02)


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2])
@pytest.mark.parametrize(("wavelength", "pixel"), [(6, 1.0), (24, 1.0), (24, 0.5), (12, 2.0)])
def test_a_wave_falls_into_its_band(wavelength, pixel, angle):
    bands = spectrum(waves(wavelength, angle), pixel)
    length = wavelength * pixel
    for name, logarithm in bands.items():
        short, long = (float(word) for word in name.removeprefix("wavelengths ").split(" to "))
        if short <= length < long:
            assert logarithm == pytest.approx(0, abs=0.02)
        else:
            assert logarithm < -1.5


@pytest.mark.parametrize("shape", [(64, 96), (63, 95), (64, 95)])
def test_bands_equal_those_of_the_whole_transform(shape):
    """All frequencies, both halves, one by one."""
    image = texture(2, shape)
    window = np.outer(np.hanning(shape[0]), np.hanning(shape[1]))
    centred = (image - (image * window).sum() / window.sum()) * window
    power = np.abs(np.fft.fft2(centred)) ** 2
    power[0, 0] = 0
    rows, columns = np.meshgrid(*(np.fft.fftfreq(side) for side in shape), indexing="ij")
    frequency = np.hypot(rows, columns)
    ours = spectrum(image, 1.0)
    for short, long in ((4, 8), (8, 16), (16, 32)):
        inside = (frequency > 1 / long) & (frequency <= 1 / short)
        expected = np.log10(power[inside].sum() / power.sum())
        assert ours[f"wavelengths {short} to {long}"] == pytest.approx(expected)


def test_wavelets_of_white_noise_have_the_same_energy_in_every_coefficient():
    """Orthogonal: three quarters of the variance at the finest scale, a quarter as much next."""
    energies = wavelet_energies(texture(3, (512, 512)), 1.0)
    assert list(energies) == ["scale 2", "scale 4", "scale 8", "scale 16", "scale 32"]
    shares = 10 ** np.array(list(energies.values()))
    assert shares[:3] == pytest.approx([3 / 4, 3 / 16, 3 / 64], rel=0.05)
    assert shares.sum() == pytest.approx(1 - 4.0**-5, abs=1e-3)


def test_wavelets_name_their_scales_in_the_unit_of_the_pixel():
    assert next(iter(wavelet_energies(NOISE, 0.5))) == "scale 1"


def test_larger_structure_moves_energy_to_larger_scales():
    fine, coarse = (wavelet_energies(blocks(NOISE, size), 1.0) for size in (1, 4))
    assert coarse["scale 2"] < fine["scale 2"] - 0.4
    assert coarse["scale 8"] > fine["scale 8"] + 0.4


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("pixel", [0.01, 1.0, 50.0])
@pytest.mark.parametrize("image", [NOISE, np.full((48, 64), 9, np.uint8), texture(0, (5, 7))])
def test_every_image_has_finite_features(name, pixel, image):
    """Flat, tiny, and with pixels for which a distance or a band is out of reach."""
    values = FAMILIES[name](image, pixel)
    assert np.isfinite(list(values.values())).all()
    assert list(values) == list(FAMILIES[name](NOISE, pixel))


@pytest.mark.usefixtures("own_build")
@pytest.mark.parametrize("pixel_size_um", [None, 0.5])
@pytest.mark.parametrize("number", [1, 4])
def test_table_has_a_row_for_each_processed_micrograph(number, pixel_size_um):
    micrographs = tuple(Micrograph(texture(seed), pixel_size_um) for seed in range(number))
    names = [f"batch {seed // 2}" for seed in range(number)]
    images = pd.DataFrame({"formulation": names, "image": "x.png", "k_m": 1e-3})
    data = Dataset(pd.DataFrame({"k_m": 1e-3}, index=sorted(set(names))), images, micrographs,
                   False, "")  # fmt: skip
    parameters = Parameters(background_radius_px=10.0)
    table = texture_features(processed_micrographs(data, parameters), data.pixel_size_um)
    assert list(table.columns.unique("family")) == list(FAMILIES)
    processed = processed_micrographs(data, parameters)
    for (_, row), image in zip(table.iterrows(), processed, strict=True):
        for family, measure in FAMILIES.items():
            assert row[family].to_dict() == measure(image, pixel_size_um or 1.0)


@pytest.mark.usefixtures("own_build")
def test_features_of_shrunk_micrographs_are_those_of_the_shrunk_images():
    image = blocks(NOISE, 2)
    data = Dataset(
        pd.DataFrame({"k_m": [1e-3]}, index=["a"]),
        pd.DataFrame({"formulation": ["a"], "image": ["x.png"], "k_m": [1e-3]}),
        (Micrograph(image, 0.5),), False, "",
    )  # fmt: skip
    parameters = Parameters(background_radius_px=10.0)
    row = texture_features(
        processed_micrographs(data, parameters), data.pixel_size_um, image.shape[1] // 2
    ).iloc[0]
    full = processed_micrographs(data, parameters)[0]
    halved = full.reshape(64, 2, 96, 2).mean(axis=(1, 3))
    expected = FAMILIES["wavelets"](np.round(halved).astype(np.uint8), 1.0)
    assert row["wavelets"].to_dict() == pytest.approx(expected, abs=1e-2)
