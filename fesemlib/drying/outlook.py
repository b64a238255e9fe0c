"""What a predicted k_m means for drying: how long it takes, and how warm the front becomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fesemlib.drying.calibration import vial_of
from fesemlib.drying.vial import (
    Cycle,
    PrimaryDryingError,
    ResistanceLaw,
    Vial,
    drying_time,
    simulate_primary_drying,
)
from fesemlib.params import Parameters

_TIME_STEP = 300.0  # s, between the points of a curve


@dataclass(frozen=True)
class Case:
    """The drying of one vial with one k_m, or the problem why it cannot be."""

    run: pd.DataFrame | None  # of `simulate_primary_drying`
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
    """The drying of a micrograph's cake, as predicted and at both ends of the interval."""

    image: str
    predicted: Case
    slow: Case | None  # at the lower end of the interval; None where it is not bounded
    fast: Case | None


def cycle_of(parameters: Parameters) -> Cycle:
    """The cycle that the parameters describe."""
    return Cycle(
        start_temperature=parameters.shelf_start_k,
        hold_temperature=parameters.shelf_hold_k,
        ramp_rate=parameters.shelf_ramp_k_per_min / 60,
        chamber_pressure=parameters.chamber_pressure_pa,
    )


def case_of(k_m: float | ResistanceLaw, vial: Vial, cycle: Cycle) -> Case:
    """The drying with one k_m, m² s⁻¹, or a law of the resistance."""
    try:
        return Case(simulate_primary_drying(k_m, vial, cycle, _TIME_STEP))
    except PrimaryDryingError as error:
        return Case(None, str(error))


def outlook_of(
    image: str, k_m: float, k_m_low: float, k_m_high: float, parameters: Parameters
) -> Outlook:
    """Simulate the drying that a prediction promises.

    Parameters
    ----------
    image, parameters
        The micrograph's name; the vial and the cycle.
    k_m, k_m_low, k_m_high
        Its prediction and the ends of its interval, m² s⁻¹.

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
    """
    drying = vial_of(parameters), cycle_of(parameters)
    return Outlook(
        image=image,
        predicted=case_of(k_m, *drying),
        slow=case_of(k_m_low, *drying) if k_m_low > 0 else None,
        fast=case_of(k_m_high, *drying) if math.isfinite(k_m_high) else None,
    )


def outlook_table(outlooks: Sequence[Outlook], collapse_temperature: float) -> pd.DataFrame:
    """Times (s), warmest fronts (K) and whether these stay below the collapse temperature (K).

    Indexed by micrograph, ``_slow`` and ``_fast`` for the ends of the interval; missing: unbounded.
    """
    rows = {}
    for outlook in outlooks:
        cases = [("", outlook.predicted), ("_slow", outlook.slow), ("_fast", outlook.fast)]
        time = {f"time{end}": case.time if case else math.nan for end, case in cases}
        front = {f"front{end}": case.warmest_front if case else math.nan for end, case in cases}
        rows[outlook.image] = {
            **time,
            **front,
            "stays_below": front["front"] < collapse_temperature,
            "stays_below_slow": front["front_slow"] < collapse_temperature,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("image")
