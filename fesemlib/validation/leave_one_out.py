"""Leave-one-formulation-out: folds, training, and one tidy table of predictions.

Section 4.2 leaves one sample out in turn. Here the unit that is left out is the formulation: all
its micrographs and all their copies leave the training set together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.dataset import Dataset
from fesemlib.network.architecture import build_network, tensorflow
from fesemlib.network.augmentation import GROUPS
from fesemlib.network.checkpoints import SECONDS_OF_USE
from fesemlib.network.engine import Images, InputScale, Outcome, Settings, TargetScale, Values
from fesemlib.network.inputs import keep_network_inputs
from fesemlib.params import NetworkParameters, Parameters
from fesemlib.progress import progress
from fesemlib.storage import digest, folder_in_cache, remove_unfinished
from fesemlib.validation.errors import at_the_end, relative_error, training_columns
from fesemlib.validation.folds import FoldJob, software
from fesemlib.validation.workers import trained

# Of the tidy table; `draw` is missing where the micrographs are no stand-ins.
COLUMNS = (
    *("held_out", "formulation", "image", "role", "draw", "seed"),
    *("training_set", "epoch", "true_km", "predicted_km", "relative_error"),
)

TRAINING_SETS = ("original", "augmented")

# Of the range of the true values: a network whose predictions on its own training set differ by
# less says the same whatever it is shown.
COLLAPSED_RANGE = 0.01

_BATCH = 32

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """One training: what it must not see."""

    held_out: tuple[str, ...]  # predicted and not trained on; there may be none
    training_set: str = "original"  # or "augmented" (Section 5.1)
    # With the positions of the held-out formulations in the data set, it determines everything
    # random.
    seed: int = 0
    unused: tuple[str, ...] = ()  # neither trained on nor predicted
    keep_network: bool = False  # for `kept_networks`, four bytes a weight
    # Whether the training ends once its own micrographs are fitted to the `training_criterion`, and
    # may take `longer_training` times as many epochs for it.
    to_criterion: bool = False

    @property
    def name(self) -> str:
        """The formulations that are held out, joined."""
        return " + ".join(self.held_out) or "nothing"

    def masks(self, dataset: Dataset) -> tuple[Mask, Mask]:
        """Which micrographs are predicted, and which are trained on, shape (n,) each."""
        names = dataset.images["formulation"]
        held_out = names.isin(self.held_out).to_numpy(dtype=bool)
        return held_out, ~names.isin({*self.held_out, *self.unused}).to_numpy(dtype=bool)

    def transformations(self, parameters: Parameters) -> tuple[str, ...]:
        """Those under which a micrograph is trained on."""
        augmented = self.training_set == "augmented"
        return GROUPS[parameters.augmentation_group] if augmented else ("original",)


def leave_one_formulation_out(
    dataset: Dataset,
    parameters: Parameters,
    training_set: str = "original",
    to_criterion: bool = False,
) -> pd.DataFrame:
    """Hold every formulation out in turn, train on the others and predict it.

    Parameters
    ----------
    dataset
        The micrographs.
    parameters
        Those of processing, network and training.
    training_set
        ``"original"`` or ``"augmented"`` (Section 5.1). Both are trained in the same number of
        steps, that of `epochs` passes over the original set.
    to_criterion
        Whether a training ends once its own micrographs are fitted to the `training_criterion`, and
        may take `longer_training` times as many epochs for it.

    Returns
    -------
    DataFrame
        One row for each prediction, with the columns ``held_out``, ``formulation``, ``image``,
        ``role`` ("train" or "test"), ``draw`` (of stand-ins), ``seed``, ``training_set``, ``epoch``
        (1 is the first), ``true_km`` and ``predicted_km`` (m² s⁻¹) and ``relative_error``, which is
        ``|predicted − true| / true``, infinite where a training diverged. Test rows at every epoch,
        training rows at some fifty epochs on a logarithmic scale, the last among them.

    Raises
    ------
    ValueError
        When the training set is unknown.
    TrainingError, SchedulerError, DiskFullError
        When the training has to stop; see `fesemlib.validation.workers.trained`.

    Notes
    -----
    A finished fold is kept in the cache under a digest of all that determines it, so that
    nothing is trained twice. Folds are trained side by side in processes of one thread each: the
    numbers depend neither on how many there are, nor on where they run, nor on what was trained
    before or interrupted.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> dataset = draw_stand_ins(3, seed=0, shape=(48, 64))
    >>> parameters = Parameters(input_width=32, epochs=2, parallel_jobs=1)
    >>> results = leave_one_formulation_out(dataset, parameters)
    >>> results.loc[results["held_out"] == "1", "role"].value_counts().to_dict()
    {'train': 4, 'test': 2}
    """
    splits = leave_one_out_splits(dataset, parameters, training_set, to_criterion)
    return train_splits(dataset, parameters, splits)


def leave_one_out_of_draws(
    draws: Sequence[Dataset], parameters: Parameters, training_set: str = "original"
) -> pd.DataFrame:
    """`leave_one_formulation_out` on each of several data sets, one table below the other."""
    tables = [leave_one_formulation_out(draw, parameters, training_set) for draw in draws]
    return pd.concat(tables, ignore_index=True)


def leave_one_out_splits(
    data: Dataset,
    parameters: Parameters,
    training_set: str = "original",
    to_criterion: bool = False,
) -> list[Split]:
    """The trainings of `leave_one_formulation_out`; the networks of the first seed are kept."""
    return [
        Split((name,), training_set, seed, (), seed == parameters.first_seed, to_criterion)
        for seed in parameters.seeds
        for name in dict.fromkeys(data.images["formulation"])
    ]


def full_splits(parameters: Parameters, training_set: str = "original") -> list[Split]:
    """Trainings that hold nothing out, one for each seed; their networks are kept."""
    return [Split((), training_set, seed, keep_network=True) for seed in parameters.seeds]


def train_splits(dataset: Dataset, parameters: Parameters, splits: Sequence[Split]) -> pd.DataFrame:
    """Train a network for each split and predict what it has not seen.

    The table is that of `leave_one_formulation_out`; where several formulations are held out
    together, ``held_out`` joins their names with " + ". A ValueError when a split names a
    formulation or a training set that there is not, or leaves none to train on.
    """
    outcomes = zip(splits, _train_all(splits, dataset, parameters), strict=True)
    tables = [_predictions_of(split, dataset, parameters, outcome) for split, outcome in outcomes]
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, Keras' model, and the scale on which it has learned k_m."""

    model: Any
    scale: TargetScale

    def predict(self, images: Images) -> Values:
        """The k_m, m² s⁻¹, shape (n,), of inputs in [0, 1], shape (n, h, w)."""
        starts = range(0, len(images), _BATCH)
        batches = (images[start : start + _BATCH, ..., np.newaxis] for start in starts)
        outputs = [self._compiled(batch).numpy() for batch in batches]
        return self.scale.to_k_m(np.concatenate(outputs)[:, 0].astype(np.float64))

    @cached_property
    def _compiled(self) -> Any:
        """The model as one graph: layer by layer, Keras takes longer than a small image needs."""
        kind = tensorflow.TensorSpec(self.model.input_shape, "float32")
        return tensorflow.function(self.model, input_signature=[kind], autograph=False)


def kept_networks(
    dataset: Dataset, parameters: Parameters, splits: Sequence[Split]
) -> list[TrainedNetwork]:
    """The networks of splits with `keep_network`; those not trained yet are, side by side."""
    outcomes = _train_all(splits, dataset, parameters)
    images = np.load(keep_network_inputs(dataset, parameters))
    options = NetworkParameters.values_of(parameters)
    networks = []
    for split, outcome in zip(splits, outcomes, strict=True):
        _, training = split.masks(dataset)
        shown = InputScale.fit(images[training], parameters)
        model = build_network(images.shape[1:], **options, input_scale=astuple(shown))
        model.set_weights(list(outcome.weights))
        scale = TargetScale.fit(dataset.k_m[training], parameters.target)
        networks.append(TrainedNetwork(model, scale))
    return networks


def held_out_predictions(results: pd.DataFrame, model_selection: str = "last") -> pd.DataFrame:
    """The prediction that counts of each run: one row a run and held-out micrograph.

    Parameters
    ----------
    results
        From `leave_one_formulation_out`.
    model_selection
        ``"last"`` epoch, or ``"best_on_held_out"``: the epoch with the least mean error on the
        held-out micrographs themselves, which no one could choose for a new product.

    Returns
    -------
    DataFrame
        Rows and columns of `results`.

    Examples
    --------
    >>> courses = {"held_out": "A", "role": "test", "seed": 0, "epoch": [1, 2, 3]}
    >>> courses |= {"training_set": "original", "relative_error": [0.5, 0.1, 0.3]}
    >>> held_out_predictions(pd.DataFrame(courses))["relative_error"].item()
    0.3
    """
    test: pd.DataFrame = results[results["role"] == "test"]
    if model_selection == "last":
        return at_the_end(test)
    run = training_columns(results)
    error = test.groupby([*run, "epoch"])["relative_error"].mean().reset_index()
    best = error.loc[error.groupby(run)["relative_error"].idxmin(), [*run, "epoch"]]
    return test.merge(best, on=[*run, "epoch"])


def training_summary(results: pd.DataFrame) -> pd.DataFrame:
    """How well each training has fitted its own micrographs, and whether it failed.

    One row a run: ``training_set, draw, seed, held_out``; ``images``, how many it was trained on,
    copies counted; ``epoch``, its last; ``training_error``, the mean relative error on its training
    micrographs then, without dropout; ``collapsed``, whether the predictions on them range over
    less than 1 % of the range of the true values (all hidden units are silent, and what the image
    shows no longer matters); and ``diverged``, whether one of them is no finite number.
    """
    trained_on = at_the_end(results[results["role"] == "train"])
    grouped = trained_on.groupby(training_columns(results), sort=False)
    with np.errstate(invalid="ignore"):  # infinite in all seeds
        spread = grouped[["predicted_km", "true_km"]].agg(_range)
    summary = {
        "images": grouped.size(),
        "epoch": grouped["epoch"].max(),
        "training_error": grouped["relative_error"].mean(),
        "collapsed": spread["predicted_km"] < COLLAPSED_RANGE * spread["true_km"],
        "diverged": ~np.isfinite(spread["predicted_km"]),
    }
    return pd.DataFrame(summary).reset_index()


def _range(values: pd.Series[float]) -> float:
    return float(np.ptp(values.to_numpy()))


def training_steps(dataset: Dataset, parameters: Parameters) -> int:
    """Adam's steps in one training, that of the fold with the most images."""
    images = len(dataset.images) - int(dataset.images["formulation"].value_counts().min())
    return parameters.epochs * math.ceil(images / parameters.batch_size)


def _train_all(splits: Sequence[Split], dataset: Dataset, parameters: Parameters) -> list[Outcome]:
    """The outcome of every split: from the cache where it is there, else trained now."""
    for split in splits:
        _check(split, dataset)
    folder = folder_in_cache("folds").resolve()  # for workers elsewhere
    remove_unfinished(folder, SECONDS_OF_USE, "*.checkpoint")
    inputs = keep_network_inputs(dataset, parameters)
    common = (inputs.stem, software())
    jobs = [_job(split, folder, common, dataset, parameters) for split in splits]
    outcomes = [job.kept() for job in jobs]
    missing = [number for number, outcome in enumerate(outcomes) if outcome is None]
    for number in set(range(len(jobs))) - set(missing):  # a kill may have come before
        jobs[number].checkpoint.remove()
    with progress(len(splits), "folds", done=len(splits) - len(missing)) as advance:
        if missing:
            untrained = [jobs[number] for number in missing]
            where = (parameters.parallel_jobs, parameters.scheduler)
            with closing(trained(untrained, inputs, *where)) as finished:
                for number, outcome in finished:
                    outcomes[missing[number]] = outcome
                    advance(_loss(untrained[number], outcome))
    return [outcome for outcome in outcomes if outcome is not None]


def _loss(job: FoldJob, outcome: Outcome) -> float:
    """Mean squared error on the training set after the last epoch, on the scale of the target."""
    true = np.tile(job.k_m[job.used & ~job.test], len(job.transformations))
    scale = TargetScale.fit(true, job.settings.target)
    with np.errstate(invalid="ignore", over="ignore"):  # of a training that diverged
        return float(np.mean((scale.to_target(outcome.train[-1]) - scale.to_target(true)) ** 2))


def _check(split: Split, dataset: Dataset) -> None:
    known, named = set(dataset.images["formulation"]), {*split.held_out, *split.unused}
    if named - known:
        raise ValueError(f"{', '.join(sorted(named - known))}: no formulation of this data set")
    if not known - named:
        raise ValueError(f"{split.name} held out: no formulation is left to train on")
    if split.training_set not in TRAINING_SETS:
        raise ValueError(f"training_set = {split.training_set!r}: choose one of {TRAINING_SETS}")


def _job(
    split: Split, folder: Path, common: tuple[object, ...], dataset: Dataset, parameters: Parameters
) -> FoldJob:
    names = list(dict.fromkeys(dataset.images["formulation"]))
    seed = (split.seed, *sorted(names.index(name) for name in split.held_out))
    test, training = split.masks(dataset)
    seen_k_m = np.where(training, dataset.k_m, np.nan)
    transformations = split.transformations(parameters)
    settings = _settings(split, parameters, int(training.sum()), len(transformations))
    name = digest(seed, transformations, np.flatnonzero(test), seen_k_m, settings, *common)
    return FoldJob(
        label=f"{split.name} held out, seed {split.seed}, {split.training_set} training set",
        path=folder / f"{name}.npz",
        k_m=dataset.k_m,
        test=test,
        used=test | training,
        settings=settings,
        transformations=transformations,
        seed=seed,
        keep_network=split.keep_network,
    )


def _settings(split: Split, parameters: Parameters, images: int, copies: int) -> Settings:
    """The settings of one training: with copies of the images, fewer epochs and as many steps."""
    epochs, stop_at, size = parameters.epochs, 0.0, parameters.batch_size
    if split.to_criterion:
        epochs, stop_at = parameters.longer_training * epochs, parameters.training_criterion
    steps = epochs * math.ceil(images / size)
    epochs = max(1, round(steps / math.ceil(copies * images / size)))
    return Settings.of(parameters).changed(epochs=epochs, stop_at=stop_at)


def _predictions_of(
    split: Split, dataset: Dataset, parameters: Parameters, outcome: Outcome
) -> pd.DataFrame:
    """The rows of the table of predictions that one split gives."""
    test, train = (dataset.images[mask] for mask in split.masks(dataset))
    if split.training_set == "augmented":
        names = split.transformations(parameters)
        train = pd.concat([train.assign(image=train["image"] + f", {name}") for name in names])
    every = np.arange(1, len(outcome.test) + 1)
    parts = (("test", test, every, outcome.test), ("train", train, outcome.logged, outcome.train))
    tables = []
    for role, images, epochs, predicted in parts:
        epoch = np.repeat(epochs, len(images))
        rows = pd.concat([images] * len(epochs))
        tables.append(rows.assign(role=role, epoch=epoch, predicted_km=predicted.ravel()))
    table = pd.concat(tables, ignore_index=True).rename(columns={"k_m": "true_km"})
    error = relative_error(table["predicted_km"], table["true_km"])
    table = table.assign(
        held_out=split.name,
        draw=dataset.draw,
        seed=split.seed,
        training_set=split.training_set,
        relative_error=error.fillna(np.inf),  # of a training that diverged
    )
    return table[[name for name in COLUMNS if name != "draw" or dataset.synthetic]]


@dataclass(frozen=True)
class HeldOutNetworks:
    """For each formulation the network that was trained on the others; inputs `width` px wide."""

    of: dict[str, TrainedNetwork]
    width: int

    def predict(self, images: Images, formulations: npt.NDArray[Any]) -> Values:
        """k_m of each input, m² s⁻¹, by the network that has not seen its formulation."""
        predicted = np.empty(len(images))
        for name in dict.fromkeys(formulations):
            own = formulations == name
            predicted[own] = self.of[name].predict(images[own])
        return predicted


def held_out_networks(dataset: Dataset, parameters: Parameters) -> HeldOutNetworks:
    """The networks of the first seed of `leave_one_formulation_out`, trained if they are not."""
    first_seed = parameters.changed(number_of_seeds=1)
    splits = leave_one_out_splits(dataset, first_seed)
    networks = kept_networks(dataset, first_seed, splits)
    names = [split.held_out[0] for split in splits]
    return HeldOutNetworks(dict(zip(names, networks, strict=True)), parameters.input_width)
