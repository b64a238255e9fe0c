"""From a new micrograph to k_m, with an interval and a word on whether it belongs.

`train_model` chooses a predictor by nested leave-one-out, or takes the one that is asked for, fits
it to all formulations and keeps how far it is wrong about one that it has not seen.
`predict_files` reads and predicts micrographs one after the other; a file that cannot be used gives
a row that says why.
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
from typing import Any, TypeVar

import numpy as np
from loky import cpu_count

from fesemlib.dataset import Dataset
from fesemlib.drying.equations import product_resistance
from fesemlib.micrographs.files import PredictionError, readable
from fesemlib.micrographs.reading import Micrograph
from fesemlib.params import Parameters
from fesemlib.prediction import intervals
from fesemlib.prediction.folder import Card, ModelError, card_of, read_folder, write_folder
from fesemlib.prediction.seeing import read_as_trained, see
from fesemlib.predictors import Known, candidates_of, select
from fesemlib.predictors.domain import Domain
from fesemlib.predictors.known import Predictor, Seen
from fesemlib.predictors.listing import too_few
from fesemlib.predictors.networks import diverged
from fesemlib.predictors.regressions import TEXTURES
from fesemlib.predictors.selection import positive
from fesemlib.processing import GreyImage
from fesemlib.validation.leave_one_out import TrainedNetwork

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 1  # micrographs that are prepared beyond those at work

_IMPOSSIBLE = {
    "length": "the pixel size of the micrographs is not known; give it in the column pixel_size_um "
    "of the manifest",
    "length_and_texture": "it needs the pixel size of the micrographs (column pixel_size_um of the "
    "manifest) and five formulations",
    "texture": "there are fewer than five formulations; take `length` or `median`",
    "borrowed": "there are fewer than five formulations; take `length` or `median`",
    "composition": "not every formulation has a composition such as '4% dextran + 1% mannitol', or "
    "all have the same; complete the column composition of the manifest",
}


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
    """A predictor that has been fitted to all formulations, and what is known about it.

    Examples
    --------
    >>> model = load_model("model")  # doctest: +SKIP
    >>> model.card.predictor, model.card.skill, model.half_width  # doctest: +SKIP
    """

    card: Card  # what it was fitted to and how
    learned: Any  # of the predictor's own kind: networks, or a regressor

    @property
    def predictor(self) -> Predictor:
        """What predicts."""
        return self.card.as_predictor

    @property
    def networks(self) -> tuple[TrainedNetwork, ...]:
        """The members of an ensemble of networks; none of another predictor."""
        return tuple(self.learned) if isinstance(self.learned, list) else ()

    @cached_property
    def domain(self) -> Domain:
        """What the micrographs of the training set look like."""
        return Domain.of(self.card.known.measures, self.card.known.formulations)

    @cached_property
    def texture_limit(self) -> float:
        """Distance from which on a texture counts as unlike those of the training set."""
        return self.domain.limit

    @property
    def half_width(self) -> float:
        """Of the interval, in ln k_m."""
        return intervals.jackknife_half_width(list(self.card.log_residuals.values()))

    @property
    def level(self) -> float:
        """The nominal rate of the interval."""
        return intervals.level_of(len(self.card.log_residuals))

    def save(self, folder: Path | str, overwrite: bool = False) -> Model:
        """Write the model to a folder; see `fesemlib.prediction.folder.write_folder`."""
        card = write_folder(Path(folder), self.card, self.networks, overwrite)
        return replace(self, card=card)

    def of_page(self, page: int | None) -> Model:
        """The same model for this page of files, or for that of its training set."""
        return replace(self, card=self.card.model_copy(update={"page": page or self.card.page}))

    def predict(self, seen: Seen, layer: Layer, image: str = "") -> Prediction:
        """Predict one micrograph, and R_p of a layer."""
        predicted = self.predictor.predict(self.learned, seen)
        if not math.isfinite(predicted):
            raise PredictionError(
                f"{self.predictor.name}: predicts nothing here, as the training set does not "
                "determine it; take another predictor"
            )
        k_m = float(positive(predicted, min(self.card.k_m_range)))
        distance = self.domain.distance_of(seen.measures)
        reasons = self._reasons(k_m, distance)
        return replace(
            _with_interval(image, k_m, self.half_width, layer),
            in_domain=not reasons,
            texture_distance=distance,
            texture_limit=self.texture_limit,
            remarks="; ".join([*reasons, seen.note] if seen.note else reasons),
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
    """Choose a predictor, fit it to all formulations, and measure its errors by leaving each out.

    Parameters
    ----------
    dataset
        The micrographs, of at least two formulations.
    parameters
        Those of processing, network and training; `predictor` says what predicts, and
        `prediction_training_set` whether networks see the copies of Section 5.1, too.

    Returns
    -------
    Model
        What has been trained before, for this or another chapter, is taken from the cache.

    Raises
    ------
    ModelError
        When there is only one formulation, the predictor is impossible there, or a training
        diverged.
    BorrowedError
        When `predictor` is ``"borrowed"`` and its weights are not installed, or are others.
    TrainingError, SchedulerError, DiskFullError
        When the training has to stop; see `fesemlib.validation.workers.trained`.

    Examples
    --------
    >>> model = train_model(load_dataset(parameters), parameters)  # doctest: +SKIP
    """
    if len(dataset.formulations) < 2:
        raise ModelError(f"{parameters.dataset}: holds one formulation; a model needs at least two")
    kind = parameters.predictor
    known = Known.of(dataset, parameters)
    candidates = candidates_of(kind, known, parameters.with_composition)
    if not candidates and kind in _IMPOSSIBLE:
        raise ModelError(f"predictor = {kind}: {_IMPOSSIBLE[kind]}")
    beside = TEXTURES if kind == "auto" and not too_few(known) else ()
    selection = select(known, candidates, kind == "auto", beside)
    learned = selection.chosen.fit(known)
    if diverged(learned) or not np.isfinite(selection.predicted).all():
        raise ModelError(
            f"{selection.chosen.name}: predicts no number of some micrographs; if a training "
            f"diverged, lower learning_rate = {parameters.learning_rate:g} or set target to "
            "minmax, else take another predictor"
        )
    return Model(card_of(dataset, parameters, known, selection, learned), learned)


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
    return Model(*read_folder(Path(folder)))


def predict_files(
    model: Model,
    files: Sequence[str],
    layer: Layer | None = None,
    pixel_size_um: float | None = None,
    parallel_jobs: int = 0,
    composition: str = "",
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
    composition
        Of all micrographs, such as ``"4% dextran + 1% mannitol"``, for models that go by it.

    Yields
    ------
    Prediction
        In the order of the files, as they are ready. Memory does not grow with their number.

    Examples
    --------
    >>> for each in predict_files(load_model("model"), ["new.tif"]):  # doctest: +SKIP
    ...     print(each.image, each.k_m, each.remarks or each.error)
    """
    seeing = partial(_seen_file, model, pixel_size_um=pixel_size_um, composition=composition)
    for file, seen in zip(files, _each_in_turn(seeing, files, parallel_jobs), strict=True):
        name = readable(file)
        try:
            if isinstance(seen, str):
                raise PredictionError(readable(seen))
            yield model.predict(seen, layer or Layer(), name)
        except PredictionError as error:
            yield Prediction(name, error=str(error))


def predict_micrographs(
    model: Model, images: Sequence[GreyImage], layer: Layer | None = None, composition: str = ""
) -> list[Prediction]:
    """Predict micrographs in memory, all of the model's pixel size.

    Parameters
    ----------
    model
        From `train_model` or `load_model`.
    images
        As read and cropped, uint8, shape (H, W).
    layer
        For which the resistance is given.
    composition
        Of all micrographs, for models that go by it.

    Raises
    ------
    PredictionError
        When one is of a size that the predictor cannot take.

    Examples
    --------
    >>> (prediction,) = predict_micrographs(model, [micrograph.image])  # doctest: +SKIP
    """
    micrographs = [Micrograph(image, model.card.pixel_size_um) for image in images]
    seeing = partial(see, model.card, composition=composition)
    every = _each_in_turn(seeing, micrographs)
    return [model.predict(seen, layer or Layer()) for seen in every]


def mean_prediction(
    model: Model, rows: Sequence[Prediction], layer: Layer | None = None
) -> Prediction:
    """The mean in log k_m over the micrographs of one product that are inside the domain.

    Over all that have no error if none is inside. The interval is that of a single micrograph,
    unless every formulation of the training set has several, but no more than these: then that of
    their means. An error where there is no prediction.

    Examples
    --------
    >>> mean_prediction(model, predict_micrographs(model, images))  # doctest: +SKIP
    """
    every = [row for row in rows if not row.error]
    usable = [row for row in every if row.in_domain] or every
    if not usable:
        return Prediction("mean of 0", error="no micrograph can be used")
    width = model.half_width
    if 1 < model.card.micrographs_each <= len(usable):
        width = intervals.jackknife_half_width(list(model.card.residuals.values()))
    k_m = float(np.exp(np.mean([np.log(row.k_m) for row in usable])))
    left, outside = len(every) - len(usable), not usable[0].in_domain
    remarks = ["all of them outside the domain"] if outside else []
    remarks += [f"{left} outside the domain left out"] if left else []
    mean = _with_interval(f"mean of {len(usable)}", k_m, width, layer or Layer())
    return replace(mean, in_domain=not outside, remarks="; ".join(remarks))


def _with_interval(image: str, k_m: float, half_width: float, layer: Layer) -> Prediction:
    """A k_m with its interval, and the resistance of a layer."""
    low, high = intervals.interval(k_m, half_width)
    slow, middle, fast = map(layer.resistance, (low, k_m, high))
    return Prediction(image, k_m, low, high, middle, fast, slow)


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


def _seen_file(
    model: Model, file: str, pixel_size_um: float | None, composition: str
) -> Seen | str:
    """A file as the predictor sees it; or what is wrong with it."""
    try:
        micrograph = read_as_trained(model.card, file)
        if pixel_size_um is not None:
            micrograph = replace(micrograph, pixel_size_um=pixel_size_um)
        return see(model.card, micrograph, composition)
    except (ValueError, OSError, MemoryError) as error:
        return (str(error) or type(error).__name__).removeprefix(f"{file}: ")
