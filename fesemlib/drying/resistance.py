"""How the resistance of a cake grows with the dried layer, and what one k_m for it costs.

The field's law is R_p = R_0 + A_1 L/(1 + A_2 L). Temperatures tell it but for one factor: with
c k_v, the law of R_0/c, A_1/c² and A_2/c gives nearly the same ones. Hence k_v is fitted beside it,
held by what is known of it otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from fesemlib.drying.coefficients import MEASURED, DryingLabels, course_of
from fesemlib.drying.equations import (
    GAS_CONSTANT,
    MOLAR_MASS_WATER,
    FloatArray,
    ice_vapour_pressure,
    product_resistance,
    sublimation_enthalpy,
)
from fesemlib.drying.outlook import case_of
from fesemlib.drying.vial import Cycle, ResistanceLaw, Vial

_FROM = 0.05  # dried fraction from which the law is fitted: before, the ice itself still warms
_RANGES = ((0.1, 1e3), (1e2, 1e7), (1e4, 1e10), (1e-2, 1e4))  # of k_v, R_0, A_1, A_2


@dataclass(frozen=True)
class ResistanceFit:
    """The law of a run's cakes, and the k_v that goes with it; see `fit_resistance`."""

    law: ResistanceLaw
    vial: Vial  # with the k_v of the fit
    deviation_k: float  # standard deviation of the readings from what the law gives, K

    def k_m(self, thickness: FloatArray, front_temperature: float) -> FloatArray:
        """k_m, m² s⁻¹, by Eq. (2), of a dried layer, m, over ice of a temperature, K."""
        # k_m R_p = R T L/M_w: either follows from the other alike.
        return product_resistance(self.law(thickness), thickness, front_temperature)


def fit_resistance(
    labels: DryingLabels,
    vial: Vial,
    uncertainty_percent: float,
    correct_front: bool = True,
    own: Mapping[str, float] | None = None,
) -> ResistanceFit:
    """Fit R_0, A_1, A_2 and k_v to the thermocouples of a run, by least squares of temperatures.

    Parameters
    ----------
    labels
        Of the run with these vials.
    vial, uncertainty_percent
        The vials, and the standard uncertainty of their k_v, %, that holds it where it is.
    correct_front, own
        As for `label_run`; the k_v of all vials go up and down together.

    Notes
    -----
    A deviation of ln R_p is one of the temperature by 1/(T_f − T_p) + P′/(P − P_c). All readings of
    a run weigh as much as one that is off by 1 K, since what is wrong with them stays.
    """
    table = labels.instants
    last = table["time"].where(table["steady"]).groupby(table["thermocouple"]).transform("max")
    table = table[(table["time"] <= last) & table["thermocouple"].isin(labels.used)]
    common, parts = vial.heat_transfer_coefficient, dict(list(table.groupby("thermocouple")))
    ratios = [(own or {}).get(str(name), common) / common for name in parts]
    counts = [(part["dried_fraction"] >= _FROM).to_numpy() for part in parts.values()]
    each = [{name: part[name].to_numpy() for name in MEASURED} for part in parts.values()]

    def deviations(logarithms: FloatArray) -> FloatArray:
        k_v, *values = np.exp(logarithms)
        courses = [
            course_of(part, vial, k_v * ratio, correct_front)
            for part, ratio in zip(each, ratios, strict=True)
        ]
        apart = [
            _deviations(course, ResistanceLaw(*values))[count]
            for course, count in zip(courses, counts, strict=True)
        ]
        return np.nan_to_num(np.concatenate(apart))

    def residuals(logarithms: FloatArray) -> FloatArray:
        kelvin = deviations(logarithms)
        known = np.log(vial.heat_transfer_coefficient) - logarithms[0]
        held = known / max(uncertainty_percent / 100, 1e-3)
        return np.append(kelvin / np.sqrt(kelvin.size), held)

    start = [vial.heat_transfer_coefficient, *_first_guess(table)]
    low, high = np.log(_RANGES).T
    begin = np.clip(np.log(start), low + 1e-6, high - 1e-6)
    fitted = least_squares(residuals, begin, bounds=(low, high)).x
    k_v, *values = np.exp(fitted).tolist()
    return ResistanceFit(
        law=ResistanceLaw(*values),
        vial=replace(vial, heat_transfer_coefficient=k_v),
        deviation_k=float(np.std(deviations(fitted))),
    )


def _first_guess(table: pd.DataFrame) -> tuple[float, float, float]:
    """R_0, A_1, A_2 from the slope of a layer that has dried halfway."""
    steady = table[table["steady"]]
    slope = float((steady["resistance"] / steady["dried_thickness"]).median())
    depth = float(steady["dried_thickness"].median())
    return 0.1 * slope * depth, slope, 0.1 / depth


def _deviations(course: dict[str, FloatArray], law: ResistanceLaw) -> FloatArray:
    """By how much, K, each reading is warmer than the law has it."""
    front, pressure = course["front_temperature"], course["chamber_pressure"]
    known = np.isfinite(front) & (course["resistance"] > 0)
    ice = np.where(known, front, 240.0)
    vapour = ice_vapour_pressure(ice)
    rise = vapour * sublimation_enthalpy(ice) * MOLAR_MASS_WATER / (GAS_CONSTANT * ice**2)
    gap = course["shelf_temperature"] - course["bottom_temperature"]
    with np.errstate(divide="ignore", invalid="ignore"):
        per_kelvin = 1 / gap + rise / (vapour - pressure)
        apart = np.log(course["resistance"] / law(course["dried_thickness"])) / per_kelvin
    return np.where(known, apart, np.nan)


def cost_of_one_number(labels: DryingLabels, fit: ResistanceFit) -> pd.DataFrame:
    """Drying of the run's vials with the law, and with the mean k_m for all depths.

    At the shelf and pressure of the steady part, from its start on. Columns ``time`` (s) and
    ``warmest_front`` (K), infinite where the ice would melt.
    """
    steady = labels.instants[labels.instants["steady"]]
    shelf, pressure = steady[["shelf_temperature", "chamber_pressure"]].median()
    cycle = Cycle(shelf, shelf, 0.1, pressure)
    cakes: dict[str, float | ResistanceLaw] = {
        "the law of R_p": fit.law,
        "one k_m, the mean": labels.k_m,
    }
    cases = {name: case_of(cake, fit.vial, cycle) for name, cake in cakes.items()}
    rows = {name: (case.time, case.warmest_front) for name, case in cases.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["time", "warmest_front"])
