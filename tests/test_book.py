"""Executing, staging and rendering, with notebooks of a few lines in a checkout of their own."""

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from rich.console import Console

import fesemlib.command.book
import fesemlib.dataset
from fesemlib.command import execute as execution
from fesemlib.command import render
from fesemlib.command.book import build_book
from fesemlib.command.cli import main, parameter_value
from fesemlib.command.execute import execute_notebooks
from fesemlib.command.provenance import Profile, Stamp
from fesemlib.command.render import stage_book
from fesemlib.command.terminal import CommandError, watch
from fesemlib.params import Parameters
from fesemlib.progress import (
    PROGRESS_FILE,
    REMARKS_FILE,
    duration,
    progress,
    read_progress,
    remark,
)

ROOT = Path(__file__).parent.parent

FIRST = [
    new_markdown_cell("# First\n\n$$k_m = \\frac{\\epsilon}{\\tau}\\boldsymbol{d}$$"),
    new_code_cell(
        'dataset: str = "synthetic"\nparallel_jobs: int = 0\n'
        'scheduler: str = ""\nresults: str = ""',
        metadata={"tags": ["parameters"]},
    ),
    new_code_cell(
        "from pathlib import Path\n"
        "from myst_nb import glue\n"
        "from fesemlib.progress import progress\n"
        'with progress(2, "folds") as advance:\n'
        "    advance()\n"
        'glue("answer", 42.0, display=False)\n'
        'Path(results, "table.csv").write_text("42")'
    ),
]
SECOND = [
    new_markdown_cell("# Second\n\nGlued: {glue:text}`/notebooks/01_first.ipynb::answer:.1f`."),
    new_code_cell("epochs: int = 7", metadata={"tags": ["parameters"]}),
    new_code_cell("print('epochs:', epochs)\nassert epochs != 13, 'unlucky'"),
]
PAGES = {
    "book/_toc.yml": (
        "format: jb-book\nroot: book/introduction\nchapters:\n"
        "  - file: notebooks/01_first\n  - file: notebooks/02_second\n"
    ),
    "book/introduction.md": (
        "# Introduction\n\n```{include} parameters_table.md\n```\n\n"
        "{cite:t}`marcato2025`\n\n```{bibliography}\n```\n"
    ),
    "params/test.yml": "epochs: 3\n",
}


def known_data(digest: str = "", shape: tuple[int, int] = (192, 256)) -> SimpleNamespace:
    """What the command asks of a data set before it starts."""
    return SimpleNamespace(
        digest=digest, shape=shape, crop="auto", page=1, unchecked_magnification=""
    )


def write_notebook(path: Path, cells: list[nbformat.NotebookNode]) -> None:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for number, cell in enumerate(cells):
        cell["id"] = f"cell{number}"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def make_checkout(root: Path) -> Path:
    root.mkdir()
    for name, text in PAGES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    shutil.copytree(ROOT / "book" / "static", root / "book" / "static")
    write_notebook(root / "notebooks" / "01_first.ipynb", FIRST)
    write_notebook(root / "notebooks" / "02_second.ipynb", SECOND)
    return root


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two small notebooks, which `fesem book` takes for its own."""
    root = make_checkout(tmp_path / "checkout")
    monkeypatch.setattr(fesemlib.command.book, "checkout", lambda: root)
    monkeypatch.setattr(fesemlib.command.book, "build_folder", lambda: root / "build")
    monkeypatch.setattr(
        fesemlib.dataset,
        "load_dataset",
        lambda _: known_data("the data"),
    )
    return root


@pytest.fixture
def profile(checkout: Path) -> Profile:
    return Profile(checkout, checkout / "build" / "test")


@pytest.fixture(scope="module")
def executed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of a checkout whose notebooks have been executed."""
    root = make_checkout(tmp_path_factory.mktemp("executed") / "checkout")
    execute(Profile(root, root / "build" / "test"))
    return root / "build"


@pytest.fixture
def executed(profile: Profile, executed_once: Path) -> Profile:
    shutil.copytree(executed_once, profile.root / "build")
    return profile


def execute(profile: Profile, data: str = "the data", **parameters: object) -> list[str]:
    """Execute what has changed; the names of the notebooks that were."""

    def written() -> dict[str, int]:
        stamps = [profile.stamp(path) for path in profile.notebooks]
        return {path.stem: path.stat().st_mtime_ns for path in stamps if path.exists()}

    before = written()
    execute_notebooks(profile, Parameters(**parameters), data)  # type: ignore[arg-type]
    return [name for name, when in written().items() if before.get(name) != when]


@pytest.mark.slow
class TestExecution:
    def test_executes_what_changed_and_nothing_else(self, profile: Profile) -> None:
        assert execute(profile) == ["01_first", "02_second"]
        assert execute(profile) == []
        assert execute(profile, parallel_jobs=1, scheduler="tcp://host:8786") == []
        assert execute(profile, epochs=8) == ["02_second"]
        assert execute(profile, data="other data", epochs=8) == ["01_first", "02_second"]
        (profile.results / "table.csv").unlink()
        assert execute(profile, data="other data", epochs=8) == ["01_first"]
        text = profile.notebooks[1].read_text().replace("unlucky", "ominous")
        profile.notebooks[1].write_text(text)
        assert execute(profile, data="other data", epochs=8) == ["02_second"]

    def test_changed_drying_run_is_read_again_by_the_notebook_that_uses_it(
        self, profile: Profile, tmp_path: Path
    ) -> None:
        parameters = new_code_cell('drying_run: str = ""', metadata={"tags": ["parameters"]})
        write_notebook(profile.notebooks[1], [SECOND[0], parameters, new_code_cell("1 + 1")])
        run = tmp_path / "run.csv"
        run.write_text("one")
        assert execute(profile, drying_run=str(run)) == ["01_first", "02_second"]
        assert execute(profile, drying_run=str(run)) == []
        run.write_text("other")
        assert execute(profile, drying_run=str(run)) == ["02_second"]
        stamp = Stamp.read(profile.stamp(profile.notebooks[1]))
        assert stamp is not None
        assert stamp.parameters == {"drying_run": "run.csv"}

    def test_changed_new_micrograph_is_predicted_again(
        self, profile: Profile, tmp_path: Path
    ) -> None:
        parameters = new_code_cell('image: str = ""', metadata={"tags": ["parameters"]})
        write_notebook(profile.notebooks[1], [SECOND[0], parameters, new_code_cell("1 + 1")])
        folder = tmp_path / "new"
        folder.mkdir()
        (folder / "a.tif").write_text("one")
        assert execute(profile, image=str(folder)) == ["01_first", "02_second"]
        assert execute(profile, image=str(folder)) == []
        (folder / "b.tif").write_text("another")
        assert execute(profile, image=str(folder)) == ["02_second"]
        stamp = Stamp.read(profile.stamp(profile.notebooks[1]))
        assert stamp is not None
        assert stamp.parameters == {"image": "new"}

    def test_stamp_says_how_the_page_was_made(self, profile: Profile) -> None:
        execute(profile, dataset="/somewhere/manifest.csv", scheduler="tcp://host:8786")
        stamp = Stamp.read(profile.stamp(profile.notebooks[0]))
        assert stamp is not None
        assert stamp.parameters == {"dataset": "manifest.csv", "parallel_jobs": 0}
        assert stamp.saved == ["table.csv"]
        assert stamp.data == "the data"
        assert "keras" in stamp.versions
        assert "cores" in stamp.device

    def test_progress_leaves_nothing_in_the_notebook(self, executed: Profile) -> None:
        first = nbformat.read(executed.executed(executed.notebooks[0]), as_version=4)
        kinds = [output.output_type for output in first.cells[-1].outputs]
        assert kinds == ["display_data", "execute_result"]  # the glued value and the last line

    def test_failing_cell(self, executed: Profile) -> None:
        with pytest.raises(CommandError) as caught:
            execute(executed, epochs=13)
        partial = executed.folder / "executed" / "02_second.partial.ipynb"
        message = str(caught.value)
        assert caught.value.exit_code == 1
        assert partial.is_file()
        for part in ("02_second.ipynb", "assert epochs != 13", "AssertionError: unlucky"):
            assert part in message
        assert str(partial) in message
        assert "\x1b" not in message
        assert not executed.stamp(executed.notebooks[1]).exists()
        assert execute(executed) == ["02_second"]
        assert not partial.exists()

    def test_clear_errors_come_without_the_code_around_them(self, profile: Profile) -> None:
        code = (
            "from fesemlib.storage import DiskFullError\n"
            "raise DiskFullError('cache: the disk is full; what was finished is kept')"
        )
        write_notebook(profile.notebooks[0], [new_code_cell(code)])
        with pytest.raises(CommandError) as caught:
            execute(profile)
        first, *others = str(caught.value).splitlines()
        assert first == "01_first.ipynb: cache: the disk is full; what was finished is kept"
        assert "import" not in str(caught.value)
        assert str(profile.folder / "executed" / "01_first.partial.ipynb") in "\n".join(others)

    def test_remarks_are_for_the_terminal_and_not_for_the_page(
        self, profile: Profile, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code = "from fesemlib.progress import remark\nremark('fold.npz: damaged')"
        write_notebook(profile.notebooks[0], [FIRST[1], new_code_cell(code)])
        execute_notebooks(profile, Parameters(), "the data")
        said = [line for line in capsys.readouterr().err.splitlines() if "damaged" in line]
        assert said == ["notebook 1 of 2: 01_first · fold.npz: damaged"]
        page = nbformat.read(profile.executed(profile.notebooks[0]), as_version=4)
        assert all(not cell.get("outputs") for cell in page.cells)

    @pytest.mark.parametrize(
        "error",
        [
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "page.ipynb"),
            shutil.Error([("one", "other", f"[Errno 28] {os.strerror(errno.ENOSPC)}")]),
        ],
    )
    def test_full_disk(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
    ) -> None:
        def fail(_: Profile) -> None:
            raise error

        monkeypatch.setattr(fesemlib.command.book, "execute_notebooks", lambda *_: None)
        monkeypatch.setattr(fesemlib.command.book, "stage_book", fail)
        with pytest.raises(CommandError, match=r"build/test: the disk is full.*is kept") as caught:
            build_book(checkout / "params" / "test.yml")
        assert caught.value.exit_code == 1

    def test_kernel_whose_port_was_taken_meanwhile_is_started_again(
        self, profile: Profile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make = execution._kernels_of_this_interpreter
        started = []
        with socket.create_server(("127.0.0.1", 0)) as taken:

            def first_on_a_taken_port(log: IO[str]) -> type:
                kernels = make(log)
                started.append(kernels)
                if len(started) == 1:
                    port = taken.getsockname()[1]
                    return type("Taken", (kernels,), {"cache_ports": False, "control_port": port})
                return kernels

            monkeypatch.setattr(execution, "_kernels_of_this_interpreter", first_on_a_taken_port)
            assert execute(profile) == ["01_first", "02_second"]
        assert len(started) == 3  # the first notebook's kernel twice

    def test_dead_kernel(self, profile: Profile) -> None:
        write_notebook(profile.notebooks[0], [new_code_cell("import os\nos._exit(9)")])
        with pytest.raises(CommandError, match=r"01_first.*kernel"):
            execute(profile)

    def test_damaged_stamp_is_not_trusted(self, executed: Profile) -> None:
        stamp = executed.stamp(executed.notebooks[0])
        stamp.write_text(stamp.read_text()[:50])
        assert execute(executed) == ["01_first"]

    def test_interruption(self, tmp_path: Path) -> None:
        root = make_checkout(tmp_path / "checkout")
        shutil.copytree(ROOT / "fesemlib", root / "fesemlib")
        pid_file = root / "build" / "test" / "results" / "pid"
        waiting = (
            "import os, time\nfrom pathlib import Path\n"
            'Path(results, "pid").write_text(str(os.getpid()))\ntime.sleep(60)'
        )
        write_notebook(root / "notebooks" / "01_first.ipynb", [FIRST[1], new_code_cell(waiting)])
        run = (
            "import signal, sys, types, fesemlib.dataset\n"
            # Whoever runs the tests in the background has SIGINT ignored, and a child inherits it.
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "data = types.SimpleNamespace(digest='', shape=(192, 256))\n"
            "data.unchecked_magnification = ''\n"
            "fesemlib.dataset.load_dataset = lambda _: data\n"
            "from fesemlib.command.cli import main\n"
            "sys.exit(main(['book', 'params/test.yml']))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", run],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: pid_file.exists() and pid_file.read_text() != "")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=90)
        assert process.returncode == 130
        assert "interrupted" in errors
        assert "Traceback" not in errors
        assert not list(root.glob("build/test/executed/*.json"))
        assert not (root / "build/test/executed/01_first.ipynb").exists()
        wait_until(lambda: not is_running(int(pid_file.read_text())))


def wait_until(condition: object, seconds: float = 90.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    root = make_checkout(tmp_path_factory.mktemp("staged") / "checkout")
    profile = Profile(root, root / "build" / "test")
    execute(profile, dataset="/somewhere/manifest.csv")
    stage_book(profile)
    return profile


@pytest.mark.slow
class TestStaging:
    def test_mirrors_the_checkout(self, staged: Profile) -> None:
        for name in PAGES:
            assert (staged.stage / name).is_file() == name.startswith("book/")
        assert (staged.stage / "_config.yml").is_file()

    def test_pages_hold_provenance_and_no_local_path(self, staged: Profile) -> None:
        text = (staged.stage / "notebooks" / "01_first.ipynb").read_text()
        page = nbformat.reads(text, as_version=4)
        nbformat.validate(page)
        tags = [cell.metadata.get("tags", []) for cell in page.cells]
        assert tags == [[], ["parameters", "remove-cell"], [], []]
        assert "{dropdown} How this page was made" in page.cells[-1].source
        assert "| `dataset` | `manifest.csv` |" in page.cells[-1].source
        assert "/somewhere" not in text
        assert str(staged.root) not in text
        assert "papermill" not in page.metadata
        assert all("papermill" not in cell.metadata for cell in page.cells)

    def test_is_the_same_every_time(self, staged: Profile) -> None:
        def tree() -> dict[str, bytes]:
            files = [path for path in staged.stage.rglob("*") if path.is_file()]
            return {str(path): path.read_bytes() for path in files}

        before = tree()
        (staged.stage / "book" / "left_over.md").touch()
        stage_book(staged)
        assert tree() == before

    def test_pages_may_show_results(self, staged: Profile) -> None:
        page = staged.root / "book" / "results.md"
        page.write_text("# A\n\n```{figure} ../results/table.csv\n```\n")
        (staged.results / "other.csv").touch()
        stage_book(staged)
        shown = {path.name: path.read_text() for path in (staged.stage / "results").iterdir()}
        page.unlink()
        stage_book(staged)
        assert shown == {"table.csv": "42"}

    def test_table_of_parameters(self, staged: Profile) -> None:
        lines = (staged.stage / "book" / "parameters_table.md").read_text().splitlines()
        assert len(lines) == 2 + len(Parameters.model_fields)
        row = next(line for line in lines if "`input_width`" in line)
        for part in ("`128`", "≥ 16", "px", "Section 2"):
            assert part in row


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout whose book has been built once."""
    root = make_checkout(tmp_path_factory.mktemp("built") / "checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fesemlib.command.book, "checkout", lambda: root)
        patch.setattr(fesemlib.command.book, "build_folder", lambda: root / "build")
        patch.setattr(fesemlib.dataset, "load_dataset", lambda _: known_data())
        index = build_book(root / "params" / "test.yml")
        assert index == root / "build" / "test" / "html" / "index.html"
        yield root


@pytest.mark.slow
class TestRendering:
    def test_pages(self, built: Path) -> None:
        html = built / "build" / "test" / "html"
        first = (html / "notebooks" / "01_first.html").read_text()
        assert "How this page was made" in first
        second = (html / "notebooks" / "02_second.html").read_text()
        assert re.search(r"Glued: (<[^>]+>)?42\.0", second)
        for page in html.rglob("*.html"):
            text = page.read_text()
            assert str(built) not in text
            for remote in ('src="http', 'src="//', 'rel="stylesheet" href="http', "unpkg"):
                assert remote not in text

    def test_mathjax_is_pruned(self, built: Path) -> None:
        mathjax = built / "build" / "test" / "html" / "_static" / "mathjax"
        size = sum(path.stat().st_size for path in mathjax.rglob("*") if path.is_file())
        assert (mathjax / "tex-chtml.js").is_file()
        assert size < 4e6

    def test_nothing_changed(self, built: Path) -> None:
        index = built / "build" / "test" / "html" / "index.html"
        before = index.stat().st_mtime_ns
        build_book(built / "params" / "test.yml")
        assert index.stat().st_mtime_ns == before

    def test_changed_docstring_is_rendered(
        self, built: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In a copy of the package, of which a page shows one module."""
        copy = shutil.copytree(ROOT / "fesemlib", built / "fesemlib")
        monkeypatch.setattr(render, "_PACKAGE", copy)
        page = built / "book" / "introduction.md"
        automodule = "```{eval-rst}\n.. automodule:: fesemlib.network.augmentation\n```"
        page.write_text(f"{page.read_text()}\n{automodule}\n")
        index = build_book(built / "params" / "test.yml")
        rendered = index.parent / "book" / "introduction.html"
        assert "augment" in rendered.read_text()
        assert "Of flips and turns." not in rendered.read_text()
        module = copy / "network" / "augmentation.py"
        module.write_text(module.read_text().replace('"""Data', '"""Of flips and turns. Data', 1))
        build_book(built / "params" / "test.yml")
        assert "Of flips and turns." in rendered.read_text()

    def test_broken_page_fails_and_keeps_the_last_good_book(self, built: Path) -> None:
        page = built / "book" / "introduction.md"
        good = page.read_text()
        page.write_text(good + "\n[gone](nowhere.md)\n")
        with pytest.raises(CommandError) as caught:
            build_book(built / "params" / "test.yml")
        page.write_text(good)
        assert caught.value.exit_code == 1
        assert "book/introduction.md" in str(caught.value)
        assert "nowhere.md" in str(caught.value)
        assert "render.log" in str(caught.value)
        index = built / "build" / "test" / "html" / "index.html"
        assert index.is_file()
        assert build_book(built / "params" / "test.yml") == index

    @pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
    @pytest.mark.parametrize("page", ["index", "book/introduction", "notebooks/01_first"])
    def test_opens_from_disk(self, built: Path, page: str, tmp_path: Path) -> None:
        path = built / "build" / "test" / "html" / f"{page}.html"
        options = [
            "--headless --no-sandbox --disable-gpu --disable-background-networking",
            "--disable-component-update --disable-sync --no-first-run --enable-logging=stderr",
            f"--user-data-dir={tmp_path} --virtual-time-budget=5000 --dump-dom",
        ]
        command = ["chromium", *" ".join(options).split(), path.as_uri()]
        browser = subprocess.run(command, capture_output=True, text=True, timeout=60)
        told = [line for line in browser.stderr.splitlines() if "CONSOLE" in line]
        harmless = ("[PST]", "[togglebutton]")
        assert [line for line in told if not any(mark in line for mark in harmless)] == []
        assert ("<mjx-container" in browser.stdout) == (page == "notebooks/01_first")


@pytest.mark.slow
class TestLinks:
    def test_buttons_lead_to_files_of_the_repository(self, built: Path) -> None:
        """With an address and the buttons that the page on maintaining tells how to write."""
        configuration = built / "_config.yml"
        without = configuration.read_text()
        address = "https://github.com/someone/fesem"
        page = (ROOT / "book" / "maintaining.md").read_text()
        added = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
        assert added is not None
        configuration.write_text(without + added[1].replace("ADDRESS", address))
        try:
            build_book(built / "params" / "test.yml")
        finally:
            configuration.write_text(without)
        html = built / "build" / "test" / "html"
        for name in ("notebooks/01_first.ipynb", "book/introduction.md"):
            page = (html / name).with_suffix(".html").read_text()
            links = re.findall(r'href="(https://[^"]+/main[/?][^"]+\.(?:ipynb|md))"', page)
            assert f"{address}/edit/main/{name}" in links
            assert all(link.endswith(f"/{name}") for link in links)
            assert (built / name).is_file()
            launched = [link for link in links if "mybinder.org/v2/gh/someone/fesem/main" in link]
            assert len(launched) == name.endswith(".ipynb")


class TestBadInput:
    def test_no_checkout(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(fesemlib.command.book, "checkout", lambda: None)
        assert main(["book"]) == 2
        assert "fesem: error: the book is built from a checkout" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["params/gone.yml"], "no such parameter file"),
            (["params/test.yml", "-p", "epochs", "0"], "-p: epochs = 0 is not allowed"),
            (["params/test.yml", "-p", "epoch", "5"], "unknown parameter 'epoch'"),
            (["params/cache.yml"], "rename the parameter file"),
            (
                ["params/test.yml", "-p", "results", "mine"],
                "test.yml: results = 'mine', but fesem book writes to build/test/results; remove",
            ),
        ],
    )
    def test_parameters(
        self,
        arguments: list[str],
        message: str,
        checkout: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(checkout)
        assert main(["book", *arguments]) == 2
        assert message in capsys.readouterr().err
        assert not (checkout / "build").exists()

    def test_data(
        self,
        checkout: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def refuse(_: object) -> None:
            raise ValueError("image.tif: 0 bytes; export it again")

        monkeypatch.setattr(fesemlib.dataset, "load_dataset", refuse)
        assert main(["book", str(checkout / "params" / "test.yml")]) == 2
        assert capsys.readouterr().err == "fesem: error: image.tif: 0 bytes; export it again\n"

    @pytest.mark.parametrize(
        ("image", "message"),
        [("gone.tif", "image: no micrograph can be used; "), ("*.tif", "*.tif: no file matches")],
    )
    def test_new_micrographs(
        self, checkout: Path, capsys: pytest.CaptureFixture[str], image: str, message: str
    ) -> None:
        path = checkout / "params" / "test.yml"
        path.write_text(f"image: '{image}'\n")
        assert main(["book", str(path)]) == 2
        assert message in capsys.readouterr().err
        assert not (checkout / "build").exists()

    def test_drying_run(self, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = checkout / "params" / "test.yml"
        path.write_text("drying_run: run.csv\n")
        assert main(["book", str(path)]) == 2
        assert f"error: {path.parent / 'run.csv'}: no such drying run" in capsys.readouterr().err
        assert not (checkout / "build").exists()

    @pytest.mark.parametrize(
        ("shape", "width", "message"),
        [
            (
                (20, 128),
                64,
                "the micrographs are 128×20 px (width × height, after cropping): the network needs "
                "at least 22 px on both sides; keep more rows (crop), or take larger micrographs",
            ),
            ((20, 128), 512, "at least 22 px on both sides; keep more rows (crop)"),
            ((96, 20), 16, "the micrographs are 20×96 px"),
            ((40, 128), 64, "px on both sides; raise input_width; the micrographs are 128×40 px"),
            ((96, 128), 512, "input_width = 512 px, but the micrographs are 128 px wide"),
        ],
    )
    def test_size(
        self,
        shape: tuple[int, int],
        width: int,
        message: str,
        checkout: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        data = known_data(shape=shape)
        monkeypatch.setattr(fesemlib.dataset, "load_dataset", lambda _: data)
        path = checkout / "params" / "test.yml"
        assert main(["book", str(path), "-p", "input_width", str(width)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"fesem: error: {path}: ")
        assert message in error
        assert ("raise input_width" in error) == (shape == (40, 128))
        assert ("set synthetic_width" in error) == (width > shape[1])
        assert not (checkout / "build").exists()

    def test_results_in_the_file_may_be_the_default(
        self, checkout: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = checkout / "params" / "test.yml"
        path.write_text("results: ''\ninput_width: 512\n")
        assert main(["book", str(path)]) == 2
        assert "input_width = 512" in capsys.readouterr().err
        path.write_text("results: elsewhere\ninput_width: 512\n")
        assert main(["book", str(path)]) == 2
        assert "remove `results`" in capsys.readouterr().err

    def test_unwritable_build_folder(
        self, checkout: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (checkout / "build").write_text("a file in the way")
        assert main(["book", str(checkout / "params" / "test.yml")]) == 2
        assert "cannot write here" in capsys.readouterr().err

    def test_unwritable_profile_folder(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delattr(fesemlib.dataset, "load_dataset")  # it is not even read
        (checkout / "build").mkdir()
        (checkout / "build" / "test").write_text("a file in the way")
        assert main(["book", str(checkout / "params" / "test.yml")]) == 2
        assert "build/test: cannot write here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("True", True),
        ("false", False),
        ("none", "none"),
        ('"5"', "5"),
        ("a/b.csv", "a/b.csv"),
        ("a: [", "a: ["),
        ("C: drive", "C: drive"),
    ],
)
def test_parameter_value(text: str, value: object) -> None:
    found = parameter_value(text)
    assert found == value
    assert type(found) is type(value)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("fesem ")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (200, "3 min"), (7500, "2 h 5 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "progress.json"
    monkeypatch.setenv(PROGRESS_FILE, str(report))
    assert read_progress(report) is None
    with progress(27, "folds", done=25) as advance:
        assert str(read_progress(report)) == "25 of 27 folds"
        advance()
        assert json.loads(report.read_text())["done"] == 26
        assert str(read_progress(report)) == "26 of 27 folds · 0 s left"
        advance()
        assert str(read_progress(report)) == "27 of 27 folds"
    assert not report.exists()


def test_progress_tells_the_loss_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "progress.json"
    monkeypatch.setenv(PROGRESS_FILE, str(report))
    with progress(4) as advance:
        for loss, shown in ((0.2, "0.2"), (0.4, "0.3"), (float("nan"), "0.3"), (0.6, "0.4")):
            advance(loss)
            assert str(read_progress(report)).endswith(f" · loss {shown}")


def test_progress_overwrites_one_line_of_a_terminal() -> None:
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    code = (
        "from fesemlib.progress import progress\n"
        "with progress(3, 'folds') as advance:\n"
        "    advance(0.2)\n"
        "    advance(0.4)\n"
    )
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb") as terminal:
        subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True, timeout=60)
        os.close(theirs)
        shown = terminal.read1(10_000).decode()
    lines = shown.split("\r\033[K")
    assert lines[0] == lines[-1] == ""  # it begins where it is, and leaves nothing
    assert lines[1] == "0 of 3 folds"
    assert re.fullmatch(r"1 of 3 folds · \S+ s left · loss 0.2", lines[2])
    assert re.fullmatch(r"2 of 3 folds · \S+ s left · loss 0.3", lines[3])


def test_book_shows_on_a_terminal_how_far_a_notebook_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = StringIO()
    terminal = Console(file=shown, force_terminal=True, width=100)
    monkeypatch.setattr("fesemlib.command.terminal.CONSOLE", terminal)
    with (
        watch("04_loocv_baseline", tmp_path),
        progress(4, "folds") as advance,
    ):
        advance(0.2)
        deadline = time.monotonic() + 30
        while "1 of 4 folds" not in shown.getvalue() and time.monotonic() < deadline:
            time.sleep(0.1)
    assert re.search(r"04_loocv_baseline · 1 of 4 folds · .* left · loss 0.2", shown.getvalue())
    assert not list(tmp_path.iterdir())


def test_book_says_elsewhere_how_far_it_is_and_what_is_remarked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fesemlib.command.terminal.SECONDS_BETWEEN_LINES", 0.05)
    shown = StringIO()
    monkeypatch.setattr("fesemlib.command.terminal.CONSOLE", Console(file=shown, width=20))
    with watch("05"), progress(4, "folds"):
        remark("fold.npz: damaged; it is computed anew")
        wait_until(lambda: shown.getvalue().count("05 · 0 of 4 folds\n") > 1, 30.0)
    lines = shown.getvalue().splitlines()
    assert lines.count("05 · fold.npz: damaged; it is computed anew") == 1
    assert lines.index("05 · fold.npz: damaged; it is computed anew") < 2
    assert REMARKS_FILE not in os.environ


def test_names_in_brackets_stay_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = StringIO()
    terminal = Console(file=shown, width=60, force_terminal=True)
    monkeypatch.setattr("fesemlib.command.terminal.CONSOLE", terminal)
    with watch("[red]set[/] [/]", tmp_path):
        time.sleep(0.7)
        remark("of [bold]it[/bold]")
    assert "[red]set[/] [/] ·" in shown.getvalue()
    assert "of [bold]it[/bold]" in shown.getvalue()


def test_progress_without_a_watcher_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with progress(2) as advance:
        advance()
    assert capfd.readouterr() == ("", "")
