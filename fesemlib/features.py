"""Texture features of processed micrographs: what can be measured without learning.

Four families, in the spirit of Grassini et al. [1]_, who related frequencies of an image to its
pores; none of them reproduces that work. Lengths are in µm where the pixel size is known, else in
px.

References
----------
.. [1] S. Grassini, R. Pisano, A. A. Barresi, E. Angelini, M. Parvis, "Frequency domain image
   analysis for the characterization of porous products", Measurement 94 (2016) 515–522.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pywt
from skimage import feature

from fesemlib.processing.background import resize_by_area

__all__ = [
    "FAMILIES",
    "cooccurrence",
    "local_patterns",
    "spectrum",
    "texture_features",
    "wavelet_energies",
]

GreyImage = npt.NDArray[np.uint8]

_SKIMAGE: Any = feature  # without types

_LEVELS = 32  # grey levels of the co-occurrence matrix
_DISTANCES = (2.0, 4.0, 8.0, 16.0)  # µm
_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
_PROPERTIES = ("contrast", "correlation", "homogeneity", "energy")
_RADII = (1, 2, 4)  # px
_POINTS = 8
_WAVELENGTHS = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)  # µm, limits of the bands
_WAVELET = "db2"
_SCALES = 5
_LEAST_SHARE = 1e-12


def cooccurrence(image: GreyImage, pixel_size: float) -> dict[str, float]:
    """Haralick's features of the grey-level co-occurrence matrix, averaged over four directions.

    Parameters
    ----------
    image
        Shape (H, W).
    pixel_size
        In the unit of the features' lengths.

    Returns
    -------
    dict
        Contrast, correlation, homogeneity and energy at each distance.

    References
    ----------
    Haralick, Shanmugam & Dinstein, "Textural features for image classification", IEEE Transactions
    on Systems, Man, and Cybernetics 3 (1973) 610–621; scikit-image's `graycomatrix`.

    Examples
    --------
    >>> flat = np.full((64, 64), 100, np.uint8)
    >>> {name: round(value, 2) for name, value in list(cooccurrence(flat, 1.0).items())[:4]}
    {'contrast at 2': 0.0, 'contrast at 4': 0.0, 'contrast at 8': 0.0, 'contrast at 16': 0.0}
    """
    steps = [max(1, round(distance / pixel_size)) for distance in _DISTANCES]
    coarse = (image // (256 // _LEVELS)).astype(np.uint8)
    matrix = _SKIMAGE.graycomatrix(
        coarse, steps, _ANGLES, levels=_LEVELS, symmetric=True, normed=True
    )
    return {
        f"{name} at {distance:g}": float(values.mean())
        for name in _PROPERTIES
        for distance, values in zip(_DISTANCES, _SKIMAGE.graycoprops(matrix, name), strict=True)
    }


def local_patterns(image: GreyImage, pixel_size: float) -> dict[str, float]:  # noqa: ARG001
    """How often each uniform local binary pattern occurs, around eight points at three radii.

    Parameters
    ----------
    image
        Shape (H, W).
    pixel_size
        Not used: the radii are in px.

    References
    ----------
    Ojala, Pietikäinen & Mäenpää, "Multiresolution gray-scale and rotation invariant texture
    classification with local binary patterns", IEEE Transactions on Pattern Analysis and Machine
    Intelligence 24 (2002) 971–987; scikit-image's `local_binary_pattern`.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    >>> shares = local_patterns(noise, 1.0)  # of ten patterns at each of three radii
    >>> len(shares), round(sum(shares.values()), 6)
    (30, 3.0)
    """
    shares = {}
    for radius in _RADII:
        patterns = _SKIMAGE.local_binary_pattern(image, _POINTS, radius, method="uniform").astype(
            int
        )
        counts = np.bincount(patterns.ravel(), minlength=_POINTS + 2)
        for pattern, count in enumerate(counts):
            shares[f"pattern {pattern} at {radius} px"] = float(count / patterns.size)
    return shares


def spectrum(image: GreyImage, pixel_size: float) -> dict[str, float]:
    """Share of the variance in bands of wavelength, in all directions together.

    Parameters
    ----------
    image
        Shape (H, W).
    pixel_size
        In the unit of the features' lengths.

    Returns
    -------
    dict
        For each octave of wavelength, the decimal logarithm of its share of the variance.

    Notes
    -----
    The image is weighted by a Hann window, without which its edges would count as fine structure.
    A band that the pixels or the frame do not resolve has no share, −12 as a logarithm.

    Examples
    --------
    >>> stripes = np.tile(np.where(np.arange(256) % 12 < 6, 0, 200).astype(np.uint8), (256, 1))
    >>> shares = spectrum(stripes, 1.0)
    >>> max(shares, key=shares.get)  # the stripes repeat after 12 px
    'wavelengths 8 to 16'
    """
    window = np.outer(*(np.hanning(side) for side in image.shape))
    values = (image - np.average(image, weights=window)) * window
    power = np.abs(np.fft.rfft2(values)) ** 2
    power[:, 1 : (image.shape[1] + 1) // 2] *= 2  # the half that a real image's transform omits
    frequency = np.hypot(
        np.fft.fftfreq(image.shape[0], pixel_size)[:, np.newaxis],
        np.fft.rfftfreq(image.shape[1], pixel_size),
    )
    total = power[frequency > 0].sum()
    return {
        f"wavelengths {short:g} to {long:g}": _logarithm(
            power[(frequency > 1 / long) & (frequency <= 1 / short)].sum(), total
        )
        for short, long in pairwise(_WAVELENGTHS)
    }


def wavelet_energies(image: GreyImage, pixel_size: float) -> dict[str, float]:
    """Share of the variance at each scale of a wavelet transform.

    Parameters
    ----------
    image
        Shape (H, W).
    pixel_size
        In the unit of the features' lengths.

    Returns
    -------
    dict
        For each scale, the decimal logarithm of the share of its three kinds of detail.

    References
    ----------
    Mallat, "A theory for multiresolution signal decomposition: the wavelet representation", IEEE
    Transactions on Pattern Analysis and Machine Intelligence 11 (1989) 674–693; PyWavelets.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (256, 256)).astype(np.uint8)
    >>> energies = wavelet_energies(noise, 1.0)
    >>> max(energies, key=energies.get)  # of noise, most is in the finest details
    'scale 2'
    """
    total = float(((image - image.mean()) ** 2).sum())
    energies = {}
    coarse = image.astype(np.float32)
    for number in range(1, _SCALES + 1):
        coarse, details = pywt.dwt2(coarse, _WAVELET, "periodization")
        energy = sum(float((kind**2).sum()) for kind in details)
        energies[f"scale {2**number * pixel_size:.3g}"] = _logarithm(energy, total)
    return energies


FAMILIES = {
    "co-occurrence": cooccurrence,
    "local patterns": local_patterns,
    "spectrum": spectrum,
    "wavelets": wavelet_energies,
}
"""The families of features by name: functions of a processed image and its pixel size."""


def texture_features(
    images: Sequence[GreyImage], pixel_size_um: float | None, width: int | None = None
) -> pd.DataFrame:
    """All features of all processed micrographs.

    Parameters
    ----------
    images
        Shape (H, W) each, as `fesemlib.network.inputs.processed_micrographs` gives them.
    pixel_size_um
        Their common one; None where it is not known.
    width
        To which the images are shrunk before they are measured, px; at full size if not given.

    Returns
    -------
    DataFrame
        A row for each image; columns ``(family, feature)``.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (2, 192, 256)).astype(np.uint8)
    >>> table = texture_features(noise, 1.0)
    >>> len(table), list(table.columns.unique("family"))
    (2, ['co-occurrence', 'local patterns', 'spectrum', 'wavelets'])
    """
    full = images[0].shape[1]
    pixel_size = (pixel_size_um or 1.0) * full / (width or full)
    measure = partial(_features, pixel_size=pixel_size)
    if width is not None:
        images = [np.round(resize_by_area(image, width)).astype(np.uint8) for image in images]
    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(measure, images))
    table = pd.DataFrame(rows)
    table.columns = pd.MultiIndex.from_tuples(list(rows[0]), names=["family", "feature"])
    return table


def _logarithm(part: float, total: float) -> float:
    """Decimal logarithm of a share, at least −12; a flat image has no shares."""
    return float(np.log10(part / total + _LEAST_SHARE if total > 0 else _LEAST_SHARE))


def _features(image: GreyImage, pixel_size: float) -> dict[tuple[str, str], float]:
    return {
        (family, name): value
        for family, measure in FAMILIES.items()
        for name, value in measure(image, pixel_size).items()
    }
