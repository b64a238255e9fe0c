"""Folds on a real Dask cluster of processes: the same bits, and clear words where it cannot be."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from remarks import read_remarks
from test_validation import SMALL, small_dataset

import fesemlib.network.checkpoints
from fesemlib.network.engine import Settings
from fesemlib.network.inputs import keep_network_inputs
from fesemlib.params import Parameters
from fesemlib.progress import REMARKS_FILE, Progress
from fesemlib.storage import BUILD_FOLDER
from fesemlib.validation import workers as scheduling
from fesemlib.validation.folds import FoldJob
from fesemlib.validation.leave_one_out import leave_one_formulation_out
from fesemlib.validation.workers import SchedulerError, trained

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_build")]

LONG = SMALL.model_copy(update={"epochs": 300, "number_of_seeds": 1, "batch_size": 2})


def start_cluster(workers: int, threads: int = 1) -> Any:
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=threads, processes=True, dashboard_address=":0"
    )


@pytest.fixture(autouse=True)
def collected() -> None:
    """A client that an earlier test left failed may lock as it is collected: not in this test."""
    gc.collect()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers of one thread each, which a nanny starts again when they die."""
    with start_cluster(2) as started:
        yield started


@pytest.fixture(scope="module")
def empty_cluster() -> Iterator[Any]:
    """A scheduler without workers."""
    with start_cluster(0) as started:
        yield started


def on(cluster: Any, parameters: Parameters = SMALL) -> Parameters:
    return parameters.model_copy(update={"scheduler": cluster.scheduler_address})


def processes_of(cluster: Any) -> list[int]:
    return [nanny.pid for nanny in cluster.workers.values()]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """The table as this machine computes it, and the files that keep the folds."""
    build = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BUILD_FOLDER, str(build))
        return leave_one_formulation_out(small_dataset(), LONG), files_in(build)


def files_in(build: Path) -> dict[str, bytes]:
    """The files in the cache, but for what a killed writer leaves: a later run removes that."""
    folder = build / "cache" / "folds"
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.startswith(".unfinished-")
    }


def test_same_bits_as_on_this_machine(cluster, own_build, here, monkeypatch):
    shown: list[Progress | None] = []
    monkeypatch.setattr("fesemlib.progress._watcher", lambda: shown.append)
    there = leave_one_formulation_out(small_dataset(), on(cluster, LONG))
    pd.testing.assert_frame_equal(there, here[0], check_exact=True)
    assert files_in(own_build) == here[1]
    assert [str(state.done) for state in shown if state and state.what == "folds"] == list("0123")
    again = leave_one_formulation_out(small_dataset(), LONG)  # here, from the cache
    pd.testing.assert_frame_equal(again, there, check_exact=True)


def when_training(folder: Path, strike: Callable[[], object]) -> threading.Thread:
    """Strike as soon as the state of a training has been saved."""

    def wait_and_strike() -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if list(folder.glob("*.checkpoint")):
                strike()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=wait_and_strike)
    thread.start()
    return thread


def test_lost_workers_cost_their_folds_only(cluster, own_build, here, monkeypatch):
    """One is killed in the middle of a fold, then all that there are, the inputs with them."""
    monkeypatch.setattr(fesemlib.network.checkpoints, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    killed = []

    def strike() -> None:
        for worker in processes_of(cluster):
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)
            time.sleep(0.3)

    assassin = when_training(own_build / "cache" / "folds", strike)
    there = leave_one_formulation_out(small_dataset(), on(cluster, LONG))
    assassin.join()
    assert len(killed) == 2
    pd.testing.assert_frame_equal(there, here[0], check_exact=True)
    assert files_in(own_build) == here[1]  # and no checkpoint


def test_a_fold_that_the_scheduler_gives_up_is_tried_again(own_build, here, monkeypatch, tmp_path):
    """A scheduler that gives a task up as soon as it has lost one worker."""
    monkeypatch.setattr(fesemlib.network.checkpoints, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setenv(REMARKS_FILE, str(tmp_path / "remarks"))
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), start_cluster(1) as strict:

        def strike() -> None:
            os.kill(processes_of(strict)[0], signal.SIGKILL)

        assassin = when_training(own_build / "cache" / "folds", strike)
        there = leave_one_formulation_out(small_dataset(), on(strict, LONG))
        assassin.join()
    pd.testing.assert_frame_equal(there, here[0], check_exact=True)
    assert any("has lost 1 workers; it is tried again" in line for line in told(tmp_path))


def test_a_fold_that_always_loses_its_workers_ends_the_run(own_build, monkeypatch):
    monkeypatch.setattr(fesemlib.network.checkpoints, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    ended = threading.Event()

    def kill_on(strict: Any) -> None:
        folder = own_build / "cache" / "folds"
        while not ended.wait(0.05):
            for path in folder.glob("*.checkpoint"):  # a training has begun
                path.unlink(missing_ok=True)
                for worker in filter(None, processes_of(strict)):
                    with suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), start_cluster(1) as strict:
        killer = threading.Thread(target=kill_on, args=(strict,))
        killer.start()
        endless = on(strict, LONG.model_copy(update={"epochs": 100_000}))
        try:
            with pytest.raises(SchedulerError, match="has lost 3 workers one after another"):
                leave_one_formulation_out(small_dataset(), endless)
        finally:
            ended.set()
            killer.join()


def test_paused_workers_are_none(empty_cluster, monkeypatch):
    """A worker whose memory is nearly full pauses: nothing would ever be trained on it."""
    info = {"workers": {"tcp://a:1": {"status": "paused"}}}
    with distributed.Client(empty_cluster, set_as_default=False) as client:
        monkeypatch.setattr(client, "scheduler_info", lambda **_: info)
        assert not scheduling._has_workers(client, "tcp://a:1")
        info["workers"]["tcp://b:1"] = {"status": "running"}
        assert scheduling._has_workers(client, "tcp://a:1")


def test_a_worker_that_dies_while_it_is_asked_is_left_out(cluster, monkeypatch):
    with distributed.Client(cluster, set_as_default=False) as client:
        answers = {"tcp://dying:1": OSError("gone"), "tcp://well:1": scheduling.software()}
        monkeypatch.setattr(client, "run", lambda *_, **__: answers)
        scheduling._check_workers(client)
        answers["tcp://odd:1"] = {}
        with pytest.raises(SchedulerError, match=r"tcp://odd:1 has device none instead of"):
            scheduling._check_workers(client)


def test_a_worker_that_has_used_tensorflow_is_refused():
    """With several threads, as TensorFlow starts by default."""

    def use_tensorflow() -> None:
        import tensorflow

        tensorflow.constant(1.0) + 1

    with start_cluster(1) as used:
        with distributed.Client(used, set_as_default=False) as client:
            client.run(use_tensorflow)
        with pytest.raises(SchedulerError, match=r"used TensorFlow before.*fresh worker"):
            leave_one_formulation_out(small_dataset(), on(used, LONG))


def told(folder: Path) -> list[str]:
    return read_remarks(folder / "remarks")


def test_a_worker_that_does_not_know_this_package_is_refused(cluster, monkeypatch):
    def unknown() -> None:
        import fesemlib.of_another_version  # noqa: F401

    monkeypatch.setattr(scheduling, "software", unknown)
    with pytest.raises(SchedulerError, match=r"worker tcp://.*cannot load.*of_another_version"):
        leave_one_formulation_out(small_dataset(), on(cluster))


CLIENT = """
import sys
import fesemlib.network.checkpoints
from test_cluster import LONG
from test_validation import small_dataset
from fesemlib.validation.leave_one_out import leave_one_formulation_out

fesemlib.network.checkpoints.SECONDS_BETWEEN_CHECKPOINTS = 0.0
parameters = LONG.model_copy(update={"scheduler": sys.argv[1], "epochs": int(sys.argv[2])})
leave_one_formulation_out(small_dataset(), parameters)
"""


def kill_client_that_trains(cluster: Any, build: Path, epochs: int) -> None:
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, cluster.scheduler_address, str(epochs)],
        env={**os.environ, "PYTHONPATH": paths},
    )
    when_training(build / "cache" / "folds", client.kill).join()
    assert client.wait() == -signal.SIGKILL


def test_nobody_trains_for_a_client_that_is_gone(cluster, own_build):
    kill_client_that_trains(cluster, own_build, 100_000)  # minutes
    with distributed.Client(cluster, set_as_default=False) as watcher:
        deadline = time.monotonic() + 30
        while any(watcher.run(lambda dask_worker: len(dask_worker.active_threads)).values()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert list((own_build / "cache" / "folds").glob("*.checkpoint"))  # unfinished, not finished


def test_a_killed_client_is_taken_up(cluster, own_build, here):
    kill_client_that_trains(cluster, own_build, LONG.epochs)
    assert len(files_in(own_build)) >= 1
    there = leave_one_formulation_out(small_dataset(), on(cluster, LONG))
    pd.testing.assert_frame_equal(there, here[0], check_exact=True)


def test_workers_need_not_see_the_folder_of_the_client(cluster, here, tmp_path):
    """A fold whose folder is not there yet is one whose worker does not see it."""
    data = small_dataset()
    job = FoldJob(
        label="A held out",
        path=tmp_path / "unseen" / "fold.npz",
        k_m=data.images["k_m"].to_numpy(),
        test=(data.images["formulation"] == "A").to_numpy(),
        used=np.ones(len(data.images), dtype=bool),
        settings=Settings.of(LONG),
        transformations=("original",),
        seed=(0, 0),
    )
    inputs = keep_network_inputs(data, LONG)
    ((number, outcome),) = trained([job], inputs, scheduler=cluster.scheduler_address)
    assert number == 0
    table = here[0][(here[0]["held_out"] == "A") & (here[0]["role"] == "test")]
    assert np.array_equal(outcome.test.ravel(), table["predicted_km"])
    assert list(job.path.parent.iterdir()) == [job.path]


def test_nobody_answers(monkeypatch):
    monkeypatch.setattr(scheduling, "SECONDS_TO_CONNECT", 1.0)
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        parameters = SMALL.model_copy(update={"scheduler": address})
        with pytest.raises(SchedulerError, match="no Dask scheduler answers") as caught:
            leave_one_formulation_out(small_dataset(), parameters)
    assert str(caught.value).startswith(address)


@pytest.mark.parametrize("address", ["carrier-pigeon://coop:1", "tcp://", "not an address"])
def test_what_is_no_address(address, monkeypatch):
    monkeypatch.setattr(scheduling, "SECONDS_TO_CONNECT", 1.0)
    parameters = SMALL.model_copy(update={"scheduler": address})
    with pytest.raises(SchedulerError, match="correct the address"):
        leave_one_formulation_out(small_dataset(), parameters)


def test_an_encrypted_address():
    parameters = SMALL.model_copy(update={"scheduler": "tls://127.0.0.1:1"})
    with pytest.raises(SchedulerError, match=r"tls://127.0.0.1:1: .*begins with tcp://"):
        leave_one_formulation_out(small_dataset(), parameters)


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    parameters = SMALL.model_copy(update={"scheduler": "tcp://host:8786"})
    with pytest.raises(SchedulerError, match=r"not installed; add it with .*\[cluster\]"):
        leave_one_formulation_out(small_dataset(), parameters)


@pytest.mark.parametrize("when", ["at the start", "joined later"])
def test_other_versions_are_refused(cluster, monkeypatch, when):
    if when == "joined later":
        monkeypatch.setattr(scheduling, "_check_workers", lambda _: None)
    expected = {**scheduling.software(), "tensorflow": "1.0"}
    monkeypatch.setattr(scheduling, "software", lambda: expected)
    with pytest.raises(SchedulerError, match=r"worker tcp://.* instead of 1\.0.*same versions"):
        leave_one_formulation_out(small_dataset(), on(cluster))


@pytest.mark.parametrize("when", ["at the start", "joined later"])
def test_workers_with_several_threads_are_refused(monkeypatch, when):
    if when == "joined later":
        monkeypatch.setattr(scheduling, "_check_workers", lambda _: None)
    refused = pytest.raises(SchedulerError, match=r"has 2 threads.*--nthreads 1")
    with start_cluster(1, threads=2) as wide, refused:
        leave_one_formulation_out(small_dataset(), on(wide))


def test_a_scheduler_that_is_lost():
    with start_cluster(0) as lost:
        threading.Timer(1, lost.close).start()
        with pytest.raises(SchedulerError, match=r"connection to the scheduler is lost.*kept"):
            leave_one_formulation_out(small_dataset(), on(lost))


def test_no_workers(empty_cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(scheduling, "SECONDS_WITHOUT_WORKERS", 1.0)
    monkeypatch.setattr(scheduling, "_SECONDS_BETWEEN_LOOKS", 0.2)
    monkeypatch.setenv(REMARKS_FILE, str(tmp_path / "remarks"))
    with pytest.raises(SchedulerError, match="there has been no worker for 1 s; start some"):
        leave_one_formulation_out(small_dataset(), on(empty_cluster))
    assert read_remarks(tmp_path / "remarks") == [
        f"{empty_cluster.scheduler_address}: no worker takes on work; waiting up to 1 s for one"
    ]
