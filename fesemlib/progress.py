"""Tell whoever is watching how far a long computation has come.

The same call serves three watchers: `fesem book` polls a small file, JupyterLab shows a line under
the running cell and removes it at the end, a terminal shows one overwritten line. Without a watcher
nothing is written, so that no executed notebook carries the remains of a progress bar.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

__all__ = [
    "PROGRESS_FILE",
    "REMARKS_FILE",
    "Advance",
    "Progress",
    "duration",
    "in_live_notebook",
    "progress",
    "read_progress",
    "read_remarks",
    "remark",
]

PROGRESS_FILE = "FESEM_PROGRESS"
"""The environment variable that names the file of progress which `fesem book` polls."""

REMARKS_FILE = "FESEM_REMARKS"
"""The one that names the file of remarks: they are for the terminal, no executed page has them."""


@dataclass(frozen=True)
class Progress:
    """How far a computation has come.

    Attributes
    ----------
    done, total
        Steps, in the unit that `what` names.
    what
        Name of the steps, in the plural.
    seconds_left
        Estimate at the time of the last step, or None before the first one.
    loss
        Mean over the steps that told one, or None.
    """

    done: int
    total: int
    what: str
    seconds_left: float | None = None
    loss: float | None = None

    def __str__(self) -> str:
        text = f"{self.done} of {self.total} {self.what}"
        if self.seconds_left is not None and self.done != self.total:
            text = f"{text} · {duration(self.seconds_left)} left"
        return text if self.loss is None else f"{text} · loss {self.loss:.2g}"


class Advance(Protocol):
    """Says that a step is done, and with what loss, where there is one."""

    def __call__(self, loss: float | None = None) -> None: ...


@contextmanager
def progress(total: int, what: str = "folds", done: int = 0) -> Iterator[Advance]:
    """Report a computation of known length to whoever is watching.

    Parameters
    ----------
    total
        Number of steps.
    what
        Name of the steps, in the plural.
    done
        Steps that were done beforehand and cost no time now; they do not enter the estimate of the
        time left.

    Yields
    ------
    Advance
        To be called after each step, from the process that opened the context.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     os.environ[PROGRESS_FILE] = os.path.join(folder, "progress.json")
    ...     with progress(3, "folds") as advance:
    ...         advance()
    ...         state = read_progress(Path(os.environ.pop(PROGRESS_FILE)))
    >>> state.done, state.total, state.what
    (1, 3, 'folds')
    """
    start = time.monotonic()
    state = Progress(done, total, what)
    losses: list[float] = []
    with _watcher() as show:

        def advance(loss: float | None = None) -> None:
            nonlocal state
            steps = state.done + 1
            left = (time.monotonic() - start) / (steps - done) * (total - steps)
            if loss is not None and math.isfinite(loss):
                losses.append(loss)
            mean = math.fsum(losses) / len(losses) if losses else None
            state = Progress(steps, total, what, left, mean)
            show(state)

        show(state)
        yield advance


def read_progress(path: Path) -> Progress | None:
    """The latest report in a progress file, or None when there is none.

    The time left is counted down from the moment of the report.

    Examples
    --------
    >>> read_progress(Path("no_such_file.json")) is None
    True
    """
    try:
        state = Progress(**json.loads(path.read_text(encoding="utf-8")))
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
    if state.seconds_left is None:
        return state
    return replace(state, seconds_left=max(state.seconds_left - age, 0.0))


def duration(seconds: float) -> str:
    """A duration as coarse as a reader wants it: ``"40 s"``, ``"3 min"``, ``"2 h 5 min"``.

    Examples
    --------
    >>> duration(40), duration(170), duration(7500)
    ('40 s', '3 min', '2 h 5 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def remark(text: str) -> None:
    """Say one line to whoever runs this, from any process of the computation.

    Where the file takes no more, as on a full disk, the line goes to the terminal.

    Parameters
    ----------
    text
        What happened, and what is done about it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> os.environ[REMARKS_FILE] = os.path.join(folder.name, "remarks.txt")
    >>> remark("fold 3 was damaged; it is computed anew")
    >>> read_remarks(Path(os.environ.pop(REMARKS_FILE)))
    ['fold 3 was damaged; it is computed anew']
    """
    if REMARKS_FILE in os.environ:
        with (
            suppress(OSError),
            Path(os.environ[REMARKS_FILE]).open("a", encoding="utf-8") as stream,
        ):
            stream.write(f"{text}\n")
            stream.flush()
            return
    print(f"fesem: {text}", file=sys.stderr, flush=True)


def read_remarks(path: Path) -> list[str]:
    """The remarks in a file, oldest first; none where there is no such file.

    Examples
    --------
    >>> read_remarks(Path("no_such_file.txt"))
    []
    """
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


_Show = Callable[[Progress], None]


def _watcher() -> AbstractContextManager[_Show]:
    """The way to whoever is watching."""
    if PROGRESS_FILE in os.environ:
        return _into_file(Path(os.environ[PROGRESS_FILE]))
    if in_live_notebook():
        return _below_cell()
    if sys.stderr.isatty():
        return _on_terminal()
    return nullcontext(lambda _: None)


@contextmanager
def _into_file(path: Path) -> Iterator[_Show]:
    def show(state: Progress) -> None:
        unfinished = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(OSError):  # a report that cannot be written is no reason to stop
            unfinished.write_text(json.dumps(asdict(state)), encoding="utf-8")
            unfinished.replace(path)

    try:
        yield show
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _below_cell() -> Iterator[_Show]:
    from IPython.display import display

    def as_text(text: str) -> dict[str, str]:
        return {"text/plain": text}

    handle = display(as_text(""), raw=True, display_id=True)  # type: ignore[no-untyped-call]
    try:
        yield lambda state: handle.update(as_text(str(state)), raw=True)
    finally:
        handle.update(as_text(""), raw=True)


@contextmanager
def _on_terminal() -> Iterator[_Show]:
    def write(text: str) -> None:
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    try:
        yield lambda state: write(str(state))
    finally:
        write("")


def in_live_notebook() -> bool:
    """Whether a person sits in front of this kernel: papermill and nbval never answer a prompt.

    Examples
    --------
    >>> in_live_notebook()
    False
    """
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return bool(getattr(getattr(get_ipython(), "kernel", None), "_allow_stdin", False))
