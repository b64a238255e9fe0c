"""Tables and numbers of the chapter on new micrographs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.drying.equations import CLASSIC_RESISTANCE
from fesemlib.pages.names import told_apart
from fesemlib.pages.numbers import minus, percent, typeset
from fesemlib.pages.report import show_table
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
    return show_table(pd.DataFrame({"": parts}), "The model card, in its main lines", texts=[""])


def show_candidates(card: Card) -> Styler:
    """The leave-one-out error of each candidate, and how often it was chosen; best first."""
    residuals, folds = card.candidate_residuals, pd.Series(card.chosen_in_fold).value_counts()
    relative = residuals.map(lambda residual: abs(math.expm1(-residual)))
    errors = {"mean |ln|": residuals.abs().mean(), "mean (%)": relative.mean()}
    shown = pd.DataFrame(errors)[residuals.notna().all()]
    shown["skill"] = 1 - shown["mean |ln|"] / shown["mean |ln|"][MEDIAN.name]
    shown["chosen in folds"] = folds.reindex(shown.index, fill_value=0)
    return show_table(
        shown.sort_values("mean |ln|"),
        "What each candidate makes of the formulations left out, by itself, and in how many folds "
        "it was chosen",
        {"mean |ln|": "{:.3f}", "mean (%)": percent, "skill": "{:.2f}"},
    )


def show_predictions(new: NewMicrographs, model: Model, parameters: Parameters) -> Styler:
    """Predictions, errors among them, and what a stand-in was made with."""
    rows = pd.DataFrame(list(new.rows))
    shown = pd.DataFrame(
        {
            "micrograph": told_apart([Path(image).name for image in rows["image"]]),
            "k_m (10⁻³ m² s⁻¹)": 1e3 * rows["k_m"],
            "from": 1e3 * rows["k_m_low"],
            "to": 1e3 * rows["k_m_high"],
            "made with": 1e3 * new.true_km,
            "R_p (10⁵ m s⁻¹)": rows["resistance"] / 1e5,
            "R_p (cm² Torr h g⁻¹)": rows["resistance"] / CLASSIC_RESISTANCE,
            "domain": [typeset(_domain(row)) for row in new.rows],
        }
    ).dropna(axis="columns", how="all")
    return show_table(
        shown,
        f"Predictions with intervals of nominally {100 * model.level:.0f} %, and the product "
        f"resistance of {parameters.layer_thickness_mm:g} mm of dried cake with the front at "
        f"{_celsius(parameters.front_temperature_k)} °C",
        dict.fromkeys(shown.columns.drop(["micrograph", "domain"]), _three_digits),
        texts=["domain"],
    ).hide(axis="index")


def show_residuals(model: Model) -> Styler:
    """The errors of leave-one-out from which the interval is made, from the smallest."""
    residuals = pd.Series(model.card.log_residuals)
    shown = pd.DataFrame({"k_m (10⁻³ m² s⁻¹)": 1e3 * pd.Series(model.card.k_m)})
    shown["true / predicted"], shown["|ln|"] = np.exp(residuals), residuals.abs()
    inside = shown["|ln|"] <= model.half_width
    return show_table(
        shown.assign(**{"within the interval": np.where(inside, "yes", "no")})
        .dropna()
        .sort_values("|ln|", kind="stable"),
        "How far the predictor is wrong about a formulation that it has not seen; the greatest "
        "one within the interval is its half-width",
        {"k_m (10⁻³ m² s⁻¹)": "{:.3g}", "true / predicted": "{:.2f}", "|ln|": "{:.2f}"},
    )


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
    names = ["change where the true k_m doubles", "off by, on average"]
    caption = "Predictions of the fresh stand-ins beside one that sees no image, as factors"
    shown = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    return show_table(shown, caption, dict.fromkeys(names, "{:.2g}"))


def show_domain(trial: pd.DataFrame) -> Styler:
    """How many images of each kind are flagged, and why."""
    names = {"by_texture": "by texture (%)", "by_k_m": "by k_m (%)", "flagged": "flagged (%)"}
    grouped = trial.groupby("kind", sort=False)[list(names)]
    shown = grouped.mean().rename(columns=names).rename_axis(None)
    shown.insert(0, "images", grouped.size())
    shown["should be"] = np.where(shown.index == FRESH, "no", "yes")
    return show_table(
        shown,
        "Images that are flagged as outside the domain, and why",
        dict.fromkeys(names.values(), percent),
    )


def show_drying(table: pd.DataFrame) -> Styler:
    """`fesemlib.drying.outlook.outlook_table` in hours and °C."""
    hours = ["drying (h)", "upper end (h)", "lower end (h)"]
    fronts = ["warmest front (°C)", "lower end (°C)"]
    shown = pd.DataFrame({"micrograph": told_apart([Path(image).name for image in table.index])})
    shown[hours] = table[["time", "time_fast", "time_slow"]].to_numpy() / 3600
    shown[fronts] = table[["front", "front_slow"]].to_numpy()
    shown["stays below"] = np.select(
        [table["stays_below_slow"], table["stays_below"]],
        ["yes, for the whole interval", "only as predicted"],
        "no",
    )
    return show_table(
        shown,
        "Primary drying with the predicted k_m and with the ends of its interval, and whether the "
        "front stays below the collapse temperature",
        dict.fromkeys(hours, _three_digits) | dict.fromkeys(fronts, _celsius),
    ).hide(axis="index")


def _domain(row: Prediction) -> str:
    """Whether a micrograph is inside the domain, why not, and what could not be checked."""
    verdict = "inside" if row.in_domain else "outside"
    if row.error:
        verdict = "no prediction"
    return ": ".join(filter(None, [verdict, row.error or row.remarks]))


def _three_digits(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.3g}"


def _celsius(kelvin: float) -> str:
    return "melts" if math.isinf(kelvin) else minus(f"{kelvin - 273.15:.1f}")
