"""A printed figure with several micrographs: its panels, and what is drawn into and around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from fesemlib.micrographs.channels import MicrographError
from fesemlib.micrographs.data_bar import to_eight_bit
from fesemlib.processing import GreyImage

PANELS = 9
"""Of the paper's Figure 3, one for each formulation of Table 1."""
SIZES_DIFFER = 2
"""By how many px panels of one size may differ."""

Box = tuple[slice, slice]  # rows and columns
Grid = tuple[int, int]  # how many panels there are below and beside each other
Sides = tuple[int, int, int, int]  # px at the top, left, bottom and right

_MOST_PIXELS = 50_000_000
# JPEG leaves the channels of a grey figure that close; a coloured letter is a small share of it.
_COLOUR, _COLOURED_SHARE = 24, 0.02
# Such a share of a gutter or frame is that close to its level.
_EVEN, _EVEN_SHARE = 32, 0.93
_LEAST_WIDTH = 64  # px of a panel
_WHITE, _BLACK = 235, 20
# Letters cover such a share of squares of a sixteenth of the panel's height, in all panels but one;
# and, on average, of those beside them. Pores that agree by chance cover less.
_SQUARES, _INKED, _INKED_BESIDE = 16, 0.14, 0.08
_MOST_CUT = 0.2  # of a side


class SheetError(MicrographError):
    """A file is no figure of nine grey micrographs: what it is, and a remedy."""

    def __str__(self) -> str:
        """Both, as one message."""
        return "; ".join(self.args)


class Writing(NamedTuple):
    """What is drawn into the panels, and what has to be cut to be rid of it."""

    cut: Sides
    left: list[Box]  # what no cut of at most a fifth of a side takes away


def check_size(width: int, height: int) -> None:
    """Refuse what would take too much memory."""
    if width * height > _MOST_PIXELS:
        most = f"{_MOST_PIXELS // 10**6} megapixels"
        raise SheetError(f"more than {most} ({width}×{height} px)", "save the figure smaller")


def grey_of(picture: Image.Image) -> GreyImage:
    """The grey levels of a picture, uint8 (H, W), on white where it is transparent."""
    check_size(*picture.size)
    if picture.mode[0] in "IF":
        deep = np.asarray(picture)
        return to_eight_bit(deep, deep.min(), deep.max())
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture.convert("RGBA"))
    colours = np.asarray(picture.convert("RGB"))
    coloured = np.mean(np.max(colours, axis=2) - np.min(colours, axis=2) > _COLOUR)
    if coloured > _COLOURED_SHARE:
        problem = f"{100 * coloured:.0f} % of its pixels are in colour"
        raise SheetError(problem, "a figure of grey micrographs is needed")
    return np.ascontiguousarray(colours[..., 1])


def panels_of(pictures: Sequence[GreyImage], grid: Grid | None = None) -> list[GreyImage]:
    """The nine panels, row by row, of one picture or as many; a `SheetError` says what was found.

    They lie between gutters, or in the cells of a grid, and are of one size without their frames.
    """
    panels = list(pictures)
    if len(panels) == 1 and grid:
        rows = np.array_split(panels[0], grid[0], axis=0)
        panels = [cell for row in rows for cell in np.array_split(row, grid[1], axis=1)]
    elif len(panels) == 1:
        for axis in (0, 1, 0):
            panels = [part for each in panels for part in _parts(each, axis)]
    panels = [panel for panel in map(_without_frame, panels) if panel.size]
    sizes = np.array([panel.shape for panel in panels]).reshape(-1, 2)
    if len(pictures) == 1:  # what is small beside the largest is writing
        large = np.all(sizes >= sizes.max(axis=0, initial=0) / 2, axis=1)
        panels, sizes = [panels[n] for n in np.flatnonzero(large)], sizes[large]
    if len(panels) != PANELS:
        number = f"{len(panels)} panels" if len(panels) > 1 else "one picture without gutters"
        remedy = "give the whole figure, or say how it is divided, as in --grid 3x3"
        raise SheetError(f"{number} where {PANELS} are needed", remedy)
    if np.any(np.ptp(sizes, axis=0) > SIZES_DIFFER):
        told = ", ".join(f"{width}×{height}" for height, width in sizes)
        raise SheetError(f"panels of different sizes ({told} px)", "say how it is divided (--grid)")
    height, width = sizes.min(axis=0)
    if width < _LEAST_WIDTH:
        problem = f"panels of {width}×{height} px, less than {_LEAST_WIDTH} wide"
        raise SheetError(problem, "save the figure at its full size")
    return [panel[:height, :width] for panel in panels]


def find_writing(panels: Sequence[GreyImage], told: Sides | None = None) -> Writing:
    """Letters and scale bars: white or black in all panels, or all but one, at one place.

    Unless it is told what is cut off panels (of one shape), writing at an edge is, along the
    shortest way.
    """
    height, width = panels[0].shape
    square = max(height // _SQUARES, 5)
    lengths = np.array([height, width, height, width])
    cut, left = np.array(told or (0, 0, 0, 0)), []
    for rows, columns in _written(np.stack(panels), square):
        ways = np.array([rows.stop, columns.stop, height - rows.start, width - columns.start])
        side = (ways / lengths).argmin()
        if np.any(ways <= cut):
            continue
        if told or ways[side] > _MOST_CUT * lengths[side]:
            left.append((rows, columns))
        else:
            cut[side] = ways[side] + square // 2  # letters are not equally wide
    top, at_left, bottom, right = map(int, cut)
    return Writing((top, at_left, bottom, right), left)


def cut_off(panel: GreyImage, cut: Sides) -> GreyImage:
    """A panel without so many pixels at each side."""
    top, left, bottom, right = cut
    height, width = panel.shape
    return panel[top : height - bottom, left : width - right]


def _even(picture: GreyImage, axis: int) -> npt.NDArray[np.bool_]:
    """Which rows (axis 0) or columns are of one level, as gutters and frames are."""
    lines = np.moveaxis(picture, axis, 0).astype(np.int16)
    near = abs(lines - np.median(lines, axis=1, keepdims=True)) <= _EVEN
    return np.asarray(near.mean(axis=1) >= _EVEN_SHARE)


def _parts(picture: GreyImage, axis: int) -> list[GreyImage]:
    """What lies between even rows (axis 0) or columns."""
    even = _even(picture, axis)
    parts = np.split(picture, np.flatnonzero(np.diff(even)) + 1, axis)
    return parts[int(even[0]) :: 2]


def _without_frame(panel: GreyImage) -> GreyImage:
    """A panel without the even lines at its edges."""
    rows, columns = (np.flatnonzero(~_even(panel, axis)) for axis in (0, 1))
    if not (rows.size and columns.size):
        return panel[:0]
    return panel[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _written(stack: npt.NDArray[np.uint8], square: int) -> Iterator[Box]:
    """Boxes around the writing in panels, uint8 (n, H, W)."""
    for ink in (stack >= _WHITE, stack <= _BLACK):
        share = np.stack(
            [
                ndimage.uniform_filter(each.astype(np.float32), square, mode="constant")
                for each in ink
            ]
        )
        surely = _beyond_symmetry(np.sort(share, axis=0)[1]) > _INKED
        beside = _beyond_symmetry(share.mean(axis=0)) > _INKED_BESIDE
        labels, _ = ndimage.label(ndimage.binary_propagation(surely, mask=surely | beside))
        yield from ndimage.find_objects(labels)


def _beyond_symmetry(share: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What is more than at the mirrored places: processing whitens all four corners."""
    mirrored = [share[::-1], share[:, ::-1], share[::-1, ::-1]]
    return np.asarray(share - np.median(mirrored, axis=0))
