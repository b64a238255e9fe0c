"""The pictures that are embedded in the pages of a PDF file; nothing is rendered.

Whatever a file claims is checked before memory is asked for: pypdf bounds what it unpacks.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdf
from pypdf.generic import ContentStream

from fesemlib.micrographs.sheet import (
    PANELS,
    SIZES_DIFFER,
    Grid,
    SheetError,
    alike,
    check_size,
    grey_of,
    panels_of_sheet,
)
from fesemlib.processing import GreyImage

Array = npt.NDArray[np.float64]

_MOST_BYTES, _MOST_PAGES = 200_000_000, 2000
_PIXELS_OF_A_PAGE = 100_000_000
# Of a file: the pixels that are unpacked, and the bytes of what draws its pages.
_MOST_PIXELS, _MOST_DRAWING = 2_000_000_000, 30_000_000
_BYTES_OF_A_FORM = 5000  # that it counts for, however short it is
_DEEPEST = 8  # forms within forms
_BOUNDS = pypdf.Configuration(
    image_maximum_buffer_size=200_000_000, zlib_maximum_output_length=150_000_000
)
_LEAST_SIDE = 32  # px: what is smaller is an ornament
_APART = 2.0  # px between strips of one picture
_MOST_NAMED = 8
_REMEDY = "save the figure from the journal's page as PNG or JPEG, and give that"


@dataclass(frozen=True)
class _Picture:
    """A picture, and where on the page it begins and ends: down and across, in points."""

    grey: GreyImage
    start: Array  # shape (2,)
    end: Array


class _TooMuchError(SheetError):
    """A file takes too long."""

    def __init__(self) -> None:
        super().__init__("too much in it", "say which page has the figure (--page)")


@dataclass
class _Spent:
    """What a file has cost so far."""

    pixels: int = 0
    drawing: int = 0

    def add(self, pixels: int = 0, drawing: int = 0) -> None:
        self.pixels += pixels
        self.drawing += drawing
        if self.pixels > _MOST_PIXELS or self.drawing > _MOST_DRAWING:
            raise _TooMuchError


def panels_of_pdf(path: Path, page: int | None = None, grid: Grid | None = None) -> list[GreyImage]:
    """The nine panels of the only sheet in a PDF file, row by row; a `SheetError` tells the rest.

    A sheet is one picture, or nine of one size, each of which may be placed in strips.
    """
    log = logging.getLogger("pypdf")
    before = log.level
    log.setLevel(logging.CRITICAL)  # an error tells what matters
    try:
        with warnings.catch_warnings(action="ignore"), pypdf.apply_configuration(_BOUNDS):
            return _only_sheet(path, page, grid)
    except (SheetError, FileNotFoundError):
        raise
    except Exception as error:
        text = ascii(f"{type(error).__name__}: {error}"[:200])[1:-1]
        raise SheetError(f"cannot be read as PDF ({text})", _REMEDY) from error
    finally:
        log.setLevel(before)


def _only_sheet(path: Path, page: int | None, grid: Grid | None) -> list[GreyImage]:
    sheets, seen, spent = {}, [], _Spent()
    for number, shown in _pages(path, page):
        pictures, problems = _pictures(shown, spent)
        try:
            sheets[number] = _sheet(pictures, grid)
        except SheetError as error:
            problems.append(error.problem)
        seen += [f"page {number}: {problem}" for problem in problems if problem]
    if len(sheets) > 1:
        pages = ", ".join(map(str, sheets))
        raise SheetError(f"pages {pages} have a sheet of {PANELS} panels each", "say which: --page")
    if sheets:
        return next(iter(sheets.values()))
    found = "; ".join(seen[:_MOST_NAMED]) or "no embedded pictures"
    more = f"; and {len(seen) - _MOST_NAMED} more" if len(seen) > _MOST_NAMED else ""
    raise SheetError(f"no sheet of {PANELS} grey panels in it ({found}{more})", _REMEDY)


def _pages(path: Path, page: int | None) -> Iterator[tuple[int, pypdf.PageObject]]:
    if path.stat().st_size > _MOST_BYTES:
        raise SheetError(f"more than {_MOST_BYTES // 10**6} MB", _REMEDY)
    reader = pypdf.PdfReader(path)
    if reader.is_encrypted:
        raise SheetError("encrypted", f"save it without a password, or {_REMEDY}")
    if (pages := len(reader.pages)) > _MOST_PAGES:
        raise SheetError(f"{pages} pages", "save the one with the figure as a file of its own")
    if page is not None and not 1 <= page <= pages:
        raise SheetError(f"--page {page}, but it has {pages} page(s)", "name one of them")
    for number in [page] if page else range(1, pages + 1):
        yield number, reader.pages[number - 1]


def _pictures(page: pypdf.PageObject, spent: _Spent) -> tuple[list[_Picture], list[str]]:
    """The grey pictures of a page as it shows them, and what is wrong with others."""
    pictures: list[_Picture] = []
    problems: list[str] = []
    turn = np.deg2rad(page.rotation)
    turned = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    for image, matrix in _drawn(page.get_contents(), page, turned, spent):
        width, height = int(image["/Width"]), int(image["/Height"])
        if min(width, height) < _LEAST_SIDE or image.get("/ImageMask"):
            continue
        try:
            check_size(width, height)
            spent.add(pixels=width * height)
            picture = image.decode_as_image()
            spent.add(pixels=picture.width * picture.height)
            pictures.append(_upright(grey_of(picture), matrix))
        except _TooMuchError:
            raise
        except Exception as error:  # other pictures may do
            told = getattr(error, "problem", f"cannot be unpacked ({type(error).__name__})")
            problems.append(f"{width}×{height} px, {told}")
        if sum(each.grey.size for each in pictures) > _PIXELS_OF_A_PAGE:
            raise _TooMuchError
    return pictures, problems


def _drawn(
    content: ContentStream | None, owner: Any, matrix: Array, spent: _Spent, depth: int = 0
) -> Iterator[tuple[Any, Array]]:
    """The images that a page or a form draws, and the matrix (3, 3) that places the unit square."""
    if content is None:
        return
    spent.add(drawing=_BYTES_OF_A_FORM + len(content.get_data()))
    named: Any = {}
    with suppress(KeyError):
        named = owner["/Resources"]["/XObject"]
    kept = []
    for operands, operator in content.operations:
        if operator == b"q":
            kept.append(matrix)
        elif operator == b"Q" and kept:
            matrix = kept.pop()
        elif operator == b"cm":
            matrix = _matrix(operands) @ matrix
        elif operator == b"Do" and operands[0] in named:
            thing = named[operands[0]]
            if thing["/Subtype"] == "/Image":
                yield thing, matrix
            elif depth < _DEEPEST:
                placed = _matrix(thing.get("/Matrix", (1, 0, 0, 1, 0, 0))) @ matrix
                yield from _drawn(ContentStream(thing, None), thing, placed, spent, depth + 1)


def _matrix(numbers: Any) -> Array:
    a, b, c, d, e, f = map(float, numbers)
    return np.array([[a, b, 0], [c, d, 0], [e, f, 1]])


def _upright(grey: GreyImage, matrix: Array) -> _Picture:
    """A picture turned and mirrored as the page shows it."""
    corners = np.array([[0, 0, 1], [1, 1, 1]]) @ matrix
    (x, y), (other_x, other_y) = corners[:, :2]
    if abs(matrix[0, 0]) < abs(matrix[0, 1]):  # its rows stand
        grey = grey.T[:: -1 if matrix[0, 1] > 0 else 1, :: -1 if matrix[1, 0] > 0 else 1]
    else:
        grey = grey[:: -1 if matrix[1, 1] < 0 else 1, :: -1 if matrix[0, 0] < 0 else 1]
    start = np.array([min(-y, -other_y), min(x, other_x)])
    return _Picture(grey, start, np.array([max(-y, -other_y), max(x, other_x)]))


def _sheet(pictures: list[_Picture], grid: Grid | None) -> list[GreyImage]:
    """The panels of the only sheet among the pictures of a page, with strips joined or as given."""
    problems: list[str] = []
    for shown in (_joined(_joined(pictures, 0), 1), pictures):
        whole = sorted(shown, key=lambda each: -each.grey.size)[: 1 if grid else None]
        attempts = [partial(panels_of_sheet, each.grey, grid) for each in whole]
        attempts += [partial(alike, nine) for nine in _nine_alike(shown) if not grid]
        found = []
        for attempt in attempts:
            try:
                found.append(attempt())
            except SheetError as error:
                height, width = np.shape(attempt.args[0])[-2:]
                problems.append(f"{width}×{height} px, {error.problem}")
        if len(found) > 1:
            raise SheetError(f"{len(found)} sheets of {PANELS} panels")
        if found:
            return found[0]
    raise SheetError("; ".join(dict.fromkeys(problems)))


def _nine_alike(pictures: list[_Picture]) -> list[list[GreyImage]]:
    """Pictures of one size, row by row, where there are nine of them."""
    groups = {}
    for one in pictures:
        sizes = [np.subtract(each.grey.shape, one.grey.shape) for each in pictures]
        same = [n for n, size in enumerate(sizes) if abs(size).max() <= SIZES_DIFFER]
        groups[tuple(same)] = [pictures[n] for n in same]
    return [_row_by_row(group) for group in groups.values() if len(group) == PANELS]


def _row_by_row(pictures: list[_Picture]) -> list[GreyImage]:
    rows: list[list[_Picture]] = []
    for each in sorted(pictures, key=lambda each: each.start[0]):
        if rows and each.start[0] < (rows[-1][0].start[0] + rows[-1][0].end[0]) / 2:
            rows[-1].append(each)
        else:
            rows.append([each])
    return [each.grey for row in rows for each in sorted(row, key=lambda each: each.start[1])]


def _joined(pictures: list[_Picture], axis: int) -> list[_Picture]:
    """Pictures of which one goes on where another ends, below (axis 0) or beside it, as one."""
    across = 1 - axis
    joined: list[_Picture] = []
    for each in sorted(pictures, key=lambda each: (round(each.start[across]), each.start[axis])):
        before = joined[-1] if joined else each
        point = (each.end[across] - each.start[across]) / each.grey.shape[across]
        away = [each.start[axis] - before.end[axis], each.start[across] - before.start[across]]
        away.append(each.end[across] - before.end[across])
        same = before.grey.shape[across] == each.grey.shape[across]
        if same and np.max(np.abs(away)) <= _APART * point:
            grey = np.concatenate([before.grey, each.grey], axis)
            joined[-1] = _Picture(grey, before.start, each.end)
        else:
            joined.append(each)
    return joined
