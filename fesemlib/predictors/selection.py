"""Which predictor the data support: nested leave-one-out.

In every fold the predictors are compared on formulations that are left out in turn *within* it;
the best of them is then fitted to the fold and predicts what the fold has held out. The error of
that is the error of the whole procedure, the choice included. A pair of formulations is left out
once, and serves the folds of both: the one tells how the other would have been predicted.

References
----------
.. [1] Breiman, Friedman, Olshen & Stone, *Classification and Regression Trees* (1984), Section 3.4:
   the rule of one standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import pearsonr

from fesemlib.predictors.known import Known, Predictor
from fesemlib.predictors.regressions import MEDIAN

Values = npt.NDArray[np.float64]

FEWEST_FORMULATIONS = 5
"""Fewer leave nothing to choose by."""

_MOST_GROUPS = 12  # in which formulations are left out within a fold
_CHANCE = 0.01  # greatest p-value of the correlation that counts as one
_LEAST_SHARE = 0.1


@dataclass(frozen=True)
class Selection:
    """Which predictor was chosen, and how wrong the candidates and the choice among them are.

    Residuals are ln(true/predicted) of what was left out, by formulation (index): the mean over its
    micrographs.

    Examples
    --------
    >>> selection = select(known, candidates_of("auto", known))  # doctest: +SKIP
    >>> selection.chosen.name, selection.skill  # doctest: +SKIP
    """

    chosen: Predictor  # on all formulations
    in_fold: pd.Series[str]  # on the others of each formulation
    residuals: pd.Series[float]  # of the whole procedure
    candidates: pd.DataFrame  # of each candidate by itself, a column each
    predicted: Values  # by the whole procedure, of each micrograph, m² s⁻¹, (n,)

    @property
    def skill(self) -> float:
        """1 − error/error of the median of the others, by the mean absolute residual."""
        median = self.candidates[MEDIAN.name].abs().mean()
        return float(1 - self.residuals.abs().mean() / median) if median > 0 else 0.0

    def informed(self, known: Known) -> bool:
        """Whether it errs less than the median of the others, and rises with the truth."""
        true = pd.Series(np.log(known.k_m)).groupby(known.formulations, sort=False).first()
        return self.skill > 0 and rises(true - self.residuals, true)


def select(
    known: Known,
    candidates: Sequence[Predictor],
    or_median: bool = True,
    beside: Sequence[Predictor] = (),
) -> Selection:
    """Choose among predictors, the simplest first, and measure the error of choosing so.

    Those `beside` are left out in turn, too, and not chosen. Where `or_median`, a fold takes the
    median where no candidate errs less, and in the end the choice falls on it unless the whole
    procedure is `Selection.informed`, or where there are fewer than five formulations.

    Examples
    --------
    >>> from fesemlib.predictors.regressions import PROPORTIONAL
    >>> lengths = np.array([2.0, 3.0, 4.0, 5.0, 6.0])
    >>> columns = pd.MultiIndex.from_tuples([("correlation length", "correlation length")])
    >>> measures = pd.DataFrame(lengths[:, np.newaxis], columns=columns)
    >>> known = Known(measures, 1e-4 * lengths, np.array(list("ABCDE")))
    >>> select(known, [PROPORTIONAL]).chosen.name
    'proportional to the correlation length'
    """
    names = list(dict.fromkeys(known.formulations))
    every: dict[str, Predictor] = {each.name: each for each in (MEDIAN, *beside, *candidates)}
    choosable = [each.name for each in ((MEDIAN, *candidates) if or_median else candidates)]
    alone = {
        name: _once(_left_out(each, known, [(name,) for name in names]))
        for name, each in every.items()
    }
    complete = [name for name in choosable if np.isfinite(alone[name]).all()]
    choosable = complete or choosable[:1]  # what a micrograph lacks, no label decides
    in_fold, final = dict.fromkeys(names, choosable[0]), choosable[0]
    if len(choosable) > 1 and len(names) >= FEWEST_FORMULATIONS:
        groups = groups_of(names)
        tables = {name: _crossed(every[name], known, groups) for name in choosable}
        for number, group in enumerate(groups):
            inner = {name: table[number] for name, table in tables.items()}
            in_fold |= dict.fromkeys(group, _best(inner, known, group, or_median))
        own = [np.isin(known.formulations, group) for group in groups]
        whole = {name: np.select(own, list(table)) for name, table in tables.items()}
        final = _best(whole, known, (), or_median)
    selection = _outcome(every[final], in_fold, alone, known)
    if or_median and (final == MEDIAN.name or not selection.informed(known)):
        return _outcome(MEDIAN, dict.fromkeys(names, MEDIAN.name), alone, known)
    return selection


def _outcome(
    chosen: Predictor, in_fold: dict[str, str], alone: dict[str, Values], known: Known
) -> Selection:
    """Each formulation as predicted by what was chosen without it."""
    names = [in_fold[name] for name in known.formulations]
    predicted = np.array([alone[name][image] for image, name in enumerate(names)])
    return Selection(
        chosen=chosen,
        in_fold=pd.Series(in_fold).rename_axis("formulation"),
        residuals=-_logarithms({"": predicted}, known)[""],
        candidates=-_logarithms(alone, known),
        predicted=predicted,
    )


def groups_of(names: Sequence[str], of_many: int = 0) -> list[tuple[str, ...]]:
    """What is left out together within a fold: single formulations, or of many a twelfth.

    `of_many`: another number of groups of more than twelve formulations.
    """
    number = len(names) if len(names) <= _MOST_GROUPS else of_many or _MOST_GROUPS
    return [tuple(names[first::number]) for first in range(number)]


def _crossed(predictor: Predictor, known: Known, groups: Sequence[tuple[str, ...]]) -> Values:
    """For each group, what is predicted by fits that have not seen it; m² s⁻¹, (groups, n).

    Its own micrographs by the fit to all others, those of another group by the fit without both:
    every pair is held out once, and serves both.
    """
    pairs = list(combinations(range(len(groups)), 2))
    held_out = [*groups, *(groups[first] + groups[second] for first, second in pairs)]
    predicted = _left_out(predictor, known, held_out, quickly=True)
    own = [np.isin(known.formulations, group) for group in groups]
    table = predicted[: len(groups)]
    for row, (first, second) in zip(predicted[len(groups) :], pairs, strict=True):
        table[first, own[second]] = row[own[second]]
        table[second, own[first]] = row[own[first]]
    return table


def _left_out(
    predictor: Predictor,
    known: Known,
    held_out: Sequence[tuple[str, ...]],
    quickly: bool = False,
) -> Values:
    """`Predictor.left_out`, but with a logarithm: at least a tenth of the least k_m fitted to."""
    predicted = predictor.left_out(known, held_out, quickly)
    others = [known.k_m[~np.isin(known.formulations, names)] for names in held_out]
    return np.stack(
        [positive(row, each.min()) for row, each in zip(predicted, others, strict=True)]
    )


def positive(k_m: npt.ArrayLike, least: float) -> Values:
    """Predictions of which a logarithm can be taken, m² s⁻¹: a network's output is not bounded.

    What is less than a tenth of the least k_m that it was fitted to, be it negative, becomes that.
    """
    clipped: Values = np.maximum(k_m, _LEAST_SHARE * least)
    return clipped


def _once(table: Values) -> Values:
    """The one prediction of each micrograph, or NaN."""
    return np.asarray(pd.DataFrame(table).max())


def _best(
    predicted: dict[str, Values], known: Known, held_out: Sequence[str], or_median: bool
) -> str:
    """Which predictor errs least on what is not held out; the first of those that are as good [1]_.

    As good is what errs more by less than a standard error, over the formulations.
    """
    errors = _logarithms(predicted, known).drop(list(held_out))
    sizes = errors[[name for name in errors if np.isfinite(errors[name]).all()]].abs()
    rivals = sizes.drop(columns=MEDIAN.name) if or_median else sizes
    if rivals.empty:
        return next(iter(predicted))
    worse = rivals.sub(rivals[rivals.mean().idxmin()], axis="index")
    best = str(rivals.columns[worse.mean() <= worse.std() / np.sqrt(len(worse))][0])
    if not or_median:
        return best
    return best if sizes[best].mean() < sizes[MEDIAN.name].mean() else MEDIAN.name


def rises(predicted: pd.Series[float], true: pd.Series[float]) -> bool:
    """Whether predictions rise with the truth, beyond chance: two logarithms by formulation.

    Pearson's correlation, one-sided, p < 1 %.
    """
    if len(true) < 3 or predicted.std() == 0 or true.std() == 0:
        return False
    return bool(pearsonr(predicted, true, alternative="greater").pvalue < _CHANCE)


def _logarithms(predicted: dict[str, Values], known: Known) -> pd.DataFrame:
    """ln(predicted/true) by formulation: the mean over its micrographs; a column a predictor."""
    logarithms = {name: np.log(each / known.k_m) for name, each in predicted.items()}
    grouped = pd.DataFrame(logarithms).groupby(known.formulations, sort=False)
    return grouped.mean(skipna=False).rename_axis("formulation")
