"""From a recorded drying run to k_m: one value for each thermocouple, their mean and spread.

Eq. (1) gives the flux, the flux added up the thickness of the dried layer, and Eq. (2) k_m at every
instant. Its mean over the steady part of primary drying is the label of a formulation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.drying import equations
from fesemlib.drying.equations import TRIPLE_POINT, BoolArray, FloatArray, ice_vapour_pressure
from fesemlib.drying.records import DryingRun, DryingRunError
from fesemlib.drying.vial import Vial

STEADY = (0.2, 0.95)  # dried fractions: after the start, before the ice gets patchy

_FEWEST_READINGS = 10
_LEAST_SPAN = 0.1  # dried fraction that the steady part has to cover
_SHELF_TOLERANCE = 1.0  # K from its median in the steady part
_PRESSURE_TOLERANCE = 0.1  # relative to its median in the steady part
_JUMP = 2.0  # K from one reading to the next, beyond what the shelf did, at least, and
_JUMP_NOISES = 8.0  # this many standard deviations of the readings' noise
_SAME_SHARE = 0.2  # of primary drying: a reading that does not change for so long is stuck
_DEPARTURE = 1.5  # factor by which k_m has to fall to be no longer that of the cake
_SMOOTHING = 9  # readings in the running median that shows a departure
_UNDER_WAY = 0.2  # resistance at the start over that in the steady part, and
_UNDER_WAY_AT_ANY_RATE = 0.5  # where the record shows ice that cannot sublime yet
_FIRST_READINGS = 5  # of which the median is the start, or a tenth of the steady part
_NOTABLE_FLUX = 0.1  # of the steady part's: below it, noise makes any resistance
_OVERSHOOT = 1.2  # dried fraction at which k_v or the vial cannot be right
_UNDERSHOOT = 0.85  # dried fraction below which the readings leave the ice too early
_CONTRADICTION = 1.5  # factor between a thermocouple's k_m and the others'
_LOWEST_PRESSURE = 1.0  # Pa in the steady part: freeze-dryers are run above it
_COLDEST = 110.0  # K: below, nothing is known of ice
MEASURED = ("time", "shelf_temperature", "bottom_temperature", "chamber_pressure")


@dataclass(frozen=True)
class DryingLabels:
    """What a drying run tells of k_m; see `label_run` for the columns."""

    instants: pd.DataFrame
    thermocouples: pd.DataFrame
    doubts: tuple[str, ...] = ()  # what speaks against the k_m of the run, a sentence each

    @property
    def k_m(self) -> float:
        """Mean over the thermocouples, m² s⁻¹."""
        return float(self.thermocouples["k_m"].mean())

    @property
    def std_percent(self) -> float:
        """Standard deviation over the thermocouples, % of the mean; NaN for a single one."""
        return 100 * float(self.thermocouples["k_m"].std(ddof=1)) / self.k_m

    @property
    def used(self) -> list[str]:
        """The thermocouples that gave a k_m."""
        return list(self.thermocouples.index[self.thermocouples["k_m"].notna()])


class _UnderWayError(DryingRunError):
    """A thermocouple finds that sublimation began before the record."""


def label_run(
    run: DryingRun,
    vial: Vial,
    correct_front: bool = True,
    own: Mapping[str, float] | None = None,
) -> DryingLabels:
    """The k_m of each thermocouple of a drying run.

    Parameters
    ----------
    run, vial
        The record, from before the start of sublimation, and the vials in it.
    correct_front
        Whether Eq. (2) takes the temperature of the front, or the bottom's as measured.
    own
        The k_v of thermocouples that have their own, W m⁻² K⁻¹, as `Calibration.of_vials`.

    Returns
    -------
    DryingLabels
        ``thermocouples``: ``k_m`` (m² s⁻¹, mean of the steady part; NaN where it cannot be used),
        ``spread_percent`` (standard deviation within that part), ``start``, ``end`` (of it, s),
        ``readings``, ``remark``. ``instants``: ``thermocouple``, ``time`` (s),
        ``shelf_temperature``, ``bottom_temperature``, ``front_temperature`` (K),
        ``chamber_pressure`` (Pa), ``flux`` (kg s⁻¹ m⁻²), ``dried_thickness`` (m),
        ``dried_fraction``, ``k_m`` (NaN while nothing sublimes), ``resistance`` (R_p, m s⁻¹),
        ``steady`` (whether it counts: until a reading jumps, is stuck, or k_m departs).

    Raises
    ------
    DryingRunError
        When no thermocouple can be used, or sublimation is under way at the first instant.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from fesemlib.drying.records import read_drying_run
    >>> from fesemlib.drying.vial import PAPER_CYCLE, recorded_drying
    >>> vial = Vial(heat_transfer_coefficient=14.2, ice_thickness=7e-3)
    >>> with TemporaryDirectory() as folder:
    ...     recorded_drying([1.4e-3, 1.5e-3], vial, PAPER_CYCLE).to_csv(f"{folder}/run.csv")
    ...     labels = label_run(read_drying_run(f"{folder}/run.csv"), vial)
    >>> print(f"{labels.k_m:.2e} m² s⁻¹ ± {labels.std_percent:.1f} % of {len(labels.used)}")
    1.45e-03 m² s⁻¹ ± 4.9 % of 2
    """
    remarks: dict[str, str] = {}
    left: dict[str, float] = {}  # the dried fraction where it left the ice
    late: list[str] = []
    tables: list[pd.DataFrame] = []
    for name in map(str, run.product_temperatures.columns):
        k_v = (own or {}).get(name, vial.heat_transfer_coefficient)
        try:
            this = replace(vial, heat_transfer_coefficient=k_v)
            table, remarks[name], left[name] = _instants(run, name, this, correct_front)
            tables.append(table)
        except DryingRunError as error:
            remarks[name] = str(error)
            late += [name] if isinstance(error, _UnderWayError) else []
    if not tables or len(late) > len(tables):  # all share the start and the gauge
        told = "; ".join(f"{name}: {remark}" for name, remark in remarks.items() if remark)
        problem = "most thermocouples give no k_m" if tables else "no thermocouple gives a k_m"
        raise DryingRunError(f"{run.name}: {problem}: {told}")
    instants = pd.concat(tables, ignore_index=True)
    steady = instants[instants["steady"]].groupby("thermocouple", sort=False)
    k_m, time = steady["k_m"], steady["time"]
    columns = {
        "k_m": k_m.mean(),
        "spread_percent": 100 * k_m.std() / k_m.mean(),
        "start": time.first(),
        "end": time.last(),
        "readings": time.size(),
    }
    summary = pd.DataFrame(columns).reindex(pd.Index(remarks, name="thermocouple"))
    summary["readings"] = summary["readings"].fillna(0).astype(int)
    furthest = str(instants["thermocouple"].iloc[instants["dried_fraction"].argmax()])
    differing, early = _contradictions(summary["k_m"].dropna()), _early_ends(left, furthest)
    notes = (early, differing, remarks)
    summary["remark"] = [
        "; ".join(filter(None, (each.get(name) for each in notes))) for name in remarks
    ]
    doubts = [f"{name} {note}." for name, note in differing.items()]
    doubts += [f"{early[furthest]}."] if early else []
    pressure = float(instants["chamber_pressure"][instants["steady"]].median())
    if pressure < _LOWEST_PRESSURE:
        doubts.append(
            f"The pressure of the chamber, {pressure:.2g} Pa in the steady part, is lower than "
            "freeze-dryers are run at: check its unit."
        )
    if late:
        doubts.append(
            f"By {', '.join(late)} sublimation is under way at the first instant, which would hold "
            "for all thermocouples: check where the record begins, and the unit of the pressure."
        )
    return DryingLabels(instants, summary, tuple(doubts))


def worth_of_corrections(run: DryingRun, vial: Vial, calibrated: bool = False) -> pd.DataFrame:
    """The k_m (m² s⁻¹) without A_v/A_p, the front's temperature or both, and the difference.

    A calibrated k_v makes up for A_v/A_p: the ice tells their product.
    """
    k_v = vial.heat_transfer_coefficient * (vial.area_ratio if calibrated else 1.0)
    without = replace(vial, area_ratio=1.0, heat_transfer_coefficient=k_v)
    cases = product((vial, without), (True, False))
    k_m = [label_run(run, *case).k_m for case in cases]
    left_out = pd.Index(["nothing", "front temperature", "area ratio", "both"], name="left out")
    return pd.DataFrame({"k_m": k_m, "difference": np.divide(k_m, k_m[0]) - 1}, left_out)


def measured_in(run: DryingRun, bottom: FloatArray) -> dict[str, FloatArray]:
    """What `course_of` needs of a record, with the readings of a thermocouple, K, shape (n,)."""
    values = (run.time, run.shelf_temperature, bottom, run.chamber_pressure)
    return dict(zip(MEASURED, values, strict=True))


def course_of(
    measured: dict[str, FloatArray],
    vial: Vial,
    heat_transfer: npt.ArrayLike,
    correct_front: bool,
    ice_thickness: float | FloatArray | None = None,
) -> dict[str, FloatArray]:
    """What was measured and what follows, NaN where nothing sublimes; shapes (…, n).

    With this k_v, W m⁻² K⁻¹, and this thickness of the ice, m, if it is not the vial's.
    """
    ice_at_start = vial.ice_thickness if ice_thickness is None else ice_thickness
    shelf, bottom, pressure = np.broadcast_arrays(*(measured[name] for name in MEASURED[1:]))
    subliming = subliming_in(shelf, bottom, pressure)
    ice = np.where(subliming, bottom, 240.0)
    warm = np.where(subliming, shelf, ice)
    flux = equations.vapour_flux(heat_transfer, warm, ice, vial.area_ratio)
    thickness = equations.dried_thickness(measured["time"], flux, vial.porosity)
    frozen = np.maximum(ice_at_start - thickness, 0.0)
    front = equations.front_temperature(ice, flux, frozen) if correct_front else ice
    front = np.maximum(front, _COLDEST)  # too much ice, or heat, would make it colder
    driving = ice_vapour_pressure(front) - pressure
    good = subliming & (driving > 0) & (thickness > 0)
    k_m = np.full(good.shape, np.nan)
    known = [each[good] for each in (flux, thickness, front, pressure)]
    k_m[good] = equations.mass_transfer_coefficient(*known)
    with np.errstate(divide="ignore", invalid="ignore"):
        resistance = np.where(subliming & (flux > 0), driving / flux, np.nan)
    return {
        **measured,
        "flux": flux,
        "front_temperature": np.where(subliming, front, np.nan),
        "dried_thickness": thickness,
        "dried_fraction": thickness / ice_at_start,
        "k_m": k_m,
        "resistance": resistance,
    }


def subliming_in(shelf: FloatArray, bottom: FloatArray, pressure: FloatArray) -> BoolArray:
    """Where the reading is one of ice that is heated and has more pressure than the chamber."""
    ice = (bottom > 110) & (bottom < TRIPLE_POINT)  # false where there is no reading
    return ice & (shelf > bottom) & (ice_vapour_pressure(np.where(ice, bottom, 240.0)) > pressure)


def _instants(
    run: DryingRun, name: str, vial: Vial, correct_front: bool
) -> tuple[pd.DataFrame, str, float]:
    """The table of a thermocouple, its remark, and the dried fraction where it left the ice."""
    bottom = run.product_temperatures[name].to_numpy()
    last, remark, may_be_gone = _end_of_contact(run, bottom)
    bottom = np.where(np.arange(bottom.size) < last, bottom, np.nan)
    shelf, pressure = run.shelf_temperature, run.chamber_pressure
    course = course_of(
        measured_in(run, bottom), vial, vial.heat_transfer_coefficient, correct_front
    )
    k_m, fraction = course["k_m"], course["dried_fraction"]
    if fraction.max() >= STEADY[1]:
        remark = ""  # what happens to the reading later does not matter
    if fraction.max() > _OVERSHOOT:
        remark = (
            f"by Eq. (1), {100 * fraction.max():.0f} % of the ice has sublimed before the "
            "reading leaves it: check k_v, A_v/A_p and the thickness of the ice"
        )
    counts = np.isfinite(k_m) & (fraction >= STEADY[0]) & (fraction <= STEADY[1])
    if counts.any():
        most = _PRESSURE_TOLERANCE * np.median(pressure[counts])
        counts &= np.abs(shelf - np.median(shelf[counts])) <= _SHELF_TOLERANCE
        counts &= np.abs(pressure - np.median(pressure[counts])) <= most
    departure = _departure(k_m, counts)
    if departure is not None:  # it comes before what may have been found already
        last, may_be_gone = departure, True
        counts[departure:] = False
        why = "the reading is no longer one of this ice: contact lost, or the ice gone"
        remark = _from(run, departure, why)
    if counts.sum() < _FEWEST_READINGS or np.ptp(fraction[counts]) < _LEAST_SPAN:
        problem = (
            f"only {counts.sum()} readings are in the steady part ({100 * STEADY[0]:.0f} to "
            f"{100 * STEADY[1]:.0f} % dried); by Eq. (1), {100 * fraction.max():.0f} % of the ice "
            "has sublimed by the last usable reading: check k_v, the ice's thickness and the units"
        )
        raise DryingRunError(f"{problem}; {remark}" if remark else problem)
    _check_start(run, course, counts)
    table = pd.DataFrame({"thermocouple": name, **course, "steady": counts})
    return table, remark, float(fraction[last - 1]) if may_be_gone else np.nan


def _from(run: DryingRun, place: int, why: str) -> str:
    return f"from line {run.lines[place]} on ({run.time[place] / 3600:.2f} h) {why}"


def _end_of_contact(run: DryingRun, bottom: FloatArray) -> tuple[int, str, bool]:
    """From which instant on a reading cannot be used, why, and whether the ice may have gone."""
    shelf = run.shelf_temperature
    if np.isnan(bottom).all():
        raise DryingRunError("it has no reading at all")
    subliming = subliming_in(shelf, bottom, run.chamber_pressure)
    if not subliming.any():
        raise DryingRunError(
            "it never reads ice that is colder than the shelf and has a higher vapour pressure "
            "than the chamber; check columns and units"
        )
    steps = np.diff(bottom)
    # Second differences show the noise of the readings without their course.
    bends = np.abs(np.diff(steps))
    bends = bends[np.isfinite(bends)]
    noise = 1.4826 * float(np.median(bends)) / np.sqrt(6) if bends.size else 0.0
    least = max(_JUMP, _JUMP_NOISES * noise) + np.maximum(np.diff(shelf), 0.0)
    missing = np.isnan(bottom) & np.logical_or.accumulate(subliming)
    jumped = _first((steps > least) & subliming[:-1]) + 1
    stuck = _stuck(run.time, bottom, subliming & (shelf - bottom > 1.0))
    left = int(np.flatnonzero(subliming)[-1]) + 1
    ends = [
        (_first(missing), "contact lost: there are no readings", False),
        (jumped, "the reading has jumped: contact lost, or the ice gone", True),
        (stuck, "the reading does not change: stuck, or recorded too coarsely", False),
        (left, "the reading is not one of ice that sublimes: contact lost, or ice gone", True),
    ]
    end, why, may_be_gone = min(ends, key=lambda found: found[0])
    return end, _from(run, end, why) if end < bottom.size else "", may_be_gone


def _first(found: BoolArray) -> int:
    """The first place that is true; beyond the last, where none is."""
    return int(np.argmax(found)) if found.any() else found.size


def _stuck(time: FloatArray, bottom: FloatArray, subliming: BoolArray) -> int:
    """Where a reading begins that stays the same for a good part of primary drying."""
    places = np.flatnonzero(subliming)
    if places.size >= _FEWEST_READINGS:
        shortest = _SAME_SHARE * (time[places[-1]] - time[places[0]])
        changes = np.flatnonzero(np.diff(bottom[places]) != 0) + 1
        for part in np.split(places, changes):
            if part.size >= _FEWEST_READINGS and time[part[-1]] - time[part[0]] > shortest:
                return int(part[0])
    return bottom.size


def _departure(k_m: FloatArray, counts: BoolArray) -> int | None:
    """From which instant on k_m stays far below what it was: the reading is warmer than the ice.

    A k_m that rises is the cake's: the resistance of the layer grows less than its thickness.
    """
    places = np.flatnonzero(counts)
    if places.size < _FEWEST_READINGS:
        return None
    values = pd.Series(k_m[places])
    smooth = values.rolling(min(_SMOOTHING, places.size), center=True, min_periods=1).median()
    third = max(places.size // 3, 3)
    usual = smooth[third:].cummax().reindex(smooth.index).clip(lower=values[:third].median())
    near = (smooth >= usual.fillna(values[:third].median()) / _DEPARTURE).to_numpy()
    after = places.size - _first(near[::-1])
    return int(places[after]) if after < places.size else None


def _check_start(run: DryingRun, course: dict[str, FloatArray], counts: BoolArray) -> None:
    """Refuse a record that begins when part of the ice has gone already.

    The dry layer's resistance to the vapour needs no thickness: it begins near zero. A skin on the
    cake may raise it; then it helps if the record shows ice that cannot sublime yet.
    """
    flux, resistance = course["flux"], course["resistance"]
    notable = _NOTABLE_FLUX * float(np.median(flux[counts]))
    places = np.flatnonzero(np.isfinite(resistance) & (flux > notable))
    start = places[: min(_FIRST_READINGS, max(int(counts.sum()) // 10, 1))]
    place = start[0]
    bottom, pressure = course["bottom_temperature"][:place], run.chamber_pressure[:place]
    ice = (bottom > 110) & (bottom < TRIPLE_POINT)
    at_rest = ice_vapour_pressure(bottom[ice]) <= pressure[ice]
    limit = _UNDER_WAY_AT_ANY_RATE if at_rest.any() else _UNDER_WAY
    if np.median(resistance[start]) > limit * np.median(resistance[counts]):
        raise _UnderWayError(
            "sublimation is under way at the first instant, so that the dried layer's thickness is "
            "not known: let the record begin before the chamber is evacuated; or the pressure, "
            f"{run.chamber_pressure[place]:.3g} Pa in line {run.lines[place]}, is in another unit"
        )


def _contradictions(rest: pd.Series[float]) -> dict[str, str]:
    """What speaks against each thermocouple whose k_m is not that of the others."""
    notes: dict[str, str] = {}
    pair = len(rest) == 2
    while len(rest) > 1:
        others = pd.Series({name: rest.drop(name).median() for name in rest.index})
        factors = pd.concat([rest / others, others / rest], axis=1).max(axis=1)
        name, factor = str(factors.idxmax()), factors.max()
        if factor <= _CONTRADICTION:
            break
        rest = rest.drop(name)
        them, remedy = "the others", "its unit or leave it out"
        if pair:
            them, remedy = rest.index[0], "the units of both"
        notes[name] = f"differs from {them} by a factor {factor:.2g}: check {remedy}"
    return notes


def _early_ends(left: dict[str, float], furthest: str) -> dict[str, str]:
    """What speaks against thermocouples that leave the ice, if all do so too early."""
    if not left[furthest] < _UNDERSHOOT:  # NaN where it has not left the ice
        return {}
    return {
        name: f"By Eq. (1) only {100 * share:.0f} % of the ice had gone when the reading left it: "
        "k_v, A_v/A_p or the thickness of the ice may be wrong, or contact was lost"
        for name, share in left.items()
        if np.isfinite(share)
    }
