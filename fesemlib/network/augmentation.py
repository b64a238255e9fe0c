"""Data augmentation: the flips and the rotation that keep the image's shape (Section 5.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

_Images = npt.NDArray[np.floating]

# Rows are the second to last axis, columns the last.
TRANSFORMATIONS: dict[str, Callable[[_Images], _Images]] = {
    "original": lambda images: images,
    "vertical flip": lambda images: images[..., ::-1, :],
    "horizontal flip": lambda images: images[..., ::-1],
    "180° rotation": lambda images: images[..., ::-1, ::-1],
}

# Sets of transformations that together are closed: the paper's four, and those of two.
GROUPS = {
    "flips_and_rotation": tuple(TRANSFORMATIONS),
    "vertical_flip": ("original", "vertical flip"),
    "horizontal_flip": ("original", "horizontal flip"),
    "rotation": ("original", "180° rotation"),
}


def augment(images: _Images, transformations: Sequence[str] = tuple(TRANSFORMATIONS)) -> _Images:
    """Images under flips and a rotation by 180° (Section 5.1, Figure 7).

    Parameters
    ----------
    images
        Shape (n, H, W).
    transformations
        Names of the m transformations, all by default.

    Returns
    -------
    ndarray
        Shape (m n, H, W): all images under the first transformation, by default as they are, then
        under each other one.

    Examples
    --------
    >>> augment(np.array([[[1, 2], [3, 4]]])).tolist()
    [[[1, 2], [3, 4]], [[3, 4], [1, 2]], [[2, 1], [4, 3]], [[4, 3], [2, 1]]]
    """
    return np.concatenate([TRANSFORMATIONS[name](images) for name in transformations])
