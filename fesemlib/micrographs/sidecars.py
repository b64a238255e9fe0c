"""The pixel size in the file that an instrument writes beside an image, under the same name."""

from __future__ import annotations

import math
import re
from pathlib import Path

from fesemlib.micrographs.lengths import MOST_BYTES, as_text, entries, length_um, positive, square

_FIELD = re.compile(r"([\d.,]+)\s*([^\d\s]*)\s+[\d.,]+\s*(\S+)")


def tescan_um(image: Path, _: int) -> float:
    """From TESCAN's ``image-tif.hdr`` or ``image.hdr``; in metres."""
    told = _beside(image, ".hdr", "[MAIN]")
    return 1e6 * square(positive(told["PixelSizeX"]), positive(told["PixelSizeY"]))


def hitachi_um(image: Path, columns: int) -> float:
    """From Hitachi's ``image.txt``; in nm."""
    told = _beside(image, ".txt", "ImageFile]")
    size = told.get("DataSize", f"{columns}x").lower().partition("x")[0]
    return 1e-3 * positive(told["PixelSize"]) if int(size) == columns else math.nan


def jeol_um(image: Path, columns: int) -> float:
    """From JEOL's ``image.txt``: the scale bar, or the field where it agrees and is more exact."""
    told = _beside(image, ".txt", "$")
    size = told.get("CM_FULL_SIZE") or told.get("CM_IMAGE_SIZE") or str(columns)
    if int(size.split()[0]) != columns:
        return math.nan
    bar_px = positive(told.get("SM_MICRON_BAR", "nan"))  # whole pixels
    bar = length_um(told.get("SM_MICRON_MARKER", "")) / bar_px
    # Some tell the unit of both sides of the field behind the second alone.
    field = _FIELD.match(told.get("CM_FIELD_OF_VIEW", ""))
    if field is None:
        return bar
    um = length_um(f"{field[1]} {field[2] or field[3]}") / columns
    return bar if math.isnan(um) or abs(um / bar - 1) > 1 / bar_px else um


def _beside(image: Path, ending: str, sign: str) -> dict[str, str]:
    """The entries of the first file beside an image that holds the maker's sign, or none."""
    stems = (image.stem, f"{image.stem}-{image.suffix[1:]}")
    endings = (ending, ending.upper(), ending.title())
    for name in (f"{stem}{each}" for each in endings for stem in stems):
        path = image.with_name(name)
        if path.is_file():
            with path.open("rb") as file:
                text = as_text(file.read(MOST_BYTES + 1))
            if sign in text:
                return entries(text)
    return {}
