"""The whole book, as a reader builds it: `fesem book` on the smoke parameters."""

import importlib
import inspect
import os
import pkgutil
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup
from filelock import FileLock

import fesemlib
from fesemlib.params import Parameters

ROOT = Path(__file__).parent.parent
FIGURES = [f"figure_{number}" for number in range(1, 9)]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(book) -> dict[str, BeautifulSoup]:
    folder = book / "html"
    return {
        str(path.relative_to(folder)): BeautifulSoup(
            path.read_text(encoding="utf-8"), "html.parser"
        )
        for part in ("book", "notebooks")
        for path in sorted((folder / part).rglob("*.html"))
    }


def text_of(page: BeautifulSoup) -> str:
    article = page.find("article")
    assert article is not None
    return article.get_text(" ")


def test_every_page_is_there(pages, book):
    contents = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    assert {f"{name}.html" for name in [contents["root"], *chapters]} == set(pages)
    assert (book / "html" / "index.html").is_file()


def test_every_figure_and_table_of_the_paper_is_there(pages):
    captions = "\n".join(
        " ".join(caption.get_text(" ").split())
        for page in pages.values()
        for caption in page.find_all(["figcaption", "caption"])
    )
    for number in range(1, 9):
        assert f"Figure {number} of the paper" in captions
    for number in (1, 2):
        assert f"Table {number} of the paper" in captions


def test_results_lie_beside_the_book(book):
    results = book / "results"
    for name in [*FIGURES, "network_inputs", "micrographs"]:
        assert "<svg" in (results / f"{name}.svg").read_text(encoding="utf-8")[:2000]
    assert len(pd.read_csv(results / "table_1.csv")) == 9
    predictions = pd.read_csv(results / "predictions.csv")
    assert set(predictions["training_set"]) == {"original", "augmented"}
    assert set(predictions["seed"]) == {0, 1}


def test_table_2_follows_from_the_predictions(book):
    """Computed again from the CSV of all predictions, without the package."""
    predictions = pd.read_csv(book / "results" / "predictions.csv")
    table = pd.read_csv(book / "results" / "table_2.csv", index_col="formulation")
    test = predictions[predictions["role"] == "test"]
    for name in ("original", "augmented"):
        own = test[test["training_set"] == name]
        last = own[own["epoch"] == own["epoch"].max()]
        assert set(zip(last["draw"], last["seed"], strict=True)) == {
            (d, s) for d in (0, 1) for s in (0, 1)
        }
        error = (last["predicted_km"] / last["true_km"] - 1).abs()
        for formulation in "ABCDEFGHI":
            of_one = error[last["held_out"] == formulation]
            assert table.loc[formulation, f"{name} median"] == pytest.approx(of_one.median())
        runs = [
            sorted(error[(last["draw"] == draw) & (last["seed"] == seed)])
            for draw in (0, 1)
            for seed in (0, 1)
        ]
        means = [np.mean(run) for run in runs]
        assert table.loc["mean", f"{name} median"] == pytest.approx(np.median(means))
        without = [np.mean(run[:-1]) for run in runs]
        found = table.loc["mean without the worst", f"{name} greatest"]
        assert found == pytest.approx(max(without))
    assert table.loc["F", "original published"] == 3.78e-5


def test_pages_need_no_network(pages):
    for name, page in pages.items():
        loaded = [tag.get("src") for tag in page.find_all(["script", "img", "iframe", "video"])]
        loaded += [
            tag.get("href")
            for tag in page.find_all("link")
            if set(tag.get("rel", [])) & {"stylesheet", "preload", "icon", "preconnect"}
        ]
        remote = [url for url in loaded if url and re.match(r"(https?:)?//", url)]
        assert remote == [], name


def test_styles_load_nothing_remote(book):
    for path in (book / "html").rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style), path.name


def test_no_remains_of_failure_or_of_this_machine(pages, build):
    for name, page in pages.items():
        text = text_of(page)
        if not name.startswith("book/api/"):  # where it is said what becomes NaN
            failures = r"\bnan\b|Traceback|\[stderr\]|Warning:"
            assert not re.search(failures, text, re.IGNORECASE), name
        html = str(page)
        for path in (str(ROOT), str(build), str(Path.home())):
            assert path == "/" or path not in html, (name, path)


def test_no_cell_wrote_to_stderr(book):
    for path in (book / "executed").glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert output.get("name") != "stderr", (path.name, output)


def test_explorers_leave_one_line_and_no_widget(book, pages):
    explorers = {"02_image_processing": 1, "06_prediction": 2, "10_stand_ins": 1}
    for path in (book / "executed").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        assert "widgets" not in notebook.metadata, path.name
        kinds = {
            kind
            for cell in notebook.cells
            for output in cell.get("outputs", [])
            for kind in output.get("data", {})
        }
        assert not [kind for kind in kinds if "widget" in kind], path.name
    for name, page in pages.items():
        lines = [" ".join(line.get_text(" ").split()) for line in page.find_all(class_="explorer")]
        stem = Path(name).stem if name.startswith("notebooks/") else ""
        assert len(lines) == explorers.get(stem, 0), name
        assert all("make lab" in line and stem in line for line in lines), lines
        assert "jupyter.widget" not in str(page), name


def test_pages_with_numbers_say_that_the_data_are_synthetic(pages):
    with_numbers = [name for name in pages if name.startswith("notebooks/")]
    for name in [*with_numbers, "book/introduction.html"]:
        banner = pages[name].find(class_="data-banner")
        assert banner is not None, name
        assert "computed, not measured" in " ".join(banner.get_text(" ").split())


def test_pages_say_how_they_were_made(pages):
    for name in pages:
        if name.startswith("notebooks/"):
            text = text_of(pages[name])
            assert "How this page was made" in text
            for word in ("Commit", "tensorflow", "synthetic_seed"):
                assert word.lower() in text.lower(), (name, word)


def test_parameters_are_all_in_the_table(pages):
    text = text_of(pages["book/parameters.html"])
    assert [name for name in Parameters.model_fields if name not in text] == []


def test_pages_of_the_package_show_what_its_rooms_export(pages):
    shown = {
        entry["id"]
        for name, page in pages.items()
        if name.startswith("book/api/")
        for entry in page.find_all("dt", class_="sig")
        if entry["id"].count(".") == 2  # no method, no property
    }
    exported = {}
    for room in pkgutil.iter_modules(fesemlib.__path__, "fesemlib."):
        module = importlib.import_module(room.name)
        names = getattr(module, "__all__", [])
        exported |= {f"{room.name}.{name}": inspect.unwrap(getattr(module, name)) for name in names}
    described = {name for name, value in exported.items() if inspect.isclass(value)}
    described |= {name for name, value in exported.items() if inspect.isfunction(value)}
    assert described <= shown <= set(exported)  # a constant has no docstring in another's module


def test_second_build_executes_nothing(book, build, run):
    stamps = {path: path.stat().st_mtime_ns for path in (book / "executed").iterdir()}
    with FileLock(build.with_suffix(".lock")):
        done = run("fesem", "book", "params/smoke.yml")
    assert done.returncode == 0, done.stderr
    assert stamps == {path: path.stat().st_mtime_ns for path in (book / "executed").iterdir()}


def test_executed_notebooks_reproduce(book, run):
    notebooks = sorted((book / "executed").glob("*.ipynb"))
    assert len(notebooks) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    done = run(
        "python", "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull,
        "--nbval-lax", "--nbval-current-env", "-q", *notebooks,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"\d{2,} passed", done.stdout)


def test_plain_papermill_works_from_any_folder(book, run, tmp_path):
    done = run(
        "papermill", ROOT / "notebooks" / "04_loocv_baseline.ipynb", "out.ipynb",
        "-f", ROOT / "params" / "smoke.yml", "-p", "results", str(tmp_path / "results"),
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "figure_6.svg").is_file()
    ours = pd.read_csv(tmp_path / "results" / "predictions_original.csv")
    of_book = pd.read_csv(book / "results" / "predictions_original.csv")
    pd.testing.assert_frame_equal(ours, of_book)
