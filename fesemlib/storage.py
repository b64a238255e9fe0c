"""Where generated files go, how they are written, and the digests that name them."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

__all__ = [
    "BUILD_FOLDER",
    "build_folder",
    "checkout",
    "code_digest",
    "digest",
    "writable",
    "write_atomically",
]

BUILD_FOLDER = "FESEM_BUILD"
"""The environment variable that names another folder for everything generated."""


@cache
def checkout() -> Path | None:
    """The checkout that this package is used from, or None for an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "_config.yml").is_file() and (root / "notebooks").is_dir() else None


def build_folder() -> Path:
    """The folder of everything generated.

    `build` in the checkout, or where we are outside of one; the environment variable
    ``FESEM_BUILD`` names another.
    """
    chosen = os.environ.get(BUILD_FOLDER)
    return Path(chosen) if chosen else (checkout() or Path.cwd()) / "build"


def writable(folder: Path) -> Path:
    """Make a folder and check that files can be written in it.

    Parameters
    ----------
    folder
        The folder; missing parents are made too.

    Raises
    ------
    PermissionError
        When the folder cannot be made or written to; the message names it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise PermissionError(
            f"{folder}: cannot write here ({error.strerror}); "
            f"make the folder writable, or set the variable {BUILD_FOLDER} to another one"
        ) from error


def digest(*parts: object) -> str:
    """A short name for the content of these parts: 20 hexadecimal digits of SHA-256.

    Parameters
    ----------
    *parts
        Arrays are read with their type and shape, paths as the content of the file, everything
        else through `repr`.
    """
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            content = f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes()
        elif isinstance(part, Path):
            content = part.read_bytes()
        else:
            content = repr(part).encode()
        sha.update(len(content).to_bytes(8, "big") + content)
    return sha.hexdigest()[:20]


@cache
def code_digest(*modules: str) -> str:
    """A digest of what these modules do: their syntax trees without comments and docstrings.

    Parameters
    ----------
    *modules
        Full names, as in ``fesemlib.network``. They are read, not imported.
    """
    trees = []
    for module in modules:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
                node
            ):
                del node.body[0]
        trees.append(ast.dump(tree))
    return digest(*trees)


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file so that it is either whole or not there, whatever interrupts.

    Parameters
    ----------
    path
        The file; missing folders are made.
    write
        Called with a temporary path (same folder, same suffix), which is then renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
