"""The micrograph, and reading real ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fesemlib.micrographs.decoding import DecodingError, decode, in_bands
from fesemlib.micrographs.pixel_size import PixelSize, PixelSizeSource
from fesemlib.processing import GreyImage

Pixels = npt.NDArray[Any]

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")

# In a burnt-in data bar most pixels of a row are of one level, the ground. Its upper edge is
# straight: there most columns come to the ground at once, unlike at the edge of a void.
_BAR_FEWEST_ROWS = 8
_BAR_LARGEST_SHARE = 0.5  # of the height
_BAR_MOST_PARTS = 4  # of different grounds
_GROUND_SHARE = 0.4  # of the pixels of a row
_SHARE_AT_THE_EDGE = 0.5  # of the pixels above that are not of the ground, and come to it
_ROWS_ABOVE = 4
_LARGEST_SHARE_ABOVE = 0.75  # of pixels that are of the ground there already
# How far the ground may scatter after JPEG, in grey levels of 8 bit: a wide tolerance takes it in
# up to its edge, a narrow one tells a grey ground from an image that is as grey.
_TOLERANCES = (8, 24)
# Lines and dense writing interrupt the ground. Lines also frame it, above and below, and may leave
# rows between them and the edge of the bar or the file that look like image.
_ROWS_OF_FRAME = 8
_LINE_SHARE = 0.9
# The writing stands out from the ground by this share of the image's range of grey levels, and
# takes this share of the bar: a dark or saturated edge of the specimen has no writing.
_WRITING_CONTRAST = 0.25
_WRITING_SHARE = 0.005
_ROWS_AT_FIRST = 64


class MicrographError(ValueError):
    """A file is missing, unreadable or no grey micrograph."""


@dataclass(frozen=True)
class Micrograph:
    """One micrograph.

    Attributes
    ----------
    image
        Grey levels, uint8, shape (H, W); row 0 is the top.
    pixel_size_um
        Edge of a pixel in µm, or None where it is not known.
    data_bar_row
        First row of the instrument's data bar that the image had when it was read, or None when
        none was found.
    pixel_size_source
        Where the pixel size stands: an instrument's tag, ImageJ's description, TIFF's resolution
        or the manifest. None where it is not known, or the micrograph was not read from a file.
    cut_rows
        How many rows of the file, data bar included, were cut off the bottom.
    rescaled_from_um
        The pixel size before the image was resampled to another, or None if it was not.
    """

    image: GreyImage
    pixel_size_um: float | None = None
    data_bar_row: int | None = None
    pixel_size_source: PixelSizeSource | None = None
    cut_rows: int = 0
    rescaled_from_um: float | None = None

    @property
    def has_data_bar(self) -> bool:
        """Whether the instrument's data bar is still part of the image."""
        return self.data_bar_row is not None and self.cut_rows == 0


def read_micrograph(
    path: Path | str, crop: Literal["auto", "none"] | int = "auto", page: int = 1
) -> Micrograph:
    """Read a micrograph from a TIFF, PNG or JPEG file.

    Parameters
    ----------
    path
        The file. TIFF may be of any byte order, in strips or tiles, uncompressed or compressed
        with LZW, Deflate, PackBits, JPEG, LZMA or Zstandard, of whole numbers or floats. An image
        stored in colour is read if all its colours are shades of grey. The orientation that a file
        tells, if any, is applied.
    crop
        See `crop_micrograph`.
    page
        Of a TIFF file with several pages, which one; the first is 1, as ImageJ counts.

    Returns
    -------
    Micrograph
        With the pixel size that a TIFF file tells, where it is trustworthy (see
        `fesemlib.micrographs.pixel_size.pixel_size`).

    Raises
    ------
    MicrographError
        When the file is missing, empty, damaged, in colour, of one grey level throughout, larger
        than 100 megapixels or 400 MB unpacked, or of another format; when it lacks the page, or
        cannot be cropped as asked. The message begins with the file and ends with what to do.

    Notes
    -----
    Grey levels of 8 bit are taken as they are. Others (16 bit, 32 bit, floats) are stretched
    linearly, so that the least value of the image becomes 0 and the greatest 255. What is cut off
    does not count, nor does the data bar where every row is kept, whose white and black lie far
    beyond the image's. A single hot or dead pixel does count, and leaves fewer grey levels to
    all others: save such an image as 8 bit, with the limits that suit it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from fesemlib.synthetic import synthesize_micrograph
    >>> from fesemlib.micrographs.zeiss import burn_data_bar, write_zeiss_tiff
    >>> stand_in = synthesize_micrograph(1e-3, seed=0, shape=(192, 256))
    >>> folder = TemporaryDirectory()
    >>> path = write_zeiss_tiff(Path(folder.name, "new.tif"), burn_data_bar(stand_in))
    >>> micrograph = read_micrograph(path)
    >>> micrograph.image.shape, micrograph.cut_rows  # without the data bar
    ((168, 256), 24)
    >>> print(f"{micrograph.pixel_size_um:.4g} µm, from the {micrograph.pixel_size_source}")
    0.9766 µm, from the Zeiss tag
    """
    path = Path(path)
    _check_file(path)
    try:
        decoded = decode(path, page)
        _check_finite(decoded.pixels)
    except DecodingError as error:
        raise MicrographError(f"{path}: {_one_line(error)}") from None
    # Decoders raise whatever they stumble over; for the reader it is one thing.
    except Exception as error:
        raise MicrographError(
            f"{path}: cannot be read ({type(error).__name__}: {_one_line(error)}); the file is "
            "damaged or not what its name says: export the micrograph again, as uncompressed TIFF "
            "or PNG"
        ) from error
    try:
        return _as_micrograph(decoded.pixels, crop, decoded.pixel_size)
    except MicrographError as error:
        raise MicrographError(f"{path}: {error}") from None


def crop_micrograph(micrograph: Micrograph, crop: Literal["auto", "none"] | int) -> Micrograph:
    """Cut rows off the bottom of a micrograph.

    Parameters
    ----------
    micrograph
        The micrograph with all its rows.
    crop
        ``"auto"`` cuts the data bar off where one is found, ``"none"`` keeps every row, a number
        keeps that many rows from the top.

    Raises
    ------
    MicrographError
        When fewer rows exist than are to be kept, or some of them belong to the data bar.

    Examples
    --------
    >>> micrograph = Micrograph(np.arange(60, dtype=np.uint8).reshape(6, 10))
    >>> cropped = crop_micrograph(micrograph, 4)
    >>> cropped.image.shape, cropped.cut_rows
    ((4, 10), 2)
    """
    height = micrograph.image.shape[0]
    rows = _rows_kept(height, micrograph.data_bar_row, crop)
    cut = micrograph.cut_rows + height - rows
    return replace(micrograph, image=micrograph.image[:rows], cut_rows=cut)


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise MicrographError(f"{path}: not one of {', '.join(SUFFIXES)}; export it as TIFF")
    if not path.is_file():
        raise MicrographError(
            f"{path}: no such file (looked for {path.resolve()}); correct the path (one in a "
            "manifest is relative to the manifest's folder)"
        )
    if path.stat().st_size == 0:
        raise MicrographError(f"{path}: the file is empty; export the micrograph again")


def _one_line(error: Exception, length: int = 300) -> str:
    """What a decoder says, in one printable line and not too long: it may quote the file."""
    text = " ".join(str(error).split())
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _as_micrograph(
    pixels: Pixels, crop: Literal["auto", "none"] | int, pixel_size: PixelSize | None
) -> Micrograph:
    """A micrograph of the numbers in a file."""
    height = pixels.shape[0]
    bar = _find_data_bar(pixels)
    rows = _rows_kept(height, bar, crop)
    kept = pixels[:rows]
    if _range(kept) == (kept[0, 0], kept[0, 0]):
        raise MicrographError(
            f"all pixels have grey level {kept[0, 0]}; it shows nothing: export the micrograph "
            "again, or leave it out"
        )
    shown = kept[:bar]
    low, high = _range(shown)
    image = _to_eight_bit(kept, *((low, high) if low < high else _range(kept)))
    um, source = pixel_size or (None, None)
    return Micrograph(image, um, bar, source, height - rows)


def _rows_kept(height: int, bar: int | None, crop: Literal["auto", "none"] | int) -> int:
    most = height if bar is None else bar
    if crop == "none":
        return height
    if crop == "auto":
        return most
    if not 1 <= crop <= most:
        what = f"is {height} px high" if bar is None else f"has its data bar from row {bar} on"
        raise MicrographError(
            f"crop = {crop} px cannot be kept, the micrograph {what}; "
            f"set crop to a number from 1 to {most}, or to auto"
        )
    return crop


def _check_finite(pixels: Pixels) -> None:
    if not all(np.isfinite(pixels[band]).all() for band in in_bands(pixels)):
        raise DecodingError(
            "some pixels are not finite numbers, be it only at the border; cut those off in the "
            "program that wrote the file, or export it as 8 bit"
        )


def _range(pixels: Pixels) -> tuple[Any, Any]:
    """The least and the greatest number."""
    return pixels.min(), pixels.max()


def _to_eight_bit(pixels: Pixels, low: Any, high: Any) -> GreyImage:
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


# The data bar


def _find_data_bar(pixels: Pixels) -> int | None:
    """The first row of the data bar, or None where none is found.

    A bar may have parts of different grounds, which are found one after the other. It is blank,
    or one of them has writing.
    """
    height = pixels.shape[0]
    least = math.ceil(height * (1 - _BAR_LARGEST_SHARE))
    first = height
    for _ in range(_BAR_MOST_PARTS):
        found = _find_part(pixels[:first])
        if found is None or found < least:
            break
        first = found
    if first == height:
        return None
    bar = pixels[first:]
    blank = np.all(bar == bar[0, 0])
    return first if blank or _has_writing(_to_eight_bit(bar, *_range(pixels))) else None


def _find_part(pixels: Pixels) -> int | None:
    """The first row of the lowest part of a bar, which is of one ground."""
    low, high = _range(pixels)
    if low == high:
        return None

    def grey(rows: slice) -> Pixels:
        return _to_eight_bit(pixels[rows], low, high)

    found = []
    # Deeper data may use so little of their range that only the exact level tells bar and image.
    exact = () if pixels.dtype == np.uint8 else (0,)
    for tolerance in (*exact, *_TOLERANCES):
        rows_of = grey if tolerance else pixels.__getitem__
        part = _ground_at_bottom(rows_of, pixels.shape[0], tolerance)
        if part:
            found.append(_first_line_above(rows_of, part.start, tolerance))
    return min(found, default=None)


def _ground_at_bottom(
    rows_of: Callable[[slice], Pixels], height: int, tolerance: int
) -> slice | None:
    """The rows at the bottom that are of one ground and begin with a straight edge."""
    ground = _commonest(rows_of(slice(max(height - 2 * _BAR_FEWEST_ROWS, 0), height)))
    share = np.zeros(0)  # of the ground, in the lowest rows
    start = 0
    while start <= _ROWS_OF_FRAME and share.size < height:
        stop = height - share.size
        rows = rows_of(slice(max(stop - max(share.size, _ROWS_AT_FIRST), 0), stop))
        share = np.concatenate([_share_near(rows, ground, tolerance), share])
        flat = np.flatnonzero(share >= _GROUND_SHARE)
        if flat.size == 0 or flat[-1] < share.size - 1 - _ROWS_OF_FRAME:
            return None
        interrupted = np.flatnonzero(np.diff(flat) > _ROWS_OF_FRAME + 1)
        start = int(flat[interrupted[-1] + 1] if interrupted.size else flat[0])
    edges = _straight_edges(share)
    edges = edges[edges >= start]
    if edges.size == 0 or flat[-1] + 1 - edges[0] < _BAR_FEWEST_ROWS:
        return None
    above = height - share.size
    return slice(above + int(edges[0]), above + int(flat[-1]) + 1)


def _straight_edges(share: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The rows in which the share of the ground jumps beyond that in the rows just above."""
    if share.size <= _ROWS_ABOVE:
        return np.zeros(0, np.intp)
    above = np.lib.stride_tricks.sliding_window_view(share[:-1], _ROWS_ABOVE).max(axis=1)
    jumps = share[_ROWS_ABOVE:] - above >= _SHARE_AT_THE_EDGE * (1 - above)
    return np.flatnonzero(jumps & (above <= _LARGEST_SHARE_ABOVE)) + _ROWS_ABOVE


def _first_line_above(rows_of: Callable[[slice], Pixels], first: int, tolerance: int) -> int:
    """The first line of the frame above a bar, or else the bar's first row.

    A line is of one level, and the row above it is not.
    """
    for row in range(max(first - _ROWS_OF_FRAME, 1), first):
        above_and_line = rows_of(slice(row - 1, row + 1))
        level = _commonest(above_and_line[1:])
        above, line = _share_near(above_and_line, level, tolerance)
        if above < _GROUND_SHARE and line >= _LINE_SHARE:
            return row
    return first


def _commonest(rows: Pixels) -> Any:
    if rows.dtype == np.uint8:
        return np.bincount(rows.ravel()).argmax()
    levels, counts = np.unique(rows, return_counts=True)
    return levels[counts.argmax()]


def _share_near(rows: Pixels, level: Any, tolerance: int) -> npt.NDArray[np.float64]:
    """Which share of each row is of a grey level, give or take some levels of 8 bit."""
    if tolerance:
        near = (rows >= max(int(level) - tolerance, 0)) & (rows <= min(int(level) + tolerance, 255))
    else:
        near = rows == level
    share: npt.NDArray[np.float64] = np.count_nonzero(near, axis=1) / rows.shape[1]
    return share


def _has_writing(bar: GreyImage) -> bool:
    contrast = _WRITING_CONTRAST * 255
    far = abs(bar.astype(np.int16) - int(np.median(bar))) >= contrast
    return bool(far.mean() >= _WRITING_SHARE)
