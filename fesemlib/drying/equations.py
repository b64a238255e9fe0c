"""Heat and mass transfer in a drying vial: Eqs. (1) and (2), the ice, the dried layer.

SI units throughout; arrays and floats alike. What is no temperature of ice is a ValueError.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.integrate import cumulative_trapezoid

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

GAS_CONSTANT = 8.314462618  # J mol⁻¹ K⁻¹, CODATA 2018
MOLAR_MASS_WATER = 0.01801528  # kg mol⁻¹
TRIPLE_POINT = 273.16  # K
ICE_DENSITY = 918.0  # kg m⁻³, near 250 K
CLASSIC_RESISTANCE = 1e-4 * 133.322368 * 3600 / 1e-3  # m s⁻¹, of 1 cm² Torr h g⁻¹
SOLIDS_DENSITY = 1500.0  # kg m⁻³, assumed for dextran, mannitol and PVP alike


def ice_vapour_pressure(temperature: npt.ArrayLike) -> FloatArray:
    """Vapour pressure of ice, Pa, at temperatures in K.

    Parameters
    ----------
    temperature
        K, from 110 K to the triple point.

    References
    ----------
    Murphy & Koop, Quarterly Journal of the Royal Meteorological Society 131 (2005) 1539, Eq. (7).

    Examples
    --------
    >>> print(ice_vapour_pressure([243.15, 273.16]).round(2))
    [ 38.01 611.66]
    """
    kelvin = _kelvin(temperature)
    pressure: FloatArray = np.exp(
        9.550426 - 5723.265 / kelvin + 3.53068 * np.log(kelvin) - 0.00728332 * kelvin
    )
    return pressure


def sublimation_enthalpy(temperature: npt.ArrayLike) -> FloatArray:
    """ΔH_s of ice, J kg⁻¹, at temperatures in K; Murphy & Koop (2005), Eq. (5)."""
    kelvin = _kelvin(temperature)
    molar: FloatArray = (
        46782.5 + 35.8925 * kelvin - 0.07414 * kelvin**2 + 541.5 * np.exp(-((kelvin / 123.75) ** 2))
    )
    return molar / MOLAR_MASS_WATER


def ice_conductivity(temperature: npt.ArrayLike) -> FloatArray:
    """Thermal conductivity of ice, W m⁻¹ K⁻¹, at temperatures in K; Yen, CRREL Report 81-10."""
    conductivity: FloatArray = 9.828 * np.exp(-0.0057 * _kelvin(temperature))
    return conductivity


def porosity(solids_percent: float) -> float:
    """Volume fraction of the ice, and of the cake's pores, from mass % of solids, in (0, 50]."""
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
) -> FloatArray:
    """Vapour flux of subliming ice from the heat that the shelf supplies, Eq. (1).

    Parameters
    ----------
    heat_transfer_coefficient
        k_v, W m⁻² K⁻¹, with respect to the outer area of the vial.
    shelf_temperature
        T_f, K, from 110 to 400 K, and not below the bottom's.
    bottom_temperature
        T_p, K, at the bottom of the vial, where the thermocouple is: k_v joins the shelf to it.
    area_ratio
        A_v/A_p, outer area of the vial over the product's; about 1.2, and 1 in the paper.

    Returns
    -------
    ndarray
        J_w, kg s⁻¹ m⁻² of the product's area.

    Examples
    --------
    >>> flux = float(vapour_flux(14.2, 263.15, 247.15, area_ratio=1.21))
    >>> print(f"{3600 * flux:.2f} kg per hour and square metre")
    0.35 kg per hour and square metre
    """
    shelf = _kelvin(shelf_temperature, "shelf ", 400.0)
    bottom = _kelvin(bottom_temperature)
    colder = shelf < bottom
    if np.any(colder):
        shelves, bottoms = np.broadcast_arrays(shelf, bottom)
        raise ValueError(
            f"the shelf at {shelves[colder][0]:g} K is colder than the bottom of the vial at "
            f"{bottoms[colder][0]:g} K: no heat flows in; check both values and their order"
        )
    supplied = np.asarray(heat_transfer_coefficient) * area_ratio * (shelf - bottom)
    flux: FloatArray = supplied / sublimation_enthalpy(bottom)
    return flux


def dried_thickness(time: npt.ArrayLike, flux: npt.ArrayLike, porosity: float) -> FloatArray:
    """L_d of the dried layer, m: ∫ J_w dt/(ρ_ice ε) from zero, by the trapezoidal rule.

    `time`: s, shape (n,); `flux`: J_w, kg s⁻¹ m⁻², shape (…, n); `porosity`: of the ice, (0, 1].
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
    thickness: FloatArray = sublimed / (ICE_DENSITY * porosity)
    return thickness


def front_temperature(
    bottom_temperature: npt.ArrayLike, flux: npt.ArrayLike, frozen_thickness: npt.ArrayLike
) -> FloatArray:
    """Temperature of the sublimation front, K: below the bottom's, K, by J_w ΔH_s/λ · thickness.

    The heat that the flux (kg s⁻¹ m⁻²) carries off has passed through the frozen layer (m).
    """
    bottom = _kelvin(bottom_temperature)
    heat = np.asarray(flux) * sublimation_enthalpy(bottom)
    front: FloatArray = bottom - heat * np.asarray(frozen_thickness) / ice_conductivity(bottom)
    return front


def mass_transfer_coefficient(
    flux: npt.ArrayLike,
    thickness: npt.ArrayLike,
    front_temperature: npt.ArrayLike,
    chamber_pressure: npt.ArrayLike,
) -> FloatArray:
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
        k_m, m² s⁻¹; a ValueError where the ice has less pressure than the chamber.

    Examples
    --------
    >>> k_m = mass_transfer_coefficient(1.0e-4, 3.5e-3, 246.5, 10.0)
    >>> print(f"{float(k_m):.2e} m²/s")
    9.13e-04 m²/s
    """
    temperature = _kelvin(front_temperature)
    driving = ice_vapour_pressure(temperature) - np.asarray(chamber_pressure)
    if np.any(driving <= 0):
        worst = np.unravel_index(np.argmin(driving), driving.shape)
        kelvin, chamber = np.broadcast_arrays(temperature, np.asarray(chamber_pressure))
        raise ValueError(
            f"ice at {kelvin[worst]:g} K has no higher vapour pressure than the chamber's "
            f"{chamber[worst]:g} Pa: nothing sublimes; check both values and their units"
        )
    flow = np.asarray(flux) * GAS_CONSTANT * temperature * np.asarray(thickness)
    coefficient: FloatArray = flow / (MOLAR_MASS_WATER * driving)
    return coefficient


def product_resistance(
    k_m: npt.ArrayLike, thickness: npt.ArrayLike, temperature: npt.ArrayLike
) -> FloatArray:
    """Resistance of the dried layer to vapour flow, R_p = (p_ice − p_c)/J_w; from Eq. (2).

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

    Examples
    --------
    >>> resistance = float(product_resistance(1.0e-3, 0.01, 250.0))
    >>> print(f"{resistance / CLASSIC_RESISTANCE:.1f} cm² Torr h/g for 1 cm of dried layer")
    24.0 cm² Torr h/g for 1 cm of dried layer
    """
    path = GAS_CONSTANT * _kelvin(temperature) * np.asarray(thickness)
    resistance: FloatArray = path / (MOLAR_MASS_WATER * np.asarray(k_m))
    return resistance


def _kelvin(temperature: npt.ArrayLike, of: str = "", greatest: float = TRIPLE_POINT) -> FloatArray:
    """Temperatures, of ice if not told otherwise, as an array; others are refused."""
    kelvin = np.asarray(temperature, dtype=np.float64)
    outside = kelvin[(kelvin < 110) | (kelvin > greatest)]
    if outside.size:
        raise ValueError(
            f"{of}temperature = {outside[0]:g} K: not from 110 to {greatest:g} K; give "
            "temperatures in kelvin"
        )
    return kelvin
