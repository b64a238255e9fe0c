"""From files to `Micrograph`: what is read, what is cut off, how large a pixel is."""

from fesemlib.micrographs.channels import MicrographError
from fesemlib.micrographs.files import image_files
from fesemlib.micrographs.reading import Micrograph, crop_micrograph, read_micrograph
from fesemlib.micrographs.zeiss import burn_data_bar, write_zeiss_tiff

__all__ = [
    "Micrograph",
    "MicrographError",
    "burn_data_bar",
    "crop_micrograph",
    "image_files",
    "read_micrograph",
    "write_zeiss_tiff",
]
