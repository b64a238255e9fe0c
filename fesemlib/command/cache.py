"""What the cache holds, and what can go when it has grown too large.

Everything in it is named by all that determines it and can be made again. It differs in how long
that takes: a degraded or processed micrograph is a second's work, a trained fold minutes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ByteSize, TypeAdapter

from fesemlib.storage import build_folder

SECONDS_IN_USE = 24 * 3600.0
"""How long after it was last written or named a training may still be reading its inputs."""

# In the order in which they go.
_KINDS = ("degraded", "processed", "micrographs", "inputs", "folds")


@dataclass(frozen=True)
class Entry:
    """A file of the cache."""

    path: Path
    kind: str  # name of its folder: what it holds
    size: int  # bytes
    used: float  # s since the epoch; the file system may know it to the day only
    written: float  # s since the epoch


def cache_folder() -> Path:
    """The folder of the cache, which may not be there."""
    return build_folder() / "cache"


def entries() -> list[Entry]:
    """All files of the cache: what is quickest to make again first, then what was used longest ago.

    Unfinished files are not among them; whoever writes them removes what was left.
    """
    found = []
    for kind in _KINDS:
        for path in (cache_folder() / kind).glob("[!.]*"):
            with suppress(FileNotFoundError):  # another run may remove it, too
                state = path.stat()
                used = max(state.st_atime, state.st_mtime)
                found.append(Entry(path, kind, state.st_size, used, state.st_mtime))
    return sorted(found, key=lambda entry: (_KINDS.index(entry.kind), entry.used))


def to_remove(found: Sequence[Entry], limit: int, now: float) -> list[Entry]:
    """The first of the `entries` that have to go so that the others are at most `limit` bytes.

    Inputs and checkpoints stay that a training may be using `now` (s since the epoch): what is left
    may therefore exceed the limit.
    """
    size = sum(entry.size for entry in found)
    doomed = []
    for entry in found:
        if size <= limit:
            break
        if not _may_be_in_use(entry, now):
            doomed.append(entry)
            size -= entry.size
    return doomed


def bytes_of(text: str) -> ByteSize:
    """A size as a person writes it: ``"500MB"``, ``"2 GB"``, ``"0"``, or a ValueError.

    Nobody means five bytes by ``"5"``, and of ``"1,5 GB"`` pydantic would read the 1 alone.
    """
    if re.fullmatch(r"\s*(0|(\d+\.)?\d+\s*[KMGT]?B)\s*", text, re.IGNORECASE) is None:
        raise ValueError(f"--keep {text!r}: give a number and a unit, such as 500MB or 2GB")
    return TypeAdapter(ByteSize).validate_python(text)


def size_text(size: int) -> str:
    """A number of bytes as a person reads it: ``"1.5 GB"``."""
    return ByteSize(size).human_readable(decimal=True, separator=" ")


def _may_be_in_use(entry: Entry, now: float) -> bool:
    """Whether a worker may open it later, and could not go on without it."""
    needed = entry.kind == "inputs" or entry.path.suffix == ".checkpoint"
    return needed and now - entry.written < SECONDS_IN_USE
