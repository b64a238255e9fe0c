"""What predictors are shown of a micrograph: numbers, whatever its size and magnification.

All micrographs are brought to one pixel size, about 1024 px for the width of the training set's
frames, before they are processed and their texture is measured: in what is a distance in pixels
there, lengths in µm are compared. The correlation length is that of the frame as recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fesemlib import borrowed
from fesemlib.dataset import Dataset
from fesemlib.formulations import percentages
from fesemlib.micrographs.files import PredictionError
from fesemlib.params import Parameters, ProcessingParameters
from fesemlib.processing import GreyImage, process_with, resample_by_area, resize_by_area
from fesemlib.texture import correlation_length, texture_measures, wavelet_scales

LENGTH, TEXTURE, COMPOSITION = "correlation length", "texture", "composition"
BORROWED = "borrowed filters"
"""The kinds of measures: columns of `measures_of`, on the first level."""

_WIDTH = 1024
_LEAST_SHARE = 0.5  # of the sides of the training set's frames, which a micrograph must cover


class Measuring:
    """How the micrographs of a set are measured, and new ones as they are.

    Parameters
    ----------
    shape
        Of the frames of the set, (H, W) in px.
    pixel_size_um
        Theirs, µm; None where it is not known: then lengths are in px, and new micrographs are
        taken for ones of the same magnification.
    parameters
        Of the processing; the radius of the ball is that on these frames.

    Examples
    --------
    >>> measuring = Measuring((768, 1024), 2.0, ProcessingParameters())
    >>> image = np.random.default_rng(0).integers(0, 256, (800, 1200)).astype(np.uint8)
    >>> measuring.reduced(image).shape, measuring.reduced(image, pixel_size_um=1.6).shape
    ((800, 1200), (640, 960))
    """

    def __init__(
        self,
        shape: tuple[int, int],
        pixel_size_um: float | None,
        parameters: ProcessingParameters,
    ) -> None:
        self._pitch = max(1.0, shape[1] / _WIDTH)
        self._pixel_size_um = pixel_size_um
        self._shape = (int(shape[0] / self._pitch), int(shape[1] / self._pitch))
        self._scales = wavelet_scales(self._shape)
        radius = max(parameters.background_radius_px / self._pitch, 1.0)
        processing = ProcessingParameters.of(parameters)
        self._processing = processing.changed(background_radius_px=radius)

    @cached_property
    def names(self) -> list[tuple[str, str]]:
        """Kind and name of every measure of `of`."""
        texture = texture_measures(np.zeros((64, 64), np.uint8), self._scales)
        return [(LENGTH, LENGTH), *((TEXTURE, ": ".join(name)) for name in texture.index)]

    def of(
        self, image: GreyImage, pixel_size_um: float | None = None, with_length: bool = True
    ) -> pd.Series[float]:
        """The correlation length and the texture of a micrograph as recorded, by kind and name.

        A pixel size that is not told is that of the set. Raises a PredictionError where the
        micrograph is too coarse or too small; the length is NaN where there is none, or is not
        wanted, as it takes longest.
        """
        texture = texture_measures(self.reduced(image, pixel_size_um), self._scales)
        length = self.length(image, pixel_size_um) if with_length else np.nan
        return pd.Series([length, *texture], pd.MultiIndex.from_tuples(self.names))

    def length(self, image: GreyImage, pixel_size_um: float | None = None) -> float:
        """The correlation length of a micrograph as recorded, µm (px); NaN where there is none."""
        try:
            own_um = pixel_size_um if self._pixel_size_um else None
            return correlation_length(image) * (own_um or self._pixel_size_um or 1.0)
        except ValueError:
            return np.nan

    def reduced(self, image: GreyImage, pixel_size_um: float | None = None) -> GreyImage:
        """A micrograph at the pixel size of the measures, processed."""
        pitch = self._pitch
        if pixel_size_um and self._pixel_size_um:
            pitch *= self._pixel_size_um / pixel_size_um
            pitch = self._pitch if abs(pitch / self._pitch - 1) <= 0.01 else pitch
        if pitch < 1:
            coarsest = self._pitch * (self._pixel_size_um or 1.0)
            raise PredictionError(
                f"{pixel_size_um:.4g} µm a pixel, but the model needs {coarsest:.4g} µm or finer; "
                "take the micrograph at a higher magnification, or tell the true pixel size with "
                "--pixel-size"
            )
        height, width = (int(side / pitch + 1e-9) for side in image.shape)
        if min(height / self._shape[0], width / self._shape[1]) < _LEAST_SHARE:
            least = [math.ceil(_LEAST_SHARE * side) for side in self._shape]
            needed = [math.ceil(side * pitch) for side in least]
            raise PredictionError(
                f"{image.shape[1]}×{image.shape[0]} px, but at this magnification the model needs "
                f"{needed[1]}×{needed[0]} px (width × height) or more; take the micrograph of a "
                "larger field"
            )
        if pitch > 1:
            whole = int(pitch)
            if whole == pitch:  # the same, and faster
                small = resize_by_area(image[: height * whole, : width * whole], width)
            else:
                small = resample_by_area(image, pitch, (height, width))
            image = np.round(small).astype(np.uint8)
        return process_with(self._processing, image).equalized


def measuring_of(dataset: Dataset, parameters: Parameters) -> Measuring:
    """How the micrographs of a data set are measured."""
    return Measuring(dataset.shape, dataset.pixel_size_um, parameters)


def measures_of(dataset: Dataset, parameters: Parameters) -> pd.DataFrame:
    """The measures of all micrographs of a data set, a row each; columns of `Measuring.of`.

    Where all formulations have a composition, also the mass % of each component; and where the
    parameter `predictor` asks for them, the borrowed features.
    """
    filters = []
    if parameters.predictor == "borrowed":  # first, as the weights may be missing
        filters.append(of_filters(dataset, parameters, {BORROWED: (borrowed.features,)}))
    measuring = measuring_of(dataset, parameters)
    images = [micrograph.image for micrograph in dataset.micrographs]
    with ThreadPoolExecutor(parameters.parallel_jobs or None) as pool:
        table = pd.DataFrame(list(pool.map(measuring.of, images)))
    composition = composition_of(dataset).loc[dataset.images["formulation"]]
    for component, percents in composition.items():
        table[COMPOSITION, component] = percents.to_numpy()
    return pd.concat([table, *filters], axis="columns")


def of_filters(dataset: Dataset, parameters: Parameters, kinds: Mapping[str, Any]) -> pd.DataFrame:
    """What filters say of the micrographs, by kind and number, a row each; kept in the cache.

    `kinds`: by kind, a tuple of a function such as `fesemlib.borrowed.features` and of what it
    takes after the image.
    """
    measuring = measuring_of(dataset, parameters)
    images = [measuring.reduced(micrograph.image) for micrograph in dataset.micrographs]
    tables = {kind: borrowed.measured(images, *how) for kind, how in kinds.items()}
    return pd.concat(tables, axis="columns")


def composition_of(dataset: Dataset) -> pd.DataFrame:
    """Mass % of each component, by formulation.

    No columns where all are alike, one is missing, or one is not written as
    ``"4% dextran + 1% mannitol"``.
    """
    formulations = dataset.formulations
    parts = [percentages(str(text)) for text in formulations.get("composition", [])]
    if not parts or None in parts:
        return pd.DataFrame(index=formulations.index)
    table = pd.DataFrame(parts, index=formulations.index).fillna(0.0)
    return table if (table != table.iloc[0]).any(axis=None) else table.iloc[:, :0]


def told_composition(text: str, components: Sequence[str]) -> pd.Series[float]:
    """Mass % of the components that a model knows, of a composition in words."""
    parts = percentages(text)
    if parts is None:
        raise PredictionError(
            f"composition {text!r}: write it as '4% dextran + 1% mannitol', in mass %"
        )
    known = {str(name).casefold(): name for name in components}
    parts = {known.get(name.casefold(), name): percent for name, percent in parts.items()}
    if sum(parts.values()) > 100:
        raise PredictionError(f"composition {text!r}: more than 100 mass %")
    if unknown := sorted(set(parts) - set(components)):
        raise PredictionError(
            f"composition {text!r}: {', '.join(unknown)} is unknown; the model knows "
            f"{', '.join(map(str, components))}"
        )
    return pd.Series({(COMPOSITION, name): parts.get(name, 0.0) for name in components})
