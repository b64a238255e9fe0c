"""What a predicted k_m means for drying: how long it takes, and how warm the front becomes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from fesemlib.drying.coefficients import vial_of
from fesemlib.drying.vial import (
    Cycle,
    PrimaryDryingError,
    Vial,
    drying_time,
    simulate_primary_drying,
)
from fesemlib.params import Parameters

_TIME_STEP = 300.0  # s, between the points of a curve


@dataclass(frozen=True)
class Case:
    """The drying of one vial with one k_m.

    Attributes
    ----------
    k_m
        m² s⁻¹.
    run
        From `fesemlib.drying.vial.simulate_primary_drying`; None where it cannot be.
    problem
        Why it cannot be; empty if it can.
    """

    k_m: float
    run: pd.DataFrame | None
    problem: str = ""

    @property
    def time(self) -> float:
        """Of primary drying, s; infinite where it does not come to its end."""
        return math.inf if self.run is None else drying_time(self.run)

    @property
    def warmest_front(self) -> float:
        """The greatest temperature of the sublimation front, K; infinite where the ice melts."""
        return math.inf if self.run is None else float(self.run["front_temperature"].max())


@dataclass(frozen=True)
class Outlook:
    """The drying of a micrograph's cake: as predicted, and at both ends of the interval.

    Attributes
    ----------
    image
        The micrograph.
    predicted
        With the predicted k_m.
    slow, fast
        With the lower and the upper end of the interval; None where that end is not bounded.
    """

    image: str
    predicted: Case
    slow: Case | None
    fast: Case | None

    @property
    def worst(self) -> Case:
        """The slow case, where there is one; the interval does not exclude a slower one."""
        return self.slow or self.predicted


def cycle_of(parameters: Parameters) -> Cycle:
    """The cycle that the parameters describe.

    Parameters
    ----------
    parameters
        `shelf_start_k`, `shelf_hold_k`, `shelf_ramp_k_per_min` and `chamber_pressure_pa` are used.

    Examples
    --------
    >>> cycle_of(Parameters()).hold_temperature
    263.15
    """
    return Cycle(
        start_temperature=parameters.shelf_start_k,
        hold_temperature=parameters.shelf_hold_k,
        ramp_rate=parameters.shelf_ramp_k_per_min / 60,
        chamber_pressure=parameters.chamber_pressure_pa,
    )


def outlook_of(
    image: str, k_m: float, k_m_low: float, k_m_high: float, parameters: Parameters
) -> Outlook:
    """Simulate the drying that a prediction promises.

    Parameters
    ----------
    image
        The micrograph's name.
    k_m, k_m_low, k_m_high
        Its prediction and the ends of its interval, m² s⁻¹.
    parameters
        Those of `fesemlib.drying.coefficients.vial_of` and `cycle_of`.

    Raises
    ------
    PrimaryDryingError
        When the vial or the cycle is none.

    Examples
    --------
    >>> outlook = outlook_of("new.tif", 1e-3, 5e-4, 2e-3, Parameters())
    >>> cases = (outlook.fast, outlook.predicted, outlook.slow)
    >>> print([f"{case.time / 3600:.0f} h" for case in cases])
    ['14 h', '17 h', '22 h']
    >>> outlook.worst is outlook.slow
    True
    """
    vial, cycle = vial_of(parameters), cycle_of(parameters)
    return Outlook(
        image=image,
        predicted=_case(k_m, vial, cycle),
        slow=_case(k_m_low, vial, cycle) if k_m_low > 0 else None,
        fast=_case(k_m_high, vial, cycle) if math.isfinite(k_m_high) else None,
    )


def outlook_table(outlooks: list[Outlook], collapse_temperature: float) -> pd.DataFrame:
    """Times and temperatures of all micrographs.

    Parameters
    ----------
    outlooks
        From `outlook_of`.
    collapse_temperature
        K.

    Returns
    -------
    DataFrame
        Indexed by micrograph: ``time, time_slow, time_fast`` (s), ``front, front_slow, front_fast``
        (the warmest, K), and ``stays_below, stays_below_slow`` (the collapse temperature). What is
        not bounded is missing; where the ice melts, time and front are infinite.

    Examples
    --------
    >>> outlook = outlook_of("new.tif", 1e-3, 5e-4, 2e-3, Parameters())
    >>> table = outlook_table([outlook], collapse_temperature=250.0)
    >>> table.loc["new.tif", ["stays_below", "stays_below_slow"]].to_dict()
    {'stays_below': True, 'stays_below_slow': False}
    """
    rows = {}
    for outlook in outlooks:
        slow, fast = outlook.slow, outlook.fast
        rows[outlook.image] = {
            "time": outlook.predicted.time,
            "time_slow": slow.time if slow else math.nan,
            "time_fast": fast.time if fast else math.nan,
            "front": outlook.predicted.warmest_front,
            "front_slow": slow.warmest_front if slow else math.nan,
            "front_fast": fast.warmest_front if fast else math.nan,
            "stays_below": outlook.predicted.warmest_front < collapse_temperature,
            "stays_below_slow": bool(slow and slow.warmest_front < collapse_temperature),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("image")


def _case(k_m: float, vial: Vial, cycle: Cycle) -> Case:
    try:
        return Case(k_m, simulate_primary_drying(k_m, vial, cycle, _TIME_STEP))
    except PrimaryDryingError as error:
        return Case(k_m, None, str(error))
