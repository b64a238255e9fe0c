"""The book: execute the notebooks with one parameter file, stage them, render them.

Everything generated lies in ``build/<profile>``, where the profile is the parameter file's name:

- ``executed``: each notebook as papermill left it, and beside it a stamp, written last, that holds
  the digest of what determined it and how it was made;
- ``results``: the tables and figures that the notebooks save;
- ``book``: the staged source tree, which mirrors the paths of the checkout;
- ``html``: the rendered book.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import yaml
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from rich.console import Console

from fesemlib.command.checks import DEFAULT_PARAMETERS, checked_dataset, read_profile
from fesemlib.command.repository import book_configuration, read_project
from fesemlib.params import SYNTHETIC, Parameters, parameter_table
from fesemlib.progress import PROGRESS_FILE, REMARKS_FILE, duration, read_progress, read_remarks
from fesemlib.storage import (
    build_folder,
    checkout,
    code_digest,
    digest,
    disk_is_full,
    environment_variable,
    writable,
    write_atomically,
)

SECONDS_BETWEEN_LINES = 10.0
"""How often progress is printed where it cannot overwrite itself."""

_PACKAGE = Path(__file__).resolve().parent.parent
# Parameters that do not change a number.
_PARAMETERS_WITHOUT_INFLUENCE = {"parallel_jobs", "results", "scheduler"}
_PACKAGES_THAT_COMPUTE = ("tensorflow", "keras", "numpy", "scikit-image")
_PACKAGES_THAT_RENDER = ("jupyter-book", "sphinx", "myst-nb", "numpydoc", "sphinx-book-theme")
# What the pages load of MathJax: the component, its fonts and the TeX packages it asks for.
_MATHJAX_IN_USE = ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions")
# Errors whose message says it all, and concerns no line of the notebook.
_CLEAR_ERRORS = {"DiskFullError", "SchedulerError", "TrainingError"}
# In a page of `book`: a figure of this build.
_SHOWN_RESULT = re.compile(r"\.\./results/([\w.-]+)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class BookError(Exception):
    """The book cannot be built; the message says why and what to do.

    Parameters
    ----------
    message
        For the terminal.
    exit_code
        2 for what the caller handed over, 1 for what went wrong on the way.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Profile:
    """The folders of one build: the checkout it is made from, and where it goes.

    Examples
    --------
    >>> profile = Profile(root=Path("fesem"), folder=Path("fesem/build/smoke"))
    >>> notebook = Path("fesem/notebooks/01_dataset.ipynb")
    >>> profile.executed(notebook).as_posix(), profile.stamp(notebook).name
    ('fesem/build/smoke/executed/01_dataset.ipynb', '01_dataset.json')
    """

    root: Path
    folder: Path

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
        """The source tree of the book."""
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


@dataclass(frozen=True)
class Stamp:
    """How a notebook was executed.

    Attributes
    ----------
    digest
        Of all that determines the outputs; equal digests need no second execution.
    commit
        The checkout's commit, and whether files differed from it.
    parameters
        What the notebook was given, without local paths.
    data
        Digest of the micrographs and their k_m.
    versions
        Of Python and the packages that compute.
    device
        Processor and, where TensorFlow sees one, accelerator.
    seconds
        How long it took.
    date
        When it was finished (UTC).
    saved
        Files the notebook saved or renewed, relative to the results.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> stamp = Stamp("d1", "c2", {"epochs": 3}, "d4", {}, "CPU", 5.6, "2025-07-08", ["t.csv"])
    >>> with TemporaryDirectory() as folder:
    ...     stamp.write(Path(folder, "01_dataset.json"))
    ...     Stamp.read(Path(folder, "01_dataset.json")) == stamp
    ...     Stamp.read(Path(folder, "02_image_processing.json")) is None
    True
    True
    """

    digest: str
    commit: str
    parameters: dict[str, Any]
    data: str
    versions: dict[str, str]
    device: str
    seconds: float
    date: str
    saved: list[str]

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


def build_book(
    parameter_file: Path | str | None = None,
    overrides: Mapping[str, object] | None = None,
    console: Console | None = None,
) -> Path:
    """Execute what has changed, stage it and render it.

    Parameters
    ----------
    parameter_file
        A YAML file; its name without suffix names the profile. Without one, ``params/book.yml``
        of the checkout.
    overrides
        Parameters that replace those of the file.
    console
        Where progress is shown; the terminal's standard error if not given.

    Returns
    -------
    Path
        The first page of the rendered book.

    Raises
    ------
    BookError
        When there is no checkout, a parameter or the data are wrong, the build folder is not
        writable, a cell fails, a page is broken or the disk is full.

    Examples
    --------
    >>> try:
    ...     build_book("cache.yml")
    ... except BookError as error:
    ...     print(error)
    cache.yml: build/cache is used for something else; rename the parameter file
    """
    console = console or Console(stderr=True)
    root = checkout()
    if root is None:
        raise BookError(
            "the book is built from a checkout of its repository, and this package is not "
            "installed from one; clone the repository and run `make book` in it",
            exit_code=2,
        )
    path = Path(parameter_file or root / DEFAULT_PARAMETERS)
    try:
        parameters = read_profile(path, overrides)
        profile = Profile(root, build_folder() / path.stem)
        _check_can_be_made(profile.folder)
        with _watch(console, "data set", None):
            data = checked_dataset(path, parameters).digest
        writable(profile.folder)
    except (ValueError, OSError) as error:
        raise BookError(str(error), exit_code=2) from error
    try:
        execute_notebooks(profile, parameters, data, console)
        stage_book(profile)
        return render_book(profile, console)
    except OSError as error:
        if not disk_is_full(error):
            raise
        raise BookError(
            f"{error}\n{profile.folder}: the disk is full; make room and start again: what was "
            "finished before is kept and will be reused"
        ) from error


def execute_notebooks(
    profile: Profile, parameters: Parameters, data: str, console: Console
) -> None:
    """Execute the notebooks whose digest differs from the one of their last execution.

    Parameters
    ----------
    profile
        The folders.
    parameters
        Each notebook is given those that its `parameters` cell declares.
    data
        Digest of the data set.
    console
        Where progress is shown.

    Raises
    ------
    BookError
        When a cell fails; notebooks executed before it are kept and reused.

    Examples
    --------
    >>> from io import StringIO
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()  # in the place of a checkout; there are no notebooks in it
    >>> profile = Profile(Path(folder.name), Path(folder.name, "build"))
    >>> execute_notebooks(profile, Parameters(), "digest of the data", Console(file=StringIO()))
    >>> profile.notebooks, profile.results.is_dir()
    ([], True)
    """
    writable(profile.results)
    notebooks = profile.notebooks
    for number, notebook in enumerate(notebooks, start=1):
        label = f"notebook {number} of {len(notebooks)}: {notebook.stem}"
        injected = _injected_parameters(notebook, parameters, profile.results)
        determined_by = _execution_digest(notebook, injected, data)
        if _is_current(profile, notebook, determined_by):
            _say(console, f"{label} · unchanged")
            continue
        profile.stamp(notebook).unlink(missing_ok=True)
        before = _states(profile.results)
        start = time.monotonic()
        with _watch(console, label, profile.folder / "progress.json"):
            _execute(notebook, profile.executed(notebook), injected)
        seconds = time.monotonic() - start
        after = _states(profile.results)
        Stamp(
            digest=determined_by,
            commit=_commit(profile.root),
            parameters=_without_paths(injected),
            data=data,
            versions=_versions(),
            device=_device(),
            seconds=round(seconds, 1),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            saved=sorted(name for name in after if after[name] != before.get(name)),
        ).write(profile.stamp(notebook))
        _say(console, f"{label} · executed in {duration(seconds)}")


def stage_book(profile: Profile) -> None:
    r"""Make the source tree of the book, with the executed notebooks in the place of their sources.

    The same executed notebooks and pages give the same tree, whenever it is made.

    Parameters
    ----------
    profile
        The folders; every notebook of the checkout has been executed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()  # in the place of a checkout; there are no notebooks in it
    >>> profile = Profile(Path(folder.name), Path(folder.name, "build"))
    >>> (profile.root / "book").mkdir()
    >>> for page in ("_config.yml", "book/introduction.md"):
    ...     (profile.root / page).touch()
    >>> project = '[project]\ndescription = ""\nversion = ""\nauthors = []\n'
    >>> _ = (profile.root / "pyproject.toml").write_text(project)
    >>> stage_book(profile)
    >>> sorted(path.name for path in (profile.stage / "book").iterdir())
    ['introduction.md', 'parameters_table.md']
    """
    shutil.rmtree(profile.stage, ignore_errors=True)
    shutil.copytree(
        profile.root / "book", profile.stage / "book", ignore=shutil.ignore_patterns(".*")
    )
    configuration = (profile.root / "_config.yml").read_text(encoding="utf-8")
    (profile.stage / "_config.yml").write_text(
        book_configuration(configuration, read_project(profile.root)), encoding="utf-8"
    )
    table = parameter_table().to_dict("records")
    (profile.stage / "book" / "parameters_table.md").write_text(
        _parameters_as_markdown(table), encoding="utf-8"
    )
    _stage_results(profile)
    pages = profile.stage / "notebooks"
    pages.mkdir()
    for notebook in profile.notebooks:
        stamp = Stamp.read(profile.stamp(notebook))
        assert stamp is not None
        page = _as_page(_read_notebook(profile.executed(notebook)), stamp)
        (pages / notebook.name).write_text(
            json.dumps(page, indent=1, ensure_ascii=False), encoding="utf-8"
        )


def render_book(profile: Profile, console: Console) -> Path:
    """Render the staged tree, unless it has been rendered as it is.

    Parameters
    ----------
    profile
        The folders.
    console
        Where progress is shown.

    Returns
    -------
    Path
        The first page.

    Raises
    ------
    BookError
        When a page is broken in the slightest; the book rendered before stays.

    Examples
    --------
    >>> from io import StringIO
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> profile = Profile(Path(folder.name), Path(folder.name, "build"))
    >>> profile.stage.mkdir(parents=True)  # without a table of contents
    >>> try:
    ...     render_book(profile, Console(file=StringIO()))
    ... except BookError as error:
    ...     print(str(error).splitlines()[0])
    the pages could not be rendered without warnings:
    """
    index = profile.html / "index.html"
    stamp = profile.folder / "rendered.txt"
    tree = _tree_digest(profile.stage)
    if index.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == tree:
        _say(console, "pages · unchanged")
        return index
    work = profile.folder / "render"
    shutil.rmtree(work, ignore_errors=True)
    start = time.monotonic()
    with _watch(console, "rendering the pages", None):
        _run_jupyter_book(profile, work)
    pages = work / "_build" / "html"
    _prune_mathjax(pages / "_static" / "mathjax")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(profile.html, ignore_errors=True)
    pages.rename(profile.html)
    write_atomically(stamp, lambda unfinished: unfinished.write_text(tree, encoding="utf-8"))
    shutil.rmtree(work)
    _say(console, f"pages · rendered in {duration(time.monotonic() - start)}")
    return index


# Execution


def _kernels_of_this_interpreter(log: IO[str]) -> type[AsyncKernelManager]:
    """Kernels of the Python that runs this, whatever kernels the user has installed elsewhere.

    Parameters
    ----------
    log
        Takes what a kernel says beside the notebook, which would otherwise disturb the terminal.
    """

    class ThisInterpreter(AsyncKernelManager):
        # It ends its workers at once, then waits for their resource tracker, which no signal ends.
        shutdown_wait_time = 1.0

        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(**get_kernel_dict())

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            await super()._async_launch_kernel(kernel_cmd, stdout=log, stderr=log, **options)

    return ThisInterpreter


def _check_can_be_made(folder: Path) -> None:
    """Raise a PermissionError where a folder cannot be written or made, without making it."""
    writable(next(place for place in (folder, *folder.parents) if place.exists()))


def _injected_parameters(notebook: Path, parameters: Parameters, results: Path) -> dict[str, Any]:
    """The values for those parameters that the notebook declares."""
    from papermill import inspect_notebook

    values = {**parameters.model_dump(), "results": str(results.resolve())}
    declared = inspect_notebook(str(notebook))
    return {name: value for name, value in values.items() if name in declared}


def _execution_digest(notebook: Path, injected: Mapping[str, Any], data: str) -> str:
    """The digest of all that determines the outputs of a notebook."""
    cells = [
        (cell["cell_type"], "".join(cell["source"]), json.dumps(cell["metadata"], sort_keys=True))
        for cell in _read_notebook(notebook)["cells"]
    ]
    influential = {
        name: value
        for name, value in _without_paths(injected).items()
        if name not in _PARAMETERS_WITHOUT_INFLUENCE
    }
    run = injected.get("drying_run")
    record = Path(run) if run else ""
    code = code_digest(*_modules())
    return digest(cells, influential, code, data, record, _new_images(injected), _versions())


def _new_images(injected: Mapping[str, Any]) -> list[str]:
    """Digests of the micrographs that are to be predicted, of those that are there."""
    from fesemlib.micrographs.files import image_files

    if not injected.get("image"):
        return []
    return [digest(Path(file)) for file in image_files([injected["image"]]) if Path(file).is_file()]


def _read_notebook(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _modules() -> list[str]:
    """The modules and rooms of the package that notebooks may use: all but this one."""
    names = {path.stem for path in _PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    return [f"fesemlib.{name}" for name in sorted(names - {"command", "progress", "__pycache__"})]


def _is_current(profile: Profile, notebook: Path, determined_by: str) -> bool:
    """Whether the executed notebook, and all it saved, is there and up to date."""
    stamp = Stamp.read(profile.stamp(notebook))
    return (
        stamp is not None
        and stamp.digest == determined_by
        and profile.executed(notebook).is_file()
        and all((profile.results / name).is_file() for name in stamp.saved)
    )


def _states(folder: Path) -> dict[str, tuple[int, int]]:
    """Time and size of every file in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in files
    }


# A kernel's ports are chosen before it starts: in between, another program may take one of them.
_STARTS = 3
_PORT_TAKEN = "Address already in use"


def _execute(notebook: Path, executed: Path, injected: Mapping[str, Any]) -> None:
    """Execute one notebook; `executed` appears only when every cell has succeeded."""
    import papermill

    # An interrupted kernel's last words would be reported as a task that nobody awaited.
    for name in ("papermill", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    partial = executed.with_suffix(".partial.ipynb")
    partial.parent.mkdir(parents=True, exist_ok=True)
    log = executed.with_suffix(".log")
    for attempt in range(_STARTS):
        try:
            with log.open("w", encoding="utf-8") as stream:
                papermill.execute_notebook(
                    str(notebook),
                    str(partial),
                    dict(injected),
                    kernel_name="python3",
                    kernel_manager_class=_kernels_of_this_interpreter(stream),
                    cwd=str(notebook.parent),
                    progress_bar=False,
                    request_save_on_cell_execute=True,
                )
            break
        except papermill.PapermillExecutionError as error:
            raise BookError(_failed_cell(notebook, partial, error)) from error
        except RuntimeError as error:
            if attempt + 1 < _STARTS and _PORT_TAKEN in log.read_text("utf-8", "replace"):
                continue
            raise BookError(
                f"{notebook.name}: the kernel has stopped: {error}; perhaps memory ran out (a "
                f"smaller `input_width` or `parallel_jobs` needs less). Its last words: {log}\n"
                f"{_whereabouts(partial)}"
            ) from error
    partial.replace(executed)


def _failed_cell(notebook: Path, partial: Path, error: Any) -> str:
    """What the terminal shows of a failing cell."""
    if error.ename in _CLEAR_ERRORS:
        return f"{notebook.name}: {error.evalue}\n\n{_whereabouts(partial)}"
    trace = "\n".join(error.traceback)
    if not sys.stderr.isatty():
        trace = _COLOUR.sub("", trace)
    return (
        f"{notebook.name}: cell [{error.exec_count}] failed\n\n"
        f"{error.source}\n\n{trace}\n\n{_whereabouts(partial)}"
    )


def _whereabouts(partial: Path) -> str:
    return (
        f"The notebook up to there: {partial}\n"
        "Everything finished before it will be reused by the next `fesem book`."
    )


# Progress


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _watch(console: Console, label: str, report: Path | None) -> Iterator[None]:
    """Show how far the work inside the context has come.

    Parameters
    ----------
    console
        A terminal gets one line that is overwritten, anything else a line now and then.
    label
        What is going on.
    report
        The file in which a notebook says how far it is, handed to it through the environment. What
        it has to remark is taken from a file beside it.
    """
    start = time.monotonic()
    finished = threading.Event()
    remarks = report.with_name("remarks.txt") if report else None
    said = 0

    def say_remarks() -> None:
        nonlocal said
        for line in read_remarks(remarks)[said:] if remarks else []:
            _say(console, f"{label} · {line}")
            said += 1

    def text() -> str:
        state = read_progress(report) if report else None
        return f"{label} · {state or duration(time.monotonic() - start)}"

    def print_lines() -> None:
        while not finished.wait(SECONDS_BETWEEN_LINES):
            say_remarks()
            _say(console, text())

    def overwrite_line() -> None:
        with console.status(text()) as status:
            while not finished.wait(0.5):
                say_remarks()
                status.update(text())

    thread = threading.Thread(target=overwrite_line if console.is_terminal else print_lines)
    thread.start()
    try:
        with (
            environment_variable(PROGRESS_FILE, str(report) if report else None),
            environment_variable(REMARKS_FILE, str(remarks) if remarks else None),
        ):
            yield
    finally:
        finished.set()
        thread.join()
        say_remarks()
        for path in (report, remarks):
            if path:
                path.unlink(missing_ok=True)


# Provenance


def _without_paths(injected: Mapping[str, Any]) -> dict[str, Any]:
    """The injected parameters as a reader may see them: files by their names only."""
    private = ("results", "scheduler")
    shown = {name: value for name, value in injected.items() if name not in private}
    if shown.get("dataset", SYNTHETIC) != SYNTHETIC:
        shown["dataset"] = Path(shown["dataset"]).name
    for name in ("drying_run", "image"):
        if shown.get(name):
            shown[name] = Path(shown[name]).name
    return shown


@cache
def _versions() -> dict[str, str]:
    """Versions of what computes."""
    packages = {name: version(name) for name in _PACKAGES_THAT_COMPUTE}
    return {"python": platform.python_version(), **packages}


def _commit(root: Path) -> str:
    """The checkout's commit, and whether files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return "unknown (not a Git repository)"
        commit = git("describe", "--always", "--tags")
        return f"{commit} with uncommitted changes" if git("status", "--porcelain") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no Git, or no commit yet)"


@cache
def _device() -> str:
    """Processor, number of cores and, where TensorFlow sees them, accelerators."""
    cores = os.cpu_count()
    return ", ".join([f"{_processor()} ({cores} cores)", *_accelerators()])


def _processor() -> str:
    try:
        description = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        description = ""
    names = re.findall(r"^model name\s*:\s*(.+)$", description, re.MULTILINE)
    return names[0] if names else platform.processor() or platform.machine()


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


# Staging


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
    provenance = {
        "cell_type": "markdown",
        "id": "provenance",
        "metadata": {},
        "source": _provenance(stamp),
    }
    metadata = {key: value for key, value in notebook["metadata"].items() if key != "papermill"}
    return {**notebook, "cells": [*cells, provenance], "metadata": metadata}


def _tags(cell: Mapping[str, Any]) -> list[str]:
    return list(cell["metadata"].get("tags", []))


def _provenance(stamp: Stamp) -> str:
    """The note at the end of a page."""
    versions = ", ".join(f"{name} {number}" for name, number in stamp.versions.items())
    rows = [[f"`{name}`", _as_yaml(value)] for name, value in stamp.parameters.items()]
    return "\n".join(
        [
            "```{dropdown} How this page was made",
            f"- Code: commit {stamp.commit}",
            f"- Data: digest {stamp.data}",
            f"- Versions: {versions}",
            f"- Device: {stamp.device}",
            f"- Executed: in {stamp.seconds:g} s, on {stamp.date}",
            "",
            _markdown_table(["parameter", "value"], rows),
            "```",
        ]
    )


def _parameters_as_markdown(table: Iterable[Mapping[Any, Any]]) -> str:
    """The rows of `parameter_table` in three columns, which is what fits beside the contents."""
    rows = [
        [
            f"`{row['parameter']}`",
            f"{_as_yaml(row['default'])}; {row['allowed']} {row['unit']}".strip(),
            f"{row['meaning']} (*{row['source']}*)",
        ]
        for row in table
    ]
    return _markdown_table(["parameter", "default; allowed", "meaning (*source*)"], rows) + "\n"


def _as_yaml(value: object) -> str:
    """A value as one would write it in a parameter file; a mapping entry by entry."""
    if isinstance(value, Mapping):
        return ", ".join(f"`{name}:` {_as_yaml(each)}" for name, each in value.items())
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=10_000)
    return f"`{text.splitlines()[0]}`"


def _markdown_table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(str(entry).replace("|", "\\|") for entry in line) + " |" for line in lines
    )


# Rendering


def _tree_digest(stage: Path) -> str:
    """The digest of the staged files, of the package that pages describe, and of the renderer."""
    files = sorted(path for path in stage.rglob("*") if path.is_file())
    renderer = [version(name) for name in _PACKAGES_THAT_RENDER]
    content = [(path.relative_to(stage).as_posix(), digest(path)) for path in files]
    modules = sorted(_PACKAGE.rglob("*.py"))
    package = [
        (path.relative_to(_PACKAGE).as_posix(), digest(path)) for path in modules
    ]  # its docstrings are pages, too
    return digest(content, package, renderer)


def _run_jupyter_book(profile: Profile, work: Path) -> None:
    """Render into a folder of its own; any warning is an error."""
    stage = profile.stage
    log = profile.folder / "render.log"
    run = "from jupyter_book.cli.main import main; main()"
    options = ["--all", "-W", "-n", "--keep-going", "--path-output", str(work)]
    files = ["--config", str(stage / "_config.yml"), "--toc", str(stage / "book" / "_toc.yml")]
    # The pages of the package describe the one that runs this, whichever else is installed.
    own = str(_PACKAGE.parent)
    paths = os.pathsep.join(filter(None, [own, os.environ.get("PYTHONPATH")]))
    with log.open("w", encoding="utf-8") as stream:
        status = subprocess.run(
            [sys.executable, "-P", "-c", run, "build", str(stage), *files, *options],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        ).returncode
    if status:
        raise BookError(_broken_pages(stage, log))


def _broken_pages(stage: Path, log: Path) -> str:
    """The lines of the log that say what is wrong, with the paths of the checkout."""
    lines = _COLOUR.sub("", log.read_text(encoding="utf-8")).splitlines()
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
