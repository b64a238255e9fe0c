"""Fewer pixels or a part of an image: each new pixel is the average over the area it covers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.processing.arrays import FloatImage, GreyImage


def input_shape(shape: tuple[int, int], width: int) -> tuple[int, int]:
    """The shape (h, w) of the network's input for micrographs of this shape (H, W), in px.

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


def resize_by_area(image: npt.NDArray[np.generic], width: int) -> FloatImage:
    """Shrink an image to a width in px; the height keeps the aspect ratio, to the nearest pixel.

    Examples
    --------
    >>> image = np.array([[0, 2, 4, 6], [2, 4, 6, 8]])
    >>> resize_by_area(image, 2).tolist()
    [[2.0, 6.0]]
    """
    old = (image.shape[0], image.shape[1])
    new = input_shape(old, width)
    if image.dtype == np.uint8 and old[0] % new[0] == old[1] % new[1] == 0:  # the same, and faster
        blocks = image.reshape(new[0], old[0] // new[0], new[1], old[1] // new[1])
        sums = blocks.sum(axis=(1, 3), dtype=np.uint32)
        return np.asarray(sums / (image.size // sums.size), dtype=np.float32)
    return _averages(image, *(np.linspace(0, a, b + 1) for a, b in zip(old, new, strict=True)))


def resample_by_area(
    image: npt.NDArray[np.generic], pitch: float, shape: tuple[int, int]
) -> FloatImage:
    """Resample the middle of an image to pixels of which each edge is `pitch` ≥ 1 old ones long.

    The result, of this shape (h, w), has to lie within the image.

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
    return _averages(image, rows, columns)


def central_detail(image: GreyImage, shape: tuple[int, int]) -> GreyImage:
    """The middle of an image, at most of this shape (h, w) in px.

    Examples
    --------
    >>> central_detail(np.arange(16, dtype=np.uint8).reshape(4, 4), (2, 2)).tolist()
    [[5, 6], [9, 10]]
    """
    top, left = (max(have - want, 0) // 2 for have, want in zip(image.shape, shape, strict=True))
    return image[top : top + shape[0], left : left + shape[1]]


def _averages(image: npt.NDArray[Any], *edges: npt.NDArray[np.float64]) -> FloatImage:
    """Averages between edges in pixels along both axes, fractions of pixels included."""
    averages = image.astype(np.float64)
    for along in edges:
        integral = np.cumsum(np.pad(averages, ((1, 0), (0, 0))), axis=0)
        below = np.minimum(along.astype(int), len(averages) - 1)
        part = (along - below)[:, np.newaxis]
        at_edges = integral[below] * (1 - part) + integral[below + 1] * part
        averages = (np.diff(at_edges, axis=0) / np.diff(along)[:, np.newaxis]).T
    within = averages.clip(image.min(), image.max())  # but for rounding, they are
    return np.ascontiguousarray(within, dtype=np.float32)
