"""From a new micrograph to k_m, with an interval and a word on whether it belongs.

`train_model` trains on all formulations, once for each seed, and leaves each out in turn to know
how far the ensemble is wrong. `predict_files` reads, processes and predicts micrographs one after
the other; a file that cannot be used gives a row that says why.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from loky import cpu_count

from fesemlib.dataset import (
    Dataset,
    DatasetError,
    pixel_sizes_differ,
    rescale_micrograph,
)
from fesemlib.drying.equations import product_resistance
from fesemlib.micrographs.files import PredictionError
from fesemlib.micrographs.reading import Micrograph, read_micrograph
from fesemlib.network.inputs import processed_micrographs
from fesemlib.params import Parameters
from fesemlib.prediction.domain import Domain
from fesemlib.prediction.folder import (
    Card,
    ModelError,
    card_of,
    processing_has_changed,
    read_model_folder,
    write_model_folder,
)
from fesemlib.prediction.intervals import (
    interval,
    jackknife_half_width,
    positive,
    residuals_of_formulations,
)
from fesemlib.processing import GreyImage, process_with, resize_by_area
from fesemlib.progress import remark
from fesemlib.texture import texture_description
from fesemlib.validation.leave_one_out import (
    TrainedNetwork,
    full_splits,
    held_out_predictions,
    kept_networks,
    leave_one_out_splits,
    train_splits,
)

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 1  # micrographs that are prepared beyond those at work


@dataclass(frozen=True)
class Prediction:
    """What a model says of one micrograph.

    Attributes
    ----------
    k_m
        The ensemble's, m² s⁻¹.
    low, high
        Ends of the interval, m² s⁻¹; from 0 to infinity where there are too few formulations.
    members
        What each network says, m² s⁻¹.
    distance
        Of its texture from those of the training set; see `fesemlib.prediction.domain`.
    reasons
        Why it is outside the model's domain; empty if it is inside.
    """

    k_m: float
    low: float
    high: float
    members: tuple[float, ...]
    distance: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """The dried layer for which a product resistance is given.

    Attributes
    ----------
    thickness
        L_d, m.
    front_temperature
        Of the sublimation front, K.

    Examples
    --------
    >>> layer = Layer(thickness=0.01, front_temperature=243.15)
    >>> print(f"{layer.resistance(1e-3):.2e} m/s")
    1.12e+06 m/s
    >>> layer.resistance(0.0)
    inf
    """

    thickness: float = 0.007
    front_temperature: float = 243.15

    @classmethod
    def of(cls, parameters: Parameters) -> Layer:
        """The layer that `layer_thickness_mm` and `front_temperature_k` describe.

        Examples
        --------
        >>> Layer.of(Parameters(layer_thickness_mm=5)).thickness
        0.005
        """
        return cls(parameters.layer_thickness_mm / 1e3, parameters.front_temperature_k)

    def resistance(self, k_m: float) -> float:
        """R_p in m s⁻¹, infinite for k_m = 0 and 0 for an infinite one.

        Examples
        --------
        The resistance is proportional to the thickness, and to the inverse of k_m.

        >>> thick, thin = Layer(thickness=0.02), Layer(thickness=0.01)
        >>> round(thick.resistance(1e-3) / thin.resistance(2e-3), 6)
        4.0
        """
        if k_m == 0:
            return math.inf
        return float(product_resistance(k_m, self.thickness, self.front_temperature))


@dataclass(frozen=True)
class Row:
    """One line of the output: a prediction, or why there is none.

    Attributes
    ----------
    image
        The file, as it was named.
    k_m, k_m_low, k_m_high
        m² s⁻¹.
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

    image: str
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


COLUMNS = tuple(field.name for field in fields(Row))
"""The columns of the table that is written."""


@dataclass(frozen=True)
class Model:
    """An ensemble of networks, trained on all formulations, and what is known about it.

    Attributes
    ----------
    card
        What it was trained on and how.
    networks
        The members.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder() as folder:
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     model = train_model(dataset, parameters)
    ...     saved = model.save(Path(folder, "model"))
    ...     read = load_model(Path(folder, "model"))
    >>> read.card == saved.card
    True
    """

    card: Card
    networks: tuple[TrainedNetwork, ...]

    @cached_property
    def domain(self) -> Domain:
        """What the micrographs of the training set look like."""
        return self.card.domain

    @cached_property
    def texture_limit(self) -> float:
        """Distance from which on a texture counts as unlike those of the training set."""
        return self.domain.limit

    @cached_property
    def parameters(self) -> Parameters:
        """The parameters that the model was made with."""
        return self.card.settings

    @property
    def half_width(self) -> float:
        """Of the interval, in ln k_m."""
        return jackknife_half_width([each.log_residual for each in self.card.formulations])

    def save(self, folder: Path | str, overwrite: bool = False) -> Model:
        """Write the model to a folder; see `fesemlib.prediction.folder.write_model_folder`."""
        card = write_model_folder(Path(folder), self.card, self.networks, overwrite)
        return replace(self, card=card)

    def predict(self, inputs: Images, textures: Values) -> list[Prediction]:
        """Predict micrographs that have been processed.

        Parameters
        ----------
        inputs
            Of the networks, in [0, 1], shape (n, h, w).
        textures
            Of `fesemlib.texture.texture_description`, shape (n, features).

        Examples
        --------
        The mean over the members is the prediction; of two formulations there is no interval.

        >>> from fesemlib.dataset import draw_stand_ins
        >>> from fesemlib.storage import temporary_build_folder
        >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
        >>> with temporary_build_folder():
        ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
        ...     model = train_model(dataset, parameters)
        >>> inputs = np.zeros((1, 24, 32), np.float32)
        >>> (prediction,) = model.predict(inputs, model.domain.textures[:1])
        >>> prediction.k_m == prediction.members[0], prediction.low, prediction.high
        (True, 0.0, inf)
        """
        members = np.stack([network.predict(inputs) for network in self.networks], axis=1)
        least, _ = self.card.k_m_range
        ensemble = positive(members.mean(axis=1), least)
        low, high = interval(ensemble, self.half_width)
        distances = [self.domain.distance(texture) for texture in textures]
        return [
            Prediction(
                k_m=float(ensemble[number]),
                low=float(low[number]),
                high=float(high[number]),
                members=tuple(float(value) for value in members[number]),
                distance=distance,
                reasons=self._reasons(float(ensemble[number]), distance),
            )
            for number, distance in enumerate(distances)
        ]

    def _reasons(self, k_m: float, distance: float) -> tuple[str, ...]:
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
        return tuple(reasons)


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
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     model = train_model(dataset, parameters)
    >>> len(model.networks), [each.name for each in model.card.formulations]
    (1, ['1', '2'])
    """
    if len(dataset.formulations) < 2:
        raise ModelError(
            f"{parameters.dataset}: holds one formulation; a model needs at least two, and an "
            "interval four"
        )
    training_set = parameters.prediction_training_set
    left_out = leave_one_out_splits(dataset, parameters, training_set)
    predictions = held_out_predictions(train_splits(dataset, parameters, left_out))
    networks = kept_networks(dataset, parameters, full_splits(parameters, training_set))
    weights = (weight for network in networks for weight in network.model.get_weights())
    if not (
        np.isfinite(predictions["predicted_km"]).all()
        and all(np.isfinite(weight).all() for weight in weights)
    ):
        raise ModelError(
            f"learning_rate = {parameters.learning_rate:g}: a training diverged, and its network "
            "predicts no numbers; lower learning_rate, or set target to minmax"
        )
    residuals = residuals_of_formulations(predictions)
    with ThreadPoolExecutor(parameters.parallel_jobs or cpu_count()) as pool:
        images = processed_micrographs(dataset, parameters)
        textures = np.stack(list(pool.map(texture_description, images)))
    domain = Domain(textures, tuple(str(name) for name in dataset.images["formulation"]))
    by_name = {str(name): float(value) for name, value in residuals.items()}
    return Model(card_of(dataset, parameters, networks, by_name, domain), tuple(networks))


def load_model(folder: Path | str) -> Model:
    """Read a model folder; nothing of it is executed.

    Parameters
    ----------
    folder
        From `Model.save`, or ``fesem train``.

    Raises
    ------
    ModelError
        See `fesemlib.prediction.folder.read_model_folder`.

    Examples
    --------
    >>> try:
    ...     load_model("no_such_model")
    ... except ModelError as error:
    ...     print(error)
    no_such_model: no such folder; give a folder that `fesem train` wrote
    """
    card, networks = read_model_folder(Path(folder))
    if processing_has_changed(card):
        remark(
            f"{folder}: made by another version of the code that processes micrographs; train the "
            "model again to be sure that its predictions are those of its training"
        )
    return Model(card, tuple(networks))


def predict_files(
    model: Model,
    files: Sequence[str],
    layer: Layer | None = None,
    pixel_size_um: float | None = None,
    parallel_jobs: int = 0,
) -> Iterator[Row]:
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
    Row
        In the order of the files, as they are ready. Memory does not grow with their number.

    Examples
    --------
    >>> from PIL import Image
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder() as folder:
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     model = train_model(dataset, parameters)
    ...     file = str(Path(folder, "new.png"))
    ...     Image.fromarray(dataset.micrographs[0].image).save(file)
    ...     rows = list(predict_files(model, [file, str(Path(folder, "missing.png"))]))
    >>> rows[0].k_m > 0, rows[0].error, rows[1].error != ""
    (True, '', True)
    """
    prepare = partial(_prepared_file, model, pixel_size_um=pixel_size_um)
    workers = parallel_jobs or cpu_count()
    layer = layer or Layer()
    for file, prepared in zip(files, _each_in_turn(prepare, files, workers), strict=True):
        name = _readable(file)
        if isinstance(prepared, str):
            yield Row(name, error=_readable(prepared))
            continue
        image, texture, notes = prepared
        (prediction,) = model.predict(image[np.newaxis], texture[np.newaxis])
        yield row_of(name, prediction, model, layer, notes)


def predict_micrographs(
    model: Model, images: Sequence[GreyImage], parallel_jobs: int = 0
) -> list[Prediction]:
    """Predict micrographs in memory, all of the model's size and pixel size.

    Parameters
    ----------
    model
        From `train_model` or `load_model`.
    images
        As read and cropped, uint8, shape (H, W).
    parallel_jobs
        How many are processed at the same time, 0 for one on each core.

    Raises
    ------
    PredictionError
        When one is of another size.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     model = train_model(dataset, parameters)
    ...     images = [micrograph.image for micrograph in dataset.micrographs]
    ...     predictions = predict_micrographs(model, images)
    >>> [prediction.distance for prediction in predictions]  # it has seen both
    [0.0, 0.0]
    """
    for image in images:
        _check_shape(image.shape, model.card.shape)
    predictions = []
    see = partial(_as_seen, model.parameters)
    for seen, texture in _each_in_turn(see, images, parallel_jobs or cpu_count()):
        predictions += model.predict(seen[np.newaxis], texture[np.newaxis])
    return predictions


def row_of(
    image: str, prediction: Prediction, model: Model, layer: Layer, notes: Sequence[str] = ()
) -> Row:
    """A prediction as a line of the output.

    Parameters
    ----------
    image
        What the micrograph is called.
    prediction
        Of it.
    model, layer
        Which predicted, and for which layer the resistance is given.
    notes
        What could not be checked.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(texture_limit=1.5)  # all that is asked of it
    >>> prediction = Prediction(1e-3, 5e-4, 2e-3, (1e-3,), 0.0, ())
    >>> row = row_of("new.png", prediction, model, Layer())
    >>> row.in_domain, row.resistance_low < row.resistance < row.resistance_high
    (True, True)
    """
    return Row(
        image=image,
        k_m=prediction.k_m,
        k_m_low=prediction.low,
        k_m_high=prediction.high,
        resistance=layer.resistance(prediction.k_m),
        resistance_low=layer.resistance(prediction.high),
        resistance_high=layer.resistance(prediction.low),
        in_domain=not prediction.reasons,
        texture_distance=prediction.distance,
        texture_limit=model.texture_limit,
        remarks="; ".join((*prediction.reasons, *notes)),
    )


def rows_as_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as a table with the columns `COLUMNS`.

    Examples
    --------
    >>> table = rows_as_table([Row("new.png", k_m=1e-3), Row("notes.txt", error="is no image")])
    >>> table["k_m"].to_list()
    [0.001, nan]
    """
    return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))


def _each_in_turn(
    work: Callable[[_Item], _Result], items: Sequence[_Item], workers: int
) -> Iterator[_Result]:
    """What `work` makes of each item, in their order; only a few are at work or wait."""
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[_Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > workers + _AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _readable(text: str) -> str:
    """Text that can be printed in a line and encoded, whatever a file is called."""
    encodable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(sign if sign.isprintable() else "?" for sign in encodable)


def _prepared_file(
    model: Model, file: str, pixel_size_um: float | None
) -> tuple[Images, Values, tuple[str, ...]] | str:
    """Input, texture and what could not be checked; or what is wrong with the file."""
    try:
        micrograph = read_micrograph(file, model.parameters.crop)
        if pixel_size_um is not None:
            micrograph = replace(micrograph, pixel_size_um=pixel_size_um)
        fitted, notes = _fitted(micrograph, model)
        image, texture = _as_seen(model.parameters, fitted.image)
    except (ValueError, OSError, MemoryError) as error:
        return (str(error) or type(error).__name__).removeprefix(f"{file}: ")
    return image, texture, notes


def _fitted(micrograph: Micrograph, model: Model) -> tuple[Micrograph, tuple[str, ...]]:
    """The micrograph at the model's size and pixel size, and what could not be checked."""
    card, parameters = model.card, model.parameters
    own_um, models_um = micrograph.pixel_size_um, card.image.pixel_size_um
    if micrograph.has_data_bar:
        raise PredictionError(
            f"the data bar is still there (from row {micrograph.data_bar_row}); cut it off, the "
            "model was trained without"
        )
    if parameters.rescale and models_um is not None:
        try:
            return rescale_micrograph(micrograph, models_um, card.shape), ()
        except DatasetError as error:
            raise PredictionError(f"{error} (--pixel-size)") from None
    _check_shape(micrograph.image.shape, card.shape, micrograph.cut_rows)
    if models_um is None:
        return micrograph, ("the model knows no pixel size, so that it was not checked",)
    if own_um is None:
        return micrograph, (f"pixel size not told, taken for the model's {models_um:.4g} µm",)
    if parameters.check_pixel_size and pixel_sizes_differ(own_um, models_um):
        raise PredictionError(
            f"{own_um:.4g} µm a pixel, but the model was trained at {models_um:.4g} µm; take the "
            "micrograph at the same magnification, or tell the true pixel size with --pixel-size"
        )
    return micrograph, ()


def _check_shape(found: tuple[int, ...], expected: tuple[int, int], cut_rows: int = 0) -> None:
    if found == expected:
        return
    cut = f" without the {cut_rows} rows of its data bar, which were cut off" if cut_rows else ""
    raise PredictionError(
        f"{found[1]}×{found[0]} px{cut}, but the model was trained on {expected[1]}×{expected[0]} "
        "px (width × height, after cropping); take the micrograph so that this size is left"
    )


def _as_seen(parameters: Parameters, image: GreyImage) -> tuple[Images, Values]:
    """The network's input and the texture of a micrograph."""
    processed = process_with(parameters, image).equalized
    small = resize_by_area(processed, parameters.input_width) / np.float32(255)
    return small.astype(np.float32, copy=False), texture_description(processed)
