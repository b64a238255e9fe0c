"""Leave-one-formulation-out: folds, training, and one tidy table of predictions.

Section 4.2 leaves one sample out in turn. Here the unit that is left out is the formulation: all
its micrographs and all their copies leave the training set together.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.augmentation import TRANSFORMATIONS
from fesemlib.checkpoints import SECONDS_OF_USE
from fesemlib.dataset import Dataset
from fesemlib.folds import FoldJob, kept_outcome, software
from fesemlib.inputs import keep_network_inputs
from fesemlib.params import Parameters
from fesemlib.progress import progress
from fesemlib.scheduling import trained
from fesemlib.storage import build_folder, digest, remove_unfinished, writable
from fesemlib.training import Outcome, Settings

__all__ = [
    "TRAINING_SETS",
    "failed_runs",
    "held_out_errors",
    "held_out_predictions",
    "leave_one_formulation_out",
    "mean_error",
    "mean_error_by_epoch",
    "training_steps",
]

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]

COLUMNS = (
    "held_out",
    "formulation",
    "image",
    "role",
    "seed",
    "training_set",
    "epoch",
    "true_km",
    "predicted_km",
    "relative_error",
)

TRAINING_SETS = ("original", "augmented")

_OVER_SEEDS = {"median": "median", "least": "min", "greatest": "max"}

# A network whose predictions on its own training set range over less than this share of the
# targets' range says the same whatever it is shown.
_COLLAPSED_RANGE = 0.01


def leave_one_formulation_out(
    dataset: Dataset, parameters: Parameters, training_set: str = "original"
) -> pd.DataFrame:
    """Hold every formulation out in turn, train on the others and predict it.

    Parameters
    ----------
    dataset
        The micrographs.
    parameters
        Those of processing, network and training.
    training_set
        ``"original"`` or ``"augmented"`` (Section 5.1).

    Returns
    -------
    DataFrame
        One row for each prediction, with the columns ``held_out``, ``formulation``, ``image``,
        ``role`` ("train" or "test"), ``seed``, ``training_set``, ``epoch`` (1 is the first),
        ``true_km`` and ``predicted_km`` (m² s⁻¹) and ``relative_error``, which is
        |predicted − true| / true, infinite where a training diverged. Test rows at every epoch,
        training rows at the last one only.

    Raises
    ------
    ValueError
        When the training set is unknown.
    TrainingError, SchedulerError, DiskFullError
        When the training has to stop; see `fesemlib.scheduling.trained`.

    Notes
    -----
    A finished fold is kept in the cache under a digest of all that determines it, so that
    nothing is trained twice. Folds are trained side by side in processes of one thread each: the
    numbers depend neither on how many there are, nor on where they run, nor on what was trained
    before or interrupted.
    """
    if training_set not in TRAINING_SETS:
        raise ValueError(f"training_set = {training_set!r}: choose one of {TRAINING_SETS}")
    held_out = list(dict.fromkeys(dataset.images["formulation"]))
    folds = [
        _Fold(name, number, seed, training_set)
        for seed in parameters.seeds
        for number, name in enumerate(held_out)
    ]
    outcomes = _train_all(folds, dataset, parameters)
    tables = [
        _predictions_of(fold, dataset, outcome)
        for fold, outcome in zip(folds, outcomes, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


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
    """
    test: pd.DataFrame = results[results["role"] == "test"]
    if model_selection == "last":
        last: pd.DataFrame = test[test["epoch"] == test["epoch"].max()]
        return last.reset_index(drop=True)
    run = ["training_set", "seed", "held_out"]
    error = test.groupby([*run, "epoch"])["relative_error"].mean().reset_index()
    best = error.loc[error.groupby(run)["relative_error"].idxmin(), [*run, "epoch"]]
    return test.merge(best, on=[*run, "epoch"])


def held_out_errors(predictions: pd.DataFrame) -> pd.DataFrame:
    """Relative error of each held-out formulation over the seeds: median, least and greatest.

    Parameters
    ----------
    predictions
        From `held_out_predictions`, of one training set.

    Returns
    -------
    DataFrame
        Indexed by formulation, columns ``median, least, greatest``; the error of a formulation
        with several micrographs is the mean over them.
    """
    errors = _errors_of_runs(predictions).agg(list(_OVER_SEEDS.values()), axis=1)
    return errors.set_axis(list(_OVER_SEEDS), axis=1).rename_axis("formulation")


def mean_error(predictions: pd.DataFrame) -> pd.Series[float]:
    """Mean relative error over the formulations: median, least and greatest over the seeds.

    Parameters
    ----------
    predictions
        From `held_out_predictions`, of one training set.

    Returns
    -------
    Series
        ``median, least, greatest``. The mean is taken within each seed, so that the range is that
        of complete leave-one-out runs.
    """
    by_seed = _errors_of_runs(predictions).mean()
    return by_seed.agg(list(_OVER_SEEDS.values())).set_axis(list(_OVER_SEEDS))


def mean_error_by_epoch(results: pd.DataFrame) -> pd.DataFrame:
    """Mean relative error over the held-out formulations, along the epochs.

    Parameters
    ----------
    results
        From `leave_one_formulation_out`, of one or more training sets.

    Returns
    -------
    DataFrame
        Indexed by epoch, a column for each training set: the median over the seeds.
    """
    test = results[results["role"] == "test"]
    run = ["training_set", "epoch", "seed"]
    formulations = test.groupby([*run, "held_out"])["relative_error"].mean()
    seeds = formulations.groupby(run).mean().reset_index()
    return seeds.pivot_table("relative_error", "epoch", "training_set", aggfunc="median")


def failed_runs(results: pd.DataFrame) -> pd.DataFrame:
    """Runs that collapsed to a constant, or diverged.

    In a collapsed run all hidden units are silent, and what the image shows no longer matters.

    Parameters
    ----------
    results
        From `leave_one_formulation_out`.

    Returns
    -------
    DataFrame
        One row a run: ``training_set, seed, held_out, collapsed, diverged``. A run counts as
        collapsed when its predictions on its own training set range over less than 1 % of
        the range of the true values, and as diverged when one of them is no finite
        number.
    """
    train = results[results["role"] == "train"]
    run = ["training_set", "seed", "held_out"]
    spread = train.groupby(run, sort=False)[["predicted_km", "true_km"]].agg(_range)
    states = {
        "collapsed": spread["predicted_km"] < _COLLAPSED_RANGE * spread["true_km"],
        "diverged": ~np.isfinite(spread["predicted_km"]),
    }
    return pd.DataFrame(states).reset_index()


def training_steps(dataset: Dataset, parameters: Parameters, training_set: str) -> int:
    """Adam's steps in one training, that of the fold with the most images.

    Parameters
    ----------
    dataset, parameters
        As in `leave_one_formulation_out`.
    training_set
        ``"original"`` or ``"augmented"``.
    """
    images = len(dataset.images) - int(dataset.images["formulation"].value_counts().min())
    if training_set == "augmented":
        images *= len(TRANSFORMATIONS)
    return parameters.epochs * math.ceil(images / parameters.batch_size)


def _range(values: pd.Series[float]) -> float:
    return float(values.max(skipna=False) - values.min(skipna=False))


def _errors_of_runs(predictions: pd.DataFrame) -> pd.DataFrame:
    """Relative error, averaged over micrographs: a row for a formulation, a column for a seed."""
    errors = predictions.pivot_table("relative_error", index="held_out", columns="seed")
    return errors.loc[list(dict.fromkeys(predictions["held_out"]))]


@dataclass(frozen=True)
class _Fold:
    held_out: str
    number: int
    seed: int
    training_set: str


def _train_all(folds: list[_Fold], dataset: Dataset, parameters: Parameters) -> list[Outcome]:
    """The outcome of every fold: from the cache where it is there, else trained now."""
    folder = writable(build_folder() / "cache" / "folds").resolve()  # for workers elsewhere
    remove_unfinished(folder)
    remove_unfinished(folder, SECONDS_OF_USE, "*.checkpoint")
    inputs = keep_network_inputs(dataset, parameters)
    common = (inputs.stem, Settings.of(parameters), software())
    paths = [
        folder / f"{digest(fold, _training_data(dataset, fold), *common)}.npz" for fold in folds
    ]
    jobs = [_job(*each, dataset, parameters) for each in zip(folds, paths, strict=True)]
    outcomes = [kept_outcome(job.path) for job in jobs]
    missing = [number for number, outcome in enumerate(outcomes) if outcome is None]
    for number in set(range(len(jobs))) - set(missing):  # a kill may have come before
        jobs[number].checkpoint().remove()
    with progress(len(folds), "folds", done=len(folds) - len(missing)) as advance:
        if missing:
            untrained = [jobs[number] for number in missing]
            where = (parameters.parallel_jobs, parameters.scheduler)
            with closing(trained(untrained, inputs, *where)) as finished:
                for number, outcome in finished:
                    outcomes[missing[number]] = outcome
                    advance()
    return [outcome for outcome in outcomes if outcome is not None]


def _job(fold: _Fold, path: Path, dataset: Dataset, parameters: Parameters) -> FoldJob:
    return FoldJob(
        label=f"{fold.held_out} held out, seed {fold.seed}, {fold.training_set} training set",
        path=path,
        k_m=dataset.images["k_m"].to_numpy(dtype=np.float64),
        test=(dataset.images["formulation"] == fold.held_out).to_numpy(),
        settings=Settings.of(parameters),
        augmented=fold.training_set == "augmented",
        seed=(fold.seed, fold.number),
    )


def _training_data(dataset: Dataset, fold: _Fold) -> list[float | None]:
    """The k_m of every image that the fold trains on, None for those held out."""
    held_out = dataset.images["formulation"] == fold.held_out
    return [
        None if hidden else float(k_m)
        for k_m, hidden in zip(dataset.images["k_m"], held_out, strict=True)
    ]


def _predictions_of(fold: _Fold, dataset: Dataset, outcome: Outcome) -> pd.DataFrame:
    """The rows of the table of predictions that one fold gives."""
    held_out = dataset.images["formulation"] == fold.held_out
    test, train = dataset.images[held_out], dataset.images[~held_out]
    epochs = len(outcome.test)
    if fold.training_set == "augmented":
        copies = [
            train.assign(image=[f"{image}, {name}" for image in train["image"]])
            for name in TRANSFORMATIONS
        ]
        train = pd.concat(copies, ignore_index=True)
    table = pd.concat(
        [
            pd.concat([test] * epochs).assign(
                role="test",
                epoch=np.repeat(np.arange(1, epochs + 1), len(test)),
                predicted_km=outcome.test.ravel(),
            ),
            train.assign(role="train", epoch=epochs, predicted_km=outcome.train),
        ],
        ignore_index=True,
    ).rename(columns={"k_m": "true_km"})
    table = table.assign(
        held_out=fold.held_out,
        seed=fold.seed,
        training_set=fold.training_set,
        relative_error=((table["predicted_km"] - table["true_km"]).abs() / table["true_km"]).fillna(
            np.inf  # a training that diverged
        ),
    )
    return table[list(COLUMNS)]
