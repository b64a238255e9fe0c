"""Read what `fesemlib.progress.remark` wrote."""

from pathlib import Path


def read_remarks(path: Path) -> list[str]:
    """The remarks in a file, oldest first; none where there is no such file."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
