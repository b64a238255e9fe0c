"""A model of primary drying: one vial on a shelf, its temperatures and its drying time.

Quasi-steady: the heat that the shelf supplies goes into sublimation, none warms the ice. It passes
through the vial's bottom (k_v) and the frozen layer to the sublimation front; vapour passes from it
through the dried layer (k_m) into the chamber. The front is flat, and k_m the same throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from fesemlib.drying import equations
from fesemlib.drying.equations import GAS_CONSTANT, MOLAR_MASS_WATER, TRIPLE_POINT, FloatArray

_TRIPLE_PRESSURE = 611.657  # Pa
_COLDEST = 150.0  # K: the vapour pressure of ice is that of an ultra-high vacuum
_MOST_ROWS = 1_000_000
_WARMING_TIME = 900.0  # s: a dry vial takes the shelf's temperature exponentially; assumed

Values = FloatArray | float


class PrimaryDryingError(ValueError):
    """A vial or a cycle for which no primary drying can be computed."""


def _within(least: float, greatest: float, unit: str, **default: float) -> Any:
    """A field that is checked when its object is made."""
    return field(metadata={"within": (least, greatest, unit)}, **default)  # type: ignore[call-overload]


class _Checked:
    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            _check(each.name, getattr(self, each.name), *each.metadata["within"])


@dataclass(frozen=True)
class Vial(_Checked):
    """A vial, what is in it, and how well the shelf heats it."""

    # k_v, with respect to the vial's outer area
    heat_transfer_coefficient: float = _within(0.1, 1000, "in W m⁻² K⁻¹")
    ice_thickness: float = _within(1e-4, 0.1, "in m")  # of the frozen layer, ice and solids
    # Of the solution
    solids_mass_fraction: float = _within(1e-6, 0.5, "as a fraction", default=0.05)
    # Outer area of the vial over that of the product
    area_ratio: float = _within(0.5, 3, "as A_v/A_p", default=1.21)

    @property
    def porosity(self) -> float:
        """Volume fraction of the ice in the frozen layer, and of the pores in the cake."""
        return equations.porosity(100 * self.solids_mass_fraction)


@dataclass(frozen=True)
class Cycle(_Checked):
    """Shelf and chamber during primary drying: a ramp of the shelf, then a hold.

    Examples
    --------
    >>> PAPER_CYCLE.shelf_temperature([0, 1200, 3600]).round(2).tolist()
    [223.15, 243.15, 263.15]
    """

    start_temperature: float = _within(150, 400, "in K")  # of the shelf
    hold_temperature: float = _within(150, 400, "in K")
    ramp_rate: float = _within(1e-6, 0.2, "in K s⁻¹")  # from the one to the other
    chamber_pressure: float = _within(1e-3, _TRIPLE_PRESSURE, "in Pa")

    @property
    def ramp_time(self) -> float:
        """How long the ramp takes, s."""
        return abs(self.hold_temperature - self.start_temperature) / self.ramp_rate

    def shelf_temperature(self, time: npt.ArrayLike) -> FloatArray:
        """Temperature of the shelf, K, at these times, s."""
        times = [0.0, max(self.ramp_time, 1e-9)]
        temperatures = [self.start_temperature, self.hold_temperature]
        shelf: FloatArray = np.interp(np.asarray(time, dtype=np.float64), times, temperatures)
        return shelf


def _check(name: str, value: float, least: float, greatest: float, unit: str) -> None:
    if not (math.isfinite(value) and least <= value <= greatest):
        raise PrimaryDryingError(
            f"{name} = {value!r}: not from {least:g} to {greatest:g}; give it {unit}"
        )


# From −50 to −10 °C at 10 Pa (Section 2 of the paper); the rate, 1 K min⁻¹, is assumed.
PAPER_CYCLE = Cycle(223.15, 263.15, ramp_rate=1 / 60, chamber_pressure=10.0)


@dataclass(frozen=True)
class ResistanceLaw:
    """R_p = R_0 + A_1 L/(1 + A_2 L), m s⁻¹, of a dried layer of thickness L, m."""

    at_start: float  # R_0, m s⁻¹
    slope: float  # A_1, s⁻¹
    bend: float  # A_2, m⁻¹

    def __call__(self, thickness: npt.ArrayLike) -> FloatArray:
        """R_p, m s⁻¹, of this thickness, m."""
        depth = np.asarray(thickness, dtype=np.float64)
        resistance: FloatArray = self.at_start + self.slope * depth / (1 + self.bend * depth)
        return resistance


def simulate_primary_drying(
    k_m: float | ResistanceLaw, vial: Vial, cycle: Cycle, time_step: float = 60.0
) -> pd.DataFrame:
    """Primary drying of one vial, from the start of the ramp until its ice is gone.

    Parameters
    ----------
    k_m
        Mass transfer coefficient of the dried layer, m² s⁻¹; or the law of its resistance.
    vial, cycle
        The vial and what the freeze-dryer does.
    time_step
        Between the rows, s. The integration chooses its own steps.

    Returns
    -------
    DataFrame
        Columns ``time`` (s), ``shelf_temperature``, ``bottom_temperature``, ``front_temperature``
        (K), ``flux`` (kg s⁻¹ m⁻² of the product's area), ``dried_thickness`` (m) and
        ``dried_fraction``; the last row is the end. Until the ice has a higher vapour pressure than
        the chamber, nothing sublimes, and the vial has the shelf's temperature.

    Raises
    ------
    PrimaryDryingError
        When a value is impossible, nothing sublimes at the hold, or the ice would melt.

    References
    ----------
    Pikal, Journal of Parenteral Science and Technology 39 (1985) 115–139, for the balance.

    Examples
    --------
    >>> vial = Vial(heat_transfer_coefficient=14.2, ice_thickness=7e-3)
    >>> run = simulate_primary_drying(1.0e-3, vial, PAPER_CYCLE)
    >>> print(f"{drying_time(run) / 3600:.1f} h, at most {run['front_temperature'].max():.1f} K")
    17.0 h, at most 249.9 K
    """
    if not isinstance(k_m, ResistanceLaw):
        _check("k_m", k_m, 1e-8, 1.0, "in m² s⁻¹")
    balance = _Balance(k_m, vial, cycle)
    solved = balance.solved()
    end = float(solved.t[-1])
    _check("time_step", time_step, end / _MOST_ROWS, 1e9, "in s")
    times = np.append(np.arange(0.0, end * (1 - 1e-9), time_step), end)
    dried = np.where(times > solved.t[0], solved.sol(times)[0], 0.0)
    dried = np.clip(dried, 0.0, vial.ice_thickness)
    dried[-1] = vial.ice_thickness
    shelf = cycle.shelf_temperature(times)
    front = np.array(list(map(balance.front, shelf.tolist(), dried.tolist())))
    flux = balance.flux(shelf, dried, front)
    bottom = shelf - flux * equations.sublimation_enthalpy(front) / balance.outside
    if bottom.max() > TRIPLE_POINT:
        raise balance.melts(float(shelf[np.argmax(bottom)]))
    return pd.DataFrame(
        {
            "time": times,
            "shelf_temperature": shelf,
            "bottom_temperature": bottom,
            "front_temperature": front,
            "flux": flux,
            "dried_thickness": dried,
            "dried_fraction": dried / vial.ice_thickness,
        }
    )


def drying_time(run: pd.DataFrame) -> float:
    """How long a run of `simulate_primary_drying` takes, from the start of the ramp, s."""
    return float(run["time"].iloc[-1])


def recorded_drying(
    coefficients: Sequence[float],
    vial: Vial,
    cycle: Cycle,
    noise: float = 0.0,
    seed: int = 0,
    time_step: float = 120.0,
) -> pd.DataFrame:
    """A computed drying run of vials of these k_m, m² s⁻¹, as a freeze-dryer would record it.

    Columns as in a file, every `time_step` s, up to two hours after the last vial's ice is gone.
    `noise`: standard deviation of each reading of a thermocouple, K.
    """
    runs = [simulate_primary_drying(k_m, vial, cycle, time_step) for k_m in coefficients]
    times = np.arange(0.0, max(map(drying_time, runs)) + 7200, time_step)
    generator = np.random.default_rng(seed)
    shelf = cycle.shelf_temperature(times)
    table = {"time (h)": times / 3600, "T_shelf (°C)": shelf - 273.15}
    for number, run in enumerate(runs, start=1):
        read = np.interp(times, run["time"], run["bottom_temperature"])
        dry = np.maximum(times - drying_time(run), 0.0)
        read = shelf + (read - shelf) * np.exp(-dry / _WARMING_TIME)
        noisy = read + noise * generator.standard_normal(times.size)
        table[f"T_product_{number} (°C)"] = noisy - 273.15
    return pd.DataFrame({**table, "pressure (Pa)": cycle.chamber_pressure})


class _Balance:
    """Heat and mass at the sublimation front of one vial."""

    def __init__(self, k_m: float | ResistanceLaw, vial: Vial, cycle: Cycle) -> None:
        self.k_m, self.vial, self.cycle = k_m, vial, cycle
        self.outside = vial.heat_transfer_coefficient * vial.area_ratio  # W m⁻² K⁻¹ of the product
        self.ice = equations.ICE_DENSITY * vial.porosity  # kg m⁻³ of the frozen layer
        self.saturation = float(brentq(self._driving, _COLDEST, 273.1599))
        if cycle.hold_temperature <= self.saturation:
            raise PrimaryDryingError(
                f"hold_temperature = {cycle.hold_temperature:g} K: nothing sublimes into a chamber "
                f"at {cycle.chamber_pressure:g} Pa below {self.saturation:.2f} K; warm the shelf "
                "or lower the pressure"
            )

    def _driving(self, front: float) -> float:
        """Pressure that drives the vapour from a front, K, into the chamber, Pa."""
        return float(equations.ice_vapour_pressure(front)) - self.cycle.chamber_pressure

    def flux(self, shelf: Values, dried: Values, front: Values) -> FloatArray:
        """J_w, kg s⁻¹ m⁻² of the product's area, from the heat that reaches the front."""
        frozen = np.maximum(self.vial.ice_thickness - dried, 0.0)
        inside = frozen / equations.ice_conductivity(front)
        heat = (shelf - front) / (1 / self.outside + inside)
        flux: FloatArray = heat / equations.sublimation_enthalpy(front)
        return flux

    def excess(self, front: float, shelf: float, dried: float) -> float:
        """What drives the vapour less what the flux takes through the resistance R_p, Pa."""
        if isinstance(self.k_m, ResistanceLaw):
            resistance = float(self.k_m(dried))
        else:
            resistance = GAS_CONSTANT * front * dried / (MOLAR_MASS_WATER * self.k_m)
        return self._driving(front) - resistance * float(self.flux(shelf, dried, front))

    def front(self, shelf: float, dried: float) -> float:
        """Temperature of the front, K: where sublimation takes the heat that is supplied."""
        if shelf <= self.saturation:
            return shelf
        if self.excess(self.saturation, shelf, dried) >= 0:  # by rounding, with no layer
            return self.saturation
        warmest = min(shelf, TRIPLE_POINT)
        if self.excess(warmest, shelf, dried) < 0:
            raise self.melts(shelf)
        return float(brentq(self.excess, self.saturation, warmest, (shelf, dried), xtol=1e-9))

    def rate(self, time: float, state: FloatArray) -> list[float]:
        """Growth of the dried layer, m s⁻¹; for `solve_ivp`."""
        shelf = float(self.cycle.shelf_temperature(time))
        dried = float(np.clip(state[0], 0.0, self.vial.ice_thickness))
        return [float(self.flux(shelf, dried, self.front(shelf, dried))) / self.ice]

    def solved(self) -> Any:
        """The dried thickness, m, solved from where ice begins to sublime until it is gone."""
        cycle, thickness = self.cycle, self.vial.ice_thickness
        cold = max(self.saturation - cycle.start_temperature, 0.0) / cycle.ramp_rate

        def gone(_: float, state: FloatArray) -> float:
            return float(state[0]) - thickness

        gone.terminal = True  # type: ignore[attr-defined]  # solve_ivp reads it
        return solve_ivp(
            self.rate,
            (cold, 1e20),  # it ends before
            [0.0],
            method="LSODA",
            events=gone,
            dense_output=True,
            first_step=1.0,
            rtol=1e-7,
            atol=1e-7 * thickness,
        )

    def melts(self, shelf: float) -> PrimaryDryingError:
        """The error for a shelf that is too warm."""
        cake = "this R_p" if isinstance(self.k_m, ResistanceLaw) else f"k_m = {self.k_m:g} m² s⁻¹"
        return PrimaryDryingError(
            f"with the shelf at {shelf:g} K and {cake} the ice would reach "
            f"{TRIPLE_POINT} K and melt; cool the shelf"
        )
