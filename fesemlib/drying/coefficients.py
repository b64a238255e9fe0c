"""From a recorded drying run to k_m: one value for each thermocouple, their mean and spread.

Eq. (1) gives the flux from the temperatures, the flux added up the thickness of the dried layer,
and Eq. (2) k_m at every instant. Its mean over the steady part of primary drying is the label of a
formulation, as in Table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.drying.equations import (
    dried_thickness,
    front_temperature,
    ice_vapour_pressure,
    mass_transfer_coefficient,
    vapour_flux,
)
from fesemlib.drying.records import DryingRun, DryingRunError
from fesemlib.drying.vial import Cycle, Vial, simulate_primary_drying
from fesemlib.params import Parameters

FloatArray = npt.NDArray[np.float64]

DRAWS = 1000
"""How many draws the Monte Carlo method takes."""

STEADY = (0.2, 0.95)
"""Dried fractions between which k_m is averaged: after the start, before the ice gets patchy."""

_TRIPLE_POINT = 273.16  # K
_FEWEST_READINGS = 10
_LEAST_SPAN = 0.1  # dried fraction that the steady part has to cover
_SHELF_TOLERANCE = 1.0  # K from its median in the steady part
_PRESSURE_TOLERANCE = 0.1  # relative to its median in the steady part
_JUMP = 2.0  # K from one reading to the next, beyond what the shelf did, at least, and
_JUMP_NOISES = 8.0  # this many standard deviations of the readings' noise
_SAME_SHARE = 0.2  # of primary drying: a reading that does not change for so long is stuck
_DEPARTURE = 1.5  # factor from the first third by which k_m is no longer that of the cake
_SMOOTHING = 9  # readings in the running median that shows a departure
_UNDER_WAY = 0.2  # resistance at the start over that in the steady part, and
_UNDER_WAY_AT_ANY_RATE = 0.5  # where the record shows ice that cannot sublime yet
_FIRST_READINGS = 5  # of which the median is the start, or a tenth of the steady part
_NOTABLE_FLUX = 0.1  # of the steady part's: below it, noise makes any resistance
_WARMING_TIME = 900.0  # s: a dry vial takes the shelf's temperature exponentially
_OVERSHOOT = 1.2  # dried fraction at which k_v or the vial cannot be right
_UNDERSHOOT = 0.85  # dried fraction below which the readings leave the ice too early
_CONTRADICTION = 1.5  # factor between a thermocouple's k_m and the others'
_LOWEST_PRESSURE = 1.0  # Pa in the steady part: freeze-dryers are run above it
_DRAWS_AT_ONCE = 100
_MOST_INSTANTS = 2000  # of a run, for the Monte Carlo method; more of them are thinned out


@dataclass(frozen=True)
class DryingLabels:
    """What a drying run tells of k_m.

    Parameters
    ----------
    instants
        For each thermocouple that can be used and each instant: ``thermocouple``, ``time`` (s),
        ``shelf_temperature``, ``bottom_temperature``, ``front_temperature`` (K),
        ``chamber_pressure`` (Pa), ``flux`` (kg s⁻¹ m⁻²), ``dried_thickness`` (m),
        ``dried_fraction``, ``k_m`` (m² s⁻¹; NaN while nothing sublimes), ``resistance`` (R_p,
        m s⁻¹) and ``steady``, whether it counts.
    thermocouples
        Indexed by thermocouple: ``k_m`` (m² s⁻¹, the mean of its steady part; NaN where it cannot
        be used), ``spread_percent`` (standard deviation within that part, % of the mean),
        ``start`` and ``end`` (of it, s), ``readings`` and ``remark``.
    doubts
        What speaks against the k_m of the run, a sentence each.
    """

    instants: pd.DataFrame
    thermocouples: pd.DataFrame
    doubts: tuple[str, ...] = ()

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


@dataclass(frozen=True)
class Uncertainty:
    """Standard uncertainties of what k_m is worked out from.

    Parameters
    ----------
    temperature
        Of each thermocouple and of the shelf's, K: an offset that stays through a run.
    heat_transfer
        Of k_v, as a fraction.
    pressure
        Of the chamber's pressure, as a fraction.

    Raises
    ------
    ValueError
        When one of them is negative or not finite.
    """

    temperature: float = 0.5
    heat_transfer: float = 0.05
    pressure: float = 0.02

    def __post_init__(self) -> None:
        for name in ("temperature", "heat_transfer", "pressure"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} = {value!r}: an uncertainty is zero or positive")


@dataclass(frozen=True)
class _Course:
    """What follows from temperatures and pressure at every instant; shapes (…, n)."""

    flux: FloatArray
    thickness: FloatArray
    front: FloatArray
    k_m: FloatArray
    resistance: FloatArray


@dataclass(frozen=True)
class _Reading:
    """A thermocouple that can be used: its table, and how its contact with the ice ended.

    `left` is the dried fraction at which it left the ice; NaN where that cannot be told.
    """

    table: pd.DataFrame
    remark: str
    left: float


class _UnderWayError(DryingRunError):
    """A thermocouple finds that sublimation began before the record."""


def vial_of(parameters: Parameters) -> Vial:
    """The vials of the drying run, as the parameters describe them.

    Parameters
    ----------
    parameters
        `heat_transfer_coefficient`, `ice_thickness_mm`, `solids_percent` and `area_ratio` are used.

    Examples
    --------
    >>> vial = vial_of(Parameters(ice_thickness_mm=8.0))
    >>> vial.ice_thickness, vial.area_ratio
    (0.008, 1.21)
    """
    return Vial(
        heat_transfer_coefficient=parameters.heat_transfer_coefficient,
        ice_thickness=parameters.ice_thickness_mm / 1000,
        solids_mass_fraction=parameters.solids_percent / 100,
        area_ratio=parameters.area_ratio,
    )


def label_run(
    run: DryingRun,
    vial: Vial,
    correct_front: bool = True,
    steady: tuple[float, float] = STEADY,
) -> DryingLabels:
    """The k_m of each thermocouple of a drying run.

    Parameters
    ----------
    run
        Of `fesemlib.drying.records.read_drying_run`, from before the start of sublimation.
    vial
        k_v, the thickness of the frozen layer, the solids and A_v/A_p.
    correct_front
        Whether Eq. (2) takes the temperature of the sublimation front, worked out from the
        bottom's; otherwise it takes the bottom's.
    steady
        Least and greatest dried fraction of the steady part. It ends earlier where the reading
        leaves the ice: it jumps, is stuck, or gives a k_m that departs from the cake's.

    Returns
    -------
    DryingLabels
        A thermocouple that cannot be used has no k_m, and a remark that says why. Remarks and
        doubts also say where thermocouples contradict one another, where all leave the ice before
        it should have gone, and where the pressure is hardly one of a freeze-dryer.

    Raises
    ------
    DryingRunError
        When no thermocouple can be used, or most find that sublimation is under way at the first
        instant. The message names the reason for each.

    Examples
    --------
    >>> from fesemlib.pages.tables.drying import drying_record
    >>> from fesemlib.drying.records import read_drying_run
    >>> run = read_drying_run(drying_record(Parameters()))  # computed for formulation C
    >>> labels = label_run(run, vial_of(Parameters()))
    >>> print(f"{labels.k_m:.2e} m² s⁻¹ ± {labels.std_percent:.1f} % of {len(labels.used)}")
    1.40e-03 m² s⁻¹ ± 4.4 % of 3
    """
    low, high = steady
    if not 0 <= low < high <= 1:
        raise ValueError(f"steady = {steady!r}: give two fractions, as in (0.2, 0.95)")
    rows: dict[str, dict[str, object]] = {}
    used: dict[str, _Reading] = {}
    late: list[str] = []
    for name in run.product_temperatures.columns:
        try:
            reading = _instants(run, str(name), vial, correct_front, steady)
        except DryingRunError as error:
            rows[str(name)] = {"k_m": np.nan, "readings": 0, "remark": str(error)}
            if isinstance(error, _UnderWayError):
                late.append(str(name))
            continue
        counted = reading.table[reading.table["steady"]]
        rows[str(name)] = {
            "k_m": counted["k_m"].mean(),
            "spread_percent": 100 * counted["k_m"].std() / counted["k_m"].mean(),
            "start": counted["time"].iloc[0],
            "end": counted["time"].iloc[-1],
            "readings": len(counted),
            "remark": reading.remark,
        }
        used[str(name)] = reading
    if not used or len(late) > len(used):  # all share the start and the gauge
        reasons = "; ".join(
            f"{name}: {row['remark']}" for name, row in rows.items() if row["remark"]
        )
        problem = "most thermocouples give no k_m" if used else "no thermocouple gives a k_m"
        raise DryingRunError(f"{run.name}: {problem}: {reasons}")
    columns = ["k_m", "spread_percent", "start", "end", "readings", "remark"]
    summary = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)
    instants = pd.concat([reading.table for reading in used.values()], ignore_index=True)
    doubts = [
        *_note(summary, _contradictions(summary["k_m"].dropna())),
        *_early_end(summary, used),
        *_low_pressure(instants),
        *_late_start(late),
    ]
    return DryingLabels(instants, summary.rename_axis("thermocouple"), tuple(doubts))


def worth_of_corrections(run: DryingRun, vial: Vial) -> pd.DataFrame:
    """What A_v/A_p and the temperature of the front are each worth.

    Parameters
    ----------
    run, vial
        As for `label_run`.

    Returns
    -------
    DataFrame
        Indexed by what is left out, with the columns ``k_m`` (m² s⁻¹) and ``difference``
        (relative to nothing left out).

    Examples
    --------
    >>> from fesemlib.pages.tables.drying import drying_record
    >>> from fesemlib.drying.records import read_drying_run
    >>> run = read_drying_run(drying_record(Parameters()))
    >>> difference = worth_of_corrections(run, vial_of(Parameters()))["difference"]
    >>> print(f"without the area ratio, k_m is off by {difference['area ratio']:.0%}")
    without the area ratio, k_m is off by -32%
    """
    plain = replace(vial, area_ratio=1.0)
    k_m = {
        "nothing": label_run(run, vial).k_m,
        "front temperature": label_run(run, vial, correct_front=False).k_m,
        "area ratio": label_run(run, plain).k_m,
        "both": label_run(run, plain, correct_front=False).k_m,
    }
    table = pd.DataFrame({"k_m": pd.Series(k_m)}).rename_axis("left out")
    return table.assign(difference=table["k_m"] / k_m["nothing"] - 1)


def perturbed_coefficients(
    labels: DryingLabels,
    thermocouple: str,
    vial: Vial,
    uncertainty: Uncertainty,
    draws: int = DRAWS,
    seed: int = 0,
    correct_front: bool = True,
) -> FloatArray:
    """The k_m of one thermocouple for inputs drawn about the measured ones (Monte Carlo).

    Parameters
    ----------
    labels
        Of `label_run`. Its steady part is kept. Of a long record, every second instant is taken,
        or every third, and so on.
    thermocouple
        One of those used.
    vial, correct_front
        As for `label_run`.
    uncertainty
        Standard deviations of the normal distributions. The shelf and the thermocouple each have
        their own offset.
    draws, seed
        How many, and of which seed.

    Returns
    -------
    ndarray
        m² s⁻¹, shape (draws,); NaN where a draw leaves no sublimation.

    References
    ----------
    JCGM 101:2008, Propagation of distributions using a Monte Carlo method.

    Examples
    --------
    >>> from fesemlib.pages.tables.drying import drying_record
    >>> from fesemlib.drying.records import read_drying_run
    >>> vial = vial_of(Parameters())
    >>> labels = label_run(read_drying_run(drying_record(Parameters())), vial)
    >>> drawn = perturbed_coefficients(labels, labels.used[0], vial, Uncertainty(), draws=50)
    >>> drawn.shape, bool(0.05 < drawn.std() / drawn.mean() < 0.3)
    ((50,), True)
    """
    table = labels.instants[labels.instants["thermocouple"] == thermocouple]
    if table.empty:
        raise ValueError(f"{thermocouple!r} gave no k_m; used were {', '.join(labels.used)}")
    scales = (
        uncertainty.temperature,
        uncertainty.temperature,
        uncertainty.heat_transfer,
        uncertainty.pressure,
    )
    return _drawn(table, vial, scales, draws, seed, correct_front)


def _drawn(
    table: pd.DataFrame,
    vial: Vial,
    scales: tuple[float, float, float, float],
    draws: int,
    seed: int,
    correct_front: bool,
) -> FloatArray:
    """The k_m for inputs drawn anew; scales of the shelf, the bottom, k_v and the pressure."""
    deviations = np.random.default_rng(seed).standard_normal((draws, 4, 1))
    deviations *= np.array(scales)[:, np.newaxis]
    # What has warmed up is beyond the steady part, and does not count.
    table = table[table["time"] <= table["time"][table["steady"]].max()]
    table = table.iloc[:: -(-len(table) // _MOST_INSTANTS)]
    columns = ("time", "shelf_temperature", "bottom_temperature", "chamber_pressure")
    time, shelf, bottom, pressure = (table[column].to_numpy() for column in columns)
    means = []
    for start in range(0, draws, _DRAWS_AT_ONCE):
        part = deviations[start : start + _DRAWS_AT_ONCE]
        course = _course(
            time,
            shelf + part[:, 0],
            bottom + part[:, 1],
            pressure * (1 + part[:, 3]),
            vial,
            correct_front,
            vial.heat_transfer_coefficient * (1 + part[:, 2]),
        )
        means.append(pd.DataFrame(course.k_m[:, table["steady"].to_numpy()]).mean(axis=1))
    return np.concatenate(means)


def uncertainty_budget(
    labels: DryingLabels,
    vial: Vial,
    uncertainty: Uncertainty,
    draws: int = DRAWS,
    seed: int = 0,
    correct_front: bool = True,
) -> pd.Series[float]:
    """The standard uncertainty of k_m from each source alone and from all of them.

    Parameters
    ----------
    labels, vial, uncertainty, draws, seed, correct_front
        As for `perturbed_coefficients`, for the thermocouple whose k_m is the median.

    Returns
    -------
    Series
        In % of the k_m of one thermocouple, indexed by ``temperatures``, ``heat transfer
        coefficient``, ``chamber pressure`` and ``all together``.

    Examples
    --------
    >>> from fesemlib.pages.tables.drying import drying_record
    >>> from fesemlib.drying.records import read_drying_run
    >>> vial = vial_of(Parameters())
    >>> labels = label_run(read_drying_run(drying_record(Parameters())), vial)
    >>> budget = uncertainty_budget(labels, vial, Uncertainty(), draws=50)
    >>> budget.drop("all together").idxmax()
    'temperatures'
    """
    typical, k_m = _typical(labels)
    none = Uncertainty(0.0, 0.0, 0.0)
    sources = {
        "temperatures": replace(none, temperature=uncertainty.temperature),
        "heat transfer coefficient": replace(none, heat_transfer=uncertainty.heat_transfer),
        "chamber pressure": replace(none, pressure=uncertainty.pressure),
        "all together": uncertainty,
    }
    percent = {}
    for name, source in sources.items():
        drawn = perturbed_coefficients(labels, typical, vial, source, draws, seed, correct_front)
        percent[name] = 100 * float(np.nanstd(drawn, ddof=1)) / k_m
    return pd.Series(percent, name="standard uncertainty (%)")


def spread_of_offsets(
    labels: DryingLabels,
    vial: Vial,
    uncertainty: Uncertainty,
    draws: int = DRAWS,
    seed: int = 0,
    correct_front: bool = True,
) -> float:
    """The spread over thermocouples that independent offsets of theirs alone would make.

    Parameters
    ----------
    labels, vial, uncertainty, draws, seed, correct_front
        As for `uncertainty_budget`. Of the uncertainties, only that of temperatures counts; the
        offset of the shelf's, which all thermocouples share, makes no spread.

    Returns
    -------
    float
        Standard deviation, % of k_m.

    Examples
    --------
    >>> from fesemlib.pages.tables.drying import drying_record
    >>> from fesemlib.drying.records import read_drying_run
    >>> vial = vial_of(Parameters())
    >>> labels = label_run(read_drying_run(drying_record(Parameters())), vial)
    >>> halved = Uncertainty(temperature=0.25)
    >>> ratio = spread_of_offsets(labels, vial, halved, 50) / spread_of_offsets(
    ...     labels, vial, Uncertainty(temperature=0.5), 50
    ... )
    >>> print(f"{ratio:.1f}: half the offset makes half the spread")
    0.5: half the offset makes half the spread
    """
    typical, k_m = _typical(labels)
    table = labels.instants[labels.instants["thermocouple"] == typical]
    scales = (0.0, uncertainty.temperature, 0.0, 0.0)
    drawn = _drawn(table, vial, scales, draws, seed, correct_front)
    return 100 * float(np.nanstd(drawn, ddof=1)) / k_m


def _typical(labels: DryingLabels) -> tuple[str, float]:
    """The thermocouple whose k_m is the median, or the one below it; and that k_m."""
    known = labels.thermocouples["k_m"].dropna().sort_values()
    place = (len(known) - 1) // 2
    return str(known.index[place]), float(known.iloc[place])


def recorded_drying(
    coefficients: Sequence[float],
    vial: Vial,
    cycle: Cycle,
    noise: float = 0.0,
    seed: int = 0,
    time_step: float = 120.0,
) -> pd.DataFrame:
    """A computed drying run as a freeze-dryer would record it.

    Parameters
    ----------
    coefficients
        k_m of the cake in each of the vials with a thermocouple, m² s⁻¹.
    vial, cycle
        Of `fesemlib.drying.vial`.
    noise
        Standard deviation of each reading of a thermocouple, K.
    seed
        Of the noise.
    time_step
        Between the readings, s.

    Returns
    -------
    DataFrame
        Columns ``time (h)``, ``T_shelf (°C)``, ``T_product_1 (°C)``, … and ``pressure (Pa)``, up
        to two hours after the last vial's ice is gone. A vial without ice warms up to the
        shelf's temperature exponentially; its time constant, 15 min, is assumed.

    Examples
    --------
    >>> from fesemlib.drying.vial import PAPER_CYCLE
    >>> record = recorded_drying([1e-3], vial_of(Parameters()), PAPER_CYCLE)
    >>> list(record.columns)
    ['time (h)', 'T_shelf (°C)', 'T_product_1 (°C)', 'pressure (Pa)']
    >>> bottom = record["T_product_1 (°C)"]
    >>> print(f"{bottom.iloc[0]:.0f} °C with all the ice, {bottom.iloc[-1]:.0f} °C without any")
    -50 °C with all the ice, -10 °C without any
    """
    runs = [simulate_primary_drying(k_m, vial, cycle, time_step) for k_m in coefficients]
    end = max(float(run["time"].iloc[-1]) for run in runs) + 7200
    times = np.arange(0.0, end, time_step)
    generator = np.random.default_rng(seed)
    shelf = cycle.shelf_temperature(times)
    table = {"time (h)": times / 3600, "T_shelf (°C)": shelf - 273.15}
    for number, run in enumerate(runs, start=1):
        read = np.interp(times, run["time"], run["bottom_temperature"])
        dry = np.maximum(times - float(run["time"].iloc[-1]), 0.0)
        read = shelf + (read - shelf) * np.exp(-dry / _WARMING_TIME)
        read = read + noise * generator.standard_normal(times.size)
        table[f"T_product_{number} (°C)"] = read - 273.15
    table["pressure (Pa)"] = np.full(times.size, cycle.chamber_pressure)
    return pd.DataFrame(table)


def _course(
    time: FloatArray,
    shelf: FloatArray,
    bottom: FloatArray,
    pressure: FloatArray,
    vial: Vial,
    correct_front: bool,
    heat_transfer: npt.ArrayLike | None = None,
) -> _Course:
    """Flux, thickness and k_m at every instant, NaN where nothing sublimes; shapes (…, n)."""
    if heat_transfer is None:
        heat_transfer = vial.heat_transfer_coefficient
    shelf, bottom, pressure = np.broadcast_arrays(shelf, bottom, pressure)
    subliming = _subliming(shelf, bottom, pressure)
    ice = np.where(subliming, bottom, 240.0)
    flux = vapour_flux(heat_transfer, np.where(subliming, shelf, ice), ice, vial.area_ratio)
    thickness = dried_thickness(time, flux, vial.porosity)
    front = ice
    if correct_front:
        front = front_temperature(ice, flux, np.maximum(vial.ice_thickness - thickness, 0.0))
    driving = ice_vapour_pressure(front) - pressure
    good = subliming & (driving > 0) & (thickness > 0)
    k_m = np.full(good.shape, np.nan)
    k_m[good] = mass_transfer_coefficient(flux[good], thickness[good], front[good], pressure[good])
    with np.errstate(divide="ignore", invalid="ignore"):
        resistance = np.where(subliming & (flux > 0), driving / flux, np.nan)
    return _Course(flux, thickness, np.where(subliming, front, np.nan), k_m, resistance)


def _subliming(
    shelf: FloatArray, bottom: FloatArray, pressure: FloatArray
) -> npt.NDArray[np.bool_]:
    """Where the reading is one of ice that is heated and has more pressure than the chamber."""
    ice = (bottom > 110) & (bottom < _TRIPLE_POINT)  # false where there is no reading
    return ice & (shelf > bottom) & (ice_vapour_pressure(np.where(ice, bottom, 240.0)) > pressure)


def _instants(
    run: DryingRun,
    name: str,
    vial: Vial,
    correct_front: bool,
    steady: tuple[float, float],
) -> _Reading:
    """The table of one thermocouple, and what is to be said of it.

    Raises
    ------
    DryingRunError
        When it cannot be used.
    """
    bottom = run.product_temperatures[name].to_numpy()
    last, remark, may_be_gone = _end_of_contact(run, bottom)
    bottom = np.where(np.arange(bottom.size) < last, bottom, np.nan)
    course = _course(
        run.time, run.shelf_temperature, bottom, run.chamber_pressure, vial, correct_front
    )
    fraction = course.thickness / vial.ice_thickness
    if fraction.max() >= steady[1]:
        remark = ""  # what happens to the reading later does not matter
    if fraction.max() > _OVERSHOOT:
        remark = (
            f"by Eq. (1), {100 * float(fraction.max()):.0f} % of the ice has sublimed before the "
            "reading leaves it: check k_v, A_v/A_p and the thickness of the ice"
        )
    counts = np.isfinite(course.k_m) & (fraction >= steady[0]) & (fraction <= steady[1])
    if not counts.any():
        raise DryingRunError(_too_short(0, fraction, steady, remark))
    for values, tolerance in (
        (run.shelf_temperature, _SHELF_TOLERANCE),
        (
            run.chamber_pressure,
            _PRESSURE_TOLERANCE * float(np.median(run.chamber_pressure[counts])),
        ),
    ):
        counts &= np.abs(values - np.median(values[counts])) <= tolerance
    departure = _departure(course.k_m, counts)
    if departure is not None:
        last, may_be_gone = departure, True
        counts[departure:] = False
        remark = (  # it comes before what may have been found already
            f"from line {run.lines[departure]} on ({run.time[departure] / 3600:.2f} h) the reading "
            "is no longer one of this ice: contact lost, or the ice gone"
        )
    span = np.ptp(fraction[counts]) if counts.any() else 0.0
    if counts.sum() < _FEWEST_READINGS or span < _LEAST_SPAN:
        raise DryingRunError(_too_short(int(counts.sum()), fraction, steady, remark))
    _check_start(run, bottom, course, counts)
    table = pd.DataFrame(
        {
            "thermocouple": name,
            "time": run.time,
            "shelf_temperature": run.shelf_temperature,
            "bottom_temperature": bottom,
            "front_temperature": course.front,
            "chamber_pressure": run.chamber_pressure,
            "flux": course.flux,
            "dried_thickness": course.thickness,
            "dried_fraction": fraction,
            "k_m": course.k_m,
            "resistance": course.resistance,
            "steady": counts,
        }
    )
    left = float(fraction[last - 1]) if may_be_gone else np.nan
    return _Reading(table, remark, left)


def _end_of_contact(run: DryingRun, bottom: FloatArray) -> tuple[int, str, bool]:
    """From which instant on a reading cannot be used, why, and whether the ice may have gone.

    Returns (n, "", False) where all can be used.
    """
    shelf = run.shelf_temperature
    if np.isnan(bottom).all():
        raise DryingRunError("it has no reading at all")
    subliming = _subliming(shelf, bottom, run.chamber_pressure)
    if not subliming.any():
        raise DryingRunError(
            "it never reads ice that is colder than the shelf and has a higher vapour pressure "
            "than the chamber; check columns and units"
        )
    ends = [(bottom.size, "", False)]
    first = int(np.argmax(subliming))
    missing = np.flatnonzero(np.isnan(bottom[first:])) + first
    if missing.size:
        ends.append((int(missing[0]), "there are no readings", False))
    steps = np.diff(bottom)
    # Second differences show the noise of the readings without their course.
    bends = np.abs(np.diff(steps))
    bends = bends[np.isfinite(bends)]
    noise = 1.4826 * float(np.median(bends)) / np.sqrt(6) if bends.size else 0.0
    least = max(_JUMP, _JUMP_NOISES * noise)
    jumps = np.flatnonzero((steps > least + np.maximum(np.diff(shelf), 0.0)) & subliming[:-1])
    if jumps.size:
        why = "the reading has jumped: contact lost, or the ice gone"
        ends.append((int(jumps[0]) + 1, why, True))
    stuck = _stuck(run.time, bottom, subliming & (shelf - bottom > 1.0))
    if stuck is not None:
        ends.append((stuck, "the reading does not change: stuck, or recorded too coarsely", False))
    last = bottom.size - int(np.argmax(subliming[::-1]))
    if last < bottom.size:
        why = "the reading is not one of ice that sublimes: contact lost, or ice gone"
        ends.append((last, why, True))
    end, why, may_be_gone = min(ends, key=lambda found: found[0])
    if why:
        why = f"from line {run.lines[end]} on ({run.time[end] / 3600:.2f} h) {why}"
    return end, why, may_be_gone


def _stuck(time: FloatArray, bottom: FloatArray, subliming: npt.NDArray[np.bool_]) -> int | None:
    """Where a reading begins that stays the same for a good part of primary drying."""
    places = np.flatnonzero(subliming)
    if places.size < _FEWEST_READINGS:
        return None
    shortest = _SAME_SHARE * (time[places[-1]] - time[places[0]])
    changes = np.flatnonzero(np.diff(bottom[places]) != 0) + 1
    for part in np.split(places, changes):
        if part.size >= _FEWEST_READINGS and time[part[-1]] - time[part[0]] > shortest:
            return int(part[0])
    return None


def _departure(k_m: FloatArray, counts: npt.NDArray[np.bool_]) -> int | None:
    """From which instant on k_m stays away from what it was in the first third that counts."""
    places = np.flatnonzero(counts)
    if places.size < _FEWEST_READINGS:
        return None
    values = pd.Series(k_m[places])
    usual = float(values.iloc[: max(places.size // 3, 3)].median())
    smooth = values.rolling(min(_SMOOTHING, places.size), center=True, min_periods=1).median()
    away = ~smooth.between(usual / _DEPARTURE, usual * _DEPARTURE).to_numpy()
    if not away[-1]:
        return None
    inside = np.flatnonzero(~away)
    return int(places[inside[-1] + 1]) if inside.size else int(places[0])


def _check_start(
    run: DryingRun, bottom: FloatArray, course: _Course, counts: npt.NDArray[np.bool_]
) -> None:
    """Refuse a record that begins when part of the ice has gone already.

    The dry layer's resistance to the vapour needs no thickness: it begins near zero. A skin on the
    cake may raise it; then it helps if the record shows ice that cannot sublime yet.
    """
    usual = float(np.median(course.flux[counts]))
    places = np.flatnonzero(np.isfinite(course.resistance) & (course.flux > _NOTABLE_FLUX * usual))
    start = places[: min(_FIRST_READINGS, max(int(counts.sum()) // 10, 1))]
    resistance = float(np.median(course.resistance[start]))
    place = start[0]
    before = (bottom[:place] > 110) & (bottom[:place] < _TRIPLE_POINT)
    at_rest = ice_vapour_pressure(bottom[:place][before]) <= run.chamber_pressure[:place][before]
    limit = _UNDER_WAY_AT_ANY_RATE if at_rest.any() else _UNDER_WAY
    if resistance > limit * float(np.median(course.resistance[counts])):
        raise _UnderWayError(
            "sublimation is under way at the first instant, so that the dried layer's thickness is "
            "not known: let the record begin before the chamber is evacuated; or the pressure, "
            f"{run.chamber_pressure[place]:.3g} Pa in line {run.lines[place]}, is in another unit"
        )


def _note(summary: pd.DataFrame, notes: dict[str, str]) -> list[str]:
    """Add to the remarks of thermocouples; the same as sentences."""
    summary["remark"] = [
        "; ".join(filter(None, (notes.get(str(name), ""), str(remark))))
        for name, remark in summary["remark"].items()
    ]
    return [f"{name} {note}." for name, note in notes.items()]


def _contradictions(k_m: pd.Series[float]) -> dict[str, str]:
    """What is to be said of thermocouples whose k_m is not that of the others."""
    notes: dict[str, str] = {}
    rest = k_m
    while len(rest) > 1:
        others = {name: float(rest.drop(name).median()) for name in rest.index}
        away = np.abs(np.log(rest / pd.Series(others)))
        factor = float(np.exp(away.max()))
        if factor <= _CONTRADICTION:
            break
        name = str(away.idxmax())
        other = "the others" if len(k_m) > 2 else str(rest.drop(name).index[0])
        notes[name] = (
            f"differs from {other} by a factor {factor:.2g}: check its unit or leave it out"
        )
        if len(k_m) == 2:
            notes[name] = f"differs from {other} by a factor {factor:.2g}: check the units of both"
        rest = rest.drop(name)
    return notes


def _early_end(summary: pd.DataFrame, used: dict[str, _Reading]) -> list[str]:
    """Say of each thermocouple, and of the run, if all leave ice that should still be there."""
    reached = {name: float(reading.table["dried_fraction"].max()) for name, reading in used.items()}
    left = {name: reading.left for name, reading in used.items()}
    furthest = max(reached, key=lambda name: reached[name])
    if not left[furthest] < _UNDERSHOOT:  # NaN where it has not left the ice
        return []
    cause = "k_v, A_v/A_p or the thickness of the ice may be wrong, or contact was lost"
    notes = {
        name: f"by Eq. (1) only {100 * share:.0f} % of the ice had gone when the reading left it"
        for name, share in left.items()
        if np.isfinite(share)
    }
    _note(summary, {name: f"{note}: {cause}" for name, note in notes.items()})
    return [
        f"By Eq. (1) only {100 * left[furthest]:.0f} % of the ice had gone when the readings left "
        f"it: {cause}."
    ]


def _late_start(names: list[str]) -> list[str]:
    if not names:
        return []
    return [
        f"By {', '.join(names)} sublimation is under way at the first instant, which would hold "
        "for all thermocouples: check where the record begins, and the unit of the pressure."
    ]


def _low_pressure(instants: pd.DataFrame) -> list[str]:
    pressure = float(instants["chamber_pressure"][instants["steady"]].median())
    if pressure >= _LOWEST_PRESSURE:
        return []
    return [
        f"The pressure of the chamber, {pressure:.2g} Pa in the steady part, is lower than "
        "freeze-dryers are run at: check its unit."
    ]


def _too_short(
    readings: int, fraction: FloatArray, steady: tuple[float, float], remark: str
) -> str:
    text = (
        f"only {readings} readings are in the steady part ({100 * steady[0]:.0f} to "
        f"{100 * steady[1]:.0f} % dried); by Eq. (1), {100 * float(np.nanmax(fraction)):.0f} % of "
        "the ice has sublimed by the last usable reading: check k_v, the thickness of the ice and "
        "the units"
    )
    return f"{text}; {remark}" if remark else text
