"""The pictures that are embedded in the pages of a PDF file; nothing is rendered.

Whatever a file claims is checked before memory is asked for: pypdf bounds what it unpacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pypdf
from pypdf.generic import ContentStream

from fesemlib.micrographs.channels import check_page
from fesemlib.panels.sheet import (
    PANELS,
    SIZES_DIFFER,
    Grid,
    SheetError,
    check_size,
    grey_of,
    panels_of,
)
from fesemlib.processing import GreyImage

Array = npt.NDArray[np.float64]

_BOUNDS = pypdf.Configuration(
    image_maximum_buffer_size=200_000_000, zlib_maximum_output_length=150_000_000
)
# Of a file, as it takes time and memory: pixels, and so many for a byte that draws; each page, form
# and picture counts for half a million at least.
_MOST_WORK, _OF_A_BYTE, _OF_A_THING = 1_000_000_000, 50, 500_000
_DEEPEST = 8  # forms within forms
_LEAST_SIDE = 32  # px: what is smaller is an ornament
_MOST_NAMED = 8
_REMEDY = "save the figure from the journal's page as PNG or JPEG, and give that"


class _Picture(NamedTuple):
    """A picture, and where on the page it begins, and how high it is, in points."""

    grey: GreyImage
    down: float
    across: float
    height: float


def panels_of_pdf(path: Path, page: int | None = None, grid: Grid | None = None) -> list[GreyImage]:
    """The nine panels of the only sheet in a PDF file, row by row; a `SheetError` tells the rest.

    A sheet is one picture, or nine of one size.
    """
    with pypdf.apply_configuration(_BOUNDS):
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted:
            raise SheetError("encrypted", f"save it without a password, or {_REMEDY}")
        check_page(page or 1, len(reader.pages))
        sheets, problems, work = [], [], [0.0]
        for number in [page] if page else range(1, len(reader.pages) + 1):
            found: list[str] = []
            pictures = list(_pictures(reader.pages[number - 1], found, work))
            for candidate in _candidates(pictures, grid):
                try:
                    sheets.append((number, panels_of(candidate, grid)))
                except SheetError as error:
                    found.append(_told(candidate[0].shape, error))
            problems += [f"page {number}: {problem}" for problem in found]
    if len(sheets) > 1:
        pages = ", ".join(str(number) for number, _ in sheets)
        raise SheetError(f"pages {pages} have a sheet of {PANELS} panels each", "say which: --page")
    if not sheets:
        problems[_MOST_NAMED:] = ["and more"] if len(problems) > _MOST_NAMED else []
        told = "; ".join(problems) or "no embedded pictures"
        raise SheetError(f"no sheet of {PANELS} grey panels in it ({told})", _REMEDY)
    return sheets[0][1]


def _told(shape: tuple[int, ...], error: Exception) -> str:
    """What is wrong with a picture of a shape (H, W)."""
    damaged = f"cannot be unpacked ({type(error).__name__})"
    problem = error.args[0] if isinstance(error, SheetError) else damaged
    return f"{shape[1]}×{shape[0]} px, {problem}"


def _candidates(pictures: list[_Picture], grid: Grid | None) -> Iterator[list[GreyImage]]:
    """What may be a sheet: each picture, and nine of one size; if divided, the largest picture."""
    if grid and pictures:
        pictures = [max(pictures, key=lambda each: each.grey.size)]
    yield from ([each.grey] for each in pictures)
    sizes = np.array([each.grey.shape for each in pictures])
    groups = {tuple(np.flatnonzero(abs(sizes - one).max(1) <= SIZES_DIFFER)) for one in sizes}
    yield from (_row_by_row([pictures[n] for n in each]) for each in groups if len(each) == PANELS)


def _row_by_row(pictures: list[_Picture]) -> list[GreyImage]:
    pictures = sorted(pictures, key=lambda each: each.down)
    _, down, across, height = zip(*pictures, strict=True)
    row = np.cumsum(np.diff(down, prepend=down[0]) > height[0] / 2)
    return [pictures[n].grey for n in np.lexsort((across, row))]


def _pictures(page: pypdf.PageObject, problems: list[str], work: list[float]) -> Iterator[_Picture]:
    """The grey pictures of a page as it shows them; what is wrong with others is a problem."""
    for image, matrix in _drawn(page.get_contents(), page, np.eye(3), work):
        width, height = int(image["/Width"]), int(image["/Height"])
        if min(width, height) < _LEAST_SIDE or image.get("/ImageMask"):
            continue
        try:
            check_size(width, height)
            grey = grey_of(image.decode_as_image())
        except Exception as error:  # other pictures may do
            problems.append(_told((height, width), error))
            continue
        _count(work, grey.size)
        grey = grey[:: -1 if matrix[1, 1] < 0 else 1, :: -1 if matrix[0, 0] < 0 else 1]
        low, high = np.sort(np.array([[0, 0, 1], [1, 1, 1]]) @ matrix, axis=0)
        yield _Picture(grey, -high[1], low[0], high[1] - low[1])


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
