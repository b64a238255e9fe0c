"""The processing of Section 3: background, then histogram, each step kept for Figure 2.

The histogram is equalised as by ImageJ (Enhance Contrast… › Equalize histogram), or adaptively.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skimage.exposure import equalize_adapthist

from fesemlib.params import ProcessingParameters
from fesemlib.processing.arrays import GreyImage, check_grey
from fesemlib.processing.background import separate_background

# The tiles of the adaptive equalisation, in each direction, and its clip limit: the share of a
# tile's pixels that one of the 256 bins may hold.
_CLAHE_TILES = 8
_CLAHE_CLIP_LIMIT = 0.01


@dataclass(frozen=True)
class ProcessedImage:
    """A micrograph at each step of the processing; all arrays are uint8 of shape (H, W)."""

    original: GreyImage
    background: GreyImage  # the light or dark one that the rolling ball finds
    subtracted: GreyImage
    equalized: GreyImage


def process(
    image: GreyImage,
    radius: float = 50.0,
    light_background: bool = True,
    smooth: bool = True,
    equalization: str = "classic",
) -> ProcessedImage:
    """Process a micrograph as in Section 3: `subtract_background`, then `equalize_histogram`.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    >>> steps = process(image, radius=20)
    >>> np.array_equal(steps.original, image), steps.equalized.shape
    (True, (64, 64))
    """
    subtracted, background = separate_background(image, radius, light_background, smooth)
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
    if parameters.processing == "none":
        check_grey(image)
        return ProcessedImage(image, np.full_like(image, 255), image, image)
    return process(
        image,
        parameters.background_radius_px,
        parameters.light_background,
        parameters.smooth_background,
        parameters.equalization,
    )


def equalize_histogram(image: GreyImage, method: str = "classic") -> GreyImage:
    """Equalise the histogram, with ImageJ's look-up table or adaptively.

    ``"classic"`` linearises the cumulative distribution function of the grey levels (uint8, shape
    (H, W)); ``"imagej"``, ImageJ's preset, is gentler: it weights the counts by their square root;
    ``"clahe"`` equalises each pixel with the histograms of the tiles around it, 8 × 8 of them, with
    counts clipped at 1 % (Pizer et al. 1987), so that of two distant pixels the darker may become
    the lighter; ``"none"`` returns the image as it is.

    Examples
    --------
    >>> dull = np.array([[100, 101], [102, 103]], dtype=np.uint8)
    >>> equalize_histogram(dull).tolist()
    [[32, 96], [159, 223]]
    """
    check_grey(image)
    if method == "none":
        return image
    if method == "clahe":
        return _equalize_adaptively(image)
    if method not in ("classic", "imagej"):
        raise ValueError(f"method = {method!r}: choose 'classic', 'imagej', 'clahe' or 'none'")
    counts = np.bincount(image.ravel(), minlength=256).astype(np.float64)
    return _imagej_table(counts if method == "classic" else np.sqrt(counts))[image]


def _imagej_table(weights: npt.NDArray[np.float64]) -> GreyImage:
    """The trapezoidal integral of the weights of the 256 levels, added up in ImageJ's order."""
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
    return np.asarray(np.floor(255 * equalized + 0.5).astype(np.uint8))
