"""Where folds are trained: in processes of this machine, or by the workers of a Dask scheduler.

Neither has an influence on the numbers. Wherever a fold is trained, it is in a process that trains
nothing else at the same time, with one thread, on the same inputs and from the same seed.
"""

from __future__ import annotations

import gc
import logging
import os
import time
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from loky import cpu_count, get_reusable_executor
from loky.process_executor import BrokenProcessPool

from fesemlib.network.architecture import training_device
from fesemlib.network.engine import AbandonedError, Images, Outcome, use_one_thread
from fesemlib.network.inputs import kept_inputs
from fesemlib.progress import duration, remark
from fesemlib.validation.folds import FoldJob, software

SECONDS_TO_CONNECT = 5.0  # how long a scheduler may take to answer

# How long a scheduler may have no worker at all, be they in a queue or lost.
SECONDS_WITHOUT_WORKERS = 3600.0

# How often a fold is given to workers of a scheduler that gives it up because it lost several.
ATTEMPTS = 3

_SECONDS_BETWEEN_LOOKS = 2.0

# Loky takes a process that grows by 300 MB for one that leaks, and replaces it with a warning that
# a notebook would show. Folds of full-size images grow by more when their copies are trained on.
_GROWTH_IS_NO_LEAK = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e15"}

_KEPT = "finished folds are kept: start again to go on from there"


Outcomes = Generator[tuple[int, Outcome]]  # the number of each fold, and what it came to


class TrainingError(RuntimeError):
    """A fold could not be trained on this machine."""


class SchedulerError(RuntimeError):
    """A Dask scheduler cannot be used, or did not bring the folds to an end."""


def trained(
    jobs: Sequence[FoldJob], inputs: Path, parallel_jobs: int = 0, scheduler: str = ""
) -> Outcomes:
    """Train folds, keep their outcomes in their files, and yield number and outcome as they end.

    As many at a time on this machine as `parallel_jobs` says, 0 for one on each core, or for one
    where TensorFlow uses a GPU; or by the workers of a Dask scheduler, given by its address.
    `inputs` is the file of `keep_network_inputs`. Another run may train the same folds at the same
    time: it comes to the same bits, and the file that is written last stays.

    Raises
    ------
    TrainingError
        When a process of this machine is killed.
    SchedulerError
        When the scheduler cannot be reached or is lost, has workers that would give other numbers
        or train several folds in one process, or has had no worker for an hour.
    DiskFullError
        When there is no room for an outcome.
    """
    return _by_dask(jobs, inputs, scheduler) if scheduler else _here(jobs, inputs, parallel_jobs)


# This machine


def trainings_at_once(parallel_jobs: int) -> int:
    """How many trainings this machine does side by side: as many as asked for, or as have room."""
    return parallel_jobs or (int(cpu_count()) if training_device() == "CPU" else 1)


def _here(jobs: Sequence[FoldJob], inputs: Path, parallel_jobs: int) -> Outcomes:
    workers = min(trainings_at_once(parallel_jobs), len(jobs))
    # An idle worker may stop just when new work comes. It is replaced, and nothing is lost.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    executor = get_reusable_executor(max_workers=workers, timeout=30, env=_GROWTH_IS_NO_LEAK)
    common = (inputs, software(), os.getpid())
    try:
        numbers = {
            executor.submit(_train_here, job, *common): number for number, job in enumerate(jobs)
        }
        for future in as_completed(numbers):
            yield numbers[future], future.result()
    except BrokenProcessPool as error:
        raise TrainingError(
            "a process that trained a fold was killed, perhaps because memory ran out (a smaller "
            f"`parallel_jobs` or `input_width` needs less); {_KEPT}"
        ) from error
    except BaseException:  # an interrupt too: no worker may go on training unseen
        executor.shutdown(kill_workers=True)
        raise


def _train_here(job: FoldJob, inputs: Path, expected: dict[str, str], parent: int) -> Outcome:
    """Train a fold and keep its outcome; runs in a process of its own, a child of `parent`."""
    outcome = job.kept()  # of another run that was faster
    if outcome is None:
        differing = _differing(software(), expected)
        if differing:
            raise TrainingError(
                f"the code has been changed since this session began (now {differing}): restart "
                f"the kernel, or start again; {_KEPT}"
            )
        images = kept_inputs(inputs)
        if images is None:
            raise TrainingError(
                f"{inputs}: the network's inputs are missing or damaged; start again, and they are "
                f"made anew; {_KEPT}"
            )
        outcome = job.train(images, lambda: os.getppid() == parent)
        job.keep(outcome)
    job.checkpoint.remove()
    return outcome


# A Dask scheduler


def _by_dask(jobs: Sequence[FoldJob], inputs: Path, address: str) -> Outcomes:
    with _client(address) as client:
        _check_workers(client)
        images = _images_at_workers(client, inputs)
        expected, key = software(), "fesem-fold-{}".format
        numbers = {
            client.submit(_train_there, job, images, expected, key=key(job.path.stem)): number
            for number, job in enumerate(jobs)
        }
        pending = set(numbers)
        attempts: Counter[int] = Counter(numbers.values())
        for future in _as_they_finish(client, address, pending):
            number = numbers[future]
            outcome = _result(future, address, jobs[number].label, attempts[number])
            if outcome is None:
                attempts[number] += 1
                future.retry()
                pending.add(future)
            else:
                jobs[number].keep(outcome)
                jobs[number].checkpoint.remove()
                yield number, outcome


@contextmanager
def _client(address: str) -> Iterator[Any]:
    """A connection to a scheduler; when it is closed, what has not been finished is cancelled."""
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise SchedulerError(
            f"scheduler = {address!r} needs Dask, which is not installed; add it with "
            "`python -m pip install -e '.[cluster]'` in the checkout, or leave `scheduler` empty"
        ) from error
    # One that failed closes itself when it is collected: during the start of the next one, it would
    # wait for a lock that this one holds.
    gc.collect()
    # What it says of lost connections would end up in the executed page; we raise an error.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except TypeError as error:
        raise SchedulerError(
            f"{address}: this kind of connection needs settings that fesem does not pass on "
            f"({error}); give the scheduler an address that begins with tcp:// or leave "
            "`scheduler` empty to train on this machine"
        ) from error
    except (OSError, ValueError) as error:
        raise SchedulerError(
            f"{address}: no Dask scheduler answers there within {SECONDS_TO_CONNECT:.0f} s; start "
            "one with `dask scheduler`, correct the address, or leave `scheduler` empty to "
            "train on this machine"
        ) from error
    with client:
        yield client


def _check_workers(client: Any) -> None:
    """Refuse workers that would give other numbers; those that join later are checked there."""
    versions = client.run(software, on_error="return")
    threads = client.nthreads()
    for address, found in versions.items():
        if isinstance(found, OSError):  # it is dying: another one takes its place
            continue
        if isinstance(found, BaseException):
            raise SchedulerError(_missing(f"the worker {address}", found))
        _check_worker(address, threads.get(address, 1), found, software())


def _images_at_workers(client: Any, inputs: Path) -> Any:
    """The images as a task that returns its argument.

    Every worker gets them once, from the scheduler or from another worker: also one that joins
    later, or after all others were lost.
    """
    from dask import config

    with config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
        return client.submit(np.asarray, np.load(inputs), key=f"fesem-inputs-{inputs.stem}")


def _as_they_finish(client: Any, address: str, pending: set[Any]) -> Iterator[Any]:
    """Futures in the order in which they end, as long as there are workers to hope for."""
    seen_workers = time.monotonic()
    said = False
    while pending:
        ended = _ended_by_now(client, address, pending)
        pending -= ended
        yield from ended  # whoever takes one may set it back
        if ended or _has_workers(client, address):
            seen_workers, said = time.monotonic(), False
        elif not said:
            patience = duration(SECONDS_WITHOUT_WORKERS)
            remark(f"{address}: no worker takes on work; waiting up to {patience} for one")
            said = True
        elif time.monotonic() - seen_workers > SECONDS_WITHOUT_WORKERS:
            raise SchedulerError(
                f"{address}: there has been no worker for {duration(SECONDS_WITHOUT_WORKERS)}; "
                f"start some with `dask worker {address} --nthreads 1`; {_KEPT}"
            )


def _ended_by_now(client: Any, address: str, pending: set[Any]) -> set[Any]:
    """Those futures that have ended; waits some seconds for the first one."""
    from distributed import wait
    from distributed.client import FuturesCancelledError

    try:
        with client.as_current():
            ended: set[Any] = wait(  # type: ignore[no-untyped-call]
                pending, timeout=_SECONDS_BETWEEN_LOOKS, return_when="FIRST_COMPLETED"
            ).done
    except TimeoutError:
        return set()
    except FuturesCancelledError as error:
        raise SchedulerError(_lost(address)) from error
    return ended


def _has_workers(client: Any, address: str) -> bool:
    """Whether a worker takes on tasks; one whose memory is nearly full pauses."""
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        return any(worker["status"] == "running" for worker in workers)
    except (OSError, ValueError, RuntimeError) as error:
        raise SchedulerError(_lost(address)) from error


def _lost(address: str) -> str:
    return f"{address}: the connection to the scheduler is lost; {_KEPT}"


def _result(future: Any, address: str, label: str, attempt: int) -> Outcome | None:
    """What a task has returned, or what it failed of in words that name the address.

    None when it has lost its workers and should be tried again: they may have died of a
    neighbouring task.
    """
    from distributed import KilledWorker

    try:
        outcome: Outcome = future.result()
    except KilledWorker as error:
        lost = attempt * (error.allowed_failures + 1)
        if attempt < ATTEMPTS:
            remark(f"{address}: the fold with {label} has lost {lost} workers; it is tried again")
            return None
        raise SchedulerError(
            f"{address}: the fold with {label} has lost {lost} workers one after another, perhaps "
            f"because their memory ran out; {_KEPT}"
        ) from error
    except (ImportError, AttributeError, RuntimeError) as error:
        words_of_dask = "deserializ" in str(error).lower()
        if isinstance(error, RuntimeError) and not words_of_dask:
            raise
        raise SchedulerError(_missing(address, error)) from error
    return outcome


def _missing(address: str, error: BaseException) -> str:
    reason = " ".join(str(error).split()).split(". ")[0]
    return (
        f"{address}: cannot load fesemlib as it is here ({reason}); install the same versions "
        "there as here"
    )


def _train_there(job: FoldJob, images: Images, expected: dict[str, str]) -> Outcome:
    """Train a fold; runs in a Dask worker."""
    from distributed import Reschedule, get_worker

    worker = get_worker()
    key = worker.get_current_task()
    _check_worker(worker.address, worker.state.nthreads, software(), expected)
    shared = os.access(job.path.parent, os.W_OK)  # the client's cache, where we see it, too
    try:
        use_one_thread()
    except RuntimeError as error:
        raise SchedulerError(
            f"the worker {worker.address} has used TensorFlow before with several threads, and "
            "would give other numbers; start a fresh worker for the folds"
        ) from error
    try:
        return job.train(images, lambda: worker.state.tasks[key].state != "cancelled", shared)
    except AbandonedError:  # begin again, should somebody have asked for it in the meantime
        raise Reschedule from None


def _check_worker(
    address: str, threads: int, found: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    """Refuse to train two folds in one process, or where the numbers would differ."""
    if threads != 1:
        raise SchedulerError(
            f"the worker {address} has {threads} threads, and would train as many folds in one "
            "process; start workers with `--nthreads 1`, and as many as there are cores with "
            "`--nworkers`"
        )
    differing = _differing(found, expected)
    if differing:
        raise SchedulerError(
            f"the worker {address} has {differing}, and would give other numbers; "
            "install the same versions there as here, and train on the same kind of device"
        )


def _differing(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """What of the software is another one; empty when nothing is."""
    return ", ".join(
        f"{name} {found.get(name, 'none')} instead of {version}"
        for name, version in expected.items()
        if found.get(name) != version
    )
