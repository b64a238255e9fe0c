"""The micrograph, and reading real ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fesemlib.micrographs.channels import MicrographError, Pixels
from fesemlib.micrographs.data_bar import find_data_bar, to_eight_bit, value_range
from fesemlib.micrographs.decoding import decode
from fesemlib.micrographs.pixel_size import PixelSize, PixelSizeSource
from fesemlib.processing import GreyImage

Crop = str | int
"""``"auto"``, ``"none"``, so many rows, or two rows such as ``"64:900"``; see `crop_micrograph`."""


@dataclass(frozen=True)
class Micrograph:
    """One micrograph."""

    image: GreyImage  # shape (H, W); row 0 is the top
    pixel_size_um: float | None = None  # edge of a pixel in µm, where it is known
    data_bar_row: int | None = None  # first row of the data bar that the image had when read
    pixel_size_source: PixelSizeSource | None = None  # None if not known or not read from a file
    cut_rows: int = 0  # rows of the file, data bar included, that were cut off the bottom
    cut_top: int = 0  # rows of the file that were cut off the top
    rescaled_from_um: float | None = None  # the pixel size before it was resampled to another

    @property
    def has_data_bar(self) -> bool:
        """Whether the instrument's data bar is still part of the image."""
        return self.data_bar_row is not None and self.cut_rows == 0


def read_micrograph(path: Path | str, crop: Crop = "auto", page: int = 1) -> Micrograph:
    """Read a micrograph from a TIFF, PNG, JPEG or BMP file.

    Parameters
    ----------
    path
        The file; its first bytes decide what it is, not its ending. TIFF may be of any byte order,
        in strips or tiles, uncompressed or compressed with LZW, Deflate, PackBits, JPEG, LZMA or
        Zstandard, of whole numbers or floats. Colours are read if all are shades of grey. The
        orientation that a file tells is applied. An instrument's text beside it is looked for.
    crop
        See `crop_micrograph`.
    page
        Of a TIFF file with several pages, which one; the first is 1, as ImageJ counts.

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
    does not count, nor does the data bar where every row is kept. A single hot or dead pixel does:
    save such an image as 8 bit, with the limits that suit it.

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
    try:
        _check_file(path)
        pixels, pixel_size = decode(path, page)
        return _as_micrograph(pixels, crop, pixel_size)
    except MicrographError as error:
        raise MicrographError(f"{path}: {error}") from error.__cause__


def read_alike(path: Path | str, crop: Crop, width: int | None, page: int = 1) -> Micrograph:
    """Read a micrograph that need not be of the size of a set, cut as the set was where it is.

    A set's first and last row mean nothing in a file of another width (px, if that of the set's
    files is known) or of fewer rows: there the data bar alone is cut off.
    """
    rows = first_and_last(crop)
    if rows is None:
        return read_micrograph(path, crop, page)
    height, own_width = read_micrograph(path, page=page).image.shape
    fits = rows[1] <= height and own_width == (width or own_width)
    return read_micrograph(path, crop if fits else "auto", page)


def crop_micrograph(micrograph: Micrograph, crop: Crop) -> Micrograph:
    """Cut rows off the bottom or the top of a micrograph.

    ``"auto"`` cuts the data bar off where one is found, ``"none"`` keeps every row, a number keeps
    that many rows from the top, two numbers as in ``"64:900"`` the rows from the first, counted
    from 0, to the one before the second. Raises MicrographError if they are not there, or not above
    the data bar.

    Examples
    --------
    >>> import numpy as np
    >>> micrograph = Micrograph(np.arange(60, dtype=np.uint8).reshape(6, 10))
    >>> cropped = crop_micrograph(micrograph, 4)
    >>> cropped.image.shape, cropped.cut_rows
    ((4, 10), 2)
    """
    height = len(micrograph.image)
    kept = _rows_kept(height, micrograph.data_bar_row, crop)
    cut, top = micrograph.cut_rows + height - kept.stop, micrograph.cut_top + kept.start
    return replace(micrograph, image=micrograph.image[kept], cut_rows=cut, cut_top=top)


def first_and_last(crop: Crop) -> tuple[int, int] | None:
    """The first row that is kept and the first that is not, where a text names them."""
    first, named, last = str(crop).partition(":")
    return (int(first), int(last)) if named else None


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise MicrographError(
            f"no such file (looked for {path.resolve()}); correct the path (one in a manifest is "
            "relative to the manifest's folder)"
        )
    if path.stat().st_size == 0:
        raise MicrographError("the file is empty; export the micrograph again")


def _as_micrograph(pixels: Pixels, crop: Crop, pixel_size: PixelSize | None) -> Micrograph:
    """A micrograph of the numbers in a file."""
    bar = find_data_bar(pixels)
    rows = _rows_kept(len(pixels), bar, crop)
    kept = pixels[rows]
    low, high = value_range(kept)
    if low == high:
        raise MicrographError(
            f"all pixels have grey level {low}; it shows nothing: export the micrograph again, or "
            "leave it out"
        )
    dark, bright = value_range(kept[:bar])
    image = to_eight_bit(kept, *((dark, bright) if dark < bright else (low, high)))
    um, source = pixel_size or (None, None)
    return Micrograph(image, um, bar, source, len(pixels) - rows.stop, rows.start)


def _rows_kept(height: int, bar: int | None, crop: Crop) -> slice:
    most = height if bar is None else min(bar, height)
    if crop in ("none", "auto"):
        return slice(0, height if crop == "none" else most)
    first, last = first_and_last(crop) or (0, int(crop))
    if not first < last <= most:
        what = f"is {height} px high" if bar is None else f"has its data bar from row {bar} on"
        raise MicrographError(
            f"crop = {crop} px cannot be kept, the micrograph {what}; "
            f"set crop to a number from 1 to {most}, to two such as 0:{most}, or to auto"
        )
    return slice(first, last)
