"""Sentences and tables of what a drying run tells of k_m."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.dataset import Dataset
from fesemlib.drying_labels import DryingLabels, Uncertainty, recorded_drying, vial_of
from fesemlib.formulations import table1
from fesemlib.params import Parameters
from fesemlib.primary_drying import PAPER_CYCLE
from fesemlib.report import Banner, results_folder, save_table, show_table
from fesemlib.thermocouples import DryingRun

__all__ = [
    "COMPUTED_NOISE",
    "computed_formulation",
    "corrections_answer",
    "drying_record",
    "label_sentence",
    "offsets_sentence",
    "remarks_sentence",
    "run_banner",
    "show_corrections",
    "show_thermocouples",
    "show_uncertainty",
    "spread_sentence",
    "uncertainty_of",
]

COMPUTED_NOISE = 0.1  # K, of a thermocouple in the computed run
_COMPUTED_FALLBACK = "C"  # where the example is no formulation of Table 1


def computed_formulation(parameters: Parameters) -> str:
    """The formulation of Table 1 whose k_m the computed run has."""
    name = parameters.example_formulation
    return name if name in table1().index else _COMPUTED_FALLBACK


def drying_record(parameters: Parameters) -> Path:
    """The file with the drying run: the one that the parameters name, or a computed one.

    Parameters
    ----------
    parameters
        Where `drying_run` is empty, three vials are computed and saved as `drying_run.csv` among
        the results: with the k_m of the example formulation in Table 1, and one standard deviation
        less and more.
    """
    if parameters.drying_run:
        return Path(parameters.drying_run)
    table, name = table1(), computed_formulation(parameters)
    k_m, spread = float(table["k_m"][name]), float(table["std_percent"][name]) / 100
    record = recorded_drying(
        [k_m * (1 + step * spread) for step in (-1, 0, 1)],
        vial_of(parameters),
        PAPER_CYCLE,
        noise=COMPUTED_NOISE,
    )
    save_table(record.round(4), "drying_run", parameters)
    return results_folder(parameters) / "drying_run.csv"


def run_banner(run: DryingRun, parameters: Parameters) -> Banner:
    """Say where the drying run comes from."""
    if parameters.drying_run:
        return Banner(
            "Your drying run",
            f"The k_m in this section are worked out from {run.name}: "
            f"{int(run.product_temperatures.notna().any().sum())} thermocouple(s), "
            f"{run.time.size} instants.",
            "note",
        )
    return Banner(
        "Computed drying run",
        "The record in this section is computed, not measured: the paper's are not public. A model "
        f"of primary drying was given the k_m of formulation {computed_formulation(parameters)} in "
        "Table 1, and noise was added to its temperatures. That k_m comes out again says that the "
        "method is consistent, and nothing about a real product.",
        "warning",
    )


def remarks_sentence(run: DryingRun) -> str:
    """What was set right in the record, or that nothing had to be."""
    return " ".join(run.remarks) or "Nothing in the record had to be set right."


def label_sentence(labels: DryingLabels) -> str:
    """The run as a row of Table 1, in a sentence, and what speaks against it."""
    number = len(labels.used)
    value = f"{1e3 * labels.k_m:#.3g}·10⁻³ m² s⁻¹"
    row = (
        f"As a row of Table 1: k_m = {value}, with a standard deviation of "
        f"{labels.std_percent:.2g} % over {number} thermocouples."
    )
    if number == 1:
        row = f"One thermocouple gives k_m = {value}; of a single one there is no spread."
    return " ".join([row, *labels.doubts])


def show_thermocouples(labels: DryingLabels) -> Styler:
    """The k_m of each thermocouple, and the row of Table 1 that they make.

    Parameters
    ----------
    labels
        Of `fesemlib.drying_labels.label_run`.
    """
    rows = {}
    for name, row in labels.thermocouples.iterrows():
        used = np.isfinite(row["k_m"])
        rows[name] = {
            "k_m (10⁻³ m² s⁻¹)": f"{1e3 * row['k_m']:#.3g}" if used else "—",
            "spread (%)": f"{row['spread_percent']:.2g}" if used else "—",
            "steady part (h)": f"{row['start'] / 3600:.1f} – {row['end'] / 3600:.1f}"
            if used
            else "—",
            "remark": row["remark"],
        }
    rows["mean"] = {
        "k_m (10⁻³ m² s⁻¹)": f"{1e3 * labels.k_m:#.3g}",
        "spread (%)": f"{labels.std_percent:.2g}" if np.isfinite(labels.std_percent) else "—",
        "steady part (h)": "",
        "remark": "",
    }
    shown = pd.DataFrame.from_dict(rows, orient="index")
    if not shown["remark"].any():
        shown = shown.drop(columns="remark")
    return show_table(
        shown,
        "Mass transfer coefficient from each thermocouple; spread: standard deviation over the "
        "instants of the steady part, in the last row over the thermocouples",
    )


def show_corrections(table: pd.DataFrame) -> Styler:
    """Present `fesemlib.drying_labels.worth_of_corrections`."""
    names = {
        "nothing": "nothing",
        "front temperature": "front temperature (the bottom's in both equations)",
        "area ratio": "area ratio (A_v/A_p = 1)",
        "both": "both",
    }
    shown = pd.DataFrame(
        {
            "k_m (10⁻³ m² s⁻¹)": [f"{1e3 * k_m:#.3g}" for k_m in table["k_m"]],
            "difference (%)": [_signed(100 * value) for value in table["difference"]],
        },
        index=[names[str(name)] for name in table.index],
    )
    shown.iloc[0, 1] = ""
    return show_table(shown.rename_axis("left out"), "What each of the two details is worth")


def corrections_answer(table: pd.DataFrame) -> str:
    """What leaving each of the two details out does to k_m, in a sentence."""
    change = {str(name): abs(100 * value) for name, value in table["difference"].items()}
    way = "lowers" if table["difference"]["both"] < 0 else "raises"
    return (
        f"Leaving the area ratio out changes k_m by {change['area ratio']:.1f} %, leaving the "
        f"front temperature out by {change['front temperature']:.1f} %; leaving both out {way} it "
        f"by {change['both']:.1f} %."
    )


def uncertainty_of(parameters: Parameters) -> Uncertainty:
    """The uncertainties that the parameters state.

    Parameters
    ----------
    parameters
        `temperature_uncertainty_k`, `heat_transfer_uncertainty_percent` and
        `pressure_uncertainty_percent` are used.
    """
    return Uncertainty(
        temperature=parameters.temperature_uncertainty_k,
        heat_transfer=parameters.heat_transfer_uncertainty_percent / 100,
        pressure=parameters.pressure_uncertainty_percent / 100,
    )


def show_uncertainty(
    budget: pd.Series[float], parameters: Parameters, labels: DryingLabels
) -> Styler:
    """The uncertainty of k_m by source, beside the spread over the thermocouples.

    Parameters
    ----------
    budget
        Of `fesemlib.drying_labels.uncertainty_budget`.
    parameters
        What was assumed.
    labels
        Of the run.
    """
    assumed = {
        "temperatures": f"{parameters.temperature_uncertainty_k:g} K each",
        "heat transfer coefficient": f"{parameters.heat_transfer_uncertainty_percent:g} %",
        "chamber pressure": f"{parameters.pressure_uncertainty_percent:g} %",
        "all together": "",
    }
    rows = {
        name: {"assumed": assumed[str(name)], "of k_m (%)": f"{value:.2g}"}
        for name, value in budget.items()
    }
    if np.isfinite(labels.std_percent):
        rows["spread over the thermocouples"] = {
            "assumed": "",
            "of k_m (%)": f"{labels.std_percent:.2g}",
        }
    return show_table(
        pd.DataFrame.from_dict(rows, orient="index"),
        "Standard uncertainty of the k_m of one thermocouple from that of what it is worked out "
        "from (Monte Carlo)",
    )


def spread_sentence(data: Dataset, budget: pd.Series[float]) -> str:
    """The standard deviations of Table 1 beside the uncertainty of k_m, in a sentence."""
    total = f"the uncertainty found here for one thermocouple, {budget['all together']:.2g} %"
    stated = data.formulations["std_percent"].dropna()
    if stated.empty:
        return f"The data set states no standard deviations to compare with {total}."
    if stated.min() == stated.max():
        span = f"are {stated.min():g} %"
    else:
        span = f"run from {stated.min():g} to {stated.max():g} %"
    return f"The standard deviations of the data set {span}, beside {total}."


def offsets_sentence(spread: float, labels: DryingLabels, parameters: Parameters) -> str:
    """The spread that offsets of the thermocouples alone would make, beside those found.

    Parameters
    ----------
    spread
        Of `fesemlib.drying_labels.spread_of_offsets`, %.
    labels
        Of the run.
    parameters
        What was assumed.
    """
    stated = table1()["std_percent"].dropna()
    found = "this run has a single one"
    if np.isfinite(labels.std_percent):
        found = f"this run has {labels.std_percent:.2g} %"
    return (
        f"Independent offsets of {parameters.temperature_uncertainty_k:g} K alone would make a "
        f"spread of {spread:.2g} % over the thermocouples; {found}, and the paper's Table 1 has "
        f"{stated.min():g} to {stated.max():g} %."
    )


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
