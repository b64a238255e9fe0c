"""The network's inputs: the micrographs of a data set, processed and shrunk, kept in the cache.

Every processed micrograph has a file of its own there, named by all that determines it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from loky import cpu_count

from fesemlib.dataset import Dataset
from fesemlib.params import InputParameters, Parameters, ProcessingParameters
from fesemlib.processing import FloatImage, GreyImage, input_shape, process_with, resize_by_area
from fesemlib.progress import progress
from fesemlib.storage import code_digest, digest, folder_in_cache, read_sealed, write_sealed


def processed_micrographs(dataset: Dataset, parameters: Parameters) -> list[GreyImage]:
    """All micrographs processed at full size, uint8 (H, W), side by side and kept in the cache."""
    folder = folder_in_cache("processed")
    images = [micrograph.image for micrograph in dataset.micrographs]
    paths = [folder / f"{_name(image, parameters)}.npy" for image in images]
    missing = {path for path in paths if not path.is_file()}
    done = sum(path not in missing for path in paths)
    workers = min(parameters.parallel_jobs or cpu_count(), len(images))
    processed = []
    # In threads: NumPy runs side by side in them, and the micrographs need not be copied.
    with progress(len(images), "micrographs", done) as advance, ThreadPoolExecutor(workers) as pool:
        made = pool.map(partial(_processed, parameters), images, paths)  # stops where one fails
        for path, image in zip(paths, made, strict=True):
            processed.append(image)
            if path in missing:
                advance()
    return processed


def _processed(parameters: ProcessingParameters, image: GreyImage, path: Path) -> GreyImage:
    kept = read_sealed(path)
    if kept is not None:
        return np.asarray(np.load(kept), np.uint8)
    processed = process_with(parameters, image).equalized
    write_sealed(path, lambda stream: np.save(stream, processed))
    return processed


def _name(image: GreyImage, parameters: ProcessingParameters) -> str:
    """A digest of all that determines a processed micrograph."""
    return digest(_code(), ProcessingParameters.values_of(parameters), image)


@cache
def _code() -> tuple[str, ...]:
    return code_digest("fesemlib.processing"), version("numpy"), version("scikit-image")


def network_inputs(dataset: Dataset, parameters: Parameters) -> FloatImage:
    """Process all micrographs of a data set and bring them to the network's input size.

    Returns
    -------
    ndarray
        float32, shape (n, h, w), grey levels divided by 255: in [0, 1].

    Raises
    ------
    ValueError
        When the micrographs are narrower than `input_width`.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> network_inputs(draw_stand_ins(2, 0, (96, 128)), Parameters(input_width=64)).shape
    (2, 48, 64)
    """
    return np.asarray(np.load(keep_network_inputs(dataset, parameters)), np.float32)


def network_input(image: GreyImage, parameters: InputParameters) -> FloatImage:
    """Make the network's input of one micrograph: processed, shrunk, in [0, 1].

    Parameters
    ----------
    image
        uint8, shape (H, W).
    parameters
        Those of the processing, and `input_width`.

    Returns
    -------
    ndarray
        float32, shape (h, w): grey levels divided by 255.

    Raises
    ------
    ValueError
        When the image is narrower than `input_width`.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 256, (96, 128)).astype(np.uint8)
    >>> network_input(image, InputParameters(input_width=64)).shape
    (48, 64)
    """
    return shrunk_input(process_with(parameters, image).equalized, parameters.input_width)


def shrunk_input(processed: GreyImage, width: int) -> FloatImage:
    """The network's input, float32 (h, w) in [0, 1], of a processed micrograph, uint8 (H, W)."""
    return resize_by_area(processed, width) / np.float32(255)


def images_by_step(
    dataset: Dataset, parameters: Parameters, width: int
) -> dict[str, list[npt.NDArray[np.generic]]]:
    """All micrographs at every step on their way into a network `width` px wide; levels 0–255."""
    images = [micrograph.image for micrograph in dataset.micrographs]
    processed = [process_with(parameters, image) for image in images]
    return {
        "original": list(images),
        "background subtracted": [each.subtracted for each in processed],
        "histogram equalised": [each.equalized for each in processed],
        "network's input": [resize_by_area(each.equalized, width) for each in processed],
    }


def keep_network_inputs(dataset: Dataset, parameters: Parameters) -> Path:
    """The file in the cache that holds `network_inputs`, made now if it is not there yet.

    Its name is a digest of all that determines its content.
    """
    width = parameters.input_width
    input_shape(dataset.shape, width)  # refuses to enlarge, before anything is processed
    names = [_name(micrograph.image, parameters) for micrograph in dataset.micrographs]
    name = digest(code_digest(__name__), names, width)
    path = folder_in_cache("inputs") / f"{name}.npy"
    if read_sealed(path) is None:
        processed = processed_micrographs(dataset, parameters)
        inputs = np.stack([shrunk_input(image, width) for image in processed])
        write_sealed(path, lambda stream: np.save(stream, inputs))
    else:
        path.touch()  # in use: `fesemlib.command.cache` leaves it for a day
    return path


def kept_inputs(path: Path) -> FloatImage | None:
    """The network's inputs in a file of `keep_network_inputs`; None when missing or damaged."""
    kept = read_sealed(path)
    return None if kept is None else np.load(kept)
