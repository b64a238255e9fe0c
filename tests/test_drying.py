"""Drying physics against tabulated values, thermodynamics, and an independent simulator."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.drying.equations import (
    dried_thickness,
    front_temperature,
    ice_conductivity,
    ice_vapour_pressure,
    mass_transfer_coefficient,
    product_resistance,
    sublimation_enthalpy,
    vapour_flux,
)

LYOPRONTO = Path(__file__).parent / "data" / "lyopronto"
META = json.loads((LYOPRONTO / "meta.json").read_text())
TORR = 101325 / 760
# 1 cm² Torr h g⁻¹ in m s⁻¹, from the definitions of the units.
CM2_TORR_HOUR_PER_GRAM = 1e-4 * TORR * 3600 / 1e-3

ice_temperatures = st.floats(200, 273)


def simulated(case: str) -> pd.DataFrame:
    """A simulated primary drying in SI units, from 20 to 95 % dried."""
    run = pd.read_csv(LYOPRONTO / f"{case}.csv")
    run = run[run["percent_dried"].between(20, 95)]
    return pd.DataFrame(
        {
            "front": run["Tsub_C"] + 273.15,
            "bottom": run["Tbot_C"] + 273.15,
            "shelf": run["Tshelf_C"] + 273.15,
            "chamber": run["Pch_mTorr"] * 1e-3 * TORR,
            "flux": run["flux_kg_hr_m2_on_Ap"] / 3600,
            "thickness": run["percent_dried"] / 100 * META["cases"][case]["L0_m"],
        }
    )


def supplied_flux(run: pd.DataFrame) -> np.ndarray:
    ratio = META["Av_cm2"] / META["Ap_cm2"]
    return vapour_flux(META["Kv_W_m2K"], run["shelf"], run["bottom"], ratio)


@pytest.mark.parametrize(
    ("kelvin", "pascal"), [(243.15, 38.012), (253.15, 103.252), (273.16, 611.657)]
)
def test_vapour_pressure_of_ice_is_the_tabulated_one(kelvin, pascal):
    assert ice_vapour_pressure(kelvin) == pytest.approx(pascal, rel=1e-5)


def test_sublimation_enthalpy_is_the_tabulated_one():
    assert sublimation_enthalpy(243.0) == pytest.approx(2.8386e6, rel=2e-5)


@pytest.mark.parametrize(("kelvin", "tabulated"), [(233.15, 2.63), (243.15, 2.50), (253.15, 2.39)])
def test_conductivity_of_ice_is_near_the_tabulated_one(kelvin, tabulated):
    # Tables differ by some percent from each other, too.
    assert ice_conductivity(kelvin) == pytest.approx(tabulated, rel=0.03)


@pytest.mark.parametrize("case", META["cases"])
def test_front_follows_from_the_bottom_as_in_the_simulator(case):
    run = simulated(case)
    frozen = META["cases"][case]["L0_m"] - run["thickness"]
    front = front_temperature(run["bottom"], run["flux"], frozen)
    assert front == pytest.approx(run["front"].to_numpy(), abs=0.03)


def test_dried_thickness_is_that_of_a_constant_flux():
    # 918 kg of ice for each cubic metre of pores, which are half of the layer.
    thickness = dried_thickness([0.0, 10.0, 30.0], [[0.918] * 3, [1.836] * 3], 0.5)
    assert thickness == pytest.approx(np.array([[0, 0.02, 0.06], [0, 0.04, 0.12]]))


@pytest.mark.parametrize("porosity", [0.0, -0.1, 96.9, float("nan")])
def test_porosity_that_is_no_fraction_is_refused(porosity):
    with pytest.raises(ValueError, match=r"porosity .* give a volume fraction"):
        dried_thickness([0.0, 1.0], [1e-4, 1e-4], porosity)


@pytest.mark.parametrize("time", [[0.0, 0.0], [1.0, 0.0], [0.0, float("nan")]])
def test_times_that_do_not_increase_are_refused(time):
    with pytest.raises(ValueError, match=r"the times do not increase, from .* s; sort them"):
        dried_thickness(time, [1e-4, 1e-4], 0.97)


@given(ice_temperatures)
def test_pressure_and_enthalpy_obey_clausius_and_clapeyron(kelvin):
    below, above = np.log(ice_vapour_pressure([kelvin - 0.01, kelvin + 0.01]))
    enthalpy = sublimation_enthalpy(kelvin) * 0.01801528
    assert (above - below) / 0.02 == pytest.approx(enthalpy / (8.314462618 * kelvin**2), rel=5e-3)


@pytest.mark.parametrize("function", [ice_vapour_pressure, sublimation_enthalpy, ice_conductivity])
def test_arrays_are_treated_element_by_element(function):
    kelvin = np.array([[220.0, 240.0], [250.0, 273.16]])
    assert np.array_equal(function(kelvin), [[function(t) for t in row] for row in kelvin])


@pytest.mark.parametrize("temperature", [-30.0, 109.9, 273.2, [240.0, 300.0]])
@pytest.mark.parametrize(
    "function",
    [
        ice_vapour_pressure,
        sublimation_enthalpy,
        ice_conductivity,
        lambda t: front_temperature(t, 1e-4, 0.005),
        lambda t: product_resistance(1e-3, 0.01, t),
        lambda t: mass_transfer_coefficient(1e-4, 0.005, t, 10.0),
    ],
)
def test_temperatures_that_ice_cannot_have_are_refused(function, temperature):
    wrong = np.ravel(temperature)[-1]
    with pytest.raises(ValueError, match=rf"temperature = {wrong:g} K.*kelvin"):
        function(temperature)


@pytest.mark.parametrize("case", META["cases"])
def test_resistance_in_laboratory_units_is_the_simulators(case):
    # The simulator's resistance per cm of dried layer, cm Torr h g⁻¹.
    constants = META["cases"][case]
    ours = product_resistance(constants["km_at_243K15"], 0.01, 243.15) / CM2_TORR_HOUR_PER_GRAM
    assert ours == pytest.approx(constants["product"]["A1"], rel=1e-4)


def test_laboratory_unit_of_resistance_is_the_documented_one():
    assert pytest.approx(47_996, rel=1e-5) == CM2_TORR_HOUR_PER_GRAM


@given(st.floats(1e-6, 1e-3), st.floats(1e-4, 0.02), st.floats(225, 270), st.floats(0, 0.9))
def test_resistance_times_flux_is_the_pressure_difference(flux, thickness, front, share):
    ice = ice_vapour_pressure(front)
    k_m = mass_transfer_coefficient(flux, thickness, front, share * ice)
    assert product_resistance(k_m, thickness, front) * flux == pytest.approx(ice * (1 - share))


def test_flux_carries_the_heat_off_that_a_warm_shelf_supplies():
    flux = vapour_flux(15.0, 293.15, [233.15, 243.15], area_ratio=1.2)
    assert flux * sublimation_enthalpy([233.15, 243.15]) == pytest.approx([1080.0, 900.0])


@pytest.mark.parametrize("shelf", [-10.0, 20.0, 109.9, 400.1, [263.15, -10.0]])
def test_shelf_temperature_in_celsius_is_refused(shelf):
    wrong = np.ravel(shelf)[-1]
    with pytest.raises(ValueError, match=rf"^shelf temperature = {wrong:g} K: .* in kelvin"):
        vapour_flux(15.0, shelf, 233.15)


def test_bottom_temperature_in_celsius_is_refused():
    with pytest.raises(ValueError, match=r"^temperature = -30 K: .* in kelvin"):
        vapour_flux(15.0, 263.15, -30.0)


@pytest.mark.parametrize(
    ("shelf", "bottom"), [(240.0, 243.15), ([260.0, 240.0], 243.15), (240.0, [230.0, 243.15])]
)
def test_shelf_colder_than_the_vial_is_refused_with_both_values(shelf, bottom):
    with pytest.raises(
        ValueError, match=r"shelf at 240 K is colder .* 243\.15 K: no heat flows in"
    ):
        vapour_flux(15.0, shelf, bottom)


def test_shelf_as_cold_as_the_vial_supplies_nothing():
    assert vapour_flux(15.0, 243.15, 243.15) == 0


@pytest.mark.parametrize("case", META["cases"])
def test_heat_balance_gives_the_simulated_flux(case):
    run = simulated(case)
    # The simulator's enthalpy is constant, ours follows the temperature.
    assert supplied_flux(run) == pytest.approx(run["flux"].to_numpy(), rel=2e-3)


@pytest.mark.parametrize(
    ("case", "k_m"),
    [("km1.9e-3_A", 1.905e-3), ("km1.0e-3_D", 1.017e-3), ("km2.8e-4_I", 2.92e-4)],
)
def test_simulated_drying_gives_its_mass_transfer_coefficient_back(case, k_m):
    run = simulated(case)
    ours = mass_transfer_coefficient(
        supplied_flux(run), run["thickness"], run["front"], run["chamber"]
    )
    assert len(ours) > 20
    assert ours.mean() == pytest.approx(k_m, rel=0.01)


def test_no_sublimation_into_a_chamber_above_the_vapour_pressure():
    # The ice at 243.15 K has 38.0 Pa, that at 223.15 K has 3.9 Pa.
    with pytest.raises(ValueError, match=r"223\.15 K .* 10 Pa: nothing sublimes"):
        mass_transfer_coefficient(1e-4, 0.005, [243.15, 223.15], 10.0)
