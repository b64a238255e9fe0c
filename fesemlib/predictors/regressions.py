"""Predictors that are fitted to measures of a micrograph, none of which is a network."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import clone, config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.dummy import DummyRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fesemlib.borrowed import LAYERS
from fesemlib.predictors.known import Known, Seen
from fesemlib.predictors.measures import COMPOSITION, LENGTH, TEXTURE

Values = npt.NDArray[np.float64]

# Of so many components every combination is tried as a linear model; of more, too many would be.
_MOST_COMBINED = 3
_MOST_INNER_FOLDS = 8
_GREATEST_LOGARITHM = 50.0
_SEARCH = "gridsearchcv"  # the step of a pipeline that is tuned


@dataclass(frozen=True)
class Regression:
    """A regressor of scikit-learn, and what it is shown of a micrograph.

    What lacks one of these measures has no say and no prediction.
    """

    name: str  # in tables
    kind: str  # what `predictor` calls it
    regressor: Any
    needs: tuple[str, ...] = ()  # kinds of measures, of `fesemlib.predictors.measures`
    columns: tuple[str, ...] = ()  # of the only kind; all if none is named

    def shown(self, measures: pd.DataFrame) -> Values:
        """The measures that it is shown, (n, m); a column of zeros if it sees nothing."""
        if not self.needs:
            return np.zeros((len(measures), 1))
        own = [measures[kind] for kind in self.needs]
        chosen = own[0][list(self.columns)] if self.columns else pd.concat(own, axis="columns")
        return chosen.to_numpy(dtype=np.float64)

    def fit(self, known: Known) -> Any:
        """A copy of the regressor that is fitted to everything known."""
        return self._fitted_without(known, ())

    def predict(self, learned: Any, seen: Seen) -> float:
        """The k_m of a new micrograph, m² s⁻¹."""
        return float(_predicted(learned, self.shown(seen.measures.to_frame().T))[0])

    def left_out(
        self, known: Known, held_out: Sequence[tuple[str, ...]], quickly: bool = False
    ) -> Values:
        """What it predicts of formulations that it has not seen; see `Predictor.left_out`."""
        del quickly
        shown, rows = self.shown(known.measures), []
        for names in held_out:
            test = np.isin(known.formulations, names)
            predicted = np.full(len(test), np.nan)
            predicted[test] = _predicted(self._fitted_without(known, names), shown[test])
            rows.append(predicted)
        return np.stack(rows)

    def _fitted_without(self, known: Known, held_out: tuple[str, ...]) -> Any:
        """A copy of the regressor, fitted to the others; None if it cannot be.

        A `GridSearchCV` in it is tuned by leaving out one more formulation at a time, or an eighth
        of them where there are more than eight.
        """
        every, own = self.shown(known.measures), clone(self.regressor)
        used = ~np.isin(known.formulations, held_out) & np.isfinite(every).all(axis=1)
        if self.needs in ((), (COMPOSITION,)):  # those of a formulation, not of an image
            used &= ~pd.Series(known.formulations).duplicated().to_numpy()
        names, groups = known.formulations[used], {}
        if len(set(names)) < (2 if _SEARCH in _steps(own) else 1):
            return None
        if _SEARCH in _steps(own):
            folds = GroupKFold(min(len(set(names)), _MOST_INNER_FOLDS))
            _steps(own)[_SEARCH].set_params(cv=folds)
            groups = {f"{_SEARCH}__groups": names}
        with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
            warnings.simplefilter("ignore")  # more components than data; a parameter at its bound
            return own.fit(every[used], known.k_m[used], **groups)


def _predicted(learned: Any, shown: Values) -> Values:
    """The predictions, (n,); NaN for what lacks a measure."""
    predicted, complete = np.full(len(shown), np.nan), np.isfinite(shown).all(axis=1)
    if learned is not None and complete.any():
        predicted[complete] = np.ravel(learned.predict(shown[complete]))
    return predicted


def _steps(regressor: Any) -> dict[str, Any]:
    """The steps of the pipeline in a regressor, by name."""
    inner = getattr(regressor, "regressor", regressor)
    return _steps(inner) if inner is not regressor else getattr(inner, "named_steps", {})


class Proportional(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """k_m = c · x: least squares in the logarithm."""

    def fit(self, shown: Values, k_m: Values) -> Self:
        """The geometric mean of k_m/x."""
        self.constant_ = float(np.exp(np.log(k_m / shown[:, 0]).mean()))
        return self

    def predict(self, shown: Values) -> Values:
        """k_m of each x, (n, 1)."""
        return np.asarray(self.constant_ * shown[:, 0])


class PerLength(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """k_m = x · f(others): f, a regressor, corrects what is in proportion to the first number."""

    def __init__(self, regressor: Any) -> None:
        self.regressor = regressor

    def fit(self, shown: Values, k_m: Values, **groups: Any) -> Self:
        """Fit f to k_m/x."""
        self.regressor_ = clone(self.regressor).fit(shown[:, 1:], k_m / shown[:, 0], **groups)
        return self

    def predict(self, shown: Values) -> Values:
        """k_m of each row of x and the others, (n, m)."""
        return np.asarray(shown[:, 0] * np.ravel(self.regressor_.predict(shown[:, 1:])))


class Nearest(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The k_m at the least Euclidean distance; the mean of several that are equally near."""

    def fit(self, shown: Values, k_m: Values) -> Self:
        """Remember everything."""
        self.known_, self.k_m_ = shown, k_m
        return self

    def predict(self, shown: Values) -> Values:
        """The k_m of what is nearest to each, (n, m)."""
        distances = pairwise_distances(shown, self.known_)
        nearest = np.isclose(distances, distances.min(axis=1, keepdims=True))
        return np.asarray(nearest @ self.k_m_ / nearest.sum(axis=1))


class IdentifiedLine(LinearRegression):  # type: ignore[misc]
    """A linear model with intercept that is silent (NaN) where other fits would say otherwise."""

    def fit(self, shown: Values, k_m: Values) -> Self:
        """Least squares."""
        self.known_ = shown
        super().fit(shown, k_m)
        return self

    def predict(self, shown: Values) -> Values:
        """The line, where it is identified."""
        predicted = super().predict(shown)
        identified = [is_identified(self.known_, each) for each in shown]
        return np.where(identified, predicted, np.nan)


def is_identified(others: Values, left_out: Values) -> bool:
    """Whether a linear model with intercept, fitted to points (n, m), says anything of another.

    It does where that point (m,), its intercept included, is a combination of theirs: elsewhere
    several models fit equally well and predict different values.
    """
    design = np.column_stack([np.ones(len(others)), others])
    wanted = np.concatenate([[1.0], left_out])
    return bool(np.linalg.matrix_rank(np.vstack([design, wanted])) == np.linalg.matrix_rank(design))


def of_logarithm(regressor: Any, **choices: Any) -> TransformedTargetRegressor:
    """A model of log k_m: its predictions are positive, and small k_m count as large ones do.

    Of `choices`, parameters of the regressor, one is taken within the training fold, by the mean
    |ln(predicted/true)|.
    """
    if choices:
        regressor = GridSearchCV(regressor, choices, scoring="neg_mean_absolute_error")
    model = make_pipeline(StandardScaler(), regressor)
    return TransformedTargetRegressor(model, func=np.log, inverse_func=_finite_exponential)


def _finite_exponential(logarithms: Values) -> Values:
    """However far a model extrapolates, its prediction, and the square of that, is a number."""
    return np.exp(np.clip(logarithms, -_GREATEST_LOGARITHM, _GREATEST_LOGARITHM))


_KERNEL = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(10.0, (1.0, 1e3)) + WhiteKernel(0.1, (1e-4, 1e1))

RIDGE = of_logarithm(Ridge(), alpha=np.logspace(-2, 4, 7))
"""Ridge regression of log k_m."""

MEDIAN = Regression("median of the others", "median", DummyRegressor(strategy="median"))
MEAN = Regression("mean of the others", "mean", DummyRegressor())
PROPORTIONAL = Regression(
    "proportional to the correlation length", "length", Proportional(), (LENGTH,)
)
TEXTURES = (
    Regression("texture, ridge", "texture", RIDGE, (TEXTURE,)),
    Regression(
        "texture, partial least squares",
        "texture",
        of_logarithm(PLSRegression(), n_components=[1, 2, 3]),
        (TEXTURE,),
    ),
    Regression(
        "texture, Gaussian process",
        "texture",
        of_logarithm(GaussianProcessRegressor(_KERNEL, normalize_y=True, random_state=0)),
        (TEXTURE,),
    ),
)
CORRECTED = Regression(
    "length corrected by the texture, ridge",
    "length_and_texture",
    PerLength(RIDGE),
    (LENGTH, TEXTURE),
)


def ridges_of_layers(measured: str) -> list[Regression]:
    """A ridge regression for each layer of filters, the first layer first, to choose among.

    The features are many, and layers are tried in every fold: the penalty, too, is chosen within
    the fold, but by the micrographs left out in turn, for which one decomposition suffices.
    """
    ridge = of_logarithm(RidgeCV(np.logspace(0, 3, 4)))
    return [
        Regression(f"{measured}, {layer}", "borrowed", ridge, (measured,), tuple(map(str, columns)))
        for layer, columns in LAYERS.items()
    ]


def composition_predictors(components: Sequence[str]) -> list[Regression]:
    """The nearest composition, and lines in every combination of these components.

    Of more than three components, lines in each alone, and in all.
    """
    every = len(components)
    found = [Regression("nearest composition", "composition", Nearest(), (COMPOSITION,))]
    for number in range(1, every + 1) if every <= _MOST_COMBINED else (1, every):
        for chosen in combinations(components, number):
            name = f"linear in {', '.join(chosen)}"
            found.append(
                Regression(name, "composition", IdentifiedLine(), (COMPOSITION,), tuple(chosen))
            )
    return found if every else []
