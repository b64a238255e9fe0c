"""Pores as an array of bool: their chords, their local thickness, how they connect; all in px."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu

from fesemlib.processing import GreyImage

BoolImage = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

_MOST_RADII = 32


def threshold_level(image: GreyImage, threshold: str) -> int:
    """The grey level up to which pixels are taken for pores.

    Parameters
    ----------
    image
        uint8, shape (H, W), of two levels or more.
    threshold
        ``"otsu"`` parts the levels into two groups, each as uniform as can be (Otsu 1979);
        ``"median"`` takes the darker half; a number is the level itself. The first two leave the
        brightest level to the walls.

    Raises
    ------
    ValueError
        For any other threshold.

    Examples
    --------
    >>> image = np.array([[10, 10, 12], [90, 200, 220]], np.uint8)
    >>> [threshold_level(image, threshold) for threshold in ("otsu", "median", "100")]
    [90, 51, 100]
    """
    if threshold == "otsu":
        return min(int(threshold_otsu(image)), int(image.max()) - 1)  # type: ignore[no-untyped-call]
    if threshold == "median":
        return min(int(np.median(image)), int(image.max()) - 1)
    if threshold.isascii() and threshold.isdigit() and int(threshold) <= 255:
        return int(threshold)
    raise ValueError(f"threshold {threshold!r}: give otsu, median, or a grey level from 0 to 255")


def chord_lengths(pores: BoolImage) -> tuple[FloatArray, FloatArray]:
    """The lengths of the runs of pore along all rows and columns, and what each run counts.

    A run that touches the frame's edge is left out: where it ends is not known. Long runs touch it
    more often than short ones, and a run that fits into fewer places counts for so much more
    (Miles & Lantuéjoul): without that, a mean would come out too small. Runs as long as the frame
    are never seen. Rows count as much as columns.

    Parameters
    ----------
    pores
        Where the pores are, bool, shape (H, W).

    Returns
    -------
    lengths, weights
        Shape (n,) each: px, and a relative number.

    Examples
    --------
    >>> pores = np.zeros((40, 60), bool)
    >>> pores[10:16, 20:30] = True
    >>> lengths, weights = chord_lengths(pores)
    >>> np.unique(lengths).tolist()
    [6.0, 10.0]
    """
    lengths, weights = [], []
    for lines in (pores, pores.T):
        number, side = lines.shape
        steps = np.diff(np.pad(lines.astype(np.int8), ((0, 0), (1, 1))))
        starts, ends = np.nonzero(steps == 1)[1], np.nonzero(steps == -1)[1]
        runs = (ends - starts)[(starts > 0) & (ends < side)]
        lengths.append(runs.astype(np.float64))
        weights.append(1 / (number * (side - 1.0 - runs)))
    return np.concatenate(lengths), np.concatenate(weights)


def local_thickness(pores: BoolImage) -> FloatArray:
    """At each place of the pores the diameter of the largest disc in them that covers it.

    Diameters differ by two pixels, or, in pores wider than 64 px, by a 32nd of the widest; each is
    the greatest of those that fit (Hildebrand & Rüegsegger 1997). What lies beyond the frame is
    taken for more of the same: pores that its edge cuts come out too wide rather than too narrow.

    Parameters
    ----------
    pores
        Where the pores are, bool, shape (H, W); there is something else, too.

    Returns
    -------
    ndarray
        float64, shape (H, W), px; zero outside the pores.

    Examples
    --------
    >>> pores = np.zeros((40, 60), bool)
    >>> pores[10:17] = True  # a slit of seven rows
    >>> np.unique(local_thickness(pores)).tolist()
    [0.0, 7.0]
    """
    distance = ndimage.distance_transform_edt(pores)
    widest = float(distance.max(initial=0.0))
    thickness = np.where(pores, 1.0, 0.0)
    # From the narrowest on, so that the widest disc has the last word. A pore ends half a pixel
    # before the next pixel's centre.
    for radius in np.linspace(1, widest, min(max(int(widest), 1), _MOST_RADII)):
        covered = ndimage.distance_transform_edt(distance < radius) < radius
        thickness[covered] = 2 * radius - 1
    return thickness


def largest_piece(pores: BoolImage) -> float:
    """The share of the pores' area that is one piece, whose pixels touch along an edge."""
    sizes = np.bincount(ndimage.label(pores)[0].ravel())[1:]
    return float(sizes.max() / sizes.sum())
