"""One grey channel of a page of a TIFF file.

Whatever a file claims, it is checked before memory is asked for: directories are walked once
without loops, and sizes are known before anything is unpacked.
"""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from fesemlib.micrographs import channels
from fesemlib.micrographs.channels import ORIENTATION, Decoded, MicrographError, Pixels
from fesemlib.micrographs.pixel_size import pixel_size

# What microscopes and the programs after them write.
_COMPRESSIONS = (1, 5, 7, 8, 32946, 32773, 34925, 50000)
_COMPRESSION_NAMES = "none, LZW, JPEG, Deflate, PackBits, LZMA, Zstandard"
_JPEG = 7
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4}

# Tags of which tifffile reads all values, and how large these may be.
_TAGS_READ = {ORIENTATION, 296, 320, 34118, 34680, 34682, 34683, 50431, 65003, 65004, 65009, 65010}
_TAGS_READ |= tifffile.TIFF.TAG_LOAD
_MOST_TAG_BYTES = 1 << 24

_FIRST_PAGES = range(1, 13)  # among which one is looked for that would do in another's place


def decode_tiff(path: Path, number: int) -> Decoded:
    """Decode a page (from 1); where it is none that is read, an error names those that would be."""
    channels.check_page(number, _count_pages(path, number))
    try:
        with _opened(path, number) as page:
            _check_segments(page)
            pixels = page.asarray(maxworkers=1)
            if pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
                pixels = np.moveaxis(pixels, 0, -1)
            grey = channels.upright(_grey_of_page(pixels, page), page.tags.valueof(ORIENTATION))
            return grey, pixel_size(path, page.imagewidth, page)
    except MicrographError as error:
        grey_ones = [str(n) for n in _FIRST_PAGES if n != number and _is_grey(path, n)]
        if not grey_ones:
            raise
        raise MicrographError(
            f"page {number}: {error}, or take page {' or '.join(grey_ones)}, which is grey: set "
            "page in the manifest, or --page of fesem predict"
        ) from None


@contextmanager
def _opened(path: Path, number: int) -> Iterator[tifffile.TiffPage]:
    """A page of a TIFF file, of a kind that is read."""
    with tifffile.TiffFile(path, is_lsm=False, is_scanimage=False, is_ndpi=False) as file:
        page = file.pages[number - 1]
        assert isinstance(page, tifffile.TiffPage)
        _check_layout(page)
        yield page


def _is_grey(path: Path, number: int) -> bool:
    """Whether there is such a page and it is, by what it says of itself, a whole grey image."""
    with suppress(Exception):
        channels.check_page(number, _count_pages(path, number))
        with _opened(path, number) as page:
            whole = page.samplesperpixel == 1 and not page.is_reduced and page.sampleformat < 5
            return whole and page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    return False


def _count_pages(path: Path, wanted: int) -> int:
    """How many pages a TIFF file has, counted up to the wanted one if it is there.

    The directories of the first and the wanted page, which tifffile will read, are checked.
    """
    pages = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        order = {b"II": "<", b"MM": ">"}[content[:2]]
        big = struct.unpack_from(order + "H", content, 2) == (43,)
        number, entry, offset, link = ("Q", "HHQQ", "Q", 8) if big else ("H", "HHII", "I", 4)
        seen = {0}
        with suppress(struct.error, OverflowError):  # the chain leads beyond the end of the file
            while (position := struct.unpack_from(order + offset, content, link)[0]) not in seen:
                seen.add(position)
                (tags,) = struct.unpack_from(order + number, content, position)
                start = position + struct.calcsize("<" + number)
                link = start + tags * struct.calcsize("<" + entry)
                if tags > 4096 or link > len(content):
                    break
                pages += 1
                if pages in (1, wanted):
                    _check_directory(struct.iter_unpack(order + entry, content[start:link]))
                if pages == wanted:
                    break
    if pages == 0:
        raise ValueError("the first directory is missing or cut off")
    return pages


def _check_directory(directory: Iterator[tuple[int, ...]]) -> None:
    for code, kind, values, _ in directory:
        size = values * struct.calcsize("<" + tifffile.TIFF.DATA_FORMATS.get(kind, ""))
        if code in _TAGS_READ and size > _MOST_TAG_BYTES:
            raise ValueError(f"tag {code} claims {values} values")


def _check_layout(page: tifffile.TiffPage) -> None:
    """Refuse what would need too much memory, or is of a kind that is not read."""
    width, height, samples = page.imagewidth, page.imagelength, page.samplesperpixel
    if width < 1 or height < 1:
        raise ValueError("the page holds no image")
    if page.compression not in _COMPRESSIONS:
        name = getattr(page.compression, "name", f"number {page.compression}")
        raise MicrographError(
            f"TIFF compression {name} is not read, only {_COMPRESSION_NAMES}; save it uncompressed"
        )
    of_jpeg = (page.photometric, page.compression) == (_YCBCR, _JPEG)  # which becomes RGB
    encoded = 3 if of_jpeg else _CHANNELS.get(page.photometric, 0)
    # With alpha; or up to four channels, as grey images with others of an untold kind have.
    most = 4 if page.photometric == _BLACK_IS_ZERO else encoded + 1
    if page.dtype is None or not encoded or page.imagedepth != 1 or not encoded <= samples <= most:
        kind = getattr(page.photometric, "name", page.photometric)
        raise MicrographError(
            f"{samples} channel(s) of {page.bitspersample} bit, {kind}, are not read; a single "
            "grey image is needed: export it as one"
        )
    size = page.dtype.itemsize * samples
    channels.check_size(width, height, size)
    if page.is_tiled:
        channels.check_size(page.tilewidth, page.tilelength, size)
        if page.tiledepth != 1:
            raise ValueError("tiles in three dimensions")


def _check_segments(page: tifffile.TiffPage) -> None:
    """Refuse strips or tiles that are missing; tifffile would leave them black."""
    if page.is_contiguous:
        return
    length = page.parent.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if len(segments) != np.prod(page.chunked):
        raise ValueError(f"{len(segments)} strips or tiles where {np.prod(page.chunked)} belong")
    if any(offset < 1 or size < 1 or offset + size > length for offset, size in segments):
        raise ValueError("a strip or tile lies outside the file")
    if page.compression == _JPEG:
        for offset, size in segments:
            page.parent.filehandle.seek(offset)
            _check_jpeg_segment(page.parent.filehandle.read(size), page)


def _check_jpeg_segment(jpeg: bytes, page: tifffile.TiffPage) -> None:
    """Refuse a strip or tile that would unpack to more than its place."""
    with JpegImageFile(io.BytesIO(jpeg)) as picture:
        width, height = picture.size
    place = (page.tilewidth, page.tilelength) if page.is_tiled else page.shape[1::-1]
    if width > place[0] or height > place[1]:
        raise ValueError(f"a strip or tile of {width}×{height} px where {place} belong")
    channels.check_scans(jpeg)


def _grey_of_page(pixels: Pixels, page: tifffile.TiffPage) -> Pixels:
    if page.photometric == _PALETTE:
        return _look_up(pixels if pixels.ndim == 2 else pixels[..., 0], page.colormap)
    if page.photometric == _CMYK:
        return _grey_of_cmyk(pixels)
    grey = channels.grey_channel(pixels)
    if grey.dtype.kind == "c":
        raise MicrographError(
            "the numbers are complex; a single grey image is needed: export the magnitude"
        )
    if page.bitspersample < 8:  # bring its levels to the scale of 8 bit
        levels = np.round(np.linspace(0, 255, 2**page.bitspersample)).astype(np.uint8)
        grey = levels[grey.astype(np.uint8)]
    if page.photometric == _WHITE_IS_ZERO:
        np.negative(grey, out=grey) if grey.dtype.kind == "f" else np.invert(grey, out=grey)
    return grey


def _grey_of_cmyk(pixels: Pixels) -> Pixels:
    grey = np.empty(pixels.shape[:2], np.uint8)
    for band in channels.in_bands(pixels):
        inks = Image.fromarray(np.ascontiguousarray(pixels[band, :, :4]), "CMYK")
        grey[band] = channels.grey_channel(np.asarray(inks.convert("RGB")))
    return grey


def _look_up(pixels: Pixels, palette: Pixels | None) -> Pixels:
    """Look pixels up in a palette that is grey where it is used.

    Zeiss writes grey images with the identity as palette, but for a few entries that only its
    writing and marks use; there the index itself is the grey level.
    """
    if palette is None:
        raise ValueError("a palette is missing")
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    levels = palette >> 8 if palette.max() > 255 else palette  # some writers fill 8 of 16 bits
    if np.all(levels == np.arange(levels.shape[1]), axis=0).mean() > 0.5:
        return pixels
    used = np.zeros(levels.shape[1], bool)
    used[pixels] = True
    apart = abs(levels[:, used].astype(int) - levels[1, used]).max()
    if apart > channels.COLOUR_TOLERANCE["uint8"]:
        raise MicrographError(channels.IN_COLOUR)
    return np.asarray(levels[1].astype(np.uint8)[pixels])
