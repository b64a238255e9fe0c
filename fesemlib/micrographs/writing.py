"""Writing that was drawn into every micrograph of a set, at the same place.

What of it is the same in all is found over the set: strokes near white or black, with one outline
in all of them. The specimen is another in each micrograph. How much of it agrees by chance is seen
on the same micrographs, shifted sideways against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fesemlib.processing import GreyImage

_FEWEST_MICROGRAPHS, _MANY = 3, 5
_NEAR = 20  # white or black, in grey levels: smooth edges and JPEG change strokes by so much
_LEAST_STROKE = 3  # px; a hot pixel is less
# A frame is drawn too, but no writing: it reaches farther than this share of a side, or is cut by
# the edge of the image.
_FRAME_HEIGHT, _FRAME_WIDTH = 0.25, 0.75
# Around a stroke, 2 and 3 px from it, the mean is this many grey levels from white or black, and
# few pixels are as near to it as the stroke.
_CONTRAST, _RING_SHARE = 40, 0.3
# A line of writing has so many pixels of strokes, and so many to a column of the image, besides so
# many times those that agree by chance. Few images may agree in a single blot: there a
# stroke counts for this share of what is needed at most, unless it fills its box, as a bar does.
_FEWEST_PIXELS, _FEWEST_TO_A_COLUMN, _EXCESS = 24, 1 / 8, 2
_SINGLE, _BAR = 1 / 3, 0.9
_SHIFTS = 0.382, 0.276  # from one micrograph to the next, in widths
_LINE = 1 / 24  # of the height, but at least 8 rows
_MOST = 1 / 3  # of the rows: what agrees in more of them is one specimen taken several times


def find_writing(images: Sequence[GreyImage]) -> list[tuple[int, int]]:
    """The bands of rows (first, and first after it) with writing that nearly all images share.

    The images are of one shape (H, W). Where there are five or more, one in ten may lack it.
    """
    if len(images) < _FEWEST_MICROGRAPHS:
        return []
    height, width = images[0].shape
    line, least = max(8, round(_LINE * height)), _fewest_pixels(width)
    strokes, drawn = _same_in(images)
    in_line = np.convolve(strokes, np.ones(line), "same")
    if in_line.max() < least:
        return []
    shifted = [np.convolve(_same_in(images, by)[0], np.ones(line)) for by in _SHIFTS]
    seen = (in_line >= least + _EXCESS * np.max(shifted)) & (strokes > 0)
    if sum(last - first for first, last in _bands(seen, line)) > _MOST * height:
        return []
    # Writing that differs from image to image, and what it is written on, lie around.
    near = ndimage.binary_dilation(seen, iterations=2 * line)
    bands = _bands(seen | near & ((drawn >= width / 50) | _inked(images)), line)
    return [(first, last) for first, last in bands if seen[first:last].any()]


def _same_in(images: Sequence[GreyImage], shift: float = 0.0) -> Any:
    """How many pixels of strokes are the same in nearly all images, row by row; and of anything.

    Each image is shifted sideways against the one before, in widths; what leaves comes in again.
    """
    total, white, black = np.zeros((3, *images[0].shape), np.uint32)
    for number, image in enumerate(images):
        moved = np.roll(image, round(number * shift * image.shape[1]), axis=1)
        total += moved
        white += moved >= 255 - _NEAR
        black += moved <= _NEAR
    mean = total / len(images)
    each = _strokes(white, len(images), 255 - mean), _strokes(black, len(images), mean)
    return np.sum(each, axis=0)


def _strokes(count: Any, number: int, distance: Any) -> Any:
    """Of what is white (or black) in nearly all images: pixels of strokes, and of all but frames.

    `count` says in how many of the images a pixel is so, `distance` how far it is from white (or
    black) on average, in grey levels; shape (H, W).
    """
    lacking = -(-number // 10) if number >= _MANY else 0
    labels, found = ndimage.label(count >= number - lacking, np.ones((3, 3)))
    if not found:
        return np.zeros((2, len(labels)))
    boxes = ndimage.find_objects(labels)
    sides = np.array([(1, 1), *([side.stop - side.start for side in box] for box in boxes)])
    around = ndimage.maximum_filter(labels, 7) * (ndimage.maximum_filter(labels, 3) == 0)

    def per_stroke(where: Any, what: Any = None) -> Any:
        return np.bincount(where.ravel(), what, found + 1)

    pixels, ring = per_stroke(labels), np.maximum(per_stroke(around), 1)
    high, wide = (sides / labels.shape).T
    no_frame = (high <= _FRAME_HEIGHT) & (np.arange(found + 1) > 0)
    stroke = no_frame & (wide <= _FRAME_WIDTH) & (pixels >= _LEAST_STROKE)
    stroke &= per_stroke(around, distance.ravel()) >= _CONTRAST * ring
    stroke &= per_stroke(around, count.ravel()) <= _RING_SHARE * number * ring
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        stroke[edge] = False
    blot = (number < _MANY) & (pixels < _BAR * sides.prod(axis=1))
    most = np.where(blot, _SINGLE * _fewest_pixels(labels.shape[1]), np.inf)
    weight = stroke * np.minimum(1, most / pixels)
    return weight[labels].sum(axis=1), no_frame[labels].sum(axis=1)


def _fewest_pixels(width: int) -> float:
    return max(_FEWEST_PIXELS, _FEWEST_TO_A_COLUMN * width)


def _inked(images: Sequence[GreyImage]) -> npt.NDArray[np.bool_]:
    """The rows that come to white or black and leave it more often than others, in most images."""
    ends = ((image >= 255 - _NEAR, image <= _NEAR) for image in images)
    usual = np.median([sum(np.diff(end).sum(axis=1) for end in both) for both in ends], axis=0)
    return np.asarray(usual > 4 + 3 * np.median(usual))


def _bands(seen: npt.NDArray[np.bool_], line: int) -> list[tuple[int, int]]:
    """Rows that lie within a line, with a margin: the first of each band, and the first after."""
    rows, margin = np.flatnonzero(seen), max(6, len(seen) // 80)
    groups = np.split(rows, np.flatnonzero(np.diff(rows) > line) + 1)
    ends = [(int(each[0]), int(each[-1]) + 1) for each in groups if each.size]
    return [(max(a - margin, 0), min(b + margin, len(seen))) for a, b in ends]
