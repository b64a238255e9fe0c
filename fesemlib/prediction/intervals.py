"""Prediction intervals from the errors of leave-one-out, in the logarithm of k_m.

The jackknife takes the errors that an ensemble makes of formulations it has not seen for the errors
that it will make of a new one. With jackknife+ [1]_ the interval is guaranteed to hold the truth at
a rate of at least 1 − 2α, whatever the predictor, if the formulations, the new one among them, are
exchangeable; it needs the networks of all folds. Here, as in the plain jackknife, the interval lies
around the one ensemble that is trained on everything: both are nearly the same where leaving a
formulation out changes the ensemble little, and nothing is guaranteed where it does not.

References
----------
.. [1] Barber, Candès, Ramdas & Tibshirani, "Predictive inference with the jackknife+", Annals of
   Statistics 49 (2021) 486–507.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import betabinom

Values = npt.NDArray[np.float64]

LEVEL = 0.8  # the nominal rate at which an interval holds the truth

_LEAST_SHARE = 0.1


def positive(k_m: npt.ArrayLike, least: npt.ArrayLike) -> Values:
    """Predictions of which a logarithm can be taken, m² s⁻¹: a network's output is not bounded.

    What is less than a tenth of the least k_m that it was trained on, be it negative, becomes that.
    """
    clipped: Values = np.maximum(k_m, _LEAST_SHARE * np.asarray(least))
    return clipped


def residuals_of_formulations(predictions: pd.DataFrame) -> pd.Series[float]:
    """How far leave-one-out is from the truth: ln(true) − ln(predicted), by formulation.

    From the held-out predictions of all seeds, as of `held_out_predictions`: the ensemble's of an
    image is the mean over the seeds. Of a formulation with several images it is the residual of
    median size, since the formulation is what is left out.
    """
    keys = ["held_out", "image"]
    ensemble = predictions.groupby(keys, sort=False)[["true_km", "predicted_km"]].mean()
    trained_on = ensemble["true_km"].groupby("held_out", sort=False).first()
    least = {name: trained_on.drop(name).min() for name in trained_on.index}
    leasts = ensemble.index.get_level_values("held_out").map(least)
    predicted = positive(ensemble["predicted_km"], np.nan_to_num(leasts.to_numpy(float)))
    residuals = np.log(ensemble["true_km"]) - np.log(predicted)
    middle: pd.Series[float] = residuals.groupby("held_out", sort=False).agg(_of_median_size)
    return middle.rename("log_residual").rename_axis("formulation")


def jackknife_half_width(residuals: npt.ArrayLike, level: float = LEVEL) -> float:
    """Half the width of the interval around a prediction, in the unit of the residuals (n,).

    The ⌈level·(n + 1)⌉-th smallest absolute residual of leave-one-out (Barber et al. (2021),
    Section 1: the jackknife, with the quantile of jackknife+): of nine residuals and 80 % the
    eighth. Infinite where n is too small for that, as less than four for 80 %.
    """
    if not 0 < level < 1:
        raise ValueError(f"level = {level:g}: give a rate between 0 and 1, as 0.8")
    sizes = np.sort(np.abs(np.asarray(residuals, dtype=np.float64)))
    if np.isnan(sizes).any():
        raise ValueError("a residual is not a number; leave out the training that diverged")
    rank = deciding_rank(len(sizes), level)
    return float(sizes[rank - 1]) if rank <= len(sizes) else math.inf


def deciding_rank(number: int, level: float = LEVEL) -> int:
    """Which of n absolute residuals, from the smallest, is half the width: ⌈level·(n + 1)⌉.

    More than n where they are too few for that level.
    """
    return math.ceil(round(level * (number + 1), 9))


def expected_coverage(fresh: int, residuals: int) -> tuple[int, int]:
    """Of how many fresh formulations a sound interval holds the truth, in 95 % of the models.

    All where the interval has no bounds. Where the n residuals and the fresh errors are
    exchangeable, the rate of one model is distributed as the k-th smallest of n uniform numbers,
    Beta(k, n + 1 − k), of about the nominal mean (Vovk, Machine Learning 92 (2013) 349–376).
    """
    rank = deciding_rank(residuals)
    if rank > residuals:
        return fresh, fresh
    low, high = betabinom.interval(0.95, fresh, rank, residuals + 1 - rank)
    return int(low), int(high)


def interval(k_m: float, half_width: float) -> tuple[float, float]:
    """The ends of the interval around a prediction, m² s⁻¹.

    From k_m/f to k_m·f, where f is the exponential of the half width of ln k_m; from 0 to infinity
    where that is infinite.
    """
    with np.errstate(over="ignore"):
        factor = float(np.exp(half_width))
    return k_m / factor, k_m * factor


def _of_median_size(residuals: pd.Series[float]) -> float:
    """The residual whose absolute value is the median, the greater one of two."""
    order = np.argsort(np.abs(residuals.to_numpy()))
    return float(residuals.iloc[order[len(order) // 2]])
