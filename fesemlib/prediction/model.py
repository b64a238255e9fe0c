"""From a new micrograph to k_m, with an interval and a word on whether it belongs.

`train_model` trains on all formulations, once for each seed, and leaves each out in turn to know
how far the ensemble is wrong. `predict_files` reads, processes and predicts micrographs one after
the other; a file that cannot be used gives a row that says why.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from loky import cpu_count

from fesemlib.dataset import Dataset, DatasetError, pixel_sizes_differ, rescale_micrograph
from fesemlib.drying.equations import product_resistance
from fesemlib.micrographs.files import PredictionError
from fesemlib.micrographs.reading import Micrograph, read_micrograph
from fesemlib.network.engine import InputScale
from fesemlib.network.inputs import network_inputs, processed_micrographs, shrunk_input
from fesemlib.params import Parameters
from fesemlib.prediction import intervals
from fesemlib.prediction.domain import Domain
from fesemlib.prediction.folder import Card, ModelError, card_of, read_folder, write_folder
from fesemlib.processing import FloatImage, GreyImage, process_with
from fesemlib.texture import texture_description
from fesemlib.validation import leave_one_out
from fesemlib.validation.leave_one_out import TrainedNetwork

# A micrograph as the networks are shown it, its texture, and what could not be checked.
Seen = tuple[FloatImage, npt.NDArray[np.float64], str]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 1  # micrographs that are prepared beyond those at work


@dataclass(frozen=True)
class Layer:
    """The dried layer for which a product resistance is given.

    Examples
    --------
    >>> print(f"{Layer(thickness=0.01, front_temperature=243.15).resistance(1e-3):.2e} m/s")
    1.12e+06 m/s
    """

    thickness: float = 0.007  # L_d, m
    front_temperature: float = 243.15  # K

    def resistance(self, k_m: float) -> float:
        """R_p in m s⁻¹, infinite for k_m = 0 and 0 for an infinite one."""
        if k_m == 0:
            return math.inf
        return float(product_resistance(k_m, self.thickness, self.front_temperature))


@dataclass(frozen=True)
class Prediction:
    """What a model says of one micrograph, or why it says nothing.

    Attributes
    ----------
    image
        What the micrograph is called: of a file its name.
    k_m, k_m_low, k_m_high
        The ensemble's and the ends of its interval, m² s⁻¹; from 0 to infinity where there are too
        few formulations.
    resistance, resistance_low, resistance_high
        R_p of the layer, m s⁻¹.
    in_domain
        Whether the model may be asked about such a micrograph.
    texture_distance, texture_limit
        How far its texture is from the training set, and from where on that is too far.
    remarks
        Why it is outside the domain, and what could not be checked.
    error
        Why there is no prediction; empty if there is one.
    """

    image: str = ""
    k_m: float = math.nan
    k_m_low: float = math.nan
    k_m_high: float = math.nan
    resistance: float = math.nan
    resistance_low: float = math.nan
    resistance_high: float = math.nan
    in_domain: bool | None = None
    texture_distance: float = math.nan
    texture_limit: float = math.nan
    remarks: str = ""
    error: str = ""


@dataclass(frozen=True)
class Model:
    """An ensemble of networks, trained on all formulations, and what is known about it.

    Examples
    --------
    >>> model = load_model("model")  # doctest: +SKIP
    >>> model.card.k_m_range, model.half_width, model.save("copy")  # doctest: +SKIP
    """

    card: Card  # what it was trained on and how
    networks: tuple[TrainedNetwork, ...]  # the members

    @cached_property
    def domain(self) -> Domain:
        """What the micrographs of the training set look like."""
        return Domain(np.array(self.card.textures), tuple(self.card.texture_formulations))

    @cached_property
    def texture_limit(self) -> float:
        """Distance from which on a texture counts as unlike those of the training set."""
        return self.domain.limit

    @property
    def half_width(self) -> float:
        """Of the interval, in ln k_m."""
        return intervals.jackknife_half_width(list(self.card.log_residuals.values()))

    def save(self, folder: Path | str, overwrite: bool = False) -> Model:
        """Write the model to a folder; see `fesemlib.prediction.folder.write_folder`."""
        card = write_folder(Path(folder), self.card, self.networks, overwrite)
        return replace(self, card=card)

    def predict(self, seen: Seen, layer: Layer, image: str = "") -> Prediction:
        """Predict one micrograph: the mean over the members, and R_p of a layer."""
        shown, texture, note = seen
        members = np.stack([network.predict(shown[np.newaxis]) for network in self.networks])
        k_m = float(intervals.positive(members.mean(), min(self.card.k_m_range)))
        low, high = intervals.interval(k_m, self.half_width)
        distance = self.domain.distance(texture)
        reasons = self._reasons(k_m, distance)
        return Prediction(
            image=image,
            k_m=k_m,
            k_m_low=low,
            k_m_high=high,
            resistance=layer.resistance(k_m),
            resistance_low=layer.resistance(high),
            resistance_high=layer.resistance(low),
            in_domain=not reasons,
            texture_distance=distance,
            texture_limit=self.texture_limit,
            remarks="; ".join([*reasons, note] if note else reasons),
        )

    def _reasons(self, k_m: float, distance: float) -> list[str]:
        least, greatest = self.card.k_m_range
        reasons = []
        if distance > self.texture_limit:
            reasons.append(
                "its texture resembles none of the training set (distance "
                f"{distance:.3g}, limit {self.texture_limit:.3g})"
            )
        if not least <= k_m <= greatest:
            side = "below" if k_m < least else "above"
            reasons.append(
                f"the predicted k_m is {side} the range of the training set "
                f"({1e3 * least:.3g}·10⁻³ to {1e3 * greatest:.3g}·10⁻³ m² s⁻¹)"
            )
        return reasons


def train_model(dataset: Dataset, parameters: Parameters) -> Model:
    """Train an ensemble on all formulations, and measure its errors by leaving each out.

    Parameters
    ----------
    dataset
        The micrographs, of at least two formulations.
    parameters
        Those of processing, network and training; `prediction_training_set` says whether the
        copies of Section 5.1 are trained on, too. Every seed gives one member.

    Returns
    -------
    Model
        What has been trained before, for this or another chapter, is taken from the cache.

    Raises
    ------
    ModelError
        When there is only one formulation, or a training diverged.
    TrainingError, SchedulerError, DiskFullError
        When the training has to stop; see `fesemlib.validation.workers.trained`.

    Examples
    --------
    >>> model = train_model(load_dataset(parameters), parameters)  # doctest: +SKIP
    """
    if len(dataset.formulations) < 2:
        raise ModelError(
            f"{parameters.dataset}: holds one formulation; a model needs at least two, and an "
            "interval four"
        )
    training_set = parameters.prediction_training_set
    left_out = leave_one_out.leave_one_out_splits(dataset, parameters, training_set)
    results = leave_one_out.train_splits(dataset, parameters, left_out)
    predictions = leave_one_out.held_out_predictions(results)
    splits = leave_one_out.full_splits(parameters, training_set)
    networks = leave_one_out.kept_networks(dataset, parameters, splits)
    weights = [weight for network in networks for weight in network.model.get_weights()]
    if not all(np.isfinite(part).all() for part in (predictions["predicted_km"], *weights)):
        raise ModelError(
            f"learning_rate = {parameters.learning_rate:g}: a training diverged, and its network "
            "predicts no numbers; lower learning_rate, or set target to minmax"
        )
    residuals = intervals.residuals_of_formulations(predictions)
    formulations = [str(name) for name in dataset.images["formulation"]]
    processed = processed_micrographs(dataset, parameters)
    textures = np.stack([texture_description(image) for image in processed])
    domain = Domain(textures, tuple(formulations))
    shown = InputScale.fit(network_inputs(dataset, parameters), parameters)
    card = card_of(dataset, parameters, networks, residuals, domain, shown)
    return Model(card, tuple(networks))


def load_model(folder: Path | str) -> Model:
    """Read a model folder; nothing of it is executed.

    Parameters
    ----------
    folder
        From `Model.save`, or ``fesem train``.

    Raises
    ------
    ModelError
        See `fesemlib.prediction.folder.read_folder`.

    Examples
    --------
    >>> try:
    ...     load_model("no_such_model")
    ... except ModelError as error:
    ...     print(error)
    no_such_model: no such folder; give a folder that `fesem train` wrote
    """
    card, networks = read_folder(Path(folder))
    return Model(card, tuple(networks))


def predict_files(
    model: Model,
    files: Sequence[str],
    layer: Layer | None = None,
    pixel_size_um: float | None = None,
    parallel_jobs: int = 0,
) -> Iterator[Prediction]:
    """Predict micrographs one after the other, read and processed as those of the training.

    Parameters
    ----------
    model
        From `train_model` or `load_model`.
    files
        From `fesemlib.micrographs.files.image_files`.
    layer
        For which the resistance is given.
    pixel_size_um
        Of all files, µm, instead of what they tell.
    parallel_jobs
        How many are read and processed at the same time, 0 for one on each core.

    Yields
    ------
    Prediction
        In the order of the files, as they are ready. Memory does not grow with their number.

    Examples
    --------
    >>> for each in predict_files(load_model("model"), ["new.tif"]):  # doctest: +SKIP
    ...     print(each.image, each.k_m, each.remarks or each.error)
    """
    see = partial(_seen_file, model, pixel_size_um=pixel_size_um)
    for file, seen in zip(files, _each_in_turn(see, files, parallel_jobs), strict=True):
        name = _readable(file)
        if isinstance(seen, str):
            yield Prediction(name, error=_readable(seen))
        else:
            yield model.predict(seen, layer or Layer(), name)


def predict_micrographs(
    model: Model, images: Sequence[GreyImage], layer: Layer | None = None
) -> list[Prediction]:
    """Predict micrographs in memory, all of the model's size and pixel size.

    Parameters
    ----------
    model
        From `train_model` or `load_model`.
    images
        As read and cropped, uint8, shape (H, W).
    layer
        For which the resistance is given.

    Raises
    ------
    PredictionError
        When one is of another size.

    Examples
    --------
    >>> (prediction,) = predict_micrographs(model, [micrograph.image])  # doctest: +SKIP
    """
    for image in images:
        _check_shape(image.shape, model.card.shape)
    each_seen = _each_in_turn(partial(_seen, model.card.parameters), images)
    return [model.predict(seen, layer or Layer()) for seen in each_seen]


def _each_in_turn(
    work: Callable[[_Item], _Result], items: Iterable[_Item], parallel_jobs: int = 0
) -> Iterator[_Result]:
    """What `work` makes of each item, in their order; only a few are at work or wait."""
    coming, workers = iter(items), parallel_jobs or cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        pending = deque(pool.submit(work, item) for item in islice(coming, workers + _AHEAD))
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(work, item) for item in islice(coming, 1))
                yield result
        finally:
            pool.shutdown(cancel_futures=True)


def _readable(text: str) -> str:
    """Text that can be printed in a line and encoded, whatever a file is called."""
    encodable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(sign if sign.isprintable() else "?" for sign in encodable)


def _seen_file(model: Model, file: str, pixel_size_um: float | None) -> Seen | str:
    """A file as the model is shown it; or what is wrong with it."""
    try:
        micrograph = read_micrograph(file, model.card.parameters.crop)
        if pixel_size_um is not None:
            micrograph = replace(micrograph, pixel_size_um=pixel_size_um)
        image, note = _fitted(micrograph, model.card)
        return _seen(model.card.parameters, image, note)
    except (ValueError, OSError, MemoryError) as error:
        return (str(error) or type(error).__name__).removeprefix(f"{file}: ")


def _fitted(micrograph: Micrograph, card: Card) -> tuple[GreyImage, str]:
    """The micrograph at the model's size and pixel size, and what could not be checked."""
    own_um, models_um = micrograph.pixel_size_um, card.pixel_size_um
    if micrograph.has_data_bar:
        raise PredictionError(
            f"the data bar is still there (from row {micrograph.data_bar_row}); cut it off, the "
            "model was trained without"
        )
    if card.parameters.rescale and models_um is not None:
        try:
            return rescale_micrograph(micrograph, models_um, card.shape).image, ""
        except DatasetError as error:
            raise PredictionError(f"{error} (--pixel-size)") from None
    _check_shape(micrograph.image.shape, card.shape, micrograph.cut_rows)
    note = ""
    if models_um is None:
        note = "the model knows no pixel size, so that it was not checked"
    elif own_um is None:
        note = f"pixel size not told, taken for the model's {models_um:.4g} µm"
    elif card.parameters.check_pixel_size and pixel_sizes_differ(own_um, models_um):
        raise PredictionError(
            f"{own_um:.4g} µm a pixel, but the model was trained at {models_um:.4g} µm; take the "
            "micrograph at the same magnification, or tell the true pixel size with --pixel-size"
        )
    return micrograph.image, note


def _check_shape(found: tuple[int, ...], expected: tuple[int, int], cut_rows: int = 0) -> None:
    if found == expected:
        return
    cut = f" without the {cut_rows} rows of its data bar, which were cut off" if cut_rows else ""
    raise PredictionError(
        f"{found[1]}×{found[0]} px{cut}, but the model was trained on {expected[1]}×{expected[0]} "
        "px (width × height, after cropping); take the micrograph so that this size is left"
    )


def _seen(parameters: Parameters, image: GreyImage, note: str = "") -> Seen:
    processed = process_with(parameters, image).equalized
    return shrunk_input(processed, parameters.input_width), texture_description(processed), note
