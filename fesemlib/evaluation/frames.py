"""Is one frame enough? Windows of a frame, further frames, and how their predictions combine."""

from __future__ import annotations

from collections.abc import Mapping
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
from fesemlib.validation.errors import LOG_MEAN, WITHOUT_WORST, measures
from fesemlib.validation.leave_one_out import (
    Split,
    TrainedNetwork,
    held_out_predictions,
    train_splits,
)

Place = tuple[slice, slice]

FLIPS = "flips of one frame"
"""What the predictions of `flipped_predictions` are called."""

_MOST_SUBSETS = 500  # that `combined_errors` averages over


@dataclass(frozen=True)
class Scale:
    """How much of a frame a network sees at once, and how finely.

    Attributes
    ----------
    window
        Height and width of the part that becomes an input, in px of the micrograph.
    across
        How many of them are cut in either direction.
    pitch
        Pixels of the micrograph that make one pixel of the input, in either direction.
    """

    window: tuple[int, int]
    across: int
    pitch: float

    @property
    def name(self) -> str:
        """What predictions from these windows are called."""
        if self.across == 1:
            return "whole frame"
        height, width = self.window
        return f"windows of {width}×{height} px"


def window_places(shape: tuple[int, int], window: tuple[int, int], across: int) -> list[Place]:
    """Where windows lie that are spread evenly over a frame.

    Parameters
    ----------
    shape
        Of the frame (H, W) in px.
    window
        Of each window (h, w) in px.
    across
        How many windows in either direction. The outermost ones touch the edges of the frame; a
        single one lies in its middle.

    Returns
    -------
    list of (slice, slice)
        Row by row; they tile the frame where it is `across` windows high and wide, and overlap
        where it is less.

    Raises
    ------
    ValueError
        When the window is larger than the frame, or there is none.

    Examples
    --------
    >>> [(place[0].start, place[1].start) for place in window_places((100, 200), (50, 100), 2)]
    [(0, 0), (0, 100), (50, 0), (50, 100)]
    """
    if across < 1 or any(part > whole for part, whole in zip(window, shape, strict=True)):
        raise ValueError(f"{across} × {across} windows of {window} px in a frame of {shape} px")
    starts = [
        [(whole - part) // 2]
        if across == 1
        else np.linspace(0, whole - part, across).round().astype(int).tolist()
        for part, whole in zip(window, shape, strict=True)
    ]
    height, width = window
    return [
        (slice(top, top + height), slice(left, left + width))
        for top in starts[0]
        for left in starts[1]
    ]


def window_scales(shape: tuple[int, int], input_width: int, across: int) -> list[Scale]:
    """The whole frame, windows of a half and a quarter of its sides, and windows of native pixels.

    Parameters
    ----------
    shape
        Of the micrographs (H, W) in px.
    input_width
        Of the network, px.
    across
        How many windows are cut in either direction from one frame.

    Returns
    -------
    list of Scale
        From the coarsest to the finest pixels; only those with pixels no smaller than native.

    Examples
    --------
    >>> [scale.name for scale in window_scales((1536, 2048), 512, across=4)]
    ['whole frame', 'windows of 1024×768 px', 'windows of 512×384 px']
    """
    height, width = shape
    network = input_shape(shape, input_width)
    windows = [shape] + [
        (height // parts, width // parts)
        for parts in (2, 4)
        if input_width <= width // parts
        and input_shape((height // parts, width // parts), input_width) == network
    ]
    if network not in windows:
        windows.append(network)
    return [
        Scale(window, 1 if window == shape else across, window[1] / input_width)
        for window in windows
    ]


def window_dataset(dataset: Dataset, scale: Scale) -> Dataset:
    """The windows of all micrographs, as micrographs of their own.

    Parameters
    ----------
    dataset
        The micrographs, before any processing: each window will be processed by itself.
    scale
        Which windows.

    Returns
    -------
    Dataset
        Of the same formulations; ``image`` names the micrograph and the window.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> windows = window_dataset(draw_stand_ins(2, 0, (96, 128)), Scale((48, 64), 2, 1.0))
    >>> len(windows.micrographs), windows.shape, windows.images["image"].iloc[-1]
    (8, (48, 64), '2 (stand-in), window 4')
    """
    places = window_places(dataset.shape, scale.window, scale.across)
    micrographs = tuple(
        replace(micrograph, image=np.ascontiguousarray(micrograph.image[place]))
        for micrograph in dataset.micrographs
        for place in places
    )
    rows = dataset.images.loc[dataset.images.index.repeat(len(places))].reset_index(drop=True)
    if len(places) > 1:
        names = [
            f"{image}, window {number}"
            for image in dataset.images["image"]
            for number in range(1, len(places) + 1)
        ]
        rows = rows.assign(image=names)
    return replace(
        dataset,
        images=rows,
        micrographs=micrographs,
        digest=digest(dataset.digest, scale),
        files=(),
    )


def window_predictions(dataset: Dataset, parameters: Parameters, scale: Scale) -> pd.DataFrame:
    """Leave-one-formulation-out with networks that are trained on windows.

    All windows of a formulation are held out together. Each training ends at the criterion, so that
    networks on windows and on whole frames have fitted what they were shown equally well.

    Parameters
    ----------
    dataset
        The micrographs.
    parameters
        Of the training on whole frames; of the seeds the first is used.
    scale
        Of the windows.

    Returns
    -------
    DataFrame
        One row a window: ``formulation, image, true_km, predicted_km``.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> dataset = draw_stand_ins(3, 0, (96, 128))
    >>> parameters = Parameters(input_width=32, epochs=1, parallel_jobs=1)
    >>> table = window_predictions(dataset, parameters, Scale((48, 64), 2, 2.0))
    >>> list(table.columns), len(table)
    (['formulation', 'image', 'true_km', 'predicted_km'], 12)
    """
    windows = window_dataset(dataset, scale)
    splits = [
        Split((name,), seed=parameters.first_seed, to_criterion=True)
        for name in dict.fromkeys(dataset.images["formulation"])
    ]
    predictions = held_out_predictions(train_splits(windows, parameters, splits))
    return predictions[["formulation", "image", "true_km", "predicted_km"]]


def flipped_predictions(
    dataset: Dataset, parameters: Parameters, networks: Mapping[str, TrainedNetwork]
) -> pd.DataFrame:
    """What the network that has not seen a formulation predicts of its flipped micrographs.

    Parameters
    ----------
    dataset, parameters
        As in `fesemlib.validation.leave_one_out.leave_one_formulation_out`.
    networks
        For each formulation one that was trained on the others.

    Returns
    -------
    DataFrame
        As `window_predictions`, four rows a micrograph.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from fesemlib.dataset import draw_stand_ins
    >>> dataset = draw_stand_ins(2, 0, (96, 128))
    >>> constant = SimpleNamespace(predict=lambda inputs: np.full(len(inputs), 1e-3))
    >>> networks = {"1": constant, "2": constant}
    >>> table = flipped_predictions(dataset, Parameters(input_width=32), networks)
    >>> len(table), table["image"].iloc[-1]
    (8, '2 (stand-in), 180° rotation')
    """
    inputs = network_inputs(dataset, parameters)
    tables = []
    for name, transform in TRANSFORMATIONS.items():
        copies = np.stack([transform(image) for image in inputs])
        table = _predicted(dataset, copies, networks)
        tables.append(table.assign(image=[f"{image}, {name}" for image in table["image"]]))
    return pd.concat(tables, ignore_index=True)


def frame_predictions(
    dataset: Dataset, parameters: Parameters, networks: Mapping[str, TrainedNetwork]
) -> tuple[str, pd.DataFrame]:
    """What the network that has not seen a formulation predicts of several frames of it.

    Parameters
    ----------
    dataset, parameters
        As in `leave_one_formulation_out`; `fresh_frames` is used for
        stand-ins.
    networks
        For each formulation one that was trained on the others.

    Returns
    -------
    name : str
        What the frames are: for stand-ins, their own and fresh ones; otherwise the micrographs of
        the manifest, if a formulation has several; else the flips of the only one.
    predictions : DataFrame
        As `window_predictions`.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from types import SimpleNamespace
    >>> from fesemlib.dataset import draw_stand_ins
    >>> real = replace(draw_stand_ins(2, 0, (96, 128)), synthetic=False)  # one frame of each
    >>> constant = SimpleNamespace(predict=lambda inputs: np.full(len(inputs), 1e-3))
    >>> networks = {"1": constant, "2": constant}
    >>> name, table = frame_predictions(real, Parameters(input_width=32), networks)
    >>> name, len(table)
    ('flips of one frame', 8)
    """
    if dataset.synthetic:
        own = _predicted(dataset, network_inputs(dataset, parameters), networks)
        fresh = fresh_stand_ins(parameters.fresh_frames, parameters.synthetic_seed, dataset.shape)
        more = _predicted(fresh, network_inputs(fresh, parameters), networks)
        return "frames of one formulation", pd.concat([own, more], ignore_index=True)
    if dataset.images["formulation"].duplicated().any():
        inputs = network_inputs(dataset, parameters)
        return "frames of one formulation", _predicted(dataset, inputs, networks)
    return FLIPS, flipped_predictions(dataset, parameters, networks)


def scatter_and_offset(predictions: pd.DataFrame) -> pd.DataFrame:
    """How predictions of one formulation scatter, and by how much their mean is off.

    Parameters
    ----------
    predictions
        ``formulation, true_km, predicted_km``, several rows a formulation.

    Returns
    -------
    DataFrame
        Indexed by formulation: ``copies``, ``scatter`` (standard deviation with n − 1, NaN for a
        single row) and ``offset`` (mean − true), both as fractions of the true k_m. The first can
        be averaged away, the second cannot.

    Examples
    --------
    >>> table = pd.DataFrame({"formulation": ["A", "A"], "true_km": 1e-3})
    >>> table["predicted_km"] = [1e-3, 1.4e-3]
    >>> print(scatter_and_offset(table).round(3).loc["A"].to_dict())
    {'copies': 2.0, 'scatter': 0.283, 'offset': 0.2}
    """
    relative = predictions["predicted_km"] / predictions["true_km"] - 1
    grouped = relative.groupby(predictions["formulation"], sort=False)
    return pd.DataFrame(
        {"copies": grouped.size(), "scatter": grouped.std(ddof=1), "offset": grouped.mean()}
    ).rename_axis("formulation")


def compare_sources(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Where several predictions of one formulation come from, and what they are worth.

    Parameters
    ----------
    predictions
        Name of the source and predictions, as of `window_predictions`.

    Returns
    -------
    DataFrame
        Indexed by ``source``: ``images`` (the fewest of a formulation), ``scatter`` (root mean
        square over the formulations), ``offset`` (mean of the absolute values), ``one`` and ``all``
        (mean relative error of one prediction, and of the mean of all); fractions of k_m. Of the
        mean of all also the two other measures of `fesemlib.validation.errors.measures`.

    Examples
    --------
    >>> table = pd.DataFrame({"formulation": ["A", "A"], "true_km": 1e-3})
    >>> table["predicted_km"] = [8e-4, 1.2e-3]
    >>> compared = compare_sources({"frames": table}).round(3)
    >>> compared.loc["frames", ["scatter", "offset", "one", "all", LOG_MEAN]].to_list()
    [0.283, 0.0, 0.2, 0.0, 0.0]
    """
    rows = {}
    for source, table in predictions.items():
        parts, errors = scatter_and_offset(table), combined_errors(table)
        together = table.groupby("formulation", sort=False).mean(numeric_only=True).reset_index()
        together["relative_error"] = (together["predicted_km"] / together["true_km"] - 1).abs()
        others = measures(together.rename(columns={"formulation": "held_out"}))["median"]
        rows[source] = {
            "images": int(parts["copies"].min()),
            "scatter": float(np.sqrt(np.mean(np.square(parts["scatter"].dropna()))))
            if parts["scatter"].notna().any()
            else np.nan,
            "offset": float(parts["offset"].abs().mean()),
            "one": float(errors.iloc[0]),
            "all": float(errors.iloc[-1]),
            **{name: float(others[name]) for name in (WITHOUT_WORST, LOG_MEAN)},
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("source")


def combined_errors(predictions: pd.DataFrame) -> pd.Series[float]:
    """Mean relative error when the predictions of several images are averaged.

    Parameters
    ----------
    predictions
        ``formulation, true_km, predicted_km``, several rows a formulation.

    Returns
    -------
    Series
        Indexed by the number of images that are averaged, from one to as many as every formulation
        has: ``|mean − true| / true``, averaged over the subsets of that size (the first 500 of
        shuffled images) and then over the formulations.

    Examples
    --------
    >>> table = pd.DataFrame({"formulation": ["A", "A"], "true_km": 1e-3})
    >>> table["predicted_km"] = [8e-4, 1.2e-3]
    >>> combined_errors(table).round(3).to_dict()  # errors of opposite sign cancel
    {1: 0.2, 2: 0.0}
    """
    groups = [
        (table["predicted_km"].to_numpy(), float(table["true_km"].iloc[0]))
        for _, table in predictions.groupby("formulation", sort=False)
    ]
    fewest = min(len(values) for values, _ in groups)
    numbers = range(1, fewest + 1)
    errors = [
        float(np.mean([_error_of_means(values / true - 1, number) for values, true in groups]))
        for number in numbers
    ]
    return pd.Series(errors, index=pd.Index(numbers, name="images"), name="error")


def _error_of_means(errors: npt.NDArray[np.float64], number: int) -> float:
    shuffled = np.random.default_rng(0).permutation(errors)
    subsets = islice(combinations(shuffled, number), _MOST_SUBSETS)
    return float(np.mean([abs(np.mean(subset)) for subset in subsets]))


def _predicted(
    dataset: Dataset,
    inputs: npt.NDArray[np.float32],
    networks: Mapping[str, TrainedNetwork],
) -> pd.DataFrame:
    """Each input as predicted by the network that has not seen its formulation."""
    predicted = np.empty(len(inputs))
    names = dataset.images["formulation"].to_numpy()
    for name in dict.fromkeys(names):
        own = names == name
        predicted[own] = networks[str(name)].predict(inputs[own])
    return pd.DataFrame(
        {
            "formulation": names,
            "image": dataset.images["image"].to_numpy(),
            "true_km": dataset.k_m,
            "predicted_km": predicted,
        }
    )
