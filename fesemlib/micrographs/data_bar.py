"""The burnt-in data bar: where it begins, and the grey levels of 8 bit that it is looked for in."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.micrographs.channels import Pixels, in_bands
from fesemlib.processing import GreyImage

# In a burnt-in data bar most pixels of a row are of one level, the ground. Its upper edge is
# straight: there most columns come to the ground at once, unlike at the edge of a void.
_FEWEST_ROWS = 8
_ROWS_ABOVE = 4
_GROUND_SHARE = 0.4  # of the pixels of a row
# How far the ground may scatter after JPEG, in grey levels of 8 bit: a wide tolerance takes it in
# up to its edge, a narrow one tells a grey ground from an image that is as grey.
_TOLERANCES = (8, 24)
# Lines and dense writing interrupt the ground. Lines also frame it, above and below, and may leave
# rows between them and the edge of the bar or the file that look like image.
_ROWS_OF_FRAME = 8
# The writing stands out from the ground by this share of the image's range of grey levels, and
# takes this share of the bar: a dark or saturated edge of the specimen has no writing.
_WRITING_CONTRAST, _WRITING_SHARE = 0.25, 0.005


def find_data_bar(pixels: Pixels) -> int | None:
    """The first row of the data bar, or None where none is found.

    A bar may have parts of different grounds, which are found one after the other. It is blank,
    or one of them has writing.
    """
    height: int = pixels.shape[0]
    first = height
    for _ in range(4):  # parts, which together are half of the image at most
        found = _find_part(pixels[:first])
        if found is None or found < height / 2:
            break
        first = found
    if first == height:
        return None
    bar = pixels[first:]
    blank = np.all(bar == bar[0, 0])
    levels = to_eight_bit(bar, *value_range(pixels)).astype(np.int16)
    writing = abs(levels - int(np.median(levels))) >= _WRITING_CONTRAST * 255
    return first if blank or writing.mean() >= _WRITING_SHARE else None


def _find_part(pixels: Pixels) -> int | None:
    """The first row of the lowest part of a bar, which is of one ground."""
    low, high = value_range(pixels)
    if low == high or len(pixels) < _FEWEST_ROWS:
        return None

    def grey(rows: slice) -> Pixels:
        return to_eight_bit(pixels[rows], low, high)

    found = [_rows_of_part(grey, tolerance) for tolerance in _TOLERANCES]
    # Deeper data may use so little of their range that only the exact level tells bar and image.
    if pixels.dtype != np.uint8:
        found.append(_rows_of_part(pixels.__getitem__, 0))
    return len(pixels) - max(found) if any(found) else None


def _rows_of_part(rows_of: Callable[[slice], Pixels], tolerance: int) -> int:
    """How many rows at the bottom are of one ground and begin with a straight edge."""
    ground = _commonest(rows_of(slice(-2 * _FEWEST_ROWS, None)))
    for most in (64 << doubled for doubled in count()):  # as far up as the ground reaches
        rows = rows_of(slice(-most, None))
        share = _share_near(rows, ground, tolerance)
        flat = np.flatnonzero(share >= _GROUND_SHARE)
        if flat.size == 0 or flat[-1] < share.size - 1 - _ROWS_OF_FRAME:
            return 0
        interrupted = np.flatnonzero(np.diff(flat) > _ROWS_OF_FRAME + 1)
        start = np.split(flat, interrupted + 1)[-1][0]
        if start > _ROWS_OF_FRAME or share.size < most:
            break
    edges = _straight_edges(share)
    edges = edges[edges >= start]
    if edges.size == 0 or flat[-1] + 1 - edges[0] < _FEWEST_ROWS:
        return 0
    return share.size - _first_line_above(rows, int(edges[0]), tolerance)


def _straight_edges(share: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The rows in which most pixels that are not of the ground in the rows just above come to it.

    Where most pixels are of the ground there already, it is no edge.
    """
    above = np.lib.stride_tricks.sliding_window_view(share[:-1], _ROWS_ABOVE).max(axis=1)
    jumps = share[_ROWS_ABOVE:] - above >= 0.5 * (1 - above)
    return np.flatnonzero(jumps & (above <= 0.75)) + _ROWS_ABOVE


def _first_line_above(image: Pixels, first: int, tolerance: int) -> int:
    """The first line of the frame above a bar, or else the bar's first row.

    A line is of one level nearly throughout, and the row above it is not.
    """
    for row in range(max(first - _ROWS_OF_FRAME, 1), first):
        level = _commonest(image[row])
        above, line = _share_near(image[row - 1 : row + 1], level, tolerance)
        if above < _GROUND_SHARE and line >= 0.9:
            return row
    return first


def _commonest(rows: Pixels) -> Any:
    if rows.dtype == np.uint8:
        return int(np.bincount(rows.ravel()).argmax())
    levels, counts = np.unique(rows, return_counts=True)
    return levels[counts.argmax()].item()


def _share_near(rows: Pixels, level: Any, tolerance: int) -> npt.NDArray[np.float64]:
    """Which share of each row is of a grey level, give or take some levels of 8 bit."""
    near = (rows >= level - tolerance) & (rows <= level + tolerance)
    return np.asarray(np.count_nonzero(near, axis=1) / rows.shape[1])


def value_range(pixels: Pixels) -> tuple[Any, Any]:
    """The least and the greatest number."""
    return pixels.min(), pixels.max()


def to_eight_bit(pixels: Pixels, low: Any, high: Any) -> GreyImage:
    """Stretch linearly from low..high to 0..255; what lies beyond becomes 0 or 255."""
    if pixels.dtype == np.uint8:
        return pixels
    image = np.empty(pixels.shape, np.uint8)
    for band in in_bands(pixels):
        part = np.clip(pixels[band], low, high)
        image[band] = np.round(_above(part, low, high) / _above(high, low, high) * 255)
    return image


def _above(values: Any, low: Any, high: Any) -> Any:
    """How far values lie above the least; as a float, of some scale that is always the same."""
    if low.dtype.kind == "f":
        overflows = float(high) - float(low) == np.inf
        scale = 0.5 if overflows else 1.0
        return np.asarray(values, np.float64) * scale - float(low) * scale
    # The difference of whole numbers is exact, and fits what wraps around at 64 bit.
    wrapped = np.asarray(values).astype(np.uint64) - np.asarray(low).astype(np.uint64)
    return wrapped.astype(np.float64)
