"""Reading drying runs: what is understood, what is repaired, what is refused and how."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.drying.records import DryingRunError, read_drying_run
from fesemlib.drying.vial import PAPER_CYCLE, Vial, recorded_drying

RECORD = recorded_drying([1e-3, 1.2e-3], Vial(14.2, 7e-3), PAPER_CYCLE, noise=0.05, time_step=300)
TIME, SHELF, FIRST, SECOND, PRESSURE = RECORD.columns


@pytest.fixture
def saved(tmp_path):
    def save(record: pd.DataFrame, **options):
        path = tmp_path / "run.csv"
        record.to_csv(path, index=False, float_format="%.7f", **options)
        return path

    return save


@pytest.fixture
def written(tmp_path):
    def write(content: str | bytes):
        path = tmp_path / "run.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def changed(column: str, place: int | slice, value: object) -> pd.DataFrame:
    """The record with other values in a column."""
    record = RECORD.astype({column: object})
    record.iloc[place, list(record.columns).index(column)] = value
    return record


def equal(run, other) -> bool:
    arrays = ("time", "shelf_temperature", "chamber_pressure")
    return all(
        np.allclose(getattr(run, name), getattr(other, name), rtol=1e-5) for name in arrays
    ) and np.allclose(run.product_temperatures, other.product_temperatures, rtol=1e-5)


# ------------------------------------------------------------------------------------- understood


def test_values_are_those_written_in_si(saved):
    run = read_drying_run(saved(RECORD))
    assert run.time == pytest.approx(3600 * RECORD[TIME].to_numpy(), abs=0.2)
    assert run.shelf_temperature == pytest.approx(RECORD[SHELF].to_numpy() + 273.15, abs=1e-4)
    assert run.chamber_pressure == pytest.approx(10.0)
    assert list(run.product_temperatures) == ["T_product_1", "T_product_2"]
    assert run.product_temperatures["T_product_2"].to_numpy() == pytest.approx(
        RECORD[SECOND].to_numpy() + 273.15, abs=1e-4
    )
    assert run.remarks == ()


OTHER_LOGGERS = [
    {
        "Time [min]": RECORD[TIME] * 60,
        "Shelf (K)": RECORD[SHELF] + 273.15,
        "TC1 (K)": RECORD[FIRST] + 273.15,
        "TC2 (K)": RECORD[SECOND] + 273.15,
        "Pch (mTorr)": RECORD[PRESSURE] / 101325 * 760e3,
    },
    {
        "t (s)": RECORD[TIME] * 3600,
        "Shelf temperature (degC)": RECORD[SHELF],
        "T1 ( C )": RECORD[FIRST],
        "T2 (°C)": RECORD[SECOND],
        "chamber pressure (mbar)": RECORD[PRESSURE] / 100,
    },
    {
        "elapsed time (hours)": RECORD[TIME],
        "T_fluid (Kelvin)": RECORD[SHELF] + 273.15,
        "bottom, vial 1 (°C)": RECORD[FIRST],
        "bottom, vial 2 (°C)": RECORD[SECOND],
        "P (\u00b5bar)": RECORD[PRESSURE] * 10,
    },
]


@pytest.mark.parametrize("columns", OTHER_LOGGERS, ids=lambda columns: next(iter(columns)))
def test_units_and_names_of_other_loggers_give_the_same(saved, columns):
    expected = read_drying_run(saved(RECORD))
    assert equal(read_drying_run(saved(pd.DataFrame(columns))), expected)


def test_spreadsheets_write_semicolons_and_decimal_commas(saved):
    expected = read_drying_run(saved(RECORD))
    for encoding in ("utf-8-sig", "cp1252", "utf-16"):
        assert equal(
            read_drying_run(saved(RECORD, sep=";", decimal=",", encoding=encoding)), expected
        )
    assert equal(read_drying_run(saved(RECORD, sep="\t", lineterminator="\r\n")), expected)


def test_other_columns_are_said_to_be_left_out(saved):
    record = RECORD.assign(**{"T_condenser (°C)": -80.0, "comment": "fine"})
    run = read_drying_run(saved(record))
    assert list(run.product_temperatures) == ["T_product_1", "T_product_2"]
    assert run.remarks == ("Not used: 'T_condenser (°C)', 'comment'.",)


# --------------------------------------------------------------------------------------- repaired


def test_lines_out_of_order_are_sorted_and_repeated_ones_left_out(saved):
    expected = read_drying_run(saved(RECORD))
    order = np.arange(len(RECORD))
    order[[30, 31]] = order[[31, 30]]
    run = read_drying_run(saved(RECORD.iloc[[*order, 40, 50]]))
    assert equal(run, expected)
    assert run.remarks == (
        "2 lines out of order sorted by time.",
        "2 repeated lines left out.",
    )
    assert equal(read_drying_run(saved(RECORD[::-1])), expected)


@pytest.mark.parametrize("column", [SHELF, PRESSURE, FIRST])
@pytest.mark.parametrize("nothing", [None, "NaN", "---"])
def test_short_gaps_are_closed_by_a_line(saved, column, nothing):
    run = read_drying_run(saved(changed(column, slice(60, 64), nothing)))
    expected = RECORD[column].to_numpy().copy()
    expected[60:64] = np.interp(range(60, 64), [59, 64], expected[[59, 64]])
    values = {
        SHELF: run.shelf_temperature - 273.15,
        PRESSURE: run.chamber_pressure,
        FIRST: run.product_temperatures["T_product_1"].to_numpy() - 273.15,
    }[column]
    assert values == pytest.approx(expected, abs=1e-3)
    if column == FIRST:
        assert run.remarks == (
            "T_product_1: 4 readings missing (first in line 62), 4 of them interpolated.",
        )


def test_long_gap_of_a_thermocouple_stays_open(saved):
    run = read_drying_run(saved(changed(FIRST, slice(60, 90), None)))
    assert run.product_temperatures["T_product_1"].isna().to_numpy().nonzero()[0].tolist() == [
        *range(60, 90)
    ]
    assert "30 readings missing (first in line 62), 0 of them" in run.remarks[0]


@pytest.mark.slow
@given(st.integers(20, 150), st.integers(1, 3), st.floats(2, 200), st.sampled_from([-1, 1]))
def test_spikes_are_replaced_and_nothing_else(tmp_path_factory, place, length, height, sign):
    record = RECORD.copy()
    where = slice(place, place + length)
    record.iloc[where, 2] += sign * height
    path = tmp_path_factory.mktemp("spike") / "run.csv"
    record.to_csv(path, index=False)
    run = read_drying_run(path)
    read = run.product_temperatures["T_product_1"].to_numpy() - 273.15
    true = RECORD[FIRST].to_numpy()
    outside = np.ones(len(true), dtype=bool)
    outside[where] = False
    assert read[outside] == pytest.approx(true[outside], abs=1e-9)
    assert np.abs(read - true).max() < 0.5
    assert len(run.remarks) == 1


def test_clean_run_keeps_every_reading(saved):
    record = recorded_drying([1e-3], Vial(14.2, 7e-3), PAPER_CYCLE)
    assert read_drying_run(saved(record)).remarks == ()
    coarse = record.iloc[::5].round(1)
    assert read_drying_run(saved(coarse)).remarks == ()


def test_fast_logger_has_longer_spikes(saved):
    record = recorded_drying([1e-3], Vial(14.2, 7e-3), PAPER_CYCLE, noise=0.05, time_step=10)
    true = record[FIRST].to_numpy().copy()
    record.iloc[2000:2012, 2] = 24.0
    read = read_drying_run(saved(record)).product_temperatures["T_product_1"].to_numpy() - 273.15
    assert read == pytest.approx(true, abs=0.3)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, with_heading):
    path = tmp_path_factory.mktemp("any") / "run.csv"
    heading = b"time (h),T_shelf (K),T1 (K),pressure (Pa)\n"
    path.write_bytes(heading * with_heading + content)
    with pytest.raises(DryingRunError):  # too short to be a run
        read_drying_run(path)


@pytest.mark.parametrize("nothing", ["OL", None])
def test_thermocouple_without_a_reading_leaves_the_others(saved, nothing):
    run = read_drying_run(saved(RECORD.assign(**{FIRST: nothing})))
    assert run.remarks == ("T_product_1: no reading at all.",)
    assert run.product_temperatures["T_product_1"].isna().all()
    assert run.product_temperatures["T_product_2"].notna().all()


def test_values_that_no_thermocouple_gives_are_left_out(saved):
    run = read_drying_run(saved(changed(SECOND, slice(50, 55), 3276.7)))
    assert run.remarks == (
        "T_product_2: 5 readings that no thermocouple gives left out (first in line 52).",
    )
    assert run.product_temperatures["T_product_2"].to_numpy() - 273.15 == pytest.approx(
        RECORD[SECOND].to_numpy(), abs=0.4
    )


# ---------------------------------------------------------------------------------------- refused


def refusal(path) -> str:
    with pytest.raises(DryingRunError) as caught:
        read_drying_run(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (RECORD.drop(columns=TIME), "no column for the time, the file has 'T_shelf"),
        (RECORD.drop(columns=SHELF), "name one of them 'T_shelf (°C)'"),
        (RECORD.drop(columns=PRESSURE), "no column for the pressure"),
        (RECORD[[TIME, SHELF, PRESSURE]], "no column of a product temperature"),
        (
            RECORD.assign(**{"shelf (K)": RECORD[SHELF] + 270}),
            "both 'T_shelf (°C)' and 'shelf (K)' for the shelf",
        ),
        (RECORD.rename(columns={TIME: "time"}), "column 'time' has no unit; write it as"),
        (
            RECORD.rename(columns={TIME: "time (d)"}),
            "'time (d)': unit 'd' is no unit of time that is understood; convert to s,",
        ),
        (RECORD.rename(columns={SHELF: "shelf (°R)"}), "that is understood; convert to °C or K"),
        (RECORD.rename(columns={PRESSURE: "pressure (mPa)"}), "unit 'mPa' is no unit of pressure"),
        (changed(TIME, 7, "09:15:00"), "line 9: time (h) = '09:15:00' is not a number; give"),
        (changed(TIME, 7, None), "line 9 has no time (h); fill it in or delete the line"),
        (changed(SHELF, 7, "cold"), "line 9: T_shelf (°C) = 'cold' is not a number; correct it"),
        (changed(FIRST, 7, "inf"), "line 9: T_product_1 (°C) = 'inf' is not a number"),
        (changed(SHELF, 7, 263.15), "line 9: T_shelf (°C) = '263.15' is not plausible"),
        (RECORD.assign(**{PRESSURE: -1.0}), "line 2: pressure (Pa) = '-1.0"),
        (changed(PRESSURE, 7, 2e5), "is not plausible"),
        (RECORD.assign(**{PRESSURE: 0}), "line 2: pressure (Pa) = '0' is not plausible; check its"),
        (changed(PRESSURE, slice(50, 90), None), "line 52: pressure (Pa) is missing, and"),
        (changed(SHELF, slice(50, 90), None), "line 52: T_shelf (°C) is missing"),
        (
            RECORD.assign(**{FIRST: "OL", SECOND: ""}),
            "no thermocouple has any reading (columns 'T_product_1, T_product_2'); give",
        ),
        (
            RECORD.assign(**{name: RECORD[name] + 273.15 for name in (FIRST, SECOND)}),
            "K, like most of its",
        ),
        (changed(TIME, 60, RECORD[TIME][59]), "lines 61 and 62 have one time"),
        (pd.concat([RECORD, RECORD]), "the clock starts again; give the time that has passed"),
        (RECORD.drop(index=range(70, 100)), "nothing was recorded for 9300 s between"),
        (RECORD[:15], "15 instants are too few for a drying"),
    ],
)
def test_refusal_names_place_value_and_remedy(saved, record, words):
    assert words in refusal(saved(record))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as CSV (its first line is empty)"),
        (b"time (h)\0", "it holds NUL bytes"),
        (
            "time (h),T_shelf (°C)\n0,5,-50,0\n",
            "line 2 holds more values than the first line has names; write numbers with a decimal "
            "point, or separate the columns with semicolons",
        ),
        ("time (h),time (h)\n0,0\n", "column 'time (h)' stands there twice"),
        ("logger 7\ntime (h),T_shelf (°C)\n0,5\n", "no column for the pressure, of a product"),
        (b"\xff\xfe\x00", "cannot be read as CSV"),
        ('time (h),"T\n0,0\n', "cannot be read as CSV (a quotation mark is not closed)"),
    ],
)
def test_file_that_is_no_table_is_refused(written, content, words):
    assert words in refusal(written(content))


def test_missing_file_is_refused_with_the_path_tried(tmp_path):
    assert "no such drying run (looked for /" in refusal(tmp_path / "none.csv")
    assert "no table in this folder; they end in .csv" in refusal(tmp_path)
