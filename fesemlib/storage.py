"""Where generated files go, how they are written, and the digests that name them."""

from __future__ import annotations

import ast
import errno
import hashlib
import importlib.util
import os
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

__all__ = [
    "BUILD_FOLDER",
    "DiskFullError",
    "build_folder",
    "checkout",
    "code_digest",
    "digest",
    "disk_is_full",
    "environment_variable",
    "read_sealed",
    "remove_unfinished",
    "temporary_build_folder",
    "writable",
    "write_atomically",
    "write_sealed",
]

BUILD_FOLDER = "FESEM_BUILD"
"""The environment variable that names another folder for everything generated."""

_UNFINISHED = ".unfinished-"
_UNFINISHED_FILES = f"{_UNFINISHED}*"
_SEAL_BYTES = hashlib.sha256().digest_size
_PARSING = threading.Lock()  # Python 3.11 mixes up two threads' syntax trees: its issue 106905


class DiskFullError(OSError):
    """A file could not be written because there was no room for it."""


@cache
def checkout() -> Path | None:
    """The checkout that this package is used from, or None for an installed wheel.

    Examples
    --------
    >>> root = checkout()
    >>> root is None or (root / "notebooks").is_dir()
    True
    """
    root = Path(__file__).resolve().parent.parent
    return root if (root / "_config.yml").is_file() and (root / "notebooks").is_dir() else None


def build_folder() -> Path:
    """The folder of everything generated.

    `build` in the checkout, or where we are outside of one; the environment variable
    ``FESEM_BUILD`` names another.

    Examples
    --------
    >>> chosen = os.environ.get(BUILD_FOLDER)
    >>> build_folder() == Path(chosen) if chosen else build_folder().name == "build"
    True
    """
    chosen = os.environ.get(BUILD_FOLDER)
    return Path(chosen) if chosen else (checkout() or Path.cwd()) / "build"


@contextmanager
def temporary_build_folder() -> Iterator[Path]:
    """Let everything generated inside the context go to a folder that is removed at its end.

    For trying things out: nothing is taken from the cache, and nothing is left in it.

    Yields
    ------
    Path
        The folder.

    Examples
    --------
    >>> with temporary_build_folder() as folder:
    ...     build_folder() == folder
    True
    >>> folder.exists()
    False
    """
    with (
        tempfile.TemporaryDirectory() as name,
        environment_variable(BUILD_FOLDER, name),
    ):
        yield Path(name)


@contextmanager
def environment_variable(name: str, value: str | None) -> Iterator[None]:
    """Set a variable of the environment inside the context, for the processes started meanwhile.

    Parameters
    ----------
    name
        Of the variable.
    value
        What it is set to; None leaves it as it is.

    Examples
    --------
    >>> with environment_variable("FESEM_EXAMPLE", "set"):
    ...     os.environ["FESEM_EXAMPLE"]
    'set'
    >>> "FESEM_EXAMPLE" in os.environ
    False
    """
    if value is None:
        yield
        return
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


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
    DiskFullError
        When there is no room for it.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writable(Path(folder, "results", "tables")).is_dir()
    True
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        if disk_is_full(error):
            raise DiskFullError(
                f"{folder}: the disk is full; make room and start again, or set the variable "
                f"{BUILD_FOLDER} to a folder on another disk"
            ) from error
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

    Examples
    --------
    >>> digest("1e-3", 5)
    '5358980aa1ce7ed90608'
    >>> digest(np.zeros(4)) == digest(np.zeros((2, 2)))
    False
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
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        is_room = spec.submodule_search_locations is not None
        for path in sorted(origin.parent.rglob("*.py")) if is_room else [origin]:
            with _PARSING:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(
                    node, ast.Module | ast.ClassDef | ast.FunctionDef
                ) and ast.get_docstring(node):
                    del node.body[0]
            trees.append(ast.dump(tree))
    return digest(*trees)


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file so that it is either whole or not there, whatever interrupts.

    Several processes may write the same file at the same time: each writes a temporary one of its
    own, and the last to finish wins.

    Parameters
    ----------
    path
        The file; missing folders are made.
    write
        Called with a temporary path (same folder, same suffix), which is then renamed.

    Raises
    ------
    DiskFullError
        When the disk, or what the user may write to it, is full.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_atomically(Path(folder, "k_m.txt"), lambda path: path.write_text("1.0e-3"))
    ...     path.read_text(), len(list(path.parent.iterdir()))
    ('1.0e-3', 1)
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED, suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            _bring_to_disk(temporary)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if disk_is_full(error):
            raise DiskFullError(
                f"{path.parent}: the disk is full, {path.name} could not be written; what was "
                "finished before is kept and will be reused. Make room and start again, or set "
                f"the variable {BUILD_FOLDER} to a folder on another disk"
            ) from error
        raise
    return path


def disk_is_full(error: OSError) -> bool:
    """Whether an error says, be it of one file or of a whole tree, that there is no room.

    Examples
    --------
    >>> disk_is_full(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    True
    >>> disk_is_full(FileNotFoundError("a.tif"))
    False
    """
    reasons = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT)]
    return isinstance(error, DiskFullError) or any(reason in str(error) for reason in reasons)


def remove_unfinished(
    folder: Path, older_than_s: float = 3600.0, pattern: str = _UNFINISHED_FILES
) -> None:
    """Remove the temporary files of writers that were killed.

    Parameters
    ----------
    folder
        Where `write_atomically` wrote.
    older_than_s
        Age in seconds from which on no writer is believed to be at work on a file.
    pattern
        Of the files' names; another one than that of `write_atomically` for files of one's own.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in (".unfinished-1.npz", "whole.npz"):
    ...         Path(folder, name).touch()
    ...     remove_unfinished(Path(folder), older_than_s=-1.0)
    ...     [path.name for path in Path(folder).iterdir()]
    ['whole.npz']
    """
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):  # another run may remove it, too
            if time.time() - path.stat().st_mtime > older_than_s:
                path.unlink()


def write_sealed(path: Path, write: Callable[[BytesIO], object]) -> Path:
    """Write a file atomically, and behind its content a checksum of name and content.

    NumPy reads its formats as if the checksum were not there.

    Parameters
    ----------
    path
        The file; missing folders are made.
    write
        Called with a stream that takes the content.

    Raises
    ------
    DiskFullError
        As `write_atomically`.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_sealed(Path(folder, "a.npy"), lambda stream: np.save(stream, np.arange(3)))
    ...     np.load(path).tolist()
    [0, 1, 2]
    """
    stream = BytesIO()
    write(stream)
    with stream.getbuffer() as content:  # released here, even where a profiler keeps the frame
        seal = _seal(path, content)
    stream.write(seal)
    return write_atomically(path, lambda unfinished: unfinished.write_bytes(stream.getbuffer()))


def read_sealed(path: Path) -> BytesIO | None:
    """The content of a file from `write_sealed`, or None when there is none to trust.

    A file that is truncated, changed or stood under another name is remarked upon and removed.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_sealed(Path(folder, "a.txt"), lambda stream: stream.write(b"1.0e-3"))
    ...     read_sealed(path).read(), read_sealed(Path(folder, "b.txt")) is None
    (b'1.0e-3', True)
    """
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


def _seal(path: Path, content: memoryview) -> bytes:
    sha = hashlib.sha256(f"{path.name}\0".encode())
    sha.update(content)
    return sha.digest()


def _bring_to_disk(path: Path) -> None:
    """Wait until the content is on the disk: a rename may reach it earlier, before a power cut."""
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())
