"""Tell whoever runs a computation what is no result of it.

A remark is for the terminal. Under `fesem book` it takes the way through a file, so that no
executed page carries it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["REMARKS_FILE", "read_remarks", "remark"]

REMARKS_FILE = "FESEM_REMARKS"
"""The environment variable that names the file which `fesem book` polls."""


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
