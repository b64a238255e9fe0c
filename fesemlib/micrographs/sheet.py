"""A printed figure with several micrographs: its panels, and what is drawn into and around them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from fesemlib.micrographs.data_bar import to_eight_bit
from fesemlib.processing import GreyImage

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
PANELS = 9
"""Of the paper's Figure 3, one for each formulation of Table 1."""

Box = tuple[slice, slice]  # rows and columns
Grid = tuple[int, int]  # how many panels there are below and beside each other
Sides = tuple[int, int, int, int]  # px at the top, left, bottom and right

_MOST_PIXELS = 50_000_000
# JPEG leaves the channels of a grey figure that close; a coloured letter is a small share of it.
_COLOUR, _COLOURED_SHARE = 24, 0.02
# What counts as a gutter: such a share of a line is so close to its level. The second takes in
# those that are so thin that JPEG has blurred them.
_GUTTERS = ((24, 0.95), (64, 0.8))
SIZES_DIFFER = 2
"""By how many px panels of one size may differ."""
_LEAST_WIDTH = 64  # px of a panel
_FRAME = 0.05  # of a panel's sides, at most
_FRAME_LEVELS, _FRAME_SHARE = 40, 0.9
_WHITE, _BLACK = 235, 20
_EQUAL = 16  # grey levels within which JPEG leaves what is the same in all panels
_FEWEST_EQUAL = 25  # px that are the same, and touch
_TOUCHING = np.ones((3, 3), bool)
# Which share of a small square near an edge the letters of a figure cover, in all panels or all but
# one; pores, even those that processing whitens in corners, cover less.
_INK_IN_ALL, _INK_IN_NEARLY_ALL, _INK_BESIDE = 0.17, 0.22, 0.1
_SQUARES = 24  # of these, in the height of a panel
_MOST_CUT = 0.2  # of a side


class SheetError(ValueError):
    """A file is no figure of nine grey micrographs, or cannot be read: what it is, and a remedy."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)
        self.problem = problem


class Writing(NamedTuple):
    """What is drawn into the panels, and what has to be cut to be rid of it."""

    cut: Sides
    left: list[Box]  # what no cut of at most a fifth of a side takes away


def read_picture(path: Path) -> GreyImage:
    """The grey levels, uint8 (H, W), of a PNG, JPEG or TIFF file; a `SheetError` tells the rest."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # an error tells what matters
            Image.open(path, formats=("PNG", "JPEG", "TIFF")) as picture,
        ):
            return grey_of(picture)
    except (SheetError, FileNotFoundError):
        raise
    except Exception as error:
        problem = f"cannot be read ({type(error).__name__})"
        raise SheetError(problem, "give a PDF, PNG, JPEG or TIFF file") from error


def check_size(width: int, height: int) -> None:
    """Refuse what would take too much memory."""
    if width * height > _MOST_PIXELS:
        most = f"{_MOST_PIXELS // 10**6} megapixels"
        raise SheetError(f"more than {most} ({width}×{height} px)", "save the figure smaller")


def grey_of(picture: Image.Image) -> GreyImage:
    """The grey levels of a picture, on white where it is transparent."""
    check_size(*picture.size)
    if picture.mode[0] in "IF":
        deep = np.asarray(picture)
        return to_eight_bit(deep, deep.min(), deep.max())
    if picture.mode in ("1", "L"):
        return np.asarray(picture.convert("L"))
    if "transparency" in picture.info or picture.mode in ("LA", "PA", "RGBA"):
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture.convert("RGBA"))
    colours = np.asarray(picture.convert("RGB"))
    coloured = np.mean(np.max(colours, axis=2) - np.min(colours, axis=2) > _COLOUR)
    if coloured > _COLOURED_SHARE:
        problem = f"{100 * coloured:.0f} % of its pixels are in colour"
        raise SheetError(problem, "a figure of grey micrographs is needed")
    return np.ascontiguousarray(colours[..., 1])


def panels_of_sheet(sheet: GreyImage, grid: Grid | None = None) -> list[GreyImage]:
    """The nine panels of a sheet, row by row; a `SheetError` says how many were found."""
    if grid:
        return alike([sheet[box] for box in _divided(sheet, grid)])
    problems = []
    for (near, share), level in product(_GUTTERS, _grounds(sheet)):
        boxes = _boxes(abs(sheet.astype(np.int16) - level) <= near, share)
        try:
            return alike([sheet[box] for box in boxes])
        except SheetError as error:
            problems.append((abs(len(boxes) - PANELS), error))
    raise min(problems, key=lambda each: each[0])[1]


def alike(panels: Sequence[GreyImage]) -> list[GreyImage]:
    """Nine panels of one size, without frames, or a `SheetError`."""
    if len(panels) != PANELS:
        number = f"{len(panels)} panels" if len(panels) > 1 else "one picture without gutters"
        remedy = "give the whole figure, or say how it is divided, as in --grid 3x3"
        raise SheetError(f"{number} where {PANELS} are needed", remedy)
    sizes = np.array([panel.shape for panel in panels])
    if np.any(np.ptp(sizes, axis=0) > SIZES_DIFFER):
        told = ", ".join(f"{width}×{height}" for height, width in sizes)
        raise SheetError(f"panels of different sizes ({told} px)", "say how it is divided (--grid)")
    height, width = sizes.min(axis=0)
    stack = np.stack([panel[:height, :width] for panel in panels])
    top, left, bottom, right = np.max([_frame(panel) for panel in stack], axis=0)
    stack = stack[:, top : height - bottom, left : width - right]
    if stack.shape[2] < _LEAST_WIDTH:
        problem = f"panels of {stack.shape[2]}×{stack.shape[1]} px, less than {_LEAST_WIDTH} wide"
        raise SheetError(problem, "save the figure at its full size")
    return list(stack)


def find_writing(panels: Sequence[GreyImage], told: Sides | None = None) -> Writing:
    """Letters and scale bars: white or black in several panels, or equal in nearly all, at a place.

    Unless it is told what is cut off panels (of one shape), writing at an edge is, along the
    shortest way.
    """
    shape = panels[0].shape
    cut, left = np.array(told or (0, 0, 0, 0)), []
    lengths = np.array([*shape, *shape])
    writing = [(box, _ways_out(box, shape)) for box in _written(np.stack(panels))]
    for box, ways in sorted(writing, key=lambda each: -min(each[1] / lengths)):
        side = (ways / lengths).argmin()
        if np.any(ways <= cut):
            continue
        if told or ways[side] > _MOST_CUT * lengths[side]:
            left.append(box)
        else:
            cut[side] = ways[side] + shape[0] // _SQUARES  # letters are not equally wide
    top, at_left, bottom, right = map(int, cut)
    return Writing((top, at_left, bottom, right), left)


def cut_off(panel: GreyImage, cut: Sides) -> GreyImage:
    """A panel without so many pixels at each side."""
    top, left, bottom, right = cut
    height, width = panel.shape
    return panel[top : height - bottom, left : width - right]


def _grounds(sheet: GreyImage) -> Iterable[int]:
    """Levels that gutters may have: white, black, and those of the most even row and column."""
    even = []
    for lines in (sheet, sheet.T):
        low, middle, high = np.percentile(lines, (10, 50, 90), axis=1)
        even.append(int(middle[(high - low).argmin()]))
    return dict.fromkeys((255, 0, *even))


def _boxes(ground: npt.NDArray[np.bool_], share: float) -> list[Box]:
    """What lies between the gutters, row by row; what is small beside the largest is writing."""
    boxes = [
        (slice(rows.start + inner.start, rows.start + inner.stop), columns)
        for rows in _bands(ground, share)
        for columns in _bands(ground[rows].T, share)
        for inner in _bands(ground[rows, columns], share)
    ]
    sizes = np.array([[_length(side) for side in box] for box in boxes]).reshape(-1, 2)
    large = np.all(sizes >= sizes.max(axis=0, initial=0) / 2, axis=1)
    return [box for box, is_large in zip(boxes, large, strict=True) if is_large]


def _bands(ground: npt.NDArray[np.bool_], share: float) -> list[slice]:
    """The runs of rows that are not of the ground."""
    filled = ground.mean(axis=1) < share
    edges = np.flatnonzero(np.diff(np.r_[False, filled, False].astype(np.int8)))
    return [slice(*ends) for ends in edges.reshape(-1, 2)]


def _divided(sheet: GreyImage, grid: Grid) -> list[Box]:
    """The cells of a grid without those of one level."""
    rows, columns = (
        [slice(side * n // number, side * (n + 1) // number) for n in range(number)]
        for side, number in zip(sheet.shape, grid, strict=True)
    )
    cells = [(row, column) for row in rows for column in columns]
    return [cell for cell in cells if np.ptp(np.percentile(sheet[cell], (2, 98))) > _EQUAL]


def _frame(panel: GreyImage) -> Sides:
    """How many lines of one level there are at each side, as a frame or a rest of a gutter has."""
    top, left, bottom, right = map(_even_lines, (panel, panel.T, panel[::-1], panel.T[::-1]))
    return top, left, bottom, right


def _even_lines(lines: GreyImage) -> int:
    first = lines[: max(int(_FRAME * len(lines)), 4)].astype(np.int16)
    middle = np.median(first, axis=1, keepdims=True)
    even = np.mean(abs(first - middle) <= _FRAME_LEVELS, axis=1) >= _FRAME_SHARE
    lines_of_frame = int(even.argmin()) if not even.all() else 0
    return lines_of_frame + (lines_of_frame > 0)  # the next is blurred into it


def _written(stack: npt.NDArray[np.uint8]) -> list[Box]:
    """Boxes around the writing in panels, uint8 (n, H, W)."""
    ordered = np.sort(stack, axis=0)
    equal = np.minimum(ordered[-2] - ordered[0], ordered[-1] - ordered[1]) <= _EQUAL
    groups, number = ndimage.label(equal, _TOUCHING)
    sizes = ndimage.sum_labels(equal, groups, np.arange(number + 1))
    found = (sizes >= _FEWEST_EQUAL)[groups] & equal
    reach = max(stack.shape[1] // _SQUARES, 5)
    for ink in (stack >= _WHITE, stack <= _BLACK):
        found |= _lettered(ink, reach)
    joined, _ = ndimage.label(ndimage.binary_dilation(found, _TOUCHING, reach // 2))
    return [box for box in ndimage.find_objects(joined * found) if box is not None]


def _lettered(ink: npt.NDArray[np.bool_], reach: int) -> npt.NDArray[np.bool_]:
    """Where, near an edge, all panels hold ink, or all but one hold more of it."""
    around = np.stack(
        [ndimage.uniform_filter(each.astype(np.float32), reach, mode="constant") for each in ink]
    )
    ordered = _beyond_symmetry(np.sort(around, axis=0)[:2])
    sure = (ordered[0] > _INK_IN_ALL) | (ordered[1] > _INK_IN_NEARLY_ALL)
    height, width = (int(_MOST_CUT * side) for side in sure.shape)
    sure[height:-height, width:-width] = False
    beside = sure | (_beyond_symmetry(around.mean(axis=0)) > _INK_BESIDE)
    return np.asarray(ndimage.binary_dilation(sure, _TOUCHING, reach, mask=beside))


def _beyond_symmetry(share: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What is more than at the mirrored places: processing whitens all four corners."""
    mirrored = [share[..., ::-1, :], share[..., ::-1], share[..., ::-1, ::-1]]
    return np.asarray(share - np.median(mirrored, axis=0))


def _ways_out(box: Box, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """How many px have to be cut at the top, left, bottom or right until a box is gone."""
    rows, columns = box
    height, width = shape
    return np.array([rows.stop, columns.stop, height - rows.start, width - columns.start])


def _length(side: slice) -> int:
    return int(side.stop - side.start)
