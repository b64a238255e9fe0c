"""Does a prediction survive the imaging? What a microscope and its operator may do to a frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import pandas as pd
from loky import cpu_count
from scipy import ndimage

from fesemlib.dataset import Dataset
from fesemlib.params import Parameters, ProcessingParameters
from fesemlib.processing.background import (
    GreyImage,
    equalize_histogram,
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
from fesemlib.validation.leave_one_out import TrainedNetwork

Images = npt.NDArray[np.float32]

_CHARGED_SIZE = 0.2  # standard deviation of the patch, of the sides of the frame
_STREAKS = 0.1  # standard deviation of the loss from scan line to scan line, relative to it
_STREAK_LINES_SHARE = 0.004  # of the height: how far a streak reaches


@dataclass(frozen=True)
class Degradation:
    """Something that may happen to a micrograph before it is processed.

    Attributes
    ----------
    unit
        Of the strengths.
    strengths
        That are tried, in ascending order.
    neutral
        The strength that changes nothing.
    apply
        From a micrograph (uint8, shape (H, W)), a strength and a generator to a micrograph.
    """

    unit: str
    strengths: tuple[float, ...]
    neutral: float
    apply: Callable[[GreyImage, float, np.random.Generator], GreyImage]

    def tried(self, number: int) -> tuple[float, ...]:
        """So many of the strengths, at equal steps, the last one among them.

        Examples
        --------
        >>> DEGRADATIONS["defocus"].tried(2)
        (2, 8)
        """
        ends = np.linspace(0, len(self.strengths), number + 1)[1:]
        return tuple(self.strengths[math.ceil(end) - 1] for end in ends)


def _brightness(image: GreyImage, offset: float, _: np.random.Generator) -> GreyImage:
    return _grey(image.astype(np.float32) + offset)


def _contrast(image: GreyImage, factor: float, _: np.random.Generator) -> GreyImage:
    mean = float(image.mean())
    return _grey(mean + factor * (image - mean))


def _defocus(image: GreyImage, sigma: float, _: np.random.Generator) -> GreyImage:
    if sigma == 0:
        return image
    return _grey(ndimage.gaussian_filter(image.astype(np.float32), sigma, mode="reflect"))


def _noise(image: GreyImage, deviation: float, random: np.random.Generator) -> GreyImage:
    return _grey(image + deviation * random.standard_normal(image.shape, dtype=np.float32))


def _charging(image: GreyImage, loss: float, random: np.random.Generator) -> GreyImage:
    y, x = (
        (np.linspace(0, 1, side) - random.uniform(0.2, 0.8)) / _CHARGED_SIZE for side in image.shape
    )
    patch = np.exp(-(y[:, np.newaxis] ** 2 + x**2) / 2)
    reach = max(_STREAK_LINES_SHARE * image.shape[0], 0.5)
    lines = ndimage.gaussian_filter1d(random.standard_normal(image.shape[0]), reach, mode="reflect")
    lines *= _STREAKS / max(float(lines.std()), 1e-9)
    left = 1 - loss * (1 + lines[:, np.newaxis]) * patch
    return _grey(image * np.clip(left, 0, 1))


def _shift(image: GreyImage, percent: float, _: np.random.Generator) -> GreyImage:
    pixels = round(percent / 100 * image.shape[1])
    mirrored = np.pad(image, ((0, 0), (pixels, 0)), mode="symmetric")
    return np.ascontiguousarray(mirrored[:, : image.shape[1]])


def _rotation(image: GreyImage, degrees: float, _: np.random.Generator) -> GreyImage:
    if degrees % 180 == 0:
        return np.ascontiguousarray(np.rot90(image, round(degrees / 90)))
    turned = ndimage.rotate(
        image.astype(np.float32), degrees, reshape=False, order=1, mode="reflect"
    )
    return _grey(turned)


@dataclass(frozen=True)
class Reader:
    """Networks of one kind.

    Attributes
    ----------
    networks
        For each formulation one that was trained on the others.
    width
        Of their input, px.
    """

    networks: Mapping[str, TrainedNetwork]
    width: int


DEGRADATIONS: dict[str, Degradation] = {
    "brightness": Degradation("grey levels added", (-40, -20, 20, 40), 0, _brightness),
    "contrast": Degradation("factor about the mean", (0.25, 0.5, 0.75, 1.5), 1, _contrast),
    "defocus": Degradation("σ of the blur, px", (1, 2, 4, 8), 0, _defocus),
    "noise": Degradation("σ of the noise, grey levels", (5, 10, 20, 40), 0, _noise),
    "charging": Degradation("signal lost in the middle", (0.2, 0.4, 0.6, 0.8), 0, _charging),
    "shift": Degradation("% of the width", (1, 5, 10, 25), 0, _shift),
    "rotation": Degradation("degrees", (2, 5, 15, 180), 0, _rotation),
}
"""What is done to the micrograph, by name.

Brightness and contrast saturate at black and white. The blur is Gaussian, the noise normal and of
one strength at all grey levels. A charged patch is a broad dark spot at a random place, streaked
along the scan as that of the stand-ins. Where a shift (to the right) or a rotation leaves the frame
empty, the frame goes on as its mirror image: the size of frame and pores stays, at the price of a
seam; a crop would have to enlarge what is left. A rotation interpolates linearly, which smooths,
except for 180°, which is exact.
"""


def degrade(image: GreyImage, name: str, strength: float, random: np.random.Generator) -> GreyImage:
    """Do to a micrograph what a microscope or its operator may do.

    Parameters
    ----------
    image
        Grey levels, uint8, shape (H, W).
    name
        One of `DEGRADATIONS`.
    strength
        In its unit; at the neutral one the image stays as it is.
    random
        Used by noise and charging.

    Returns
    -------
    ndarray
        uint8, shape (H, W).

    Examples
    --------
    >>> image = np.array([[0, 100, 250]], np.uint8)
    >>> degrade(image, "brightness", 20, np.random.default_rng(0)).tolist()  # white saturates
    [[20, 120, 255]]
    """
    kind = DEGRADATIONS[name]
    return image if strength == kind.neutral else kind.apply(image, strength, random)


def degraded_inputs(
    dataset: Dataset, parameters: Parameters, name: str, strength: float, widths: Sequence[int]
) -> dict[int, Images]:
    """Inputs of networks from micrographs that were degraded before they were processed.

    Parameters
    ----------
    dataset
        The micrographs; of each formulation the first one is used.
    parameters
        Those of processing; `first_seed` for what is random, which is the same at all strengths.
    name
        One of `DEGRADATIONS`.
    strength
        In its unit.
    widths
        Of the inputs, px.

    Returns
    -------
    dict
        Width and inputs in [0, 1], float32, shape (n, h, w), in the order of the formulations. Kept
        in the cache.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     inputs = degraded_inputs(dataset, Parameters(), "defocus", 2, widths=[32, 64])
    >>> {width: images.shape for width, images in inputs.items()}
    {32: (2, 24, 32), 64: (2, 48, 64)}
    """
    images = [dataset.micrographs[position].image for position in _first_images(dataset)]
    code = (
        code_digest(__name__, "fesemlib.processing"),
        version("scipy"),
        version("numpy"),
    )
    settings = {**ProcessingParameters.values_of(parameters), "first_seed": parameters.first_seed}
    folder = writable(build_folder() / "cache" / "degraded")
    remove_unfinished(folder)
    name_of_all = digest(code, settings, name, strength, *images)
    paths = {width: folder / f"{name_of_all}-{width}.npy" for width in widths}
    streams = {width: read_sealed(path) for width, path in paths.items()}
    kept = {width: np.load(stream) for width, stream in streams.items() if stream is not None}
    missing = [width for width in paths if width not in kept]
    if missing:
        make = partial(_degraded_input, parameters, name, strength, missing)
        with ThreadPoolExecutor(parameters.parallel_jobs or cpu_count()) as pool:
            made = list(pool.map(make, range(len(images)), images))
        for width, same in zip(missing, zip(*made, strict=True), strict=True):
            kept[width] = np.stack(same)
            write_sealed(paths[width], partial(np.save, arr=kept[width]))
    return kept


def degraded_predictions(
    dataset: Dataset, parameters: Parameters, readers: Mapping[str, Reader]
) -> pd.DataFrame:
    """What networks predict of degraded micrographs of formulations that they have not seen.

    Parameters
    ----------
    dataset, parameters
        As in `degraded_inputs`; of each degradation `imaging_strengths` are tried.
    readers
        Name and networks.

    Returns
    -------
    DataFrame
        One row for each reader, degradation, strength and formulation: ``reader, degradation,
        strength, formulation, true_km, clean_km, predicted_km`` (m² s⁻¹), ``change`` (predicted
        over clean, less one) and ``relative_error``. The neutral strength is among them.

    Examples
    --------
    What sees nothing survives everything:

    >>> from types import SimpleNamespace
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> blind = SimpleNamespace(predict=lambda images: np.full(len(images), 1e-3))
    >>> readers = {"blind": Reader({"1": blind, "2": blind}, width=32)}
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     table = degraded_predictions(dataset, Parameters(), readers)
    >>> table["degradation"].nunique() == len(DEGRADATIONS), float(table["change"].abs().max())
    (True, 0.0)
    """
    widths = tuple(dict.fromkeys(reader.width for reader in readers.values()))
    clean = _predicted(
        readers, degraded_inputs(dataset, parameters, "brightness", 0.0, widths), dataset
    )
    clean = clean.rename(columns={"predicted_km": "clean_km"})
    tables = []
    number = parameters.imaging_strengths
    with progress(number * len(DEGRADATIONS), "imagings") as step:
        for name, kind in DEGRADATIONS.items():
            tables.append(_labelled(clean.assign(predicted_km=clean["clean_km"]), name, kind))
            for strength in kind.tried(number):
                inputs = degraded_inputs(dataset, parameters, name, strength, widths)
                predicted = _predicted(readers, inputs, dataset)["predicted_km"]
                tables.append(_labelled(clean.assign(predicted_km=predicted), name, kind, strength))
                step()
    table = pd.concat(tables, ignore_index=True)
    return table.assign(
        change=table["predicted_km"] / table["clean_km"] - 1,
        relative_error=(table["predicted_km"] - table["true_km"]).abs() / table["true_km"],
    )


def exchanged_changes(dataset: Dataset, parameters: Parameters, reader: Reader) -> pd.Series[float]:
    """How a prediction changes when the micrograph is exchanged for that of another formulation.

    It is the yardstick for every other change: a network that says the same of all micrographs
    survives everything and reads nothing.

    Parameters
    ----------
    dataset, parameters
        As in `degraded_inputs`.
    reader
        The networks.

    Returns
    -------
    Series
        Indexed by the formulation held out: mean over the others of ``|predicted / clean − 1|``.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> counts = SimpleNamespace(predict=lambda images: np.arange(1.0, len(images) + 1))
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     reader = Reader({"1": counts, "2": counts}, width=32)
    ...     exchanged_changes(dataset, Parameters(), reader).to_dict()  # 2/1 - 1, and 1/2 - 1
    {'1': 1.0, '2': 0.5}
    """
    inputs = degraded_inputs(dataset, parameters, "brightness", 0.0, (reader.width,))[reader.width]
    names = list(dataset.formulations.index)
    changes = {}
    for position, name in enumerate(names):
        predicted = reader.networks[str(name)].predict(inputs)
        others = np.delete(predicted, position) / predicted[position] - 1
        changes[name] = float(np.abs(others).mean())
    return pd.Series(changes, name="change").rename_axis("formulation")


def processing_changes(image: GreyImage, parameters: Parameters) -> pd.DataFrame:
    """By how much brightness and contrast change a micrograph before and after the processing.

    Parameters
    ----------
    image
        A micrograph. Its grey levels are brought to half their range first, so that nothing
        saturates at black or white.
    parameters
        Those of processing.

    Returns
    -------
    DataFrame
        Indexed by what is done: mean of the absolute change in grey levels of the micrograph
        (``micrograph``), of it with its histogram equalised alone (``equalised``) and as it is
        processed for the network (``processed``).

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 256, (48, 64)).astype(np.uint8)
    >>> changes = processing_changes(image, Parameters())
    >>> float(changes["equalised"].max())  # whatever keeps the order of grey levels
    0.0
    """
    base = (image // 2 + 64).astype(np.uint8)
    random = np.random.default_rng(0)  # not used by these
    steps: dict[str, Callable[[GreyImage], GreyImage]] = {
        "micrograph": lambda grey: grey,
        "equalised": partial(equalize_histogram, method=parameters.equalization),
        "processed": lambda grey: process_with(parameters, grey).equalized,
    }
    rows = {}
    for name, strength in (("brightness", -40.0), ("brightness", 40.0), ("contrast", 1.5)):
        changed = degrade(base, name, strength, random)
        rows[f"{name} {strength:+g}" if name == "brightness" else f"{name} × {strength:g}"] = {
            step: float(np.abs(use(changed).astype(float) - use(base)).mean())
            for step, use in steps.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _degraded_input(
    parameters: Parameters,
    name: str,
    strength: float,
    widths: Sequence[int],
    position: int,
    image: GreyImage,
) -> list[Images]:
    random = np.random.default_rng((parameters.first_seed, position))
    processed = process_with(parameters, degrade(image, name, strength, random)).equalized
    return [resize_by_area(processed, width) / np.float32(255) for width in widths]


def _predicted(
    readers: Mapping[str, Reader], inputs: Mapping[int, Images], dataset: Dataset
) -> pd.DataFrame:
    names = [str(name) for name in dataset.formulations.index]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "reader": label,
                    "formulation": names,
                    "true_km": dataset.formulations["k_m"].to_numpy(),
                    "predicted_km": [
                        float(reader.networks[name].predict(image[np.newaxis])[0])
                        for name, image in zip(names, inputs[reader.width], strict=True)
                    ],
                }
            )
            for label, reader in readers.items()
        ],
        ignore_index=True,
    )


def _labelled(
    table: pd.DataFrame, name: str, kind: Degradation, strength: float | None = None
) -> pd.DataFrame:
    return table.assign(
        degradation=name, strength=float(kind.neutral if strength is None else strength)
    )


def _first_images(dataset: Dataset) -> list[int]:
    return [dataset.first_image(str(name)) for name in dataset.formulations.index]


def _grey(levels: npt.NDArray[np.floating]) -> GreyImage:
    grey: GreyImage = np.clip(np.round(levels), 0, 255).astype(np.uint8)
    return grey
