"""Every mean, median and range of a tidy table of predictions, once.

A *run* is one complete leave-one-out: a seed of the training and, of stand-ins, a draw. Errors are
averaged over the micrographs of a formulation, then over the formulations within each run; what the
book shows is the median over the runs, and their range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

MEAN = "mean"
WITHOUT_WORST = "mean without the worst"
LOG_MEAN = "mean |ln|"
"""Names of the three measures of a run, in this order everywhere."""


def relative_error(predicted_km: pd.Series[float], true_km: pd.Series[float]) -> pd.Series[float]:
    """Unsigned fractions of the true k_m, as the paper's Table 2; both k_m in m² s⁻¹."""
    return (predicted_km - true_km).abs() / true_km


def run_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table that tell runs apart: ``draw`` and ``seed``, as far as they are there.

    Examples
    --------
    >>> run_columns(pd.DataFrame({"seed": [0], "held_out": "A"}))
    ['seed']
    """
    return [name for name in ("draw", "seed") if name in table]


def log_errors(predictions: pd.DataFrame) -> pd.Series[float]:
    """``|ln(predicted / true)|`` of each row: twice as large and half as large are equally wrong.

    Parameters
    ----------
    predictions
        With ``true_km`` and ``predicted_km``.

    Returns
    -------
    Series
        Infinite where the prediction is not positive or a training diverged, NaN where there is
        none.

    Examples
    --------
    >>> table = pd.DataFrame({"true_km": 1e-3, "predicted_km": [2e-3, 5e-4, -1e-3]})
    >>> log_errors(table).round(3).to_list()
    [0.693, 0.693, inf]
    """
    ratio = predictions["predicted_km"] / predictions["true_km"]
    with np.errstate(divide="ignore"):
        errors = np.abs(np.log(ratio.clip(lower=0.0)))
    return pd.Series(errors, index=predictions.index)


def errors_of_runs(predictions: pd.DataFrame, error: str = "relative_error") -> pd.DataFrame:
    """The error of every formulation in every run, averaged over micrographs.

    Parameters
    ----------
    predictions
        One row for each run and held-out micrograph, such as
        `fesemlib.validation.leave_one_out.held_out_predictions` gives.
    error
        Its column.

    Returns
    -------
    DataFrame
        Indexed by formulation in the order of the table, a column for each run.

    Examples
    --------
    >>> predictions = pd.DataFrame(
    ...     {"held_out": ["B", "A"] * 2, "seed": [0, 0, 1, 1], "relative_error": [1, 2, 3, 4]}
    ... )
    >>> errors_of_runs(predictions).to_dict("index")
    {'B': {0: 1.0, 1: 3.0}, 'A': {0: 2.0, 1: 4.0}}
    """
    runs = run_columns(predictions)
    if not runs:
        predictions, runs = predictions.assign(seed=0), ["seed"]
    grouped = predictions.groupby(["held_out", *runs], sort=False)[error]
    by_run = grouped.agg(lambda errors: errors.mean(skipna=False))
    means: pd.DataFrame = by_run.unstack(runs)  # noqa: PD010 (a pivot table would leave NaN out)
    if len(runs) == 1:
        means.columns = means.columns.get_level_values(0)
    return means.loc[list(dict.fromkeys(predictions["held_out"]))].astype(float)


def errors_of_formulations(predictions: pd.DataFrame) -> pd.Series[float]:
    """Relative error of each formulation: the median over the runs.

    Parameters
    ----------
    predictions
        As in `errors_of_runs`.

    Examples
    --------
    >>> predictions = pd.DataFrame(
    ...     {"held_out": "A", "seed": [0, 1, 2], "relative_error": [0.5, 0.1, 0.3]}
    ... )
    >>> errors_of_formulations(predictions).to_dict()
    {'A': 0.3}
    """
    return errors_of_runs(predictions).median(axis=1)


def held_out_errors(predictions: pd.DataFrame) -> pd.DataFrame:
    """Relative error of each held-out formulation over the runs: median, least and greatest.

    Parameters
    ----------
    predictions
        As in `errors_of_runs`, of one training set.

    Returns
    -------
    DataFrame
        Indexed by formulation, columns ``median, least, greatest``.

    Examples
    --------
    >>> predictions = pd.DataFrame(
    ...     {"held_out": "A", "seed": [0, 1, 2], "relative_error": [0.5, 0.1, 0.3]}
    ... )
    >>> held_out_errors(predictions).loc["A"].to_dict()
    {'median': 0.3, 'least': 0.1, 'greatest': 0.5}
    """
    return _over_runs(errors_of_runs(predictions)).rename_axis("formulation")


def measures_of_runs(predictions: pd.DataFrame) -> pd.DataFrame:
    """Three measures of every run.

    Parameters
    ----------
    predictions
        As in `errors_of_runs`, of one training set; with ``true_km`` and ``predicted_km`` for the
        third measure, which is NaN without them.

    Returns
    -------
    DataFrame
        Indexed by run: ``mean``, the mean relative error over the formulations; ``mean without the
        worst``, over all but the one that this run predicts worst; and ``mean |ln|``, the mean of
        ``|ln(predicted / true)|``.

    Examples
    --------
    >>> predictions = pd.DataFrame(
    ...     {
    ...         "held_out": ["A", "B", "C"], "seed": 0, "relative_error": [0.1, 0.3, 2.0],
    ...         "true_km": 1e-3, "predicted_km": [1.1e-3, 0.7e-3, 3e-3],
    ...     }
    ... )
    >>> measures_of_runs(predictions).round(2).loc[0].to_dict()
    {'mean': 0.8, 'mean without the worst': 0.2, 'mean |ln|': 0.52}
    """
    errors = errors_of_runs(predictions)
    table = pd.DataFrame({MEAN: _mean(errors), WITHOUT_WORST: errors.apply(_without_worst)})
    table[LOG_MEAN] = np.nan
    if "predicted_km" in predictions:
        logarithms = predictions.assign(log_error=log_errors(predictions))
        table[LOG_MEAN] = _mean(errors_of_runs(logarithms, "log_error"))
    return table


def measures(predictions: pd.DataFrame) -> pd.DataFrame:
    """The three measures of `measures_of_runs`: median, least and greatest over the runs.

    Examples
    --------
    >>> predictions = pd.DataFrame(
    ...     {
    ...         "held_out": ["A", "B", "A", "B"], "seed": [0, 0, 1, 1],
    ...         "relative_error": [0.5, 0.25, 0.25, 0.5],
    ...     }
    ... )
    >>> measures(predictions).loc["mean"].to_dict()  # good on one, bad on the other, in either seed
    {'median': 0.375, 'least': 0.375, 'greatest': 0.375}
    """
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
    """The rows of the last epoch of every training, which need not be the same for all.

    Parameters
    ----------
    results
        From `leave_one_formulation_out`, of one or more training sets.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {"training_set": "original", "seed": [0, 0, 1], "held_out": "A", "epoch": [1, 2, 1]}
    ... )
    >>> at_the_end(results)["epoch"].to_list()
    [2, 1]
    """
    last = results.groupby(_training(results))["epoch"].transform("max")
    return results[results["epoch"] == last].reset_index(drop=True)


def at_criterion(results: pd.DataFrame, criterion: float) -> pd.DataFrame:
    """The rows of the epoch at which each training has first fitted its own micrographs.

    Parameters
    ----------
    results
        From `leave_one_formulation_out`, of one or more training sets.
    criterion
        Mean relative error on the training micrographs. A training that never comes that far is
        taken at its end.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {
    ...         "training_set": "original", "seed": 0, "held_out": "A",
    ...         "role": ["train", "test"] * 3, "epoch": [1, 1, 2, 2, 3, 3],
    ...         "relative_error": [0.3, 0.4, 0.04, 0.5, 0.01, 0.6],
    ...     }
    ... )
    >>> at_criterion(results, 0.05)["relative_error"].to_list()
    [0.04, 0.5]
    """
    training = _training(results)
    train = results[results["role"] == "train"]
    fits = train.groupby([*training, "epoch"])["relative_error"].mean().reset_index()
    last = fits.groupby(training)["epoch"].transform("max")
    reached = fits[(fits["relative_error"] <= criterion) | (fits["epoch"] == last)]
    first = reached.groupby(training)["epoch"].min().reset_index()
    return results.merge(first, on=[*training, "epoch"])


def training_error_along(results: pd.DataFrame) -> pd.DataFrame:
    """Mean relative error on the training micrographs along the training.

    Parameters
    ----------
    results
        From `leave_one_formulation_out`, of one or more training sets.

    Returns
    -------
    DataFrame
        Indexed by ``training_set, epoch``: ``median, least, greatest`` over the trainings.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {
    ...         "training_set": "original", "seed": 0, "held_out": ["A", "B"], "role": "train",
    ...         "epoch": 1, "relative_error": [0.5, 0.3],
    ...     }
    ... )
    >>> training_error_along(results).loc[("original", 1)].to_dict()
    {'median': 0.4, 'least': 0.3, 'greatest': 0.5}
    """
    train = results[results["role"] == "train"]
    fits = train.groupby([*_training(results), "epoch"])["relative_error"].mean()
    return _over_groups(fits, ["training_set", "epoch"])


def held_out_error_along(results: pd.DataFrame) -> pd.DataFrame:
    """Mean relative error over the held-out formulations along the training.

    Parameters
    ----------
    results
        As in `training_error_along`.

    Returns
    -------
    DataFrame
        Indexed by ``training_set, epoch``: ``median, least, greatest`` over the runs.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {
    ...         "training_set": "original", "seed": 0, "held_out": ["A", "B", "A", "B"],
    ...         "role": "test", "epoch": [1, 1, 2, 2], "relative_error": [0.5, 1.0, 0.25, 0.5],
    ...     }
    ... )
    >>> held_out_error_along(results)["median"].to_list()
    [0.75, 0.375]
    """
    test = results[results["role"] == "test"]
    keys = ["training_set", "epoch"]
    formulations = test.groupby([*_training(results), "epoch"])["relative_error"].mean()
    return _over_groups(formulations.groupby([*keys, *run_columns(results)]).mean(), keys)


def spread_of_seeds_and_draws(predictions: pd.DataFrame) -> pd.Series[float]:
    """How far the mean error moves with the seed, and how far with the draw of the stand-ins.

    Parameters
    ----------
    predictions
        As in `errors_of_runs`, with ``draw`` and ``seed``.

    Returns
    -------
    Series
        Standard deviations of the mean relative error: ``seeds``, over the seeds within each draw;
        ``draws``, over the draws at each seed, less the former (in squares), for another draw is
        another training, too, and zero where that leaves nothing. Root mean squares, NaN where
        there is but one.

    Examples
    --------
    >>> predictions = pd.DataFrame(
    ...     {
    ...         "held_out": "A", "draw": [0, 0, 1, 1], "seed": [0, 1, 0, 1],
    ...         "relative_error": [0.1, 0.2, 0.5, 0.6],
    ...     }
    ... )
    >>> spread_of_seeds_and_draws(predictions).round(6).to_dict()
    {'seeds': 0.070711, 'draws': 0.273861}
    """
    by_run = measures_of_runs(predictions)[MEAN].unstack("seed")  # noqa: PD010
    seeds, draws = (float((by_run.std(axis=axis) ** 2).mean()) for axis in (1, 0))
    if np.isfinite(seeds):
        draws = max(draws - seeds, 0.0) if np.isfinite(draws) else draws
    return pd.Series([seeds, draws], ["seeds", "draws"], dtype=float) ** 0.5


def _training(results: pd.DataFrame) -> list[str]:
    """The columns that tell trainings apart."""
    return ["training_set", *run_columns(results), "held_out"]


def _over_groups(errors: pd.Series[float], keys: list[str]) -> pd.DataFrame:
    grouped = errors.groupby(keys)
    columns = {"median": grouped.median(), "least": grouped.min(), "greatest": grouped.max()}
    return pd.DataFrame(columns)


def _over_runs(table: pd.DataFrame) -> pd.DataFrame:
    """Median, least and greatest over the columns; NaN where there is one among them."""
    values = table.to_numpy(dtype=np.float64)
    return pd.DataFrame(
        {
            "median": np.median(values, axis=1),
            "least": values.min(axis=1),
            "greatest": values.max(axis=1),
        },
        index=table.index,
    )


def _mean(errors: pd.DataFrame) -> pd.Series[float]:
    return errors.mean(skipna=False)


def _without_worst(errors: pd.Series[float]) -> float:
    """Of one formulation, its error itself."""
    values: npt.NDArray[np.float64] = np.sort(errors.to_numpy(dtype=np.float64))
    return float(values[: max(len(values) - 1, 1)].mean())
