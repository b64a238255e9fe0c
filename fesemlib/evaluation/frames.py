"""Is one frame enough? Windows of a frame, further frames, and how their predictions combine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, islice

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.dataset import Dataset, fresh_stand_ins
from fesemlib.network.augmentation import TRANSFORMATIONS
from fesemlib.network.inputs import network_inputs
from fesemlib.params import Parameters
from fesemlib.processing import input_shape
from fesemlib.storage import digest
from fesemlib.validation import leave_one_out
from fesemlib.validation.errors import LOG_MEAN, WITHOUT_WORST, measures
from fesemlib.validation.leave_one_out import HeldOutNetworks

Place = tuple[slice, slice]  # rows and columns of an image

FLIPS, FRAMES = "flips of one frame", "frames of one formulation"  # sources of predictions

_MOST_SUBSETS = 500  # that `combined_errors` averages over


@dataclass(frozen=True)
class Scale:
    """How much of a frame a network sees at once, and how finely."""

    window: tuple[int, int]  # height and width of what becomes an input, px of the micrograph
    across: int  # windows that are cut in either direction
    pitch: float  # pixels of the micrograph that make one of the input, in either direction

    @property
    def name(self) -> str:
        """What predictions from these windows are called."""
        height, width = self.window
        return "whole frame" if self.across == 1 else f"windows of {width}×{height} px"


def window_places(shape: tuple[int, int], window: tuple[int, int], across: int) -> list[Place]:
    """Where windows (h, w) lie in a frame (H, W), px, so many in either direction, row by row.

    The outermost ones touch the edges of the frame; a single one lies in its middle.
    """
    tops, lefts = (
        np.linspace(0, whole - part, across).round().astype(int).tolist()
        if across > 1
        else [(whole - part) // 2]
        for part, whole in zip(window, shape, strict=True)
    )
    return grid_places(tops, lefts, window)


def grid_places(tops: Iterable[int], lefts: Iterable[int], size: tuple[int, int]) -> list[Place]:
    """Places of one size (h, w) at all pairs of first rows and first columns, row by row."""
    height, width = size
    columns = [slice(left, left + width) for left in lefts]
    return [(slice(top, top + height), column) for top in tops for column in columns]


def window_scales(shape: tuple[int, int], input_width: int, across: int) -> list[Scale]:
    """The whole frame (H, W), windows of a half and a quarter of its sides, and of native pixels.

    From the coarsest to the finest; only those with pixels no smaller than native.
    """
    height, width = shape
    network = input_shape(shape, input_width)
    parts = [(height // 2, width // 2), (height // 4, width // 4)]
    return [
        Scale(window, 1 if window == shape else across, window[1] / input_width)
        for window in dict.fromkeys([shape, *parts, network])
        if window[1] >= input_width and input_shape(window, input_width) == network
    ]


def window_dataset(dataset: Dataset, scale: Scale) -> Dataset:
    """The windows of all micrographs as micrographs of their own, each to be processed by itself.

    ``image`` names the micrograph and the window.
    """
    places = window_places(dataset.shape, scale.window, scale.across)
    micrographs = tuple(
        replace(micrograph, image=np.ascontiguousarray(micrograph.image[place]))
        for micrograph in dataset.micrographs
        for place in places
    )
    rows = dataset.images.loc[dataset.images.index.repeat(len(places))].reset_index(drop=True)
    if len(places) > 1:
        numbers = (rows.index % len(places) + 1).astype(str)
        rows["image"] = rows["image"] + ", window " + numbers
    name = digest(dataset.digest, scale)
    return replace(dataset, images=rows, micrographs=micrographs, digest=name, files=())


def window_predictions(dataset: Dataset, parameters: Parameters, scale: Scale) -> pd.DataFrame:
    """Leave-one-formulation-out with networks that are trained on windows, to the criterion.

    All windows of a formulation are held out together. One row a window: ``formulation, image,
    true_km, predicted_km`` (m² s⁻¹).
    """
    one_seed = parameters.changed(number_of_seeds=1)
    windows = window_dataset(dataset, scale)
    results = leave_one_out.leave_one_formulation_out(windows, one_seed, to_criterion=True)
    predictions = leave_one_out.held_out_predictions(results)
    return predictions[["formulation", "image", "true_km", "predicted_km"]]


def predictions_of_images(
    dataset: Dataset, parameters: Parameters, networks: HeldOutNetworks
) -> dict[str, pd.DataFrame]:
    """Predictions of several images of each formulation, rows as of `window_predictions`.

    `FLIPS` are the four of each micrograph. `FRAMES` are, of stand-ins, their own and
    `fresh_frames` more; otherwise the micrographs, if a formulation has several, or missing.
    """
    inputs = network_inputs(dataset, parameters)
    flips = [
        _predicted(dataset, np.stack([transform(image) for image in inputs]), networks, f", {name}")
        for name, transform in TRANSFORMATIONS.items()
    ]
    frames = [_predicted(dataset, inputs, networks)]
    if dataset.synthetic:
        of = parameters.fresh_frames, parameters.synthetic_seed
        fresh = fresh_stand_ins(*of, dataset.shape, parameters)
        frames.append(_predicted(fresh, network_inputs(fresh, parameters), networks))
    sources = {FLIPS: pd.concat(flips, ignore_index=True)}
    several = pd.concat(frames, ignore_index=True)
    return sources | {FRAMES: several} if several["formulation"].duplicated().any() else sources


def _predicted(
    dataset: Dataset, inputs: npt.NDArray[np.float32], networks: HeldOutNetworks, ending: str = ""
) -> pd.DataFrame:
    images = dataset.images
    return pd.DataFrame(
        {
            "formulation": images["formulation"],
            "image": images["image"] + ending,
            "true_km": images["k_m"],
            "predicted_km": networks.predict(inputs, images["formulation"].to_numpy()),
        }
    )


def compare_sources(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What several predictions of one formulation are worth, by their ``source``.

    Fractions of the true k_m: ``scatter`` about their mean, which averages away (standard deviation
    with n − 1, root mean square over the formulations; NaN for single predictions), and ``offset``
    of the mean, which does not (mean absolute value). Mean relative error of ``one`` prediction,
    and of the mean of ``all``, for that also the other two measures of a run. ``images`` counts
    those of the formulation with the fewest.
    """
    rows = {}
    for source, table in predictions.items():
        relative = table["predicted_km"] / table["true_km"] - 1
        grouped = relative.groupby(table["formulation"], sort=False)
        combined = combined_errors(table)
        mean = table.groupby("formulation", sort=False).mean(numeric_only=True)
        mean = mean.rename_axis("held_out").reset_index()
        mean["relative_error"] = (mean["predicted_km"] / mean["true_km"] - 1).abs()
        rows[source] = {
            "images": len(combined),
            "scatter": np.sqrt((grouped.std() ** 2).mean()),
            "offset": grouped.mean().abs().mean(),
            "one": combined.iloc[0],
            "all": combined.iloc[-1],
            **measures(mean)["median"][[WITHOUT_WORST, LOG_MEAN]],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("source")


def combined_errors(predictions: pd.DataFrame) -> pd.Series[float]:
    """Mean relative error when the predictions of several ``images`` are averaged.

    From one to as many as every formulation has; of each number the mean over its subsets, 500 at
    most, and over the formulations.
    """
    relative = predictions["predicted_km"] / predictions["true_km"] - 1
    groups = [
        part.to_numpy() for _, part in relative.groupby(predictions["formulation"], sort=False)
    ]
    numbers = pd.RangeIndex(1, min(map(len, groups)) + 1, name="images")
    errors = [np.mean([_error_of_means(group, number) for group in groups]) for number in numbers]
    return pd.Series(errors, index=numbers, name="error")


def _error_of_means(errors: npt.NDArray[np.float64], number: int) -> float:
    shuffled = np.random.default_rng(0).permutation(errors)
    subsets = islice(combinations(shuffled, number), _MOST_SUBSETS)
    return float(np.mean([abs(np.mean(subset)) for subset in subsets]))
