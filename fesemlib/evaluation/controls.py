"""Controls: what other predictors make of the same folds.

Every control predicts each formulation from the others, as the networks do. Whatever it scales or
tunes, it does within the training fold.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import clone, config_context
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
from fesemlib.validation import leave_one_out
from fesemlib.validation.errors import MEAN, measures, measures_of_runs, relative_error

Values = npt.NDArray[np.float64]

# Of so many components every combination is tried as a linear model; of more, too many would be.
_MOST_COMBINED = 3

_MOST_INNER_FOLDS = 8

_GREATEST_LOGARITHM = 50.0


def predict_left_out(
    model: Any, features: Values, k_m: Values, formulations: npt.NDArray[Any]
) -> Values:
    """Predict every formulation, in m² s⁻¹ (n,), by a model that is fitted to the others.

    The model, a regressor of scikit-learn, stays as it is. A `GridSearchCV`, be it within a
    `TransformedTargetRegressor`, is tuned by leaving out one more formulation at a time, or an
    eighth of them where there are more than eight. `features` (n, m) and `k_m` (n,) are of images,
    and `formulations` says to which each belongs; all of one are left out together.
    """
    predicted = np.full(len(k_m), np.nan)
    for train, test in LeaveOneGroupOut().split(features, k_m, formulations):
        own = fitted(model, features[train], k_m[train], formulations[train])
        predicted[test] = np.ravel(own.predict(features[test]))
    return predicted


def fitted(model: Any, features: Values, k_m: Values, formulations: npt.NDArray[Any]) -> Any:
    """A copy of a regressor, fitted as in `predict_left_out`."""
    own, groups = clone(model), {}
    search = own.regressor if isinstance(own, TransformedTargetRegressor) else own
    if isinstance(search, GridSearchCV):
        groups = {"groups": formulations}
        search.set_params(cv=GroupKFold(min(len(set(formulations)), _MOST_INNER_FOLDS)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a kernel's parameter at its bound
        warnings.filterwarnings("ignore", "y residual is constant")  # more components than data
        return own.fit(features, k_m, **groups)


def with_errors(predictions: Mapping[str, npt.ArrayLike], table: pd.DataFrame) -> pd.DataFrame:
    """The predictions of controls, by name, a row an image: true and predicted k_m, m² s⁻¹, error.

    `table` has ``formulation``, ``image`` and ``k_m``; a prediction is NaN where there is none.
    """
    images = table[["formulation", "image", "k_m"]]
    images = images.rename(columns={"formulation": "held_out", "k_m": "true_km"})
    tables = [
        images.assign(control=name, predicted_km=np.asarray(predicted, dtype=np.float64))
        for name, predicted in predictions.items()
    ]
    empty = images.iloc[:0].assign(control="", predicted_km=0.0)
    rows = pd.concat(tables or [empty], ignore_index=True)
    rows["relative_error"] = relative_error(rows["predicted_km"], rows["true_km"])
    return rows[["control", *rows.columns.drop("control")]]


def blind_controls(dataset: Dataset) -> pd.DataFrame:
    """The median and the mean of the other formulations, which see nothing of the one left out."""
    rules = {"median of the others": median_of_others, "mean of the others": mean_of_others}
    table, k_m = dataset.images, dataset.formulations["k_m"]
    predictions = {
        name: table["formulation"].map(rule(k_m)["predicted_km"]) for name, rule in rules.items()
    }
    return with_errors(predictions, table)


def composition_of(dataset: Dataset) -> pd.DataFrame:
    """Mass % of each component that varies, by formulation.

    No columns where a composition is missing, or is not written as ``"4% dextran + 1% mannitol"``.
    """
    formulations = dataset.formulations
    parts = [percentages(str(text)) for text in formulations.get("composition", [])]
    if not parts or None in parts:
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
    table = dataset.formulations[["k_m"]].rename_axis("formulation").reset_index()
    table["image"] = table["formulation"]
    names, k_m = table["formulation"].to_numpy(), table["k_m"].to_numpy(dtype=np.float64)
    if composition.empty or len(names) < 3:
        return with_errors({}, table)
    predictions = {"nearest composition": _of_the_nearest(composition.to_numpy(np.float64), k_m)}
    every = composition.shape[1]
    for number in range(1, every + 1) if every <= _MOST_COMBINED else (1, every):
        for components in combinations(composition, number):
            design = composition[list(components)].to_numpy(dtype=np.float64)
            predicted = predict_left_out(LinearRegression(), design, k_m, names)
            for position in range(len(design)):
                if not is_identified(np.delete(design, position, axis=0), design[position]):
                    predicted[position] = np.nan
            predictions[f"linear in {', '.join(map(str, components))}"] = predicted
    return with_errors(predictions, table)


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


def _of_logarithm(regressor: Any, **choices: Any) -> TransformedTargetRegressor:
    """A model of log k_m: its predictions are positive, and small k_m count as large ones do.

    Of `choices`, parameters of the regressor, one is taken within the training fold.
    """
    model = make_pipeline(StandardScaler(), regressor)
    if choices:
        step = type(regressor).__name__.lower()
        grid = {f"{step}__{name}": values for name, values in choices.items()}
        scoring = make_scorer(_error, greater_is_better=False)
        model = GridSearchCV(model, grid, scoring=scoring)
    return TransformedTargetRegressor(model, func=np.log, inverse_func=_finite_exponential)


def _finite_exponential(logarithms: Values) -> Values:
    """However far a model extrapolates, its prediction, and the square of that, is a number."""
    return np.exp(np.clip(logarithms, -_GREATEST_LOGARITHM, _GREATEST_LOGARITHM))


def _error(logarithms: Values, predicted: Values) -> float:
    """The mean relative error of k_m, given the logarithms of the true and the predicted ones."""
    return float(np.abs(_finite_exponential(np.ravel(predicted)) / np.exp(logarithms) - 1).mean())


_KERNEL = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(10.0, (1.0, 1e3)) + WhiteKernel(0.1, (1e-4, 1e1))

TEXTURE_MODELS: dict[str, TransformedTargetRegressor] = {
    "ridge": _of_logarithm(Ridge(), alpha=np.logspace(-2, 4, 7)),
    "partial least squares": _of_logarithm(PLSRegression(), n_components=[1, 2, 3]),
    "Gaussian process": _of_logarithm(
        GaussianProcessRegressor(_KERNEL, normalize_y=True, n_restarts_optimizer=3, random_state=0)
    ),
}
"""What is fitted to texture features."""

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
    line = predict_left_out(LinearRegression(), spread[:, np.newaxis], k_m, names)
    lengths = _correlation_lengths(dataset, parameters)
    known = np.isfinite(lengths)
    proportional = np.full(len(k_m), np.nan)
    if len(set(names[known])) > 1:
        length = lengths[known, np.newaxis]
        ratios = np.log(k_m[known] / lengths[known])
        constant = predict_left_out(DummyRegressor(), length, ratios, names[known])
        proportional[known] = lengths[known] * np.exp(constant)
    predictions = {
        "line in the input's standard deviation": line,
        "proportional to the correlation length": proportional,
    }
    return with_errors(predictions, table)


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

    `features` are those of `fesemlib.texture.texture_features`, `coarse` the same at the width of
    the network's input, for one more ridge regression. No rows for fewer than five formulations,
    which leave too few to tune on.
    """
    table = dataset.images
    names = table["formulation"].to_numpy()
    if len(set(names)) < _FEWEST_FORMULATIONS:
        return with_errors({}, table)
    ridge = TEXTURE_MODELS["ridge"]
    tried = {f"texture, {name}": (model, features) for name, model in TEXTURE_MODELS.items()}
    for family in features.columns.unique("family"):
        tried[f"{family}, ridge"] = (ridge, features[[family]])
    tried["texture of the network's input, ridge"] = (ridge, coarse)
    tasks = (
        delayed(predict_left_out)(model, part.to_numpy(), dataset.k_m, names)
        for model, part in tried.values()
    )
    with config_context(skip_parameter_validation=True):  # thousands of fits, all of the same kind
        predictions = Parallel(n_jobs=parameters.parallel_jobs or -1)(tasks)
    return with_errors(dict(zip(tried, predictions, strict=True)), table)


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
    names = dict(zip(leave_one_out.TRAINING_SETS, PUBLISHED, strict=True))
    errors = published.table2().rename(columns=names).rename_axis("held_out").reset_index()
    rows = errors.melt("held_out", var_name="control", value_name="relative_error")
    return rows if published.concerns(dataset.formulations) else rows.iloc[:0]


def evaluation_parameters(parameters: Parameters) -> Parameters:
    """The same training at the size and with the seeds of what repeats leave-one-out many times."""
    width = min(parameters.evaluation_width, parameters.input_width)
    return parameters.changed(input_width=width, number_of_seeds=parameters.evaluation_seeds)


def averaging_parameters(parameters: Parameters) -> Parameters:
    """The network that averages its feature maps, with its own learning rate and epochs."""
    return evaluation_parameters(parameters).changed(
        head="global_average",
        learning_rate=parameters.averaging_learning_rate,
        epochs=parameters.averaging_epochs,
    )


def other_dropout_parameters(parameters: Parameters) -> Parameters:
    """The paper's network with its dropout at the other place of the two that the text allows."""
    other = "dense" if parameters.dropout_position == "flatten" else "flatten"
    return evaluation_parameters(parameters).changed(dropout_position=other)


def trained_networks(dataset: Dataset, parameters: Parameters) -> dict[str, pd.DataFrame]:
    """Leave-one-out by each network among the controls: training sets, dropout, averaged maps."""
    small, other = evaluation_parameters(parameters), other_dropout_parameters(parameters)
    place = {"flatten": "before", "dense": "after"}[other.dropout_position]
    train = partial(leave_one_out.leave_one_formulation_out, dataset)
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
        leave_one_out.Split((name,), seed=parameters.first_seed, to_criterion=True)
        for name in dataset.formulations.index
    ]
    tables = []
    for order in orders:
        results = leave_one_out.train_splits(dataset.with_k_m(order), parameters, splits)
        tables.append(measures_of_runs(leave_one_out.held_out_predictions(results)))
    return pd.concat(tables, ignore_index=True)
