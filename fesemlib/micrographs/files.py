"""Which micrographs are meant by files, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from fesemlib.micrographs.decoding import SUFFIXES


class PredictionError(ValueError):
    """A micrograph cannot be predicted by a model, or there is none."""


def image_files(arguments: Sequence[str]) -> list[str]:
    """The micrographs that files, folders and patterns name, each once.

    A file stands for itself, whether it is there or not; a folder for the micrographs in it, by
    name, though not in folders below; a pattern with ``*``, ``?`` or ``[…]`` for what it matches,
    by name. Raises PredictionError when a folder or a pattern gives none.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> for name in ("b.tif", "a.tif", "notes.txt"):
    ...     Path(folder.name, name).touch()
    >>> [Path(file).name for file in image_files([folder.name])]
    ['a.tif', 'b.tif']
    """
    found: list[str] = []
    for argument in arguments:
        path, problem = Path(argument), ""
        files = [argument]
        if path.is_dir():
            files = [str(each) for each in sorted(path.iterdir()) if _is_micrograph(each)]
            problem = f"no micrographs in this folder; they end in {', '.join(SUFFIXES)}"
        elif not path.exists() and glob.has_magic(argument):
            files = sorted(filter(os.path.isfile, glob.glob(argument, recursive=True)))
            problem = f"no file matches (looked in {Path.cwd()}); correct the pattern"
        if not files:
            raise PredictionError(f"{argument}: {problem}")
        found += files
    if not found:
        raise PredictionError("no micrograph is named; give files, folders or patterns")
    return list(dict.fromkeys(found))


def readable(text: str) -> str:
    """Text that can be printed in a line and encoded, whatever a file is called."""
    encodable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(sign if sign.isprintable() else "?" for sign in encodable)


def _is_micrograph(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
