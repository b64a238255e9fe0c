"""An image's texture in numbers: an array in, numbers out.

`statistics` tell how a stand-in compares with a real frame, not what an image shows. The families
of `texture_measures` are measured without learning, in the spirit of Grassini et al., Measurement
94 (2016) 515–522, but do not reproduce that work. All lengths are in pixels: compare images of one
pixel size, as `fesemlib.predictors.measures` sees to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pywt
from scipy import fft, ndimage
from skimage import feature
from skimage.transform import resize

from fesemlib.processing import GreyImage, resize_by_area

__all__ = [
    "charging_amplitude",
    "correlation_length",
    "real_frames",
    "statistics",
    "texture_measures",
    "wavelet_scales",
]

FloatArray = npt.NDArray[np.float64]

_SKIMAGE: Any = feature  # without types

_ANGLES = np.arange(4) * np.pi / 4  # pixels side by side, above each other and on both diagonals

# Of the statistics.
SPECTRAL_BAND = (1 / 64, 1 / 4)  # cycles per px: above the shading, below the noise of a pixel
SHADING_SCALE = 1 / 12  # standard deviation of the blur that leaves the shading, of the width
LEVELS = 16  # of the co-occurrence matrix, each with the same share of the pixels
_SPECTRAL_BINS = 16
_BLURRED_WIDTH = 256
_CORRELATION_LEFT = 0.25

# The sample images of fibresem, at commit 8911af4 of https://github.com/dvtxc/fibresem: mats of
# fibres in a Zeiss Auriga. Measured by `statistics` on what `read_micrograph` keeps, the rows above
# the data bar.
_REAL_FRAMES = {
    "sampledata/sample.01_img08.tif": (0.009766, 1370, -2.852, 2.549, 0.131, 9.157),
    "sampledata/sample.02_img20.tif": (0.04883, 1370, -3.187, 1.866, 0.1153, 14.0),
}

# Of the measures; lengths in px.
_DISTANCES = (1, 2, 4, 8)
_PROPERTIES = ("contrast", "correlation", "homogeneity", "energy")
_WAVELENGTHS = (2, 4, 8, 16, 32, 64, 128)  # limits of the bands
_MOST_SCALES = 6
_LEAST_SIDE = 8  # of the coarsest scale
_LEAST_SHARE = 1e-12
_LEAST = 1e-9  # so that a flat image has logarithms, too


def statistics(image: GreyImage) -> dict[str, float]:
    """Slope of the power spectrum, contrast, charging and correlation length of a frame.

    Parameters
    ----------
    image
        Grey levels, uint8, shape (H, W). A flat or too small one raises ValueError.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (256, 256)).astype(np.uint8)
    >>> {name: round(value, 1) for name, value in statistics(noise).items()}
    {'slope': 0.1, 'contrast': 42.6, 'charging': 0.0, 'correlation_length_px': 0.7}
    """
    return {
        "slope": power_spectrum_slope(image),
        "contrast": cooccurrence_contrast(image),
        "charging": charging_amplitude(image),
        "correlation_length_px": correlation_length(image),
    }


def real_frames() -> pd.DataFrame:
    """The statistics of two real frames of a field emission microscope, measured once.

    They show another kind of sample: mats of fibres, not freeze-dried cakes. Indexed by the file's
    path in https://github.com/dvtxc/fibresem (MIT licence, copyright 2021 dvtxc); ``rows``, all
    2048 px wide, are those above the data bar.

    Examples
    --------
    >>> list(real_frames().columns)
    ['pixel_size_um', 'rows', 'slope', 'contrast', 'charging', 'correlation_length_px']
    """
    names = ["pixel_size_um", "rows", "slope", "contrast", "charging", "correlation_length_px"]
    table = pd.DataFrame.from_dict(_REAL_FRAMES, orient="index", columns=names)
    return table.rename_axis("file")


def power_spectrum_slope(image: GreyImage) -> float:
    """The exponent of the frequency in the power: 0 for white noise, −2 for edges of flat areas."""
    _check_contrast(image)
    # The window makes that opposite borders need not match.
    power, frequency = _power_spectrum(_windowed(image, _hann(image.shape)))
    edges = np.geomspace(*SPECTRAL_BAND, _SPECTRAL_BINS + 1)
    mean = _means(power, np.digitize(frequency, edges), _SPECTRAL_BINS + 1)[1:]
    if np.isnan(mean).any():
        low, high = SPECTRAL_BAND
        raise ValueError(
            f"image of {image.shape[1]}×{image.shape[0]} px: too small for the band {low:g}–"
            f"{high:g} cycles per px; take a larger image"
        )
    centre = np.log(edges[:-1] * edges[1:]) / 2
    return float(np.polyfit(centre, np.log(mean), 1)[0])


def cooccurrence_contrast(image: GreyImage) -> float:
    """Mean squared difference between the levels, 0 to 15, of neighbours in all four directions.

    The grey levels are first reduced to 16 of equal probability (Haralick et al. 1973).
    """
    _check_contrast(image)
    counts = np.bincount(image.ravel(), minlength=256)
    middle = (np.cumsum(counts) - counts / 2) / image.size  # share of darker pixels, ties halved
    reduced = np.minimum(LEVELS * middle, LEVELS - 1).astype(np.uint8)[image]
    matrix = _SKIMAGE.graycomatrix(reduced, [1], _ANGLES, LEVELS, symmetric=True, normed=True)
    return float(_SKIMAGE.graycoprops(matrix, "contrast").mean())


def charging_amplitude(image: GreyImage) -> float:
    """Relative amplitude of the broad shading, which charging leaves on a micrograph.

    It is the difference between the 95th and the 5th percentile of the image under a Gaussian blur
    of 1/12 of its width, over the mean. The contrast does not matter, an offset of the grey levels
    does; a large pore counts as much as a charge.

    Examples
    --------
    >>> even = np.full((96, 128), 100, np.uint8)
    >>> shaded = even + np.linspace(0, 50, 128).astype(np.uint8)
    >>> print(f"{charging_amplitude(even):.2f}, {charging_amplitude(shaded):.2f}")
    0.00, 0.34
    """
    if not image.any():
        raise ValueError("the image is black throughout; it has no shading")
    shading = _shading(image)
    low, high = np.percentile(shading, [5, 95])
    return float((high - low) / shading.mean())


def correlation_length(image: GreyImage) -> float:
    """Distance in px at which a quarter of the variance is left, averaged over directions.

    It grows with the pores, though it is not their diameter. The shading is subtracted first.
    Raises ValueError for a correlation longer than a quarter of the shorter side.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (128, 128)).astype(np.uint8)
    >>> coarse = noise.repeat(4, axis=0).repeat(4, axis=1)
    >>> print(f"{correlation_length(noise):.1f}, {correlation_length(coarse):.1f} px")
    0.7, 2.9 px
    """
    _check_contrast(image)
    reach = min(image.shape) // 4
    window = _hann(image.shape)
    shading = resize(_shading(image), image.shape, mode="edge")  # type: ignore[no-untyped-call]
    correlation = _autocorrelation(_windowed(image - shading, window), reach)
    correlation /= _autocorrelation_of_window(image.shape, reach)
    y, x = np.indices(correlation.shape)
    distance = np.rint(np.hypot(y - reach, x)).astype(np.intp)
    mean = _means(correlation, distance, reach + 1)
    mean = mean / mean[0]
    below = np.flatnonzero(mean < _CORRELATION_LEFT)
    if below.size == 0:
        raise ValueError(
            f"image of {image.shape[1]}×{image.shape[0]} px: correlated over more than a quarter "
            "of its side; subtract its background first, or take a larger image"
        )
    end = int(below[0])
    return float(end - (_CORRELATION_LEFT - mean[end]) / (mean[end - 1] - mean[end]))


def cooccurrence(image: GreyImage) -> dict[str, float]:
    """Haralick's features of the co-occurrence matrix, averaged over four directions."""
    coarse = (image // 8).astype(np.uint8)  # 32 levels
    matrix = _SKIMAGE.graycomatrix(coarse, _DISTANCES, _ANGLES, 32, symmetric=True, normed=True)
    return {
        f"{name} at {distance} px": float(values.mean())
        for name in _PROPERTIES
        for distance, values in zip(_DISTANCES, _SKIMAGE.graycoprops(matrix, name), strict=True)
    }


def spectrum(image: GreyImage) -> dict[str, float]:
    """Decimal logarithm of the share of the variance in each octave of wavelength, least −12."""
    # Without the window, the image's edges would count as fine structure.
    window = np.outer(*(np.hanning(side) for side in image.shape))
    power, frequency = _power_spectrum(_windowed(image, window))
    power[:, 1 : (image.shape[1] + 1) // 2] *= 2  # the half that a real image's transform omits
    total = power[frequency > 0].sum()
    return {
        f"wavelengths {short} to {long} px": _log_share(
            power[(frequency > 1 / long) & (frequency <= 1 / short)].sum(), total
        )
        for short, long in pairwise(_WAVELENGTHS)
    }


def wavelets(image: GreyImage, scales: int) -> dict[str, float]:
    """Of each scale of the wavelet transform what is left when brightness and contrast are gone.

    The natural logarithms of the share of the variance in its details (Mallat 1989), of their
    kurtosis, and of the ratio of those across rows to those across columns; and the skewness of
    the difference from the mean of the 3 × 3 px around. After Portilla & Simoncelli (2000).
    """
    levels = smooth = image.astype(np.float32)
    variance = max(float(levels.var()), _LEAST)
    measured = {}
    for number, details in enumerate(_wavelet_details(levels, scales)):
        squares = np.square(details)
        energies = squares.mean(axis=(1, 2)).astype(np.float64)
        kurtosis = np.square(squares).mean(axis=(1, 2)) / np.maximum(energies**2, _LEAST)
        share = energies.sum() / variance / 4 ** (number + 1)
        across, along = energies[:2] + _LEAST
        place = f"at {2**number} px"
        measured[f"share of the variance {place}"] = float(np.log(share + _LEAST))
        measured[f"tails {place}"] = float(np.log(kurtosis.mean() + _LEAST))
        difference = smooth - ndimage.uniform_filter(smooth, 3, mode="nearest")
        measured[f"skewness {place}"] = _skewness(difference)
        measured[f"rows against columns {place}"] = float(np.log(across / along))
        smooth = _halved(smooth)
    return measured


def wavelet_scales(shape: tuple[int, int]) -> int:
    """How many scales images of a shape (H, W) have: up to six, of at least 8 px on either side.

    Examples
    --------
    >>> wavelet_scales((768, 1024)), wavelet_scales((96, 128))
    (6, 3)
    """
    fitting = int(np.log2(max(min(shape) / _LEAST_SIDE, 1)))
    return min(max(fitting, 1), _MOST_SCALES)


def texture_measures(image: GreyImage, scales: int) -> pd.Series[float]:
    """All measures of a processed micrograph's texture, by ``(family, measure)``.

    Parameters
    ----------
    image
        After the processing, uint8, shape (H, W).
    scales
        Of the wavelet transform, see `wavelet_scales`; images that are compared need the same.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (192, 256)).astype(np.uint8)
    >>> measured = texture_measures(noise, wavelet_scales(noise.shape))
    >>> measured.groupby("family").size().to_dict()
    {'co-occurrence': 16, 'spectrum': 6, 'wavelets': 16}
    """
    families = {
        "co-occurrence": cooccurrence(image),
        "spectrum": spectrum(image),
        "wavelets": wavelets(image, scales),
    }
    measured = {name: pd.Series(values) for name, values in families.items()}
    return pd.concat(measured, names=["family", "measure"])


def _check_contrast(image: GreyImage) -> None:
    if image.min() == image.max():
        raise ValueError(f"the image has grey level {image.flat[0]} throughout: it has no texture")


def _shading(image: GreyImage) -> FloatArray:
    """The image under a wide blur, shrunk; it is mirrored at its borders."""
    width = min(image.shape[1], _BLURRED_WIDTH)
    small = np.asarray(resize_by_area(image, width), dtype=np.float64)
    return np.asarray(ndimage.gaussian_filter(small, SHADING_SCALE * width, mode="reflect"))


def _hann(shape: tuple[int, ...]) -> FloatArray:
    """A Hann window of two dimensions that is zero nowhere."""
    rows, columns = (np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 for side in shape)
    return np.asarray(np.outer(rows, columns))


def _windowed(image: GreyImage | FloatArray, window: FloatArray) -> FloatArray:
    """The image without its mean, under a window."""
    return np.asarray((image - np.average(image, weights=window)) * window)


def _power_spectrum(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Power and spatial frequency, of the half of the plane that determines the other."""
    rows = fft.fftfreq(values.shape[0])[:, np.newaxis]
    columns = fft.rfftfreq(values.shape[1])
    return np.abs(fft.rfft2(values)) ** 2, np.hypot(rows, columns)


def _means(values: FloatArray, groups: npt.NDArray[np.intp], number: int) -> FloatArray:
    """The mean over each of the groups 0 to number − 1; NaN where there is nothing."""
    with np.errstate(invalid="ignore"):
        return np.asarray(ndimage.mean(values, groups, np.arange(number)))


def _autocorrelation(values: FloatArray, reach: int) -> FloatArray:
    """By Wiener and Khinchin, for shifts of −reach to reach rows and 0 to reach columns."""
    size = [fft.next_fast_len(side + reach, real=True) for side in values.shape]
    full = fft.irfft2(np.abs(fft.rfft2(values, size)) ** 2, size)
    return np.asarray(np.concatenate([full[-reach:], full[: reach + 1]])[:, : reach + 1])


@lru_cache(maxsize=2)
def _autocorrelation_of_window(shape: tuple[int, ...], reach: int) -> FloatArray:
    return _autocorrelation(_hann(shape), reach)


def _wavelet_details(
    image: npt.NDArray[np.float32], scales: int
) -> Iterator[Sequence[npt.NDArray[np.float32]]]:
    """Details across rows, across columns and across both, from the finest scale."""
    for _ in range(scales):
        image, details = pywt.dwt2(image, "db2", "periodization")
        yield details


def _log_share(part: float, total: float) -> float:
    """Decimal logarithm of a share, at least −12; a flat image has no shares."""
    return float(np.log10(part / total + _LEAST_SHARE if total > 0 else _LEAST_SHARE))


def _skewness(values: npt.NDArray[np.float32]) -> float:
    squares = values * values
    return float((squares * values).mean() / max(float(squares.mean()), _LEAST) ** 1.5)


def _halved(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The mean of each 2 × 2 px; an odd last row or column is left out."""
    height, width = (side // 2 * 2 for side in image.shape)
    rows = image[0:height:2, :width] + image[1:height:2, :width]
    return np.asarray((rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25))
