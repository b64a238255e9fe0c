"""Tables and numbers of the chapter on new micrographs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.drying.equations import CLASSIC_RESISTANCE
from fesemlib.pages.names import told_apart
from fesemlib.pages.numbers import minus, percent, typeset
from fesemlib.pages.tables.words import celsius, shown
from fesemlib.params import Parameters
from fesemlib.prediction.folder import Card
from fesemlib.prediction.model import Model, Prediction
from fesemlib.prediction.new_micrographs import NewMicrographs
from fesemlib.prediction.trials import FRESH
from fesemlib.predictors.regressions import MEDIAN

_FEWEST_FOR_A_SLOPE = 3


def show_model(model: Model) -> Styler:
    """What the model card holds, in its main lines."""
    card = model.card
    pixel = card.pixel_size_um
    least, greatest = card.k_m_range
    within = card.within_formulations
    parts = {
        "trained on": card.data,
        "predictor": card.predictor,
        "mean |ln(predicted/true)|, left out": f"{card.error:.3f}",
        "mean relative error, left out (%)": percent(card.relative_error),
        "skill against the median": minus(f"{card.skill:.2f}"),
        "deviation of ln within a formulation": f"{within:.3f}" if within is not None else "—",
        "deviation of ln between formulations": f"{np.std(list(card.residuals.values())):.3f}",
        "micrographs (px)": f"{card.shape[1]} × {card.shape[0]}",
        "pixel (µm)": f"{pixel:.4g}" if pixel else "not known",
        "k_m of the training (10⁻³ m² s⁻¹)": f"{1e3 * least:.3g} to {1e3 * greatest:.3g}",
        "digest of the data": card.data_digest,
    }
    return shown("model", pd.DataFrame({"": parts}))


def show_candidates(card: Card) -> Styler:
    """The leave-one-out error of each candidate, and how often it was chosen; best first."""
    residuals, folds = card.candidate_residuals, pd.Series(card.chosen_in_fold).value_counts()
    relative = residuals.map(lambda residual: abs(math.expm1(-residual)))
    errors = {"log": residuals.abs().mean(), "mean": relative.mean()}
    table = pd.DataFrame(errors)[residuals.notna().all()]
    table["skill"] = 1 - table["log"] / table["log"][MEDIAN.name]
    table["folds"] = folds.reindex(table.index, fill_value=0)
    return shown("candidates", table.sort_values("log"))


def show_predictions(new: NewMicrographs, model: Model, parameters: Parameters) -> Styler:
    """Predictions, errors among them, and what a stand-in was made with."""
    rows = pd.DataFrame(list(new.rows))
    k_m = 1e3 * rows[["k_m", "k_m_low", "k_m_high"]]
    table = k_m.assign(
        micrograph=told_apart([Path(image).name for image in rows["image"]]),
        true_km=1e3 * new.true_km,
        resistance=rows["resistance"] / 1e5,
        classic=rows["resistance"] / CLASSIC_RESISTANCE,
        domain=[typeset(_domain(row)) for row in new.rows],
    ).dropna(axis="columns", how="all")
    front, thickness = celsius(parameters.front_temperature_k), parameters.layer_thickness_mm
    told: dict[str, Any] = {"front": front, "thickness": thickness, "level": 100 * model.level}
    return shown("predictions", table, **told).hide(axis="index")


def show_residuals(model: Model) -> Styler:
    """The errors of leave-one-out from which the interval is made, from the smallest."""
    residuals = pd.Series(model.card.log_residuals)
    table = pd.DataFrame({"k_m": 1e3 * pd.Series(model.card.k_m), "factor": np.exp(residuals)})
    table["size"] = residuals.abs()
    table["within"] = np.where(table["size"] <= model.half_width, "yes", "no")
    return shown("residuals", table.dropna().sort_values("size", kind="stable"))


def show_following(trial: pd.DataFrame, model: Model) -> Styler:
    """Whether the predictions follow the truth: a wide interval about anything holds it."""
    true, predicted = np.log(trial["true_km"]), np.log(trial["predicted_km"])
    enough = len(trial) >= _FEWEST_FOR_A_SLOPE
    slope = np.polyfit(true, predicted, 1)[0] if enough else math.nan
    median = np.median(np.log(list(model.card.k_m.values())))
    rows = {
        "the model": [2**slope, np.exp((predicted - true).abs().mean())],
        "always the median of the training set": [1.0, np.exp((median - true).abs().mean())],
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["slope", "apart"])
    return shown("following", table)


def show_domain(trial: pd.DataFrame) -> Styler:
    """How many images of each kind are flagged, and why."""
    grouped = trial.groupby("kind", sort=False)
    table = grouped[["by_texture", "by_k_m", "flagged"]].mean().rename_axis(None)
    wanted = np.where(table.index == FRESH, "no", "yes")
    return shown("domain", table.assign(images=grouped.size(), wanted=wanted))


def show_drying(table: pd.DataFrame) -> Styler:
    """`fesemlib.drying.outlook.outlook_table` in hours and °C."""
    verdicts = ["yes, for the whole interval", "only as predicted"]
    stays = np.select([table["stays_below_slow"], table["stays_below"]], verdicts, "no")
    names = told_apart([Path(image).name for image in table.index])
    numbered = table.reset_index(drop=True).assign(micrograph=names, stays=stays)
    return shown("drying", numbered).hide(axis="index")


def _domain(row: Prediction) -> str:
    """Whether a micrograph is inside the domain, why not, and what could not be checked."""
    verdict = "inside" if row.in_domain else "outside"
    if row.error:
        verdict = "no prediction"
    return ": ".join(filter(None, [verdict, row.error or row.remarks]))
