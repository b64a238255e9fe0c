"""The pictures that are embedded in the pages of a PDF file; nothing is rendered.

Whatever a file claims is checked before memory is asked for: pypdf bounds what it unpacks.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

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

_MOST_BYTES = 200_000_000
_BOUNDS = pypdf.Configuration(
    image_maximum_buffer_size=200_000_000, zlib_maximum_output_length=150_000_000
)
# Of a file, as it takes time: unpacked pixels, and so many for a byte that draws; each page,
# form and picture counts for a million at least. Of a page, as it takes memory: pixels.
_MOST_WORK, _OF_A_BYTE, _OF_A_THING, _OF_A_PAGE = 2_000_000_000, 50, 1_000_000, 100_000_000
_DEEPEST = 8  # forms within forms
_LEAST_SIDE = 32  # px: what is smaller is an ornament
_APART = 2.0  # px between strips of one picture
_MOST_NAMED = 8
_REMEDY = "save the figure from the journal's page as PNG or JPEG, and give that"


class _Picture(NamedTuple):
    """A picture, and where on the page it begins and ends: down and across, in points."""

    grey: GreyImage
    start: Array  # shape (2,)
    end: Array


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
    if path.stat().st_size > _MOST_BYTES:
        raise SheetError(f"more than {_MOST_BYTES // 10**6} MB", _REMEDY)
    reader = pypdf.PdfReader(path)
    if reader.is_encrypted:
        raise SheetError("encrypted", f"save it without a password, or {_REMEDY}")
    if page is not None and not 1 <= page <= len(reader.pages):
        raise SheetError(f"--page {page}, but it has {len(reader.pages)} page(s)", "correct it")
    sheets, problems, work = {}, [], [0.0]
    for number in [page] if page else range(1, len(reader.pages) + 1):
        pictures, found = _pictures(reader.pages[number - 1], work)
        try:
            sheets[number] = _sheet(pictures, grid)
        except SheetError as error:
            found.append(error.problem)
        problems += [f"page {number}: {problem}" for problem in found if problem]
    if len(sheets) > 1:
        pages = ", ".join(map(str, sheets))
        raise SheetError(f"pages {pages} have a sheet of {PANELS} panels each", "say which: --page")
    if not sheets:
        problems[_MOST_NAMED:] = ["and more"] if len(problems) > _MOST_NAMED else []
        told = "; ".join(problems) or "no embedded pictures"
        raise SheetError(f"no sheet of {PANELS} grey panels in it ({told})", _REMEDY)
    return next(iter(sheets.values()))


def _pictures(page: pypdf.PageObject, work: list[float]) -> tuple[list[_Picture], list[str]]:
    """The grey pictures of a page as it shows them, and what is wrong with others."""
    pictures: list[_Picture] = []
    problems: list[str] = []
    for image, matrix in _drawn(page.get_contents(), page, np.eye(3), work):
        width, height = int(image["/Width"]), int(image["/Height"])
        if min(width, height) < _LEAST_SIDE or image.get("/ImageMask"):
            continue
        try:
            check_size(width, height)
            grey = grey_of(image.decode_as_image())
        except Exception as error:  # other pictures may do
            told = getattr(error, "problem", f"cannot be unpacked ({type(error).__name__})")
            problems.append(f"{width}×{height} px, {told}")
            continue
        (x, y), (to_x, to_y) = (np.array([[0, 0, 1], [1, 1, 1]]) @ matrix)[:, :2]
        grey = grey[:: -1 if matrix[1, 1] < 0 else 1, :: -1 if matrix[0, 0] < 0 else 1]
        start, end = np.sort([[-y, x], [-to_y, to_x]], axis=0)
        pictures.append(_Picture(grey, start, end))
        _count(work, grey.size if sum(each.grey.size for each in pictures) < _OF_A_PAGE else np.inf)
    return pictures, problems


def _count(work: list[float], more: float) -> None:
    work[0] += _OF_A_THING + more
    if work[0] > _MOST_WORK:
        raise SheetError("too much in it", "say which page has the figure (--page)")


def _drawn(
    content: ContentStream | None, owner: Any, matrix: Array, work: list[float], depth: int = 0
) -> Iterator[tuple[Any, Array]]:
    """The images that a page or a form draws, and the matrix (3, 3) that places the unit square."""
    _count(work, _OF_A_BYTE * len(content.get_data()) if content is not None else 0)
    named: Any = {}
    with suppress(KeyError):
        named = owner["/Resources"]["/XObject"]
    kept = []
    for operands, operator in content.operations if content is not None else ():
        if operator == b"q":
            kept.append(matrix)
        elif operator == b"Q" and kept:
            matrix = kept.pop()
        elif operator == b"cm":
            matrix = _matrix(operands) @ matrix
        elif operator == b"Do" and operands[0] in named:
            thing = named[operands[0]]
            if thing["/Subtype"] == "/Image":
                _count(work, 0)
                yield thing, matrix
            elif depth < _DEEPEST:
                placed = _matrix(thing.get("/Matrix", (1, 0, 0, 1, 0, 0))) @ matrix
                yield from _drawn(ContentStream(thing, None), thing, placed, work, depth + 1)


def _matrix(numbers: Any) -> Array:
    a, b, c, d, e, f = map(float, numbers)
    return np.array([[a, b, 0], [c, d, 0], [e, f, 1]])


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
    sizes = np.array([each.grey.shape for each in pictures])
    groups = {tuple(np.flatnonzero(abs(sizes - one).max(1) <= SIZES_DIFFER)) for one in sizes}
    return [_row_by_row([pictures[n] for n in group]) for group in groups if len(group) == PANELS]


def _row_by_row(pictures: list[_Picture]) -> list[GreyImage]:
    rows: list[list[_Picture]] = []
    for each in sorted(pictures, key=lambda each: each.start[0]):
        if not rows or each.start[0] > (rows[-1][0].start[0] + rows[-1][0].end[0]) / 2:
            rows.append([])
        rows[-1].append(each)
    return [each.grey for row in rows for each in sorted(row, key=lambda each: each.start[1])]


def _joined(pictures: list[_Picture], axis: int) -> list[_Picture]:
    """Pictures of which one goes on where another ends, below (axis 0) or beside it, as one."""
    across = 1 - axis
    joined: list[_Picture] = []
    for each in sorted(pictures, key=lambda each: (round(each.start[across]), each.start[axis])):
        before = joined[-1] if joined else each
        place = np.array([before.start, before.end])
        place[:, axis] = before.end[axis], each.end[axis]
        point = (each.end - each.start)[across] / each.grey.shape[across]
        goes_on = np.all(abs(place - [each.start, each.end]) <= _APART * point)
        if goes_on and before.grey.shape[across] == each.grey.shape[across] and joined:
            grey = np.concatenate([before.grey, each.grey], axis)
            joined[-1] = _Picture(grey, before.start, each.end)
        else:
            joined.append(each)
    return joined
