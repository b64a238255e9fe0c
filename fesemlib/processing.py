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

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fesemlib.dataset import Dataset
from fesemlib.micrographs import GreyImage
from fesemlib.params import Parameters
from fesemlib.storage import build_folder, code_digest, digest, writable, write_atomically

__all__ = [
    "ProcessedImage",
    "equalize_histogram",
    "input_shape",
    "keep_network_inputs",
    "network_inputs",
    "process",
    "process_with",
    "resize_by_area",
    "subtract_background",
]

FloatImage = npt.NDArray[np.float32]

# ImageJ's choice for a ball of up to this radius (px): shrink factor, and the share of the ball
# that is trimmed from its rim (%).
_SHRINK_AND_TRIM = ((10.0, 1, 24), (30.0, 2, 24), (100.0, 4, 32), (np.inf, 8, 40))


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
        ``"classic"``, ``"imagej"`` (see `equalize_histogram`) or ``"none"``.

    Returns
    -------
    ProcessedImage
        The original and the result of each step, for Figure 2.
    """
    subtracted, background = subtract_background(
        image, radius, light_background, smooth, return_background=True
    )
    equalized = (
        subtracted if equalization == "none" else equalize_histogram(subtracted, equalization)
    )
    return ProcessedImage(image, background, subtracted, equalized)


def process_with(parameters: Parameters, image: GreyImage) -> ProcessedImage:
    """`process` as the parameters say."""
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
        When the image is not uint8 with two dimensions, or the radius is not positive.

    Notes
    -----
    An image with a side shorter than two shrunk pixels has no room for the linear
    extrapolation at its borders; the background is then constant along that side.

    References
    ----------
    Section 3; ImageJ's "Subtract Background…" [2]_.

    .. [2] Schneider, Rasband & Eliceiri, Nature Methods 9 (2012) 671–675.
    """
    _check_grey(image)
    if not radius > 0:
        raise ValueError(f"radius = {radius} px: the rolling ball needs a positive radius")
    surface = image.astype(np.float32)
    if light_background:
        surface = -surface
    if smooth:
        surface = ndimage.uniform_filter(surface, size=3, mode="nearest")
    shrink, trim = next((s, t) for limit, s, t in _SHRINK_AND_TRIM if radius <= limit)
    rolled = _open_with_ball(_shrink_by_minimum(surface, shrink), max(radius / shrink, 1.0), trim)
    background = _enlarge(rolled, shrink, (image.shape[0], image.shape[1]))
    if light_background:
        background = -background
    offset = np.float32(255.5 if light_background else 0.5)
    difference = np.floor(image - background + offset)
    subtracted: GreyImage = np.clip(difference, 0, 255).astype(np.uint8)
    if return_background:
        return subtracted, np.clip(np.floor(background + 0.5), 0, 255).astype(np.uint8)
    return subtracted


def equalize_histogram(image: GreyImage, method: str = "classic") -> GreyImage:
    """Equalise the histogram with ImageJ's look-up table.

    Parameters
    ----------
    image
        Grey levels, uint8, shape (H, W).
    method
        ``"classic"`` linearises the cumulative distribution function of the grey levels;
        ``"imagej"`` weights the counts by their square root, ImageJ's preset, which is gentler.

    Returns
    -------
    ndarray
        uint8, shape (H, W).

    Raises
    ------
    TypeError, ValueError
        When the image is not uint8 with two dimensions, or the method is unknown.

    References
    ----------
    Section 3; Pizer et al., Computer Vision, Graphics, and Image Processing 39 (1987) 355–368;
    ImageJ's "Enhance Contrast… › Equalize histogram".
    """
    _check_grey(image)
    counts = np.bincount(image.ravel(), minlength=256).astype(np.float64)
    if method not in ("classic", "imagej"):
        raise ValueError(f"method = {method!r}: choose 'classic' or 'imagej'")
    weights = counts if method == "classic" else np.sqrt(counts)
    # The trapezoidal integral of the weights, added up in ImageJ's order: each level's weight
    # counts half at the level and half after it.
    cumulative = np.cumsum(np.repeat(weights, 2)[1:-1])[1::2]
    table = np.zeros(256, dtype=np.uint8)
    table[1:] = np.floor(255.0 / cumulative[-1] * cumulative + 0.5)
    table[255] = 255
    return table[image]


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
    """
    height = input_shape((image.shape[0], image.shape[1]), width)[0]
    rows = _average_along_rows(image.astype(np.float64), height)
    averages = _average_along_rows(rows.T, width).T.clip(image.min(), image.max())  # rounding
    return np.ascontiguousarray(averages, dtype=np.float32)


def input_shape(shape: tuple[int, int], width: int) -> tuple[int, int]:
    """The shape (h, w) of the network's input for micrographs of this shape (H, W), in px.

    Raises
    ------
    ValueError
        When the micrographs are narrower than `width`.
    """
    if width > shape[1]:
        raise ValueError(
            f"input_width = {width} px, but the micrographs are {shape[1]} px wide; "
            f"set input_width to {shape[1]} or less"
        )
    return max(round(shape[0] * width / shape[1]), 1), width


def network_inputs(dataset: Dataset, parameters: Parameters) -> FloatImage:
    """Process all micrographs of a data set and bring them to the network's input size.

    Parameters
    ----------
    dataset
        The micrographs, all of one shape.
    parameters
        `background_radius_px`, `light_background`, `smooth_background`, `equalization` and
        `input_width` are used.

    Returns
    -------
    ndarray
        float32, shape (n, h, w), grey levels divided by 255: in [0, 1].
    """
    inputs: FloatImage = np.load(keep_network_inputs(dataset, parameters))
    return inputs


def keep_network_inputs(dataset: Dataset, parameters: Parameters) -> Path:
    """The file in the cache that holds `network_inputs`; made now if it is not there yet.

    Its name is a digest of all that determines its content.
    """
    chosen = parameters.model_dump(
        include={
            "background_radius_px",
            "light_background",
            "smooth_background",
            "equalization",
            "input_width",
        }
    )
    images = [micrograph.image for micrograph in dataset.micrographs]
    name = digest(code_digest(__name__), chosen, *images)
    path = writable(build_folder() / "cache" / "inputs") / f"{name}.npy"
    if not path.is_file():
        processed = [process_with(parameters, image).equalized for image in images]
        small = [resize_by_area(image, parameters.input_width) for image in processed]
        inputs = np.stack(small) / np.float32(255)
        write_atomically(path, lambda temporary: np.save(temporary, inputs))
    return path


def _check_grey(image: GreyImage) -> None:
    if image.dtype != np.uint8:
        raise TypeError(f"the image is {image.dtype}; convert it to uint8, as read_micrograph does")
    if image.ndim != 2 or image.size == 0:
        raise ValueError(
            f"the image has shape {image.shape}; a grey image of shape (H, W) is needed"
        )


def _shrink_by_minimum(surface: FloatImage, shrink: int) -> FloatImage:
    """The minimum of each block of shrink × shrink px; the last, partial block counts."""
    rows = np.minimum.reduceat(surface, np.arange(0, surface.shape[0], shrink), axis=0)
    return np.minimum.reduceat(rows, np.arange(0, surface.shape[1], shrink), axis=1)


def _ball(radius: float, trim_percent: int) -> FloatImage:
    """Heights of the upper half of a ball above its equator, its rim trimmed."""
    half_width = int(radius - int(trim_percent * radius) // 100 + 0.5)
    offsets = np.arange(-half_width, half_width + 1)
    squared = radius**2 - offsets[:, np.newaxis] ** 2 - offsets**2
    heights: FloatImage = np.sqrt(np.maximum(squared, 0)).astype(np.float32)
    return heights


def _open_with_ball(surface: FloatImage, radius: float, trim_percent: int) -> FloatImage:
    """The grey-scale opening: the highest surface that a ball rolling below can touch."""
    ball = _ball(radius, trim_percent)
    padded = np.pad(surface, ball.shape[0] - 1, constant_values=np.inf)
    eroded = -_dilate(-padded, ball)  # the ball is symmetric: an erosion is a dilation upside down
    eroded[~np.isfinite(eroded)] = -np.inf
    return _dilate(eroded, ball)


def _dilate(surface: FloatImage, ball: FloatImage) -> FloatImage:
    """Grey-scale dilation where the ball lies inside the array: each side loses half a ball."""
    height = surface.shape[0] - ball.shape[0] + 1
    width = surface.shape[1] - ball.shape[1] + 1
    result = np.full((height, width), -np.inf, dtype=np.float32)
    lifted = np.empty_like(result)
    for (row, column), lift in np.ndenumerate(ball):
        np.add(surface[row : row + height, column : column + width], lift, out=lifted)
        np.maximum(result, lifted, out=result)
    return result


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
    enlarged: FloatImage = low * weight + high * (1 - weight)
    return enlarged


def _enlarge(surface: FloatImage, shrink: int, shape: tuple[int, int]) -> FloatImage:
    """Enlarge by linear interpolation between the blocks' centres, extrapolating beyond them."""
    if shrink == 1:
        return surface
    for axis, length in enumerate(shape):
        surface = _enlarge_along(surface, shrink, length, axis)
    return surface


def _average_along_rows(image: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """Average over `length` equal intervals of axis 0, fractions of pixels included."""
    integral = np.concatenate([np.zeros((1, image.shape[1])), np.cumsum(image, axis=0)])
    edges = np.linspace(0, image.shape[0], length + 1)
    below = np.minimum(edges.astype(int), image.shape[0] - 1)
    part = (edges - below)[:, np.newaxis]
    at_edges = integral[below] * (1 - part) + integral[below + 1] * part
    averages: npt.NDArray[np.float64] = np.diff(at_edges, axis=0) * (length / image.shape[0])
    return averages
