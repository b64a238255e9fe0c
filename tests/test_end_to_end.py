"""The whole book, as a reader builds it: `fesem book` on the smoke parameters and on a manifest."""

import os
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from bs4 import BeautifulSoup

from fesemlib.dataset import load_dataset
from fesemlib.effort import planned_trainings
from fesemlib.formulations import table1
from fesemlib.params import Parameters, read_parameters
from fesemlib.synthetic import synthesize_micrograph

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


@pytest.mark.usefixtures("book")
def test_fesem_check_counts_the_folds_that_the_book_trains(build):
    parameters = read_parameters(ROOT / "params" / "smoke.yml")
    planned = planned_trainings(load_dataset(parameters), parameters)
    trained = list((build / "cache" / "folds").glob("*.npz"))
    assert sum(kind.folds for kind in planned) == len(trained)


def test_every_figure_and_table_of_the_paper_is_there(pages):
    captions = "\n".join(
        caption.get_text(" ")
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
    last = predictions[
        (predictions["role"] == "test") & (predictions["epoch"] == predictions["epoch"].max())
    ]
    error = (last["predicted_km"] / last["true_km"] - 1).abs()
    for name in "ABCDEFGHI":
        own = error[(last["held_out"] == name) & (last["training_set"] == "original")]
        assert table.loc[name, "original median"] == pytest.approx(own.median())
    first = last[(last["training_set"] == "augmented") & (last["seed"] == 0)]
    second = last[(last["training_set"] == "augmented") & (last["seed"] == 1)]
    means = [error[part.index].mean() for part in (first, second)]
    assert table.loc["mean", "augmented median"] == pytest.approx(np.median(means))
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
    explorers = {"02_image_processing": 1, "07_prediction": 2, "08_stand_ins": 1}
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


def test_second_build_executes_nothing(book, run):
    stamps = {path: path.stat().st_mtime_ns for path in (book / "executed").iterdir()}
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


@pytest.fixture(scope="module")
def own_micrographs(tmp_path_factory) -> Path:
    """Four micrographs of three formulations with a data bar, as an instrument writes them."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "images").mkdir()
    rows = []
    for number, (name, k_m) in enumerate(
        [("sucrose", 1.2e-3), ("sucrose", 1.2e-3), ("trehalose", 1e-3), ("mannitol", 6e-4)]
    ):
        image = synthesize_micrograph(k_m, number, (192, 256), 2.0).image
        image[-20:] = 10
        image[-15:-5, 20:200:7] = 250
        tifffile.imwrite(folder / "images" / f"{number}.tif", image)
        rows.append((name, f"images/{number}.tif", k_m))
    table = pd.DataFrame(rows, columns=["formulation", "image", "k_m"])
    table.to_csv(folder / "manifest.csv", index=False)
    (folder / "mine.yml").write_text(
        "dataset: manifest.csv\ninput_width: 64\nepochs: 2\nevaluation_width: 64\n"
        "permutations: 2\naveraging_epochs: 5\nvariations: {target: [raw]}\n"
        "learning_curve_sizes: [5]\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def own_book(own_micrographs, run, build) -> Path:
    done = run("fesem", "book", own_micrographs / "mine.yml", "-p", "epochs", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    return build / "mine"


def test_own_micrographs_give_the_same_book(own_book):
    predictions = pd.read_csv(own_book / "results" / "predictions.csv")
    assert set(predictions["held_out"]) == {"sucrose", "trehalose", "mannitol"}
    assert predictions["epoch"].max() == 3
    table = pd.read_csv(own_book / "results" / "table_2.csv")
    assert list(table["formulation"]) == ["sucrose", "trehalose", "mannitol", "mean"]
    assert not [column for column in table if "published" in column]
    for name in FIGURES:
        assert (own_book / "results" / f"{name}.svg").is_file()


def test_own_micrographs_are_not_called_synthetic(own_book, own_micrographs):
    pages = set((own_book / "html" / "notebooks").glob("*.html"))
    for path in pages - {own_book / "html" / "notebooks" / "08_stand_ins.html"}:
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        banner = page.find(class_="data-banner")
        assert banner is not None
        assert "manifest.csv" in banner.get_text()
        assert "256×172 px" in banner.get_text()  # without the data bar
        assert str(own_micrographs) not in str(page)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "gone.csv"}, r"gone\.csv: no such manifest"),
        ({"input_width": 512}, r"input_width = 512 px.*256 px wide"),
        ({"crop": 190}, r"0\.tif: crop = 190.*data bar"),
        ({"epochs": 0}, r"epochs = 0 is not allowed"),
    ],
    ids=lambda value: str(value),
)
def test_bad_input_ends_before_any_training(own_micrographs, run, change, message):
    options = [part for name, value in change.items() for part in ("-p", name, value)]
    done = run("fesem", "book", own_micrographs / "mine.yml", *options, cwd=own_micrographs)
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("fesem: error:") == 1


def test_example_of_the_page_on_own_micrographs_works(tmp_path, monkeypatch):
    """Its manifest and its parameter file, with images of those names."""
    page = (ROOT / "book" / "your_micrographs.md").read_text(encoding="utf-8")
    manifest = re.search(r"```text\n(formulation,.*?)```", page, re.DOTALL)
    parameters = re.search(r"```yaml\n(# mine.yml.*?)```", page, re.DOTALL)
    assert manifest is not None
    assert parameters is not None
    (tmp_path / "manifest.csv").write_text(manifest[1], encoding="utf-8")
    (tmp_path / "mine.yml").write_text(parameters[1], encoding="utf-8")
    (tmp_path / "images").mkdir()
    for number, image in enumerate(pd.read_csv(tmp_path / "manifest.csv")["image"]):
        grey = np.random.default_rng(number).integers(0, 256, (60, 400)).astype(np.uint8)
        suffix = Path(image).suffix
        write = tifffile.imwrite if suffix == ".tif" else __import__("imageio").v3.imwrite
        write(tmp_path / image, grey)
    monkeypatch.chdir(tmp_path.parent)
    data = load_dataset(read_parameters(tmp_path / "mine.yml"))
    assert len(data.micrographs) == 5
    assert len(data.formulations) == 4


def test_table_1_is_not_needed_for_own_formulations(own_book):
    assert not set(pd.read_csv(own_book / "results" / "table_1.csv")["formulation"]) & set(
        table1().index
    )
