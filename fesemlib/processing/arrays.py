"""The kinds of arrays that are processed, of shape (H, W)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
GreyImage = npt.NDArray[np.uint8]


def check_grey(image: GreyImage) -> None:
    """Refuse what is not a grey image of 8 bit."""
    if image.dtype != np.uint8:
        raise TypeError(f"the image is {image.dtype}; convert it to uint8, as read_micrograph does")
    if image.ndim != 2 or image.size == 0:
        raise ValueError(
            f"the image has shape {image.shape}; a grey image of shape (H, W) is needed"
        )
