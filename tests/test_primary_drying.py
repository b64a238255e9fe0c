"""The model of primary drying against closed forms, its own balances and another simulator."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fesemlib.drying.equations import (
    ICE_DENSITY,
    dried_thickness,
    front_temperature,
    ice_conductivity,
    ice_vapour_pressure,
    mass_transfer_coefficient,
    porosity,
    sublimation_enthalpy,
    vapour_flux,
)
from fesemlib.drying.vial import (
    PAPER_CYCLE,
    Cycle,
    PrimaryDryingError,
    Vial,
    drying_time,
    simulate_primary_drying,
)

LYOPRONTO = Path(__file__).parent / "data" / "lyopronto"
META = json.loads((LYOPRONTO / "meta.json").read_text())
VIAL = Vial(14.2, 7e-3)
HELD = Cycle(263.15, 263.15, 0.01, 10.0)  # no ramp


def lyopronto(case: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A run of the other simulator, and ours for the same vial, cycle and k_m."""
    constants = META["cases"][case]
    vial = Vial(
        META["Kv_W_m2K"],
        constants["L0_m"],
        constants["product"]["cSolid"],
        META["Av_cm2"] / META["Ap_cm2"],
    )
    theirs = pd.read_csv(LYOPRONTO / f"{case}.csv")
    return theirs, simulate_primary_drying(constants["km_at_243K15"], vial, PAPER_CYCLE)


@pytest.mark.parametrize("case", META["cases"])
@pytest.mark.parametrize("place", ["front", "bottom"])
def test_temperatures_are_those_of_another_simulator(case, place):
    theirs, ours = lyopronto(case)
    at = np.interp(3600 * theirs["t_hr"], ours["time"], ours[f"{place}_temperature"])
    column = {"front": "Tsub_C", "bottom": "Tbot_C"}[place]
    assert at - 273.15 == pytest.approx(theirs[column].to_numpy(), abs=0.3)


@pytest.mark.parametrize("case", META["cases"])
def test_drying_time_is_that_of_another_simulator(case):
    theirs, ours = lyopronto(case)
    assert drying_time(ours) / 3600 == pytest.approx(theirs["t_hr"].iloc[-1], rel=0.03)


def test_without_resistance_of_the_cake_the_heat_decides():
    # The front stays where ice has the chamber's pressure; the frozen layer gets thinner.
    run = simulate_primary_drying(1.0, VIAL, HELD)
    front = run["front_temperature"].iloc[0]
    assert ice_vapour_pressure(front) == pytest.approx(10.0)
    ice = ICE_DENSITY * VIAL.porosity * sublimation_enthalpy(front)
    path = 7e-3 / (14.2 * 1.21) + 7e-3**2 / (2 * ice_conductivity(front))
    assert drying_time(run) == pytest.approx(ice * path / (263.15 - front), rel=2e-3)


def test_with_a_dense_cake_the_dried_layer_decides():
    # The ice takes the shelf's temperature; time grows with the square of the thickness.
    cake, vial = 1e-6, Vial(500.0, 7e-3)
    run = simulate_primary_drying(cake, vial, HELD, time_step=3600.0)
    driving = ice_vapour_pressure(263.15) - 10.0
    flow = cake * 0.01801528 * driving / (8.314462618 * 263.15)
    assert drying_time(run) == pytest.approx(
        ICE_DENSITY * vial.porosity * 7e-3**2 / (2 * flow), rel=0.01
    )


@pytest.mark.parametrize("k_m", [2e-4, 1e-3, 5e-3])
def test_every_row_obeys_both_equations_of_the_paper(k_m):
    run = simulate_primary_drying(k_m, VIAL, PAPER_CYCLE)
    run = run[run["dried_fraction"] > 1e-3]
    supplied = vapour_flux(14.2, run["shelf_temperature"], run["bottom_temperature"], 1.21)
    assert supplied == pytest.approx(run["flux"].to_numpy(), rel=1e-3)
    passed = mass_transfer_coefficient(
        run["flux"], run["dried_thickness"], run["front_temperature"], 10.0
    )
    assert passed == pytest.approx(k_m, rel=1e-4)


def test_thickness_is_the_flux_added_up():
    run = simulate_primary_drying(1e-3, VIAL, PAPER_CYCLE)
    ours = dried_thickness(run["time"], run["flux"], VIAL.porosity)
    assert ours == pytest.approx(run["dried_thickness"].to_numpy(), abs=2e-6)


def test_front_follows_from_the_bottom():
    run = simulate_primary_drying(1e-3, VIAL, PAPER_CYCLE)
    front = front_temperature(run["bottom_temperature"], run["flux"], 7e-3 - run["dried_thickness"])
    assert front == pytest.approx(run["front_temperature"].to_numpy(), abs=0.01)
    assert (run["bottom_temperature"] - run["front_temperature"]).max() > 0.5


def test_last_row_is_the_end_of_sublimation_and_the_rows_do_not_change_it():
    fine, coarse = (simulate_primary_drying(1e-3, VIAL, PAPER_CYCLE, step) for step in (60, 7e3))
    assert drying_time(fine) == drying_time(coarse)
    assert fine["dried_fraction"].iloc[-1] == coarse["dried_fraction"].iloc[-1] == 1
    assert (np.diff(fine["dried_fraction"]) >= 0).all()
    assert np.diff(coarse["time"])[:-1] == pytest.approx(7e3)


def test_nothing_sublimes_until_the_ice_has_the_pressure_of_the_chamber():
    run = simulate_primary_drying(1e-3, VIAL, PAPER_CYCLE)
    cold = ice_vapour_pressure(np.minimum(run["shelf_temperature"], 273)) <= 10.0
    assert 5 < cold.sum() < 20
    assert (run["flux"][cold] == 0).all()
    assert run["bottom_temperature"][cold].equals(run["shelf_temperature"][cold])
    assert (run["flux"][~cold] > 0).all()


def test_wider_pores_dry_faster_and_colder():
    runs = [simulate_primary_drying(k_m, VIAL, PAPER_CYCLE) for k_m in (3e-4, 1e-3, 2e-3)]
    times = [drying_time(run) for run in runs]
    fronts = [run["front_temperature"].max() for run in runs]
    assert times == sorted(times, reverse=True)
    assert fronts == sorted(fronts, reverse=True)


def test_front_at_the_pressure_of_the_chamber_is_found_in_spite_of_rounding():
    """At the first instant the balance is fulfilled where its search begins, but for rounding."""
    vial = Vial(8.0, 7.8125e-3, 0.125, 1.0)
    run = simulate_primary_drying(0.00390625, vial, Cycle(223.15, 244.0, 1 / 60, 10.22265625))
    assert run["dried_fraction"].iloc[-1] == 1
    assert (run["front_temperature"].diff().dropna() >= -1e-6).all()


def test_drying_may_end_during_a_slow_ramp():
    run = simulate_primary_drying(1e-3, VIAL, Cycle(243.15, 268.15, 1e-4, 10.0))
    assert drying_time(run) < 250_000
    assert run["shelf_temperature"].iloc[-1] < 268.15


def test_shelf_may_be_cooled_too():
    run = simulate_primary_drying(1e-3, VIAL, Cycle(268.15, 258.15, 1e-3, 10.0))
    assert run["shelf_temperature"].iloc[-1] == 258.15
    assert run["flux"].iloc[0] > run["flux"].iloc[-1] > 0


def test_porosity_is_that_of_the_solids():
    assert Vial(14.2, 7e-3, 0.1).porosity == porosity(10)


@pytest.mark.parametrize("k_m", [0.0, -1e-3, float("nan"), float("inf"), 5.0])
def test_impossible_coefficient_is_refused(k_m):
    with pytest.raises(PrimaryDryingError, match=r"^k_m = .*: not from .* in m² s⁻¹"):
        simulate_primary_drying(k_m, VIAL, PAPER_CYCLE)


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("heat_transfer_coefficient", 0.0, "W m"),
        ("heat_transfer_coefficient", 3.4e-4, "W m"),
        ("ice_thickness", 7.0, "in m"),
        ("ice_thickness", -7e-3, "in m"),
        ("solids_mass_fraction", 5.0, "as a fraction"),
        ("area_ratio", 0.0, "A_v/A_p"),
        ("area_ratio", float("nan"), "A_v/A_p"),
    ],
)
def test_impossible_vial_is_refused_with_its_unit(name, value, unit):
    with pytest.raises(PrimaryDryingError, match=rf"^{name} = {value!r}: .*{unit}"):
        replace(VIAL, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("start_temperature", -50.0, "in K"),
        ("hold_temperature", -10.0, "in K"),
        ("ramp_rate", 0.0, "in K s"),
        ("ramp_rate", 1.0, "in K s"),
        ("chamber_pressure", 75e3, "in Pa"),
        ("chamber_pressure", 0.0, "in Pa"),
    ],
)
def test_impossible_cycle_is_refused_with_its_unit(name, value, unit):
    with pytest.raises(PrimaryDryingError, match=rf"^{name} = {value!r}: .*{unit}"):
        replace(PAPER_CYCLE, **{name: value})


def test_cycle_in_which_nothing_sublimes_is_refused():
    with pytest.raises(
        PrimaryDryingError, match=r"nothing sublimes into .* 10 Pa below 230\.\d+ K"
    ):
        simulate_primary_drying(1e-3, VIAL, Cycle(223.15, 230.0, 0.01, 10.0))


def test_cycle_in_which_the_ice_melts_is_refused():
    with pytest.raises(PrimaryDryingError, match="melt; cool the shelf"):
        simulate_primary_drying(1e-5, VIAL, Cycle(223.15, 293.15, 0.01, 10.0))


def test_step_that_would_give_endless_rows_is_refused():
    for step in (1e-3, 0, float("nan")):
        with pytest.raises(PrimaryDryingError, match=rf"^time_step = {step}: not from 0\.06"):
            simulate_primary_drying(1e-3, VIAL, PAPER_CYCLE, step)
