"""Numbers of an image as they are decoded: their bounds, their one grey channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.micrographs.pixel_size import PixelSize

Pixels = npt.NDArray[Any]
# Of shape (H, W), in the file's own numbers; less than 8 bit are spread to 8 bit.
Decoded = tuple[Pixels, PixelSize | None]

_MOST_PIXELS = 100_000_000  # of an image that is decoded
_MOST_BYTES = 4 * _MOST_PIXELS  # decoded, all channels

ORIENTATION = 274
COLOUR_TOLERANCE = {"uint8": 2, "uint16": 2 * 257}

# A progressive JPEG has about ten scans; each costs a pass over the whole image.
_MOST_JPEG_SCANS = 100

IN_COLOUR = "the image is in colour; a micrograph is grey: save it as greyscale"


class MicrographError(ValueError):
    """A file is missing, unreadable or no grey micrograph."""


def in_bands(pixels: Pixels) -> Iterator[slice]:
    """Slices of rows that together are the image, each small enough to be copied freely."""
    rows = max((1 << 22) // max(pixels[:1].size, 1), 1)
    return (slice(row, row + rows) for row in range(0, pixels.shape[0], rows))


def check_page(page: int, pages: int) -> None:
    """Refuse a page that a file of so many pages lacks."""
    if not 1 <= page <= pages:
        there = "1 page; set page to 1" if pages == 1 else f"{pages} pages; set page to 1–{pages}"
        raise MicrographError(f"page = {page}, but the file has {there}")


def check_size(width: int, height: int, bytes_per_pixel: int) -> None:
    """Refuse an image of too many pixels, or of too many bytes once unpacked."""
    if width * height > _MOST_PIXELS:
        raise MicrographError(
            f"{width}×{height} px are more than the {_MOST_PIXELS // 10**6} megapixels that are "
            "read; cut out a field, or save the image at a smaller size"
        )
    if width * height * bytes_per_pixel > _MOST_BYTES:
        raise MicrographError(
            f"{width}×{height} px take {width * height * bytes_per_pixel / 1e6:.0f} MB unpacked, "
            f"and at most {_MOST_BYTES / 1e6:.0f} MB are read; save it as 8-bit grey"
        )


def check_scans(jpeg: bytes) -> None:
    """Refuse a JPEG of so many scans that it takes long."""
    if jpeg.count(b"\xff\xda") > _MOST_JPEG_SCANS:
        raise MicrographError(
            f"a JPEG of more than {_MOST_JPEG_SCANS} scans is not read; save it as PNG or TIFF"
        )


def grey_channel(pixels: Pixels) -> Pixels:
    """The one channel of a grey image, which may be stored as three and with alpha."""
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2] - (pixels.shape[2] in (2, 4))  # an alpha channel says nothing
    grey = np.ascontiguousarray(pixels[..., channels // 2])
    most = COLOUR_TOLERANCE.get(grey.dtype.name, 0)
    for other in range(channels):
        for band in in_bands(grey):
            values, others = pixels[band, :, other], grey[band]
            apart = values != others
            if most:  # of unsigned numbers, whose difference could wrap around
                apart = np.maximum(values, others) - np.minimum(values, others) > most
            if apart.any():
                raise MicrographError(IN_COLOUR)
    return grey


def upright(pixels: Pixels, orientation: object) -> Pixels:
    """Turn and flip an image as its orientation says, from 1 to 8 as in TIFF."""
    if not isinstance(orientation, int) or orientation not in range(2, 9):
        return pixels
    turned = pixels.T if orientation >= 5 else pixels
    down = -1 if orientation in (3, 4, 7, 8) else 1
    across = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(turned[::down, ::across])
