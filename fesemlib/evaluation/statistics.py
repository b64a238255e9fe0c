"""How sure a mean error is, and whether one way of training is better than another.

The formulations are the sample: they are what a conclusion generalises over. Runs repeat a
measurement of the same formulation; `errors` makes one error of them before anything is
compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = npt.NDArray[np.float64]

_RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A mean and the limits of its confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two ways of training on the same formulations.

    Attributes
    ----------
    difference
        Mean of second minus first, with its interval; negative where the second errs less.
    better
        On how many formulations the second errs less.
    number
        Of formulations.
    p_value
        Of Wilcoxon's signed-rank test, two-sided.
    least_p_value
        What it would be if all differences had the same sign: with few formulations, the test
        cannot find anything.
    """

    difference: Interval
    better: int
    number: int
    p_value: float
    least_p_value: float


def mean_interval(errors: npt.ArrayLike, level: float = 0.95, seed: int = 0) -> Interval:
    """Mean of a sample and its bootstrap interval.

    Parameters
    ----------
    errors
        Shape (n,).
    level
        Of confidence.
    seed
        Of the resampling.

    Returns
    -------
    Interval
        By the percentiles of resampled means; infinite or empty where the sample is, and without
        limits (NaN) for a single value.

    Notes
    -----
    With so few values as nine formulations a bootstrap interval is too short: of nominal 95 %
    intervals about 90 % cover the mean of a normal population, and fewer that of a skewed one.
    Errors of leave-one-out are not independent either, since any two folds share most of what
    they are trained on; the interval does not know of that.

    Examples
    --------
    >>> found = mean_interval([0.2, 0.2, 0.2])  # no spread, no width
    >>> print(f"{found.low:.1f} to {found.high:.1f}")
    0.2 to 0.2
    >>> mean_interval([0.5])
    Interval(mean=0.5, low=nan, high=nan)
    """
    values = np.asarray(errors, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # infinite differences of both signs have no mean
        mean = float(values.mean()) if len(values) else np.nan
    if len(values) < 2 or not np.isfinite(values).all():
        return Interval(mean, np.nan, np.nan)
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high))


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
    >>> round(compared.difference.mean, 6)
    -0.1
    """
    one, other = (np.asarray(errors, dtype=np.float64) for errors in (first, second))
    differences = np.subtract(other, one, out=np.zeros(len(one)), where=one != other)
    return Comparison(
        difference=mean_interval(differences),
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

    Errors that are no numbers count against the true order.

    Parameters
    ----------
    observed
        Error with the true labels.
    shuffled
        Errors with shuffled ones, shape (n,).

    References
    ----------
    Phipson & Smyth, "Permutation p-values should never be zero", Statistical Applications in
    Genetics and Molecular Biology 9 (2010) 39.

    Examples
    --------
    >>> permutation_p_value(0.1, [0.5] * 99), permutation_p_value(0.5, [0.5] * 99)
    (0.01, 1.0)
    """
    errors = np.asarray(shuffled, dtype=np.float64)
    return float((1 + (~(errors > observed)).sum()) / (1 + len(errors)))
