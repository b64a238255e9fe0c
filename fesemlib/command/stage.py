"""The folders of a build, and in them the source tree of the book."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fesemlib.command.provenance import Stamp, as_yaml, markdown_table
from fesemlib.params import parameter_table

# In a page of `book`: a figure of this build.
_SHOWN_RESULT = re.compile(r"\.\./results/([\w.-]+)")


@dataclass(frozen=True)
class Profile:
    """The folders of one build."""

    root: Path  # the checkout it is made from
    folder: Path  # build/<name of the parameter file>

    @property
    def notebooks(self) -> list[Path]:
        """The notebooks of the checkout, in the order of the book."""
        return sorted((self.root / "notebooks").glob("*.ipynb"))

    @property
    def results(self) -> Path:
        """Tables and figures that the notebooks save."""
        return self.folder / "results"

    @property
    def stage(self) -> Path:
        """The source tree of the book, which mirrors the paths of the checkout."""
        return self.folder / "book"

    @property
    def html(self) -> Path:
        """The rendered book."""
        return self.folder / "html"

    def executed(self, notebook: Path) -> Path:
        """Where the executed notebook lies."""
        return self.folder / "executed" / notebook.name

    def stamp(self, notebook: Path) -> Path:
        """Where the stamp of the executed notebook lies."""
        return self.executed(notebook).with_suffix(".json")


def stage_book(profile: Profile) -> None:
    """Make the source tree, with the executed notebooks in the place of their sources.

    The same executed notebooks and pages give the same tree, whenever it is made.
    """
    shutil.rmtree(profile.stage, ignore_errors=True)
    pages = profile.stage / "book"
    shutil.copytree(profile.root / "book", pages, ignore=shutil.ignore_patterns(".*"))
    shutil.copy(profile.root / "_config.yml", profile.stage)
    (pages / "parameters_table.md").write_text(_table_of_parameters(), encoding="utf-8")
    _stage_results(profile)
    (profile.stage / "notebooks").mkdir()
    for notebook in profile.notebooks:
        stamp = Stamp.read(profile.stamp(notebook))
        assert stamp is not None
        page = _as_page(read_notebook(profile.executed(notebook)), stamp)
        (profile.stage / "notebooks" / notebook.name).write_text(
            json.dumps(page, indent=1, ensure_ascii=False), encoding="utf-8"
        )


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook as it stands in its file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _stage_results(profile: Profile) -> None:
    """Bring the figures that the pages of `book` show from the results of the notebooks."""
    for page in (profile.stage / "book").glob("*.md"):
        for name in _SHOWN_RESULT.findall(page.read_text(encoding="utf-8")):
            target = profile.stage / "results" / name
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(profile.results / name, target)


def _as_page(notebook: dict[str, Any], stamp: Stamp) -> dict[str, Any]:
    """An executed notebook as a page: without local paths, with its provenance at the end."""
    cells = [cell for cell in notebook["cells"] if "injected-parameters" not in _tags(cell)]
    for cell in cells:
        cell["metadata"].pop("papermill", None)
        if "parameters" in _tags(cell):
            cell["metadata"]["tags"] = [*_tags(cell), "remove-cell"]
    note = {"cell_type": "markdown", "id": "provenance", "metadata": {}}
    metadata = {key: value for key, value in notebook["metadata"].items() if key != "papermill"}
    cells.append({**note, "source": stamp.as_markdown()})
    return {**notebook, "cells": cells, "metadata": metadata}


def _tags(cell: Mapping[str, Any]) -> list[str]:
    return list(cell["metadata"].get("tags", []))


def _table_of_parameters() -> str:
    """All parameters in three columns, which is what fits beside the contents."""
    rows = [
        [
            f"`{row['parameter']}`",
            f"{as_yaml(row['default'])}; {row['allowed']} {row['unit']}".strip(),
            f"{row['meaning']} (*{row['source']}*)",
        ]
        for row in parameter_table().to_dict("records")
    ]
    return markdown_table(["parameter", "default; allowed", "meaning (*source*)"], rows) + "\n"
