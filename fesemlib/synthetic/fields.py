"""Smooth random fields and blurs, by cubic B-splines; lengths are in px."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from fesemlib.processing import FloatImage

Positions = npt.NDArray[np.floating]
Layers = tuple[tuple[float, float], ...]  # scale, standard deviation


@dataclass(frozen=True)
class Grid:
    """The pixels that are rendered: their number, and their edge in cell diameters."""

    shape: tuple[int, int]
    pixel: float
    cell_um: float

    @property
    def pixel_um(self) -> float:
        """The edge of a pixel in µm."""
        return self.pixel * self.cell_um


def check(name: str, value: object, fits: bool, problem: str) -> None:
    """Refuse an argument that does not fit, and say what is wrong with it."""
    if not fits:
        raise ValueError(f"{name} {value!r}: {problem}")


def spline_weights(positions: Positions, knots: int, periodic: bool = False) -> sparse.csr_array:
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


def _between(knots: FloatImage, rows: Positions, columns: Positions) -> FloatImage:
    """The values of a surface of splines at positions down and across, in knots."""
    down, across = spline_weights(rows, knots.shape[0]), spline_weights(columns, knots.shape[1])
    return np.asarray(down @ np.ascontiguousarray((across @ knots.T).T), dtype=np.float32)


def smooth_noise(shape: tuple[int, int], spacing: float, random: np.random.Generator) -> FloatImage:
    """Noise of zero mean and unit variance without features finer than `spacing` px.

    Where these would be finer than a pixel, they average out, and there is none.
    """
    if spacing < 1:
        return np.zeros(shape, dtype=np.float32)
    step = 1 / spacing
    number = [math.ceil(side * step - 1e-6) + 4 for side in shape]  # with a margin of knots
    knots = random.standard_normal(number, dtype=np.float32)
    knots /= np.float32(0.48)  # mean of the sum of the squared weights, in two dimensions
    return _between(knots, *((np.arange(side) + 0.5) * step + 1.5 for side in shape))


def layered_noise(
    shape: tuple[int, int], pixel: float, layers: Layers, random: np.random.Generator
) -> FloatImage:
    """Sum of noises, each of a scale, in the unit of the pixel's edge, and a standard deviation."""
    total = np.zeros(shape, dtype=np.float32)
    for (scale, deviation), own in zip(layers, random.spawn(len(layers)), strict=True):
        total += np.float32(deviation) * smooth_noise(shape, scale / pixel, own)
    return total


def wide_blur(image: FloatImage, sigma: float) -> FloatImage:
    """A Gaussian blur, worked out on a coarser grid when it is wide."""
    step = max(int(sigma / 2.5), 1)
    if step == 1:
        return np.asarray(ndimage.gaussian_filter(image, sigma, mode="reflect", truncate=3.0))
    padded = np.pad(image, [(0, -side % step) for side in image.shape], mode="edge")
    coarse = average_blocks(padded, step)
    # The spline adds a third of a squared step to the variance, the block average a twelfth.
    coarse_sigma = math.sqrt(max((sigma / step) ** 2 - 5 / 12, 0.1))
    coarse = ndimage.gaussian_filter(coarse, coarse_sigma, mode="reflect", truncate=3.0)
    coarse = np.pad(coarse, 2, mode="edge")
    return _between(coarse, *((np.arange(side) + 0.5) / step + 1.5 for side in image.shape))


def average_blocks(image: FloatImage, factor: int) -> FloatImage:
    """The mean of each block of so many pixels down and across."""
    height, width = image.shape
    blocks = image.reshape(height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)
