"""Statistics of an image's texture: an array in, a number out.

They tell how a stand-in compares with a real frame, not what an image shows. All depend on the
size of a pixel relative to the structure; compare like with like, and state the pixel size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import fft, ndimage
from skimage.feature import graycomatrix, graycoprops
from skimage.transform import resize

from fesemlib.processing.background import GreyImage, resize_by_area

__all__ = [
    "charging_amplitude",
    "cooccurrence_contrast",
    "correlation_length",
    "power_spectrum_slope",
    "real_frames",
    "statistics",
]

FloatArray = npt.NDArray[np.float64]

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
    "sampledata/sample.01_img08.tif": (0.009766, 1370, (-2.852, 2.549, 0.131, 9.157)),
    "sampledata/sample.02_img20.tif": (0.04883, 1370, (-3.187, 1.866, 0.1153, 14.0)),
}


def statistics(image: GreyImage) -> dict[str, float]:
    """All statistics of this room, by name.

    Parameters
    ----------
    image
        Grey levels, uint8, shape (H, W).

    Returns
    -------
    dict
        ``slope``, ``contrast``, ``charging`` and ``correlation_length_px``.

    Raises
    ------
    ValueError
        When the image is flat or too small.

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

    They show another kind of sample: mats of fibres, not freeze-dried cakes.

    Returns
    -------
    DataFrame
        Indexed by the file's path in its repository; columns ``pixel_size_um``, ``rows`` (those
        above the data bar, all 2048 px wide) and those of `statistics`.

    References
    ----------
    fibresem, https://github.com/dvtxc/fibresem, MIT licence, copyright 2021 dvtxc.

    Examples
    --------
    >>> list(real_frames().columns)
    ['pixel_size_um', 'rows', 'slope', 'contrast', 'charging', 'correlation_length_px']
    """
    names = ["slope", "contrast", "charging", "correlation_length_px"]
    rows = [(pixel, height, *values) for pixel, height, values in _REAL_FRAMES.values()]
    return pd.DataFrame(
        rows,
        index=pd.Index(_REAL_FRAMES, name="file"),
        columns=["pixel_size_um", "rows", *names],
    )


def power_spectrum_slope(image: GreyImage, band: tuple[float, float] = SPECTRAL_BAND) -> float:
    """Slope of the power spectrum: logarithm of the power over logarithm of the frequency.

    Parameters
    ----------
    image
        Grey levels, shape (H, W).
    band
        Least and greatest spatial frequency of the fit, in cycles per px, at most 1/2.

    Returns
    -------
    float
        The exponent −β where the power falls as f^−β: 0 for white noise, −2 for the edges between
        flat areas, less (steeper) for a blurred image. Brightness and contrast do not matter.

    Raises
    ------
    ValueError
        When the image is flat, or too small to hold frequencies in all parts of the band.

    Notes
    -----
    The mean is removed and a Hann window laid over the image, so that opposite borders need not
    match. The power is averaged over directions, in bins of equal width in log f, and a straight
    line is fitted to their logarithms.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (256, 256)).astype(np.uint8)
    >>> abs(power_spectrum_slope(noise)) < 0.1  # white noise has as much of each frequency
    True
    """
    low, high = band
    if not 0 < low < high <= 0.5:
        raise ValueError(f"band {band!r}: not 0 < low < high ≤ 0.5; give it in cycles per px")
    _check_contrast(image)
    power = np.abs(fft.rfft2(_windowed(image))) ** 2
    height, width = image.shape
    frequency = np.hypot(fft.fftfreq(height)[:, None], fft.rfftfreq(width)[None, :])
    edges = np.geomspace(low, high, _SPECTRAL_BINS + 1)
    bins = np.digitize(frequency.ravel(), edges)
    count = np.bincount(bins, minlength=_SPECTRAL_BINS + 2)[1:-1]
    if not count.all():
        raise ValueError(
            f"image of {width}×{height} px: too small for the band {low:g}–{high:g} cycles per px; "
            "take a larger image or a narrower band"
        )
    total = np.bincount(bins, power.ravel(), minlength=_SPECTRAL_BINS + 2)[1:-1]
    centre = np.log(edges[:-1] * edges[1:]) / 2
    return float(np.polyfit(centre, np.log(total / count), 1)[0])


def cooccurrence_contrast(image: GreyImage) -> float:
    """Contrast of the grey-level co-occurrence matrix of neighbouring pixels.

    Parameters
    ----------
    image
        Grey levels, uint8, shape (H, W).

    Returns
    -------
    float
        Mean squared difference between the levels, 0 to 15, of two pixels side by side, above each
        other or diagonal: 0 where all neighbours are equal, 42.5 where they have nothing to do with
        each other. No monotonic change of the grey levels matters, as long as it keeps them apart.

    Raises
    ------
    ValueError
        When the image is flat.

    Notes
    -----
    The grey levels are first reduced to 16 of equal probability, as in [1]_, at a distance of 1 px
    and angles of 0, 45, 90 and 135°, whose contrasts are averaged.

    References
    ----------
    .. [1] R. M. Haralick, K. Shanmugam, I. Dinstein, "Textural features for image classification",
       IEEE Transactions on Systems, Man, and Cybernetics SMC-3 (1973) 610–621,
       https://doi.org/10.1109/TSMC.1973.4309314

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (256, 256)).astype(np.uint8)
    >>> print(f"{cooccurrence_contrast(noise):.0f}")  # neighbours are strangers
    43
    >>> coarse = noise.repeat(4, axis=0).repeat(4, axis=1)
    >>> cooccurrence_contrast(coarse) < cooccurrence_contrast(noise)
    True
    """
    _check_contrast(image)
    counts = np.bincount(image.ravel(), minlength=256)
    middle = (np.cumsum(counts) - counts / 2) / image.size  # share of darker pixels, ties halved
    reduced = np.minimum(LEVELS * middle, LEVELS - 1).astype(np.uint8)[image]
    angles = np.arange(4) * np.pi / 4
    matrix = graycomatrix(  # type: ignore[no-untyped-call]  # scikit-image annotates little
        reduced, [1], angles, levels=LEVELS, symmetric=True, normed=True
    )
    contrast = graycoprops(matrix, "contrast")  # type: ignore[no-untyped-call]
    return float(contrast.mean())


def charging_amplitude(image: GreyImage) -> float:
    """Relative amplitude of the broad shading, which charging leaves on a micrograph.

    Parameters
    ----------
    image
        Grey levels, shape (H, W).

    Returns
    -------
    float
        Difference between the 95th and the 5th percentile of the blurred image over its mean. The
        contrast that the operator has set does not matter, an offset does.

    Raises
    ------
    ValueError
        When the image is black.

    Notes
    -----
    The blur is a Gaussian of 1/12 of the image's width, on a copy shrunk to 256 px; the image is
    mirrored at its borders. Anything as broad as that counts, a large pore as much as a charge.

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
    """Distance at which the grey levels of two pixels have lost most of their correlation.

    Parameters
    ----------
    image
        Grey levels, shape (H, W).

    Returns
    -------
    float
        Distance in px at which a quarter of the variance is left, averaged over directions. It
        grows with the pores, though it is not their diameter.

    Raises
    ------
    ValueError
        When the image is flat, or its correlation is longer than a quarter of its shorter side.

    Notes
    -----
    The shading, that of `charging_amplitude`, is subtracted first. The autocorrelation is
    the inverse Fourier transform of the power spectrum (Wiener–Khinchin), under a Hann window whose
    own autocorrelation is divided out.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (128, 128)).astype(np.uint8)
    >>> coarse = noise.repeat(4, axis=0).repeat(4, axis=1)
    >>> print(f"{correlation_length(noise):.1f}, {correlation_length(coarse):.1f} px")
    0.7, 2.9 px
    """
    _check_contrast(image)
    reach = min(image.shape) // 4
    shading = resize(_shading(image), image.shape, mode="edge")  # type: ignore[no-untyped-call]
    correlation = _autocorrelation(_windowed(image - shading), reach)
    correlation /= _autocorrelation(_hann(image.shape), reach)
    y, x = np.indices(correlation.shape)
    distance = np.rint(np.hypot(y - reach, x)).astype(np.intp).ravel()
    mean = np.bincount(distance, correlation.ravel()) / np.bincount(distance)
    mean = mean[: reach + 1] / mean[0]
    below = np.flatnonzero(mean < _CORRELATION_LEFT)
    if below.size == 0:
        raise ValueError(
            f"image of {image.shape[1]}×{image.shape[0]} px: correlated over more than a quarter "
            "of its side; subtract its background first, or take a larger image"
        )
    end = int(below[0])
    return float(end - (_CORRELATION_LEFT - mean[end]) / (mean[end - 1] - mean[end]))


def _shading(image: GreyImage) -> FloatArray:
    """The image under a wide blur, shrunk."""
    width = min(image.shape[1], _BLURRED_WIDTH)
    small = np.asarray(resize_by_area(image, width), dtype=np.float64)
    return np.asarray(ndimage.gaussian_filter(small, SHADING_SCALE * width, mode="reflect"))


def _check_contrast(image: GreyImage) -> None:
    if image.min() == image.max():
        raise ValueError(f"the image has grey level {image.flat[0]} throughout: it has no texture")


def _hann(shape: tuple[int, ...]) -> FloatArray:
    """A Hann window of two dimensions that is zero nowhere."""
    rows, columns = (np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 for side in shape)
    return np.asarray(np.outer(rows, columns))


def _windowed(image: GreyImage | FloatArray) -> FloatArray:
    window = _hann(image.shape)
    return np.asarray((image - np.average(image, weights=window)) * window)


def _autocorrelation(values: FloatArray, reach: int) -> FloatArray:
    """For shifts of −reach to reach rows and 0 to reach columns."""
    size = [fft.next_fast_len(side + reach, real=True) for side in values.shape]
    power = np.abs(fft.rfft2(values, size)) ** 2
    full = fft.irfft2(power, size)
    return np.asarray(np.concatenate([full[-reach:], full[: reach + 1]])[:, : reach + 1])
