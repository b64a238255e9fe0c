"""From a record to k_m: round trips, another simulator, bad thermocouples, uncertainty."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from fesemlib.drying.calibration import vial_of
from fesemlib.drying.coefficients import (
    DryingLabels,
    label_run,
    worth_of_corrections,
)
from fesemlib.drying.equations import (
    ICE_DENSITY,
    front_temperature,
    ice_vapour_pressure,
    product_resistance,
    vapour_flux,
)
from fesemlib.drying.records import DryingRun, DryingRunError, read_drying_run
from fesemlib.drying.uncertainty import spread_of_offsets, uncertainty_budget
from fesemlib.drying.vial import PAPER_CYCLE, Cycle, Vial, recorded_drying
from fesemlib.params import Parameters

LYOPRONTO = Path(__file__).parent / "data" / "lyopronto"
META = json.loads((LYOPRONTO / "meta.json").read_text())
VIAL = Vial(14.2, 7e-3)
RECORD = recorded_drying([1e-3, 1.1e-3, 0.9e-3], VIAL, PAPER_CYCLE)
NAMES = ["T_product_1", "T_product_2", "T_product_3"]


@pytest.fixture
def read(tmp_path):
    def read(record: pd.DataFrame) -> DryingRun:
        path = tmp_path / "run.csv"
        record.to_csv(path, index=False, float_format="%.4f")
        return read_drying_run(path)

    return read


def with_column(name: str, values: object) -> pd.DataFrame:
    return RECORD.assign(**{f"{name} (°C)": values})


def after(hours: float, before: object, later: object) -> np.ndarray:
    return np.where(RECORD["time (h)"] < hours, before, later)


# ------------------------------------------------------------------------------------ round trips


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(
    st.floats(1.5e-4, 4e-3),
    st.floats(8.0, 25.0),
    st.floats(4e-3, 15e-3),
    st.floats(0.02, 0.15),
    st.floats(1.0, 1.4),
    st.floats(5.0, 15.0),
    st.floats(243.15, 268.15),
)
def test_round_trip_gives_k_m_back(
    tmp_path_factory, k_m, k_v, thickness, solids, ratio, pressure, shelf
):
    vial = Vial(k_v, thickness, solids, ratio)
    cycle = Cycle(223.15, shelf, 1 / 60, pressure)
    path = tmp_path_factory.mktemp("trip") / "run.csv"
    recorded_drying([k_m], vial, cycle).to_csv(path, index=False, float_format="%.5f")
    labels = label_run(read_drying_run(path), vial)
    assert labels.k_m == pytest.approx(k_m, rel=5e-3)
    assert labels.thermocouples["spread_percent"].iloc[0] < 0.5


@pytest.mark.parametrize(
    ("case", "k_m"),
    [("km1.9e-3_A", 1.905e-3), ("km1.0e-3_D", 1.017e-3), ("km2.8e-4_I", 2.92e-4)],
)
def test_run_of_another_simulator_gives_its_k_m(read, case, k_m):
    # Only what a thermocouple and a gauge see; the front and the dried layer are worked out.
    theirs = pd.read_csv(LYOPRONTO / f"{case}.csv")
    record = pd.DataFrame(
        {
            "time (h)": theirs["t_hr"],
            "T_shelf (°C)": theirs["Tshelf_C"],
            "T_bottom (°C)": theirs["Tbot_C"],
            "pressure (mTorr)": theirs["Pch_mTorr"],
        }
    )
    constants = META["cases"][case]
    vial = Vial(
        META["Kv_W_m2K"],
        constants["L0_m"],
        constants["product"]["cSolid"],
        META["Av_cm2"] / META["Ap_cm2"],
    )
    labels = label_run(read(record), vial)
    assert labels.k_m == pytest.approx(k_m, rel=0.01)
    steady = labels.instants[labels.instants["steady"]]
    assert np.isnan(labels.std_percent)
    front = np.interp(steady["time"], 3600 * theirs["t_hr"], theirs["Tsub_C"] + 273.15)
    assert steady["front_temperature"].to_numpy() == pytest.approx(front, abs=0.02)
    dried = np.interp(steady["time"], 3600 * theirs["t_hr"], theirs["percent_dried"] / 100)
    assert steady["dried_fraction"].to_numpy() == pytest.approx(dried, abs=0.01)


def test_mean_and_spread_are_those_of_the_thermocouples(read):
    labels = label_run(read(RECORD), VIAL)
    assert list(labels.thermocouples.index) == NAMES == labels.used
    assert labels.thermocouples["k_m"].to_numpy() == pytest.approx([1e-3, 1.1e-3, 0.9e-3], rel=5e-3)
    assert labels.k_m == pytest.approx(1e-3, rel=5e-3)
    assert labels.std_percent == pytest.approx(10, abs=0.1)
    assert (labels.thermocouples["remark"] == "").all()


def test_noise_is_averaged_out(read):
    labels = label_run(read(recorded_drying([1e-3], VIAL, PAPER_CYCLE, noise=0.2, seed=1)), VIAL)
    assert labels.k_m == pytest.approx(1e-3, rel=0.01)
    assert 2 < labels.thermocouples["spread_percent"].iloc[0] < 6


def test_noise_is_not_taken_for_lost_contact(read):
    noisy = recorded_drying([1e-3], VIAL, PAPER_CYCLE, noise=1.0, seed=2)
    row = label_run(read(noisy), VIAL).thermocouples.iloc[0]
    assert row["k_m"] == pytest.approx(1e-3, rel=0.05)
    assert row["remark"] == ""


def test_slow_loss_of_contact_is_told_with_its_time(read):
    hours = RECORD["time (h)"]
    drifting = np.minimum(RECORD["T_product_2 (°C)"] + 4 * np.maximum(hours - 8, 0), -10)
    row = label_run(read(with_column("T_product_2", drifting)), VIAL).thermocouples.iloc[1]
    assert row["k_m"] == pytest.approx(1.1e-3, rel=0.03)
    assert 8 * 3600 < row["end"] < 10 * 3600
    assert re.match(r"from line \d+ on \([89]\.\d\d h\) the reading is no longer", row["remark"])


def test_resistance_is_that_of_the_layer(read):
    table = label_run(read(RECORD), VIAL).instants
    table = table[table["steady"]]
    expected = product_resistance(
        table["k_m"], table["dried_thickness"], table["front_temperature"]
    )
    assert table["resistance"].to_numpy() == pytest.approx(expected)


def test_steady_part_lies_between_the_limits_and_at_the_hold(read):
    table = label_run(read(RECORD), VIAL).instants
    steady = table[table["steady"]]
    assert steady["dried_fraction"].between(0.2, 0.95).all()
    assert steady["shelf_temperature"].between(262.15, 264.15).all()
    assert steady["dried_fraction"].max() > 0.94


def test_other_phases_of_the_cycle_do_not_matter(read):
    before = RECORD.iloc[:30].copy()
    before["time (h)"] = np.arange(-30, 0) * 2 / 60 * 3
    before["pressure (Pa)"] = 101_325.0
    before.iloc[:, 1:5] = np.repeat(np.linspace(20, -50, 30)[:, np.newaxis], 4, axis=1)
    later = RECORD.iloc[-60:].copy()
    later["time (h)"] += 2.1
    later.iloc[:, 1:5] = 20.0
    labels = label_run(read(pd.concat([before, RECORD, later])), VIAL)
    assert labels.k_m == pytest.approx(1e-3, rel=5e-3)


# -------------------------------------------------------------------------------- the corrections


def test_area_ratio_enters_squared_and_the_front_lowers_what_drives(read):
    table = worth_of_corrections(read(RECORD), VIAL)
    assert table["difference"]["nothing"] == 0
    # Flux and thickness are both proportional to A_v/A_p.
    assert 1 + table["difference"]["both"] / 1 == pytest.approx(
        (1 + table["difference"]["front temperature"]) / 1.21**2, rel=0.02
    )
    assert table["difference"]["area ratio"] == pytest.approx(1 / 1.21**2 - 1, abs=0.02)
    assert -0.06 < table["difference"]["front temperature"] < -0.02


# -------------------------------------------------------------------------------- bad thermocouples


def test_end_of_the_ice_is_found_though_k_v_is_wrong(read):
    # With half of k_v, the reading leaves the ice when half of it seems to have gone.
    labels = label_run(read(RECORD), replace(VIAL, heat_transfer_coefficient=7.1))
    assert (labels.instants["dried_fraction"][labels.instants["steady"]] < 0.53).all()
    assert labels.thermocouples["spread_percent"].max() < 5
    assert labels.thermocouples["remark"].str.contains("contact lost, or the ice gone").all()


def test_more_ice_than_there_was_is_told(read):
    labels = label_run(read(RECORD), replace(VIAL, heat_transfer_coefficient=20.0))
    assert labels.thermocouples["remark"].str.contains(r"Eq\. \(1\), 14\d % .* check k_v").all()


@pytest.mark.parametrize(("k_v", "share"), [(10.0, "7[01]"), (5.0, "3[56]")])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_less_ice_than_there_was_is_told(read, k_v, share, noise):
    record = recorded_drying([1e-3], VIAL, PAPER_CYCLE, noise=noise, seed=4)
    labels = label_run(read(record), replace(VIAL, heat_transfer_coefficient=k_v))
    assert labels.k_m < 0.6e-3
    words = rf"[Bb]y Eq\. \(1\) only {share} % of the ice had gone when the readings? left it: k_v"
    assert re.match(words, labels.thermocouples["remark"].iloc[0])
    assert re.match(words, labels.doubts[0])
    assert len(labels.doubts) == 1


def test_ice_that_one_thermocouple_saw_to_its_end_is_not_doubted(read):
    early = after(9.0, RECORD["T_product_2 (°C)"], -10.0)
    assert label_run(read(with_column("T_product_2", early)), VIAL).doubts == ()


def test_ice_that_is_still_there_at_the_end_is_not_doubted(read):
    labels = label_run(read(RECORD[RECORD["time (h)"] < 9]), VIAL)
    assert labels.doubts == ()
    assert (labels.thermocouples["remark"] == "").all()


def test_thermocouple_in_another_unit_is_told_to_differ(read):
    labels = label_run(
        read(with_column("T_product_2", 32 + 1.8 * RECORD["T_product_2 (°C)"])), VIAL
    )
    assert labels.used == NAMES
    assert labels.std_percent > 50
    assert re.fullmatch(
        r"T_product_2 differs from the others by a factor 6\.9: check its unit or leave it "
        r"out\.",
        " ".join(labels.doubts),
    )
    remarks = labels.thermocouples["remark"].str.startswith("differs from the others by a factor")
    assert list(remarks) == [False, True, False]


def test_two_thermocouples_that_differ_are_told_without_taking_sides(read):
    labels = label_run(read(recorded_drying([1e-3, 2e-3], VIAL, PAPER_CYCLE)), VIAL)
    assert re.fullmatch(
        r"T_product_\d differs from T_product_\d by a factor 2: check the units of both\.",
        " ".join(labels.doubts),
    )


def test_thermocouples_that_differ_a_little_are_not_doubted(read):
    labels = label_run(read(recorded_drying([1e-3, 1.1e-3, 1.4e-3], VIAL, PAPER_CYCLE)), VIAL)
    assert labels.doubts == ()


@pytest.mark.parametrize("nothing", ["OL", None])
def test_thermocouple_without_a_reading_leaves_the_others(read, nothing):
    labels = label_run(read(with_column("T_product_2", nothing)), VIAL)
    assert labels.used == ["T_product_1", "T_product_3"]
    assert labels.thermocouples["remark"]["T_product_2"] == "it has no reading at all"


@pytest.mark.parametrize("later", [-10.0, 22.0, -45.0])
def test_reading_that_leaves_the_ice_counts_until_then(read, later):
    good = RECORD["T_product_2 (°C)"]
    labels = label_run(read(with_column("T_product_2", after(9.0, good, later))), VIAL)
    assert labels.used == NAMES
    row = labels.thermocouples.loc["T_product_2"]
    assert row["k_m"] == pytest.approx(1.1e-3, rel=5e-3)
    assert row["end"] <= 9 * 3600
    assert "(9.0" in row["remark"]
    assert row["remark"].startswith("from line 27")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (after(1.5, RECORD["T_product_2 (°C)"], -10.0), "the reading has jumped"),
        (after(1.5, RECORD["T_product_2 (°C)"], np.nan), "there are no readings"),
        (after(2.5, RECORD["T_product_2 (°C)"], -31.0), "stuck, or recorded too coarsely"),
        (RECORD["T_shelf (°C)"], "never reads ice that is colder than the shelf"),
        (RECORD["T_shelf (°C)"] + 1, "never reads ice that is colder than the shelf"),
        (np.full(len(RECORD), 22.0), "never reads ice that is colder than the shelf"),
    ],
)
def test_thermocouple_that_cannot_be_used_says_why_and_leaves_the_others(read, values, words):
    labels = label_run(read(with_column("T_product_2", values)), VIAL)
    assert labels.used == ["T_product_1", "T_product_3"]
    assert words in labels.thermocouples["remark"]["T_product_2"]
    assert labels.k_m == pytest.approx(0.95e-3, rel=5e-3)
    assert set(labels.instants["thermocouple"]) == {"T_product_1", "T_product_3"}


def test_run_of_which_no_thermocouple_can_be_used_is_refused_with_all_reasons(read):
    record = RECORD.drop(columns=["T_product_3 (°C)"])
    record["T_product_1 (°C)"] = 22.0
    record["T_product_2 (°C)"] = record["T_shelf (°C)"]
    with pytest.raises(
        DryingRunError, match=r"^run\.csv: no .*T_product_1: .*T_product_2: never|it"
    ):
        label_run(read(record), VIAL)


def test_record_that_begins_late_is_refused(read):
    with pytest.raises(DryingRunError, match="sublimation is under way at the first instant"):
        label_run(read(RECORD[RECORD["time (h)"] > 3]), VIAL)


@pytest.mark.parametrize("nothing", ["empty", "shelf"])
def test_record_that_begins_late_is_refused_though_its_first_readings_tell_nothing(read, nothing):
    record = RECORD[RECORD["time (h)"] > 3].copy()
    for name in NAMES:
        empty = np.full(len(record), np.nan)
        first = empty if nothing == "empty" else record["T_shelf (°C)"]
        place = np.arange(len(record))
        record[f"{name} (°C)"] = np.where(place < 3, first, record[f"{name} (°C)"])
    with pytest.raises(DryingRunError, match="sublimation is under way at the first instant"):
        label_run(read(record), VIAL)


def with_skin(resistance: float, slope: float) -> pd.DataFrame:
    """A record of a cake whose resistance does not begin at zero, m s⁻¹ and s⁻¹, every 5 min."""
    rows, thickness = [], 0.0
    while thickness < VIAL.ice_thickness:
        shelf = min(223.15 + 5 * len(rows), 263.15)

        def lack(bottom: float, shelf: float = shelf, dry: float = thickness) -> float:
            flux = vapour_flux(14.2, shelf, bottom, VIAL.area_ratio)
            front = front_temperature(bottom, flux, VIAL.ice_thickness - dry)
            return float(ice_vapour_pressure(front) - 10 - flux * (resistance + slope * dry))

        bottom = brentq(lack, shelf - 60, shelf) if lack(shelf) > 0 else shelf
        flux = float(vapour_flux(14.2, shelf, bottom, VIAL.area_ratio))
        rows.append([len(rows) / 12, shelf - 273.15, bottom - 273.15, 10.0])
        thickness += 300 * flux / (ICE_DENSITY * VIAL.porosity)
    return pd.DataFrame(
        rows, columns=["time (h)", "T_shelf (°C)", "T_product_1 (°C)", "pressure (Pa)"]
    )


def test_skin_on_the_cake_is_not_taken_for_a_late_start(read):
    record = with_skin(1.2e5, 7e7)  # a quarter of what the layer resists in the middle
    labels = label_run(read(record), VIAL)
    steady = labels.instants[labels.instants["steady"]]
    first = labels.instants["resistance"].dropna().iloc[:5].median()
    assert 0.2 < first / steady["resistance"].median() < 0.5
    with pytest.raises(DryingRunError, match="sublimation is under way at the first instant"):
        label_run(read(record[record["time (h)"] > 1]), VIAL)


def test_coarse_record_is_not_taken_for_a_late_start(read):
    coarse = recorded_drying([1e-3], VIAL, PAPER_CYCLE, time_step=1800)
    assert label_run(read(coarse), VIAL).k_m == pytest.approx(1e-3, rel=0.02)


@pytest.mark.parametrize("noise", [0.05, 0.5])
@pytest.mark.parametrize("factor", [1 / 100, 1 / 133.3, 0.1333])  # mbar, Torr as Pa; Pa as mTorr
def test_pressure_in_a_wrong_unit_is_refused_with_its_value(read, factor, noise):
    record = recorded_drying([1e-3, 1.1e-3, 0.9e-3], VIAL, PAPER_CYCLE, noise=noise, seed=5)
    record["pressure (Pa)"] *= factor
    value = re.escape(f"{10 * factor:.3g}")
    with pytest.raises(DryingRunError, match=f"the pressure, {value} Pa in line .* another unit"):
        label_run(read(record), VIAL)


def late(record: pd.DataFrame, name: str) -> np.ndarray:
    """What a thermocouple reads whose vial is three hours ahead."""
    ahead = np.interp(record["time (h)"] + 3, record["time (h)"], record[f"{name} (°C)"])
    return np.minimum(ahead, record["T_shelf (°C)"])


def test_start_that_most_thermocouples_contradict_is_refused_for_all(read):
    held = recorded_drying([1e-3, 1.1e-3, 0.9e-3], VIAL, Cycle(263.15, 263.15, 0.01, 10.0))
    one = held.assign(**{"T_product_1 (°C)": late(held, "T_product_1")})
    labels = label_run(read(one), VIAL)
    assert labels.used == ["T_product_2", "T_product_3"]
    assert [doubt[:46] for doubt in labels.doubts] == [
        "By T_product_1 sublimation is under way at the"
    ]
    two = one.assign(**{"T_product_2 (°C)": late(held, "T_product_2")})
    with pytest.raises(DryingRunError, match=r"most .* T_product_1: sublimation is under way"):
        label_run(read(two), VIAL)


def test_pressure_that_no_freeze_dryer_has_is_doubted(read):
    low = Cycle(203.15, 253.15, 1 / 60, 0.5)
    labels = label_run(read(recorded_drying([1e-3], VIAL, low)), VIAL)
    assert labels.k_m == pytest.approx(1e-3, rel=0.02)
    assert labels.doubts == (
        "The pressure of the chamber, 0.5 Pa in the steady part, is lower than freeze-dryers are "
        "run at: check its unit.",
    )


def test_record_that_begins_with_the_hold_is_not_refused(read):
    held = Cycle(263.15, 263.15, 0.01, 10.0)
    labels = label_run(read(recorded_drying([1e-3], VIAL, held)), VIAL)
    assert labels.k_m == pytest.approx(1e-3, rel=5e-3)


def test_record_that_ends_early_is_refused(read):
    with pytest.raises(DryingRunError, match=r"by Eq\. \(1\), \d+ % of the ice has sublimed"):
        label_run(read(RECORD[RECORD["time (h)"] < 2]), VIAL)


def test_wrong_unit_of_the_thickness_is_refused():
    with pytest.raises(ValueError, match=r"ice_thickness = 7: .* in m"):
        replace(VIAL, ice_thickness=7)


# ------------------------------------------------------------------------------------ uncertainty


@pytest.fixture
def labels(read) -> DryingLabels:
    return label_run(read(RECORD), VIAL)


def shifted(shelf=0.0, bottom=0.0, k_v=1.0, pressure=1.0) -> float:
    """The k_m of the first thermocouple after a change of the record; by the pipeline itself."""
    record = RECORD[RECORD["time (h)"] < 17]
    run = DryingRun(
        "shifted",
        3600 * record["time (h)"].to_numpy(),
        record["T_shelf (°C)"].to_numpy() + 273.15 + shelf,
        record["pressure (Pa)"].to_numpy() * pressure,
        pd.DataFrame({"T": record["T_product_1 (°C)"].to_numpy() + 273.15 + bottom}),
        np.arange(len(record)),
    )
    return label_run(run, replace(VIAL, heat_transfer_coefficient=14.2 * k_v)).k_m


def assumed(temperature: float, heat_transfer: float, pressure: float, **others) -> Parameters:
    """Uncertainties in K, % and %, of the vials of this file."""
    certain = dict.fromkeys(
        ["area_ratio_uncertainty_percent", "ice_thickness_uncertainty_percent", "unfrozen_water"],
        0.0,
    )
    return Parameters(
        temperature_uncertainty_k=temperature,
        heat_transfer_uncertainty_percent=heat_transfer,
        pressure_uncertainty_percent=pressure,
        **(certain | others),
    )


def budget_of(labels: DryingLabels, *uncertainties: float, **others) -> pd.Series:
    parameters = assumed(*uncertainties, **others)
    return uncertainty_budget(labels, parameters, VIAL, None)["percent"]


def test_vials_are_those_of_the_parameters():
    assert vial_of(Parameters()) == VIAL


def test_monte_carlo_agrees_with_linear_propagation(labels, monkeypatch):
    # The standard deviation of 4000 draws is known to about 1 %.
    monkeypatch.setattr("fesemlib.drying.uncertainty.DRAWS", 4000)
    derivatives = [
        (shifted(shelf=0.05) - shifted(shelf=-0.05)) / 2,
        (shifted(bottom=0.05) - shifted(bottom=-0.05)) / 2,
        (shifted(k_v=1.005) - shifted(k_v=0.995)) / 2,
        (shifted(pressure=1.005) - shifted(pressure=0.995)) / 2,
    ]
    linear = 100 * float(np.linalg.norm(derivatives)) / shifted()
    budget = budget_of(labels, 0.05, 0.5, 0.5)
    assert budget["all together"] == pytest.approx(linear, rel=0.05)


def test_k_v_enters_twice(labels):
    budget = budget_of(labels, 0.0, 2.0, 0.0, front_correction=False)
    assert budget["heat transfer coefficient"] == pytest.approx(4.0, rel=0.06)
    assert budget["temperatures"] == budget["chamber pressure"] == pytest.approx(0, abs=1e-9)
    assert budget["all together"] == budget["heat transfer coefficient"]


def test_spread_of_offsets_is_that_of_shifted_thermocouples(labels):
    change = (shifted(bottom=0.05) - shifted(bottom=-0.05)) / 2 / shifted()
    spread = spread_of_offsets(labels, assumed(0.05, 5.0, 2.0), VIAL)
    assert spread == pytest.approx(100 * abs(change), rel=0.08)


def test_sources_add_in_squares(labels):
    budget = budget_of(
        labels, 0.1, 1.0, 2.0, area_ratio_uncertainty_percent=1.0, unfrozen_water=0.5
    )
    parts = budget.drop("all together")
    assert budget["all together"] == pytest.approx(float(np.linalg.norm(parts)), rel=0.06)


def test_no_uncertainty_changes_nothing(labels):
    budget = budget_of(labels, 0, 0, 0)
    assert budget.to_numpy() == pytest.approx(np.zeros(7), abs=1e-9)


def test_a_uniform_share_of_unfrozen_water_goes_into_the_thickness(labels):
    # 5 % of solids bind up to 0.95 g/g, 5 % of the water; L_d grows by 1/(1 − share).
    budget = budget_of(labels, 0, 0, 0, unfrozen_water=0.95, front_correction=False)
    shares = np.linspace(0, 0.05, 10_001)
    expected = 100 * np.std(1 / (1 - shares))
    assert budget["water that does not freeze"] == pytest.approx(expected, rel=0.05)
