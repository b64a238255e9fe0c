"""The data set: micrographs with the mass transfer coefficients of their formulations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed

from fesemlib.formulations import SOLUTES, read_manifest, table1
from fesemlib.micrographs.reading import Micrograph, read_micrograph
from fesemlib.micrographs.zeiss import burn_data_bar
from fesemlib.params import Parameters
from fesemlib.processing import resample_by_area
from fesemlib.storage import build_folder, code_digest, digest, read_sealed, writable, write_sealed
from fesemlib.synthetic.foam import synthesize_micrograph

__all__ = [
    "Dataset",
    "DatasetError",
    "draw_stand_ins",
    "fresh_stand_ins",
    "has_data_bar",
    "load_dataset",
    "load_draws",
    "part_of_frame",
    "pixel_sizes_differ",
    "rescale_micrograph",
    "with_data_bar",
]

PAPER_PIXEL_SIZE_UM = 2000 / 2048  # Section 2: 2048 × 1536 px show 2 mm × 1.5 mm
_LEAST_WIDTH = 128  # px: the height, three quarters of it, holds the widest cell of Table 1

DRAWN_SOLIDS_PERCENT = 5.0

_PIXEL_SIZE_TOLERANCE = 0.01

_PIXELS_WORTH_PROCESSES = 5_000_000  # fewer are drawn before processes have started
_MOST_NAMED = 5  # outliers that a message lists


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
    files
        The file and the page of each micrograph; empty for stand-ins.
    draw
        Number of the set of stand-ins, where several are drawn.

    Examples
    --------
    >>> dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    >>> dataset.shape, dataset.synthetic
    ((96, 128), True)
    >>> dataset.with_k_m(np.array([1e-3, 2e-3])).k_m.tolist()
    [0.001, 0.002]
    """

    formulations: pd.DataFrame
    images: pd.DataFrame
    micrographs: tuple[Micrograph, ...]
    synthetic: bool
    digest: str
    files: tuple[tuple[Path, int], ...] = ()
    draw: int = 0

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

    def with_k_m(self, k_m: npt.NDArray[np.float64]) -> Dataset:
        """The same micrographs with other mass transfer coefficients.

        Parameters
        ----------
        k_m
            Of each formulation, in their order, m² s⁻¹.
        """
        formulations = self.formulations.assign(k_m=k_m)
        images = self.images.assign(k_m=self.images["formulation"].map(formulations["k_m"]))
        name = digest(self.digest, [float(value) for value in k_m])
        return replace(self, formulations=formulations, images=images, digest=name)

    def first_image(self, formulation: str) -> int:
        """Position of a formulation's first micrograph, or of the set's, if it is not there."""
        positions = np.flatnonzero(self.images["formulation"] == formulation)
        return int(positions[0]) if positions.size else 0

    def uncropped(self, position: int) -> Micrograph:
        """A micrograph with every row that its file has, to show what has been cut off."""
        if not self.files:
            return self.micrographs[position]
        file, page = self.files[position]
        return read_micrograph(file, "none", page)

    def formulation_or_first(self, formulation: str) -> str:
        """This formulation, if the set has it, else the set's first."""
        return str(self.images["formulation"].iloc[self.first_image(formulation)])


def load_dataset(parameters: Parameters) -> Dataset:
    r"""Load the data set that the parameters name.

    Parameters
    ----------
    parameters
        `dataset`, `synthetic_seed`, `synthetic_width`, `crop`, `check_pixel_size` and `rescale` are
        used.

    Returns
    -------
    Dataset
        The stand-in micrographs (made once and kept in the cache), or those of a manifest.

    Raises
    ------
    ManifestError, MicrographError, DatasetError
        When the manifest or a micrograph cannot be used, or the micrographs do not fit together.
        The message names the file, the value and what to do. Micrographs fit together when they
        have one size and one pixel size (to 1 %), unless they are rescaled to it, none of them
        holds a data bar, and no two of them are the same.

    Notes
    -----
    With `rescale`, each micrograph is averaged over areas to the coarsest pixel size of the set;
    none is enlarged. One that has that size already, to 1 %, keeps its pixels. All are then cut
    about their centres to the largest field that they all cover.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from fesemlib.synthetic.foam import synthesize_micrograph
    >>> from fesemlib.micrographs.zeiss import write_zeiss_tiff
    >>> folder = TemporaryDirectory()
    >>> rows = ["formulation,image,k_m"]
    >>> for name, k_m in [("A", 1.9e-3), ("B", 1.1e-3), ("C", 1.4e-3)]:
    ...     stand_in = synthesize_micrograph(k_m, len(rows), shape=(96, 128))
    ...     _ = write_zeiss_tiff(Path(folder.name, f"{name}.tif"), stand_in)
    ...     rows.append(f"{name},{name}.tif,{k_m}")
    >>> manifest = Path(folder.name, "manifest.csv")
    >>> _ = manifest.write_text("\n".join(rows))
    >>> dataset = load_dataset(Parameters(dataset=str(manifest)))
    >>> dataset.shape, list(dataset.formulations.index), dataset.synthetic
    ((96, 128), ['A', 'B', 'C'], False)
    """
    if parameters.is_synthetic:
        return _synthetic_dataset(parameters.synthetic_seed, parameters.synthetic_width)
    manifest = Path(parameters.dataset)
    table = read_manifest(manifest)
    files = [
        (manifest.parent / image, int(page))
        for image, page in zip(table["image"], table["page"], strict=True)
    ]
    images = table[["formulation", "image", "k_m"]].assign(image=_names(table))
    micrographs = [read_micrograph(file, parameters.crop, page) for file, page in files]
    try:
        micrographs = _fitted(images["image"], micrographs, table["pixel_size_um"], parameters)
    except DatasetError as error:
        raise DatasetError(f"{manifest}: {error}") from None
    formulations = table.drop_duplicates("formulation").set_index("formulation")
    formulations = formulations[["composition", "k_m", "std_percent"]]
    return _dataset(formulations, images, micrographs, False, files)


def load_draws(parameters: Parameters) -> list[Dataset]:
    """The data set, and as many more draws of its stand-ins as `synthetic_draws` asks for.

    Parameters
    ----------
    parameters
        As in `load_dataset`. Each draw has a seed of its own, the first `synthetic_seed`.

    Examples
    --------
    >>> draws = load_draws(Parameters(synthetic_width=384, synthetic_draws=2))
    >>> [each.draw for each in draws], draws[0].digest == draws[1].digest
    ([0, 1], False)
    """
    number = parameters.synthetic_draws if parameters.is_synthetic else 1
    seeds = (parameters.synthetic_seed + draw for draw in range(number))
    changed = (parameters.model_copy(update={"synthetic_seed": seed}) for seed in seeds)
    return [replace(load_dataset(each), draw=draw) for draw, each in enumerate(changed)]


def draw_stand_ins(
    number: int,
    seed: int,
    shape: tuple[int, int] = (768, 1024),
    k_m_range: tuple[float, float] | None = None,
) -> Dataset:
    """Stand-ins of random k_m, for what needs more images than Table 1 has rows.

    Parameters
    ----------
    number
        How many, each a formulation of its own.
    seed
        Of the k_m and of the images.
    shape
        Height and width in px, at the paper's pixel size.
    k_m_range
        The least and the greatest k_m, m² s⁻¹; without it, those of Table 1.

    Returns
    -------
    Dataset
        The logarithm of k_m is uniform between the two; all have 5 % solids. Made once and kept in
        the cache.

    Examples
    --------
    >>> dataset = draw_stand_ins(4, seed=0, shape=(96, 128), k_m_range=(5e-4, 1e-3))
    >>> len(dataset.micrographs), dataset.shape
    (4, (96, 128))
    >>> bool((dataset.k_m > 5e-4).all() and (dataset.k_m < 1e-3).all())
    True
    """
    table = table1()
    least, greatest = np.log(k_m_range or (table["k_m"].min(), table["k_m"].max()))
    k_m = np.exp(np.random.default_rng(seed).uniform(least, greatest, number))
    recipes = [
        _Recipe(str(position + 1), float(value), DRAWN_SOLIDS_PERCENT, (seed, number, position))
        for position, value in enumerate(k_m)
    ]
    names = pd.Index([recipe.name for recipe in recipes], name="formulation")
    formulations = pd.DataFrame(
        {"composition": f"{DRAWN_SOLIDS_PERCENT:g}% solids", "k_m": k_m, "std_percent": np.nan},
        index=names,
    )
    return _stand_ins(recipes, shape, formulations)


def part_of_frame(parameters: Parameters, share: float) -> tuple[int, int]:
    """The shape of smaller stand-ins, for what needs so many that whole frames would take too long.

    Parameters
    ----------
    parameters
        `synthetic_width` is used.
    share
        Of either side of a stand-in's frame.

    Returns
    -------
    tuple of int
        Height and width in px; no less than the widest cells of Table 1 need.

    Examples
    --------
    >>> part_of_frame(Parameters(synthetic_width=2048), 0.5)
    (768, 1024)
    """
    return _frame(max(round(share * parameters.synthetic_width), _LEAST_WIDTH))


def fresh_stand_ins(number: int, seed: int, shape: tuple[int, int]) -> Dataset:
    """More frames of the synthetic set: the same k_m and solids as in Table 1, other places.

    Parameters
    ----------
    number
        How many frames of each formulation.
    seed
        That of the set whose frames these add to; none of them is one of the set's own.
    shape
        Height and width in px, at the paper's pixel size.

    Returns
    -------
    Dataset
        Made once and kept in the cache.

    Examples
    --------
    >>> fresh = fresh_stand_ins(2, seed=0, shape=(96, 128))
    >>> "".join(fresh.formulations.index), len(fresh.micrographs)
    ('ABCDEFGHI', 18)
    """
    table = table1()
    solids = table[list(SOLUTES)].sum(axis=1)
    frames = range(1, number + 1)  # NumPy reads the entropy (seed, position, 0) as (seed, position)
    recipes = [
        _Recipe(str(name), float(table["k_m"][name]), float(solids[name]), (seed, position, frame))
        for position, name in enumerate(table.index)
        for frame in frames
    ]
    made = _stand_ins(recipes, shape, table[["composition", "k_m", "std_percent"]])
    names = [f"{recipe.name} (stand-in, fresh frame {recipe.entropy[-1]})" for recipe in recipes]
    return replace(made, images=made.images.assign(image=names))


def with_data_bar(dataset: Dataset, position: int) -> Micrograph:
    """A micrograph with its data bar, to show what is cut off.

    Parameters
    ----------
    dataset
        The data set.
    position
        Of the micrograph, if it has a bar; else the first that has one is taken.

    Returns
    -------
    Micrograph
        With all rows of its file. Where no micrograph has a bar, a stand-in with one: this one,
        if the set is synthetic.

    Examples
    --------
    >>> dataset = draw_stand_ins(1, seed=0, shape=(192, 256))
    >>> with_data_bar(dataset, 0).data_bar_row  # the last 24 rows are the bar
    168
    """
    having = [n for n, each in enumerate(dataset.micrographs) if each.data_bar_row is not None]
    if having:
        return dataset.uncropped(position if position in having else having[0])
    if dataset.synthetic:
        return burn_data_bar(dataset.micrographs[position])
    return burn_data_bar(draw_stand_ins(1, seed=0).micrographs[0])


def _names(table: pd.DataFrame) -> list[str]:
    """What the micrographs are called: their files, with the page where it is not the first."""
    return [
        image if page == 1 else f"{image} (page {page})"
        for image, page in zip(table["image"], table["page"], strict=True)
    ]


def _fitted(
    names: pd.Series[str],
    micrographs: Sequence[Micrograph],
    told_um: pd.Series[float],
    parameters: Parameters,
) -> list[Micrograph]:
    """The micrographs with all that the manifest tells, when they fit together."""
    _check_bars(names, micrographs)
    _check_copies(names, micrographs)
    check = parameters.check_pixel_size
    micrographs = [
        _with_told_size(name, micrograph, float(um), check)
        for name, micrograph, um in zip(names, micrographs, told_um, strict=True)
    ]
    if parameters.rescale:
        return _rescaled(names, micrographs)
    _check_shapes(names, micrographs)
    if check:
        _check_pixel_sizes(names, micrographs)
    return micrographs


def _dataset(
    formulations: pd.DataFrame,
    images: pd.DataFrame,
    micrographs: Sequence[Micrograph],
    synthetic: bool,
    files: Iterable[tuple[Path, int]] = (),
) -> Dataset:
    told = (images.to_dict("list"), formulations.reset_index().to_dict("list"), synthetic)
    seen = [(m.pixel_size_um, m.pixel_size_source, m.data_bar_row, m.cut_rows) for m in micrographs]
    name = digest(told, seen, *[m.image for m in micrographs])
    return Dataset(formulations, images, tuple(micrographs), synthetic, name, tuple(files))


def _synthetic_dataset(seed: int, width: int) -> Dataset:
    table = table1()
    solids = table[list(SOLUTES)].sum(axis=1)
    recipes = [
        _Recipe(str(name), float(table["k_m"][name]), float(solids[name]), (seed, position))
        for position, name in enumerate(table.index)
    ]
    return _stand_ins(recipes, _frame(width), table[["composition", "k_m", "std_percent"]])


def _frame(width: int) -> tuple[int, int]:
    return round(0.75 * width), width


@dataclass(frozen=True)
class _Recipe:
    """What a stand-in is made from."""

    name: str
    k_m: float
    solids_percent: float
    entropy: tuple[int, ...]

    @property
    def seed(self) -> int:
        return int(np.random.SeedSequence(self.entropy).generate_state(1)[0])


def _stand_ins(
    recipes: Sequence[_Recipe], shape: tuple[int, int], formulations: pd.DataFrame
) -> Dataset:
    folder = writable(build_folder() / "cache" / "micrographs")
    jobs = [(_kept_stand_in(folder, recipe, shape), recipe, shape) for recipe in recipes]
    missing = [job for job in jobs if read_sealed(job[0]) is None]
    if missing:
        few = len(missing) * math.prod(shape) < _PIXELS_WORTH_PROCESSES
        Parallel(n_jobs=1 if few else -1)(delayed(_synthesize)(*job) for job in missing)
    micrographs = [Micrograph(np.load(path), PAPER_PIXEL_SIZE_UM) for path, *_ in jobs]
    images = pd.DataFrame(
        {
            "formulation": [recipe.name for recipe in recipes],
            "image": [f"{recipe.name} (stand-in)" for recipe in recipes],
            "k_m": [recipe.k_m for recipe in recipes],
        }
    )
    return _dataset(formulations, images, micrographs, True)


def _kept_stand_in(folder: Path, recipe: _Recipe, shape: tuple[int, int]) -> Path:
    """Where a stand-in is kept, named by all that determines it."""
    made_of = (recipe.k_m, recipe.seed, recipe.solids_percent, shape, PAPER_PIXEL_SIZE_UM)
    code = code_digest("fesemlib.synthetic", "fesemlib.drying")
    return folder / f"{recipe.name}-{digest(code, *made_of)}.npy"


def _synthesize(path: Path, recipe: _Recipe, shape: tuple[int, int]) -> None:
    micrograph = synthesize_micrograph(
        recipe.k_m, recipe.seed, shape, PAPER_PIXEL_SIZE_UM, recipe.solids_percent
    )
    write_sealed(path, lambda stream: np.save(stream, micrograph.image))


def _listed(found: Sequence[str]) -> str:
    """The first few of a list, and how many there are beyond."""
    more = len(found) - _MOST_NAMED
    return ", ".join(found[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def has_data_bar(micrograph: Micrograph) -> bool:
    """Whether the instrument's data bar is still part of the image.

    Examples
    --------
    >>> micrograph = draw_stand_ins(1, seed=0, shape=(192, 256)).micrographs[0]
    >>> has_data_bar(micrograph), has_data_bar(burn_data_bar(micrograph))
    (False, True)
    """
    return micrograph.data_bar_row is not None and micrograph.cut_rows == 0


def pixel_sizes_differ(first_um: float, second_um: float) -> bool:
    """Whether two pixel sizes differ by more than 1 % of the second.

    Examples
    --------
    >>> pixel_sizes_differ(0.977, 0.980), pixel_sizes_differ(0.977, 0.918)
    (False, True)
    """
    return abs(first_um / second_um - 1) > _PIXEL_SIZE_TOLERANCE


def _check_bars(names: pd.Series[str], micrographs: Sequence[Micrograph]) -> None:
    """Refuse a data bar that the network would see."""
    found = [
        f"{name} (from row {m.data_bar_row})"
        for name, m in zip(names, micrographs, strict=True)
        if has_data_bar(m)
    ]
    if found:
        raise DatasetError(
            f"{_listed(found)}: the data bar is still there, and the network would learn from it; "
            "set crop to auto, or to the number of rows above it"
        )


def _with_told_size(name: str, micrograph: Micrograph, told_um: float, check: bool) -> Micrograph:
    """The micrograph with the pixel size of the manifest, where the file tells none."""
    own_um = micrograph.pixel_size_um
    if np.isnan(told_um):
        return micrograph
    differ = own_um is not None and pixel_sizes_differ(told_um, own_um)
    if differ and check:
        raise DatasetError(
            f"{name}: pixel_size_um = {told_um:.4g} in the manifest, but the file says "
            f"{own_um:.4g} µm ({micrograph.pixel_size_source}); correct the manifest or leave it "
            "empty there, or set check_pixel_size to false if the file is wrong"
        )
    if own_um is None or differ:
        return replace(micrograph, pixel_size_um=told_um, pixel_size_source="manifest")
    return micrograph


def _rescaled(names: pd.Series[str], micrographs: Sequence[Micrograph]) -> list[Micrograph]:
    """All micrographs at the coarsest pixel size, with the field that all of them cover."""
    sizes = [m.pixel_size_um for m in micrographs]
    unknown = [name for name, size in zip(names, sizes, strict=True) if size is None]
    if unknown:
        raise DatasetError(
            f"{_listed(unknown)}: the pixel size is not known, and rescale needs all of them; give "
            "it in the column pixel_size_um of the manifest, or set rescale to false"
        )
    coarsest = max(size for size in sizes if size is not None)
    shapes = [
        np.floor(np.array(m.image.shape) / _pitch(size, coarsest) + 1e-9).astype(int)
        for m, size in zip(micrographs, sizes, strict=True)
        if size is not None
    ]
    height, width = (int(side) for side in np.min(shapes, axis=0))
    if min(height, width) < 1:
        raise DatasetError(
            f"pixel sizes from {min(filter(None, sizes)):.4g} to {coarsest:.4g} µm have no field "
            "in common; leave out what is of another magnification"
        )
    return [rescale_micrograph(each, coarsest, (height, width)) for each in micrographs]


def _pitch(size_um: float, coarsest_um: float) -> float:
    """How many pixels make one of the coarsest; those equal to it are left as they are."""
    ratio = coarsest_um / size_um
    return ratio if ratio - 1 > _PIXEL_SIZE_TOLERANCE else 1.0


def rescale_micrograph(
    micrograph: Micrograph, size_um: float, shape: tuple[int, int]
) -> Micrograph:
    """A micrograph at a coarser pixel size, cut about its centre.

    Parameters
    ----------
    micrograph
        Of known pixel size.
    size_um
        The new pixel size, µm; not less than the micrograph's by more than 1 %.
    shape
        Height and width of what is kept, in new pixels.

    Raises
    ------
    DatasetError
        When the pixel size is not known or is coarser than the new one, or the micrograph does not
        cover the field.

    Examples
    --------
    >>> micrograph = Micrograph(np.arange(64, dtype=np.uint8).reshape(8, 8), pixel_size_um=0.5)
    >>> coarse = rescale_micrograph(micrograph, 1.0, (4, 4))
    >>> coarse.image.shape, coarse.pixel_size_um, coarse.rescaled_from_um
    ((4, 4), 1.0, 0.5)
    """
    own_um = micrograph.pixel_size_um
    if own_um is None or own_um > size_um * (1 + _PIXEL_SIZE_TOLERANCE):
        known = "is not known" if own_um is None else f"is {own_um:.4g} µm"
        raise DatasetError(
            f"the pixel size {known}, and {size_um:.4g} µm or finer is needed to rescale; tell the "
            "pixel size, or take the micrograph at a higher magnification"
        )
    pitch = _pitch(own_um, size_um)
    covered = tuple(int(side / pitch + 1e-9) for side in micrograph.image.shape)
    if any(side < needed for side, needed in zip(covered, shape, strict=True)):
        raise DatasetError(
            f"covers {covered[1]}×{covered[0]} px of {size_um:.4g} µm, but {shape[1]}×{shape[0]} "
            "px are needed; take the micrograph of a larger field"
        )
    image = np.round(resample_by_area(micrograph.image, pitch, shape)).astype(np.uint8)
    before = micrograph.pixel_size_um if pitch != 1 else None
    return replace(micrograph, image=image, pixel_size_um=size_um, rescaled_from_um=before)


def _check_shapes(names: pd.Series[str], micrographs: Sequence[Micrograph]) -> None:
    shapes = pd.Series([m.image.shape for m in micrographs], index=list(names))
    common = shapes.mode().iloc[0]
    others = shapes[shapes != common]
    if others.empty:
        return
    found = _listed([f"{name}: {w}×{h} px" for name, (h, w) in others.items()])
    raise DatasetError(
        f"{found}, but the set is {common[1]}×{common[0]} px (width × height, after cropping); "
        "take the micrographs at one size, leave these out, set crop to the number of rows "
        "that all of them have, or set rescale to true if all pixel sizes are known"
    )


def _check_copies(names: pd.Series[str], micrographs: Sequence[Micrograph]) -> None:
    """Refuse one micrograph under two names; the manifest knows only the names."""
    seen: dict[str, str] = {}
    for name, micrograph in zip(names, micrographs, strict=True):
        first = seen.setdefault(digest(micrograph.image), name)
        if first != name:
            raise DatasetError(
                f"{name} shows the same pixels as {first}; a micrograph must stand in the manifest "
                "once, or it would be trained and tested on: delete one of the rows, or correct "
                "its image"
            )


def _check_pixel_sizes(names: pd.Series[str], micrographs: Sequence[Micrograph]) -> None:
    sizes = pd.Series([m.pixel_size_um for m in micrographs], index=list(names), dtype=float)
    common = _common(sizes)
    others = sizes[_differing(sizes)]
    if others.empty:
        return
    found = _listed([f"{name}: {size:.4g} µm" for name, size in others.items()])
    raise DatasetError(
        f"{found} a pixel, but the set has {common:.4g} µm; take the micrographs at one "
        "magnification, leave these out, set rescale to true, or set check_pixel_size to false if "
        "the files are wrong"
    )


def _differing(pixel_sizes_um: pd.Series[float]) -> pd.Series[bool]:
    """Which pixel sizes differ from the commonest by more than the tolerance."""
    return (pixel_sizes_um / _common(pixel_sizes_um) - 1).abs() > _PIXEL_SIZE_TOLERANCE


def _common(pixel_sizes_um: pd.Series[float]) -> float:
    """The pixel size from which the fewest differ by more than the tolerance."""
    ratios = pixel_sizes_um.to_numpy() / pixel_sizes_um.to_numpy()[:, np.newaxis]
    agreeing = np.sum(np.abs(ratios - 1) <= _PIXEL_SIZE_TOLERANCE, axis=1)
    return float(pixel_sizes_um.iloc[agreeing.argmax()])
