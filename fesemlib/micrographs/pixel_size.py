"""The pixel size that a file tells: in a tag, in a description, beside it, as a resolution."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import tifffile
from defusedxml.ElementTree import fromstring

from fesemlib.micrographs import sidecars
from fesemlib.micrographs.lengths import agree, as_text, entries, length_um, positive, square
from fesemlib.params import GREATEST_PIXEL_SIZE_UM, LEAST_PIXEL_SIZE_UM

PixelSizeSource = str  # who tells it: a name in the tables below, or "manifest"
PixelSize = tuple[float, PixelSizeSource]  # in µm

# Dots per inch that are a printer's, scanner's or program's preset and no calibration, beyond those
# that any print of the frame explains.
_PRINTER_DPI = (4800, 5400, 6000, 6400, 7200, 9600, 12800, 19200)

# A print is 5 cm wide or more; and a frame out of which an image may have been cut, with its
# resolution, has so many columns.
_LEAST_PRINT_UM, _LARGE_FRAME = 50_000.0, 8192


def pixel_size(path: Path, columns: int, page: tifffile.TiffPage | None = None) -> PixelSize | None:
    """The pixel size of an image so many columns wide, or None where none is told or trustworthy.

    From the first that tells it: the tags of `page`, if the file is a TIFF file; a file beside it;
    the resolution of `page`. It is not taken where another number of columns is told, a pixel is
    not square, its edge is not from 0.1 nm to 50 µm, or the resolution is that of a print.
    """
    beside = {source: partial(read, path, columns) for source, read in _BESIDE.items()}
    readers = beside
    if page is not None:
        tags = {source: partial(read, page) for source, read in _TAGS.items()}
        readers = {**tags, **beside, "TIFF resolution": partial(_tiff_um, page)}
    for source, read in readers.items():
        # What is missing, or is not what it should be, tells nothing.
        with suppress(Exception):
            um = read()
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
    own, width, height, monitor = (length_um(_entry(tag, name)) for name in names)
    if own > 0:
        return own
    um = width / page.imagewidth
    monitors = monitor * 1024 / page.imagewidth  # to its 1024 columns an old size refers
    return um if agree(um, height / page.imagelength) and agree(um, monitors) else math.nan


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
        width, height = (positive(scan.get(f"Pixel{side}")) for side in ("Width", "Height"))
        if width > 0 and height > 0:
            return 1e6 * square(width, height)
    return math.nan


def _tescan_um(page: tifffile.TiffPage) -> float:
    """From TESCAN's tag 50431: lines in metres, which may follow a small picture."""
    content = page.tags.valueof(50431)
    told = entries(content if isinstance(content, str) else content.decode("latin-1"))
    return 1e6 * square(positive(told["PixelSizeX"]), positive(told["PixelSizeY"]))


def _thermo_fisher_um(page: tifffile.TiffPage) -> float:
    """From the XML of a Phenom, or of other instruments of Thermo Fisher, in tag 34683."""
    root = _xml(page.tags.valueof(34683))
    for across, down in (("pixelWidth", "pixelHeight"), ("PixelSize/{*}X", "PixelSize/{*}Y")):
        edges = [root.find(f".//{{*}}{name}") for name in (across, down)]
        if None not in edges:
            return square(*(length_um(f"{edge.text} {edge.get('unit')}") for edge in edges))
    return math.nan


def _sis_um(page: tifffile.TiffPage) -> float:
    """From the tag 33560 of Olympus Soft Imaging Solutions, in metres."""
    told = page.tags.valueof(33560)
    return 1e6 * square(positive(told["pixelsizex"]), positive(told["pixelsizey"]))


def _digital_micrograph_um(page: tifffile.TiffPage) -> float:
    """From DigitalMicrograph's tags: the units of both axes, and the edges of a pixel in them."""
    units = (as_text(page.tags.valueof(code)) for code in (65003, 65004))
    edges = (page.tags.valueof(code) for code in (65009, 65010))
    return square(*(length_um(f"{edge} {unit}") for edge, unit in zip(edges, units, strict=True)))


def _openfibsem_um(page: tifffile.TiffPage) -> float:
    """From OpenFIBSEM's description in JSON, in metres."""
    told = json.loads(as_text(page.description))
    resolution = told.get("image", {}).get("resolution")
    if resolution and resolution[0] != page.imagewidth:
        return math.nan
    return 1e6 * square(positive(told["pixel_size"]["x"]), positive(told["pixel_size"]["y"]))


def _ome_um(page: tifffile.TiffPage) -> float:
    """From the OME-XML in the first page's description, where all images so wide tell the same."""
    found = [
        length_um(f"{each.get(f'PhysicalSize{axis}')} {each.get(f'PhysicalSize{axis}Unit', 'µm')}")
        for each in _xml(page.parent.pages.first.description).findall(".//{*}Pixels")
        if each.get("SizeX") == str(page.imagewidth)
        for axis in "XY"
    ]
    return found[0] if all(agree(found[0], each) for each in found) else math.nan


def _xml(content: bytes | str) -> Any:
    """The root of a short XML text, in which nothing may be defined or come from elsewhere."""
    return fromstring(as_text(content), forbid_dtd=True)


def _imagej_um(page: tifffile.TiffPage) -> float:
    """From the unit in ImageJ's description, which is the first page's, and TIFF's resolution."""
    unit = str((page.parent.imagej_metadata or {}).get("unit", ""))
    # ImageJ writes what is not ASCII as \u00B5.
    unit = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), unit)
    return _resolution_um(page, unit)


def _tiff_um(page: tifffile.TiffPage) -> float:
    """From TIFF's resolution alone."""
    return _resolution_um(page, {2: "inch", 3: "cm"}.get(page.tags.valueof(296, 2), ""))


def _resolution_um(page: tifffile.TiffPage, unit: str) -> float:
    """From TIFF's resolution, pixels in a unit; if that is a printer's, it is no print's."""
    rationals = (page.tags.valueof(code) for code in (282, 283))
    along_x, along_y = (positive(count) / positive(units) for count, units in rationals)
    um = square(length_um(f"1 {unit}") / along_x, length_um(f"1 {unit}") / along_y)
    return math.nan if unit in ("inch", "in", "cm") and _of_print(um, page.imagewidth) else um


def _of_print(um: float, columns: int) -> bool:
    """Whether a resolution is a printer's preset, or a print explains it: of the image or more."""
    preset = any(abs(25400 / um / printer - 1) < 1e-3 for printer in _PRINTER_DPI)
    return preset or um * max(columns, _LARGE_FRAME) >= _LEAST_PRINT_UM


# Who may tell a pixel size, in the order in which they are asked: in µm, or NaN.
_TAGS: dict[PixelSizeSource, Callable[[tifffile.TiffPage], float]] = {
    "Zeiss tag": _zeiss_um,
    "FEI tag": _fei_um,
    "TESCAN tag": _tescan_um,
    "Thermo Fisher XML": _thermo_fisher_um,
    "SIS tag": _sis_um,
    "DigitalMicrograph tags": _digital_micrograph_um,
    "OpenFIBSEM": _openfibsem_um,
    "OME-XML": _ome_um,
    "ImageJ": _imagej_um,
}
_BESIDE: dict[PixelSizeSource, Callable[[Path, int], float]] = {
    "TESCAN header": sidecars.tescan_um,
    "Hitachi text": sidecars.hitachi_um,
    "JEOL text": sidecars.jeol_um,
}
