"""What the choices do: leave-one-out again and again, with one parameter changed at a time.

Every setting is compared with a reference on the same formulations and from the same seeds. The
differences are for understanding: to pick the best setting from them would be to tune on the
formulations that are held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from fesemlib.baselines import median_of_others
from fesemlib.controls import evaluation_parameters
from fesemlib.dataset import Dataset
from fesemlib.network import SMALLEST_SIDE
from fesemlib.params import Parameters
from fesemlib.processing import input_shape
from fesemlib.statistics import compare_pairs, errors_of_formulations
from fesemlib.validation import failed_runs, held_out_predictions, leave_one_formulation_out

__all__ = [
    "AUGMENTED",
    "MEDIAN_RULE",
    "REFERENCE",
    "SEED",
    "Setting",
    "change_parameter",
    "planned_settings",
    "predict_with_settings",
    "sensitivity_table",
]

REFERENCE = "reference"
AUGMENTED = "reference, augmented set"
MEDIAN_RULE = "no image: median of the others"

SEED = "first_seed"
"""The parameter whose variation changes nothing but chance."""

_GROUP = "augmentation_group"
_SELECTION = "model_selection"

# How a parameter and its values are called where their own names would not read well.
_PARAMETERS = {
    "light_background": "background",
    "smooth_background": "background",
    "background_radius_px": "background, radius in px",
    "equalization": "equalisation",
    "input_width": "input width in px",
    "dropout_rate": "dropout, rate",
    "dropout_position": "dropout, position",
    "initializer": "initial weights",
    "learning_rate": "learning rate",
    "batch_size": "batch size",
    "augmentation_group": "augmentation",
    SEED: "seeds, from",
    "model_selection": "epoch that counts",
}
_VALUES: dict[tuple[str, object], str] = {
    ("light_background", True): "light",
    ("light_background", False): "dark",
    ("smooth_background", True): "smoothed",
    ("smooth_background", False): "unsmoothed",
    ("dropout_position", "dense"): "after the dense layer",
    ("dropout_position", "flatten"): "after flattening",
    ("head", "global_average"): "averaged maps",
    ("initializer", "glorot_uniform"): "Glorot uniform",
    ("initializer", "he_normal"): "He normal",
    ("equalization", "imagej"): "ImageJ's square root",
    ("equalization", "clahe"): "CLAHE",
    ("model_selection", "last"): "last",
    ("model_selection", "best_on_held_out"): "best on the held-out one",
}


@dataclass(frozen=True)
class Setting:
    """One way to train and to predict.

    Attributes
    ----------
    name
        What the page calls it.
    parameters
        All of them.
    training_set
        ``"original"`` or ``"augmented"`` (Section 5.1).
    reference
        Name of the setting that it is compared with; its own name, if it is compared with none.
    parameter
        The one in which it differs from that; empty, if there is none.
    """

    name: str
    parameters: Parameters
    training_set: str
    reference: str
    parameter: str = ""


def change_parameter(parameters: Parameters, name: str, value: object) -> Parameters:
    """The same parameters but for one.

    Parameters
    ----------
    parameters
        All of them.
    name, value
        The one that changes, and to what.

    Raises
    ------
    pydantic.ValidationError
        When there is no such parameter, or this value is not allowed.

    Examples
    --------
    >>> change_parameter(Parameters(), "target", "log10").target
    'log10'
    """
    return Parameters.model_validate({**parameters.model_dump(), name: value}, strict=True)


def planned_settings(dataset: Dataset, parameters: Parameters) -> list[Setting]:
    """The references, and one setting for every value of `variations` that changes something.

    Parameters
    ----------
    dataset
        The micrographs.
    parameters
        Those of the reference, `variations`, `evaluation_width` and `evaluation_seeds`.

    Returns
    -------
    list of Setting
        The reference first, in which the last epoch counts. The augmented set is a variation of
        the original one, and the reference for `augmentation_group`. A value equal to the
        reference's is left out, and so is an input wider than the micrographs or too small for the
        network.

    Examples
    --------
    >>> from fesemlib.micrographs import Micrograph
    >>> frame = Micrograph(np.zeros((96, 128), np.uint8))
    >>> dataset = Dataset(pd.DataFrame(), pd.DataFrame(), (frame,), synthetic=False, digest="")
    >>> parameters = Parameters(target="minmax", variations={"target": ["minmax", "log10"]})
    >>> [setting.name for setting in planned_settings(dataset, parameters)]
    ['reference', 'reference, augmented set', 'target: log10']
    """
    basic = evaluation_parameters(parameters).model_copy(update={_SELECTION: "last"})
    settings = [
        Setting(REFERENCE, basic, "original", REFERENCE),
        Setting(AUGMENTED, basic, "augmented", REFERENCE, "training_set"),
    ]
    for parameter, values in parameters.variations.items():
        augmented = parameter == _GROUP
        for value in dict.fromkeys(values):
            unusable = parameter == "input_width" and not _is_usable(int(value), dataset)
            if value == getattr(basic, parameter) or unusable:
                continue
            settings.append(
                Setting(
                    _name(parameter, value),
                    change_parameter(basic, parameter, value),
                    "augmented" if augmented else "original",
                    AUGMENTED if augmented else REFERENCE,
                    parameter,
                )
            )
    return settings


def predict_with_settings(dataset: Dataset, settings: list[Setting]) -> pd.DataFrame:
    """Leave one formulation out, again with every setting.

    Parameters
    ----------
    dataset
        The micrographs.
    settings
        From `planned_settings`.

    Returns
    -------
    DataFrame
        For each setting the rows and columns of `fesemlib.validation.held_out_predictions`, with
        ``setting``, its name, and ``collapsed`` and ``diverged``, the state of the run.

    Notes
    -----
    Finished folds are kept in the cache, as those of any leave-one-out.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(3, seed=0, shape=(48, 64))
    ...     settings = [Setting(REFERENCE, parameters, "original", REFERENCE)]
    ...     predictions = predict_with_settings(dataset, settings)
    >>> predictions[["setting", "held_out"]].to_numpy().tolist()
    [['reference', '1'], ['reference', '2'], ['reference', '3']]
    """
    tables = []
    for setting in settings:
        results = leave_one_formulation_out(dataset, setting.parameters, setting.training_set)
        predictions = held_out_predictions(results, setting.parameters.model_selection)
        states = failed_runs(results)
        run = ["training_set", "seed", "held_out"]
        tables.append(predictions.merge(states, on=run, how="left").assign(setting=setting.name))
    return pd.concat(tables, ignore_index=True)


def sensitivity_table(
    predictions: pd.DataFrame, settings: list[Setting], k_m: pd.Series[float]
) -> pd.DataFrame:
    """How much each setting changes the mean relative error, the smallest error first.

    Parameters
    ----------
    predictions
        From `predict_with_settings`.
    settings
        From `planned_settings`.
    k_m
        Of each formulation, its index, m² s⁻¹.

    Returns
    -------
    DataFrame
        Indexed by ``setting``, with `MEDIAN_RULE` among them: ``error``, the mean relative error
        over the formulations; ``change``, the mean of the paired differences from the reference,
        with its interval ``low`` to ``high``; ``better``, on how many of the ``formulations`` it
        errs less; ``p_value`` of Wilcoxon's signed-rank test and ``corrected``, the same controlled
        for the share of false discoveries among all choices [1]_, both NaN where the held-out
        micrographs have a say, and the second for what is no choice; ``failed`` and ``runs``, how
        many runs collapsed or diverged and of how many; ``training_set``, ``reference`` and
        ``parameter`` as of `Setting`; and ``fair``, whether the held-out micrographs have no say in
        the prediction. Sorted by ``change``; what concerns the augmented set comes last.

    References
    ----------
    .. [1] Benjamini & Hochberg, "Controlling the false discovery rate: a practical and powerful
       approach to multiple testing", Journal of the Royal Statistical Society B 57 (1995) 289–300;
       SciPy's `false_discovery_control`.

    Examples
    --------
    >>> settings = [
    ...     Setting(REFERENCE, Parameters(), "original", REFERENCE),
    ...     Setting("better", Parameters(), "original", REFERENCE, "epochs"),
    ... ]
    >>> errors = {REFERENCE: [0.5, 0.3], "better": [0.4, 0.2]}
    >>> predictions = pd.concat(
    ...     pd.DataFrame({"setting": name, "held_out": ["A", "B"], "relative_error": values})
    ...     for name, values in errors.items()
    ... ).assign(seed=0, collapsed=False, diverged=False)
    >>> table = sensitivity_table(predictions, settings, pd.Series({"A": 1e-3, "B": 2e-3}))
    >>> table["change"].round(3).to_dict()
    {'better': -0.1, 'reference': 0.0, 'no image: median of the others': 0.35}
    """
    names = dict.fromkeys(predictions["held_out"])
    errors = {
        str(name): errors_of_formulations(table).loc[list(names)]
        for name, table in predictions.groupby("setting", sort=False)
    }
    errors[MEDIAN_RULE] = median_of_others(k_m)["relative_error"].loc[list(names)]
    rule = Setting(MEDIAN_RULE, settings[0].parameters, "", REFERENCE)
    table = pd.DataFrame([_row(setting, errors, predictions) for setting in (*settings, rule)])
    table = table.set_index("setting")
    table.loc[~table["fair"], "p_value"] = np.nan  # it can only err less: there is nothing to test
    compared = table["p_value"].notna() & ~table["parameter"].isin(["", SEED])
    table["corrected"] = np.nan
    if compared.any():
        table.loc[compared, "corrected"] = stats.false_discovery_control(
            table.loc[compared, "p_value"], method="bh"
        )
    table["later"] = table["reference"] != REFERENCE
    return table.sort_values(["later", "change"]).drop(columns="later")


def _is_usable(width: int, dataset: Dataset) -> bool:
    """Whether the network can see these micrographs at this width."""
    if width > dataset.shape[1]:
        return False
    return min(input_shape(dataset.shape, width)) >= SMALLEST_SIDE


def _row(
    setting: Setting, errors: Mapping[str, pd.Series[float]], predictions: pd.DataFrame
) -> dict[str, object]:
    own = errors[setting.name]
    row: dict[str, object] = {
        "setting": setting.name,
        "parameter": setting.parameter,
        "training_set": setting.training_set,
        "reference": setting.reference,
        "fair": setting.parameters.model_selection == "last",
        "formulations": len(own),
        "error": float(own.mean()),
        **_failures(predictions[predictions["setting"] == setting.name]),
    }
    if setting.name == setting.reference:
        return {**row, "change": 0.0, "low": 0.0, "high": 0.0, "better": 0, "p_value": np.nan}
    compared = compare_pairs(errors[setting.reference], own)
    return {
        **row,
        "change": compared.difference.mean,
        "low": compared.difference.low,
        "high": compared.difference.high,
        "better": compared.better,
        "p_value": compared.p_value,
    }


def _failures(predictions: pd.DataFrame) -> dict[str, int]:
    runs = predictions.drop_duplicates(["seed", "held_out"])
    failed = runs["collapsed"].astype(bool) | runs["diverged"].astype(bool)
    return {"failed": int(failed.sum()), "runs": len(runs)}


def _name(parameter: str, value: object) -> str:
    known = _VALUES.get((parameter, value))
    if known is None:
        known = f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
    return f"{_PARAMETERS.get(parameter, parameter)}: {known}"
