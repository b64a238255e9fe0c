"""Controls: what other predictors make of the same folds.

Every control predicts each formulation from the others, as the networks do. Whatever it scales or
tunes, it does within the training fold.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import config_context
from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import make_scorer, pairwise_distances
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.parallel import Parallel, delayed

from fesemlib.dataset import Dataset
from fesemlib.evaluation import published
from fesemlib.evaluation.baselines import mean_of_others, median_of_others
from fesemlib.formulations import percentages
from fesemlib.network.inputs import network_inputs
from fesemlib.params import Parameters
from fesemlib.processing import GreyImage
from fesemlib.texture import correlation_length
from fesemlib.validation.errors import MEAN, measures, measures_of_runs, relative_error
from fesemlib.validation.leave_one_out import (
    TRAINING_SETS,
    Split,
    held_out_predictions,
    leave_one_formulation_out,
    train_splits,
)

Values = npt.NDArray[np.float64]

# Of so many components every combination is tried as a linear model; of more, too many would be.
_MOST_COMBINED = 3

_MOST_INNER_FOLDS = 8

_GREATEST_LOGARITHM = 50.0


def predict_left_out(
    make_model: Callable[[], Any], features: Values, k_m: Values, formulations: npt.NDArray[Any]
) -> Values:
    """Predict every formulation, in m² s⁻¹ (n,), by a model that is fitted to the others.

    `make_model` makes a regressor of scikit-learn. A `GridSearchCV`, be it within a
    `TransformedTargetRegressor`, is tuned by leaving out one more formulation at a time, or an
    eighth of them where there are more than eight. `features` (n, m) and `k_m` (n,) are of images,
    and `formulations` says to which each belongs; all of one are left out together.
    """
    predicted = np.full(len(k_m), np.nan)
    for train, test in LeaveOneGroupOut().split(features, k_m, formulations):
        model = fitted(make_model(), features[train], k_m[train], formulations[train])
        predicted[test] = np.ravel(model.predict(features[test]))
    return predicted


def fitted(model: Any, features: Values, k_m: Values, formulations: npt.NDArray[Any]) -> Any:
    """Fit a regressor as in `predict_left_out`; a `GridSearchCV` is tuned by formulations."""
    groups = {}
    search = model.regressor if isinstance(model, TransformedTargetRegressor) else model
    if isinstance(search, GridSearchCV):
        groups = {"groups": formulations}
        inner = len(set(formulations))
        search.set_params(cv=GroupKFold(min(inner, _MOST_INNER_FOLDS)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a kernel's parameter at its bound
        warnings.filterwarnings("ignore", "y residual is constant")  # more components than data
        return model.fit(features, k_m, **groups)


def with_errors(control: str, table: pd.DataFrame, predicted: npt.ArrayLike) -> pd.DataFrame:
    """The predictions of one control, a row an image: true and predicted k_m, m² s⁻¹, and error.

    `table` has ``formulation``, ``image`` and ``k_m``; `predicted` is NaN where there is none.
    """
    k_m = table["k_m"].to_numpy(dtype=np.float64)
    values = np.asarray(predicted, dtype=np.float64)
    return pd.DataFrame(
        {
            "control": control,
            "held_out": table["formulation"].to_numpy(),
            "image": table["image"].to_numpy(),
            "true_km": k_m,
            "predicted_km": values,
            "relative_error": relative_error(pd.Series(values), pd.Series(k_m)),
        }
    )


def blind_controls(dataset: Dataset) -> pd.DataFrame:
    """The median and the mean of the other formulations, which see nothing of the one left out."""
    rules = {"median of the others": median_of_others, "mean of the others": mean_of_others}
    table = dataset.images
    predicted = {name: rule(dataset.formulations["k_m"]) for name, rule in rules.items()}
    return pd.concat(
        [
            with_errors(name, table, table["formulation"].map(found["predicted_km"]))
            for name, found in predicted.items()
        ],
        ignore_index=True,
    )


def composition_of(dataset: Dataset) -> pd.DataFrame:
    """Mass % of each component that varies, by formulation.

    No columns where a composition is missing, or is not written as ``"4% dextran + 1% mannitol"``.
    """
    formulations = dataset.formulations
    words = formulations.get("composition", pd.Series(index=formulations.index, dtype=object))
    found = [percentages(text) if isinstance(text, str) else None for text in words]
    parts = [each for each in found if each is not None]
    if len(parts) < len(formulations):
        return pd.DataFrame(index=formulations.index)
    table = pd.DataFrame(parts, index=formulations.index).fillna(0.0)
    return table.loc[:, (table != table.iloc[0]).any()]


def is_identified(others: Values, left_out: Values) -> bool:
    """Whether a linear model with intercept, fitted to points (n, m), says anything of another.

    It does where that point (m,), its intercept included, is a combination of theirs: elsewhere
    several models fit equally well and predict different values.
    """
    design = np.column_stack([np.ones(len(others)), others])
    wanted = np.concatenate([[1.0], left_out])
    return bool(np.linalg.matrix_rank(np.vstack([design, wanted])) == np.linalg.matrix_rank(design))


def composition_controls(dataset: Dataset) -> pd.DataFrame:
    """What the composition tells without an image: the nearest formulation, and linear models.

    The nearest formulation is the one at the least Euclidean distance in mass %; of several that
    are equally near, the mean is taken. The linear models have an intercept and every combination
    of the components; of more than three components, each alone, and all. A prediction that is not
    identified is NaN; there are no rows where there is no composition.
    """
    composition = composition_of(dataset)
    formulations = dataset.formulations
    table = formulations[["k_m"]].rename_axis("formulation").reset_index()
    table["image"] = table["formulation"]
    if composition.empty or len(formulations) < 3:
        return with_errors("", table, table["k_m"]).iloc[:0]
    names, k_m = table["formulation"].to_numpy(), table["k_m"].to_numpy(dtype=np.float64)
    nearest = _of_the_nearest(composition.to_numpy(dtype=np.float64), k_m)
    rows = [with_errors("nearest composition", table, nearest)]
    for components in _combinations([str(name) for name in composition]):
        design = composition[list(components)].to_numpy(dtype=np.float64)
        predicted = predict_left_out(LinearRegression, design, k_m, names)
        for position in range(len(design)):
            if not is_identified(np.delete(design, position, axis=0), design[position]):
                predicted[position] = np.nan
        rows.append(with_errors(f"linear in {', '.join(components)}", table, predicted))
    return pd.concat(rows, ignore_index=True)


def control_summary(controls: pd.DataFrame) -> pd.DataFrame:
    """The three measures of each control; of one with several runs, the medians over them.

    Parameters
    ----------
    controls
        Rows as of `with_errors`, of networks with ``seed``; the error is NaN without a prediction.

    Returns
    -------
    DataFrame
        By ``control``: the measures of `fesemlib.validation.errors`, and ``formulations``, the
        number of those that it predicts. Those that predict most come first, and of these the best:
        a mean over fewer formulations cannot be compared.

    Examples
    --------
    >>> errors = {"held_out": ["A", "B"] * 2, "relative_error": [0.5, 0.25, 0.1, np.nan]}
    >>> controls = pd.DataFrame({"control": ["all"] * 2 + ["partial"] * 2, "seed": 0, **errors})
    >>> control_summary(controls)["mean"].to_dict()
    {'all': 0.375, 'partial': 0.1}
    """
    predicted = controls.dropna(subset="relative_error").fillna({"seed": 0})  # of one run
    grouped = predicted.groupby("control", sort=False)
    summary = pd.DataFrame({name: measures(table)["median"] for name, table in grouped}).T
    summary["formulations"] = grouped["held_out"].nunique()
    return summary.sort_values(["formulations", MEAN], ascending=[False, True])


def _of_the_nearest(points: Values, k_m: Values) -> Values:
    """The mean k_m of those that are nearest to each of some points."""
    distances = pairwise_distances(points)
    np.fill_diagonal(distances, np.inf)
    nearest = np.isclose(distances, distances.min(axis=1, keepdims=True))
    means: Values = nearest @ k_m / nearest.sum(axis=1)
    return means


def _combinations(names: list[str]) -> list[tuple[str, ...]]:
    every = len(names)
    numbers = range(1, every + 1) if every <= _MOST_COMBINED else (1, every)
    return list(chain.from_iterable(combinations(names, number) for number in numbers))


def _ridge() -> TransformedTargetRegressor:
    model = make_pipeline(StandardScaler(), Ridge())
    return _tuned(model, {"ridge__alpha": np.logspace(-2, 4, 7)})


def _partial_least_squares() -> TransformedTargetRegressor:
    model = make_pipeline(StandardScaler(), PLSRegression())
    return _tuned(model, {"plsregression__n_components": [1, 2, 3]})


def _gaussian_process() -> TransformedTargetRegressor:
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(10.0, (1.0, 1e3)) + WhiteKernel(
        0.1, (1e-4, 1e1)
    )
    return _of_logarithm(
        make_pipeline(
            StandardScaler(),
            GaussianProcessRegressor(
                kernel, normalize_y=True, n_restarts_optimizer=3, random_state=0
            ),
        )
    )


def _of_logarithm(model: Any) -> TransformedTargetRegressor:
    """A model of log k_m: its predictions are positive, and small k_m count as large ones do."""
    return TransformedTargetRegressor(model, func=np.log, inverse_func=_finite_exponential)


def _finite_exponential(logarithms: Values) -> Values:
    """However far a model extrapolates, its prediction, and the square of that, is a number."""
    return np.exp(np.clip(logarithms, -_GREATEST_LOGARITHM, _GREATEST_LOGARITHM))


def _tuned(model: Any, choices: Mapping[str, Any]) -> TransformedTargetRegressor:
    """A model whose parameter is chosen within the training fold; see `predict_left_out`."""
    scoring = make_scorer(_relative_error, greater_is_better=False)
    return _of_logarithm(GridSearchCV(model, choices, scoring=scoring))


def _relative_error(logarithms: Values, predicted: Values) -> float:
    """The mean relative error of k_m, given the logarithms of the true and the predicted ones."""
    return float(np.abs(_finite_exponential(np.ravel(predicted)) / np.exp(logarithms) - 1).mean())


TEXTURE_MODELS: dict[str, Callable[[], Any]] = {
    "ridge": _ridge,
    "partial least squares": _partial_least_squares,
    "Gaussian process": _gaussian_process,
}
"""Makers of the models that are fitted to texture features."""

_FEWEST_FORMULATIONS = 5


def one_number_controls(dataset: Dataset, parameters: Parameters) -> pd.DataFrame:
    """What a single number of the image tells: two yardsticks.

    A straight line in the standard deviation of the network's input; and k_m in proportion to the
    correlation length of the raw frame, in µm where every micrograph has a pixel size, else in px.
    Its one constant is the geometric mean of k_m / length over the images of the others: least
    squares in the logarithm. NaN where a frame has no correlation length.
    """
    table, k_m = dataset.images, dataset.k_m
    names = table["formulation"].to_numpy()
    spread = network_inputs(dataset, parameters).std(axis=(1, 2), dtype=np.float64)
    line = predict_left_out(LinearRegression, spread[:, np.newaxis], k_m, names)
    lengths = _correlation_lengths(dataset, parameters)
    known = np.isfinite(lengths)
    proportional = np.full(len(k_m), np.nan)
    if len(set(names[known])) > 1:
        length = lengths[known]
        ratio = predict_left_out(
            DummyRegressor, length[:, np.newaxis], np.log(k_m[known] / length), names[known]
        )
        proportional[known] = length * np.exp(ratio)
    return pd.concat(
        [
            with_errors("line in the input's standard deviation", table, line),
            with_errors("proportional to the correlation length", table, proportional),
        ],
        ignore_index=True,
    )


def _correlation_lengths(dataset: Dataset, parameters: Parameters) -> Values:
    """Of each raw frame; NaN where it has none, such as of a flat one."""
    sizes = [micrograph.pixel_size_um for micrograph in dataset.micrographs]
    pixels = np.array([1.0 if None in sizes else size for size in sizes], dtype=np.float64)
    with ThreadPoolExecutor(parameters.parallel_jobs or None) as pool:
        lengths = pool.map(_length_or_nan, [each.image for each in dataset.micrographs])
        return np.asarray(pixels * list(lengths))


def _length_or_nan(image: GreyImage) -> float:
    try:
        return correlation_length(image)
    except ValueError:
        return np.nan


def texture_controls(
    dataset: Dataset, features: pd.DataFrame, coarse: pd.DataFrame, parameters: Parameters
) -> pd.DataFrame:
    """What texture features tell: three models of all of them, and ridge regression of each family.

    `features` are those of `fesemlib.features.texture_features`, `coarse` the same at the width of
    the network's input, for one more ridge regression. No rows for fewer than five formulations,
    which leave too few to tune on.
    """
    table = dataset.images
    names = table["formulation"].to_numpy()
    if len(set(names)) < _FEWEST_FORMULATIONS:
        return with_errors("", table, table["k_m"]).iloc[:0]
    families = list(dict.fromkeys(features.columns.get_level_values("family")))
    chosen = [(f"texture, {name}", features, make) for name, make in TEXTURE_MODELS.items()]
    chosen += [(f"{family}, ridge", features[[family]], _ridge) for family in families]
    chosen.append(("texture of the network's input, ridge", coarse, _ridge))
    tasks = (
        delayed(predict_left_out)(make, part.to_numpy(), dataset.k_m, names)
        for _, part, make in chosen
    )
    with config_context(skip_parameter_validation=True):  # thousands of fits, all of the same kind
        predictions = Parallel(n_jobs=parameters.parallel_jobs or -1)(tasks)
    return pd.concat(
        [
            with_errors(name, table, predicted)
            for (name, *_), predicted in zip(chosen, predictions, strict=True)
        ],
        ignore_index=True,
    )


def network_controls(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Predictions of networks, by name, as rows of the table of controls, one an image and run."""
    columns = ["held_out", "image", "seed", "true_km", "predicted_km", "relative_error"]
    return pd.concat(
        [table.filter(columns).assign(control=name) for name, table in predictions.items()],
        ignore_index=True,
    )


def mean_of_seeds(predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions of an ensemble: of each micrograph, the mean over the seeds."""
    keys = ["held_out", "image", "true_km"]
    mean = predictions.groupby(keys, sort=False)["predicted_km"].mean().reset_index()
    return mean.assign(relative_error=relative_error(mean["predicted_km"], mean["true_km"]))


PUBLISHED = ("published, original set", "published, augmented set")
"""What the paper's own errors are called among the controls."""


def published_controls(dataset: Dataset) -> pd.DataFrame:
    """The paper's errors as rows of the table of controls; none where they do not concern the data.

    They have no predictions: Table 2 states no signs.
    """
    names = dict(zip(TRAINING_SETS, PUBLISHED, strict=True))
    errors = published.table2().rename(columns=names).rename_axis("held_out").reset_index()
    rows = errors.melt("held_out", var_name="control", value_name="relative_error")
    return rows if published.concerns(dataset.formulations) else rows.iloc[:0]


def evaluation_parameters(parameters: Parameters) -> Parameters:
    """The same training at the size and with the seeds of what repeats leave-one-out many times."""
    width = min(parameters.evaluation_width, parameters.input_width)
    return parameters.model_copy(
        update={"input_width": width, "number_of_seeds": parameters.evaluation_seeds}
    )


def averaging_parameters(parameters: Parameters) -> Parameters:
    """The network that averages its feature maps, with its own learning rate and epochs."""
    return evaluation_parameters(parameters).model_copy(
        update={
            "head": "global_average",
            "learning_rate": parameters.averaging_learning_rate,
            "epochs": parameters.averaging_epochs,
        }
    )


def other_dropout_parameters(parameters: Parameters) -> Parameters:
    """The paper's network with its dropout at the other place of the two that the text allows."""
    other = "dense" if parameters.dropout_position == "flatten" else "flatten"
    return evaluation_parameters(parameters).model_copy(update={"dropout_position": other})


def trained_networks(dataset: Dataset, parameters: Parameters) -> dict[str, pd.DataFrame]:
    """Leave-one-out by each network among the controls: training sets, dropout, averaged maps."""
    small, other = evaluation_parameters(parameters), other_dropout_parameters(parameters)
    place = {"flatten": "before", "dense": "after"}[other.dropout_position]
    train = partial(leave_one_formulation_out, dataset)
    return {
        "network, original set": train(parameters),
        "network, augmented set": train(parameters, "augmented"),
        "network, small input": train(small, to_criterion=True),
        f"network, small input, dropout {place} the ten units": train(other, to_criterion=True),
        "network, averaged maps": train(averaging_parameters(parameters)),
    }


def permutation_test(dataset: Dataset, parameters: Parameters, permutations: int) -> pd.DataFrame:
    """Leave-one-out with the k_m of the formulations shuffled: is the true order better?

    Rows of `measures_of_runs`: the first is of the true order, each further one of a shuffle, which
    may be the true order again. Trained are the folds of the first seed, to the criterion. What is
    left out is predicted, and its error taken, with the shuffled k_m as if they were true.
    """
    rng = np.random.default_rng(parameters.first_seed)
    k_m = dataset.formulations["k_m"].to_numpy(dtype=np.float64)
    orders = [k_m, *(rng.permutation(k_m) for _ in range(permutations))]
    splits = [
        Split((name,), seed=parameters.first_seed, to_criterion=True)
        for name in dataset.formulations.index
    ]
    results = (train_splits(dataset.with_k_m(order), parameters, splits) for order in orders)
    return pd.concat(
        [measures_of_runs(held_out_predictions(each)) for each in results], ignore_index=True
    )
