"""The files from which an environment is made."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fesemlib.params import read_parameters

ROOT = Path(__file__).parent.parent
LOCKS = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("requirements.lock", "tests/requirements.lock")
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what `make` reads, and no virtual environment."""
    (tmp_path / "tests").mkdir()
    for name in ("Makefile", "pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_hashes_and_no_index(name: str) -> None:
    blocks = re.split(r"\n(?=\S)", LOCKS[name].split("\n", 2)[2])
    requirements = [block for block in blocks if "==" in block]
    assert len(requirements) > 100
    assert all("--hash=sha256:" in block for block in requirements)
    assert "://" not in LOCKS[name]
    assert "--index" not in LOCKS[name]


@pytest.mark.parametrize("package", ["setuptools", "wheel", "jupyter-book", "tensorflow"])
def test_lock_names(package: str) -> None:
    assert re.search(rf"^{package}==", LOCKS["requirements.lock"], re.MULTILINE)


def test_tests_run_with_the_versions_of_the_book() -> None:
    book, tests = (set(re.findall(r"^\S+==\S+", lock, re.MULTILINE)) for lock in LOCKS.values())
    assert book <= tests
    assert any(requirement.startswith("porespy==") for requirement in tests - book)


def test_conda_installs_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["dependencies"][-1] == {"pip": ["-r requirements.lock"]}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "params").glob("*.yml")), ids=lambda path: path.stem
)
def test_parameter_files(path: Path) -> None:
    read_parameters(path)


def test_unsuitable_python(folder: Path) -> None:
    result = make(folder, "book", "PYTHON=false")
    assert result.returncode != 0
    assert "error: no Python >= 3.11 and < 3.14 among: false" in result.stderr
    assert not (folder / ".venv").exists()


def test_python_without_venv(folder: Path) -> None:
    python = folder / "python"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    python.chmod(0o755)
    result = make(folder, "book", f"PYTHON={python}")
    assert result.returncode != 0
    assert "lacks venv or ensurepip" in result.stderr


def test_interrupted_installation_leaves_no_stamp(folder: Path) -> None:
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$*" in *install*) exit 1;; esac\n')
    python.chmod(0o755)
    assert make(folder, "book").returncode != 0
    assert not (folder / ".venv" / ".installed").exists()


@pytest.mark.parametrize("target", ["book", "test"])
def test_installs_once(folder: Path, target: str) -> None:
    assert "pip install" in make(folder, "--dry-run", target).stdout
    (folder / ".venv").mkdir()
    (folder / ".venv" / ".installed").touch()
    (folder / ".venv" / ".tests-installed").touch()
    assert "pip install" not in make(folder, "--dry-run", target).stdout


def test_book_needs_nothing_of_what_only_tests_do(folder: Path) -> None:
    assert "tests/requirements.lock" not in make(folder, "--dry-run", "book").stdout
