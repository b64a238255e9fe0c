"""The micrograph, and reading real ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

__all__ = ["GreyImage", "Micrograph", "MicrographError", "crop_micrograph", "read_micrograph"]

GreyImage = npt.NDArray[np.uint8]

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")

# A burnt-in data bar is flat but for its writing: a row of it holds few grey levels. Its frame may
# leave up to three rows below it that look like image.
_BAR_GREY_LEVELS = 20
_BAR_FEWEST_ROWS = 8
_ROWS_BELOW_BAR = 3

_MICROMETRES = {"pm": 1e-6, "nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3}

# What tifffile decodes by itself; Pillow (libtiff) decodes the rest, LZW and JPEG among them.
_TIFFFILE_DECODES = ("NONE", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "LZMA")
_TIFFFILE_PREDICTS = ("NONE", "HORIZONTAL")
_TIFFFILE_COLOURS = ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE")

_PILLOW_MODES = ("L", "LA", "I", "I;16", "I;16B", "F", "RGB", "RGBA")


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
    """

    image: GreyImage
    pixel_size_um: float | None = None
    data_bar_row: int | None = None


def read_micrograph(path: Path | str, crop: Literal["auto", "none"] | int = "auto") -> Micrograph:
    """Read a micrograph from a TIFF, PNG or JPEG file.

    Of a TIFF file with several pages, the first is read. Grey levels deeper than 8 bit are
    stretched linearly, from the least to the greatest grey level of the image.

    Parameters
    ----------
    path
        The file.
    crop
        See `crop_micrograph`.

    Returns
    -------
    Micrograph
        With the pixel size of the instrument's own tag, where there is one (Zeiss).

    Raises
    ------
    MicrographError
        When the file is missing, empty, truncated, in colour, of one grey level throughout or of
        another format, or when it cannot be cropped as asked. The message names the file and what
        to do.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise MicrographError(f"{path}: not one of {', '.join(SUFFIXES)}; export it as TIFF")
    if not path.is_file():
        raise MicrographError(
            f"{path}: no such file (looked for {path.resolve()}); correct the path, which in a "
            "manifest is relative to the manifest's folder"
        )
    if path.stat().st_size == 0:
        raise MicrographError(f"{path}: the file is empty; export the micrograph again")
    try:
        if path.suffix.lower().startswith(".tif"):
            pixels, pixel_size_um = _read_tiff(path)
        else:
            pixels, pixel_size_um = _read_with_pillow(path), None
    # Decoders raise whatever they stumble over; for the reader it is one thing.
    except Exception as error:
        raise MicrographError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); the file is damaged or "
            "not what its name says: export the micrograph again, as uncompressed TIFF or PNG"
        ) from error
    image = _to_grey(pixels, path)
    micrograph = Micrograph(image, pixel_size_um, _find_data_bar(image))
    try:
        micrograph = crop_micrograph(micrograph, crop)
        _check_contrast(micrograph.image)
    except MicrographError as error:
        raise MicrographError(f"{path}: {error}") from None
    return micrograph


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
    """
    height = micrograph.image.shape[0]
    bar = micrograph.data_bar_row
    if crop == "none" or (crop == "auto" and bar is None):
        return micrograph
    if crop == "auto":
        rows = bar
    elif not 1 <= crop <= (height if bar is None else bar):
        what = f"is {height} px high" if bar is None else f"has its data bar from row {bar} on"
        raise MicrographError(
            f"crop = {crop} px cannot be kept, the micrograph {what}; "
            f"set crop to a number from 1 to {height if bar is None else bar}, or to auto"
        )
    else:
        rows = crop
    return replace(micrograph, image=micrograph.image[:rows])


def _read_tiff(path: Path) -> tuple[npt.NDArray[Any], float | None]:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        white_is_zero = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        if _tifffile_decodes(page):
            pixels = page.asarray()
            if pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
                pixels = np.moveaxis(pixels, 0, -1)
        else:
            with Image.open(path) as picture:
                white_is_zero = white_is_zero and picture.mode not in ("1", "L")  # done by Pillow
                pixels = np.asarray(picture) if picture.mode == "P" else _pillow_pixels(picture)
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
            pixels = _apply_palette(pixels, page.colormap)
        elif white_is_zero:
            pixels = -pixels if pixels.dtype.kind == "f" else ~pixels
        return pixels, _zeiss_pixel_size(file.sem_metadata or {})


def _tifffile_decodes(page: tifffile.TiffPage) -> bool:
    """Whether tifffile can decode a page without its optional codecs."""
    return (
        tifffile.COMPRESSION(page.compression).name in _TIFFFILE_DECODES
        and tifffile.PREDICTOR(page.predictor).name in _TIFFFILE_PREDICTS
        and tifffile.PHOTOMETRIC(page.photometric).name in _TIFFFILE_COLOURS
    )


def _apply_palette(pixels: npt.NDArray[Any], palette: npt.NDArray[np.uint16]) -> npt.NDArray[Any]:
    """Look pixels up in a palette.

    Zeiss writes grey images with the identity as palette, but for a few entries that only its
    writing and marks use; there the index itself is the grey level.
    """
    levels = palette >> 8 if palette.max() > 255 else palette  # some writers fill 8 of 16 bits
    if np.all(levels == np.arange(levels.shape[1]), axis=0).mean() > 0.5:
        return pixels
    colours: npt.NDArray[Any] = levels.T[pixels].astype(np.uint8)
    return colours


def _zeiss_pixel_size(metadata: dict[str, Any]) -> float | None:
    """The pixel size in µm from Zeiss' tag 34118, or None where it lacks one."""
    entry = metadata.get("ap_image_pixel_size")
    if not isinstance(entry, tuple) or len(entry) != 3:
        return None
    _, value, unit = entry
    scale = _MICROMETRES.get(str(unit).replace("μ", "µ"))  # Greek mu and micro sign
    if scale is None or not isinstance(value, int | float) or value <= 0:
        return None
    return value * scale


def _read_with_pillow(path: Path) -> npt.NDArray[Any]:
    with Image.open(path) as picture:
        return _pillow_pixels(picture)


def _pillow_pixels(picture: Image.Image) -> npt.NDArray[Any]:
    return np.asarray(picture if picture.mode in _PILLOW_MODES else picture.convert("RGB"))


def _to_grey(pixels: npt.NDArray[Any], path: Path) -> GreyImage:
    """One grey channel of 8 bit."""
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):  # an alpha channel says nothing
        pixels = pixels[..., :-1]
    if pixels.ndim == 3 and pixels.shape[2] in (1, 3):
        if np.any(pixels != pixels[..., :1]):
            raise MicrographError(
                f"{path}: the image is in colour; a micrograph is grey: save it as greyscale"
            )
        pixels = pixels[..., 0]
    if pixels.ndim != 2 or pixels.size == 0 or np.iscomplexobj(pixels):
        raise MicrographError(
            f"{path}: the image has shape {pixels.shape}, {pixels.dtype}; a single grey image is "
            "needed: export it as one"
        )
    if pixels.dtype == np.uint8:
        return pixels
    if not np.all(np.isfinite(pixels)):
        raise MicrographError(f"{path}: some pixels are not finite numbers; export it as 8 bit")
    low, high = float(pixels.min()), float(pixels.max())
    scale = 255.0 / (high - low) if high > low else 0.0
    grey: GreyImage = np.round((pixels.astype(np.float64) - low) * scale).astype(np.uint8)
    return grey


def _check_contrast(image: GreyImage) -> None:
    if image.min() == image.max():
        raise MicrographError(
            f"all pixels have grey level {image.min()}; it shows nothing: export the micrograph "
            "again, or leave it out"
        )


def _find_data_bar(image: GreyImage) -> int | None:
    """The first row of the data bar: a run of rows with few grey levels at the bottom edge."""
    ordered = np.sort(image, axis=1)
    levels = 1 + np.count_nonzero(np.diff(ordered, axis=1), axis=1)
    flat = levels <= _BAR_GREY_LEVELS
    bottom = next((row for row in range(1, _ROWS_BELOW_BAR + 2) if flat[-row:][:1].any()), None)
    if bottom is None:
        return None
    last = len(flat) - bottom
    above = np.flatnonzero(~flat[: last + 1])
    if above.size == 0:  # flat throughout
        return None
    first = int(above[-1]) + 1
    return first if last + 1 - first >= _BAR_FEWEST_ROWS else None
