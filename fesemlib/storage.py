"""Where generated files go, how they are written, and the digests that name them."""

from __future__ import annotations

import ast
import errno
import hashlib
import importlib.util
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np

from fesemlib.progress import remark

__all__ = ["DiskFullError", "build_folder", "code_digest", "digest", "write_atomically"]

BUILD_FOLDER = "FESEM_BUILD"  # the variable that names another folder for everything generated

_UNFINISHED = ".unfinished-"
_WITH_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef
_SEAL_BYTES = hashlib.sha256().digest_size
_PARSING = threading.Lock()  # Python 3.11 mixes up two threads' syntax trees: its issue 106905


class DiskFullError(OSError):
    """A file could not be written because there was no room for it."""


@cache
def checkout() -> Path | None:
    """The checkout that this package is used from, or None for an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "_config.yml").is_file() and (root / "notebooks").is_dir() else None


def build_folder() -> Path:
    """The folder of everything generated: the one that ``FESEM_BUILD`` names, or `build`.

    Examples
    --------
    >>> chosen = os.environ.get(BUILD_FOLDER)
    >>> build_folder() == Path(chosen) if chosen else build_folder().name == "build"
    True
    """
    chosen = os.environ.get(BUILD_FOLDER)
    return Path(chosen) if chosen else (checkout() or Path.cwd()) / "build"


@contextmanager
def environment_variable(name: str, value: str | None) -> Iterator[None]:
    """Set a variable inside the context, for processes started there; None leaves it as it is."""
    before = os.environ.get(name)
    os.environ.update({} if value is None else {name: value})
    try:
        yield
    finally:
        os.environ.pop(name, None)
        os.environ.update({} if before is None else {name: before})


def writable(folder: Path) -> Path:
    """Make a folder, with its parents; an error names it where no file can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        if disk_is_full(error):
            raise _disk_full(folder) from error
        raise PermissionError(
            f"{folder}: cannot write here ({error.strerror}); "
            f"make the folder writable, or set the variable {BUILD_FOLDER} to another one"
        ) from error


def folder_in_cache(name: str) -> Path:
    """The folder of one kind of file in the cache, without what killed writers have left there."""
    folder = writable(build_folder() / "cache" / name)
    remove_unfinished(folder)
    return folder


def digest(*parts: object) -> str:
    """A short name for the content of these parts: 20 hexadecimal digits of SHA-256.

    Parameters
    ----------
    *parts
        Arrays are read with their type and shape, paths as the content of the file, everything
        else through `repr`.

    Examples
    --------
    >>> digest("1e-3", 5)
    '5358980aa1ce7ed90608'
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
        Full names of modules or rooms, as in ``fesemlib.network``. They are read, not imported.

    Examples
    --------
    >>> code_digest("fesemlib.drying") == code_digest("fesemlib.params")
    False
    """
    trees = []
    for module in modules:
        spec = importlib.util.find_spec(module)
        origin = Path(spec.origin if spec and spec.origin else module)
        is_room = origin.name == "__init__.py"
        for path in sorted(origin.parent.rglob("*.py")) if is_room else [origin]:
            with _PARSING:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node):
                    del node.body[0]
            trees.append(ast.dump(tree))
    return digest(*trees)


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file so that it is either whole or not there, whatever interrupts.

    Of several processes that write the same file, the last to finish wins.

    Parameters
    ----------
    path
        The file; missing folders are made.
    write
        Called with a temporary path of the same name, which then takes the file's place.

    Raises
    ------
    DiskFullError
        When there is no room for it.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_atomically(Path(folder, "k_m.txt"), lambda path: path.write_text("1.0e-3"))
    ...     path.read_text(), len(list(path.parent.iterdir()))
    ('1.0e-3', 1)
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=_UNFINISHED) as folder:
            temporary = Path(folder, path.name)
            write(temporary)
            with temporary.open("r+b") as stream:  # or the name reaches the disk before the content
                os.fsync(stream.fileno())
            temporary.replace(path)
    except OSError as error:
        if disk_is_full(error):
            raise _disk_full(path.parent, f", {path.name} could not be written") from error
        raise
    return path


def disk_is_full(error: OSError) -> bool:
    """Whether an error says, be it of one file or of a whole tree, that there is no room."""
    reasons = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT)]
    return isinstance(error, DiskFullError) or any(reason in str(error) for reason in reasons)


def _disk_full(folder: Path, problem: str = "") -> DiskFullError:
    return DiskFullError(
        f"{folder}: the disk is full{problem}; make room and start again (what was finished is "
        f"kept), or set the variable {BUILD_FOLDER} to a folder on another disk"
    )


def remove_unfinished(folder: Path, older_than_s: float = 3600.0, pattern: str = "") -> None:
    """Remove what killed writers left so many seconds ago; `pattern`: of other files than ours."""
    for path in folder.glob(pattern or f"{_UNFINISHED}*"):
        with suppress(FileNotFoundError):  # another run may remove it, too
            if time.time() - path.stat().st_mtime > older_than_s:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_sealed(path: Path, write: Callable[[BytesIO], object]) -> Path:
    """Write a file atomically, and behind its content a checksum, which NumPy passes over."""
    stream = BytesIO()
    write(stream)
    stream.write(_seal(path, stream.getvalue()))
    return write_atomically(path, lambda unfinished: unfinished.write_bytes(stream.getvalue()))


def read_sealed(path: Path) -> BytesIO | None:
    """The content of a file from `write_sealed`; None, and a remark, where it is damaged."""
    try:
        with path.open("rb") as stream:
            content, read = stream.read(), os.fstat(stream.fileno())
    except FileNotFoundError:
        return None
    body = memoryview(content)[:-_SEAL_BYTES]
    if content[-_SEAL_BYTES:] == _seal(path, body):
        return BytesIO(body)
    remark(f"{path}: damaged, or not written under this name; it is computed anew")
    with suppress(OSError):
        if os.path.samestat(read, path.stat()):  # not what another run has put there since
            path.unlink()
    return None


def _seal(path: Path, content: bytes | memoryview) -> bytes:
    return hashlib.sha256(b"\0".join((path.name.encode(), content))).digest()
