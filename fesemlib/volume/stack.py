"""A user's stack of sections → a volume of solid and pores."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from skimage.filters import threshold_otsu

from fesemlib.micrographs import MicrographError, image_files
from fesemlib.micrographs.channels import Decoded, Pixels
from fesemlib.micrographs.decoding import decode, silenced
from fesemlib.micrographs.lengths import agree, positive
from fesemlib.micrographs.pixel_size import PixelSize
from fesemlib.volume.diffusion import Solid, VolumeError, check_size

Section = tuple[Path, int]  # file, and page from 1


class Volume(NamedTuple):
    """A volume of cubic voxels."""

    solid: Solid
    voxel_um: float  # edge of a voxel


def read_stack(
    path: Path | str,
    voxel_um: float | None = None,
    threshold: float | None = None,
    dark_solid: bool = False,
) -> Volume:
    """Read a TIFF of several pages, or a folder of images, as a volume.

    Parameters
    ----------
    path
        A TIFF file, whose pages are the sections; or a folder of TIFF, PNG, JPEG or BMP files, one
        a section, in the order of their names, where numbers count as such.
    voxel_um
        Edge of a voxel in µm, if not the file's: what its tags or ImageJ's description tell.
        Where ImageJ tells no distance of the sections, it is that of the pixels.
    threshold
        Grey levels above it are solid; by default Otsu's, of the whole stack.
    dark_solid
        Whether it is those below it, instead.

    Returns
    -------
    Volume
        ``solid``, bool, shape (sections, H, W), and ``voxel_um``.

    Raises
    ------
    VolumeError
        When a section is no grey image; there is one only, they differ in size or are too many;
        all or nothing is solid; nothing tells the edge of a voxel, or voxels are no cubes.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> sections = np.zeros((4, 5, 6), np.uint8)
    >>> sections[:, 2] = 200
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "stack.tif")
    ...     tifffile.imwrite(file, sections, photometric="minisblack")
    ...     volume = read_stack(file, voxel_um=0.5)
    >>> volume.solid.shape, float(volume.solid.mean())
    ((4, 5, 6), 0.2)
    """
    path = Path(path)
    if not path.exists():
        raise VolumeError(f"{path}: no such file or folder; correct the path")
    sections, apart = _sections(path)
    if len(sections) < 2:
        raise VolumeError(f"{path}: one section is no volume; give a folder, or a TIFF of more")
    grey, told = _read(sections)
    level = threshold_otsu(grey) if threshold is None else threshold  # type: ignore[no-untyped-call]
    solid = np.asarray(grey <= level if dark_solid else grey > level)
    edge = voxel_um or (told[0] if told else 0.0)
    levels = f"grey levels from {grey.min():g} to {grey.max():g}: at a threshold of {level:g}"
    problems = {
        f"{levels} all or nothing is solid; choose another": solid.all() or not solid.any(),
        "tells no edge of a voxel; give it in µm (--voxel-size)": not edge,
        f"the sections are {apart:.3g} pixels apart: resample the stack to cubes, or give the edge "
        "of cubes in µm (--voxel-size)": not (voxel_um or agree(apart, 1)),
    }
    for problem in (problem for problem, there in problems.items() if there):
        raise VolumeError(f"{path}: {problem}")
    return Volume(solid, edge)


@silenced("tifffile")
def _sections(path: Path) -> tuple[list[Section], float]:
    """The sections of a folder or a file, and how many pixels they are apart, where ImageJ says."""
    if path.is_dir():
        return [(Path(file), 1) for file in sorted(image_files([str(path)]), key=_in_order)], 1.0
    try:
        with tifffile.TiffFile(path) as file:
            spacing = positive((file.imagej_metadata or {}).get("spacing"))
            pixels, units = map(positive, file.pages.first.tags.valueof(282, (0, 0)))
            apart = spacing * pixels / units  # or NaN, where one is not told
            pages = [(path, page + 1) for page in range(len(file.pages))]
            return pages, apart if apart > 0 else 1.0
    except tifffile.TiffFileError as error:
        raise VolumeError(f"{path}: no sound TIFF ({error}); export the stack again") from error


def _in_order(name: str) -> list[tuple[int, str]]:
    """Sorts ``9.tif`` before ``10.tif``."""
    return [(int(number or 0), text) for text, number in re.findall(r"(\D*)(\d*)", name)]


def _read(sections: list[Section]) -> tuple[Pixels, PixelSize | None]:
    """All sections, (D, H, W), and the pixel size that the first one tells."""
    read: list[Decoded] = []
    for path, page in sections:
        try:
            read.append(decode(path, page))
            shape, first = read[-1][0].shape, read[0][0].shape
            check_size((len(sections), *shape))
            if shape != first:
                raise VolumeError(f"height and width are {shape} px, of the first {first}; crop it")
        except (MicrographError, VolumeError) as error:
            raise VolumeError(f"{path}, page {page}: {error}") from error.__cause__
    return np.stack([grey for grey, _ in read]), read[0][1]
