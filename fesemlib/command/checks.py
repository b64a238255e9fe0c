"""What is checked before a book is built, so that nothing long ends in a misprint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fesemlib.params import WIDEST_SYNTHETIC, Parameters, quoted, read_parameters

if TYPE_CHECKING:
    from fesemlib.dataset import Dataset

DEFAULT_PARAMETERS = Path("params", "book.yml")
"""The parameter file of a checkout that is used where none is named."""

# Folders of `build` that belong to nobody's profile.
_RESERVED_PROFILES = {"cache", "explore", "uv"}


def read_profile(path: Path, overrides: Mapping[str, object] | None = None) -> Parameters:
    """Read a parameter file from whose name a book takes its folder.

    Parameters
    ----------
    path
        The parameter file.
    overrides
        As in `fesemlib.params.read_parameters`.

    Raises
    ------
    ValueError, OSError
        As `read_parameters`; also when the folder is used for something else, or the results are
        to go elsewhere.

    Examples
    --------
    >>> try:
    ...     read_profile(Path("cache.yml"))
    ... except ValueError as error:
    ...     print(error)
    cache.yml: build/cache is used for something else; rename the parameter file
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


def checked_dataset(path: Path, parameters: Parameters) -> Dataset:
    """Read the data set, and check everything that a parameter file names.

    Micrographs that are to be predicted are looked for; what is wrong with one of them is told in
    the chapter.

    Parameters
    ----------
    path
        The parameter file, for messages.
    parameters
        What it holds.

    Raises
    ------
    ValueError, OSError
        When the data set, the drying run or all of the new micrographs cannot be used, or the
        network cannot be built for their size.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> path = Path(folder.name, "mine.yml")
    >>> try:
    ...     checked_dataset(path, Parameters(dataset="no_such_manifest.csv"))
    ... except ValueError as error:
    ...     print(str(error).split(" (")[0])
    no_such_manifest.csv: no such manifest
    """
    from fesemlib.dataset import load_dataset

    dataset = load_dataset(parameters)
    if parameters.drying_run:
        from fesemlib.drying.coefficients import label_run, vial_of
        from fesemlib.drying.records import read_drying_run

        label_run(read_drying_run(parameters.drying_run), vial_of(parameters))
    if parameters.image:
        _check_new_images(parameters, dataset.shape)
    try:
        _check_size(dataset.shape, parameters.input_width)
    except ValueError as error:
        wider = (
            parameters.is_synthetic
            and dataset.shape[1] < parameters.input_width <= WIDEST_SYNTHETIC
        )
        hint = "; or set synthetic_width, that of the stand-ins, to as much" if wider else ""
        raise ValueError(f"{path}: {error}{hint}") from None
    return dataset


def _check_new_images(parameters: Parameters, shape: tuple[int, int]) -> None:
    """Raise a ValueError where no micrograph can be predicted; the chapter tells of single ones."""
    from fesemlib.micrographs.files import image_files
    from fesemlib.micrographs.reading import MicrographError, read_micrograph

    problem = ""
    for file in image_files([parameters.image]):
        try:
            found = read_micrograph(file, parameters.crop).image.shape
        except MicrographError as error:
            problem = problem or str(error)
            continue
        if found == shape or parameters.rescale:
            return
        problem = problem or (
            f"{file}: {found[1]}×{found[0]} px, but the set is {shape[1]}×{shape[0]} px (width × "
            "height, after cropping)"
        )
    raise ValueError(f"image: no micrograph can be used; {problem}")


def _check_size(shape: tuple[int, int], input_width: int) -> None:
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
