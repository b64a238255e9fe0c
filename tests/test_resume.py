"""The same bits, whatever happens: kills, damaged files, a full disk, two runs at a time.

The environment variable FESEM_KILLS raises the number of kills, for a long run by hand.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from loky import get_reusable_executor
from remarks import read_remarks
from test_validation import SMALL, small_dataset

import fesemlib.network.checkpoints
from fesemlib.network.checkpoints import Checkpoint
from fesemlib.network.engine import AbandonedError, Outcome, Settings, train_fold
from fesemlib.progress import REMARKS_FILE
from fesemlib.storage import BUILD_FOLDER, DiskFullError
from fesemlib.validation.leave_one_out import leave_one_formulation_out
from fesemlib.validation.workers import TrainingError

KILLS = int(os.environ.get("FESEM_KILLS", "3"))
LONG = SMALL.model_copy(update={"epochs": 400, "number_of_seeds": 1, "batch_size": 2})
ONE_SEED = SMALL.model_copy(update={"number_of_seeds": 1})
RUN = """
import sys
import fesemlib.network.checkpoints
from test_resume import LONG
from test_validation import small_dataset
from fesemlib.validation.leave_one_out import leave_one_formulation_out

if __name__ == "__main__":
    fesemlib.network.checkpoints.SECONDS_BETWEEN_CHECKPOINTS = 0.1
    parameters = LONG.model_copy(update={"parallel_jobs": int(sys.argv[2])})
    leave_one_formulation_out(small_dataset(), parameters).to_pickle(sys.argv[1])
"""


@pytest.fixture
def remarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What has been remarked so far."""
    path = tmp_path / "remarks.txt"
    monkeypatch.setenv(REMARKS_FILE, str(path))
    return lambda: read_remarks(path)


def folds_in(build: Path) -> dict[Path, int]:
    """The finished folds in the cache, and when they were written."""
    return {path: path.stat().st_mtime_ns for path in (build / "cache" / "folds").glob("*.npz")}


# ------------------------------------------------------------------------------------ checkpoints


class Variable:
    """What a checkpoint uses of TensorFlow's variables."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def numpy(self) -> np.ndarray:
        return self.value

    def assign(self, value: np.ndarray) -> None:
        self.value = value


def test_a_state_comes_back_bit_by_bit(tmp_path):
    rng = np.random.default_rng(0)
    saved = [Variable(rng.normal(size=shape).astype("f4")) for shape in ((3, 3, 1, 4), (4,))]
    predictions = list(rng.normal(size=(5, 2)))
    checkpoint = Checkpoint(tmp_path / "fold.checkpoint")
    fits = list(rng.normal(size=(3, 4)))
    checkpoint.save(saved, predictions, fits)
    fresh = [Variable(np.zeros_like(variable.value)) for variable in saved]
    restored = checkpoint.restore(fresh)
    for parts, originals in zip(restored, (predictions, fits), strict=True):
        assert all(map(np.array_equal, parts, originals))
        assert len(parts) == len(originals)
    for variable, original in zip(fresh, saved, strict=True):
        assert variable.value.dtype == np.float32
        assert np.array_equal(variable.value, original.value)
    checkpoint.remove()
    assert checkpoint.restore(fresh) == ([], [])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut short", "one bit", "of another fold"])
def test_a_damaged_or_foreign_state_is_not_used(tmp_path, remarks, damage):
    checkpoint = Checkpoint(tmp_path / "fold.checkpoint")
    checkpoint.save([Variable(np.ones(50))], [np.ones(1)], [])
    content = bytearray(checkpoint.path.read_bytes())
    if damage == "cut short":
        checkpoint.path.write_bytes(content[: len(content) // 2])
    elif damage == "one bit":
        content[len(content) // 2] ^= 1
        checkpoint.path.write_bytes(content)
    else:
        checkpoint = Checkpoint(checkpoint.path.rename(tmp_path / "other.checkpoint"))
    untouched = Variable(np.zeros(50))
    assert checkpoint.restore([untouched]) == ([], [])
    assert not untouched.value.any()
    (told,) = remarks()
    assert str(checkpoint.path) in told
    assert checkpoint.restore([untouched]) == ([], [])
    assert len(remarks()) == 1  # said once


def train(
    checkpoint: Checkpoint | None, stop_after: int | None = None
) -> tuple[int, Outcome | None]:
    """Train six epochs, or fewer; how many were trained now, and the outcome."""
    rng = np.random.default_rng(1)
    settings = Settings.of(SMALL.model_copy(update={"epochs": 6, "batch_size": 2}))
    epochs = 0

    def is_wanted() -> bool:
        nonlocal epochs
        epochs += 1
        return epochs != stop_after

    outcome = None
    with suppress(AbandonedError):
        outcome = train_fold(
            rng.random((6, 24, 32), dtype=np.float32),
            np.linspace(1e-3, 2e-3, 6),
            np.arange(6) == 2,
            settings,
            transformations=("original",),
            seed=np.random.SeedSequence(3),
            checkpoint=checkpoint,
            is_wanted=is_wanted,
        )
        epochs += 1  # nobody is asked after the last one
    return epochs, outcome


def train_in_parts(folder: Path) -> list[tuple[int, Outcome | None]]:
    """Undisturbed; stopped and taken up; stopped twice; ended, and killed before it was kept."""
    results = [train(None)]
    for stop in (1, 3, 5):
        checkpoint = Checkpoint(folder / f"{stop}.checkpoint")  # saved because it is stopped
        train(checkpoint, stop)
        results.append(train(checkpoint))
    twice = Checkpoint(folder / "twice.checkpoint", seconds=0)
    train(twice, 2)
    train(twice, 2)
    results.append(train(twice))
    ended = Checkpoint(folder / "ended.checkpoint", seconds=0)
    train(ended)
    results.append(train(ended))
    return results


@pytest.mark.slow
def test_a_training_in_parts_gives_the_same_bits(tmp_path):
    """With dropout, and batches smaller than the set: both kinds of randomness take part."""
    whole, *parts = get_reusable_executor(max_workers=1).submit(train_in_parts, tmp_path).result()
    assert [epochs for epochs, _ in parts] == [5, 3, 1, 2, 1]
    assert whole[1] is not None
    for _, outcome in parts:
        assert outcome is not None
        assert np.array_equal(outcome.test, whole[1].test)
        assert np.array_equal(outcome.train, whole[1].train)


# ---------------------------------------------------------------------------------- whole runs


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The table of two runs at the same time with one cache, one fold at a time each."""
    folder = tmp_path_factory.mktemp("undisturbed")
    tables = [folder / "one.pkl", folder / "other.pkl"]
    runs = [start(folder / "build", table, 1) for table in tables]
    for run in runs:
        assert run.wait(timeout=300) == 0
    one, other = map(pd.read_pickle, tables)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    files = list((folder / "build" / "cache" / "folds").iterdir())
    assert len(files) == 6  # no state of a training, nothing half written
    assert {path.suffix for path in files} == {".npz", ".weights"}
    return one


def start(build: Path, table: Path, parallel_jobs: int) -> subprocess.Popen[bytes]:
    """A run in a process group of its own."""
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {
        **os.environ,
        BUILD_FOLDER: str(build),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(table), str(parallel_jobs)],
        env=environment,
        start_new_session=True,
    )


def states_in(build: Path) -> set[tuple[str, int]]:
    """Every file that says how far the training has come."""
    found = set()
    for path in (build / "cache" / "folds").glob("[!.]*"):
        with suppress(FileNotFoundError):
            found.add((path.name, path.stat().st_mtime_ns))
    return found


@pytest.mark.slow
def test_killed_runs_end_with_the_same_bits(tmp_path, undisturbed):
    """Killed at random moments, at times with all its processes, at times alone."""
    rng = np.random.default_rng(KILLS)
    build, table = tmp_path / "build", tmp_path / "table.pkl"
    kills = 0
    while True:
        before = states_in(build)
        run = start(build, table, 2)
        if kills % 3:  # the others are killed wherever the start has got to
            while run.poll() is None and states_in(build) == before:
                time.sleep(0.01)
        if kills < KILLS:
            time.sleep(rng.uniform(0, 2 if kills % 3 else 8))
        if kills == KILLS or run.poll() is not None:
            assert run.wait(timeout=300) == 0
            pd.testing.assert_frame_equal(pd.read_pickle(table), undisturbed, check_exact=True)
            if kills == KILLS:
                return
            shutil.rmtree(build)
            continue
        with suppress(ProcessLookupError):
            (os.killpg if rng.random() < 0.5 else os.kill)(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        kills += 1
        print(f"kill {kills}: {len(states_in(build))} files", flush=True)


def kill_a_worker_that_trains(build: Path) -> None:
    """Kill one of the processes that this one trains in, as soon as a state has been saved."""
    deadline = time.monotonic() + 90
    while not list((build / "cache" / "folds").glob("*.checkpoint")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    children = psutil.Process().children()
    workers = [child for child in children if "LokyProcess" in " ".join(child.cmdline())]
    workers[-1].kill()


@pytest.mark.slow
def test_a_killed_worker_ends_in_a_clear_error_and_costs_nothing_finished(own_build, monkeypatch):
    monkeypatch.setattr(fesemlib.network.checkpoints, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    data = small_dataset()
    expected = leave_one_formulation_out(data, ONE_SEED)
    kept = folds_in(own_build)
    endless = ONE_SEED.model_copy(update={"epochs": 5000, "parallel_jobs": 2})
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_a_worker_that_trains, own_build)
        with pytest.raises(TrainingError, match=r"was killed.*finished folds are kept"):
            leave_one_formulation_out(data, endless)
        killed.result()
    assert kept.items() <= folds_in(own_build).items()
    again = leave_one_formulation_out(data, SMALL)  # trains the second seed, in new processes
    pd.testing.assert_frame_equal(again[again["seed"] == 0], expected, check_exact=True)


@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_an_idle_worker_that_stops_is_no_warning_on_the_page():
    """loky replaces it, and says so in these words; what else it says is heard."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        leave_one_formulation_out(small_dataset(), ONE_SEED)
        warnings.warn("A worker stopped while some jobs were given to the executor.", stacklevel=1)
        with pytest.raises(UserWarning, match="memory leak"):
            warnings.warn("There is a memory leak.", stacklevel=1)


_held: list[np.ndarray] = []


def grow_by_400_mb() -> int:
    """Hold memory for longer than loky waits between two looks at it; the process' number."""
    _held.append(np.ones(50_000_000))
    time.sleep(1.1)
    return os.getpid()


@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_a_worker_that_needs_more_memory_than_before_goes_on():
    """As when the copies of large images are trained on after the images themselves."""
    leave_one_formulation_out(small_dataset(), ONE_SEED)
    executor = get_reusable_executor(reuse=True)
    workers = [executor.submit(grow_by_400_mb) for _ in range(3)]
    assert len({worker.result() for worker in workers}) == 1
    executor.shutdown(kill_workers=True)  # gives the memory back


@pytest.mark.slow
def test_code_that_was_changed_since_is_not_taken_for_the_one_that_is_named(own_build, monkeypatch):
    """As when the package is edited while a kernel lives: its digests are of what was there."""
    from fesemlib.validation import workers as scheduling

    before = {**scheduling.software(), "fesemlib": "what was there before"}
    monkeypatch.setattr(scheduling, "software", lambda: before)
    with pytest.raises(TrainingError, match=r"has been changed.*restart the kernel"):
        leave_one_formulation_out(small_dataset(), ONE_SEED)
    assert not folds_in(own_build)


@pytest.mark.slow
def test_inputs_that_are_damaged_meanwhile_are_not_trained_on(own_build, monkeypatch):
    from fesemlib.validation import leave_one_out as validation

    keep = validation.keep_network_inputs

    def keep_and_damage(*arguments):
        path = keep(*arguments)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        return path

    monkeypatch.setattr(validation, "keep_network_inputs", keep_and_damage)
    with pytest.raises(TrainingError, match=r"inputs.*missing or damaged; start again"):
        leave_one_formulation_out(small_dataset(), ONE_SEED)
    assert not folds_in(own_build)


@pytest.mark.slow
def test_states_that_nobody_takes_up_are_removed(own_build):
    folder = own_build / "cache" / "folds"
    folder.mkdir(parents=True)
    old, young = folder / "old.checkpoint", folder / "young.checkpoint"
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))
    leave_one_formulation_out(small_dataset(), ONE_SEED)
    assert young.exists()
    assert not old.exists()


def test_a_state_that_cannot_be_kept_does_not_end_the_training(tmp_path, remarks):
    """As in a worker elsewhere, whose disk is full."""
    (tmp_path / "file").touch()
    fesemlib.network.checkpoints._remark_once.cache_clear()
    checkpoint = Checkpoint(tmp_path / "file" / "fold.checkpoint")  # a folder that cannot be made
    for _ in range(2):
        checkpoint.save([Variable(np.ones(3))], [np.ones(1)], [])
    (told,) = remarks()
    assert told.startswith(f"{tmp_path / 'file'}: no state of a training can be kept")


@pytest.mark.slow
def test_damaged_files_are_reported_and_made_anew(own_build, remarks):
    data = small_dataset()
    expected = leave_one_formulation_out(data, SMALL)
    files = sorted(own_build.rglob("*.np[yz]"))
    micrograph, inputs = (
        next(path for path in files if path.parent.name == name) for name in ("processed", "inputs")
    )
    cut, flipped, emptied, swapped, other, whole = folds_in(own_build)
    cut.write_bytes(cut.read_bytes()[:-100])
    for path in (flipped, inputs, micrograph):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x10
        path.write_bytes(content)
    emptied.write_bytes(b"")
    content = swapped.read_bytes()
    swapped.write_bytes(other.read_bytes())
    other.write_bytes(content)
    before = folds_in(own_build)[whole]
    left_over = whole.with_suffix(".checkpoint")  # killed when all but this was done
    left_over.touch()
    table = leave_one_formulation_out(data, SMALL)
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert folds_in(own_build)[whole] == before
    assert not left_over.exists()
    told = [line.split(": damaged")[0] for line in remarks()]
    damaged = [cut, flipped, emptied, swapped, other, inputs, micrograph]
    assert sorted(told) == sorted(map(str, damaged))
    pd.testing.assert_frame_equal(leave_one_formulation_out(data, SMALL), table, check_exact=True)
    assert len(remarks()) == len(damaged)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda _: b""])
def test_a_damaged_network_is_reported_and_trained_anew(own_build, remarks, damage):
    """Its predictions are whole: the file of the weights is not."""
    expected = leave_one_formulation_out(small_dataset(), ONE_SEED)
    path = min((own_build / "cache" / "folds").glob("*.weights"))
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    again = leave_one_formulation_out(small_dataset(), ONE_SEED)
    pd.testing.assert_frame_equal(again, expected, check_exact=True)
    assert path.read_bytes() == whole
    assert [line.split(": damaged")[0] for line in remarks()] == [str(path)]


# ------------------------------------------------------------------------------------ a full disk


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A build folder on a disk of half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount a disk")
    monkeypatch.setenv(BUILD_FOLDER, str(folder / "build"))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_in_a_clear_error_and_loses_nothing(small_disk, tmp_path, monkeypatch):
    data = small_dataset()
    leave_one_formulation_out(data, ONE_SEED)
    build = small_disk / "build"
    first = folds_in(build)
    with (small_disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while shutil.disk_usage(small_disk).free > 2 * 4096:
            filler.write(bytes(4096))
    with pytest.raises(DiskFullError) as caught:
        leave_one_formulation_out(data, SMALL)
    assert str(caught.value).startswith(f"{build / 'cache' / 'folds'}: the disk is full")
    assert "is kept" in str(caught.value)
    kept = folds_in(build)
    assert len(kept) == 5  # there was room for two more
    assert first.items() <= kept.items()
    assert not list(build.rglob(".*"))
    (small_disk / "filler").unlink()
    table = leave_one_formulation_out(data, SMALL)
    assert kept.items() <= folds_in(build).items()
    monkeypatch.setenv(BUILD_FOLDER, str(tmp_path / "elsewhere"))
    pd.testing.assert_frame_equal(table, leave_one_formulation_out(data, SMALL), check_exact=True)
