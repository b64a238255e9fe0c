"""From the staged tree to the pages: Jupyter Book, for which any warning is an error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from fesemlib.command.stage import Profile
from fesemlib.command.terminal import COLOUR, CommandError, say, watch
from fesemlib.progress import duration
from fesemlib.storage import digest, write_atomically

_PACKAGE = Path(__file__).resolve().parent.parent
_PACKAGES_THAT_RENDER = ("jupyter-book", "sphinx", "myst-nb", "numpydoc", "sphinx-book-theme")
# What the pages load of MathJax: the component, its fonts and the TeX packages it asks for.
_MATHJAX_IN_USE = ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions")


def render_book(profile: Profile, console: Console) -> Path:
    """Render the staged tree, unless it has been rendered as it is; the first page.

    A `CommandError` names what is broken in the slightest; the book rendered before then stays.
    """
    index = profile.html / "index.html"
    stamp = profile.folder / "rendered.txt"
    tree = _tree_digest(profile.stage)
    if index.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == tree:
        say(console, "pages · unchanged")
        return index
    work = profile.folder / "render"
    shutil.rmtree(work, ignore_errors=True)
    start = time.monotonic()
    with watch(console, "rendering the pages"):
        _run_jupyter_book(profile, work)
    pages = work / "_build" / "html"
    _prune_mathjax(pages / "_static" / "mathjax")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(profile.html, ignore_errors=True)
    pages.rename(profile.html)
    write_atomically(stamp, lambda unfinished: unfinished.write_text(tree, encoding="utf-8"))
    shutil.rmtree(work)
    say(console, f"pages · rendered in {duration(time.monotonic() - start)}")
    return index


def _tree_digest(stage: Path) -> str:
    """The digest of the staged files, of the package that pages describe, and of the renderer."""
    files = [path for path in stage.rglob("*") if path.is_file()]
    content = [
        (path.relative_to(root).as_posix(), digest(path))
        for root, found in ((stage, files), (_PACKAGE, _PACKAGE.rglob("*.py")))
        for path in sorted(found)
    ]
    return digest(content, [version(name) for name in _PACKAGES_THAT_RENDER])


def _run_jupyter_book(profile: Profile, work: Path) -> None:
    """Render into a folder of its own."""
    stage = profile.stage
    log = profile.folder / "render.log"
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
        raise CommandError(_broken_pages(stage, log))


def _broken_pages(stage: Path, log: Path) -> str:
    """The lines of the log that say what is wrong, with the paths of the checkout."""
    lines = COLOUR.sub("", log.read_text(encoding="utf-8")).splitlines()
    telling = [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Error\b", line)]
    told = "\n".join(dict.fromkeys(telling or lines[-10:])).replace(f"{stage}{os.sep}", "")
    return f"the pages could not be rendered without warnings:\n\n{told}\n\nThe whole log: {log}"


def _prune_mathjax(folder: Path) -> None:
    """Leave only those files of the bundled MathJax that a page can ask for."""
    used = [folder / name for name in _MATHJAX_IN_USE]
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif not any(path.is_relative_to(name) for name in used):
            path.unlink()
