"""The network's inputs: the micrographs of a data set, processed and shrunk, kept in the cache.

Every processed micrograph has a file of its own in the cache, named by all that determines it: a
set that grows by one micrograph, or a run that is taken up again, computes only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from loky import cpu_count

from fesemlib.dataset import Dataset
from fesemlib.params import Parameters
from fesemlib.processing import (
    PROCESSING_PARAMETERS,
    FloatImage,
    GreyImage,
    input_shape,
    process_with,
    resize_by_area,
)
from fesemlib.progress import progress
from fesemlib.storage import (
    build_folder,
    code_digest,
    digest,
    read_sealed,
    remove_unfinished,
    writable,
    write_sealed,
)

_Result = TypeVar("_Result")


def processed_micrographs(dataset: Dataset, parameters: Parameters) -> list[GreyImage]:
    """Process all micrographs of a data set, side by side, at full size.

    Parameters
    ----------
    dataset
        The micrographs.
    parameters
        `background_radius_px`, `light_background`, `smooth_background` and `equalization` are used;
        `parallel_jobs` says how many are processed at the same time.

    Returns
    -------
    list of ndarray
        uint8, shape (H, W) each, in the order of the data set: the background subtracted and the
        histogram equalised.

    Notes
    -----
    Each processed micrograph is kept in the cache; a file that cannot be read is made anew.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> images = processed_micrographs(draw_stand_ins(2, 0, (96, 128)), Parameters())
    >>> len(images), images[0].shape, images[0].dtype.name
    (2, (96, 128), 'uint8')
    """
    return _of_each_processed(dataset, parameters, lambda image: image)


def network_inputs(dataset: Dataset, parameters: Parameters) -> FloatImage:
    """Process all micrographs of a data set and bring them to the network's input size.

    Parameters
    ----------
    dataset
        The micrographs, all of one shape.
    parameters
        Those of `processed_micrographs`, and `input_width`.

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
    >>> inputs = network_inputs(draw_stand_ins(2, 0, (96, 128)), Parameters(input_width=64))
    >>> inputs.shape, bool(inputs.min() >= 0 and inputs.max() <= 1)
    ((2, 48, 64), True)
    """
    inputs: FloatImage = np.load(keep_network_inputs(dataset, parameters))
    return inputs


def network_input(image: GreyImage, parameters: Parameters) -> FloatImage:
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
    >>> network_input(image, Parameters(input_width=64)).shape
    (48, 64)
    """
    return shrunk_input(process_with(parameters, image).equalized, parameters.input_width)


def shrunk_input(processed: GreyImage, width: int) -> FloatImage:
    """The network's input, float32 (h, w) in [0, 1], of a processed micrograph, uint8 (H, W)."""
    return resize_by_area(processed, width) / np.float32(255)


def images_by_step(
    dataset: Dataset, parameters: Parameters, width: int
) -> dict[str, list[npt.NDArray[np.generic]]]:
    """All micrographs of a data set at every step on their way into the network.

    Parameters
    ----------
    dataset, parameters
        As in `processed_micrographs`.
    width
        Of the network's input, px; `input_width` is not used.

    Returns
    -------
    dict
        Name of the step and images in grey levels from 0 to 255.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> steps = images_by_step(draw_stand_ins(2, 0, (96, 128)), Parameters(), width=32)
    >>> list(steps)
    ['original', 'background subtracted', 'histogram equalised', "network's input"]
    >>> steps["network's input"][0].shape
    (24, 32)
    """
    with ThreadPoolExecutor(parameters.parallel_jobs or cpu_count()) as pool:
        images = [micrograph.image for micrograph in dataset.micrographs]
        processed = list(pool.map(partial(process_with, parameters), images))
    return {
        "original": list(images),
        "background subtracted": [each.subtracted for each in processed],
        "histogram equalised": [each.equalized for each in processed],
        "network's input": [resize_by_area(each.equalized, width) for each in processed],
    }


def keep_network_inputs(dataset: Dataset, parameters: Parameters) -> Path:
    """The file in the cache that holds `network_inputs`; made now if it is not there yet.

    Its name is a digest of all that determines its content.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> path = keep_network_inputs(draw_stand_ins(2, 0, (96, 128)), Parameters(input_width=64))
    >>> kept_inputs(path).shape
    (2, 48, 64)
    """
    width = parameters.input_width
    input_shape(dataset.shape, width)  # refuses to enlarge, before anything is processed
    names = [_name(micrograph.image, parameters) for micrograph in dataset.micrographs]
    name = digest(code_digest(__name__), names, width)
    folder = writable(build_folder() / "cache" / "inputs")
    remove_unfinished(folder)
    path = folder / f"{name}.npy"
    if read_sealed(path) is None:
        shrink = partial(shrunk_input, width=width)
        inputs = np.stack(_of_each_processed(dataset, parameters, shrink))
        write_sealed(path, lambda stream: np.save(stream, inputs))
    else:
        path.touch()  # in use: `fesemlib.command.cache` leaves it for a day
    return path


def kept_inputs(path: Path) -> FloatImage | None:
    """The network's inputs in a file of `keep_network_inputs`; None when missing or damaged.

    Examples
    --------
    >>> kept_inputs(Path("no_such_file.npy")) is None
    True
    """
    kept = read_sealed(path)
    return None if kept is None else np.load(kept)


def _of_each_processed(
    dataset: Dataset, parameters: Parameters, use: Callable[[GreyImage], _Result]
) -> list[_Result]:
    """What `use` makes of each processed micrograph, in the order of the data set.

    In threads: NumPy runs side by side in them, and the micrographs need not be copied.
    """
    folder = writable(build_folder() / "cache" / "processed")
    remove_unfinished(folder)
    images = [micrograph.image for micrograph in dataset.micrographs]
    paths = [folder / f"{_name(image, parameters)}.npy" for image in images]
    missing = {path for path in paths if not path.is_file()}
    done = sum(path not in missing for path in paths)
    workers = min(parameters.parallel_jobs or cpu_count(), len(images))
    with progress(len(images), "micrographs", done) as advance, ThreadPoolExecutor(workers) as pool:
        jobs = {
            pool.submit(_use_processed, path, image, parameters, use): path
            for path, image in zip(paths, images, strict=True)
        }
        try:
            for job in as_completed(jobs):
                job.result()
                if jobs[job] in missing:
                    advance()
        except BaseException:  # an interrupt too: what has begun is finished and kept, no more
            pool.shutdown(cancel_futures=True)
            raise
    return [job.result() for job in jobs]


def _use_processed(
    path: Path, image: GreyImage, parameters: Parameters, use: Callable[[GreyImage], _Result]
) -> _Result:
    kept = read_sealed(path)
    if kept is not None:
        return use(np.load(kept))
    processed = process_with(parameters, image).equalized
    write_sealed(path, lambda stream: np.save(stream, processed))
    return use(processed)


def _name(image: GreyImage, parameters: Parameters) -> str:
    """A digest of all that determines a processed micrograph."""
    return digest(_code(), parameters.model_dump(include=set(PROCESSING_PARAMETERS)), image)


@cache
def _code() -> tuple[str, ...]:
    return code_digest("fesemlib.processing"), version("numpy"), version("scikit-image")
