"""What the cache holds, and what can go when it has grown too large.

Everything in it is named by all that determines it and can be made again. It differs in how long
that takes: a degraded or processed micrograph is a second's work, a trained fold minutes.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pandas as pd
from pydantic import ByteSize, TypeAdapter

from fesemlib.storage import build_folder

SECONDS_IN_USE = 24 * 3600.0
"""How long after it was last written or named a training may still be reading its inputs."""

# In the order in which they go.
_KINDS = ["degraded", "processed", "micrographs", "inputs", "volumes", "folds"]


def cache_folder() -> Path:
    """The folder of the cache, which may not be there."""
    return build_folder() / "cache"


def entries() -> pd.DataFrame:
    """All files of the cache: what is quickest to make again first, then what was used longest ago.

    Columns: ``path``; ``kind``, the name of its folder; ``size`` in bytes; in seconds since the
    epoch, when it was ``used`` (the file system may know the day only), and until when a worker may
    open it that could not go on without it, ``needed_until``. Unfinished files are not among them;
    whoever writes them removes what was left.
    """
    found = []
    for kind in _KINDS:
        for path in (cache_folder() / kind).glob("[!.]*"):
            with suppress(FileNotFoundError):  # another run may remove it, too
                state = path.stat()
                used = max(state.st_atime, state.st_mtime)
                needed = kind == "inputs" or path.suffix == ".checkpoint"
                needed_until = state.st_mtime + SECONDS_IN_USE if needed else 0.0
                found.append((path, kind, state.st_size, used, needed_until))
    frame = pd.DataFrame(found, columns=["path", "kind", "size", "used", "needed_until"])
    return frame.astype({"kind": pd.CategoricalDtype(_KINDS)}).sort_values(["kind", "used"])


def to_remove(found: pd.DataFrame, limit: int, now: float) -> pd.DataFrame:
    """The first of the `entries` that have to go so that the others are at most `limit` bytes.

    Inputs and checkpoints stay that a training may be using `now` (s since the epoch): what is left
    may therefore exceed the limit.
    """
    free = found[found["needed_until"] <= now]
    removed_before = free["size"].cumsum() - free["size"]
    return free[removed_before < found["size"].sum() - limit]


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
