"""How well the k_m of a drying run is known: a budget of what it is worked out from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fesemlib.drying.calibration import Calibration
from fesemlib.drying.coefficients import MEASURED, DryingLabels, course_of
from fesemlib.drying.equations import BoolArray
from fesemlib.drying.vial import Vial
from fesemlib.params import Parameters

DRAWS = 1000  # of the Monte Carlo method
_MOST_INSTANTS = 2000  # of a run; more of them are thinned out


def uncertainty_budget(
    labels: DryingLabels, parameters: Parameters, vial: Vial, calibration: Calibration | None
) -> pd.DataFrame:
    """Standard uncertainty of the k_m of one thermocouple, by source and from all together.

    Columns: ``assumed`` (K, or a fraction; of the unfrozen water, the greatest) and ``percent`` (of
    k_m). Monte Carlo (JCGM 101:2008); offsets stay through a run. With a calibration, each draw
    takes k_v from the end of drying again: the ice that was there tells the flux, not A_v/A_p.
    """
    scales = _scales(parameters, calibration)
    assumed = scales.groupby(level=0, sort=False).first()
    sources = {source: [source] for source in assumed.index} | {"all together": [*assumed.index]}
    percent = [
        _drawn_spread(labels, parameters, vial, calibration, scales.index.isin(each, level=0))
        for each in sources.values()
    ]
    return pd.DataFrame({"assumed": assumed.reindex(list(sources)), "percent": percent})


def uncertainty_of_k_v(parameters: Parameters, calibration: Calibration) -> float:
    """Standard uncertainty of a k_v from the end of drying, %: end, ice, and temperatures."""
    scales = _scales(parameters, calibration).droplevel(0)
    offsets = scales[["shelf", "bottom"]] / calibration.mean_gap
    water = scales["unfrozen"] / np.sqrt(12)
    return 100 * float(np.linalg.norm([scales["k_v"], scales["thickness"], water, *offsets]))


def spread_of_offsets(labels: DryingLabels, parameters: Parameters, vial: Vial) -> float:
    """The standard deviation over thermocouples, %, that offsets of theirs alone would make.

    The offset of the shelf's sensor, which all thermocouples share, makes no spread.
    """
    bottom = _scales(parameters, None).index.isin(["bottom"], level=1)
    return _drawn_spread(labels, parameters, vial, None, bottom)


def _scales(parameters: Parameters, calibration: Calibration | None) -> pd.Series[float]:
    """How widely each input is drawn, by source and input: K, or a fraction."""
    told = parameters.heat_transfer_uncertainty_percent
    if calibration and calibration.uncertainty_percent > 0:  # an end in hours has none of its own
        told = calibration.uncertainty_percent
    solids = parameters.solids_percent
    unfrozen = parameters.unfrozen_water * solids / (100 - solids)  # of the water
    scales = {
        ("temperatures", "shelf"): parameters.temperature_uncertainty_k,
        ("temperatures", "bottom"): parameters.temperature_uncertainty_k,
        ("heat transfer coefficient", "k_v"): told / 100,
        ("ratio of areas", "area"): parameters.area_ratio_uncertainty_percent / 100,
        ("thickness of the ice", "thickness"): parameters.ice_thickness_uncertainty_percent / 100,
        ("water that does not freeze", "unfrozen"): unfrozen,
        ("chamber pressure", "pressure"): parameters.pressure_uncertainty_percent / 100,
    }
    return pd.Series(scales)


def _drawn_spread(
    labels: DryingLabels,
    parameters: Parameters,
    vial: Vial,
    calibration: Calibration | None,
    inputs: BoolArray,
) -> float:
    """Standard deviation of k_m, %, for these inputs drawn anew for the median thermocouple."""
    scales = _scales(parameters, calibration).where(inputs, 0.0).droplevel(0)
    known = labels.thermocouples["k_m"].dropna().sort_values()
    place = (len(known) - 1) // 2
    table = labels.instants[labels.instants["thermocouple"] == known.index[place]]
    # What has warmed up is beyond the steady part, and does not count.
    table = table[table["time"] <= table["time"][table["steady"]].max()]
    table = table.iloc[:: -(-len(table) // _MOST_INSTANTS)]
    measured = {column: table[column].to_numpy() for column in MEASURED}
    generator = np.random.default_rng(0)
    deviations = generator.standard_normal((len(scales), DRAWS, 1))
    deviations[scales.index.get_loc("unfrozen")] = generator.random((DRAWS, 1))
    drawn = dict(zip(scales.index, deviations * scales.to_numpy()[:, None, None], strict=True))
    measured["shelf_temperature"] = measured["shelf_temperature"] + drawn["shelf"]
    measured["bottom_temperature"] = measured["bottom_temperature"] + drawn["bottom"]
    measured["chamber_pressure"] = measured["chamber_pressure"] * (1 + drawn["pressure"])
    frozen_share, thickness = 1 - drawn["unfrozen"], 1 + drawn["thickness"]
    heat_transfer = vial.heat_transfer_coefficient * (1 + drawn["k_v"])
    if calibration:
        warmer = 1 + (drawn["shelf"] - drawn["bottom"]) / calibration.mean_gap
        heat_transfer = heat_transfer * thickness * frozen_share / warmer
    else:
        heat_transfer = heat_transfer * (1 + drawn["area"])
    ice = vial.ice_thickness * thickness
    course = course_of(measured, vial, heat_transfer, parameters.front_correction, ice)
    k_m = course["k_m"][:, table["steady"].to_numpy()] / frozen_share  # it leaves a thicker layer
    means = pd.DataFrame(k_m).mean(axis=1)
    return round(100 * float(np.nanstd(means, ddof=1)) / float(known.iloc[place]), 9)
