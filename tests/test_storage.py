"""Files that are whole or absent, and digests that tell contents apart."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remarks import read_remarks

from fesemlib.progress import REMARKS_FILE, remark
from fesemlib.storage import (
    DiskFullError,
    build_folder,
    checkout,
    code_digest,
    digest,
    read_sealed,
    remove_unfinished,
    writable,
    write_atomically,
    write_sealed,
)

# ---------------------------------------------------------------------------------------- folders


def test_build_folder_is_in_the_checkout_unless_a_variable_says_otherwise(own_build, monkeypatch):
    assert build_folder() == own_build
    monkeypatch.delenv("FESEM_BUILD")
    root = Path(__file__).parent.parent
    assert checkout() == root
    assert build_folder() == root / "build"


def test_writable_makes_a_folder_and_leaves_it_empty(tmp_path):
    folder = tmp_path / "new" / "deep"
    assert writable(folder) == folder
    assert list(folder.iterdir()) == []
    assert writable(folder) == folder


@pytest.mark.parametrize("place", ["file", "file/below", "file/far/below"])
def test_folder_that_cannot_be_is_named_with_the_remedy(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(PermissionError, match=r"make the folder writable.*FESEM_BUILD") as caught:
        writable(tmp_path / place)
    assert str(caught.value).startswith(f"{tmp_path / place}: cannot write here")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot write here"):
        writable(tmp_path / "build")


# ------------------------------------------------------------------------------------------ files


def test_file_is_written_under_its_name_and_suffix(tmp_path):
    path = tmp_path / "new" / "array.npy"
    assert write_atomically(path, lambda unfinished: np.save(unfinished, np.arange(3))) == path
    assert np.array_equal(np.load(path), [0, 1, 2])
    assert os.listdir(path.parent) == ["array.npy"]


def test_half_a_file_is_never_seen_under_the_name(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    seen = []

    def write(unfinished: Path) -> None:
        unfinished.write_text("half")
        seen.append(path.read_text())
        unfinished.write_text("whole")

    write_atomically(path, write)
    assert seen == ["old"]
    assert path.read_text() == "whole"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [[], ["file.txt"]])
def test_interrupted_writer_leaves_things_as_they_were(tmp_path, error, before):
    path = tmp_path / "file.txt"
    for name in before:
        (tmp_path / name).write_text("old")

    def write(unfinished: Path) -> None:
        unfinished.write_text("half")
        raise error

    with pytest.raises(error):
        write_atomically(path, write)
    assert os.listdir(tmp_path) == before
    assert not before or path.read_text() == "old"


def test_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    code = (
        "import os, signal, sys, pathlib\n"
        "from fesemlib.storage import write_atomically\n"
        "def write(unfinished):\n"
        "    unfinished.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(pathlib.Path(sys.argv[1]), write)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left_over,) = set(tmp_path.iterdir()) - {path}
    assert left_over.name.startswith(".")  # hidden, and no name that anyone reads


def test_a_full_disk_is_named_with_what_is_kept(tmp_path):
    """The device /dev/full answers every write as a full disk does."""
    path = tmp_path / "new" / "file.txt"
    with pytest.raises(DiskFullError, match=r"file\.txt could not be written.*is kept") as caught:
        write_atomically(path, lambda _: Path("/dev/full").write_bytes(b"more"))
    assert str(caught.value).startswith(f"{path.parent}: the disk is full")
    assert list(path.parent.iterdir()) == []


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "file.txt", lambda _: Path("/nowhere/at/all").write_text("a"))


def test_writers_of_the_same_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "file.txt"
    at_work = threading.Barrier(4)

    def write(number: int) -> None:
        def in_two_steps(unfinished: Path) -> None:
            unfinished.write_text(str(number))
            at_work.wait()
            unfinished.write_text(str(number) * 1000)

        write_atomically(path, in_two_steps)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert path.read_text() in {str(number) * 1000 for number in range(4)}
    assert os.listdir(tmp_path) == ["file.txt"]


def test_what_killed_writers_left_is_removed_once_it_is_old(tmp_path):
    def killed(_: Path) -> None:
        os._exit(9)

    for _ in range(2):
        if (child := os.fork()) == 0:
            write_atomically(tmp_path / "file.npz", killed)
        os.waitpid(child, 0)
    (tmp_path / "file.npz").touch()
    old, young = (path for path in tmp_path.iterdir() if path.name != "file.npz")
    for path in (old, tmp_path / "file.npz"):
        os.utime(path, (0, 0))
    remove_unfinished(tmp_path)
    assert set(tmp_path.iterdir()) == {young, tmp_path / "file.npz"}


# ------------------------------------------------------------------------------------------ seals


@pytest.fixture
def remarks(tmp_path, monkeypatch):
    monkeypatch.setenv(REMARKS_FILE, str(tmp_path / "remarks"))
    return lambda: read_remarks(tmp_path / "remarks")


def test_sealed_file_is_read_by_numpy_and_by_us(tmp_path, remarks):
    array = np.arange(6.0).reshape(2, 3)
    single = write_sealed(tmp_path / "array.npy", lambda stream: np.save(stream, array))
    several = write_sealed(tmp_path / "arrays.npz", lambda stream: np.savez(stream, a=array))
    assert np.array_equal(np.load(single), array)
    assert np.array_equal(np.load(several)["a"], array)
    assert np.array_equal(np.load(read_sealed(single)), array)
    assert np.array_equal(np.load(read_sealed(several))["a"], array)
    assert read_sealed(tmp_path / "missing.npy") is None
    assert remarks() == []


def test_every_truncation_and_every_flipped_byte_is_found(tmp_path, remarks):
    path = tmp_path / "some.file"
    write_sealed(path, lambda stream: stream.write(b"content"))
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [whole + b"\0"]
    for position in range(len(whole)):
        content = bytearray(whole)
        content[position] ^= 1 << position % 8
        damaged.append(bytes(content))
    for number, content in enumerate(damaged, start=1):
        path.write_bytes(content)
        assert read_sealed(path) is None
        assert not path.exists()
        assert len(remarks()) == number
    assert all(line.startswith(f"{path}: damaged") for line in remarks())
    path.write_bytes(whole)
    assert read_sealed(path).read() == b"content"


def test_a_good_file_that_replaces_a_damaged_one_meanwhile_stays(tmp_path, monkeypatch):
    path = tmp_path / "file.bin"
    write_sealed(path, lambda stream: stream.write(b"content"))
    path.write_bytes(b"damaged" * 20)

    def replaced(_: str) -> None:  # by another run, between reading and removing
        write_sealed(path, lambda stream: stream.write(b"content"))

    monkeypatch.setattr("fesemlib.storage.remark", replaced)
    assert read_sealed(path) is None
    assert read_sealed(path).read() == b"content"


def test_a_full_disk_is_not_a_matter_of_rights(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fesemlib.storage.tempfile.TemporaryFile", full)
    with pytest.raises(DiskFullError, match="the disk is full; make room"):
        writable(tmp_path / "folder")


def test_writing_beside_a_profiler_that_keeps_frames(tmp_path):
    """As Dask's workers do: they look at every thread's frames a hundred times a second."""
    kept = []
    sys.setprofile(lambda frame, *_: kept.append(frame))
    try:
        path = write_sealed(tmp_path / "kept.bin", lambda stream: stream.write(b"content"))
    finally:
        sys.setprofile(None)
    assert read_sealed(path).read() == b"content"
    path.rename(tmp_path / "other.file")
    assert read_sealed(tmp_path / "other.file") is None


def test_remarks_go_to_the_terminal_unless_somebody_collects_them(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(REMARKS_FILE, str(tmp_path / "remarks"))
    remark("one")
    remark("two")
    assert read_remarks(tmp_path / "remarks") == ["one", "two"]
    assert capfd.readouterr() == ("", "")
    monkeypatch.delenv(REMARKS_FILE)
    remark("three")
    assert capfd.readouterr() == ("", "fesem: three\n")


@pytest.mark.parametrize("file", ["/dev/full", "/dev/null/below"])
def test_a_remark_that_cannot_be_kept_is_said_all_the_same(monkeypatch, capfd, file):
    """On a full disk the remark says so, and must not end the training that goes on."""
    monkeypatch.setenv(REMARKS_FILE, file)
    remark("no room")
    assert capfd.readouterr() == ("", "fesem: no room\n")


# ---------------------------------------------------------------------------------------- digests

DIFFERENT = {
    "type": [np.zeros(4, np.uint8), np.zeros(4, np.int8)],
    "byte order": [np.zeros(4, "<u2"), np.zeros(4, ">u2")],
    "shape": [np.zeros((2, 3)), np.zeros((3, 2)), np.zeros(6)],
    "one element": [np.array([0, 0, 1]), np.array([0, 0, 2])],
    "number and text": [1, 1.0, "1", True, None],
    "nesting": [["a", "b"], [["a"], "b"], "a, b"],
    "last digit": [0.1 + 0.2, 0.3],
}


@pytest.mark.parametrize("parts", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_digest_tells_apart(parts):
    assert len({digest(part) for part in parts}) == len(parts)


several = st.lists(st.sampled_from(["", "a", "b", "ab", "a', 'b"]), max_size=4)


@given(several, several)
def test_digest_sees_where_a_part_ends(one, other):
    assert (digest(*one) == digest(*other)) == (one == other)


def test_digest_does_not_depend_on_the_layout_in_memory():
    array = np.arange(24.0).reshape(4, 6)
    assert digest(array) == digest(np.asfortranarray(array))
    assert digest(array[::2, ::3]) == digest(array[::2, ::3].copy())


def test_digest_of_a_path_is_that_of_the_content(tmp_path):
    for name, content in (("one", "same"), ("two", "same"), ("three", "other")):
        (tmp_path / name).write_text(content)
    one, two, three = (digest(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two != three


def test_digest_sees_where_a_file_ends(tmp_path):
    pairs = [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc")]
    digests = set()
    for contents in pairs:
        for name, content in zip("xy", contents, strict=True):
            (tmp_path / name).write_text(content)
        digests.add(digest(tmp_path / "x", tmp_path / "y"))
    assert len(digests) == len(pairs)


def test_digest_is_a_short_file_name_and_the_same_in_every_process():
    code = "from fesemlib.storage import digest; print(digest('a', {'b': (1.5, None)}))"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    other = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other == digest("a", {"b": (1.5, None)})
    assert len(other) == 20
    assert set(other) <= set("0123456789abcdef")


CODE = '''\
"""A module."""
RADIUS = 50  # px


def shrink(image, factor=2):
    """Shrink it."""
    return image[::factor]


class Ball:
    """A ball."""

    def roll(self):
        return RADIUS
'''


@pytest.fixture
def throwaway(tmp_path, monkeypatch):
    """The digest of a module with this code, which is not imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def digest_of(code: str) -> str:
        (tmp_path / "throwaway_module.py").write_text(code, encoding="utf-8")
        importlib.invalidate_caches()
        code_digest.cache_clear()
        assert "throwaway_module" not in sys.modules
        return code_digest("throwaway_module")

    yield digest_of
    code_digest.cache_clear()


@pytest.fixture
def restless_threads():
    """Threads that give way to each other even while Python collects garbage."""

    def busy(*_):
        for _ in range(50):
            pass

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    gc.callbacks.append(busy)
    yield
    gc.callbacks.remove(busy)
    sys.setswitchinterval(interval)


@pytest.mark.slow
@pytest.mark.usefixtures("restless_threads")
def test_digests_in_several_threads():
    modules = [
        "fesemlib.command.cli",
        "fesemlib.dataset",
        "fesemlib.texture",
        "fesemlib.params",
    ]
    expected = code_digest(*modules)
    for _ in range(5):
        code_digest.cache_clear()
        with ThreadPoolExecutor(4) as threads:
            found = set(threads.map(lambda _: code_digest(*modules), range(4)))
        assert found == {expected}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # px", "  # pixels"),
        ('"""A module."""\n', ""),
        ('"""Shrink it."""', '"""Take every second row."""'),
        ('    """A ball."""\n', ""),
        ("\n\n\n", "\n\n\n\n"),
        ("image[::factor]", "image[ :: factor]"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(throwaway, old, new):
    assert CODE.replace(old, new) != CODE
    assert throwaway(CODE.replace(old, new)) == throwaway(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("50", "51"),
        ("50", "50.0"),
        ("factor=2", "factor=3"),
        ("factor=2", "factor"),
        ("image[::factor]", "image[:factor]"),
        ("roll", "rock"),
        ("        return RADIUS", "        return 'RADIUS'"),
        ("RADIUS = 50", "RADIUS = 50\nraise SystemExit"),
    ],
)
def test_changed_code_counts(throwaway, old, new):
    assert throwaway(CODE.replace(old, new)) != throwaway(CODE)
