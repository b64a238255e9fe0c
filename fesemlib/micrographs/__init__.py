"""From files to `Micrograph`: what is read, what is cut off, how large a pixel is."""

from fesemlib.micrographs.files import image_files
from fesemlib.micrographs.reading import (
    Micrograph,
    MicrographError,
    crop_micrograph,
    read_micrograph,
)
from fesemlib.micrographs.zeiss import write_zeiss_tiff

__all__ = [
    "Micrograph",
    "MicrographError",
    "crop_micrograph",
    "image_files",
    "read_micrograph",
    "write_zeiss_tiff",
]
