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

from fesemlib import storage
from fesemlib.dataset import Dataset
from fesemlib.network.inputs import network_inputs, shrunk_input
from fesemlib.params import Parameters, ProcessingParameters
from fesemlib.processing import GreyImage, equalize_histogram, process_with
from fesemlib.progress import progress
from fesemlib.validation.errors import relative_error
from fesemlib.validation.leave_one_out import HeldOutNetworks

Images = npt.NDArray[np.float32]

_CHARGED_SIZE = 0.2  # standard deviation of the patch, of the sides of the frame
_STREAKS = 0.1  # standard deviation of the loss from scan line to scan line, relative to it
_STREAK_LINES_SHARE = 0.004  # of the height: how far a streak reaches


@dataclass(frozen=True)
class Degradation:
    """Something that may happen to a micrograph before it is processed."""

    unit: str  # of the strengths
    strengths: tuple[float, ...]  # that are tried, in ascending order
    neutral: float  # the strength that changes nothing
    apply: Callable[[GreyImage, float, np.random.Generator], GreyImage]

    def tried(self, number: int) -> tuple[float, ...]:
        """So many of the strengths, at equal steps, the last one among them."""
        ends = np.linspace(0, len(self.strengths), number + 1)[1:]
        return tuple(self.strengths[math.ceil(end) - 1] for end in ends)


def _brightness(image: GreyImage, offset: float, _: np.random.Generator) -> GreyImage:
    return _grey(image.astype(np.float32) + offset)


def _contrast(image: GreyImage, factor: float, _: np.random.Generator) -> GreyImage:
    mean = float(image.mean())
    return _grey(mean + factor * (image - mean))


def _defocus(image: GreyImage, sigma: float, _: np.random.Generator) -> GreyImage:
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
    levels = image.astype(np.float32)
    return _grey(ndimage.rotate(levels, degrees, reshape=False, order=1, mode="reflect"))


def _grey(levels: npt.NDArray[np.floating]) -> GreyImage:
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)


# Brightness and contrast saturate at black and white. The blur is Gaussian, the noise normal and of
# one strength at all grey levels. A charged patch is a broad dark spot at a random place, streaked
# along the scan as that of the stand-ins. Where a shift (to the right) or a rotation leaves the
# frame empty, the frame goes on as its mirror image: the size of frame and pores stays, at the
# price of a seam; a crop would have to enlarge what is left. A rotation interpolates linearly,
# which smooths, except for 180°, which is exact.
DEGRADATIONS: dict[str, Degradation] = {
    "brightness": Degradation("grey levels added", (-40, -20, 20, 40), 0, _brightness),
    "contrast": Degradation("factor about the mean", (0.25, 0.5, 0.75, 1.5), 1, _contrast),
    "defocus": Degradation("σ of the blur, px", (1, 2, 4, 8), 0, _defocus),
    "noise": Degradation("σ of the noise, grey levels", (5, 10, 20, 40), 0, _noise),
    "charging": Degradation("signal lost in the middle", (0.2, 0.4, 0.6, 0.8), 0, _charging),
    "shift": Degradation("% of the width", (1, 5, 10, 25), 0, _shift),
    "rotation": Degradation("degrees", (2, 5, 15, 180), 0, _rotation),
}


def degrade(image: GreyImage, name: str, strength: float, random: np.random.Generator) -> GreyImage:
    """Do one of `DEGRADATIONS` to a micrograph, uint8 (H, W); not at its neutral strength."""
    kind = DEGRADATIONS[name]
    return image if strength == kind.neutral else kind.apply(image, strength, random)


def clean_inputs(dataset: Dataset, parameters: Parameters, width: int) -> Images:
    """Inputs of this width (px) of the first micrograph of each formulation, (n, h, w)."""
    return network_inputs(dataset, parameters.changed(input_width=width))[_first_images(dataset)]


def degraded_inputs(
    dataset: Dataset, parameters: Parameters, name: str, strength: float, widths: Sequence[int]
) -> dict[int, Images]:
    """By width (px), the inputs of micrographs that were degraded before they were processed.

    Of the first micrograph of each formulation, in [0, 1], shape (n, h, w); kept in the cache. What
    is random comes from `first_seed` and is the same at all strengths.
    """
    images = [dataset.micrographs[position].image for position in _first_images(dataset)]
    code = storage.code_digest(__name__, "fesemlib.network.inputs", "fesemlib.processing")
    settings = {**ProcessingParameters.values_of(parameters), "first_seed": parameters.first_seed}
    made_by = (code, version("scipy"), version("numpy"), settings, name, strength, list(widths))
    path = storage.folder_in_cache("degraded") / f"{storage.digest(*made_by, *images)}.npz"

    def shrunk(position: int) -> list[Images]:
        random = np.random.default_rng((parameters.first_seed, position))
        changed = degrade(images[position], name, strength, random)
        processed = process_with(parameters, changed).equalized
        return [shrunk_input(processed, width) for width in widths]

    kept = storage.read_sealed(path)
    if kept is None:
        with ThreadPoolExecutor(parameters.parallel_jobs or cpu_count()) as pool:
            of_widths = zip(*pool.map(shrunk, range(len(images))), strict=True)
            inputs = [np.stack(same) for same in of_widths]
        storage.write_sealed(path, lambda stream: np.savez(stream, *inputs))
    else:
        inputs = list(np.load(kept).values())
    return dict(zip(widths, inputs, strict=True))


def degraded_predictions(
    dataset: Dataset, parameters: Parameters, readers: Mapping[str, HeldOutNetworks]
) -> pd.DataFrame:
    """What networks predict of degraded micrographs of formulations that they have not seen.

    Of each degradation `imaging_strengths` are tried, and the neutral one. One row for each
    ``reader, formulation, degradation, strength``: ``true_km, clean_km, predicted_km`` (m² s⁻¹),
    ``change`` (predicted over clean, less one) and ``relative_error``.
    """
    names = dataset.formulations.index.to_numpy()
    widths = sorted({networks.width for networks in readers.values()})

    def predicted(inputs: Mapping[int, Images]) -> npt.NDArray[np.float64]:
        return np.concatenate(
            [networks.predict(inputs[networks.width], names) for networks in readers.values()]
        )

    clean = pd.DataFrame(
        {
            "reader": np.repeat(list(readers), len(names)),
            "formulation": np.tile(names, len(readers)),
            "true_km": np.tile(dataset.formulations["k_m"], len(readers)),
            "clean_km": predicted({w: clean_inputs(dataset, parameters, w) for w in widths}),
        }
    )
    tables = []
    number = parameters.imaging_strengths
    with progress(number * len(DEGRADATIONS), "imagings") as step:
        for name, kind in DEGRADATIONS.items():
            same = clean.assign(predicted_km=clean["clean_km"], degradation=name)
            tables.append(same.assign(strength=float(kind.neutral)))
            for strength in kind.tried(number):
                inputs = degraded_inputs(dataset, parameters, name, strength, widths)
                changed = same.assign(predicted_km=predicted(inputs), strength=float(strength))
                tables.append(changed)
                step()
    table = pd.concat(tables, ignore_index=True)
    return table.assign(
        change=table["predicted_km"] / table["clean_km"] - 1,
        relative_error=relative_error(table["predicted_km"], table["true_km"]),
    )


def exchanged_changes(
    dataset: Dataset, parameters: Parameters, networks: HeldOutNetworks
) -> pd.Series[float]:
    """How a prediction changes when the micrograph is exchanged for that of another formulation.

    Of each formulation held out, the mean over the others of ``|predicted / clean − 1|``: the
    yardstick for every other change. What says the same of all micrographs survives everything.
    """
    inputs = clean_inputs(dataset, parameters, networks.width)
    changes = {}
    for position, name in enumerate(dataset.formulations.index):
        predicted = networks.of[name].predict(inputs)
        others = np.delete(predicted, position) / predicted[position] - 1
        changes[name] = np.abs(others).mean()
    return pd.Series(changes, name="change").rename_axis("formulation")


def processing_changes(image: GreyImage, parameters: Parameters) -> pd.DataFrame:
    """By how much brightness and contrast change a micrograph before and after the processing.

    Mean of the absolute change in grey levels of the ``micrograph``, of it with its histogram
    ``equalised`` alone and as it is ``processed`` for the network. Its grey levels are brought to
    half their range first, so that nothing saturates at black or white.
    """
    base = (image // 2 + 64).astype(np.uint8)
    degraded = partial(degrade, base, random=np.random.default_rng(0))  # not used by these
    steps: dict[str, Callable[[GreyImage], GreyImage]] = {
        "micrograph": lambda grey: grey,
        "equalised": partial(equalize_histogram, method=parameters.equalization),
        "processed": lambda grey: process_with(parameters, grey).equalized,
    }
    changed = {
        "brightness −40": degraded("brightness", -40),
        "brightness +40": degraded("brightness", 40),
        "contrast × 1.5": degraded("contrast", 1.5),
    }
    changes = {
        step: [np.abs(use(each).astype(float) - use(base)).mean() for each in changed.values()]
        for step, use in steps.items()
    }
    return pd.DataFrame(changes, index=list(changed))


def _first_images(dataset: Dataset) -> list[int]:
    return [dataset.first_image(name) for name in dataset.formulations.index]
