"""What the end of a drying run tells of the heat transfer coefficient k_v: the ice balance.

By Eq. (1) the ice that has sublimed is proportional to k_v, and at the end of drying it is all of
the ice: its thickness over what k_v = 1 would have dried until then is k_v.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.ndimage import median_filter

from fesemlib.drying.coefficients import course_of, measured_in, subliming_in
from fesemlib.drying.equations import FloatArray
from fesemlib.drying.records import DryingRun, DryingRunError, read_drying_run
from fesemlib.drying.vial import Vial
from fesemlib.params import Parameters

_ICE_STRETCH = (0.5, 0.8)  # of the time until a reading meets the shelf: surely on ice
_FALL = (0.9, 0.5, 0.1)  # levels at which a fall begins, is halfway and ends
_LEAST_LEAD = 0.5  # of the shelf over ice, as the line goes on, over what it was
_LEAST_GAP = 3.0  # K by which the shelf leads over subliming ice
_SHELF_MOVED = 2.0  # K from where it was: the shelf has left its set point
_LEAST_FALL = 0.1  # of the Pirani gauge's ratio to the capacitance gauge's; nitrogen's is 1
_SMOOTHING = 9  # readings in the running median of that ratio
_ALIKE = 1.3  # factor within which vials may differ; beyond, contact was lost
_POSSIBLE = (2.0, 100.0)  # W m⁻² K⁻¹, of the k_v of a vial
_LEAST_CONTACT = 0.8  # of the drying, in which a thermocouple has to have read ice


_MISSING = {
    "temperatures": "no thermocouple comes to a shelf that stays at its set point",
    "pirani": "no Pirani gauge comes down to the capacitance gauge",
}
_MISSING["auto"] = "; ".join(_MISSING.values())
_OUTSIDE = "no thermocouple reads subliming ice until then"


@dataclass(frozen=True)
class Calibration:
    """What the end of drying says of the vials' k_v; see `calibrate`."""

    ends: pd.DataFrame
    source: str = ""  # of the ends that count; empty where there is none

    @property
    def counted(self) -> pd.DataFrame:
        """The ends that count, a row for each thermocouple."""
        return self.ends[self.ends["source"] == self.source]

    @property
    def heat_transfer_coefficient(self) -> float:
        """k_v, W m⁻² K⁻¹: the median over the thermocouples; NaN where there is no end."""
        return float(self.counted["k_v"].median())

    @property
    def of_vials(self) -> dict[str, float]:
        """The k_v of thermocouples that show their own end, unless it is far from the others'."""
        if self.source != "temperatures":
            return {}
        own = self.counted.set_index("thermocouple")["k_v"]
        away = own / self.heat_transfer_coefficient
        return dict(own[away.between(1 / _ALIKE, _ALIKE)])

    @property
    def uncertainty_percent(self) -> float:
        """Standard uncertainty of a vial's k_v from that of its end, which vials may share."""
        return float(self.counted["uncertainty_percent"].median())

    @property
    def mean_gap(self) -> float:
        """How much warmer the shelf was than the bottoms until the end, K, averaged over time."""
        return float(self.counted["mean_gap"].median())


def vial_of(parameters: Parameters, run: DryingRun | None = None) -> Vial:
    """The vials that the parameters describe; their k_v may come from the record of a run.

    Raises DryingRunError where the record (read here if not given) does not reach the end.
    """
    told = parameters.heat_transfer_coefficient
    vial = Vial(
        heat_transfer_coefficient=told if isinstance(told, float) else 1.0,
        ice_thickness=parameters.ice_thickness_mm / 1000,
        solids_mass_fraction=parameters.solids_percent / 100,
        area_ratio=parameters.area_ratio,
    )
    if isinstance(told, float):
        return vial
    if not parameters.drying_run and run is None:
        raise DryingRunError(
            "heat_transfer_coefficient = from_end_of_drying, but no record is named to take it "
            "from; set drying_run, or give a number"
        )
    run, end = run or read_drying_run(parameters.drying_run), parameters.end_of_drying
    k_v = calibrate(run, vial, end).heat_transfer_coefficient
    if np.isnan(k_v):
        raise DryingRunError(
            f"{run.name}: the end of drying is not in it: {_MISSING.get(str(end), _OUTSIDE)} "
            f"(end_of_drying = {end}, and the record goes from {run.time[0] / 3600:.2f} to "
            f"{run.time[-1] / 3600:.2f} h); give the end in hours of the record, or "
            "heat_transfer_coefficient as a number"
        )
    if not _POSSIBLE[0] <= k_v <= _POSSIBLE[1]:
        raise DryingRunError(
            f"{run.name}: with end_of_drying = {end}, k_v would be {k_v:.3g} W m⁻² K⁻¹, which no "
            "vial has; check it, ice_thickness_mm and area_ratio"
        )
    return replace(vial, heat_transfer_coefficient=k_v)


def calibrate(run: DryingRun, vial: Vial, end: str | float = "auto") -> Calibration:
    """The k_v that makes the ice of a run end when the drying did.

    Parameters
    ----------
    run, vial
        The record, and the vials in it; their k_v does not matter.
    end
        Which end counts: ``temperatures`` (each thermocouple's, halfway from ice to shelf),
        ``pirani`` (halfway from vapour to nitrogen), hours as the record counts them, taken as
        exact, or ``auto``: the first of these two that is there.

    Returns
    -------
    Calibration
        ``ends``: ``thermocouple``, ``source``, ``end``, ``end_uncertainty`` (s; of an end
        somewhere between beginning and end of the fall), ``k_v`` (W m⁻² K⁻¹),
        ``uncertainty_percent`` (of k_v, from the end alone), ``mean_gap`` (K).

    References
    ----------
    Patel, Doen & Pikal, AAPS PharmSciTech 11 (2010) 73–84, for the ends.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from fesemlib.drying.vial import PAPER_CYCLE, recorded_drying
    >>> vial = Vial(heat_transfer_coefficient=14.2, ice_thickness=7e-3)
    >>> with TemporaryDirectory() as folder:
    ...     recorded_drying([1.4e-3, 1.5e-3], vial, PAPER_CYCLE).to_csv(f"{folder}/run.csv")
    ...     found = calibrate(read_drying_run(f"{folder}/run.csv"), vial)
    >>> print(f"{found.heat_transfer_coefficient:.1f} ± {found.uncertainty_percent:.1f} %")
    14.1 ± 0.7 %
    """
    rows: list[dict[str, object]] = []
    told = f"{end:g} h" if isinstance(end, float | int) else ""
    for name in map(str, run.product_temperatures.dropna(axis="columns", how="all")):
        bottom = run.product_temperatures[name].to_numpy()
        own = _end_on_shelf(run, bottom)
        held, contact = _held(run.time, bottom, own)
        course = course_of(measured_in(run, held), vial, 1.0, False)
        if not course["flux"].any():
            continue
        found = {
            "temperatures": own,
            "pirani": _end_by_pirani(run, course["flux"]),
            told: (0, 3600 * float(end), 0.0) if told else None,
        }
        started = run.time[int(np.argmax(course["dried_thickness"] > 0))]
        latest = min(contact / _LEAST_CONTACT, run.time[-1])
        for source, fall in found.items():
            if fall and started < fall[1] <= latest:
                balance = _balance(course, vial, *fall[1:])
                rows.append({"thermocouple": name, "source": source, **balance})
    columns = ["thermocouple", "source", "end", "end_uncertainty", "k_v", "uncertainty_percent"]
    ends = pd.DataFrame(rows, columns=[*columns, "mean_gap"])
    wanted = ["temperatures", "pirani"] if end == "auto" else [told or str(end)]
    there = [source for source in wanted if (ends["source"] == source).any()]
    return Calibration(ends, there[0] if there else "")


# A fall: the place where it begins, the time at which it is halfway, and the uncertainty of that.
_Fall = tuple[int, float, float]


def _fall(time: FloatArray, level: FloatArray, start: int) -> _Fall | None:
    """The fall of a level from 1 to 0 after a place; None where it does not come down.

    The end lies somewhere between its beginning and its end: a uniform distribution.
    """
    low = np.flatnonzero(level[start:] <= _FALL[2])
    if low.size == 0:
        return None
    reached = start + int(low[0])
    first, half, last = (
        int(np.flatnonzero(np.append(True, level[start:reached] > share))[-1]) + start
        for share in _FALL
    )
    return first, float(time[half]), float(time[last] - time[first]) / np.sqrt(12)


def _end_on_shelf(run: DryingRun, bottom: FloatArray) -> _Fall | None:
    """The fall of the shelf's lead over a thermocouple, from what a line through it on ice has."""
    subliming = subliming_in(run.shelf_temperature, bottom, run.chamber_pressure)
    gap = np.nan_to_num(run.shelf_temperature - bottom, nan=0.0)
    gap[: int(np.argmax(subliming))] = 0.0
    most = np.maximum.accumulate(gap)  # a later ramp of the shelf has another one
    came_down = (most > _LEAST_GAP) & (gap <= _FALL[2] * most)
    if not subliming.any() or not came_down.any():
        return None
    warmest = int(np.argmax(gap[: int(np.argmax(came_down))]))
    rough = _fall(run.time, gap / gap[warmest], warmest)
    assert rough is not None  # as it came down
    since = (run.time - run.time[warmest]) / (rough[1] - run.time[warmest])
    on_ice = (since >= _ICE_STRETCH[0]) & (since <= _ICE_STRETCH[1]) & (gap > 0)
    hold = run.shelf_temperature[on_ice]
    down = int(np.argmax(came_down))
    if on_ice.sum() < 2 or abs(run.shelf_temperature[down] - np.median(hold)) > _SHELF_MOVED:
        return None  # a dry vial follows a ramp late, and seems to hold ice
    line = np.polyval(np.polyfit(since[on_ice], gap[on_ice], 1), since)
    expected = np.maximum(line, _LEAST_LEAD * np.median(gap[on_ice]))
    return _fall(run.time, gap / expected, warmest)


def _held(time: FloatArray, bottom: FloatArray, own: _Fall | None) -> tuple[FloatArray, float]:
    """The readings, K, the last one on ice kept for all that follow, and its time, s."""
    last = own[0] if own else int(np.flatnonzero(np.isfinite(bottom))[-1])
    return np.where(np.arange(bottom.size) > last, bottom[last], bottom), float(time[last])


def _end_by_pirani(run: DryingRun, flux: FloatArray) -> _Fall | None:
    """The fall of the Pirani gauge's ratio to the other's, which is about 1.6 in vapour."""
    if run.pirani_pressure is None:
        return None
    known = np.isfinite(run.pirani_pressure) & (run.chamber_pressure > 0)
    known[: int(np.argmax(flux > 0))] = False
    if known.sum() <= _SMOOTHING:
        return None
    time, ratio = run.time[known], (run.pirani_pressure / run.chamber_pressure)[known]
    ratio = median_filter(ratio, _SMOOTHING, mode="nearest")
    vapour, least = float(np.median(ratio[: ratio.size // 2])), float(ratio.min())
    if vapour - least < _LEAST_FALL * vapour:
        return None
    return _fall(time, (ratio - least) / (vapour - least), 0)


def _balance(
    course: dict[str, FloatArray], vial: Vial, end: float, uncertainty: float
) -> dict[str, object]:
    """k_v by what its unit would have dried until the end, s; a row of `Calibration.ends`."""
    time, dried = course["time"], course["dried_thickness"]
    reached, earlier, later = np.interp([end, end - uncertainty, end + uncertainty], time, dried)
    until = (time <= end) & (course["flux"] > 0)
    gap = course["shelf_temperature"] - course["bottom_temperature"]
    return {
        "end": end,
        "end_uncertainty": uncertainty,
        "k_v": vial.ice_thickness / reached,
        "uncertainty_percent": 50 * (later - earlier) / reached,
        "mean_gap": np.average(gap[until], weights=np.gradient(time)[until]),
    }
