"""Tell whoever is watching how far a long computation has come.

`fesem book` polls a small file, JupyterLab and a terminal show one line that is overwritten.
Without a watcher nothing is written: no executed notebook has the remains of a progress bar.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

__all__ = ["PROGRESS_FILE", "REMARKS_FILE", "Progress", "progress", "remark"]

PROGRESS_FILE = "FESEM_PROGRESS"  # the variable that names the file which `fesem book` polls
REMARKS_FILE = "FESEM_REMARKS"  # and the file of remarks for the terminal: no page has them


@dataclass(frozen=True)
class Progress:
    """How far a computation has come."""

    done: int
    total: int
    what: str  # name of the steps, in the plural
    seconds_left: float | None = None  # estimate at the time of the last step
    loss: float | None = None  # mean over the steps that told one

    def __str__(self) -> str:
        text = f"{self.done} of {self.total} {self.what}"
        if self.seconds_left is not None and self.done != self.total:
            text = f"{text} · {duration(self.seconds_left)} left"
        return text if self.loss is None else f"{text} · loss {self.loss:.2g}"


@contextmanager
def progress(total: int, what: str = "folds", done: int = 0) -> Iterator[Callable[..., None]]:
    """Report a computation of known length to whoever is watching.

    Parameters
    ----------
    total, what
        Number of steps, and their name in the plural.
    done
        Steps that were done beforehand and do not enter the estimate of the time left.

    Yields
    ------
    callable
        To be called after each step, with its loss if it has one, by the process that opened this.

    Examples
    --------
    >>> with progress(3, "folds") as advance:
    ...     for _ in range(3):
    ...         advance()
    """
    start = time.monotonic()
    state = Progress(done, total, what)
    losses: list[float] = []
    show = _watcher()

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
    try:
        yield advance
    finally:
        show(None)


def read_progress(path: Path) -> Progress | None:
    """The latest report in a file, its time left counted down since; None when there is none."""
    try:
        state = Progress(**json.loads(path.read_text(encoding="utf-8")))
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
    left = None if state.seconds_left is None else max(state.seconds_left - age, 0.0)
    return replace(state, seconds_left=left)


def duration(seconds: float) -> str:
    """A duration as coarse as a reader wants it: ``"40 s"``, ``"3 min"``, ``"2 h 5 min"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def remark(text: str) -> None:
    """Say one line to whoever runs this, from any process of the computation.

    Parameters
    ----------
    text
        What happened, and what is done about it. Without a file that takes it, as on a full disk,
        it goes to the terminal.

    Examples
    --------
    >>> remark("fold 3 was damaged; it is computed anew")  # on the terminal
    """
    if REMARKS_FILE in os.environ:
        with suppress(OSError), open(os.environ[REMARKS_FILE], "a", encoding="utf-8") as stream:
            print(text, file=stream, flush=True)
            return
    print(f"fesem: {text}", file=sys.stderr, flush=True)


def in_live_notebook() -> bool:
    """Whether a person sits in front of this kernel: papermill and nbval never answer a prompt."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return bool(getattr(getattr(shell, "kernel", None), "_allow_stdin", False))


def _watcher() -> Callable[[Progress | None], object]:
    """The way to whoever is watching; None removes what was shown."""
    if PROGRESS_FILE in os.environ:
        return partial(_into_file, Path(os.environ[PROGRESS_FILE]))
    if in_live_notebook():
        from IPython.display import display

        handle = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        return lambda state: handle.update({"text/plain": str(state or "")}, raw=True)
    return _on_terminal if sys.stderr.isatty() else lambda _: None


def _into_file(path: Path, state: Progress | None) -> None:
    with suppress(OSError):  # a report that cannot be written is no reason to stop
        if state is None:
            path.unlink(missing_ok=True)
        else:
            unfinished = path.with_name(f"{path.name}.{os.getpid()}")
            unfinished.write_text(json.dumps(asdict(state)), encoding="utf-8")
            unfinished.replace(path)


def _on_terminal(state: Progress | None) -> None:
    print(f"\r\033[K{state or ''}", end="", file=sys.stderr, flush=True)
