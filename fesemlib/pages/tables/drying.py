"""Tables of what a drying run tells of k_m, and the record that is read where there is none."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.drying.calibration import Calibration, vial_of
from fesemlib.drying.coefficients import DryingLabels
from fesemlib.drying.vial import PAPER_CYCLE, recorded_drying
from fesemlib.formulations import table1
from fesemlib.pages.report import results_folder, save_table, show_table
from fesemlib.params import Parameters

_NOISE = 0.1  # K, of a thermocouple in the computed run
_ENDS = {"temperatures": "its own reading", "pirani": "Pirani gauge"}
_K_M = "k_m (10⁻³ m² s⁻¹)"


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
    shown = pd.DataFrame({_K_M: 1e3 * each["k_m"], "spread (%)": each["spread_percent"]})
    hours = ["steady from (h)", "to (h)"]
    shown[hours] = each[["start", "end"]] / 3600
    return show_table(
        shown.assign(remark=each["remark"]) if each["remark"].any() else shown,
        "Mass transfer coefficient from each thermocouple; spread: standard deviation over the "
        "instants of the steady part, in the last row over the thermocouples",
        {_K_M: "{:#.3g}", "spread (%)": "{:.2g}"} | dict.fromkeys(hours, "{:.1f}"),
    )


def show_corrections(table: pd.DataFrame) -> Styler:
    """Present `fesemlib.drying.coefficients.worth_of_corrections`."""
    shown = pd.DataFrame({_K_M: 1e3 * table["k_m"], "difference (%)": 100 * table["difference"]})
    return show_table(
        shown,
        "k_m of the run with each of the two corrections left out (A_v/A_p = 1; the bottom's "
        "temperature in both equations), and with both",
        {_K_M: "{:#.3g}", "difference (%)": "{:+.1f}"},
    )


def show_ends(calibration: Calibration) -> Styler:
    """The ends of drying that a record shows, and the k_v that each gives."""
    ends = calibration.ends
    ends = ends.set_axis(ends["thermocouple"] + ", " + ends["source"].replace(_ENDS))
    shown = pd.DataFrame({"end of drying (h)": ends["end"] / 3600})
    shown["± (h)"] = ends["end_uncertainty"] / 3600
    shown["kᵥ (W m⁻² K⁻¹)"] = ends["k_v"]
    return show_table(
        shown,
        "The end of drying, and the kᵥ that makes the ice of each vial last until then",
        {"end of drying (h)": "{:.1f}", "± (h)": "{:.2f}", "kᵥ (W m⁻² K⁻¹)": "{:.1f}"},
    )


def show_cost(cost: pd.DataFrame) -> Styler:
    """Present `fesemlib.drying.resistance.cost_of_one_number`."""
    shown = pd.DataFrame(
        {
            "drying time (h)": cost["time"] / 3600,
            "warmest front (°C)": cost["warmest_front"] - 273.15,
        }
    )
    return show_table(
        shown,
        "Primary drying of these vials at the shelf temperature and pressure of the steady part",
        dict.fromkeys(shown, "{:.1f}"),
    )


def show_uncertainty(budget: pd.DataFrame, labels: DryingLabels) -> Styler:
    """The `uncertainty_budget` of k_m by source, beside the spread over the thermocouples."""
    spread = pd.DataFrame({"percent": labels.std_percent}, index=["spread over the thermocouples"])
    table = pd.concat([budget, spread])
    assumed = (100 * table["assumed"]).map("{:.2g} %".format, na_action="ignore")
    assumed["temperatures"] = f"{budget['assumed']['temperatures']:g} K each"
    assumed["water that does not freeze"] = f"0 to {assumed['water that does not freeze']}"
    return show_table(
        pd.DataFrame({"assumed": assumed, "of k_m (%)": table["percent"]}),
        "Standard uncertainty of the k_m of one thermocouple from that of what it is worked out "
        "from (Monte Carlo)",
        {"of k_m (%)": "{:.2g}"},
    )
