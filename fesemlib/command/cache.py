"""What the cache holds, and what can go when it has grown too large.

Everything in it is named by all that determines it and can be made again. It differs in how long
that takes: a degraded or processed micrograph is a second's work, a trained fold minutes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fesemlib.storage import build_folder

SECONDS_IN_USE = 24 * 3600.0
"""How long after it was last written or named a training may still be reading its inputs."""

# In the order in which they go.
_KINDS = ("degraded", "processed", "micrographs", "inputs", "folds")
_UNITS = {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


@dataclass(frozen=True)
class Entry:
    """A file of the cache.

    Attributes
    ----------
    path
        Where it is.
    kind
        Name of its folder: what it holds.
    size
        In bytes.
    used
        When it was last read or written, seconds since the epoch; the file system may know this to
        the day only.
    written
        When it was last written.
    """

    path: Path
    kind: str
    size: int
    used: float
    written: float


def cache_folder() -> Path:
    """The folder of the cache, which may not be there.

    Examples
    --------
    >>> cache_folder().name
    'cache'
    """
    return build_folder() / "cache"


def entries() -> list[Entry]:
    """All files of the cache: what is quickest to make again first, then what was used longest ago.

    Unfinished files are not among them; whoever writes them removes what was left.

    Examples
    --------
    >>> all(entry.size >= 0 for entry in entries())
    True
    """
    found = []
    for kind in _KINDS:
        for path in (cache_folder() / kind).glob("[!.]*"):
            with suppress(FileNotFoundError):  # another run may remove it, too
                state = path.stat()
                used = max(state.st_atime, state.st_mtime)
                found.append(Entry(path, kind, state.st_size, used, state.st_mtime))
    return sorted(found, key=lambda entry: (_KINDS.index(entry.kind), entry.used))


def to_remove(found: Sequence[Entry], limit: float, now: float | None = None) -> list[Entry]:
    """Which files have to go so that the others are no larger than a limit together.

    Parameters
    ----------
    found
        From `entries`, in their order.
    limit
        In bytes.
    now
        Seconds since the epoch; the present if not given.

    Returns
    -------
    list of Entry
        The first of them, but for inputs and checkpoints that a training may be using: what is left
        may therefore exceed the limit.

    Examples
    --------
    >>> old = Entry(Path("a.npy"), "degraded", 100, used=0.0, written=0.0)
    >>> fold = Entry(Path("b.npz"), "folds", 50, used=0.0, written=0.0)
    >>> [entry.kind for entry in to_remove([old, fold], limit=60)]
    ['degraded']
    """
    moment = time.time() if now is None else now
    size = sum(entry.size for entry in found)
    doomed = []
    for entry in found:
        if size <= limit:
            break
        if not _may_be_in_use(entry, moment):
            doomed.append(entry)
            size -= entry.size
    return doomed


def remove(doomed: Iterable[Entry]) -> None:
    """Remove files of the cache.

    Parameters
    ----------
    doomed
        From `to_remove`.

    Raises
    ------
    OSError
        When a file cannot be removed; those before it are gone.

    Examples
    --------
    >>> remove([])
    """
    for entry in doomed:
        entry.path.unlink(missing_ok=True)


def bytes_of(text: str) -> float:
    """A size as a person writes it.

    Parameters
    ----------
    text
        A number and a unit: ``"500MB"``, ``"2 GB"``, ``"0"``.

    Raises
    ------
    ValueError
        When it is no size.

    Examples
    --------
    >>> bytes_of("1.5 GB")
    1500000000.0
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B)?\s*", text, re.IGNORECASE)
    if match is None or not (match[2] or float(match[1]) == 0):
        raise ValueError(f"{text!r}: give a number and a unit, such as 500MB or 2GB")
    return float(match[1]) * _UNITS[(match[2] or "B").upper()]


def _may_be_in_use(entry: Entry, now: float) -> bool:
    """Whether a worker may open it later, and could not go on without it."""
    needed = entry.kind == "inputs" or entry.path.suffix == ".checkpoint"
    return needed and now - entry.written < SECONDS_IN_USE
