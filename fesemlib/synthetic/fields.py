"""Smooth random fields and blurs, by cubic B-splines; lengths are in px."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from fesemlib.processing import FloatImage


@dataclass(frozen=True)
class Grid:
    """The pixels that are rendered: their number, and their edge in cell diameters."""

    shape: tuple[int, int]
    pixel: float
    cell_um: float

    def from_um(self, length_um: float) -> float:
        """A length in µm, in px."""
        return length_um / (self.pixel * self.cell_um)

    def from_cells(self, length: float) -> float:
        """A length in cell diameters, in px."""
        return length / self.pixel


def spline_weights(
    positions: npt.NDArray[np.floating], knots: int, periodic: bool = False
) -> sparse.csr_array:
    """Weights of the cubic B-splines of `knots` knots at these positions, one row each."""
    first = np.floor(positions).astype(int) - 1
    if not periodic:
        first = np.clip(first, 0, knots - 4)
    t = positions - first - 1
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    columns = (first[:, None] + np.arange(4)) % knots
    rows = np.arange(0, 4 * len(positions) + 1, 4)
    return sparse.csr_array(
        ((weights / 6).ravel().astype(np.float32), columns.ravel(), rows),
        shape=(len(positions), knots),
    )


def _pixel_weights(length: int, step: float) -> sparse.csr_array:
    """Spline weights for `length` pixels, `step` knots apart, with a margin of knots."""
    positions = (np.arange(length) + 0.5) * step + 1.5
    return spline_weights(positions, math.ceil(length * step - 1e-6) + 4)


def _upsample(knots: FloatImage, rows: sparse.csr_array, columns: sparse.csr_array) -> FloatImage:
    return np.asarray(rows @ np.ascontiguousarray((columns @ knots.T).T), dtype=np.float32)


def smooth_noise(shape: tuple[int, int], spacing: float, random: np.random.Generator) -> FloatImage:
    """Noise of zero mean and unit variance without features finer than `spacing` px.

    Where these would be finer than a pixel, they average out, and there is none.
    """
    if spacing < 1:
        return np.zeros(shape, dtype=np.float32)
    step = 1 / spacing
    rows, columns = _pixel_weights(shape[0], step), _pixel_weights(shape[1], step)
    knots = random.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    knots /= np.float32(0.48)  # mean of the sum of the squared weights, in two dimensions
    return _upsample(knots, rows, columns)


def wide_blur(image: FloatImage, sigma: float) -> FloatImage:
    """A Gaussian blur, worked out on a coarser grid when it is wide."""
    step = max(int(sigma / 2.5), 1)
    if step == 1:
        return np.asarray(ndimage.gaussian_filter(image, sigma, mode="reflect", truncate=3.0))
    height, width = image.shape
    padded = np.pad(image, ((0, -height % step), (0, -width % step)), mode="edge")
    coarse = average_blocks(padded, step)
    # The spline adds a third of a squared step to the variance, the block average a twelfth.
    coarse_sigma = math.sqrt(max((sigma / step) ** 2 - 5 / 12, 0.1))
    coarse = ndimage.gaussian_filter(coarse, coarse_sigma, mode="reflect", truncate=3.0)
    coarse = np.pad(coarse, 2, mode="edge")
    rows = spline_weights((np.arange(height) + 0.5) / step + 1.5, coarse.shape[0])
    columns = spline_weights((np.arange(width) + 0.5) / step + 1.5, coarse.shape[1])
    return _upsample(coarse, rows, columns)


def average_blocks(image: FloatImage, factor: int) -> FloatImage:
    """The mean of each block of so many pixels down and across."""
    if factor == 1:
        return image
    height, width = image.shape
    blocks = image.reshape(height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)
