"""Sentences and tables of what a drying run tells of k_m."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.dataset import Dataset
from fesemlib.drying.coefficients import DryingLabels, Uncertainty, recorded_drying, vial_of
from fesemlib.drying.records import DryingRun
from fesemlib.drying.vial import PAPER_CYCLE
from fesemlib.formulations import table1
from fesemlib.pages.report import results_folder, save_table, show_table
from fesemlib.pages.statements import Banner
from fesemlib.params import Parameters

COMPUTED_NOISE = 0.1  # K, of a thermocouple in the computed run
_COMPUTED_FALLBACK = "C"  # where the example is no formulation of Table 1


def computed_formulation(parameters: Parameters) -> str:
    """The formulation of Table 1 whose k_m the computed run has.

    Examples
    --------
    >>> computed_formulation(Parameters(example_formulation="A"))
    'A'
    >>> computed_formulation(Parameters(example_formulation="sucrose"))
    'C'
    """
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

    Examples
    --------
    >>> path = drying_record(Parameters())
    >>> path.read_text(encoding="utf-8").splitlines()[0]
    'time (h),T_shelf (°C),T_product_1 (°C),T_product_2 (°C),T_product_3 (°C),pressure (Pa)'
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
    """Say where the drying run comes from.

    Examples
    --------
    >>> from fesemlib.drying.records import read_drying_run
    >>> run_banner(read_drying_run(drying_record(Parameters())), Parameters()).title
    'Computed drying run'
    """
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
    """What was set right in the record, or that nothing had to be.

    Examples
    --------
    >>> from fesemlib.drying.records import read_drying_run
    >>> remarks_sentence(read_drying_run(drying_record(Parameters())))
    'Nothing in the record had to be set right.'
    """
    return " ".join(run.remarks) or "Nothing in the record had to be set right."


def label_sentence(labels: DryingLabels) -> str:
    """The run as a row of Table 1, in a sentence, and what speaks against it.

    Examples
    --------
    >>> from textwrap import fill
    >>> from fesemlib.drying.coefficients import label_run
    >>> from fesemlib.drying.records import read_drying_run
    >>> run = read_drying_run(drying_record(Parameters()))
    >>> print(fill(label_sentence(label_run(run, vial_of(Parameters()))), 80))
    As a row of Table 1: k_m = 1.40·10⁻³ m² s⁻¹, with a standard deviation of 4.4 %
    over 3 thermocouples.
    """
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
        Of `fesemlib.drying.coefficients.label_run`.

    Examples
    --------
    >>> from fesemlib.drying.coefficients import label_run
    >>> from fesemlib.drying.records import read_drying_run
    >>> run = read_drying_run(drying_record(Parameters()))
    >>> show_thermocouples(label_run(run, vial_of(Parameters()))).data.iloc[:, 0].to_dict()
    {'T_product_1': '1.34', 'T_product_2': '1.40', 'T_product_3': '1.46', 'mean': '1.40'}
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
    """Present `fesemlib.drying.coefficients.worth_of_corrections`.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"k_m": [1e-3, 1.05e-3, 0.7e-3, 0.73e-3], "difference": [0.0, 0.05, -0.3, -0.27]},
    ...     index=["nothing", "front temperature", "area ratio", "both"],
    ... )
    >>> show_corrections(table).data["difference (%)"].tolist()
    ['', '+5.0', '−30.0', '−27.0']
    """
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
    return show_table(
        shown.rename_axis("left out"),
        "k_m of the run with each of the two corrections left out, and with both",
    )


def corrections_answer(table: pd.DataFrame) -> str:
    """What leaving each of the two details out does to k_m, in a sentence.

    Examples
    --------
    >>> from textwrap import fill
    >>> table = pd.DataFrame(
    ...     {"difference": [0.05, -0.3, -0.27]}, index=["front temperature", "area ratio", "both"]
    ... )
    >>> print(fill(corrections_answer(table), 80))
    Leaving the area ratio out changes k_m by 30.0 %, leaving the front temperature
    out by 5.0 %; leaving both out lowers it by 27.0 %.
    """
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

    Examples
    --------
    >>> uncertainty_of(Parameters(temperature_uncertainty_k=0.3))
    Uncertainty(temperature=0.3, heat_transfer=0.05, pressure=0.02)
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
        Of `fesemlib.drying.coefficients.uncertainty_budget`.
    parameters
        What was assumed.
    labels
        Of the run.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> budget = pd.Series({"temperatures": 12.0, "all together": 14.0})
    >>> labels = SimpleNamespace(std_percent=4.5)
    >>> show_uncertainty(budget, Parameters(), labels).data.iloc[:, 1].to_dict()
    {'temperatures': '12', 'all together': '14', 'spread over the thermocouples': '4.5'}
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
    """The standard deviations of Table 1 beside the uncertainty of k_m, in a sentence.

    Examples
    --------
    >>> from textwrap import fill
    >>> from types import SimpleNamespace
    >>> data = SimpleNamespace(formulations=table1())
    >>> print(fill(spread_sentence(data, pd.Series({"all together": 14.0})), 80))
    The standard deviations of the data set run from 2.3 to 9.3 %, beside the
    uncertainty found here for one thermocouple, 14 %.
    """
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
        Of `fesemlib.drying.coefficients.spread_of_offsets`, %.
    labels
        Of the run.
    parameters
        What was assumed.

    Examples
    --------
    >>> from textwrap import fill
    >>> from types import SimpleNamespace
    >>> print(fill(offsets_sentence(10.0, SimpleNamespace(std_percent=4.5), Parameters()), 80))
    Independent offsets of 0.5 K alone would make a spread of 10 % over the
    thermocouples; this run has 4.5 %, and the paper's Table 1 has 2.3 to 9.3 %. The
    paper's thermocouples differed less than that throughout: their offsets were
    smaller, or the same for all, as after calibration in one bath.
    """
    stated = table1()["std_percent"].dropna()
    found = "this run has a single one"
    if np.isfinite(labels.std_percent):
        found = f"this run has {labels.std_percent:.2g} %"
    text = (
        f"Independent offsets of {parameters.temperature_uncertainty_k:g} K alone would make a "
        f"spread of {spread:.2g} % over the thermocouples; {found}, and the paper's Table 1 has "
        f"{stated.min():g} to {stated.max():g} %."
    )
    if spread > stated.max():
        text += (
            " The paper's thermocouples differed less than that throughout: their offsets were "
            "smaller, or the same for all, as after calibration in one bath."
        )
    return text


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
