"""Every mean, median and range of a tidy table of predictions, once.

A *run* is one complete leave-one-out: a seed of the training and, of stand-ins, a draw. Errors are
averaged over the micrographs of a formulation, then over the formulations within each run; what the
book shows is the median over the runs, and their range. Tables of *predictions* have a row for each
run and held-out micrograph, as `fesemlib.validation.held_out_predictions` gives them; *results* are
those of `leave_one_formulation_out`, of one or more training sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

# Names of the three measures of a run, in this order everywhere.
MEAN = "mean"
WITHOUT_WORST = "mean without the worst"
LOG_MEAN = "mean |ln|"


def relative_error(predicted_km: pd.Series[float], true_km: pd.Series[float]) -> pd.Series[float]:
    """Unsigned fractions of the true k_m, as the paper's Table 2; both k_m in m² s⁻¹."""
    return (predicted_km - true_km).abs() / true_km


def log_errors(predictions: pd.DataFrame) -> pd.Series[float]:
    """``|ln(predicted / true)|`` of each row: twice as large and half as large are equally wrong.

    Infinite where the prediction is not positive or a training diverged, NaN where there is none.
    """
    ratio = predictions["predicted_km"] / predictions["true_km"]
    with np.errstate(divide="ignore"):
        errors = np.abs(np.log(ratio.clip(lower=0.0)))
    return pd.Series(errors, index=predictions.index)


def run_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table that tell runs apart: ``draw`` and ``seed``, as far as there."""
    return [name for name in ("draw", "seed") if name in table]


def training_columns(results: pd.DataFrame) -> list[str]:
    """The columns of results that tell trainings apart."""
    return ["training_set", *run_columns(results), "held_out"]


def over_groups(errors: pd.Series[float], keys: list[str]) -> pd.DataFrame:
    """``median, least, greatest`` over each group of the same keys, levels of the index."""
    grouped = errors.groupby(keys)
    columns = {"median": grouped.median(), "least": grouped.min(), "greatest": grouped.max()}
    return pd.DataFrame(columns)


def errors_of_runs(predictions: pd.DataFrame, error: str = "relative_error") -> pd.DataFrame:
    """The error of every formulation (index, in the order of the table) in every run (columns)."""
    runs = run_columns(predictions)
    if not runs:
        predictions, runs = predictions.assign(seed=0), ["seed"]
    grouped = predictions.groupby(["held_out", *runs], sort=False)[error]
    by_run = grouped.agg(lambda errors: errors.mean(skipna=False))
    columns = runs if len(runs) > 1 else runs[0]
    means: pd.DataFrame = by_run.unstack(columns)  # noqa: PD010 (a pivot table leaves NaN out)
    return means.loc[list(dict.fromkeys(predictions["held_out"]))].astype(float)


def errors_of_formulations(predictions: pd.DataFrame) -> pd.Series[float]:
    """Relative error of each formulation: the median over the runs."""
    return errors_of_runs(predictions).median(axis=1)


def held_out_errors(predictions: pd.DataFrame) -> pd.DataFrame:
    """Relative error of each formulation: ``median, least, greatest`` over the runs."""
    return _over_runs(errors_of_runs(predictions)).rename_axis("formulation")


def measures_of_runs(predictions: pd.DataFrame) -> pd.DataFrame:
    """Three measures of every run of one training set.

    ``mean``, the mean relative error over the formulations; ``mean without the worst``, over all
    but the one that this run predicts worst; and ``mean |ln|``, the mean of `log_errors`, which is
    NaN without ``predicted_km``.
    """
    errors = errors_of_runs(predictions)
    table = pd.DataFrame(
        {MEAN: errors.mean(skipna=False), WITHOUT_WORST: errors.apply(_without_worst)}
    )
    table[LOG_MEAN] = np.nan
    if "predicted_km" in predictions:
        logarithms = predictions.assign(log_error=log_errors(predictions))
        table[LOG_MEAN] = errors_of_runs(logarithms, "log_error").mean(skipna=False)
    return table


def measures(predictions: pd.DataFrame) -> pd.DataFrame:
    """The three measures of `measures_of_runs`: ``median, least, greatest`` over the runs."""
    return _over_runs(measures_of_runs(predictions).T)


def table_2(
    predictions: Mapping[str, pd.DataFrame],
    names: Sequence[str],
    published: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Table 2 of the paper: the errors of the held-out formulations, beside the published ones.

    Parameters
    ----------
    predictions
        Training set and its `held_out_predictions`.
    names
        The formulations in their order.
    published
        Relative errors by formulation, a column a training set, if they concern the data.

    Returns
    -------
    DataFrame
        Indexed by formulation, with the rows of `measures` below. Two levels of columns: training
        set; and ``median, least, greatest`` over the runs, ``published`` and ``difference`` (median
        − published), unsigned fractions of k_m.

    Examples
    --------
    >>> predictions = pd.DataFrame({"held_out": ["A", "B"], "relative_error": [0.5, 0.25]})
    >>> published = pd.DataFrame({"original": [0.3, 0.1]}, ["A", "B"])
    >>> table = table_2({"original": predictions}, ["A", "B"], published)
    >>> table.loc["mean", "original"][["published", "median"]].round(3).to_dict()
    {'published': 0.2, 'median': 0.375}
    """
    tables = {}
    for training_set, own in predictions.items():
        table = pd.concat([held_out_errors(own).loc[list(names)], measures(own)])
        if published is not None:
            theirs = published[training_set].loc[list(names)].rename_axis("held_out")
            measured = measures(theirs.rename("relative_error").reset_index())["median"]
            table["published"] = pd.concat([theirs, measured])
            table["difference"] = table["median"] - table["published"]
        tables[training_set] = table
    return pd.concat(tables, axis="columns").rename_axis("formulation")


def at_the_end(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last epoch of every training, which need not be the same for all."""
    last = results.groupby(training_columns(results))["epoch"].transform("max")
    return results[results["epoch"] == last].reset_index(drop=True)


def at_criterion(results: pd.DataFrame, criterion: float) -> pd.DataFrame:
    """The rows of the epoch at which each training has first fitted its own micrographs.

    The criterion is a mean relative error on them. A training that never comes that far is taken at
    its end.
    """
    training = training_columns(results)
    fits = _training_errors(results).reset_index()
    last = fits.groupby(training)["epoch"].transform("max")
    reached = fits[(fits["relative_error"] <= criterion) | (fits["epoch"] == last)]
    first = reached.groupby(training)["epoch"].min().reset_index()
    return results.merge(first, on=[*training, "epoch"])


def training_error_along(results: pd.DataFrame) -> pd.DataFrame:
    """Mean relative error on the training micrographs along the training.

    ``median, least, greatest`` over the trainings, indexed by ``training_set, epoch``.
    """
    return over_groups(_training_errors(results), ["training_set", "epoch"])


def held_out_error_along(results: pd.DataFrame) -> pd.DataFrame:
    """Mean relative error over the held-out formulations along the training.

    ``median, least, greatest`` over the runs, indexed by ``training_set, epoch``.
    """
    test = results[results["role"] == "test"]
    keys = ["training_set", "epoch"]
    formulations = test.groupby([*training_columns(results), "epoch"])["relative_error"].mean()
    return over_groups(formulations.groupby([*keys, *run_columns(results)]).mean(), keys)


def spread_of_seeds_and_draws(predictions: pd.DataFrame) -> pd.Series[float]:
    """How far the mean error moves with the seed, and how far with the draw of the stand-ins.

    Standard deviations: ``seeds``, over the seeds within each draw; ``draws``, over the draws at
    each seed, less the former (in squares), for another draw is another training, too, and zero
    where that leaves nothing. Root mean squares, NaN where there is but one.
    """
    by_run = measures_of_runs(predictions)[MEAN].unstack("seed")  # noqa: PD010
    seeds, draws = (float((by_run.std(axis=axis) ** 2).mean()) for axis in (1, 0))
    if np.isfinite(seeds):
        draws = max(draws - seeds, 0.0) if np.isfinite(draws) else draws
    return pd.Series([seeds, draws], ["seeds", "draws"], dtype=float) ** 0.5


def _training_errors(results: pd.DataFrame) -> pd.Series[float]:
    """Mean relative error of each training, at each epoch, on its own micrographs."""
    train = results[results["role"] == "train"]
    return train.groupby([*training_columns(results), "epoch"])["relative_error"].mean()


def _over_runs(table: pd.DataFrame) -> pd.DataFrame:
    """Median, least and greatest over the columns; NaN where there is one among them."""
    values = table.to_numpy(dtype=np.float64)
    middle = np.median(values, axis=1)
    columns = {"median": middle, "least": values.min(axis=1), "greatest": values.max(axis=1)}
    return pd.DataFrame(columns, index=table.index)


def _without_worst(errors: pd.Series[float]) -> float:
    """Of one formulation, its error itself."""
    values = np.sort(errors.to_numpy(dtype=np.float64))
    return float(values[: max(len(values) - 1, 1)].mean())
