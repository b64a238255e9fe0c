"""Texture measures: on images whose answer is known, and against naive sums."""

import numpy as np
import pytest
from conftest import texture
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fesemlib.texture import cooccurrence, spectrum, texture_measures, wavelet_scales, wavelets

NOISE = texture(0, (64, 96))
FAMILIES = {
    "co-occurrence": cooccurrence,
    "spectrum": spectrum,
    "wavelets": lambda image: wavelets(image, 3),
}


def waves(wavelength_px: float, angle: float = 0.0, shape: tuple[int, int] = (256, 320)):
    rows, columns = np.indices(shape)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    return np.rint(127.5 + 100 * np.sin(2 * np.pi * along / wavelength_px)).astype(np.uint8)


def blocks(image: np.ndarray, size: int) -> np.ndarray:
    """Every pixel as large as so many."""
    return np.kron(image, np.ones((size, size), np.uint8))


def grains(seed: int, shape: tuple[int, int], sigma: float = 2.0) -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)


# ------------------------------------------------------------------------------- co-occurrence


@pytest.mark.parametrize("distance", [1, 2, 4, 8])
def test_cooccurrence_equals_sums_over_pairs(distance):
    """Of 32 levels, along rows, columns and both diagonals, each pair in both orders."""
    levels = (NOISE // 8).astype(float)
    diagonal = round(distance / np.sqrt(2))
    found = []
    for down, right in ((0, distance), (diagonal, diagonal), (distance, 0), (diagonal, -diagonal)):
        first = levels[: 64 - down, max(0, -right) : 96 - max(0, right)].ravel()
        second = levels[down:, max(0, right) : 96 + min(0, right)].ravel()
        pairs = np.concatenate([[first, second], [second, first]], 1)
        _, counts = np.unique(pairs, axis=1, return_counts=True)
        found.append(
            {
                "contrast": ((first - second) ** 2).mean(),
                "correlation": np.corrcoef(pairs)[0, 1],
                "homogeneity": (1 / (1 + (first - second) ** 2)).mean(),
                "energy": np.sqrt(((counts / counts.sum()) ** 2).sum()),
            }
        )
    ours = cooccurrence(NOISE)
    for name in found[0]:
        expected = np.mean([each[name] for each in found])
        assert ours[f"{name} at {distance} px"] == pytest.approx(expected), name


def test_twice_the_structure_looks_alike_at_twice_the_distance():
    coarse, fine = cooccurrence(blocks(NOISE, 2)), cooccurrence(NOISE)
    assert coarse["correlation at 8 px"] == pytest.approx(fine["correlation at 4 px"], abs=0.05)
    assert coarse["contrast at 8 px"] == pytest.approx(fine["contrast at 4 px"], rel=0.05)


# ------------------------------------------------------------------------------------ spectrum


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2])
@pytest.mark.parametrize("wavelength", [3, 6, 12, 24])
def test_a_wave_falls_into_its_band(wavelength, angle):
    for name, logarithm in spectrum(waves(wavelength, angle)).items():
        limits = name.removeprefix("wavelengths ").removesuffix(" px").split(" to ")
        short, long = (float(word) for word in limits)
        if short <= wavelength < long:
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
    ours = spectrum(image)
    for short, long in ((2, 4), (4, 8), (8, 16), (16, 32)):
        inside = (frequency > 1 / long) & (frequency <= 1 / short)
        expected = np.log10(power[inside].sum() / power.sum())
        assert ours[f"wavelengths {short} to {long} px"] == pytest.approx(expected)


# ------------------------------------------------------------------------------------ wavelets


def shares(measured: dict[str, float]) -> list[float]:
    return [np.exp(value) for name, value in measured.items() if name.startswith("share")]


def test_white_noise_has_the_values_of_theory():
    """Share 3/4 of the variance at each scale of what is left, Gaussian tails, no direction."""
    noise = np.clip(np.random.default_rng(0).normal(128, 20, (1024, 1024)), 0, 255)
    measured = wavelets(noise.astype(np.uint8), 3)
    for number in range(3):
        scale = f"{2**number} px"
        assert np.exp(measured[f"share of the variance at {scale}"]) == pytest.approx(
            0.75 * 0.25**number, rel=0.03
        )
        assert np.exp(measured[f"tails at {scale}"]) == pytest.approx(3, rel=0.03)
        assert measured[f"rows against columns at {scale}"] == pytest.approx(0, abs=0.05)
        assert measured[f"skewness at {scale}"] == pytest.approx(0, abs=0.05)


def test_shares_add_up_to_the_variance():
    """An orthogonal transform keeps the energy: what all scales miss is in the coarsest."""
    image = grains(0, (512, 512), sigma=1.0)
    assert sum(shares(wavelets(image, 6))) == pytest.approx(1, abs=0.05)
    assert sum(shares(wavelets(image, 6))) < 1


def test_skewness_is_that_of_the_difference_from_the_mean_around():
    """Summed over nine neighbours, each pixel of the border repeated beyond it."""
    image = grains(1, (64, 96)).astype(float) ** 2 / 255
    image = image.astype(np.uint8)
    ours = wavelets(image, 2)
    smooth = image.astype(float)
    for scale in (1, 2):
        padded = np.pad(smooth, 1, mode="edge")
        height, width = smooth.shape
        around = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
        difference = smooth - np.mean(around, axis=0)
        expected = (difference**3).mean() / (difference**2).mean() ** 1.5
        assert ours[f"skewness at {scale} px"] == pytest.approx(expected, rel=1e-3, abs=1e-4)
        smooth = smooth.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))


def test_stripes_have_a_direction():
    """Every second row white: across rows there is everything, across columns nothing."""
    stripes = np.tile(np.array([[0], [200]], np.uint8), (32, 96))
    assert wavelets(stripes, 1)["rows against columns at 1 px"] > 10
    assert wavelets(stripes.T, 1)["rows against columns at 1 px"] < -10


def test_larger_structure_moves_energy_to_larger_scales():
    fine, coarse = (wavelets(blocks(NOISE, size), 4) for size in (1, 4))
    name = "share of the variance at {} px"
    assert coarse[name.format(1)] < fine[name.format(1)] - 1
    assert coarse[name.format(4)] > fine[name.format(4)] + 1


def test_brightness_and_contrast_do_not_matter():
    image = grains(1, (96, 128)) // 2
    measured, brighter = (
        np.array(list(wavelets(each, 3).values()))
        for each in (image, (2 * image + 1).astype(np.uint8))
    )
    np.testing.assert_allclose(measured, brighter, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "scales"), [((768, 1024), 6), ((5000, 513), 6), ((511, 511), 5), ((16, 99), 1),
                          ((15, 99), 1), ((3, 2), 1)]
)  # fmt: skip
def test_scales_leave_eight_pixels_to_the_coarsest(shape, scales):
    assert wavelet_scales(shape) == scales
    assert scales == 6 or min(shape) / 2 ** (scales + 1) < 8


# ----------------------------------------------------------------------------------------- all


@pytest.mark.parametrize("change", [np.flipud, np.fliplr, lambda image: image[::-1, ::-1]])
@pytest.mark.parametrize("name", FAMILIES)
def test_augmentation_hardly_changes_a_measure(name, change):
    """Flips and rotation by 180° leave the texture as it is, but for the borders."""
    image = waves(20, 0.4) // 2 + texture(1, (256, 320)) // 2
    before, after = (FAMILIES[name](each) for each in (image, change(image)))
    assert list(after.values()) == pytest.approx(list(before.values()), rel=0.02, abs=0.05)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("image", [NOISE, np.full((48, 64), 9, np.uint8), texture(0, (5, 7))])
def test_every_image_has_finite_measures(name, image):
    """Flat, tiny, and too small for a distance or a band."""
    values = FAMILIES[name](image)
    assert np.isfinite(list(values.values())).all()
    assert list(values) == list(FAMILIES[name](NOISE))


@given(st.integers(8, 300), st.integers(8, 1500))
@settings(max_examples=30, deadline=None)
def test_every_size_has_its_measures(height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    scales = wavelet_scales(image.shape)
    measured = texture_measures(image, scales)
    assert len(measured) == 16 + 6 + 4 * scales
    assert np.isfinite(measured).all()


def test_all_measures_are_those_of_the_families():
    measured = texture_measures(NOISE, 3)
    assert measured.index.names == ["family", "measure"]
    assert list(measured.index.unique("family")) == list(FAMILIES)
    for name, family in FAMILIES.items():
        assert measured[name].to_dict() == family(NOISE)
