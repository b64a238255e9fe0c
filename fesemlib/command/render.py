"""From executed notebooks to pages: the source tree of the book, and what Jupyter Book makes of it.

Any warning is an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import yaml
from jinja2 import Environment, PackageLoader

from fesemlib.command.provenance import Profile, Stamp
from fesemlib.command.terminal import CommandError, say, watch
from fesemlib.params import parameter_table
from fesemlib.progress import duration
from fesemlib.storage import digest, write_atomically

_PACKAGE = Path(__file__).resolve().parent.parent
_PACKAGES_THAT_RENDER = ("jupyter-book", "sphinx", "myst-nb", "numpydoc", "sphinx-book-theme")
# What the pages load of MathJax: the component, its fonts and the TeX packages it asks for.
_MATHJAX_IN_USE = ("tex-chtml.js", "output/chtml/fonts/", "input/tex/extensions/")
# In a page of `book`: a figure of this build.
_SHOWN_RESULT = re.compile(r"\.\./results/([\w.-]+)")


def stage_book(profile: Profile) -> None:
    """Make the source tree, with the executed notebooks in the place of their sources.

    The same executed notebooks and pages give the same tree, whenever it is made.
    """
    shutil.rmtree(profile.stage, ignore_errors=True)
    pages, notebooks, results = (profile.stage / name for name in ("book", "notebooks", "results"))
    shutil.copytree(profile.root / "book", pages, ignore=shutil.ignore_patterns(".*"))
    shutil.copy(profile.root / "_config.yml", profile.stage)
    notebooks.mkdir()
    results.mkdir()
    table = _markdown("parameters_table", rows=parameter_table().to_dict("records"))
    (pages / "parameters_table.md").write_text(table, encoding="utf-8")
    for page in pages.glob("*.md"):
        for name in _SHOWN_RESULT.findall(page.read_text(encoding="utf-8")):
            shutil.copy2(profile.results / name, results)
    for notebook in profile.notebooks:
        stamp = Stamp.read(profile.stamp(notebook))
        assert stamp is not None
        executed = json.loads(profile.executed(notebook).read_text(encoding="utf-8"))
        text = json.dumps(_as_page(executed, stamp), indent=1, ensure_ascii=False)
        (notebooks / notebook.name).write_text(text, encoding="utf-8")


def _as_page(notebook: dict[str, Any], stamp: Stamp) -> dict[str, Any]:
    """An executed notebook as a page: without local paths, with its provenance at the end."""
    cells = []
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if "injected-parameters" in tags:
            continue
        if "parameters" in tags:
            tags.append("remove-cell")
        cell["metadata"].pop("papermill", None)
        cells.append(cell)
    notebook["metadata"].pop("papermill", None)
    note = {
        "cell_type": "markdown",
        "id": "provenance",
        "metadata": {},
        "source": _markdown("provenance", stamp=stamp),
    }
    return {**notebook, "cells": [*cells, note]}


def _markdown(template: str, **content: object) -> str:
    """A template of this room with its content."""
    templates = Environment(loader=PackageLoader("fesemlib.command"), autoescape=False)
    templates.filters |= {"as_yaml": _as_yaml, "cell": _cell}
    return templates.get_template(f"{template}.md.jinja").render(**content)


def _as_yaml(value: object) -> str:
    """A value as one would write it in a parameter file; a mapping entry by entry."""
    if isinstance(value, Mapping):
        return ", ".join(f"`{name}:` {_as_yaml(each)}" for name, each in value.items())
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=10_000)
    return _cell(_code(text.splitlines()[0]))


def _code(text: str) -> str:
    """A text as code in Markdown, whatever signs it holds."""
    marks = max(map(len, re.findall("`+", text)), default=0)
    return f"{'`' * (marks + 1)} {text} {'`' * (marks + 1)}" if marks else f"`{text}`"


def _cell(text: str) -> str:
    """A text as the cell of a table in Markdown."""
    return text.replace("|", "\\|")


def render_book(profile: Profile) -> Path:
    """Render the staged tree, unless it has been rendered as it is; the first page.

    A `CommandError` names what is broken in the slightest; the book rendered before then stays.
    """
    index = profile.html / "index.html"
    stamp = profile.folder / "rendered.txt"
    tree = _tree_digest(profile.stage)
    if index.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == tree:
        say("pages · unchanged")
        return index
    work = profile.folder / "render"
    shutil.rmtree(work, ignore_errors=True)
    start = time.monotonic()
    with watch("rendering the pages"):
        _run_jupyter_book(profile, work)
    pages = work / "_build" / "html"
    _prune_mathjax(pages / "_static" / "mathjax")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(profile.html, ignore_errors=True)
    pages.rename(profile.html)
    write_atomically(stamp, lambda unfinished: unfinished.write_text(tree, encoding="utf-8"))
    shutil.rmtree(work)
    say(f"pages · rendered in {duration(time.monotonic() - start)}")
    return index


def _tree_digest(stage: Path) -> str:
    """The digest of the staged files, of the package that pages describe, and of the renderer."""
    content = [
        (path.relative_to(root).as_posix(), digest(path))
        for root, pattern in ((stage, "*"), (_PACKAGE, "*.py"))
        for path in sorted(root.rglob(pattern))
        if path.is_file()
    ]
    return digest(content, [version(name) for name in _PACKAGES_THAT_RENDER])


def _run_jupyter_book(profile: Profile, work: Path) -> None:
    """Render into a folder of its own; a `CommandError` quotes what the log says is wrong."""
    stage, log = profile.stage, profile.folder / "render.log"
    run = "from jupyter_book.cli.main import main; main()"
    options = ["--all", "-W", "-n", "--keep-going", "--path-output", str(work)]
    files = ["--config", str(stage / "_config.yml"), "--toc", str(stage / "book" / "_toc.yml")]
    # The pages of the package describe the one that runs this, whichever else is installed.
    paths = os.pathsep.join(filter(None, [str(_PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    with log.open("w", encoding="utf-8") as stream:
        status = subprocess.run(
            [sys.executable, "-P", "-c", run, "build", str(stage), *files, *options],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        ).returncode
    if status:
        lines = click.unstyle(log.read_text(encoding="utf-8")).splitlines()
        telling = [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Error\b", line)]
        # With the paths of the checkout.
        told = "\n".join(dict.fromkeys(telling or lines[-10:])).replace(f"{stage}{os.sep}", "")
        raise CommandError(
            f"the pages could not be rendered without warnings:\n\n{told}\n\nThe whole log: {log}"
        )


def _prune_mathjax(folder: Path) -> None:
    """Leave only those files of the bundled MathJax that a page can ask for."""
    for path in folder.rglob("*"):
        used = path.relative_to(folder).as_posix().startswith(_MATHJAX_IN_USE)
        if path.is_file() and not used:
            path.unlink()
