"""The pixel size that a TIFF file tells: in an instrument's tag, ImageJ's or TIFF's own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import tifffile

from fesemlib.params import GREATEST_PIXEL_SIZE_UM, LEAST_PIXEL_SIZE_UM

PixelSizeSource = Literal["Zeiss tag", "FEI tag", "ImageJ", "TIFF resolution", "manifest"]

# As NFKC writes them: there is one mu, and one Å.
_MICROMETRES = {
    **{"fm": 1e-9, "pm": 1e-6, "Å": 1e-4, "angstrom": 1e-4, "nm": 1e-3, "nanometer": 1e-3},
    **dict.fromkeys(("μm", "um", "micron", "microns", "micrometer"), 1.0),
    **{"mm": 1e3, "millimeter": 1e3, "cm": 1e4, "inch": 25400.0, "m": 1e6},
}
_LENGTH = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(\S+)\s*", re.IGNORECASE)

_MONITOR_WIDTH = 1024  # of Zeiss, to which the pixel size of old files refers
# Dots per inch that are a printer's, scanner's or program's preset and no calibration; below 508
# the pixel is larger than a micrograph's.
_PRINTER_DPI = (
    *(508, 600, 720, 800, 900, 1000, 1200, 1270, 1440, 1600, 1800, 2000, 2400, 2540, 2880),
    *(3000, 3200, 3600, 4000, 4800, 5400, 6000, 6400, 7200, 9600),
)
_SAME_DPI = 1e-3

_TOLERANCE = 0.01  # within which a pixel is square, and two statements agree

_ZEISS, _FEI = 34118, (34680, 34682)
_RESOLUTIONS, _RESOLUTION_UNIT = (282, 283), 296  # along x and y
_RESOLUTION_UNITS = {2: "inch", 3: "cm"}


class PixelSize(NamedTuple):
    """A pixel size and who tells it."""

    um: float
    source: PixelSizeSource


def pixel_size(file: tifffile.TiffFile, page: tifffile.TiffPage) -> PixelSize | None:
    """The pixel size of a page of a TIFF file, or None where it is not told or not trustworthy.

    From the first that has it: Zeiss' tag; FEI's (Thermo Fisher's); ImageJ's description, which is
    the first page's; TIFF's resolution. It is not taken where the tag is about another number of
    columns than the page has, a pixel is not square, its edge is not from 0.1 nm to 50 µm, or the
    resolution is one of printers and scanners.
    """
    zeiss = page.tags.valueof(_ZEISS)
    unit = page.tags.valueof(_RESOLUTION_UNIT)
    fei = next((value for value in map(page.tags.valueof, _FEI) if value), None)
    candidates: list[tuple[float | None, PixelSizeSource]] = [
        (_zeiss_um(zeiss, page) if isinstance(zeiss, Mapping) else None, "Zeiss tag"),
        (_fei_um(fei, page) if isinstance(fei, Mapping) else None, "FEI tag"),
        (_imagej_um(file, page), "ImageJ"),
        (_resolution_um(page, _RESOLUTION_UNITS.get(unit, "")), "TIFF resolution"),
    ]
    for um, source in candidates:
        if um is not None and LEAST_PIXEL_SIZE_UM <= um <= GREATEST_PIXEL_SIZE_UM:
            return PixelSize(um, source)
    return None


def _zeiss_um(tag: Mapping[str, Any], page: tifffile.TiffPage) -> float | None:
    """From Zeiss' tag 34118.

    Old files lack the image's own pixel size and hold that of the monitor. They hold the width and
    height of the field, too: where all three agree, the image is whole and they are trusted.
    """
    stored = re.match(r"(\d+) *\* *\d+", _entry(tag, "dp_image_store"))
    if stored and int(stored[1]) != page.imagewidth:
        return None
    names = ("ap_image_pixel_size", "ap_width", "ap_height", "ap_pixel_size")
    own, width, height, monitor = (_length_um(_entry(tag, name)) for name in names)
    if own is not None or width is None or height is None or monitor is None:
        return own
    um = width / page.imagewidth
    others = (height / page.imagelength, monitor * _MONITOR_WIDTH / page.imagewidth)
    return um if all(_agree(um, other) for other in others) else None


def _entry(tag: Mapping[str, Any], name: str) -> str:
    """What stands behind the label of an entry of Zeiss' tag, as one text."""
    entry = tag.get(name)
    return " ".join(map(str, entry[1:])) if isinstance(entry, tuple) else ""


def _fei_um(tag: Mapping[str, Any], page: tifffile.TiffPage) -> float | None:
    """From FEI's tag 34680 or 34682: in the section of the scan, in metres."""
    scanned = _section(tag, "Image").get("ResolutionX")
    if isinstance(scanned, int) and scanned != page.imagewidth:
        return None
    names = ("Scan", str(_section(tag, "Beam").get("Scan")), "EScan", "IScan")
    for scan in (_section(tag, name) for name in names):
        width, height = (_positive(scan.get(f"Pixel{side}")) for side in ("Width", "Height"))
        if width is not None and height is not None:
            return 1e6 * width if _agree(width, height) else None
    return None


def _section(tag: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = tag.get(name)
    return section if isinstance(section, Mapping) else {}


def _imagej_um(file: tifffile.TiffFile, page: tifffile.TiffPage) -> float | None:
    """From the unit in ImageJ's description, and TIFF's resolution in that unit."""
    unit = str((file.imagej_metadata or {}).get("unit", ""))
    # ImageJ writes what is not ASCII as \u00B5.
    return _resolution_um(
        page, re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), unit)
    )


def _resolution_um(page: tifffile.TiffPage, unit: str) -> float | None:
    """From TIFF's resolution, pixels in a unit."""
    along_x, along_y = (_ratio(page.tags.valueof(code)) for code in _RESOLUTIONS)
    length = _length_um(f"1 {unit}")
    if length is None or along_x is None or along_y is None or not _agree(along_x, along_y):
        return None
    dpi = 25400 * along_x / length
    preset = any(abs(dpi / printer - 1) < _SAME_DPI for printer in _PRINTER_DPI)
    return None if preset else length / along_x


def _ratio(value: object) -> float | None:
    """The quotient of a TIFF rational, where it is positive."""
    if not isinstance(value, tuple) or len(value) != 2:
        return None
    numerator, denominator = map(_positive, value)
    return numerator / denominator if numerator and denominator else None


def _length_um(text: str) -> float | None:
    """A length such as ``12.33 nm`` in µm, or None where it is none or not positive."""
    match = _LENGTH.fullmatch(unicodedata.normalize("NFKC", text).replace(",", "."))
    if match is None or match[2] not in _MICROMETRES:
        return None
    return _positive(float(match[1]) * _MICROMETRES[match[2]])


def _positive(value: object) -> float | None:
    if not isinstance(value, int | float) or not 0 < value < 1e300:
        return None
    return float(value)


def _agree(one: float, other: float) -> bool:
    return abs(one / other - 1) <= _TOLERANCE
