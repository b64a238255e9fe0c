"""Heat and mass transfer in a drying vial: Eqs. (1) and (2), the ice, the dried layer.

SI units throughout; arrays and floats alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.integrate import cumulative_trapezoid

GAS_CONSTANT = 8.314462618  # J mol⁻¹ K⁻¹, CODATA 2018
MOLAR_MASS_WATER = 0.01801528  # kg mol⁻¹
ICE_DENSITY = 918.0  # kg m⁻³, near 250 K
CLASSIC_RESISTANCE = 1e-4 * 133.322368 * 3600 / 1e-3  # m s⁻¹, of 1 cm² Torr h g⁻¹
SOLIDS_DENSITY = 1500.0  # kg m⁻³, assumed for dextran, mannitol and PVP alike


def ice_vapour_pressure(temperature: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Vapour pressure of ice.

    Parameters
    ----------
    temperature
        K, from 110 K to the triple point, 273.16 K.

    Returns
    -------
    ndarray
        Pa, of the shape of `temperature`.

    Raises
    ------
    ValueError
        Outside the range of the correlation.

    References
    ----------
    Murphy & Koop, Quarterly Journal of the Royal Meteorological Society 131 (2005) 1539–1565,
    Eq. (7).

    Examples
    --------
    >>> print(ice_vapour_pressure([243.15, 273.16]).round(2))
    [ 38.01 611.66]
    """
    kelvin = _ice_temperature(temperature)
    pressure: npt.NDArray[np.float64] = np.exp(
        9.550426 - 5723.265 / kelvin + 3.53068 * np.log(kelvin) - 0.00728332 * kelvin
    )
    return pressure


def sublimation_enthalpy(temperature: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Specific enthalpy of sublimation of ice, ΔH_s.

    Parameters
    ----------
    temperature
        K, from 110 K to the triple point, 273.16 K.

    Returns
    -------
    ndarray
        J kg⁻¹, of the shape of `temperature`.

    Raises
    ------
    ValueError
        Outside the range of the correlation.

    References
    ----------
    Murphy & Koop (2005), Eq. (5).

    Examples
    --------
    >>> print(f"{float(sublimation_enthalpy(243.0)):.4g} J/kg")
    2.839e+06 J/kg
    """
    kelvin = _ice_temperature(temperature)
    molar: npt.NDArray[np.float64] = (
        46782.5 + 35.8925 * kelvin - 0.07414 * kelvin**2 + 541.5 * np.exp(-((kelvin / 123.75) ** 2))
    )
    return molar / MOLAR_MASS_WATER


def ice_conductivity(temperature: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Thermal conductivity of ice.

    Parameters
    ----------
    temperature
        K, from 110 K to the triple point, 273.16 K.

    Returns
    -------
    ndarray
        W m⁻¹ K⁻¹, of the shape of `temperature`.

    Raises
    ------
    ValueError
        Outside that range.

    References
    ----------
    Yen, Review of thermal properties of snow, ice and sea ice, CRREL Report 81-10 (1981).

    Examples
    --------
    >>> print(f"{float(ice_conductivity(243.15)):.2f} W/(m K), about four times that of water")
    2.46 W/(m K), about four times that of water
    """
    conductivity: npt.NDArray[np.float64] = 9.828 * np.exp(-0.0057 * _ice_temperature(temperature))
    return conductivity


def porosity(solids_percent: float) -> float:
    """Porosity of the cake that is left when all ice has sublimed.

    Parameters
    ----------
    solids_percent
        Solids in the solution, mass %.

    Returns
    -------
    float
        Volume fraction of the pores: that of the ice, with the densities of ice and solids.

    Raises
    ------
    ValueError
        When `solids_percent` is not in (0, 50].

    Examples
    --------
    >>> print(f"{porosity(5):.3f} of a 5 % solution, {porosity(10):.3f} of a 10 % solution")
    0.969 of a 5 % solution, 0.936 of a 10 % solution
    """
    if not 0 < solids_percent <= 50:
        raise ValueError(
            f"solids_percent {solids_percent!r}: not in (0, 50]; give mass %, 5 for 5 %"
        )
    ice = (100 - solids_percent) / ICE_DENSITY
    return ice / (ice + solids_percent / SOLIDS_DENSITY)


def vapour_flux(
    heat_transfer_coefficient: npt.ArrayLike,
    shelf_temperature: npt.ArrayLike,
    bottom_temperature: npt.ArrayLike,
    area_ratio: float = 1.0,
) -> npt.NDArray[np.float64]:
    """Vapour flux of subliming ice from the heat that the shelf supplies, Eq. (1).

    Parameters
    ----------
    heat_transfer_coefficient
        k_v, W m⁻² K⁻¹, with respect to the outer area of the vial.
    shelf_temperature
        T_f, K, from 110 to 400 K.
    bottom_temperature
        T_p, K, at the bottom of the vial, where the thermocouple is: k_v joins the shelf to it.
    area_ratio
        Outer area of the vial over the area of the product, A_v/A_p. The paper's equation has no
        such factor; vials have about 1.2.

    Returns
    -------
    ndarray
        J_w, kg s⁻¹ m⁻² of the product's area.

    Raises
    ------
    ValueError
        When a temperature is out of range, as one in °C, or the shelf is colder than the bottom:
        no heat flows in.

    Examples
    --------
    >>> flux = float(vapour_flux(14.2, 263.15, 247.15, area_ratio=1.21))
    >>> print(f"{3600 * flux:.2f} kg per hour and square metre")
    0.35 kg per hour and square metre
    """
    shelf = _shelf_temperature(shelf_temperature)
    bottom = _ice_temperature(bottom_temperature)
    _check_heat_flows_in(shelf, bottom)
    supplied = np.asarray(heat_transfer_coefficient) * area_ratio * (shelf - bottom)
    flux: npt.NDArray[np.float64] = supplied / sublimation_enthalpy(bottom)
    return flux


def dried_thickness(
    time: npt.ArrayLike, flux: npt.ArrayLike, porosity: float
) -> npt.NDArray[np.float64]:
    """Thickness of the dried layer, L_d: the flux, added up over time.

    Parameters
    ----------
    time
        s, shape (n,), increasing.
    flux
        J_w, kg s⁻¹ m⁻², shape (…, n).
    porosity
        Volume fraction of the ice in the frozen layer, in (0, 1]; see `porosity`.

    Returns
    -------
    ndarray
        L_d, m, shape (…, n): ∫ J_w dt/(ρ_ice ε), by the trapezoidal rule, from zero.

    Raises
    ------
    ValueError
        When the porosity is not in (0, 1], or the times do not increase.

    Examples
    --------
    >>> hours = np.array([0.0, 5.0, 10.0])
    >>> layer = dried_thickness(3600 * hours, np.full(3, 1.0e-4), porosity(5))
    >>> print((1e3 * layer).round(2), "mm")
    [0.   2.02 4.05] mm
    """
    if not 0 < porosity <= 1:
        raise ValueError(f"porosity {porosity!r}: not in (0, 1]; give a volume fraction")
    seconds = np.asarray(time, dtype=np.float64)
    still = np.flatnonzero(~(np.diff(seconds) > 0))
    if still.size:
        raise ValueError(
            f"the times do not increase, from {seconds[still[0]]:g} to "
            f"{seconds[still[0] + 1]:g} s; sort them, and keep one of equal ones"
        )
    sublimed = cumulative_trapezoid(np.asarray(flux), seconds, initial=0.0)
    thickness: npt.NDArray[np.float64] = sublimed / (ICE_DENSITY * porosity)
    return thickness


def front_temperature(
    bottom_temperature: npt.ArrayLike, flux: npt.ArrayLike, frozen_thickness: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Temperature of the sublimation front, from that of the bottom of the vial.

    The heat that the flux carries off has passed through the frozen layer: the front is colder
    than the bottom, by J_w ΔH_s/λ times the thickness of that layer. The solids in it, a few
    percent, are taken to conduct like ice.

    Parameters
    ----------
    bottom_temperature
        K, as the thermocouple reads it.
    flux
        J_w, kg s⁻¹ m⁻².
    frozen_thickness
        Of the layer that is still frozen, m.

    Returns
    -------
    ndarray
        K.

    Raises
    ------
    ValueError
        When the temperature is none of ice, as one in °C.

    Examples
    --------
    >>> front = front_temperature(247.15, 1.0e-4, [7e-3, 0.0])
    >>> print(front.round(2))  # at the start, and where no ice is left
    [246.32 247.15]
    """
    bottom = _ice_temperature(bottom_temperature)
    heat = np.asarray(flux) * sublimation_enthalpy(bottom)
    front: npt.NDArray[np.float64] = bottom - heat * np.asarray(
        frozen_thickness
    ) / ice_conductivity(bottom)
    return front


def mass_transfer_coefficient(
    flux: npt.ArrayLike,
    thickness: npt.ArrayLike,
    front_temperature: npt.ArrayLike,
    chamber_pressure: npt.ArrayLike,
) -> npt.NDArray[np.float64]:
    """Mass transfer coefficient of the dried layer, Eq. (2).

    Parameters
    ----------
    flux
        J_w, kg s⁻¹ m⁻².
    thickness
        L_d of the dried layer, m.
    front_temperature
        T_p, K, at the sublimation front: the vapour pressure is that of the ice there.
    chamber_pressure
        P_c, Pa.

    Returns
    -------
    ndarray
        k_m, m² s⁻¹.

    Raises
    ------
    ValueError
        When the ice's vapour pressure does not exceed the chamber's pressure: nothing sublimes.

    Examples
    --------
    >>> k_m = mass_transfer_coefficient(1.0e-4, 3.5e-3, 246.5, 10.0)
    >>> print(f"{float(k_m):.2e} m²/s")
    9.13e-04 m²/s
    """
    temperature = _ice_temperature(front_temperature)
    driving = ice_vapour_pressure(temperature) - np.asarray(chamber_pressure)
    if np.any(driving <= 0):
        worst = np.unravel_index(np.argmin(driving), driving.shape)
        kelvin, chamber = np.broadcast_arrays(temperature, np.asarray(chamber_pressure))
        raise ValueError(
            f"ice at {kelvin[worst]:g} K has no higher vapour pressure than the chamber's "
            f"{chamber[worst]:g} Pa: nothing sublimes; check both values and their units"
        )
    flow = np.asarray(flux) * GAS_CONSTANT * temperature * np.asarray(thickness)
    coefficient: npt.NDArray[np.float64] = flow / (MOLAR_MASS_WATER * driving)
    return coefficient


def product_resistance(
    k_m: npt.ArrayLike, thickness: npt.ArrayLike, temperature: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Resistance of the dried layer to vapour flow, R_p = (p_ice − p_c)/J_w.

    Parameters
    ----------
    k_m
        Mass transfer coefficient, m² s⁻¹.
    thickness
        L_d of the dried layer, m.
    temperature
        Of the sublimation front, K.

    Returns
    -------
    ndarray
        R_p = R T L_d / (M_w k_m), m s⁻¹; 1 cm² Torr h g⁻¹ is 47 996 m s⁻¹.

    Raises
    ------
    ValueError
        When the temperature is none of ice, as one in °C.

    References
    ----------
    Eq. (2), solved for (P(T_p) − P_c)/J_w.

    Examples
    --------
    >>> resistance = float(product_resistance(1.0e-3, 0.01, 250.0))
    >>> print(f"{resistance / CLASSIC_RESISTANCE:.1f} cm² Torr h/g for 1 cm of dried layer")
    24.0 cm² Torr h/g for 1 cm of dried layer
    """
    path = GAS_CONSTANT * _ice_temperature(temperature) * np.asarray(thickness)
    resistance: npt.NDArray[np.float64] = path / (MOLAR_MASS_WATER * np.asarray(k_m))
    return resistance


def _shelf_temperature(temperature: npt.ArrayLike) -> npt.NDArray[np.float64]:
    kelvin = np.asarray(temperature, dtype=np.float64)
    outside = kelvin[(kelvin < 110) | (kelvin > 400)]
    if outside.size:
        raise ValueError(
            f"shelf temperature = {outside[0]:g} K: a shelf has 110 to 400 K; "
            "give temperatures in kelvin"
        )
    return kelvin


def _check_heat_flows_in(shelf: npt.NDArray[np.float64], bottom: npt.NDArray[np.float64]) -> None:
    colder = shelf < bottom
    if np.any(colder):
        first = np.unravel_index(np.argmax(colder), colder.shape)
        shelves, bottoms = np.broadcast_arrays(shelf, bottom)
        raise ValueError(
            f"the shelf at {shelves[first]:g} K is colder than the bottom of the vial at "
            f"{bottoms[first]:g} K: no heat flows in; check both values and their order"
        )


def _ice_temperature(temperature: npt.ArrayLike) -> npt.NDArray[np.float64]:
    kelvin = np.asarray(temperature, dtype=np.float64)
    outside = kelvin[(kelvin < 110) | (kelvin > 273.16)]
    if outside.size:
        raise ValueError(
            f"temperature = {outside[0]:g} K: ice is described from 110 to 273.16 K; "
            "give temperatures in kelvin"
        )
    return kelvin
