"""What is checked before anything long begins, so that it does not end in a misprint."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fesemlib.params import WIDEST_SYNTHETIC, Parameters, quoted, read_parameters

if TYPE_CHECKING:
    from fesemlib.dataset import Dataset
    from fesemlib.prediction.folder import Card

NETWORKS = ("paper_network", "averaging_network")
"""The predictors that take frames of one size only."""

DEFAULT_PARAMETERS = Path("params", "book.yml")
"""The parameter file of a checkout that is used where none is named."""

# Folders of `build` that belong to nobody's profile.
_RESERVED_PROFILES = {"cache", "explore", "uv"}


def read_profile(path: Path, overrides: Mapping[str, object] | None = None) -> Parameters:
    """Read a parameter file from whose name a book takes its folder.

    A ValueError or an OSError as in `fesemlib.params.read_parameters`; also when the folder is used
    for something else, or the results are to go elsewhere.
    """
    if path.stem in _RESERVED_PROFILES:
        raise ValueError(
            f"{path}: build/{path.stem} is used for something else; rename the parameter file"
        )
    parameters = read_parameters(path, overrides)
    if parameters.results != Parameters().results:
        raise ValueError(
            f"{path}: results = {quoted(parameters.results)}, but fesem book writes to "
            f"build/{path.stem}/results; remove `results` (it is for plain papermill)"
        )
    return parameters


def remarked_dataset(parameters: Parameters) -> Dataset:
    """Read the data set, and say where its magnification could not be checked."""
    from fesemlib.dataset import load_dataset
    from fesemlib.progress import remark

    dataset = load_dataset(parameters)
    if dataset.unchecked_magnification:
        remark(dataset.unchecked_magnification)
    return dataset


def checked_dataset(path: Path, parameters: Parameters) -> Dataset:
    """Read the data set, and check everything that a parameter file names.

    A ValueError or an OSError where the data set, the drying run or all of the new micrographs
    cannot be used, or the network cannot be built for their size. What is wrong with one of the new
    micrographs is told in the chapter.
    """
    from fesemlib.borrowed import read_weights
    from fesemlib.drying.calibration import vial_of

    dataset = remarked_dataset(parameters)
    if not parameters.drying_run:
        vial_of(parameters)
    else:
        from fesemlib.drying.coefficients import label_run
        from fesemlib.drying.records import read_drying_run

        run = read_drying_run(parameters.drying_run)
        label_run(run, vial_of(parameters, run))
    if parameters.predictor == "borrowed":
        read_weights()
    if parameters.image:
        _check_new_images(parameters.changed(crop=dataset.crop), dataset)
    try:
        check_size(dataset.shape, parameters.input_width)
    except ValueError as error:
        width = parameters.input_width
        wider = parameters.is_synthetic and dataset.shape[1] < width <= WIDEST_SYNTHETIC
        hint = "; or set synthetic_width, that of the stand-ins, to as much" if wider else ""
        raise ValueError(f"{path}: {error}{hint}") from None
    return dataset


def _check_new_images(parameters: Parameters, dataset: Dataset) -> None:
    """Raise a ValueError where no micrograph can be predicted; the chapter tells of single ones."""
    from fesemlib.micrographs.channels import MicrographError
    from fesemlib.micrographs.files import image_files
    from fesemlib.micrographs.reading import read_alike

    problems, shape = [], dataset.shape
    width = None if parameters.rescale else shape[1]
    for file in image_files([parameters.image]):
        try:
            found = read_alike(file, parameters.crop, width, dataset.page).image.shape
        except MicrographError as error:
            problems.append(str(error))
            continue
        network = parameters.predictor in NETWORKS
        if found == shape or parameters.rescale or not network:
            return
        problems.append(
            f"{file}: {found[1]}×{found[0]} px, but the set is {shape[1]}×{shape[0]} px (width × "
            "height, after cropping)"
        )
    raise ValueError(f"image: no micrograph can be used; {problems[0]}")


def check_size(shape: tuple[int, int], input_width: int) -> None:
    """Raise a ValueError when micrographs of a shape (H, W) cannot be brought to that width."""
    from fesemlib.network.architecture import SMALLEST_SIDE, check_input_shape
    from fesemlib.processing import input_shape

    size = f"the micrographs are {shape[1]}×{shape[0]} px (width × height, after cropping)"
    if min(shape) < SMALLEST_SIDE:  # no input_width helps
        raise ValueError(
            f"{size}: the network needs at least {SMALLEST_SIDE} px on both sides; keep more "
            "rows (crop), or take larger micrographs"
        )
    try:
        check_input_shape(input_shape(shape, input_width))
    except ValueError as error:
        raise ValueError(f"{error}; {size}") from None


def check_target(path: Path, kind: str, suffixes: tuple[str, ...], force: bool) -> None:
    """Raise a ValueError or an OSError where such a file cannot or should not be written."""
    _check_can_be_written(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(
            f"{path}: what is written is a {kind}; give a name that ends in {suffixes[0]}"
        )
    if path.exists() and not force:
        raise FileExistsError(f"{path}: exists; choose another name, or add --force to replace it")


def check_outputs(model: Path | None, files: list[str], outputs: dict[str, Path | None]) -> None:
    """Raise a ValueError or an OSError where the tables cannot or should not be written."""
    taken = {Path(file).resolve(): "one of the files to read" for file in files}
    for option, path in outputs.items():
        if path is None:
            continue
        target = path.resolve()
        what = taken.get(target)
        if model and model.resolve() in target.parents:
            what = "within the model's folder"
        elif target.exists() and not target.is_file() and not target.is_dir():
            what = "no regular file"
        if what is not None:
            raise ValueError(f"{option} {path}: is {what}; choose another name")
        suffix = {"--report": ".html"}.get(option, f".{option.removeprefix('--')}")
        if path.exists() and path.is_file() and path.suffix.lower() != suffix:
            raise ValueError(f"{option} {path}: exists, and is no {suffix}; choose another name")
        _check_can_be_written(path)
        taken[target] = f"what {option} names, too"


def check_composition(card: Card, composition: str) -> None:
    """Raise a ValueError where a model lacks a composition that it can read, or needs none."""
    from fesemlib.predictors.measures import COMPOSITION, told_composition

    goes_by_it = COMPOSITION in card.as_predictor.needs
    if goes_by_it and composition:
        told_composition(composition, list(card.known.measures[COMPOSITION]))
    elif goes_by_it or composition:
        which = "goes by the composition; tell it" if goes_by_it else "does not go by it; leave out"
        raise ValueError(f"the model ({card.predictor}) {which} (--composition)")


def _check_can_be_written(path: Path) -> None:
    """Raise an OSError where a file cannot be written, be it a new one or one to replace."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder; give the name of a file")
    folder = path.parent.resolve()
    if not folder.exists():
        raise FileNotFoundError(f"{path}: there is no folder {folder}; make it, or choose another")
    if not folder.is_dir():
        raise NotADirectoryError(f"{path}: {folder} is not a folder; choose another")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        # In /proc and the like the system says of the folder that it does not exist.
        reason = "" if isinstance(error, FileNotFoundError) else f" ({error.strerror})"
        raise PermissionError(
            f"{path}: no file can be made in {folder}{reason}; choose another folder"
        ) from error
