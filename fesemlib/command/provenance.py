"""How each page was made: kept beside the executed notebook, shown at the end of the page."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from fesemlib.storage import write_atomically

_PACKAGES_THAT_COMPUTE = ("tensorflow", "keras", "numpy", "scikit-image")
_NOTE = """\
```{{dropdown}} How this page was made
- Code: commit {stamp.commit}
- Data: digest {stamp.data}
- Versions: {versions}
- Device: {stamp.device}
- Executed: in {stamp.seconds:g} s, on {stamp.date}

{parameters}
```"""


@dataclass(frozen=True)
class Stamp:
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
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the stamp to a file, at once or not at all."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        write_atomically(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))

    def as_markdown(self) -> str:
        """The note at the end of a page."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        rows = [[f"`{name}`", as_yaml(value)] for name, value in self.parameters.items()]
        return _NOTE.format(
            stamp=self, versions=versions, parameters=markdown_table(["parameter", "value"], rows)
        )


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
    try:
        description = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        description = ""
    name = re.search(r"^model name\s*:\s*(.+)$", description, re.MULTILINE)
    return name[1] if name else platform.processor() or platform.machine()


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


def as_yaml(value: object) -> str:
    """A value as one would write it in a parameter file; a mapping entry by entry."""
    if isinstance(value, Mapping):
        return ", ".join(f"`{name}:` {as_yaml(each)}" for name, each in value.items())
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=10_000)
    return f"`{text.splitlines()[0]}`"


def markdown_table(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of a page."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(entry.replace("|", "\\|") for entry in line) + " |" for line in lines
    )
