"""From the micrograph to the network's input: background, histogram, size.

Section 3 of the paper subtracts the background with ImageJ's rolling ball and equalises the
histogram. ImageJ's rolling ball is a grey-scale opening with a ball on a shrunk image
[1]_, [2]_; `skimage.restoration.rolling_ball` is another algorithm with other results.

References
----------
.. [1] Sternberg, "Biomedical image processing", Computer 16 (1983) 22–34.
.. [2] Schneider, Rasband & Eliceiri, "NIH Image to ImageJ", Nature Methods 9 (2012) 671–675.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import numpy.typing as npt
from skimage.exposure import equalize_adapthist

from fesemlib.params import ProcessingParameters

FloatImage = npt.NDArray[np.float32]
GreyImage = npt.NDArray[np.uint8]

# ImageJ's choice for a ball of up to this radius (px): shrink factor, and the share of the ball
# that is trimmed from its rim (%).
_SHRINK_AND_TRIM = ((10.0, 1, 24), (30.0, 2, 24), (100.0, 4, 32), (np.inf, 8, 40))

# The ball rolls over so many elements of a surface at a time: the buffers fit in a core's cache.
_BAND_ELEMENTS = 1 << 16

# The tiles of the adaptive equalisation, in each direction, and its clip limit: the share of a
# tile's pixels that one of the 256 bins may hold.
_CLAHE_TILES = 8
_CLAHE_CLIP_LIMIT = 0.01


@dataclass(frozen=True)
class ProcessedImage:
    """A micrograph at each step of the processing; all arrays are uint8 of shape (H, W).

    Attributes
    ----------
    original
        As read.
    background
        The light or dark background that the rolling ball finds.
    subtracted
        After background subtraction.
    equalized
        After histogram equalisation.
    """

    original: GreyImage
    background: GreyImage
    subtracted: GreyImage
    equalized: GreyImage


def process(
    image: GreyImage,
    radius: float = 50.0,
    light_background: bool = True,
    smooth: bool = True,
    equalization: str = "classic",
) -> ProcessedImage:
    """Process a micrograph as in Section 3: subtract the background, equalise the histogram.

    Parameters
    ----------
    image
        Grey levels, uint8, shape (H, W).
    radius, light_background, smooth
        See `subtract_background`.
    equalization
        The `method` of `equalize_histogram`.

    Returns
    -------
    ProcessedImage
        The original and the result of each step, for Figure 2.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    >>> steps = process(image, radius=20)
    >>> np.array_equal(steps.original, image), steps.equalized.shape
    (True, (64, 64))
    """
    subtracted, background = subtract_background(
        image, radius, light_background, smooth, return_background=True
    )
    equalized = equalize_histogram(subtracted, equalization)
    return ProcessedImage(image, background, subtracted, equalized)


def process_with(parameters: ProcessingParameters, image: GreyImage) -> ProcessedImage:
    """`process` as the parameters say.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    >>> steps = process_with(ProcessingParameters(equalization="none"), image)
    >>> np.array_equal(steps.equalized, steps.subtracted)
    True
    """
    return process(
        image,
        parameters.background_radius_px,
        parameters.light_background,
        parameters.smooth_background,
        parameters.equalization,
    )


@overload
def subtract_background(
    image: GreyImage,
    radius: float = ...,
    light_background: bool = ...,
    smooth: bool = ...,
    return_background: Literal[False] = ...,
) -> GreyImage: ...
@overload
def subtract_background(
    image: GreyImage,
    radius: float = ...,
    light_background: bool = ...,
    smooth: bool = ...,
    *,
    return_background: Literal[True],
) -> tuple[GreyImage, GreyImage]: ...
def subtract_background(
    image: GreyImage,
    radius: float = 50.0,
    light_background: bool = True,
    smooth: bool = True,
    return_background: bool = False,
) -> GreyImage | tuple[GreyImage, GreyImage]:
    """Subtract the background that ImageJ's rolling ball finds.

    Parameters
    ----------
    image
        Grey levels, uint8, shape (H, W).
    radius
        Radius of the ball in px. ImageJ shrinks the image before the ball rolls, and the ball with
        it; its height in grey levels is that of the shrunk ball (12.5 for 50 px).
    light_background
        Whether the background is lighter than the features; then the result's background is
        white, else black.
    smooth
        Average 3 × 3 px before the ball rolls; the image itself is not smoothed.
    return_background
        Whether to return the background too.

    Returns
    -------
    subtracted : ndarray
        uint8, shape (H, W).
    background : ndarray
        uint8, shape (H, W); only with ``return_background``.

    Raises
    ------
    TypeError, ValueError
        When the image is not uint8 with two dimensions, or the radius not finite and positive.

    Notes
    -----
    The result equals that of ImageJ 1.53t on every pixel. An image with a side no longer than the
    shrink factor (2 px for a radius above 10 px, 4 above 30, 8 above 100) has a single shrunk pixel
    there and no slope to continue: the background is then constant along that side. ImageJ stops
    with an error if it is the width, and darkens the image toward one edge if it is the height.

    Time grows with the square of the radius over the shrink factor.

    References
    ----------
    Section 3; ImageJ's "Subtract Background…" [2]_.

    .. [2] Schneider, Rasband & Eliceiri, Nature Methods 9 (2012) 671–675.

    Examples
    --------
    >>> shading = np.tile(np.linspace(100, 200, 64).astype(np.uint8), (64, 1))
    >>> shading[20:24, 20:24] -= 50  # a dark speck on a light, uneven ground
    >>> subtracted = subtract_background(shading, radius=20)
    >>> int(subtracted.max()), int(np.median(subtracted)), int(subtracted.min())
    (255, 254, 204)
    """
    _check_grey(image)
    if not (radius > 0 and math.isfinite(radius)):
        raise ValueError(f"radius = {radius} px: the rolling ball needs a finite, positive radius")
    surface = image.astype(np.float32)
    if light_background:
        np.negative(surface, out=surface)
    if smooth:
        for axis in (1, 0):
            surface = _average_of_three(surface, axis)
    shrink, trim = next((s, t) for limit, s, t in _SHRINK_AND_TRIM if radius <= limit)
    rolled = _open_with_ball(_shrink_by_minimum(surface, shrink), _ball(radius / shrink, trim))
    background = _enlarge(rolled, shrink, (image.shape[0], image.shape[1]))
    if light_background:
        np.negative(background, out=background)
    difference = image - background
    difference += np.float32(255.5 if light_background else 0.5)
    subtracted = _grey(difference)
    if return_background:
        background += np.float32(0.5)
        return subtracted, _grey(background)
    return subtracted


def equalize_histogram(image: GreyImage, method: str = "classic") -> GreyImage:
    """Equalise the histogram, with ImageJ's look-up table or adaptively.

    Parameters
    ----------
    image
        Grey levels, uint8, shape (H, W).
    method
        ``"classic"`` linearises the cumulative distribution function of the grey levels;
        ``"imagej"`` weights the counts by their square root, ImageJ's preset, which is gentler;
        ``"clahe"`` equalises each pixel with the histograms of the tiles around it, an eighth of
        the image high and wide, their counts clipped at 1 % of the tile, and stretches the result
        to the full range (an image of one grey level stays as it is); ``"none"`` returns the image
        as it is.

    Returns
    -------
    ndarray
        uint8, shape (H, W).

    Raises
    ------
    TypeError, ValueError
        When the image is not uint8 with two dimensions, or the method is unknown.

    Notes
    -----
    ImageJ's tables keep the order of grey levels in the whole image. ``"clahe"`` keeps it only
    among pixels with the same place in their tile: of two distant pixels, the darker one may
    become the lighter, so that large structures lose contrast against small ones.

    References
    ----------
    Section 3; ImageJ's "Enhance Contrast… › Equalize histogram"; for ``"clahe"``, Pizer et al.,
    Computer Vision, Graphics, and Image Processing 39 (1987) 355–368, as scikit-image's
    `equalize_adapthist` computes it.

    Examples
    --------
    >>> dull = np.array([[100, 101], [102, 103]], dtype=np.uint8)
    >>> equalize_histogram(dull).tolist()
    [[32, 96], [159, 223]]
    >>> equalize_histogram(dull, "none").tolist()
    [[100, 101], [102, 103]]
    """
    _check_grey(image)
    if method == "none":
        return image
    if method == "clahe":
        return _equalize_adaptively(image)
    if method not in ("classic", "imagej"):
        raise ValueError(f"method = {method!r}: choose 'classic', 'imagej', 'clahe' or 'none'")
    counts = np.bincount(image.ravel(), minlength=256).astype(np.float64)
    return _imagej_table(counts if method == "classic" else np.sqrt(counts))[image]


def resize_by_area(image: npt.NDArray[np.generic], width: int) -> FloatImage:
    """Shrink an image to a width, each new pixel the average over the area it covers.

    Parameters
    ----------
    image
        Shape (H, W), any numeric type.
    width
        New width in px; the new height keeps the aspect ratio to the nearest pixel.

    Returns
    -------
    ndarray
        float32, shape (h, width), in the units of `image`. The mean is preserved.

    Raises
    ------
    ValueError
        When the image is narrower than `width`: enlarging invents detail.

    Examples
    --------
    >>> image = np.array([[0, 2, 4, 6], [2, 4, 6, 8]])
    >>> resize_by_area(image, 2).tolist()
    [[2.0, 6.0]]
    """
    height = input_shape((image.shape[0], image.shape[1]), width)[0]
    rows = _average_along_rows(image.astype(np.float64), height)
    averages = _average_along_rows(rows.T, width).T.clip(image.min(), image.max())  # rounding
    return np.ascontiguousarray(averages, dtype=np.float32)


def resample_by_area(
    image: npt.NDArray[np.generic], pitch: float, shape: tuple[int, int]
) -> FloatImage:
    """Resample the middle of an image to larger pixels, each the average over what it covers.

    Parameters
    ----------
    image
        Shape (H, W), any numeric type.
    pitch
        Edge of a new pixel, in old pixels; at least 1.
    shape
        Shape (h, w) of the result, which has to lie within the image.

    Returns
    -------
    ndarray
        float32, shape (h, w), in the units of `image`.

    Raises
    ------
    ValueError
        When the new pixels are smaller than the old ones, or the result would reach beyond the
        image.

    Examples
    --------
    >>> image = np.arange(16).reshape(4, 4)
    >>> resample_by_area(image, 2.0, (2, 2)).tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    margins = [old - new * pitch for old, new in zip(image.shape, shape, strict=True)]
    if pitch < 1 or min(margins) < -1e-6:
        raise ValueError(f"pitch = {pitch} px: {shape} new pixels lie not within {image.shape}")
    rows, columns = (
        np.minimum(np.floor(max(margin, 0) / 2 + 1e-6) + pitch * np.arange(new + 1), old)
        for margin, new, old in zip(margins, shape, image.shape, strict=True)
    )
    averages = _average_between(_average_between(image.astype(np.float64), rows).T, columns).T
    return np.ascontiguousarray(averages, dtype=np.float32)


def central_detail(image: GreyImage, shape: tuple[int, int]) -> GreyImage:
    """The middle of an image, at most of this shape (h, w) in px.

    Examples
    --------
    >>> central_detail(np.arange(16, dtype=np.uint8).reshape(4, 4), (2, 2)).tolist()
    [[5, 6], [9, 10]]
    """
    top, left = (max(have - want, 0) // 2 for have, want in zip(image.shape, shape, strict=True))
    return image[top : top + shape[0], left : left + shape[1]]


def input_shape(shape: tuple[int, int], width: int) -> tuple[int, int]:
    """The shape (h, w) of the network's input for micrographs of this shape (H, W), in px.

    Raises
    ------
    ValueError
        When the micrographs are narrower than `width`.

    Examples
    --------
    >>> input_shape((1536, 2048), 128)
    (96, 128)
    """
    if width > shape[1]:
        raise ValueError(
            f"input_width = {width} px, but the micrographs are {shape[1]} px wide; "
            f"set input_width to {shape[1]} or less"
        )
    return max(round(shape[0] * width / shape[1]), 1), width


def _check_grey(image: GreyImage) -> None:
    if image.dtype != np.uint8:
        raise TypeError(f"the image is {image.dtype}; convert it to uint8, as read_micrograph does")
    if image.ndim != 2 or image.size == 0:
        raise ValueError(
            f"the image has shape {image.shape}; a grey image of shape (H, W) is needed"
        )


def _grey(levels: FloatImage) -> GreyImage:
    """Grey levels without their fraction, cut off at black and white; `levels` is overwritten."""
    return np.clip(levels, 0, 255, out=levels).astype(np.uint8)


def _average_of_three(surface: FloatImage, axis: int) -> FloatImage:
    """The mean of each pixel and its neighbours along an axis, added up in ImageJ's order."""
    edges = [(0, 0), (0, 0)]
    edges[axis] = (1, 1)
    padded = np.pad(surface, edges, mode="edge").swapaxes(0, axis)
    total = padded[:-2] + padded[1:-1]
    total += padded[2:]
    total *= np.float32(1 / 3)
    return np.ascontiguousarray(total.swapaxes(0, axis))


def _shrink_by_minimum(surface: FloatImage, shrink: int) -> FloatImage:
    """The minimum of each block of shrink × shrink px; the last, partial block counts."""
    rows = np.minimum.reduceat(surface, np.arange(0, surface.shape[0], shrink), axis=0)
    return np.minimum.reduceat(rows, np.arange(0, surface.shape[1], shrink), axis=1)


def _ball(radius: float, trim_percent: int) -> FloatImage:
    """Heights of a ball's upper half above its equator, its rim trimmed, over one quadrant.

    The offsets from the axis are 0, 1, … px in both directions; a ball of less than 1 px counts
    as one of 1 px.
    """
    radius = max(radius, 1.0)
    half_width = int(radius - int(trim_percent * radius) // 100 + 0.5)
    offsets = np.arange(half_width + 1)
    squared = radius**2 - offsets**2 - offsets[:, np.newaxis] ** 2
    heights: FloatImage = np.sqrt(np.maximum(squared, 0)).astype(np.float32)
    return heights


def _open_with_ball(surface: FloatImage, ball: FloatImage) -> FloatImage:
    """The grey-scale opening: the highest surface that a ball rolling below can touch.

    The ball may stand outside the image as long as it touches a pixel of it.
    """
    padded = np.pad(surface, 2 * (len(ball) - 1), constant_values=np.inf)
    eroded = _roll(padded, ball, np.subtract, np.minimum)
    return _roll(eroded, ball, np.add, np.maximum)


def _roll(surface: FloatImage, ball: FloatImage, lift: np.ufunc, choose: np.ufunc) -> FloatImage:
    """Erosion (`np.subtract`, `np.minimum`) or dilation (`np.add`, `np.maximum`) by a ball.

    Only where the ball lies inside the array: each side loses half a ball. As the ball is
    symmetric, the four pixels at the offsets ±y, ±x are compared before they are lifted.
    """
    reach = len(ball) - 1
    height, width = surface.shape[0] - 2 * reach, surface.shape[1] - 2 * reach
    result = np.empty((height, width), dtype=np.float32)
    rows = max(_BAND_ELEMENTS // surface.shape[1], 1)
    for top in range(0, height, rows):
        band = result[top : top + rows]
        middle = top + reach
        lifted = np.empty_like(band)
        folded = np.empty((len(band), surface.shape[1]), dtype=np.float32)
        for y, heights in enumerate(ball):
            above = surface[middle - y : middle - y + len(band)]
            below = surface[middle + y : middle + y + len(band)]
            choose(above, below, out=folded)
            for x, level in enumerate(heights):
                left = folded[:, reach - x : reach - x + width]
                right = folded[:, reach + x : reach + x + width]
                choose(left, right, out=lifted)
                if x == y == 0:
                    lift(lifted, level, out=band)
                    continue
                lift(lifted, level, out=lifted)
                choose(band, lifted, out=band)
    return result


def _enlarge(surface: FloatImage, shrink: int, shape: tuple[int, int]) -> FloatImage:
    """Enlarge by linear interpolation between the blocks' centres, extrapolating beyond them."""
    if shrink == 1:
        return surface
    return _enlarge_along(_enlarge_along(surface, shrink, shape[1], 1), shrink, shape[0], 0)


def _enlarge_along(surface: FloatImage, shrink: int, length: int, axis: int) -> FloatImage:
    blocks = surface.shape[axis]
    if blocks == 1:
        return np.repeat(surface, length, axis=axis)
    pixels = np.arange(length)
    first = np.minimum(np.maximum(pixels - shrink // 2, 0) // shrink, blocks - 2)
    weight = (1 - ((pixels + 0.5) / shrink - (first + 0.5))).astype(np.float32)
    if axis == 0:
        weight = weight[:, np.newaxis]
    low, high = np.take(surface, first, axis=axis), np.take(surface, first + 1, axis=axis)
    low *= weight
    high *= 1 - weight
    enlarged: FloatImage = low + high
    return enlarged


def _imagej_table(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """The trapezoidal integral of the weights of the 256 levels, added up in ImageJ's order.

    Each level's weight counts half at the level and half after it.
    """
    total = np.cumsum(weights * np.r_[1, np.full(254, 2), 1])[-1]
    cumulative = np.cumsum(np.repeat(weights, 2)[1:-1])[1::2]
    table = np.zeros(256, dtype=np.uint8)
    table[1:] = np.floor(255.0 / total * cumulative + 0.5)
    table[255] = 255
    return table


def _equalize_adaptively(image: GreyImage) -> GreyImage:
    if image.min() == image.max():  # scikit-image would stretch the error of rounding
        return image
    tile = [max(side // _CLAHE_TILES, 1) for side in image.shape]
    equalized = equalize_adapthist(image, kernel_size=tile, clip_limit=_CLAHE_CLIP_LIMIT, nbins=256)
    levels: GreyImage = np.floor(255 * equalized + 0.5).astype(np.uint8)
    return levels


def _average_along_rows(image: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """Average over `length` equal intervals of axis 0, fractions of pixels included."""
    return _average_between(image, np.linspace(0, image.shape[0], length + 1))


def _average_between(
    image: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Average along axis 0 between edges in pixels, fractions of pixels included."""
    integral = np.concatenate([np.zeros((1, image.shape[1])), np.cumsum(image, axis=0)])
    below = np.minimum(edges.astype(int), image.shape[0] - 1)
    part = (edges - below)[:, np.newaxis]
    at_edges = integral[below] * (1 - part) + integral[below + 1] * part
    averages: npt.NDArray[np.float64] = np.diff(at_edges, axis=0) / np.diff(edges)[:, np.newaxis]
    return averages
