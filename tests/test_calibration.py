"""k_v from the end of drying, and the law of R_p: hidden values that have to come out again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fesemlib.drying.calibration import calibrate, vial_of
from fesemlib.drying.coefficients import label_run
from fesemlib.drying.equations import CLASSIC_RESISTANCE, GAS_CONSTANT, MOLAR_MASS_WATER
from fesemlib.drying.records import DryingRun, DryingRunError
from fesemlib.drying.resistance import cost_of_one_number, fit_resistance
from fesemlib.drying.uncertainty import uncertainty_budget, uncertainty_of_k_v
from fesemlib.drying.vial import (
    PAPER_CYCLE,
    ResistanceLaw,
    Vial,
    drying_time,
    recorded_drying,
    simulate_primary_drying,
)
from fesemlib.params import Parameters

VIAL = Vial(16.0, 8e-3, area_ratio=1.19)
HIDDEN = replace(VIAL, heat_transfer_coefficient=1.0)  # what is told where k_v has to be found
LYOPRONTO = Path(__file__).parent / "data" / "lyopronto"
META = json.loads((LYOPRONTO / "meta.json").read_text())
# 5 % mannitol, about: R_p rises by less and less.
LAW = ResistanceLaw(1.0 * CLASSIC_RESISTANCE, 16.0 * 100 * CLASSIC_RESISTANCE, 1.2 * 100)


def run_of(record: pd.DataFrame, pirani: np.ndarray | None = None, **shifts: float) -> DryingRun:
    products = record.filter(like="T_product").rename(
        columns=lambda name: name.removesuffix(" (°C)")
    )
    return DryingRun(
        "made",
        3600 * record["time (h)"].to_numpy(),
        record["T_shelf (°C)"].to_numpy() + 273.15 + shifts.get("shelf", 0.0),
        record["pressure (Pa)"].to_numpy(),
        products + 273.15 + shifts.get("bottom", 0.0),
        np.arange(len(record)),
        pirani_pressure=pirani,
    )


def recorded(*cakes: float | ResistanceLaw, noise: float = 0.05) -> pd.DataFrame:
    return recorded_drying(cakes, VIAL, PAPER_CYCLE, noise=noise)


@pytest.mark.parametrize("case", META["cases"])
def test_another_simulators_k_v_comes_out_of_its_end(case):
    about = META["cases"][case]
    table = pd.read_csv(LYOPRONTO / f"{case}.csv", comment="#")
    record = pd.DataFrame(
        {
            "time (h)": table["t_hr"],
            "T_shelf (°C)": table["Tshelf_C"],
            "T_product_1 (°C)": table["Tbot_C"],
            "pressure (Pa)": table["Pch_mTorr"] * 101_325 / 760_000,
        }
    )
    solids = about["product"]["cSolid"]
    dried = float(table["percent_dried"].iloc[-1]) / 100  # the last row is near the end
    vial = Vial(1.0, dried * about["L0_m"], solids, META["Av_cm2"] / META["Ap_cm2"])
    found = calibrate(run_of(record), vial, float(table["t_hr"].iloc[-1]))
    assert found.heat_transfer_coefficient == pytest.approx(META["Kv_W_m2K"], rel=0.01)


def test_temperatures_that_meet_the_shelf_tell_k_v_within_its_uncertainty():
    found = calibrate(run_of(recorded(8e-4, 1e-3, 1.3e-3)), HIDDEN)
    assert found.source == "temperatures"
    assert list(found.counted["thermocouple"]) == [f"T_product_{n}" for n in (1, 2, 3)]
    away = found.counted["k_v"] / VIAL.heat_transfer_coefficient - 1
    assert (100 * away.abs() < 2 * found.counted["uncertainty_percent"]).all()
    assert found.heat_transfer_coefficient == pytest.approx(16.0, rel=0.02)


def test_pirani_gauge_that_falls_to_the_other_tells_k_v():
    record = recorded(1e-3)
    hours = record["time (h)"].to_numpy()
    end = drying_time(simulate_primary_drying(1e-3, VIAL, PAPER_CYCLE)) / 3600
    vapour = 1 / (1 + np.exp((hours - end) / 0.3))
    pirani = record["pressure (Pa)"].to_numpy() * (1 + 0.6 * vapour)
    pirani[hours < 0.2] = np.nan  # not on yet
    found = calibrate(run_of(record, pirani), HIDDEN, "pirani")
    assert found.heat_transfer_coefficient == pytest.approx(16.0, rel=0.01)
    # Logistic: from 0.9 to 0.1 it takes 2 ln 9 scales; uniform over that.
    width = found.counted["end_uncertainty"].iloc[0] / 3600
    assert width == pytest.approx(2 * np.log(9) * 0.3 / np.sqrt(12), rel=0.05)
    assert calibrate(run_of(record, np.full(hours.size, 16.0)), HIDDEN, "pirani").source == ""


def test_thermocouple_that_falls_off_early_does_not_decide():
    record = recorded(1e-3, 1e-3, 1e-3)
    gone = record["time (h)"] > 6
    record["T_product_2 (°C)"] = record["T_product_2 (°C)"].mask(gone, record["T_shelf (°C)"])
    found = calibrate(run_of(record), HIDDEN)
    assert found.counted["k_v"].max() > 1.5 * 16.0
    assert found.heat_transfer_coefficient == pytest.approx(16.0, rel=0.02)
    assert sorted(found.of_vials) == ["T_product_1", "T_product_3"]  # for the other, the median


def test_record_without_its_end_says_what_to_give():
    record = recorded(1e-3)
    run = run_of(record[record["time (h)"] < 10])
    told = Parameters(
        heat_transfer_coefficient="from_end_of_drying", drying_run="run.csv", ice_thickness_mm=8.0
    )
    with pytest.raises(
        DryingRunError, match=r"made: the end of drying .*0.00 to 9.97 h.* in hours"
    ):
        vial_of(told, run)
    # After the record, before anything sublimes, and so early that no vial dries so fast.
    for hours, why in ((20.0, "until then"), (0.01, "until then"), (0.5, "which no vial has")):
        other = told.model_copy(update={"end_of_drying": hours})
        with pytest.raises(DryingRunError, match=f"{why}.*|end_of_drying = {hours:g}.*{why}"):
            vial_of(other, run)
    with pytest.raises(DryingRunError, match="set drying_run"):
        vial_of(told.model_copy(update={"drying_run": ""}))


def test_channel_without_a_reading_is_passed_over():
    # One is empty, another in a warm room.
    record = recorded(1e-3, noise=0.0).assign(
        **{"T_product_2 (°C)": np.nan, "T_product_3 (°C)": 20.0}
    )
    found = calibrate(run_of(record), HIDDEN)
    assert list(found.counted["thermocouple"]) == ["T_product_1"]


def test_vial_of_the_parameters_takes_k_v_from_the_record():
    told = Parameters(
        heat_transfer_coefficient="from_end_of_drying",
        drying_run="run.csv",
        ice_thickness_mm=8.0,
        area_ratio=1.19,
    )
    vial = vial_of(told, run_of(recorded(1e-3, noise=0.0)))
    assert vial.heat_transfer_coefficient == pytest.approx(16.0, rel=0.02)


def test_a_k_m_that_doubles_while_the_cake_dries_is_not_taken_for_lost_contact():
    labels = label_run(run_of(recorded(LAW)), VIAL)
    k_m = labels.instants["k_m"][labels.instants["steady"]]
    assert k_m.max() > 1.7 * k_m.iloc[:20].median()
    assert labels.thermocouples["remark"].to_list() == [""]
    assert labels.instants["dried_fraction"][labels.instants["steady"]].max() > 0.94


def test_law_of_the_resistance_comes_out_again():
    labels = label_run(run_of(recorded(LAW, LAW)), VIAL)
    fit = fit_resistance(labels, VIAL, 2.0)
    depth = np.linspace(0.1, 1, 10) * VIAL.ice_thickness
    np.testing.assert_allclose(fit.law(depth), LAW(depth), rtol=0.03)
    assert fit.deviation_k == pytest.approx(0.05, rel=0.3)
    assert fit.vial.heat_transfer_coefficient == pytest.approx(16.0, rel=0.01)


def test_law_of_one_k_m_is_a_straight_line_through_the_origin():
    labels = label_run(run_of(recorded(1e-3)), VIAL)
    fit = fit_resistance(labels, VIAL, 2.0)
    depth = np.linspace(0.2, 0.95, 5) * VIAL.ice_thickness
    line = GAS_CONSTANT * 247.0 * depth / (MOLAR_MASS_WATER * 1e-3)
    np.testing.assert_allclose(fit.law(depth), line, rtol=0.03)
    cost = cost_of_one_number(labels, fit)
    assert np.ptp(cost["time"]) / cost["time"].mean() < 0.01
    assert np.ptp(cost["warmest_front"]) < 0.2


def test_drying_with_a_law_takes_the_time_of_its_integral():
    # In a thin layer the ice's own temperature drop is small: heat and mass balance at each depth.
    thin = Vial(16.0, 1e-4)
    law = ResistanceLaw(1e6, 0.0, 1.0)  # one resistance: the flux is the same at all depths
    run = simulate_primary_drying(law, thin, PAPER_CYCLE)
    hold = run[run["time"] > PAPER_CYCLE.ramp_time]
    assert np.ptp(hold["flux"]) / hold["flux"].mean() < 0.01
    driving = hold["flux"] * 1e6
    vapour = np.exp(
        9.550426
        - 5723.265 / hold["front_temperature"]
        + 3.53068 * np.log(hold["front_temperature"])
        - 0.00728332 * hold["front_temperature"]
    )
    np.testing.assert_allclose(vapour - 10.0, driving, rtol=1e-6)


def test_offsets_count_less_when_the_end_sets_k_v_again():
    # The whole way, calibration included, with a sensor that is off.
    record = recorded(1e-3, noise=0.0)

    def percent_per_kelvin(sensor: str) -> float:
        k_m = []
        for shift in (-0.1, 0.1):
            run = run_of(record, **{sensor: shift})
            k_v = calibrate(run, VIAL).heat_transfer_coefficient
            k_m.append(label_run(run, replace(VIAL, heat_transfer_coefficient=k_v)).k_m)
        return 100 * (k_m[1] - k_m[0]) / 0.2 / np.mean(k_m)

    linear = 0.2 * np.hypot(percent_per_kelvin("shelf"), percent_per_kelvin("bottom"))
    run = run_of(record)
    found = calibrate(run, VIAL)
    vial = replace(VIAL, heat_transfer_coefficient=found.heat_transfer_coefficient)
    labels, known = label_run(run, vial), Parameters(temperature_uncertainty_k=0.2)
    told = uncertainty_budget(labels, known, vial, found)["percent"]["temperatures"]
    assert told == pytest.approx(linear, rel=0.1)
    assert told < 0.7 * uncertainty_budget(labels, known, vial, None)["percent"]["temperatures"]


def test_area_ratio_does_not_count_when_the_end_tells_k_v_and_the_ice_counts_twice():
    run = run_of(recorded(1e-3, noise=0.0))
    found = calibrate(run, VIAL)
    labels = label_run(run, VIAL, False)
    known = Parameters(
        area_ratio_uncertainty_percent=2.0,
        ice_thickness_uncertainty_percent=1.0,
        front_correction=False,
    )
    budget = uncertainty_budget(labels, known, VIAL, found)["percent"]
    assert budget["ratio of areas"] == pytest.approx(0.0, abs=1e-9)
    assert budget["thickness of the ice"] == pytest.approx(2.0, rel=0.05)


def test_ramp_to_secondary_drying_is_no_second_end():
    record = recorded(1e-3, noise=0.0)
    hours = record["time (h)"].to_numpy()
    later = pd.DataFrame({"time (h)": hours[-1] + np.arange(1, 61) / 30})
    later["T_shelf (°C)"] = -10 + 35 * np.minimum(later["time (h)"] - hours[-1], 1.0)
    later["T_product_1 (°C)"] = later["T_shelf (°C)"].shift(15, fill_value=-10.0)  # lags by 17 K
    later["pressure (Pa)"] = 10.0
    run = run_of(pd.concat([record, later], ignore_index=True))
    assert calibrate(run, HIDDEN).heat_transfer_coefficient == pytest.approx(16.0, rel=0.02)


def vials_of_their_own(*k_v: float) -> pd.DataFrame:
    """One k_m in vials of several k_v."""
    each = [replace(VIAL, heat_transfer_coefficient=value) for value in k_v]
    records = [recorded_drying([1e-3], vial, PAPER_CYCLE, noise=0.02) for vial in each]
    longest = max(records, key=len)
    columns = {
        f"T_product_{n} (°C)": record["T_product_1 (°C)"].reindex(longest.index)
        for n, record in enumerate(records, start=1)
    }
    filled = {name: values.fillna(longest["T_shelf (°C)"]) for name, values in columns.items()}
    return longest.assign(**filled)


def test_vials_that_differ_get_their_own_k_v():
    run = run_of(vials_of_their_own(15.0, 16.0, 17.0))
    found = calibrate(run, HIDDEN)
    vial = replace(VIAL, heat_transfer_coefficient=found.heat_transfer_coefficient)
    one, own = label_run(run, vial), label_run(run, vial, own=found.of_vials)
    np.testing.assert_allclose(own.thermocouples["k_m"], 1e-3, rtol=0.03)
    assert own.std_percent < one.std_percent / 4
    fits = [fit_resistance(one, vial, 2.0), fit_resistance(own, vial, 2.0, own=found.of_vials)]
    assert fits[1].deviation_k < fits[0].deviation_k / 2


def test_shelf_that_leaves_its_set_point_hides_the_end():
    record = recorded(1e-3, noise=0.0)
    end = drying_time(simulate_primary_drying(1e-3, VIAL, PAPER_CYCLE)) / 3600
    ramp = 60 * np.clip(record["time (h)"] - end, 0, 0.5)  # 1 K/min, as the last ice goes
    lag = 60 * np.clip(record["time (h)"] - end - 0.25, 0, 0.5)
    record["T_shelf (°C)"] += ramp
    record["T_product_1 (°C)"] += lag
    found = calibrate(run_of(record), HIDDEN, "temperatures")
    told = found.heat_transfer_coefficient
    assert np.isnan(told) or told == pytest.approx(16.0, rel=0.03)


def test_whole_uncertainty_of_k_v_has_the_ice_and_the_sensors():
    found = calibrate(run_of(recorded(1e-3, noise=0.0)), VIAL)
    ice = Parameters(temperature_uncertainty_k=0.0, unfrozen_water=0.0)
    assert uncertainty_of_k_v(ice, found) == pytest.approx(3.0, rel=0.05)  # 3 % of the thickness
    sensors = Parameters(ice_thickness_uncertainty_percent=0.0, unfrozen_water=0.0)
    both = 100 * 0.5 * np.sqrt(2) / found.mean_gap
    assert uncertainty_of_k_v(sensors, found) == pytest.approx(both, rel=0.05)


def test_a_larger_k_v_goes_with_a_smaller_resistance():
    # c k_v with R_0/c, A_1/c² and A_2/c gives the same temperatures, but for the frozen layer.
    run = run_of(recorded(LAW, LAW))
    laws = []
    for c in (1.0, 1.05):
        vial = replace(VIAL, heat_transfer_coefficient=c * 16.0)
        labels = label_run(run, vial, correct_front=False)
        laws.append(fit_resistance(labels, vial, 0.1, correct_front=False).law)
    one, other = laws
    assert other.at_start == pytest.approx(one.at_start / 1.05, rel=0.02)
    assert other.slope == pytest.approx(one.slope / 1.05**2, rel=0.02)
    assert other.bend == pytest.approx(one.bend / 1.05, rel=0.02)
