"""A model of primary drying: one vial on a shelf, its temperatures and its drying time.

Quasi-steady: at every instant the heat that the shelf supplies goes into sublimation, so that what
warms the ice itself is neglected. Heat passes from the shelf to the bottom of the vial (k_v),
through the frozen layer (the conductivity of ice) to the sublimation front; vapour passes from it
through the dried layer (k_m) into the chamber. The front is flat, and k_m is the same throughout
the cake.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from fesemlib.drying.equations import (
    GAS_CONSTANT,
    ICE_DENSITY,
    MOLAR_MASS_WATER,
    ice_conductivity,
    ice_vapour_pressure,
    porosity,
    sublimation_enthalpy,
)

_TRIPLE_POINT = 273.16  # K
_TRIPLE_PRESSURE = 611.657  # Pa
_COLDEST = 150.0  # K: the vapour pressure of ice is that of an ultra-high vacuum
_MOST_ROWS = 1_000_000


class PrimaryDryingError(ValueError):
    """A vial or a cycle for which no primary drying can be computed."""


@dataclass(frozen=True)
class Vial:
    """A vial, what is in it, and how well the shelf heats it.

    Parameters
    ----------
    heat_transfer_coefficient
        k_v, W m⁻² K⁻¹, with respect to the outer area of the vial.
    ice_thickness
        Thickness of the frozen layer, ice and solids, m.
    solids_mass_fraction
        Of the solution, in (0, 0.5].
    area_ratio
        Outer area of the vial over that of the product, A_v/A_p.

    Raises
    ------
    PrimaryDryingError
        For a value that no vial has, as one in another unit.

    Examples
    --------
    >>> vial = Vial(heat_transfer_coefficient=14.2, ice_thickness=7e-3)
    >>> print(f"{vial.porosity:.3f}")
    0.969
    >>> try:
    ...     Vial(heat_transfer_coefficient=14.2, ice_thickness=7.0)
    ... except PrimaryDryingError as error:
    ...     print(error)
    ice_thickness = 7.0: not from 0.0001 to 0.1; give it in m
    """

    heat_transfer_coefficient: float
    ice_thickness: float
    solids_mass_fraction: float = 0.05
    area_ratio: float = 1.21

    def __post_init__(self) -> None:
        _check("heat_transfer_coefficient", self.heat_transfer_coefficient, 0.1, 1000, "W m⁻² K⁻¹")
        _check("ice_thickness", self.ice_thickness, 1e-4, 0.1, "m")
        _check("solids_mass_fraction", self.solids_mass_fraction, 1e-6, 0.5, "as a fraction")
        _check("area_ratio", self.area_ratio, 0.5, 3, "as A_v/A_p")

    @property
    def porosity(self) -> float:
        """Volume fraction of the ice in the frozen layer, and of the pores in the cake."""
        return porosity(100 * self.solids_mass_fraction)


@dataclass(frozen=True)
class Cycle:
    """Shelf and chamber during primary drying: a ramp of the shelf, then a hold.

    Parameters
    ----------
    start_temperature, hold_temperature
        Of the shelf, K.
    ramp_rate
        From the one to the other, K s⁻¹; 1 K min⁻¹ is 0.0167 K s⁻¹.
    chamber_pressure
        Pa.

    Raises
    ------
    PrimaryDryingError
        For a value that no cycle has, as one in another unit.

    Examples
    --------
    >>> round(PAPER_CYCLE.ramp_time / 60)  # minutes
    40
    >>> PAPER_CYCLE.shelf_temperature([0, 1200, 3600]).round(2).tolist()
    [223.15, 243.15, 263.15]
    """

    start_temperature: float
    hold_temperature: float
    ramp_rate: float
    chamber_pressure: float

    def __post_init__(self) -> None:
        _check("start_temperature", self.start_temperature, 150, 400, "K")
        _check("hold_temperature", self.hold_temperature, 150, 400, "K")
        _check("ramp_rate", self.ramp_rate, 1e-6, 0.2, "K s⁻¹")
        _check("chamber_pressure", self.chamber_pressure, 1e-3, _TRIPLE_PRESSURE, "Pa")

    @property
    def ramp_time(self) -> float:
        """How long the ramp takes, s."""
        return abs(self.hold_temperature - self.start_temperature) / self.ramp_rate

    def shelf_temperature(self, time: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Temperature of the shelf, K, at these times, s."""
        temperature: npt.NDArray[np.float64] = np.interp(
            np.asarray(time, dtype=np.float64),
            [0.0, max(self.ramp_time, 1e-9)],
            [self.start_temperature, self.hold_temperature],
        )
        return temperature


def simulate_primary_drying(
    k_m: float, vial: Vial, cycle: Cycle, time_step: float = 60.0
) -> pd.DataFrame:
    """Primary drying of one vial, from the start of the ramp until its ice is gone.

    Parameters
    ----------
    k_m
        Mass transfer coefficient of the dried layer, m² s⁻¹.
    vial, cycle
        The vial and what the freeze-dryer does.
    time_step
        Between the rows, s. The integration chooses its own steps.

    Returns
    -------
    DataFrame
        Columns ``time`` (s), ``shelf_temperature``, ``bottom_temperature``, ``front_temperature``
        (K), ``flux`` (kg s⁻¹ m⁻² of the product's area), ``dried_thickness`` (m) and
        ``dried_fraction``. The last row is the end of sublimation. While the ice has no higher
        vapour pressure than the chamber, nothing sublimes, and the vial has the shelf's
        temperature.

    Raises
    ------
    PrimaryDryingError
        When `k_m` or `time_step` is not a positive number, nothing sublimes at the hold
        temperature, or the ice would melt.

    References
    ----------
    Eqs. (1) and (2). Pikal, Journal of Parenteral Science and Technology 39 (1985) 115–139, for
    the balance of heat and mass at the front.

    Examples
    --------
    >>> vial = Vial(heat_transfer_coefficient=14.2, ice_thickness=7e-3)
    >>> run = simulate_primary_drying(1.0e-3, vial, PAPER_CYCLE)
    >>> warmest = run["front_temperature"].max()
    >>> print(f"{drying_time(run) / 3600:.1f} h, the front at most at {warmest:.1f} K")
    17.0 h, the front at most at 249.9 K
    """
    _check("k_m", k_m, 1e-8, 1.0, "m² s⁻¹")
    if not (math.isfinite(time_step) and time_step > 0):
        raise PrimaryDryingError(f"time_step = {time_step!r}: not a positive number of seconds")
    saturation = _saturation_temperature(cycle.chamber_pressure)
    if cycle.hold_temperature <= saturation:
        raise PrimaryDryingError(
            f"hold_temperature = {cycle.hold_temperature:g} K: nothing sublimes into a chamber at "
            f"{cycle.chamber_pressure:g} Pa below {saturation:.2f} K; warm the shelf or lower the "
            "pressure"
        )
    balance = _Balance(k_m, vial, cycle, saturation)
    pieces = _integrated(balance)
    end = pieces[-1].stop
    if end / time_step > _MOST_ROWS:
        raise PrimaryDryingError(
            f"time_step = {time_step:g} s: a drying of {end:.0f} s would have more than "
            f"{_MOST_ROWS} rows; take a longer step"
        )
    times = np.append(np.arange(0.0, end * (1 - 1e-9), time_step), end)
    dried = np.zeros_like(times)
    for piece in pieces:
        inside = (times >= piece.start) & (times <= piece.stop)
        if inside.any():
            dried[inside] = piece.thickness(times[inside])[0]
    dried = np.clip(dried, 0.0, vial.ice_thickness)
    dried[-1] = vial.ice_thickness
    return balance.table(times, dried)


def drying_time(run: pd.DataFrame) -> float:
    """How long primary drying takes, from the start of the ramp, s.

    Parameters
    ----------
    run
        Of `simulate_primary_drying`.

    Examples
    --------
    >>> vial = Vial(heat_transfer_coefficient=14.2, ice_thickness=7e-3)
    >>> runs = [simulate_primary_drying(k_m, vial, PAPER_CYCLE) for k_m in (1.9e-3, 2.8e-4)]
    >>> print([f"{drying_time(run) / 3600:.1f} h" for run in runs])  # formulations A and I
    ['14.2 h', '27.9 h']
    """
    return float(run["time"].iloc[-1])


@dataclass(frozen=True)
class _Piece:
    """A part of the drying during which the shelf warms evenly, or not at all."""

    start: float  # s
    stop: float  # s
    dried: float  # m, at the end
    finished: bool  # whether all ice is gone then
    thickness: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]  # m, at times in s


@dataclass(frozen=True)
class _Balance:
    """Heat and mass at the sublimation front of one vial."""

    k_m: float
    vial: Vial
    cycle: Cycle
    saturation: float  # K, where the ice has the pressure of the chamber

    def conductance(self, frozen: float, front: float) -> float:
        """From the shelf to the front, W m⁻² K⁻¹ of the product's area."""
        vial = self.vial
        outside = 1 / (vial.heat_transfer_coefficient * vial.area_ratio)
        return 1 / (outside + frozen / float(ice_conductivity(front)))

    def excess(self, front: float, shelf: float, dried: float) -> float:
        """Heat that sublimation would take less the heat supplied, times the dried thickness."""
        driving = float(ice_vapour_pressure(front)) - self.cycle.chamber_pressure
        vapour = self.k_m * MOLAR_MASS_WATER / (GAS_CONSTANT * front) * driving
        frozen = max(self.vial.ice_thickness - dried, 0.0)
        supplied = self.conductance(frozen, front) * (shelf - front)
        return vapour * float(sublimation_enthalpy(front)) - dried * supplied

    def front(self, shelf: float, dried: float) -> float:
        """Temperature of the front, K: where sublimation takes the heat that is supplied."""
        if shelf <= self.saturation:
            return shelf
        warmest = min(shelf, _TRIPLE_POINT)
        if dried <= 0:
            return self.saturation
        if self.excess(warmest, shelf, dried) < 0:
            raise self.melts(shelf)
        if self.excess(self.saturation, shelf, dried) >= 0:  # a hair above, by rounding
            return self.saturation
        return float(brentq(self.excess, self.saturation, warmest, (shelf, dried), xtol=1e-9))

    def flux(self, shelf: float, dried: float, front: float) -> float:
        """J_w, kg s⁻¹ m⁻², from the heat supplied."""
        frozen = max(self.vial.ice_thickness - dried, 0.0)
        heat = self.conductance(frozen, front) * (shelf - front)
        return heat / float(sublimation_enthalpy(front))

    def rate(self, time: float, state: npt.NDArray[np.float64]) -> list[float]:
        """Growth of the dried layer, m s⁻¹; for `solve_ivp`."""
        shelf = float(self.cycle.shelf_temperature(time))
        dried = float(np.clip(state[0], 0.0, self.vial.ice_thickness))
        flux = self.flux(shelf, dried, self.front(shelf, dried))
        return [flux / (ICE_DENSITY * self.vial.porosity)]

    def longest(self) -> float:
        """A time by which all ice is gone, s: at the hold, with both layers at their thickest."""
        shelf, thickness = self.cycle.hold_temperature, self.vial.ice_thickness
        slowest = self.flux(shelf, 0.0, self.front(shelf, thickness))
        return self.cycle.ramp_time + thickness * ICE_DENSITY * self.vial.porosity / slowest

    def melts(self, shelf: float) -> PrimaryDryingError:
        """The error for a shelf that is too warm."""
        return PrimaryDryingError(
            f"with the shelf at {shelf:g} K and k_m = {self.k_m:g} m² s⁻¹ the ice would reach "
            f"{_TRIPLE_POINT} K and melt; cool the shelf"
        )

    def table(self, times: npt.NDArray[np.float64], dried: npt.NDArray[np.float64]) -> pd.DataFrame:
        """All columns of the result."""
        shelf = self.cycle.shelf_temperature(times)
        pairs = list(zip(shelf.tolist(), dried.tolist(), strict=True))
        front = np.array([self.front(*pair) for pair in pairs])
        flux = np.array(
            [self.flux(*pair, ice) for pair, ice in zip(pairs, front.tolist(), strict=True)]
        )
        vial = self.vial
        outside = vial.heat_transfer_coefficient * vial.area_ratio
        bottom = shelf - flux * sublimation_enthalpy(front) / outside
        if bottom.max() > _TRIPLE_POINT:
            raise self.melts(float(shelf[np.argmax(bottom)]))
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


def _integrated(balance: _Balance) -> list[_Piece]:
    """The ramp, from where it is warm enough, and the hold, if any ice is left for it."""
    cycle = balance.cycle
    cold = max(balance.saturation - cycle.start_temperature, 0.0) / cycle.ramp_rate
    pieces: list[_Piece] = []
    if cold < cycle.ramp_time:
        pieces.append(_piece(balance, cold, cycle.ramp_time, 0.0))
    if not pieces or not pieces[-1].finished:
        dried = pieces[-1].dried if pieces else 0.0
        pieces.append(_piece(balance, cycle.ramp_time, 1.01 * balance.longest(), dried))
    if not pieces[-1].finished:
        raise PrimaryDryingError(
            f"the ice is not gone after {pieces[-1].stop:.0f} s; check "
            f"k_m = {balance.k_m:g} m² s⁻¹, the vial and the cycle"
        )
    return pieces


def _piece(balance: _Balance, start: float, stop: float, dried: float) -> _Piece:
    """Integrate the dried thickness, m, from one time to another, s, or until the ice is gone."""
    thickness = balance.vial.ice_thickness

    def gone(_: float, state: npt.NDArray[np.float64]) -> float:
        return float(state[0]) - thickness

    gone.terminal = True  # type: ignore[attr-defined]  # solve_ivp reads it
    solution = solve_ivp(
        balance.rate,
        (start, stop),
        [dried],
        method="LSODA",
        events=gone,
        dense_output=True,
        rtol=1e-7,
        atol=1e-7 * thickness,
    )
    return _Piece(
        start=start,
        stop=float(solution.t[-1]),
        dried=float(solution.y[0, -1]),
        finished=solution.status == 1,
        thickness=solution.sol,
    )


def _saturation_temperature(pressure: float) -> float:
    """Where ice has this vapour pressure, K."""
    return float(
        brentq(lambda kelvin: float(ice_vapour_pressure(kelvin)) - pressure, _COLDEST, 273.1599)
    )


def _check(name: str, value: float, least: float, greatest: float, unit: str) -> None:
    if not (math.isfinite(value) and least <= value <= greatest):
        raise PrimaryDryingError(
            f"{name} = {value!r}: not from {least:g} to {greatest:g}; give it {_in(unit)}"
        )


def _in(unit: str) -> str:
    return unit if unit.startswith("as ") else f"in {unit}"


PAPER_CYCLE = Cycle(
    start_temperature=223.15, hold_temperature=263.15, ramp_rate=1 / 60, chamber_pressure=10.0
)
"""From −50 to −10 °C at 10 Pa (Section 2 of the paper); the rate, 1 K min⁻¹, is assumed."""
