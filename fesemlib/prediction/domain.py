"""Does a micrograph resemble those of the training set?

A network answers whatever it is shown. Here a processed micrograph is described by a few numbers on
scales of one, two, four … pixels: how the variance is distributed over the scales, how heavy the
tails of the details are, whether bright or dark details stand out, and whether rows or columns do.
What counts is the distance of these to the nearest mixture of two micrographs of the training set:
with few formulations, what lies between two of them is familiar as well. It is compared with the
distances that the micrographs of the training set have when their own formulation is left out. If
the formulations are exchangeable, a new one exceeds all n of them in about one of n + 1 cases or in
fewer: its own distance is to all n, theirs to n − 1.

The features of `fesemlib.features` are richer, and take more than a second for a micrograph at
full resolution; these take less than a tenth of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pywt
from scipy import ndimage

from fesemlib.processing.background import GreyImage, resize_by_area

Values = npt.NDArray[np.float64]

_WIDTH = 1024  # px, at which textures are described; smaller images are not enlarged
_MOST_SCALES = 6
_LEAST_SIDE = 8  # of the coarsest scale, px
_WAVELET = "db2"
_LEAST = 1e-9  # so that a flat image has logarithms, too
_MOST_MIXED = 32  # of the nearest training micrographs
_LEAST_SPREAD = 0.02  # of a feature over the training set, whose scale it is
_KINDS = ("share of the variance", "tails", "skewness", "rows against columns")


def texture_description(image: GreyImage) -> Values:
    """Describe the texture of a processed micrograph.

    Parameters
    ----------
    image
        Grey levels after background subtraction and equalisation, shape (H, W), at full size.

    Returns
    -------
    ndarray
        As many features as `texture_names` has, none of which depends on brightness or contrast.
        For every scale, from the finest: the natural logarithms of the share of the variance in its
        wavelet details, of their kurtosis, and of the ratio of the details across rows to those
        across columns; and the skewness of each pixel's difference from the mean of the 3 × 3
        around it.

    Notes
    -----
    Images that are wider than 1024 px are averaged to that width first.

    References
    ----------
    Mallat, IEEE Transactions on Pattern Analysis and Machine Intelligence 11 (1989) 674–693, for
    the details; Portilla & Simoncelli, International Journal of Computer Vision 40 (2000) 49–70,
    for moments of sub-bands as a description of texture.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 100, (64, 96)).astype(np.uint8)
    >>> described = texture_description(image)
    >>> len(described) == len(texture_names(image.shape))
    True
    >>> changed = texture_description(2 * image + 50)  # in contrast and brightness
    >>> bool(np.allclose(changed, described, atol=1e-5))
    True
    """
    levels = _reduced(image)
    variance = max(float(levels.var()), _LEAST)
    coarse = smooth = levels
    rows: list[tuple[float, float, float, float]] = []
    for number in range(_scales(levels.shape)):
        coarse, details = pywt.dwt2(coarse, _WAVELET, "periodization")
        squares = [kind * kind for kind in details]
        energies = [float(square.mean()) for square in squares]
        fourth = [float((square * square).mean()) for square in squares]
        tails = [
            high / max(energy**2, _LEAST) for high, energy in zip(fourth, energies, strict=True)
        ]
        share = sum(energies) / variance / 4 ** (number + 1)
        rows.append(
            (
                float(np.log(share + _LEAST)),
                float(np.log(np.mean(tails) + _LEAST)),
                _skewness(smooth - ndimage.uniform_filter(smooth, 3, mode="nearest")),
                float(np.log((energies[0] + _LEAST) / (energies[1] + _LEAST))),
            )
        )
        smooth = _halved(smooth)
    return np.array(rows, dtype=np.float64).T.ravel()


def texture_names(shape: tuple[int, int]) -> tuple[str, ...]:
    """What the features of `texture_description` are, for images of a shape (H, W).

    Examples
    --------
    >>> names = texture_names((768, 1024))
    >>> len(names), names[0], names[1]
    (24, 'share of the variance at 1 px', 'share of the variance at 2 px')
    """
    height, width = shape
    factor = max(width / _WIDTH, 1.0)
    reduced = (max(round(height / factor), 1), round(width / factor))
    return tuple(
        f"{kind} at {2**number * factor:.3g} px"
        for kind in _KINDS
        for number in range(_scales(reduced))
    )


@dataclass(frozen=True)
class Domain:
    """What the micrographs of a training set look like.

    Attributes
    ----------
    textures
        Of `texture_description`, shape (n, features).
    formulations
        Of each micrograph.

    Examples
    --------
    >>> domain = Domain(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), ("A", "B", "C"))
    >>> domain.distance(np.array([1.0, 1.0]))  # between B and C
    0.0
    >>> domain.distance(np.array([9.0, 9.0])) > domain.limit
    True
    """

    textures: Values
    formulations: tuple[str, ...]

    @property
    def spread(self) -> Values:
        """The scale of each feature: its standard deviation over the training set."""
        spread: Values = np.maximum(self.textures.std(axis=0), _LEAST_SPREAD)
        return spread

    @property
    def limit(self) -> float:
        """The greatest distance of a training micrograph to those of the other formulations.

        Infinite where there is only one formulation.
        """
        names = np.array(self.formulations)
        distances = [
            _distance(texture, self.textures[names != name], self.spread)
            for texture, name in zip(self.textures, names, strict=True)
        ]
        return max(distances)

    def distance(self, texture: Values) -> float:
        """Distance to the nearest mixture of two training micrographs.

        Parameters
        ----------
        texture
            Of `texture_description`.

        Returns
        -------
        float
            Root mean square over the features, in units of `spread`. Mixtures are weighted means
            of two textures; of a large training set, those of the nearest ones.

        Examples
        --------
        >>> Domain(np.array([[0.0], [2.0]]), ("A", "B")).distance(np.array([3.0]))
        1.0
        """
        return _distance(texture, self.textures, self.spread)

    @classmethod
    def of(cls, images: Sequence[GreyImage], formulations: Sequence[str]) -> Domain:
        """Describe processed micrographs.

        Parameters
        ----------
        images
            After the processing, at full size.
        formulations
            Of each.

        Examples
        --------
        >>> images = np.random.default_rng(0).integers(0, 256, (2, 64, 96)).astype(np.uint8)
        >>> domain = Domain.of(list(images), ["A", "B"])
        >>> domain.distance(domain.textures[0])
        0.0
        """
        return cls(np.stack([texture_description(each) for each in images]), tuple(formulations))


def _distance(texture: Values, others: Values, spread: Values) -> float:
    if len(others) == 0:
        return float("inf")
    points = (others - texture) / spread
    points = points[np.argsort((points**2).sum(axis=1), kind="stable")[:_MOST_MIXED]]
    first, second = np.triu_indices(len(points))  # each with itself, too
    start, way = points[first], points[second] - points[first]
    length = np.maximum((way**2).sum(axis=1), np.finfo(float).tiny)
    part = np.clip(-(start * way).sum(axis=1) / length, 0, 1)
    nearest = start + part[:, np.newaxis] * way
    return float(np.sqrt((nearest**2).mean(axis=1).min()))


def _reduced(image: GreyImage) -> npt.NDArray[np.float32]:
    """The image at the width at which it is described."""
    height, width = image.shape
    if width <= _WIDTH:
        return image.astype(np.float32)
    factor = width // _WIDTH
    if width == factor * _WIDTH and height % factor == 0:  # the same, and faster
        blocks = image.reshape(height // factor, factor, _WIDTH, factor)
        rows: npt.NDArray[np.float32] = blocks.sum(axis=(1, 3), dtype=np.uint32).astype(np.float32)
        return rows / np.float32(factor**2)
    return np.asarray(resize_by_area(image, _WIDTH), dtype=np.float32)


def _scales(shape: tuple[int, ...]) -> int:
    fitting = int(np.log2(max(min(shape) / _LEAST_SIDE, 1)))
    return min(max(fitting, 1), _MOST_SCALES)


def _skewness(values: npt.NDArray[Any]) -> float:
    squares = values * values
    return float((squares * values).mean() / max(float(squares.mean()), _LEAST) ** 1.5)


def _halved(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The mean of each 2 × 2 px; an odd last row or column is left out."""
    height, width = (side // 2 * 2 for side in image.shape)
    even = image[:height, :width]
    rows = even[::2] + even[1::2]
    halved: npt.NDArray[np.float32] = (rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25)
    return halved
