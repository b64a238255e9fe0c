"""The folders of one build, and how each of its pages was made."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fesemlib.storage import write_atomically

_PACKAGES_THAT_COMPUTE = ("tensorflow", "keras", "numpy", "scikit-image")


class Profile:
    """The folders of one build."""

    def __init__(self, root: Path, folder: Path) -> None:
        """`root` is the checkout, `folder` build/<name of the parameter file>."""
        self.root, self.folder = root, folder
        self.notebooks = sorted((root / "notebooks").glob("*.ipynb"))  # in the order of the book
        self.results = folder / "results"  # tables and figures that the notebooks save
        self.stage = folder / "book"  # the source tree, which mirrors the paths of the checkout
        self.html = folder / "html"  # the rendered book

    def executed(self, notebook: Path) -> Path:
        """Where the executed notebook lies."""
        return self.folder / "executed" / notebook.name

    def stamp(self, notebook: Path) -> Path:
        """Where the stamp of the executed notebook lies."""
        return self.executed(notebook).with_suffix(".json")


class Stamp(BaseModel):
    """How a notebook was executed."""

    digest: str  # of all that determines the outputs: equal ones need no second execution
    commit: str
    parameters: dict[str, Any]  # without local paths
    data: str  # digest of the micrographs and their k_m
    versions: dict[str, str]
    device: str
    seconds: float
    date: str  # when it was finished, UTC
    saved: list[str]  # files that the notebook saved or renewed, relative to the results

    @classmethod
    def read(cls, path: Path) -> Stamp | None:
        """The stamp in a file, or None when there is none that can be understood."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            return None

    def write(self, path: Path) -> None:
        """Write the stamp to a file, at once or not at all."""
        text = self.model_dump_json(indent=1)
        write_atomically(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def without_paths(injected: Mapping[str, Any]) -> dict[str, Any]:
    """The injected parameters as a reader may see them: files by their names only."""
    shown = {name: injected[name] for name in injected if name not in ("results", "scheduler")}
    for name in ("dataset", "drying_run", "image"):
        if shown.get(name):
            shown[name] = Path(shown[name]).name
    return shown


@cache
def versions() -> dict[str, str]:
    """Versions of what computes."""
    packages = {name: version(name) for name in _PACKAGES_THAT_COMPUTE}
    return {"python": platform.python_version(), **packages}


def commit(root: Path) -> str:
    """The checkout's commit, and whether files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return "unknown (not a Git repository)"
        found = git("describe", "--always", "--tags")
        return f"{found} with uncommitted changes" if git("status", "--porcelain") else found
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no Git, or no commit yet)"


@cache
def device() -> str:
    """Processor, number of cores and, where TensorFlow sees them, accelerators."""
    return ", ".join([f"{_processor()} ({os.cpu_count()} cores)", *_accelerators()])


def _processor() -> str:
    with suppress(OSError):  # Linux tells
        description = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        if name := re.search(r"^model name\s*:\s*(.+)$", description, re.MULTILINE):
            return name[1]
    return platform.processor() or platform.machine()


def _accelerators() -> list[str]:
    """What TensorFlow calls the accelerators it can use; it is asked only where one may be."""
    if shutil.which("nvidia-smi") is None:
        return []
    question = (
        "import tensorflow as tf\n"
        "for gpu in tf.config.list_physical_devices('GPU'):\n"
        "    print(tf.config.experimental.get_device_details(gpu).get('device_name', gpu.name))"
    )
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True)
    return answer.stdout.split("\n")[:-1]
