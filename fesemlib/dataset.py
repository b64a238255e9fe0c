"""The data set: micrographs with the mass transfer coefficients of their formulations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed

from fesemlib.formulations import SOLUTES, read_manifest, table1
from fesemlib.micrographs import Micrograph, read_micrograph
from fesemlib.params import Parameters
from fesemlib.storage import build_folder, code_digest, digest, writable, write_atomically
from fesemlib.synthetic import synthesize_micrograph

__all__ = ["Dataset", "DatasetError", "load_dataset"]

# Section 2: 2048 × 1536 px show 2 mm × 1.5 mm.
PAPER_SHAPE = (1536, 2048)
PAPER_PIXEL_SIZE_UM = 2000 / 2048

_PIXEL_SIZE_TOLERANCE = 0.01


class DatasetError(ValueError):
    """The micrographs of a set do not fit together."""


@dataclass(frozen=True)
class Dataset:
    """Micrographs and the mass transfer coefficients that belong to them.

    Attributes
    ----------
    formulations
        One row for each formulation, which is the index: ``composition``, ``k_m`` (m² s⁻¹) and
        ``std_percent``.
    images
        One row for each micrograph: ``formulation``, ``image`` (its name) and ``k_m``.
    micrographs
        The micrographs, in the order of `images`; all of one shape.
    synthetic
        Whether they are stand-ins, not measured.
    digest
        Names the content: the micrographs and all that is told about them.
    """

    formulations: pd.DataFrame
    images: pd.DataFrame
    micrographs: tuple[Micrograph, ...]
    synthetic: bool
    digest: str

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (H, W) of the micrographs in px."""
        height, width = self.micrographs[0].image.shape
        return height, width

    @property
    def pixel_size_um(self) -> float | None:
        """Median pixel size in µm, or None where none is known or the known ones differ."""
        known = [m.pixel_size_um for m in self.micrographs if m.pixel_size_um is not None]
        if not known or _differing(pd.Series(known)).any():
            return None
        return float(np.median(known))

    @property
    def k_m(self) -> npt.NDArray[np.float64]:
        """Mass transfer coefficient of each micrograph, m² s⁻¹, shape (n,)."""
        return self.images["k_m"].to_numpy(dtype=np.float64)

    def first_image(self, formulation: str) -> int:
        """Position of a formulation's first micrograph, or of the set's, if it is not there."""
        positions = np.flatnonzero(self.images["formulation"] == formulation)
        return int(positions[0]) if positions.size else 0

    def formulation_or_first(self, formulation: str) -> str:
        """This formulation, if the set has it, else the set's first."""
        return str(self.images["formulation"].iloc[self.first_image(formulation)])


def load_dataset(parameters: Parameters) -> Dataset:
    """Load the data set that the parameters name.

    Parameters
    ----------
    parameters
        `dataset`, `synthetic_seed`, `crop` and `check_pixel_size` are used.

    Returns
    -------
    Dataset
        The stand-in micrographs (made once and kept in the cache), or those of a manifest.

    Raises
    ------
    ManifestError, MicrographError, DatasetError
        When the manifest or a micrograph cannot be used, or the micrographs do not fit together.
        The message names the file, the value and what to do. Micrographs fit together when they
        have one size and one pixel size, and no two of them are the same.
    """
    if parameters.is_synthetic:
        return _synthetic_dataset(parameters.synthetic_seed)
    manifest = Path(parameters.dataset)
    table = read_manifest(manifest)
    micrographs = [
        read_micrograph(manifest.parent / image, parameters.crop) for image in table["image"]
    ]
    try:
        _check_shapes(table["image"], micrographs)
        _check_copies(table["image"], micrographs)
        if parameters.check_pixel_size:
            _check_pixel_sizes(table["image"], micrographs)
    except DatasetError as error:
        raise DatasetError(f"{manifest}: {error}") from None
    formulations = table.drop_duplicates("formulation").set_index("formulation")
    formulations = formulations[["composition", "k_m", "std_percent"]]
    return _dataset(formulations, table[["formulation", "image", "k_m"]], micrographs, False)


def _dataset(
    formulations: pd.DataFrame,
    images: pd.DataFrame,
    micrographs: Sequence[Micrograph],
    synthetic: bool,
) -> Dataset:
    told = (images.to_dict("list"), formulations.reset_index().to_dict("list"), synthetic)
    seen = [(m.pixel_size_um, m.data_bar_row) for m in micrographs]
    name = digest(told, seen, *[m.image for m in micrographs])
    return Dataset(formulations, images, tuple(micrographs), synthetic, name)


def _synthetic_dataset(seed: int) -> Dataset:
    table = table1()
    folder = writable(build_folder() / "cache" / "micrographs")
    solids = table[list(SOLUTES)].sum(axis=1)
    jobs = [
        _stand_in(folder, seed, position, str(name), float(table["k_m"][name]), float(solids[name]))
        for position, name in enumerate(table.index)
    ]
    Parallel(n_jobs=-1)(delayed(_synthesize)(*job) for job in jobs if not job[0].is_file())
    micrographs = [Micrograph(np.load(path), PAPER_PIXEL_SIZE_UM) for path, *_ in jobs]
    images = pd.DataFrame(
        {
            "formulation": list(table.index),
            "image": [f"{name} (stand-in)" for name in table.index],
            "k_m": table["k_m"].to_list(),
        }
    )
    formulations = table[["composition", "k_m", "std_percent"]]
    return _dataset(formulations, images, micrographs, True)


def _stand_in(
    folder: Path, seed: int, position: int, name: str, k_m: float, solids_percent: float
) -> tuple[Path, float, int, float]:
    """Where a stand-in is kept, named by all that determines it, and how to make it."""
    own_seed = int(np.random.SeedSequence([seed, position]).generate_state(1)[0])
    made_of = (k_m, own_seed, solids_percent, PAPER_SHAPE, PAPER_PIXEL_SIZE_UM)
    key = digest(code_digest("fesemlib.synthetic"), *made_of)
    return folder / f"{name}-{key}.npy", k_m, own_seed, solids_percent


def _synthesize(path: Path, k_m: float, seed: int, solids_percent: float) -> None:
    micrograph = synthesize_micrograph(
        k_m, seed, PAPER_SHAPE, PAPER_PIXEL_SIZE_UM, solids_percent=solids_percent
    )
    write_atomically(path, lambda temporary: np.save(temporary, micrograph.image))


def _check_shapes(images: pd.Series[str], micrographs: Sequence[Micrograph]) -> None:
    shapes = pd.Series([m.image.shape for m in micrographs], index=list(images))
    common = shapes.mode().iloc[0]
    others = shapes[shapes != common]
    if others.empty:
        return
    found = ", ".join(f"{name}: {w}×{h} px" for name, (h, w) in others.items())
    raise DatasetError(
        f"{found}, but the set is {common[1]}×{common[0]} px (width × height, after cropping); "
        "take the micrographs at one size, leave these out, or set crop to the number of rows "
        "that all of them have"
    )


def _check_copies(images: pd.Series[str], micrographs: Sequence[Micrograph]) -> None:
    """Refuse one micrograph under two names; the manifest knows only the names."""
    seen: dict[str, str] = {}
    for name, micrograph in zip(images, micrographs, strict=True):
        first = seen.setdefault(digest(micrograph.image), name)
        if first != name:
            raise DatasetError(
                f"{name} shows the same pixels as {first}; a micrograph must stand in the manifest "
                "once, or it would be trained and tested on: delete one of the rows, or correct "
                "its image"
            )


def _check_pixel_sizes(images: pd.Series[str], micrographs: Sequence[Micrograph]) -> None:
    sizes = pd.Series([m.pixel_size_um for m in micrographs], index=list(images), dtype=float)
    common = sizes.median()
    others = sizes[_differing(sizes)]
    if others.empty:
        return
    found = ", ".join(f"{name}: {size:.4g} µm" for name, size in others.items())
    raise DatasetError(
        f"{found} a pixel, but the set has {common:.4g} µm; take the micrographs at one "
        "magnification, leave these out, or set check_pixel_size to false if the tags are wrong"
    )


def _differing(pixel_sizes_um: pd.Series[float]) -> pd.Series[bool]:
    """Which pixel sizes differ from the median by more than the tolerance."""
    return (pixel_sizes_um / pixel_sizes_um.median() - 1).abs() > _PIXEL_SIZE_TOLERANCE
