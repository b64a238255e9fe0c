"""Which micrographs are meant by files, folders and patterns."""

from __future__ import annotations

import glob
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
    found: dict[str, None] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            files = [str(each) for each in sorted(path.iterdir()) if _is_micrograph(each)]
            if not files:
                raise PredictionError(
                    f"{argument}: no micrographs in this folder; they end in {', '.join(SUFFIXES)}"
                )
        elif not path.exists() and glob.has_magic(argument):
            matches = sorted(glob.glob(argument, recursive=True))
            files = [each for each in matches if Path(each).is_file()]
            if not files:
                raise PredictionError(
                    f"{argument}: no file matches (looked in {Path.cwd()}); correct the pattern"
                )
        else:
            files = [argument]
        found.update(dict.fromkeys(files))
    if not found:
        raise PredictionError("no micrograph is named; give files, folders or patterns")
    return list(found)


def _is_micrograph(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
