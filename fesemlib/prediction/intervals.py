"""Prediction intervals from the errors of leave-one-out, in the logarithm of k_m.

The jackknife takes the errors that a predictor makes of formulations it has not seen for the errors
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


def level_of(number: int) -> float:
    """The rate of an interval from n residuals: 80 %, or as much as so few allow, n/(n + 1)."""
    return min(LEVEL, number / (number + 1))


def residuals_of_formulations(
    predicted: Values, k_m: Values, formulations: npt.NDArray[np.str_]
) -> pd.Series[float]:
    """How far left-out predictions of images (n,) are off: ln(true/predicted), by formulation.

    Of a formulation with several images it is one that as large a share of them does not exceed as
    the interval is to hold: that is one image's, and the formulation is what is left out.
    """
    residuals = pd.Series(np.log(k_m) - np.log(predicted))
    middle: pd.Series[float] = residuals.groupby(formulations, sort=False).agg(_of_level_size)
    return middle.rename("log_residual").rename_axis("formulation")


def within_formulations(predicted: Values, formulations: npt.NDArray[np.str_]) -> float:
    """How far predictions of images of one formulation differ, pooled: a standard deviation of ln.

    NaN where no formulation has several.
    """
    grouped = pd.Series(np.log(predicted)).groupby(formulations)
    degrees = grouped.size() - 1
    if degrees.sum() == 0:
        return math.nan
    return float(np.sqrt((grouped.var().fillna(0.0) * degrees).sum() / degrees.sum()))


def jackknife_half_width(residuals: npt.ArrayLike, level: float | None = None) -> float:
    """Half the width of the interval around a prediction, in the unit of the residuals (n,).

    The ⌈level·(n + 1)⌉-th smallest absolute residual of leave-one-out (Barber et al. (2021),
    Section 1: the jackknife, with the quantile of jackknife+): of nine residuals and 80 % the
    eighth. The level is that of `level_of` if not given; infinite where n is too small for one.
    """
    level = level_of(np.size(residuals)) if level is None else level
    if not 0 < level < 1:
        raise ValueError(f"level = {level:g}: give a rate between 0 and 1, as 0.8")
    sizes = np.sort(np.abs(np.asarray(residuals, dtype=np.float64)))
    if np.isnan(sizes).any():
        raise ValueError("a residual is not a number; leave out the training that diverged")
    rank = deciding_rank(len(sizes), level)
    return float(sizes[rank - 1]) if rank <= len(sizes) else math.inf


def deciding_rank(number: int, level: float | None = None) -> int:
    """Which of n absolute residuals, from the smallest, is half the width: ⌈level·(n + 1)⌉.

    More than n where they are too few for that level; the level is that of `level_of` if not given.
    """
    level = level_of(number) if level is None else level
    return math.ceil(round(level * (number + 1), 9))


def expected_coverage(fresh: int, residuals: int) -> tuple[int, int]:
    """Of how many fresh formulations a sound interval holds the truth, in 95 % of the models.

    Where the n residuals and the fresh errors are
    exchangeable, the rate of one model is distributed as the k-th smallest of n uniform numbers,
    Beta(k, n + 1 − k), of about the nominal mean (Vovk, Machine Learning 92 (2013) 349–376).
    """
    rank = deciding_rank(residuals)
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


def _of_level_size(residuals: pd.Series[float]) -> float:
    """The residual whose absolute value is the quantile of the level, the greater one of two."""
    order = np.argsort(np.abs(residuals.to_numpy()))
    return float(residuals.iloc[order[math.ceil(LEVEL * len(order)) - 1]])
