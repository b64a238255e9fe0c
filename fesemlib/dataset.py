"""The data set: micrographs with the mass transfer coefficients of their formulations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.formulations import image_path, read_manifest, table1
from fesemlib.micrographs.reading import Crop, Micrograph, crop_micrograph, read_micrograph
from fesemlib.micrographs.writing import find_writing
from fesemlib.micrographs.zeiss import burn_data_bar
from fesemlib.params import Parameters
from fesemlib.processing import resample_by_area
from fesemlib.storage import digest
from fesemlib.synthetic import sets
from fesemlib.volume.knudsen import stand_in_k_m, structures

__all__ = [
    "Dataset",
    "DatasetError",
    "draw_stand_ins",
    "fresh_stand_ins",
    "load_dataset",
    "load_draws",
    "pixel_sizes_differ",
    "rescale_micrograph",
    "with_cut_rows",
]

_OF_FORMULATIONS = ["composition", "k_m", "std_percent"]
_PIXEL_SIZE_TOLERANCE = 0.01 + 1e-9  # 1 %, whichever way it is rounded
_MOST_NAMED = 5  # outliers that a message lists
_OUTER = 0.25  # of the height, below and above: there writing is cut off


class DatasetError(ValueError):
    """The micrographs of a set do not fit together."""


@dataclass(frozen=True)
class Dataset:
    """Micrographs and the mass transfer coefficients that belong to them.

    Examples
    --------
    >>> dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    >>> dataset.shape, dataset.synthetic
    ((96, 128), True)
    >>> dataset.with_k_m(np.array([1e-3, 2e-3])).k_m.tolist()
    [0.001, 0.002]
    """

    # A row for each formulation, the index: ``composition``, ``k_m`` (m² s⁻¹), ``std_percent``.
    formulations: pd.DataFrame
    # A row for each micrograph: ``formulation``, ``image`` (its name) and ``k_m``.
    images: pd.DataFrame
    micrographs: tuple[Micrograph, ...]  # in the order of `images`; all of one shape
    synthetic: bool  # stand-ins, not measured
    digest: str  # names the content: the micrographs and all that is told about them
    files: tuple[tuple[Path, int], ...] = ()  # file and page of each; empty for stand-ins
    draw: int = 0  # number of the set of stand-ins, where several are drawn
    crop: Crop = "auto"  # of the parameters, or the rows kept, where writing was found and cut off
    provenance: str = ""  # what the manifest says of where the micrographs come from

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (H, W) of the micrographs in px."""
        height, width = self.micrographs[0].image.shape
        return height, width

    @property
    def pixel_size_um(self) -> float | None:
        """Median pixel size in µm, or None where none is known or the known ones differ."""
        known = pd.Series([m.pixel_size_um for m in self.micrographs], dtype=float).dropna()
        return None if known.empty or _differing(known).any() else float(known.median())

    @property
    def page(self) -> int:
        """The page of its file that every micrograph is, or 1 where they are of several."""
        pages = {page for _, page in self.files}
        return pages.pop() if len(pages) == 1 else 1

    @property
    def unchecked_magnification(self) -> str:
        """What there is to say where the pixel size of micrographs is not known; else empty."""
        sizes = [each.pixel_size_um for each in self.micrographs]
        names = [name for name, um in zip(self.images["image"], sizes, strict=True) if um is None]
        which = f"{len(names)} of {len(sizes)} micrographs: {_first_few(names)}"
        return f"pixel size unknown: magnification not checked ({which})" if names else ""

    @property
    def k_m(self) -> npt.NDArray[np.float64]:
        """Mass transfer coefficient of each micrograph, m² s⁻¹, shape (n,)."""
        return self.images["k_m"].to_numpy(dtype=np.float64)

    def with_k_m(self, k_m: npt.NDArray[np.float64]) -> Dataset:
        """The same micrographs with other mass transfer coefficients, one for each formulation."""
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
    """Load the data set that the parameters name: stand-ins, or the micrographs of a manifest.

    Micrographs fit together when they have one size and one pixel size (to 1 %), none of them holds
    a data bar, they share no writing, and no two are the same. With `crop: auto`, writing at the
    same place in nearly all of them is cut off with all that is beyond it, where it lies in the
    upper or the lower quarter. With `rescale`, each is averaged over areas to the coarsest
    pixel size of the set (one that has it keeps its pixels), and all are cut about their centres to
    the largest field that they all cover; none is enlarged.

    Raises
    ------
    ManifestError, MicrographError, DatasetError
        When the manifest or a micrograph cannot be used, or the micrographs do not fit together.
        The message names the file, the value and what to do.

    Examples
    --------
    >>> dataset = load_dataset(Parameters(synthetic_width=384))
    >>> dataset.shape, "".join(dataset.formulations.index), dataset.synthetic
    ((288, 384), 'ABCDEFGHI', True)
    """
    if parameters.is_synthetic:
        recipes = sets.table_recipes(parameters.synthetic_seed, range(1))
        shape = sets.part_of_frame(parameters, 1)
        stand_ins = _of_stand_ins(recipes, shape, table1(), parameters.synthetic_labels)
        return _scattered(stand_ins, parameters)
    manifest = Path(parameters.dataset)
    table = read_manifest(manifest)
    listed = list(zip(table["image"], table["page"], strict=True))
    files = [(image_path(manifest.parent, image), int(page)) for image, page in listed]
    names = [image if page == 1 else f"{image} (page {page})" for image, page in listed]

    def read(crop: Crop) -> dict[str, Micrograph]:
        micrographs = [read_micrograph(file, crop, page) for file, page in files]
        return dict(zip(names, micrographs, strict=True))

    named = read(parameters.crop)
    try:
        _check_bars(named)
        if not parameters.rescale:
            _check_shapes(named)
        crop = _crop_without_writing(named, parameters)
        named = named if crop == parameters.crop else read(crop)
        fitted = _fitted(named, table["pixel_size_um"].to_list(), parameters)
    except DatasetError as error:
        raise DatasetError(f"{manifest}: {error}") from None
    formulations = table.drop_duplicates("formulation").set_index("formulation")
    images = table[["formulation", "image", "k_m"]].assign(image=names)
    provenance = "; ".join(table["provenance"].dropna().unique())
    made = _dataset(formulations[_OF_FORMULATIONS], images, fitted, files)
    name = digest(made.digest, provenance) if provenance else made.digest
    return replace(made, crop=crop, provenance=provenance, digest=name)


def load_draws(parameters: Parameters) -> list[Dataset]:
    """The data set, and as many more draws of its stand-ins as `synthetic_draws` asks for.

    Each draw has a seed of its own, the first `synthetic_seed`.

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
    labels: str = "formula",
) -> Dataset:
    """Stand-ins of random k_m, for what needs more images than Table 1 has rows.

    Each is a formulation of its own, of `shape` in px at the paper's pixel size, with 5 % solids.
    The logarithm of k_m is uniform over its range in m² s⁻¹, which is that of Table 1 if not given;
    with the `labels` of the geometry, it is that of the law from which the size follows.

    Examples
    --------
    >>> dataset = draw_stand_ins(4, seed=0, shape=(96, 128), k_m_range=(5e-4, 1e-3))
    >>> len(dataset.micrographs), dataset.shape
    (4, (96, 128))
    """
    return made_of(sets.drawn_recipes(number, seed, k_m_range), shape, labels)


def made_of(
    recipes: Sequence[sets.Recipe], shape: tuple[int, int], labels: str = "formula"
) -> Dataset:
    """Stand-ins of these recipes, each a formulation of its own, as of `draw_stand_ins`."""
    composition = f"{sets.DRAWN_SOLIDS_PERCENT:g}% solids"
    formulations = pd.DataFrame(recipes).set_index("formulation")
    formulations = formulations.assign(composition=composition, std_percent=np.nan)
    return _of_stand_ins(recipes, shape, formulations, labels)


def fresh_stand_ins(
    number: int, seed: int, shape: tuple[int, int], parameters: Parameters | None = None
) -> Dataset:
    """So many more frames of each formulation of the synthetic set of this seed, of other places.

    With `parameters` whose labels are those of the geometry, of foams of the same structure.

    Examples
    --------
    >>> fresh = fresh_stand_ins(2, seed=0, shape=(96, 128))
    >>> "".join(fresh.formulations.index), len(fresh.micrographs)
    ('ABCDEFGHI', 18)
    """
    recipes = sets.table_recipes(seed, range(1, number + 1))
    parameters = parameters or Parameters()
    if parameters.synthetic_labels == "geometry":
        first = structures(sets.table_recipes(seed, range(1)), shape)
        recipes = [each._replace(structure=first[n // number]) for n, each in enumerate(recipes)]
    made = _of_stand_ins(recipes, shape, table1(), "formula")
    if parameters.label_source != Parameters().label_source:
        made = made.with_k_m(load_dataset(parameters).formulations["k_m"].to_numpy())
    names = [f"{each.formulation} (stand-in, fresh frame {each.frame})" for each in recipes]
    return replace(made, images=made.images.assign(image=names))


def with_cut_rows(dataset: Dataset, position: int) -> tuple[Micrograph, Micrograph]:
    """A micrograph with the rows that are cut off, to show them, and without.

    The one at the position, or else the first that was cut, or else a stand-in with a bar drawn.

    Examples
    --------
    >>> dataset = draw_stand_ins(1, seed=0, shape=(192, 256))
    >>> whole, kept = with_cut_rows(dataset, 0)
    >>> whole.data_bar_row, kept.cut_rows  # the last 24 rows are the bar
    (168, 24)
    """
    cut = [n for n, each in enumerate(dataset.micrographs) if each.cut_rows or each.cut_top]
    if cut:
        position = position if position in cut else cut[0]
        whole, kept = dataset.uncropped(position), dataset.micrographs[position]
        last = len(whole.image) - kept.cut_rows
        return whole, crop_micrograph(whole, f"{kept.cut_top}:{last}")
    stand_ins = dataset if dataset.synthetic else draw_stand_ins(1, seed=0)
    whole = burn_data_bar(stand_ins.micrographs[position if dataset.synthetic else 0])
    return whole, crop_micrograph(whole, "auto")


def pixel_sizes_differ(first_um: float, second_um: float) -> bool:
    """Whether two pixel sizes differ by more than 1 % of the second.

    Examples
    --------
    >>> pixel_sizes_differ(0.977, 0.980), pixel_sizes_differ(0.977, 0.918)
    (False, True)
    """
    return abs(first_um / second_um - 1) > _PIXEL_SIZE_TOLERANCE


def rescale_micrograph(
    micrograph: Micrograph, size_um: float, shape: tuple[int, int]
) -> Micrograph:
    """A micrograph at a coarser pixel size (or the same, to 1 %), cut about its centre to a shape.

    Raises DatasetError where the pixel size is not known, is coarser, or the field is too small.

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
    height, width = _covered(micrograph, pitch)
    if height < shape[0] or width < shape[1]:
        raise DatasetError(
            f"covers {width}×{height} px of {size_um:.4g} µm, but {shape[1]}×{shape[0]} px are "
            "needed; take the micrograph of a larger field"
        )
    image = np.round(resample_by_area(micrograph.image, pitch, shape)).astype(np.uint8)
    before = own_um if pitch != 1 else None
    return replace(micrograph, image=image, pixel_size_um=size_um, rescaled_from_um=before)


def _dataset(
    formulations: pd.DataFrame,
    images: pd.DataFrame,
    micrographs: Sequence[Micrograph],
    files: Sequence[tuple[Path, int]] = (),
) -> Dataset:
    synthetic = not files
    told = (images.to_dict("list"), formulations.reset_index().to_dict("list"), synthetic)
    seen = [(m.pixel_size_um, m.pixel_size_source, m.data_bar_row, m.cut_rows) for m in micrographs]
    top = [m.cut_top for m in micrographs if m.cut_top]
    name = digest(told, seen, *top, *[m.image for m in micrographs])
    return Dataset(formulations, images, tuple(micrographs), synthetic, name, tuple(files))


def _of_stand_ins(
    recipes: Sequence[sets.Recipe], shape: tuple[int, int], table: pd.DataFrame, labels: str
) -> Dataset:
    images = pd.DataFrame(recipes)[["formulation", "k_m"]]
    images.insert(1, "image", images["formulation"] + " (stand-in)")
    made = _dataset(table[_OF_FORMULATIONS], images, sets.stand_ins(recipes, shape))
    return made.with_k_m(stand_in_k_m(recipes, shape).value) if labels == "geometry" else made


def _scattered(dataset: Dataset, parameters: Parameters) -> Dataset:
    """The same; where it is asked for, k_m scatter lognormally by their column std in Table 1."""
    if not parameters.synthetic_label_scatter:
        return dataset
    random = np.random.default_rng((parameters.synthetic_seed, len(dataset.k_m)))
    spread = dataset.formulations["std_percent"].to_numpy(dtype=np.float64) / 100
    factors = np.exp(spread * random.standard_normal(len(spread)))
    return dataset.with_k_m(factors * dataset.formulations["k_m"].to_numpy(dtype=np.float64))


def _fitted(
    named: Mapping[str, Micrograph], told_um: Iterable[float], parameters: Parameters
) -> list[Micrograph]:
    """The micrographs with all that the manifest tells, when they fit together."""
    _check_copies(named)
    check = parameters.check_pixel_size
    named = {
        name: _with_told_size(name, micrograph, um, check)
        for (name, micrograph), um in zip(named.items(), told_um, strict=True)
    }
    if parameters.rescale:
        return _rescaled(named)
    if check:
        _check_pixel_sizes(named)
    return list(named.values())


def _crop_without_writing(named: Mapping[str, Micrograph], parameters: Parameters) -> Crop:
    """The most rows in a run that are free of writing, if what is beyond them may be cut off."""
    for shape in {each.image.shape: "" for each in named.values()}:
        alike = {name: each for name, each in named.items() if each.image.shape == shape}
        bands = find_writing([each.image for each in alike.values()])
        name, top, height = next(iter(alike)), next(iter(alike.values())).cut_top, shape[0]
        free = [(a, b) for (_, a), (b, _) in pairwise([(0, 0), *bands, (height, height)])]
        first, last = max(free, key=lambda rows: rows[1] - rows[0])
        kept = f"{first + top}:{last + top}"
        in_outer = max(first, height - last) <= _OUTER * height
        if bands and in_outer and parameters.crop == "auto" and len(alike) == len(named):
            return kept
        rows = " and ".join(f"{first + top}–{last + top - 1}" for first, last in bands)
        _refuse(
            [name] if bands else [],
            f" and nearly all others have the same writing in rows {rows}, and the network would "
            f"learn from it; set crop to rows that are free of it, as in '{kept}', or export the "
            "micrographs without it",
        )
    return parameters.crop


def _refuse(found: Sequence[str], problem: str) -> None:
    """Refuse a set because of what was found."""
    if found:
        raise DatasetError(f"{_first_few(found)}{problem}")


def _first_few(found: Sequence[str]) -> str:
    """The first few of what was found, and how many there are beyond."""
    more = len(found) - _MOST_NAMED
    return ", ".join(found[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _check_bars(named: Mapping[str, Micrograph]) -> None:
    """Refuse a data bar that the network would see."""
    found = [f"{name} (from row {m.data_bar_row})" for name, m in named.items() if m.has_data_bar]
    _refuse(
        found,
        ": the data bar is still there, and the network would learn from it; set crop to auto, or "
        "to the number of rows above it",
    )


def _check_copies(named: Mapping[str, Micrograph]) -> None:
    """Refuse one micrograph under two names; the manifest knows only the names."""
    seen: dict[str, str] = {}
    for name, micrograph in named.items():
        first = seen.setdefault(digest(micrograph.image), name)
        if first != name:
            raise DatasetError(
                f"{name} shows the same pixels as {first}; a micrograph must stand in the manifest "
                "once, or it would be trained and tested on: delete one of the rows, or correct "
                "its image"
            )


def _with_told_size(name: str, micrograph: Micrograph, told_um: float, check: bool) -> Micrograph:
    """The micrograph with the pixel size of the manifest, where the file tells none."""
    own_um = micrograph.pixel_size_um
    if np.isnan(told_um) or (own_um is not None and not pixel_sizes_differ(told_um, own_um)):
        return micrograph
    if own_um is not None and check:
        raise DatasetError(
            f"{name}: pixel_size_um = {told_um:.4g} in the manifest, but the file says "
            f"{own_um:.4g} µm ({micrograph.pixel_size_source}); correct the manifest or leave it "
            "empty there, or set check_pixel_size to false if the file is wrong"
        )
    return replace(micrograph, pixel_size_um=told_um, pixel_size_source="manifest")


def _rescaled(named: Mapping[str, Micrograph]) -> list[Micrograph]:
    """All micrographs at the coarsest pixel size, with the field that all of them cover."""
    unknown = [name for name, each in named.items() if each.pixel_size_um is None]
    _refuse(
        unknown,
        ": the pixel size is not known, and rescale needs all of them; give it in the column "
        "pixel_size_um of the manifest, or set rescale to false",
    )
    sizes = [each.pixel_size_um or 0.0 for each in named.values()]
    coarsest = max(sizes)
    pitches = [_pitch(size, coarsest) for size in sizes]
    fields = map(_covered, named.values(), pitches)
    height, width = (min(sides) for sides in zip(*fields, strict=True))
    if min(height, width) < 1:
        raise DatasetError(
            f"pixel sizes from {min(sizes):.4g} to {coarsest:.4g} µm have no field in common; "
            "leave out what is of another magnification"
        )
    return [rescale_micrograph(each, coarsest, (height, width)) for each in named.values()]


def _pitch(size_um: float, coarsest_um: float) -> float:
    """How many pixels make one of the coarsest; those equal to it are left as they are."""
    ratio = coarsest_um / size_um
    return ratio if ratio - 1 > _PIXEL_SIZE_TOLERANCE else 1.0


def _covered(micrograph: Micrograph, pitch: float) -> tuple[int, int]:
    """The whole pixels of this pitch, down and across, that a micrograph has."""
    height, width = (int(side / pitch + 1e-9) for side in micrograph.image.shape)
    return height, width


def _check_shapes(named: Mapping[str, Micrograph]) -> None:
    shapes = pd.Series({name: each.image.shape for name, each in named.items()})
    common = shapes.mode().iloc[0]
    others = [f"{name}: {w}×{h} px" for name, (h, w) in shapes[shapes != common].items()]
    _refuse(
        others,
        f", but the set is {common[1]}×{common[0]} px (width × height, after cropping); take the "
        "micrographs at one size, leave these out, set crop to the number of rows that all of them "
        "have, or set rescale to true if all pixel sizes are known",
    )


def _check_pixel_sizes(named: Mapping[str, Micrograph]) -> None:
    sizes = pd.Series({name: each.pixel_size_um for name, each in named.items()}, dtype=float)
    others = [f"{name}: {size:.4g} µm" for name, size in sizes[_differing(sizes)].items()]
    _refuse(
        others,
        f" a pixel, but the set has {_common(sizes):.4g} µm; take the micrographs at one "
        "magnification, leave these out, set rescale to true, or set check_pixel_size to false if "
        "the files are wrong",
    )


def _differing(pixel_sizes_um: pd.Series[float]) -> pd.Series[bool]:
    """Which pixel sizes differ from the commonest by more than the tolerance."""
    return (pixel_sizes_um / _common(pixel_sizes_um) - 1).abs() > _PIXEL_SIZE_TOLERANCE


def _common(pixel_sizes_um: pd.Series[float]) -> float:
    """The pixel size from which the fewest differ by more than the tolerance."""
    ratios = pixel_sizes_um.to_numpy() / pixel_sizes_um.to_numpy()[:, np.newaxis]
    agreeing = np.sum(np.abs(ratios - 1) <= _PIXEL_SIZE_TOLERANCE, axis=1)
    return float(pixel_sizes_um.iloc[agreeing.argmax()])
