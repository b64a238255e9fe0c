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

LEVEL = 0.8
"""The nominal rate at which an interval holds the truth."""

_LEAST_SHARE = 0.1


def positive(k_m: npt.ArrayLike, least: npt.ArrayLike) -> Values:
    """Predictions of which a logarithm can be taken.

    A network's output is not bounded. What is less than a tenth of the least k_m that the network
    was trained on, be it negative, becomes that tenth.

    Parameters
    ----------
    k_m
        Predicted, m² s⁻¹.
    least
        The least k_m of the training set, m² s⁻¹; one for all, or one for each.

    Examples
    --------
    >>> positive([-1e-3, 1e-3], least=5e-4).tolist()
    [5e-05, 0.001]
    """
    clipped: Values = np.maximum(
        np.asarray(k_m, dtype=np.float64), _LEAST_SHARE * np.asarray(least)
    )
    return clipped


def residuals_of_formulations(predictions: pd.DataFrame) -> pd.Series[float]:
    """How far leave-one-out predictions are from the truth, in the natural logarithm.

    Parameters
    ----------
    predictions
        The held-out predictions of all seeds: ``held_out, image, true_km, predicted_km``, as from
        `held_out_predictions`. The ensemble's prediction of an image is the
        mean over the seeds.

    Returns
    -------
    Series
        Indexed by formulation, ln(true) − ln(predicted). Of a formulation with several images it
        is the residual of median size, since the formulation is what is left out.

    Examples
    --------
    >>> predictions = pd.DataFrame(
    ...     {"held_out": "A", "image": "a.png", "true_km": 2e-3, "predicted_km": [0.5e-3, 1.5e-3]}
    ... )
    >>> residual = residuals_of_formulations(predictions)["A"]
    >>> print(f"{math.exp(residual):.3f}")  # true over the mean of both seeds
    2.000
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
    """Half the width of the interval around a prediction, in the unit of the residuals.

    Parameters
    ----------
    residuals
        Of leave-one-out, shape (n,).
    level
        The nominal rate at which the interval holds the truth.

    Returns
    -------
    float
        The ⌈level·(n + 1)⌉-th smallest absolute residual; infinite where n is too small for that,
        as less than four for 80 %. Of nine residuals and 80 % it is the eighth.

    Raises
    ------
    ValueError
        When the level is not between 0 and 1, or a residual is not a number.

    References
    ----------
    Barber et al. (2021), Section 1: the jackknife, with the quantile of jackknife+.

    Examples
    --------
    >>> jackknife_half_width([0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -0.8, 0.9])
    0.8
    >>> jackknife_half_width([0.1, -0.2, 0.3])
    inf
    """
    if not 0 < level < 1:
        raise ValueError(f"level = {level:g}: give a rate between 0 and 1, as 0.8")
    sizes = np.sort(np.abs(np.asarray(residuals, dtype=np.float64)))
    if np.isnan(sizes).any():
        raise ValueError("a residual is not a number; leave out the training that diverged")
    rank = deciding_rank(len(sizes), level)
    return float(sizes[rank - 1]) if rank <= len(sizes) else math.inf


def deciding_rank(number: int, level: float = LEVEL) -> int:
    """Which of the absolute residuals, from the smallest, is half the width of the interval.

    Parameters
    ----------
    number
        Of residuals.
    level
        The nominal rate at which the interval holds the truth.

    Returns
    -------
    int
        ⌈level·(n + 1)⌉; more than n where there are too few for that level.

    Examples
    --------
    >>> deciding_rank(9), deciding_rank(3)
    (8, 4)
    """
    return math.ceil(round(level * (number + 1), 9))


def expected_coverage(fresh: int, residuals: int, level: float = LEVEL) -> tuple[int, int]:
    """Of how many fresh formulations a sound interval holds the truth, in 95 % of the models.

    Parameters
    ----------
    fresh
        Number of fresh formulations that are tried with one model.
    residuals
        Number of residuals that the interval was made from.
    level
        The nominal rate.

    Returns
    -------
    low, high : int
        Quantiles of the beta-binomial distribution. The rate of one model is not the nominal one:
        where the residuals and the fresh errors are exchangeable, it is distributed as the k-th
        smallest of n uniform numbers, Beta(k, n + 1 − k), and has the nominal rate, or a little
        more, for its mean. All where the interval has no bounds.

    References
    ----------
    Vovk, "Conditional validity of inductive conformal predictors", Machine Learning 92 (2013)
    349–376.

    Examples
    --------
    >>> expected_coverage(fresh=60, residuals=9)
    (30, 59)
    """
    rank = deciding_rank(residuals, level)
    if rank > residuals:
        return fresh, fresh
    low, high = betabinom.interval(0.95, fresh, rank, residuals + 1 - rank)
    return int(low), int(high)


def interval(k_m: npt.ArrayLike, half_width: float) -> tuple[Values, Values]:
    """The interval around predictions.

    Parameters
    ----------
    k_m
        Predicted, m² s⁻¹, greater than 0.
    half_width
        In the natural logarithm, from `jackknife_half_width`.

    Returns
    -------
    low, high : ndarray
        m² s⁻¹, of the shape of `k_m`: from k_m/f to k_m·f, where f is the exponential of the half
        width; from 0 to infinity where that is infinite.

    Examples
    --------
    >>> low, high = interval(1e-3, math.log(2))
    >>> print(f"{low:.4f} to {high:.4f}")
    0.0005 to 0.0020
    """
    predicted = np.asarray(k_m, dtype=np.float64)
    with np.errstate(over="ignore"):
        factor = np.exp(half_width)
    return predicted / factor, predicted * factor


def _of_median_size(residuals: pd.Series[float]) -> float:
    """The residual whose absolute value is the median, the greater one of two."""
    order = np.argsort(np.abs(residuals.to_numpy()))
    return float(residuals.iloc[order[len(order) // 2]])
