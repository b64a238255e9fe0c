"""The processing of Section 3: background, then histogram, each step kept for Figure 2."""

from __future__ import annotations

from dataclasses import dataclass

from fesemlib.params import ProcessingParameters
from fesemlib.processing.arrays import GreyImage
from fesemlib.processing.background import subtract_background
from fesemlib.processing.histogram import equalize_histogram


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
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    >>> steps = process(image, radius=20)
    >>> np.array_equal(steps.original, image), steps.equalized.shape
    (True, (64, 64))
    """
    subtracted, background = subtract_background(
        image, radius, light_background, smooth, return_background=True
    )
    return ProcessedImage(
        image, background, subtracted, equalize_histogram(subtracted, equalization)
    )


def process_with(parameters: ProcessingParameters, image: GreyImage) -> ProcessedImage:
    """`process` as the parameters say.

    Examples
    --------
    >>> import numpy as np
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
