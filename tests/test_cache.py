"""Bounding the cache: what goes, what stays, and what is never touched."""

import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.command.cache import SECONDS_IN_USE, bytes_of, entries, to_remove
from fesemlib.command.cli import main

NOW = 1e9
KINDS = ("degraded", "processed", "micrographs", "inputs", "volumes", "folds")


@pytest.fixture
def filled(own_build: Path) -> Path:
    """A cache with a hundred bytes of each kind, two files each, and other things beside it."""
    for kind in KINDS:
        for number, age in enumerate((3, 10)):
            path = own_build / "cache" / kind / f"{number}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(50))
            moment = path.stat().st_mtime - age * SECONDS_IN_USE
            os.utime(path, (moment, moment))
    (own_build / "cache" / "folds" / ".unfinished-1").touch()
    (own_build / "book" / "results").mkdir(parents=True)
    (own_build / "book" / "results" / "table.csv").touch()
    return own_build


def left(build: Path) -> list[str]:
    paths = [path for path in build.rglob("*") if path.is_file()]
    return sorted(path.relative_to(build).as_posix() for path in paths)


@pytest.mark.usefixtures("filled")
def test_entries_come_in_the_order_in_which_they_go() -> None:
    found = entries()
    assert list(found["kind"]) == [kind for kind in KINDS for _ in range(2)]
    assert [path.name for path in found["path"]] == ["1.npy", "0.npy"] * 6  # the older one first
    assert found["size"].sum() == 600


def test_what_a_training_may_be_reading_is_needed_for_a_day(own_build: Path) -> None:
    names = ("micrographs/a.npy", "inputs/b.npy", "folds/c.npz", "folds/d.checkpoint")
    for name in names:
        path = own_build / "cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (NOW, NOW))
    found = entries().set_index("path")
    needed = [found.loc[own_build / "cache" / name, "needed_until"] for name in names]
    assert needed == [0, NOW + SECONDS_IN_USE, 0, NOW + SECONDS_IN_USE]


@pytest.mark.parametrize(("keep", "removed"), [("1KB", 0), ("580B", 1), ("400B", 4), ("0", 12)])
def test_clean_removes_no_more_than_it_must(
    filled: Path, keep: str, removed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    order = [path.relative_to(filled).as_posix() for path in entries()["path"]]
    before = left(filled)
    assert main(["clean", "--keep", keep, "--dry-run"]) == 0
    assert left(filled) == before
    assert main(["clean", "--keep", keep]) == 0
    assert left(filled) == sorted(set(before) - set(order[:removed]))
    assert "would be removed" in capsys.readouterr().out


def test_empty_cache(own_build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean"]) == 0
    assert "0 B" in capsys.readouterr().out
    assert not own_build.exists()


@pytest.mark.usefixtures("own_build")
@pytest.mark.parametrize("text", ["5", "five", "-1GB", "GB", "1e3MB", "nan", ""])
def test_no_size(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", f"--keep={text}"]) == 2
    assert f"--keep {text!r}: give a number and a unit" in capsys.readouterr().err


def test_sizes() -> None:
    assert [bytes_of(text) for text in ("0", "7B", "2kb", " 1.5 GB ")] == [0, 7, 2000, 1.5e9]


FILES = st.tuples(st.integers(0, 1000), st.floats(NOW - SECONDS_IN_USE, NOW + SECONDS_IN_USE))


@given(st.lists(FILES, max_size=20), st.integers(0, 5000))
def test_what_is_left_fits_unless_it_is_in_use(files: list[tuple[int, float]], limit: int) -> None:
    found = pd.DataFrame(files, columns=["size", "needed_until"]).astype(float)
    doomed = to_remove(found, limit, NOW)
    kept = found.drop(doomed.index)
    assert doomed.index.is_monotonic_increasing
    assert (doomed["needed_until"] <= NOW).all()
    if kept["size"].sum() > limit:
        assert (kept["needed_until"] > NOW).all()
    if len(doomed):  # and the last of them had to go
        assert kept["size"].sum() + doomed["size"].iloc[-1] > limit
