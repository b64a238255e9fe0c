"""Lengths, and the texts in which instruments tell them."""

from __future__ import annotations

import math
import re
import unicodedata
from contextlib import suppress

# As NFKC writes them: there is one mu, and one Å.
_MICROMETRES = {
    **{"fm": 1e-9, "pm": 1e-6, "Å": 1e-4, "angstrom": 1e-4, "nm": 1e-3, "nanometer": 1e-3},
    **dict.fromkeys(("μm", "um", "micron", "microns", "micrometer", "micrometre"), 1.0),
    **{"mm": 1e3, "millimeter": 1e3, "cm": 1e4, "inch": 25400.0, "in": 25400.0, "m": 1e6},
}
_LENGTH = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(\S+)\s*", re.IGNORECASE)
_ENTRY = re.compile(r"\s*\$*(\w+)[\s=]+(.*)")

MOST_BYTES = 1 << 20
"""Of a text that is looked through; instruments write some kB."""


def length_um(text: str) -> float:
    """A length such as ``12.33 nm`` in µm, or NaN where it is none or not positive."""
    match = _LENGTH.fullmatch(unicodedata.normalize("NFKC", text).replace(",", "."))
    if match is None:
        return math.nan
    return positive(float(match[1]) * _MICROMETRES.get(match[2], math.nan))


def positive(value: object) -> float:
    """The number, be it written with a decimal comma, or NaN where it is none or not positive."""
    with suppress(ValueError):
        number = float(value.replace(",", ".")) if isinstance(value, str) else value
        if isinstance(number, int | float) and 0 < number < 1e300:
            return float(number)
    return math.nan


def agree(one: float, other: float) -> bool:
    """Whether a pixel of these two edges is square, or these two tell the same."""
    return abs(one / other - 1) <= 0.01


def square(across: float, down: float) -> float:
    """The edge of a square pixel of these two, or NaN where it is not square."""
    return across if agree(across, down) else math.nan


def as_text(content: bytes | str) -> str:
    """A text in UTF-16, UTF-8 or, as old instruments write, Latin-1; a ValueError if too long."""
    if len(content) > MOST_BYTES:
        raise ValueError("too long for what an instrument tells")
    if isinstance(content, str):
        return content.strip("\0")
    if b"\0" in content[:4]:
        return content.decode("utf-16-be" if content[:1] == b"\0" else "utf-16").strip("\0")
    try:
        return content.decode("utf-8-sig").strip("\0")
    except UnicodeDecodeError:
        return content.decode("latin-1").strip("\0")


def entries(text: str) -> dict[str, str]:
    """What stands behind the names of lines such as ``PixelSize=992.2`` or ``$CM_MAG 100``."""
    found = (_ENTRY.match(line) for line in text.splitlines())
    return {entry[1]: entry[2].strip() for entry in found if entry}
