"""Data augmentation: the flips and the rotation that keep the image's shape (Section 5.1)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["TRANSFORMATIONS", "augment"]

_Images = npt.NDArray[np.floating]

# Rows are the second to last axis, columns the last.
TRANSFORMATIONS: dict[str, Callable[[_Images], _Images]] = {
    "original": lambda images: images,
    "vertical flip": lambda images: images[..., ::-1, :],
    "horizontal flip": lambda images: images[..., ::-1],
    "180° rotation": lambda images: images[..., ::-1, ::-1],
}


def augment(images: _Images) -> _Images:
    """Every image as it is, flipped vertically, flipped horizontally and rotated by 180°.

    Parameters
    ----------
    images
        Shape (n, H, W).

    Returns
    -------
    ndarray
        Shape (4 n, H, W): all originals, then all images under each other transformation, in the
        order of `TRANSFORMATIONS`.

    References
    ----------
    Section 5.1, Figure 7.
    """
    return np.concatenate([transform(images) for transform in TRANSFORMATIONS.values()])
