"""How sure a mean error is, and whether one way of training is better than another.

The formulations are the sample: they are what a conclusion generalises over. Runs repeat a
measurement of the same formulation; `errors` makes one error of them before anything is
compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = npt.NDArray[np.float64]

_RESAMPLES = 9999


class Interval(NamedTuple):
    """A mean and the limits of its 95 % confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two ways of training on the same formulations."""

    difference: float  # mean of second minus first: negative where the second errs less
    low: float  # limits of its 95 % interval
    high: float
    better: int  # on how many formulations the second errs less
    number: int  # of formulations
    p_value: float  # of Wilcoxon's signed-rank test, two-sided
    least_p_value: float  # if all differences had the same sign: few cannot show anything


def mean_interval(errors: npt.ArrayLike) -> Interval:
    """Mean of a sample (n,), and the interval by the percentiles of resampled means.

    Infinite or empty where the sample is, and without limits (NaN) for a single value. Of nine
    values a bootstrap interval is too short: about 90 % cover the mean of a normal population, and
    fewer that of a skewed one. Nor does it know that folds share most of what they are trained on.
    """
    values = np.asarray(errors, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # infinite differences of both signs have no mean
        mean = float(values.mean()) if len(values) else np.nan
    if len(values) < 2 or not np.isfinite(values).all():
        return Interval(mean, np.nan, np.nan)
    how = {"n_resamples": _RESAMPLES, "method": "percentile", "rng": np.random.default_rng(0)}
    low, high = stats.bootstrap((values,), np.mean, **how).confidence_interval
    return Interval(mean, float(low), float(high))


def compare_pairs(first: npt.ArrayLike, second: npt.ArrayLike) -> Comparison:
    """Compare two errors of the same formulations.

    Parameters
    ----------
    first, second
        In the same order, shape (n,).

    Returns
    -------
    Comparison
        With a p-value of 1 where all differences are zero. Two infinite errors are equal.

    Examples
    --------
    >>> compared = compare_pairs([0.2, 0.3, 0.4, 0.5, 0.6], [0.1, 0.2, 0.3, 0.4, 0.5])
    >>> compared.better, compared.p_value == compared.least_p_value == 2 / 2**5
    (5, True)
    >>> round(compared.difference, 6)
    -0.1
    """
    one, other = (np.asarray(errors, dtype=np.float64) for errors in (first, second))
    differences = np.subtract(other, one, out=np.zeros(len(one)), where=one != other)
    return Comparison(
        *mean_interval(differences),
        better=int((differences < 0).sum()),
        number=len(differences),
        p_value=_wilcoxon(differences),
        least_p_value=_wilcoxon(np.abs(differences)),
    )


def _wilcoxon(differences: Values) -> float:
    """Two-sided."""
    return float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0


def permutation_p_value(observed: float, shuffled: npt.ArrayLike) -> float:
    """How often chance does as well: the share of shuffles with an error as small, itself counted.

    Errors that are no numbers count against the true order (Phipson & Smyth, Statistical
    Applications in Genetics and Molecular Biology 9 (2010) 39).
    """
    errors = np.asarray(shuffled, dtype=np.float64)
    return float((1 + (~(errors > observed)).sum()) / (1 + len(errors)))
