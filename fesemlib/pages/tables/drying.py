"""Tables of what a drying run tells of k_m, and the record that is read where there is none."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.drying.calibration import Calibration, vial_of
from fesemlib.drying.coefficients import DryingLabels
from fesemlib.drying.vial import PAPER_CYCLE, recorded_drying
from fesemlib.formulations import table1
from fesemlib.pages.report import results_folder, save_table
from fesemlib.pages.tables.words import shown
from fesemlib.params import Parameters

_NOISE = 0.1  # K, of a thermocouple in the computed run
_ENDS = {"temperatures": "its own reading", "pirani": "Pirani gauge"}


def computed_formulation(parameters: Parameters) -> str:
    """The formulation of Table 1 whose k_m the computed run has."""
    name = parameters.example_formulation
    return name if name in table1().index else "C"


def drying_record(parameters: Parameters) -> Path:
    """The file with the drying run: the one that the parameters name, or a computed one.

    Where `drying_run` is empty, three vials are computed and saved as `drying_run.csv` among the
    results: with the k_m of a formulation of Table 1, and one standard deviation less and more.
    """
    if parameters.drying_run:
        return Path(parameters.drying_run)
    table, name = table1(), computed_formulation(parameters)
    k_m, spread = float(table["k_m"][name]), float(table["std_percent"][name]) / 100
    coefficients = [k_m * (1 + step * spread) for step in (-1, 0, 1)]
    record = recorded_drying(coefficients, vial_of(parameters), PAPER_CYCLE, noise=_NOISE)
    save_table(record.round(4), "drying_run", parameters)
    return results_folder(parameters) / "drying_run.csv"


def show_thermocouples(labels: DryingLabels) -> Styler:
    """The k_m of each thermocouple, and the row of Table 1 that they make."""
    mean = {"k_m": labels.k_m, "spread_percent": labels.std_percent, "remark": ""}
    each = pd.concat([labels.thermocouples, pd.DataFrame(mean, index=["mean"])])
    return shown("thermocouples", each if each["remark"].any() else each.drop(columns="remark"))


def show_corrections(table: pd.DataFrame) -> Styler:
    """Present `fesemlib.drying.coefficients.worth_of_corrections`."""
    return shown("corrections", table)


def show_ends(calibration: Calibration) -> Styler:
    """The ends of drying that a record shows, and the k_v that each gives."""
    ends = calibration.ends
    names = ends["thermocouple"] + ", " + ends["source"].replace(_ENDS)
    return shown("ends", ends.set_axis(names.rename(None)))


def show_cost(cost: pd.DataFrame) -> Styler:
    """Present `fesemlib.drying.resistance.cost_of_one_number`."""
    return shown("cost", cost)


def show_uncertainty(budget: pd.DataFrame, labels: DryingLabels) -> Styler:
    """The `uncertainty_budget` of k_m by source, beside the spread over the thermocouples."""
    spread = pd.DataFrame({"percent": labels.std_percent}, index=["spread over the thermocouples"])
    table = pd.concat([budget, spread])
    assumed = (100 * table["assumed"]).map("{:.2g} %".format, na_action="ignore")
    assumed["temperatures"] = f"{budget['assumed']['temperatures']:g} K each"
    assumed["water that does not freeze"] = f"0 to {assumed['water that does not freeze']}"
    return shown("uncertainty", table.assign(assumed=assumed))
