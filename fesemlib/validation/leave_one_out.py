"""Leave-one-formulation-out: folds, training, and one tidy table of predictions.

Section 4.2 leaves one sample out in turn. Here the unit that is left out is the formulation: all
its micrographs and all their copies leave the training set together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.dataset import Dataset
from fesemlib.network.architecture import build_network, load_tensorflow
from fesemlib.network.augmentation import GROUPS
from fesemlib.network.checkpoints import SECONDS_OF_USE
from fesemlib.network.engine import InputScale, Outcome, Settings, TargetScale
from fesemlib.network.inputs import keep_network_inputs
from fesemlib.params import NetworkParameters, Parameters
from fesemlib.progress import progress
from fesemlib.storage import build_folder, digest, remove_unfinished, writable
from fesemlib.validation.errors import at_the_end, relative_error, run_columns
from fesemlib.validation.folds import FoldJob, software
from fesemlib.validation.workers import trained

if TYPE_CHECKING:
    import keras

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]

COLUMNS = (
    "held_out",
    "formulation",
    "image",
    "role",
    "draw",
    "seed",
    "training_set",
    "epoch",
    "true_km",
    "predicted_km",
    "relative_error",
)

"""Of the tidy table; ``draw`` is missing where the micrographs are no stand-ins."""

TRAINING_SETS = ("original", "augmented")

# A network whose predictions on its own training set range over less than this share of the
# targets' range says the same whatever it is shown.
COLLAPSED_RANGE = 0.01
"""Of the range of the true values: predictions that differ by less are called constant."""

_BATCH = 32


@dataclass(frozen=True)
class Split:
    """One training: what it must not see.

    Attributes
    ----------
    held_out
        Formulations that are predicted and not trained on; there may be none.
    training_set
        ``"original"`` or ``"augmented"`` (Section 5.1).
    seed
        With the positions of the held-out formulations in the data set, it determines everything
        random.
    unused
        Formulations that are neither trained on nor predicted.
    keep_network
        Whether the trained network is kept for `kept_networks`, four bytes a weight.
    to_criterion
        Whether the training ends once its own micrographs are fitted to the `training_criterion`,
        and may take `longer_training` times as many epochs for it.
    """

    held_out: tuple[str, ...]
    training_set: str = "original"
    seed: int = 0
    unused: tuple[str, ...] = ()
    keep_network: bool = False
    to_criterion: bool = False


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
        As in `Split`.

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
    >>> from fesemlib.storage import temporary_build_folder
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(3, seed=0, shape=(48, 64))
    ...     parameters = Parameters(input_width=32, epochs=2, parallel_jobs=1)
    ...     results = leave_one_formulation_out(dataset, parameters)
    >>> first = results[results["held_out"] == "1"]
    >>> first["role"].value_counts().to_dict()  # at both epochs one held out, two trained on
    {'train': 4, 'test': 2}
    """
    splits = leave_one_out_splits(dataset, parameters, training_set, to_criterion)
    return train_splits(dataset, parameters, splits)


def leave_one_out_of_draws(
    draws: Sequence[Dataset], parameters: Parameters, training_set: str = "original"
) -> pd.DataFrame:
    """`leave_one_formulation_out` on each of several data sets, one table below the other.

    Parameters
    ----------
    draws
        From `fesemlib.dataset.load_draws`.
    parameters, training_set
        As there.

    Examples
    --------
    >>> from fesemlib.dataset import load_draws
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(
    ...     synthetic_draws=2, synthetic_width=384, input_width=32, epochs=1, parallel_jobs=1
    ... )
    >>> with temporary_build_folder():
    ...     results = leave_one_out_of_draws(load_draws(parameters), parameters)
    >>> results["draw"].unique().tolist()
    [0, 1]
    """
    tables = [leave_one_formulation_out(draw, parameters, training_set) for draw in draws]
    return pd.concat(tables, ignore_index=True)


def leave_one_out_splits(
    dataset: Dataset,
    parameters: Parameters,
    training_set: str = "original",
    to_criterion: bool = False,
) -> list[Split]:
    """The trainings of `leave_one_formulation_out`; the networks of the first seed are kept.

    Examples
    --------
    >>> images = pd.DataFrame({"formulation": ["A", "A", "B"]})
    >>> dataset = Dataset(pd.DataFrame(), images, (), synthetic=False, digest="")
    >>> splits = leave_one_out_splits(dataset, Parameters(number_of_seeds=1))
    >>> [split.held_out for split in splits]
    [('A',), ('B',)]
    """
    return [
        Split(
            (name,),
            training_set,
            seed,
            keep_network=seed == parameters.first_seed,
            to_criterion=to_criterion,
        )
        for seed in parameters.seeds
        for name in dict.fromkeys(dataset.images["formulation"])
    ]


def full_splits(parameters: Parameters, training_set: str = "original") -> list[Split]:
    """Trainings that hold nothing out, one for each seed; their networks are kept.

    Examples
    --------
    >>> [(split.held_out, split.seed) for split in full_splits(Parameters(number_of_seeds=2))]
    [((), 0), ((), 1)]
    """
    return [Split((), training_set, seed, keep_network=True) for seed in parameters.seeds]


def train_splits(dataset: Dataset, parameters: Parameters, splits: Sequence[Split]) -> pd.DataFrame:
    """Train a network for each split and predict what it has not seen.

    Parameters
    ----------
    dataset, parameters
        As in `leave_one_formulation_out`.
    splits
        The trainings.

    Returns
    -------
    DataFrame
        As of `leave_one_formulation_out`; where several formulations are held out together,
        ``held_out`` joins their names with " + ".

    Raises
    ------
    ValueError
        When a split names a formulation or a training set that there is not, or leaves none to
        train on.
    TrainingError, SchedulerError, DiskFullError
        When the training has to stop; see `fesemlib.validation.workers.trained`.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(3, seed=0, shape=(48, 64))
    ...     parameters = Parameters(input_width=32, epochs=2, parallel_jobs=1)
    ...     results = train_splits(dataset, parameters, [Split(("1", "2"))])
    >>> last = results[results["epoch"] == 2]
    >>> last[["held_out", "formulation", "role"]].to_numpy().tolist()
    [['1 + 2', '1', 'test'], ['1 + 2', '2', 'test'], ['1 + 2', '3', 'train']]
    """
    for split in splits:
        _check(split, dataset)
    outcomes = _train_all(splits, dataset, parameters)
    tables = [
        _predictions_of(split, dataset, parameters, outcome)
        for split, outcome in zip(splits, outcomes, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that has been trained, and the scale on which it has learned k_m.

    Attributes
    ----------
    model
        Keras' model; its output is the network's target.
    scale
        From the target to k_m.

    Examples
    --------
    >>> scale = TargetScale(offset=1e-3, spread=2e-3)
    >>> network = TrainedNetwork(build_network((24, 32)), scale)
    >>> predicted = network.predict(np.zeros((3, 24, 32), np.float32))
    >>> predicted.tolist()  # before training, the biases are zero: black gives zero, the offset
    [0.001, 0.001, 0.001]
    """

    model: keras.Model
    scale: TargetScale

    def predict(self, images: Images) -> Values:
        """Predict k_m.

        Parameters
        ----------
        images
            Inputs of the network, in [0, 1], shape (n, h, w).

        Returns
        -------
        ndarray
            m² s⁻¹, shape (n,).
        """
        outputs = [
            self._compiled(images[start : start + _BATCH, ..., np.newaxis]).numpy()
            for start in range(0, len(images), _BATCH)
        ]
        return self.scale.to_k_m(np.concatenate(outputs)[:, 0].astype(np.float64))

    @cached_property
    def _compiled(self) -> Any:
        """The model as one graph: layer by layer, Keras takes longer than a small image needs."""
        tensorflow = load_tensorflow()
        kind = tensorflow.TensorSpec(self.model.input_shape, "float32")
        return tensorflow.function(self.model, input_signature=[kind], autograph=False)


def kept_networks(
    dataset: Dataset, parameters: Parameters, splits: Sequence[Split]
) -> list[TrainedNetwork]:
    """The networks of several splits; those that have not been trained are, side by side.

    Parameters
    ----------
    dataset, parameters
        As in `leave_one_formulation_out`.
    splits
        With `keep_network`.

    Raises
    ------
    ValueError, TrainingError, SchedulerError, DiskFullError
        As `train_splits`.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=2, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(3, seed=0, shape=(48, 64))
    ...     networks = kept_networks(dataset, parameters, full_splits(parameters))
    >>> len(networks)
    2
    """
    for split in splits:
        _check(split, dataset)
    outcomes = _train_all(splits, dataset, parameters)
    images = np.load(keep_network_inputs(dataset, parameters))
    return [
        _network_of(split, dataset, images, parameters, outcome)
        for split, outcome in zip(splits, outcomes, strict=True)
    ]


def _network_of(
    split: Split, dataset: Dataset, images: Images, parameters: Parameters, outcome: Outcome
) -> TrainedNetwork:
    training = _takes_part(split, dataset) & ~_held_out(split, dataset)
    shown = InputScale.fit(images[training], parameters)
    options = NetworkParameters.values_of(parameters)
    shape = (images.shape[1], images.shape[2])
    model = build_network(shape, **options, input_scale=(shown.offset, shown.factor))
    model.set_weights(list(outcome.weights))
    return TrainedNetwork(model, TargetScale.fit(dataset.k_m[training], parameters.target))


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
    >>> results = pd.DataFrame(
    ...     {
    ...         "training_set": "original", "seed": 0, "held_out": "A", "role": "test",
    ...         "epoch": [1, 2, 3], "relative_error": [0.5, 0.1, 0.3],
    ...     }
    ... )
    >>> held_out_predictions(results)["relative_error"].item()
    0.3
    >>> held_out_predictions(results, "best_on_held_out")["relative_error"].item()
    0.1
    """
    test: pd.DataFrame = results[results["role"] == "test"]
    if model_selection == "last":
        return at_the_end(test)
    run = ["training_set", *run_columns(results), "held_out"]
    error = test.groupby([*run, "epoch"])["relative_error"].mean().reset_index()
    best = error.loc[error.groupby(run)["relative_error"].idxmin(), [*run, "epoch"]]
    return test.merge(best, on=[*run, "epoch"])


def training_summary(results: pd.DataFrame) -> pd.DataFrame:
    """How well each training has fitted its own micrographs, and whether it failed.

    In a collapsed run all hidden units are silent, and what the image shows no longer matters.

    Parameters
    ----------
    results
        From `leave_one_formulation_out`.

    Returns
    -------
    DataFrame
        One row a run: ``training_set, draw, seed, held_out``; ``images``, how many it was trained
        on, copies counted; ``epoch``, its last;
        ``training_error``, the mean relative error on its training micrographs then, without
        dropout; ``collapsed``, whether the predictions on them range over less than 1 % of the
        range of the true values; and ``diverged``, whether one of them is no finite number.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {
    ...         "training_set": "original", "seed": [0, 0, 1, 1], "held_out": "A", "role": "train",
    ...         "epoch": 9, "true_km": [1e-3, 2e-3] * 2, "predicted_km": [1e-3, 2e-3, 1e-3, 1e-3],
    ...         "relative_error": [0.0, 0.0, 0.0, 0.5],
    ...     }
    ... )
    >>> training_summary(results)[["training_error", "collapsed"]].to_numpy().tolist()
    [[0.0, False], [0.25, True]]
    """
    run = ["training_set", *run_columns(results), "held_out"]
    grouped = at_the_end(results[results["role"] == "train"]).groupby(run, sort=False)
    spread = grouped[["predicted_km", "true_km"]].agg(_range)
    summary = {
        "images": grouped.size(),
        "epoch": grouped["epoch"].max(),
        "training_error": grouped["relative_error"].mean(),
        "collapsed": spread["predicted_km"] < COLLAPSED_RANGE * spread["true_km"],
        "diverged": ~np.isfinite(spread["predicted_km"]),
    }
    return pd.DataFrame(summary).reset_index()


def training_steps(dataset: Dataset, parameters: Parameters) -> int:
    """Adam's steps in one training, that of the fold with the most images.

    Parameters
    ----------
    dataset, parameters
        As in `leave_one_formulation_out`.

    Examples
    --------
    >>> images = pd.DataFrame({"formulation": list("ABCDEFGHI")})
    >>> dataset = Dataset(pd.DataFrame(), images, (), synthetic=False, digest="")
    >>> training_steps(dataset, Parameters(epochs=100, batch_size=4))
    200
    """
    images = len(dataset.images) - int(dataset.images["formulation"].value_counts().min())
    return parameters.epochs * math.ceil(images / parameters.batch_size)


def _range(values: pd.Series[float]) -> float:
    with np.errstate(invalid="ignore"):  # infinite in all seeds
        return float(np.subtract(values.max(skipna=False), values.min(skipna=False)))


def _train_all(splits: Sequence[Split], dataset: Dataset, parameters: Parameters) -> list[Outcome]:
    """The outcome of every split: from the cache where it is there, else trained now."""
    folder = writable(build_folder() / "cache" / "folds").resolve()  # for workers elsewhere
    remove_unfinished(folder)
    remove_unfinished(folder, SECONDS_OF_USE, "*.checkpoint")
    inputs = keep_network_inputs(dataset, parameters)
    common = (inputs.stem, software())
    jobs = [_job(split, folder, common, dataset, parameters) for split in splits]
    outcomes = [job.kept() for job in jobs]
    missing = [number for number, outcome in enumerate(outcomes) if outcome is None]
    for number in set(range(len(jobs))) - set(missing):  # a kill may have come before
        jobs[number].checkpoint().remove()
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
    known = set(dataset.images["formulation"])
    unknown = sorted({*split.held_out, *split.unused} - known)
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no formulation of this data set")
    if not known - {*split.held_out, *split.unused}:
        raise ValueError(f"{_joined(split)} held out: no formulation is left to train on")
    if split.training_set not in TRAINING_SETS:
        raise ValueError(f"training_set = {split.training_set!r}: choose one of {TRAINING_SETS}")


def _job(
    split: Split,
    folder: Path,
    common: tuple[object, ...],
    dataset: Dataset,
    parameters: Parameters,
) -> FoldJob:
    names = list(dict.fromkeys(dataset.images["formulation"]))
    seed = (split.seed, *sorted(names.index(name) for name in split.held_out))
    test, used = _held_out(split, dataset), _takes_part(split, dataset)
    training_data = [
        float(k_m) if trained_on else None
        for k_m, trained_on in zip(dataset.k_m, used & ~test, strict=True)
    ]
    transformations = _transformations(split, parameters)
    settings = _settings(split, parameters, int((used & ~test).sum()), len(transformations))
    name = digest(seed, transformations, np.flatnonzero(test), training_data, settings, *common)
    return FoldJob(
        label=f"{_joined(split)} held out, seed {split.seed}, {split.training_set} training set",
        path=folder / f"{name}.npz",
        k_m=dataset.k_m,
        test=test,
        used=used,
        settings=settings,
        transformations=transformations,
        seed=seed,
        keep_network=split.keep_network,
    )


def _settings(split: Split, parameters: Parameters, images: int, copies: int) -> Settings:
    """The settings of one training: with copies of the images, fewer epochs and as many steps."""
    settings, size = Settings.of(parameters), parameters.batch_size
    if split.to_criterion:
        epochs = parameters.longer_training * settings.epochs
        stop_at = parameters.training_criterion
        settings = settings.model_copy(update={"epochs": epochs, "stop_at": stop_at})
    steps = settings.epochs * math.ceil(images / size)
    epochs = max(1, round(steps / math.ceil(copies * images / size)))
    return settings.model_copy(update={"epochs": epochs})


def _transformations(split: Split, parameters: Parameters) -> tuple[str, ...]:
    augmented = split.training_set == "augmented"
    return GROUPS[parameters.augmentation_group] if augmented else ("original",)


def _joined(split: Split) -> str:
    return " + ".join(split.held_out) or "nothing"


def _held_out(split: Split, dataset: Dataset) -> npt.NDArray[np.bool_]:
    return dataset.images["formulation"].isin(split.held_out).to_numpy(dtype=bool)


def _takes_part(split: Split, dataset: Dataset) -> npt.NDArray[np.bool_]:
    return ~dataset.images["formulation"].isin(split.unused).to_numpy(dtype=bool)


def _predictions_of(
    split: Split, dataset: Dataset, parameters: Parameters, outcome: Outcome
) -> pd.DataFrame:
    """The rows of the table of predictions that one split gives."""
    held_out = _held_out(split, dataset)
    test = dataset.images[held_out]
    train = dataset.images[_takes_part(split, dataset) & ~held_out]
    if split.training_set == "augmented":
        copies = [
            train.assign(image=[f"{image}, {name}" for image in train["image"]])
            for name in _transformations(split, parameters)
        ]
        train = pd.concat(copies, ignore_index=True)
    table = pd.concat(
        [
            pd.concat([images] * len(epochs)).assign(
                role=role, epoch=np.repeat(epochs, len(images)), predicted_km=predicted.ravel()
            )
            for role, images, epochs, predicted in (
                ("test", test, np.arange(1, len(outcome.test) + 1), outcome.test),
                ("train", train, outcome.logged, outcome.train),
            )
        ],
        ignore_index=True,
    ).rename(columns={"k_m": "true_km"})
    table = table.assign(
        held_out=_joined(split),
        draw=dataset.draw,
        seed=split.seed,
        training_set=split.training_set,
        relative_error=relative_error(table["predicted_km"], table["true_km"]).fillna(
            np.inf  # a training that diverged
        ),
    )
    return table[[name for name in COLUMNS if name != "draw" or dataset.synthetic]]
