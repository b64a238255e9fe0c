"""Fixtures that several files of tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings
from PIL import Image

from fesemlib.storage import BUILD_FOLDER

# The same examples on each run, so that a change is judged by what it does;
# `pytest --hypothesis-profile=default` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)  # a busy machine is slow
settings.load_profile("repeatable")

# Reading a notebook would compile a grammar of addresses first: seconds, for what is not asked.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(sys.executable).parent
# The first builds the book that two others wait for: they come when it is there.
LONG = (
    "test_end_to_end",
    "test_cluster",
    "test_resume",
    "test_many_formulations",
    "test_own_micrographs",
    "test_figure3",
    "test_pages",
    "test_book",
    "test_jupyterlab",
    "test_validation",
    "test_training",
    "test_prediction",
    "test_effort",
)
ROWS = ("A,a.png,1.9e-3", "B,b.png,1.1e-3", "C,c.png,1.4e-3")


def texture(seed: int, shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    """A grey image whose every row holds many grey levels."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture
def own_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder of the test's own, not made yet."""
    folder = tmp_path / "build"
    monkeypatch.setenv(BUILD_FOLDER, str(folder))
    return folder


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Path]:
    """Write a manifest, and a small texture for each PNG in its second column that is missing."""

    def make(
        *rows: str, header: str = "formulation,image,k_m", folder: str = "set", encoding: str = ""
    ) -> Path:
        rows = rows or ROWS
        path = tmp_path / folder / "manifest.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes("\n".join([header, *rows, ""]).encode(encoding or "utf-8"))
        for seed, row in enumerate(rows):
            image = path.parent / [*row.split(","), ""][1].strip()
            if image.suffix == ".png" and not image.exists():
                image.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(texture(seed)).save(image)
        return path

    return make


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where processes share the files: the long ones first, the short ones fill the gaps."""

    def turn(item: pytest.Item) -> int:
        stem = item.path.stem
        return LONG.index(stem) if stem in LONG else len(LONG)

    if hasattr(config, "workerinput"):
        items.sort(key=turn)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder for the end-to-end tests, the same one where several processes run them."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "build"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def shared_build(
    build: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A build folder that tests share, but for those that ask for one of their own.

    What one of them has trained, the others read.
    """
    if "own_build" not in request.fixturenames:
        monkeypatch.setenv(BUILD_FOLDER, str(build.with_name("shared")))


@pytest.fixture(scope="session")
def run(build: Path) -> Run:
    """Run a script of the virtual environment, with that build folder unless told otherwise."""

    def run_script(
        *command: object, cwd: Path = ROOT, build: Path = build
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPTS / str(command[0]), *map(str, command[1:])],
            cwd=cwd,
            env={**os.environ, BUILD_FOLDER: str(build)},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run_script


@pytest.fixture(scope="session")
def book(build: Path, run: Run) -> Path:
    """The smoke book, built once for all tests: where it is up to date, nothing is done."""
    with FileLock(build.with_suffix(".lock")):
        done = run("fesem", "book", "params/smoke.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return build / "smoke"
