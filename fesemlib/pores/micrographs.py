"""Micrographs → their pores at stated thresholds, in µm where the pixel size is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from loky import cpu_count
from scipy import ndimage
from skimage.measure import euler_number

from fesemlib.dataset import Dataset
from fesemlib.micrographs.reading import read_micrograph
from fesemlib.params import Parameters, ProcessingParameters
from fesemlib.pores.measures import (
    BoolImage,
    FloatArray,
    chord_lengths,
    largest_piece,
    local_thickness,
    threshold_level,
)
from fesemlib.processing import GreyImage, process_with
from fesemlib.progress import progress
from fesemlib.storage import code_digest, digest, folder_in_cache, read_sealed, write_sealed
from fesemlib.texture import correlation_length

THRESHOLDS = ("otsu", "median")
SMOOTHING_PX = 1.0
"""Standard deviation of the blur before the threshold, against the noise of single pixels."""


class PoresError(ValueError):
    """A micrograph has no pores at a threshold, or nothing but pores, or lacks its pixel size."""


@dataclass(frozen=True, eq=False)
class Pores:
    """What of a micrograph is taken for pores at one threshold; lengths in `unit`.

    Examples
    --------
    >>> image = np.full((64, 96), 200, np.uint8)
    >>> image[20:41, 30:60] = 50
    >>> asked = ProcessingParameters(processing="none")
    >>> (found,) = find_pores(image, asked, ["100"], pixel_size_um=2.0)
    >>> found.mask.sum().item(), found.unit
    (626, 'µm')
    """

    threshold: str
    level: int  # the brightest that is pore
    frame: GreyImage  # what the level is of: background subtracted, blurred; shape (H, W)
    unit: str  # "µm" or "px"
    chords: FloatArray  # shape (n,)
    chord_weights: FloatArray  # shape (n,), what each chord counts
    thickness: FloatArray  # shape (H, W), the local thickness; zero outside the pores
    measures: dict[str, float]  # by name and unit

    @property
    def mask(self) -> BoolImage:
        """Where the pores are, shape (H, W)."""
        return np.asarray(self.frame <= self.level)


def find_pores(
    image: GreyImage,
    parameters: ProcessingParameters,
    thresholds: Sequence[str] = THRESHOLDS,
    pixel_size_um: float | None = None,
) -> list[Pores]:
    """Take what is dark for pores, and measure it.

    The threshold is one of the micrograph whose background is subtracted, which is then blurred by
    1 px. Its histogram is not equalised: after that each grey level is a share of the area, and
    Otsu's would be a half of any micrograph.

    Parameters
    ----------
    image
        As recorded, without data bar, uint8, shape (H, W).
    parameters
        Of the processing.
    thresholds
        As for `threshold_level`.
    pixel_size_um
        Edge of a pixel, µm; where it is not known, lengths are in px, and areas in Mpx.

    Returns
    -------
    list of Pores
        One for each threshold. Their measures: the share of the frame that is pore, the mean chord,
        the mean local thickness over the area of the pores, and its 10 % and 90 % quantiles, the
        share of the pores in one piece, the Euler number (pieces less the holes in them) per area,
        and the correlation length of the micrograph as recorded, which needs no threshold.

    Raises
    ------
    PoresError
        When all of the frame is on one side of a threshold.

    Examples
    --------
    >>> from fesemlib.synthetic import synthesize_micrograph
    >>> stand_in = synthesize_micrograph(1e-3, seed=0, shape=(192, 256))
    >>> otsu, median = find_pores(
    ...     stand_in.image, ProcessingParameters(), pixel_size_um=stand_in.pixel_size_um
    ... )
    >>> print(f"{median.measures['porosity']:.1f}")  # as the median would have it of any image
    0.5
    """
    subtracted = process_with(parameters, image).subtracted.astype(np.float32)
    frame = np.rint(ndimage.gaussian_filter(subtracted, SMOOTHING_PX)).astype(np.uint8)
    length = np.nan
    with suppress(ValueError):  # there may be none
        length = correlation_length(image)
    return [_measured(frame, threshold, length, pixel_size_um) for threshold in thresholds]


def pores_of_file(
    file: str,
    parameters: Parameters,
    thresholds: Sequence[str],
    pixel_size_um: float | None = None,
    page: int = 1,
) -> tuple[GreyImage, list[Pores]]:
    """A micrograph as it is read, and its pores in µm; the pixel size counts where it is told."""
    micrograph = read_micrograph(file, parameters.crop, page)
    pixel_size_um = pixel_size_um or micrograph.pixel_size_um
    try:
        if pixel_size_um is None:
            raise PoresError(
                "the pixel size is not known, and lengths in µm need it; tell it with --pixel-size"
            )
        if micrograph.has_data_bar:
            raise PoresError("the data bar would be measured, too; leave crop at auto")
        found = find_pores(micrograph.image, parameters, thresholds, pixel_size_um)
    except PoresError as error:
        raise PoresError(f"{file}: {error}") from None
    return micrograph.image, found


def _measured(frame: GreyImage, threshold: str, length_px: float, um: float | None) -> Pores:
    level, pitch, unit = threshold_level(frame, threshold), um or 1.0, "µm" if um else "px"
    pores = frame <= level
    if pores.all() or not pores.any():
        raise PoresError(
            f"{'nothing but' if pores.all() else 'no'} pores up to grey level {level} "
            f"({threshold}): without the background, levels are {frame.min()} to {frame.max()}; "
            "choose another threshold (--threshold), or leave the micrograph out"
        )
    chords, weights = chord_lengths(pores)
    thickness = pitch * local_thickness(pores)
    covering = thickness[pores]
    low, high = np.quantile(covering, [0.1, 0.9])
    area = "mm²" if um else "Mpx"
    measures = {
        "porosity": float(pores.mean()),
        f"mean chord ({unit})": pitch * _mean(chords, weights),
        f"mean thickness ({unit})": float(covering.mean()),
        f"thickness, 10 % ({unit})": float(low),
        f"thickness, 90 % ({unit})": float(high),
        "share in one piece": largest_piece(pores),
        f"Euler number (per {area})": 1e6 * euler_number(pores, 1) / (pores.size * pitch**2),  # type: ignore[no-untyped-call]
        f"correlation length ({unit})": pitch * length_px,
    }
    return Pores(threshold, level, frame, unit, pitch * chords, weights, thickness, measures)


def _mean(values: FloatArray, weights: FloatArray) -> float:
    return float(np.average(values, weights=weights)) if values.size else np.nan


def measure_pores(
    dataset: Dataset, parameters: Parameters, thresholds: Sequence[str] = THRESHOLDS
) -> pd.DataFrame:
    """The measures of `find_pores` of all micrographs of a data set.

    Returns
    -------
    DataFrame
        A row for each micrograph and threshold: ``formulation``, ``image``, ``k_m`` (m² s⁻¹),
        ``threshold``, ``grey level``, and the measures, in µm if the set has a pixel size.

    Raises
    ------
    PoresError
        As `find_pores`; it names the micrograph.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> table = measure_pores(draw_stand_ins(2, 0, (96, 128)), Parameters())
    >>> table["threshold"].to_list()
    ['otsu', 'median', 'otsu', 'median']
    """

    told = ProcessingParameters.values_of(parameters), tuple(thresholds)
    name = digest(code_digest(__package__, "fesemlib.processing"), dataset.digest, *told)
    path = folder_in_cache("pores") / f"{name}.json"
    if kept := read_sealed(path):
        return pd.DataFrame(json.load(kept))
    rows: list[dict[str, object]] = []
    with (
        progress(len(dataset.micrographs), "micrographs") as advance,
        ThreadPoolExecutor(parameters.parallel_jobs or cpu_count()) as pool,
    ):
        number = range(len(dataset.micrographs))
        for of_one in pool.map(partial(_rows, dataset, parameters, thresholds), number):
            rows += of_one
            advance()
    write_sealed(path, lambda stream: stream.write(json.dumps(rows).encode()))
    return pd.DataFrame(rows)


def _rows(
    dataset: Dataset, parameters: Parameters, thresholds: Sequence[str], number: int
) -> list[dict[str, object]]:
    told = dataset.images[["formulation", "image", "k_m"]].iloc[number].to_dict()
    try:
        image = dataset.micrographs[number].image
        found = find_pores(image, parameters, thresholds, dataset.pixel_size_um)
    except PoresError as error:
        raise PoresError(f"{told['image']}: {error}") from None
    return [told | row_of(each) for each in found]


def row_of(pores: Pores) -> dict[str, object]:
    """The threshold and the measures, as the columns of a table."""
    return {"threshold": pores.threshold, "grey level": pores.level, **pores.measures}
