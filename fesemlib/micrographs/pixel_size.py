"""The pixel size that a TIFF file tells: in an instrument's tag, ImageJ's or TIFF's own."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

import tifffile

from fesemlib.params import GREATEST_PIXEL_SIZE_UM, LEAST_PIXEL_SIZE_UM

PixelSizeSource = Literal["Zeiss tag", "FEI tag", "ImageJ", "TIFF resolution", "manifest"]
PixelSize = tuple[float, PixelSizeSource]  # in µm, and who tells it

# As NFKC writes them: there is one mu, and one Å.
_MICROMETRES = {
    **{"fm": 1e-9, "pm": 1e-6, "Å": 1e-4, "angstrom": 1e-4, "nm": 1e-3, "nanometer": 1e-3},
    **dict.fromkeys(("μm", "um", "micron", "microns", "micrometer"), 1.0),
    **{"mm": 1e3, "millimeter": 1e3, "cm": 1e4, "inch": 25400.0, "m": 1e6},
}
_LENGTH = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(\S+)\s*", re.IGNORECASE)

# Dots per inch that are a printer's, scanner's or program's preset and no calibration; below 508
# the pixel is larger than a micrograph's.
_PRINTER_DPI = (
    *(508, 600, 720, 800, 900, 1000, 1200, 1270, 1440, 1600, 1800, 2000, 2400, 2540, 2880),
    *(3000, 3200, 3600, 4000, 4800, 5400, 6000, 6400, 7200, 9600),
)


def pixel_size(page: tifffile.TiffPage) -> PixelSize | None:
    """The pixel size of a page of a TIFF file, or None where it is not told or not trustworthy.

    From the first of `_READERS` that tells it. It is not taken where the tag is about another
    number of columns than the page has, a pixel is not square, its edge is not from 0.1 nm to
    50 µm, or the resolution is one of printers and scanners.
    """
    for source, read in _READERS.items():
        # A tag that is missing, or is not what it should be, tells nothing.
        with suppress(AttributeError, TypeError, ValueError):
            um = read(page)
            if LEAST_PIXEL_SIZE_UM <= um <= GREATEST_PIXEL_SIZE_UM:
                return um, source
    return None


def _zeiss_um(page: tifffile.TiffPage) -> float:
    """From Zeiss' tag 34118.

    Old files lack the image's own pixel size and hold that of the monitor. They hold the width and
    height of the field, too: where all three agree, the image is whole and they are trusted.
    """
    tag = page.tags.valueof(34118)
    stored = re.match(r"(\d+) *\* *\d+", _entry(tag, "dp_image_store"))
    if stored and int(stored[1]) != page.imagewidth:
        return math.nan
    names = ("ap_image_pixel_size", "ap_width", "ap_height", "ap_pixel_size")
    own, width, height, monitor = (_length_um(_entry(tag, name)) for name in names)
    if own > 0:
        return own
    um = width / page.imagewidth
    monitors = monitor * 1024 / page.imagewidth  # to its 1024 columns an old size refers
    return um if _agree(um, height / page.imagelength) and _agree(um, monitors) else math.nan


def _entry(tag: Mapping[str, Any], name: str) -> str:
    """What stands behind the label of an entry of Zeiss' tag, as one text."""
    return " ".join(map(str, tag.get(name, ())[1:]))


def _fei_um(page: tifffile.TiffPage) -> float:
    """From FEI's (Thermo Fisher's) tag 34680 or 34682: in the section of the scan, in metres."""
    tag = page.tags.valueof(34680) or page.tags.valueof(34682)
    scanned = tag.get("Image", {}).get("ResolutionX")
    if isinstance(scanned, int) and scanned != page.imagewidth:
        return math.nan
    for name in ("Scan", str(tag.get("Beam", {}).get("Scan")), "EScan", "IScan"):
        scan = tag.get(name, {})
        width, height = (_positive(scan.get(f"Pixel{side}")) for side in ("Width", "Height"))
        if width > 0 and height > 0:
            return 1e6 * width if _agree(width, height) else math.nan
    return math.nan


def _imagej_um(page: tifffile.TiffPage) -> float:
    """From the unit in ImageJ's description, which is the first page's, and TIFF's resolution."""
    unit = str((page.parent.imagej_metadata or {}).get("unit", ""))
    # ImageJ writes what is not ASCII as \u00B5.
    unit = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), unit)
    return _resolution_um(page, unit)


def _tiff_um(page: tifffile.TiffPage) -> float:
    """From TIFF's resolution alone."""
    return _resolution_um(page, {2: "inch", 3: "cm"}.get(page.tags.valueof(296), ""))


def _resolution_um(page: tifffile.TiffPage, unit: str) -> float:
    """From TIFF's resolution, pixels in a unit."""
    rationals = (page.tags.valueof(code) for code in (282, 283))
    along_x, along_y = (_positive(count) / _positive(units) for count, units in rationals)
    length = _length_um(f"1 {unit}")
    dpi = 25400 * along_x / length
    preset = any(abs(dpi / printer - 1) < 1e-3 for printer in _PRINTER_DPI)
    return length / along_x if _agree(along_x, along_y) and not preset else math.nan


# Who may tell a pixel size, in the order in which they are asked: in µm, or NaN.
_READERS: dict[PixelSizeSource, Callable[[tifffile.TiffPage], float]] = {
    "Zeiss tag": _zeiss_um,
    "FEI tag": _fei_um,
    "ImageJ": _imagej_um,
    "TIFF resolution": _tiff_um,
}


def _length_um(text: str) -> float:
    """A length such as ``12.33 nm`` in µm, or NaN where it is none or not positive."""
    match = _LENGTH.fullmatch(unicodedata.normalize("NFKC", text).replace(",", "."))
    if match is None:
        return math.nan
    return _positive(float(match[1]) * _MICROMETRES.get(match[2], math.nan))


def _positive(value: object) -> float:
    """The number, or NaN where it is none or not positive."""
    return float(value) if isinstance(value, int | float) and 0 < value < 1e300 else math.nan


def _agree(one: float, other: float) -> bool:
    """Whether a pixel of these two edges is square, or these two tell the same."""
    return abs(one / other - 1) <= 0.01
