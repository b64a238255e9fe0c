"""ImageJ's rolling ball: a grey-scale opening with a ball on a shrunk image (Sternberg 1983).

After ImageJ 1.53t (Schneider, Rasband & Eliceiri, Nature Methods 9 (2012) 671–675), of which every
pixel is met; `skimage.restoration.rolling_ball` is another algorithm with other results.
"""

from __future__ import annotations

import math

import numpy as np

from fesemlib.processing.arrays import FloatImage, GreyImage, check_grey

# ImageJ's choice for a ball of up to this radius (px): shrink factor, and the share of the ball
# that is trimmed from its rim (%).
_SHRINK_AND_TRIM = ((10.0, 1, 24), (30.0, 2, 24), (100.0, 4, 32), (np.inf, 8, 40))

# The ball rolls over so many elements of a surface at a time: the buffers fit in a core's cache.
_BAND_ELEMENTS = 1 << 16


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
        Whether to return the background, too.

    Returns
    -------
    subtracted, or subtracted and background
        uint8, shape (H, W).

    Raises
    ------
    TypeError, ValueError
        When the image is not uint8 with two dimensions, or the radius not finite and positive.

    Notes
    -----
    Along a side no longer than the shrink factor (2 px for a radius above 10 px, 4 above 30, 8
    above 100) the background is constant; there ImageJ fails, or darkens the image toward one edge.

    Examples
    --------
    >>> shading = np.tile(np.linspace(100, 200, 64).astype(np.uint8), (64, 1))
    >>> shading[20:24, 20:24] -= 50  # a dark speck on a light, uneven ground
    >>> subtracted = subtract_background(shading, radius=20)
    >>> int(subtracted.max()), int(np.median(subtracted)), int(subtracted.min())
    (255, 254, 204)
    """
    separated = separate_background(image, radius, light_background, smooth)
    return separated if return_background else separated[0]


def separate_background(
    image: GreyImage, radius: float, light_background: bool, smooth: bool
) -> tuple[GreyImage, GreyImage]:
    """What `subtract_background` leaves, and the background; uint8, shape (H, W)."""
    check_grey(image)
    if not (radius > 0 and math.isfinite(radius)):
        raise ValueError(f"radius = {radius} px: the rolling ball needs a finite, positive radius")
    surface = image.astype(np.float32)
    if light_background:
        np.negative(surface, out=surface)
    if smooth:
        surface = _average_of_three(_average_of_three(surface.T).T)
    shrink, trim = next((s, t) for limit, s, t in _SHRINK_AND_TRIM if radius <= limit)
    rolled = _open_with_ball(_shrink_by_minimum(surface, shrink), _ball(radius / shrink, trim))
    background = _enlarge(_enlarge(rolled.T, shrink, image.shape[1]).T, shrink, image.shape[0])
    if light_background:
        np.negative(background, out=background)
    subtracted = _grey(image - background + np.float32(255.5 if light_background else 0.5))
    return subtracted, _grey(background + np.float32(0.5))


def _grey(levels: FloatImage) -> GreyImage:
    """Cut off the fraction, and at black and white; `levels` is overwritten."""
    return np.clip(levels, 0, 255, out=levels).astype(np.uint8)


def _average_of_three(surface: FloatImage) -> FloatImage:
    """The mean of each pixel and those above and below it, added up in ImageJ's order."""
    padded = np.pad(surface, ((1, 1), (0, 0)), mode="edge")
    total = padded[:-2] + padded[1:-1]
    total += padded[2:]
    total *= np.float32(1 / 3)
    return total


def _shrink_by_minimum(surface: FloatImage, shrink: int) -> FloatImage:
    """The minimum of each block of shrink × shrink px; the last, partial block counts."""
    rows = np.minimum.reduceat(surface, np.arange(0, surface.shape[0], shrink), axis=0)
    return np.minimum.reduceat(rows, np.arange(0, surface.shape[1], shrink), axis=1)


def _ball(radius: float, trim_percent: int) -> FloatImage:
    """Heights of a ball's upper half, its rim trimmed, at offsets of 0, 1, … px along both axes."""
    radius = max(radius, 1.0)
    half_width = int(radius - int(trim_percent * radius) // 100 + 0.5)
    offsets = np.arange(half_width + 1)
    squared = radius**2 - offsets**2 - offsets[:, np.newaxis] ** 2
    return np.asarray(np.sqrt(np.maximum(squared, 0)).astype(np.float32))


def _open_with_ball(surface: FloatImage, ball: FloatImage) -> FloatImage:
    """The highest surface that a ball rolling below can touch."""
    # The ball may stand outside the image as long as it touches a pixel of it.
    padded = np.pad(surface, 2 * (len(ball) - 1), constant_values=np.inf)
    return -_erode(-_erode(padded, ball), ball)  # a dilation is the erosion from above


def _erode(surface: FloatImage, ball: FloatImage) -> FloatImage:
    """How high the ball's centre can be, where it lies inside: each side loses half a ball."""
    reach = len(ball) - 1
    height, width = (side - 2 * reach for side in surface.shape)
    result = np.full((height, width), np.inf, dtype=np.float32)
    rows = max(_BAND_ELEMENTS // surface.shape[1], 1)
    for top in range(0, height, rows):
        band = result[top : top + rows]
        own = surface[top : top + 2 * reach + len(band)]
        lowered = np.empty_like(band)
        folded = np.empty((len(band), surface.shape[1]), dtype=np.float32)
        for y, heights in enumerate(ball):
            above, below = (own[reach + way : reach + way + len(band)] for way in (-y, y))
            np.minimum(above, below, out=folded)  # as the ball is symmetric
            for x, level in enumerate(heights):
                left, right = (folded[:, reach + way : reach + way + width] for way in (-x, x))
                np.minimum(left, right, out=lowered)
                lowered -= level
                np.minimum(band, lowered, out=band)
    return result


def _enlarge(surface: FloatImage, shrink: int, length: int) -> FloatImage:
    """Rows interpolated linearly between the blocks' centres, extrapolated beyond them."""
    if len(surface) == 1:
        return np.repeat(surface, length, axis=0)
    pixels = np.arange(length)
    first = np.clip((pixels - shrink // 2) // shrink, 0, len(surface) - 2)
    weight = (1 - ((pixels + 0.5) / shrink - (first + 0.5))).astype(np.float32)[:, np.newaxis]
    low, high = surface[first], surface[first + 1]
    low *= weight
    high *= 1 - weight
    low += high
    return low
