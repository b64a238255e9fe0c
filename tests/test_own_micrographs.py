"""The book of a reader's own micrographs, as a reader builds it, and what is refused before."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from bs4 import BeautifulSoup
from scipy.ndimage import gaussian_filter

from fesemlib.dataset import load_dataset
from fesemlib.formulations import table1
from fesemlib.params import read_parameters

ROOT = Path(__file__).parent.parent
FIGURES = [f"figure_{number}" for number in range(1, 9)]

LONGEST_NAME = 6  # words of a glued text, such as the name of a predictor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own_micrographs(tmp_path_factory) -> Path:
    """Four micrographs of three formulations with a data bar, as an instrument writes them.

    They show noise, of which nothing can be read: what a page says of its results is put to the
    test.
    """
    folder = tmp_path_factory.mktemp("own")
    (folder / "images").mkdir()
    rows = []
    for number, (name, k_m) in enumerate(
        [("sucrose", 1.2e-3), ("sucrose", 1.2e-3), ("trehalose", 1e-3), ("mannitol", 6e-4)]
    ):
        noise = np.random.default_rng(number).normal(size=(192, 256))
        image = np.clip(120 + 90 * gaussian_filter(noise, 1.0), 0, 255).astype(np.uint8)
        image[-20:] = 10
        image[-15:-5, 20:200:7] = 250
        tifffile.imwrite(folder / "images" / f"{number}.tif", image)
        rows.append((name, f"images/{number}.tif", k_m))
    table = pd.DataFrame(rows, columns=["formulation", "image", "k_m"])
    table.to_csv(folder / "manifest.csv", index=False)
    (folder / "mine.yml").write_text(
        "dataset: manifest.csv\nparallel_jobs: 2\ninput_width: 48\nepochs: 2\n"
        "evaluation_width: 48\nsynthetic_width: 384\npermutations: 1\naveraging_epochs: 5\n"
        "longer_training: 2\nfactors: {target: [minmax, raw]}\n"
        "learning_curve_sizes: [5]\ncoverage_stand_ins: 4\nimaging_strengths: 1\nvolume_foams: 6\n"
        "knudsen_walkers: 60\nwalked_stand_ins: 6\nrandom_filters: 1\n"
        "volume_voxels: 48\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def own_book(own_micrographs, run, book, tmp_path_factory) -> Path:
    """Built in a folder of its own, with what the smoke book has cached."""
    folder = tmp_path_factory.mktemp("own-build")
    shutil.copytree(book.parent / "cache", folder / "cache")
    done = run("fesem", "book", own_micrographs / "mine.yml", "-p", "epochs", "3", build=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "mine"


def test_own_micrographs_give_the_same_book(own_book):
    predictions = pd.read_csv(own_book / "results" / "predictions.csv")
    assert set(predictions["held_out"]) == {"sucrose", "trehalose", "mannitol"}
    assert predictions["epoch"].max() == 3
    table = pd.read_csv(own_book / "results" / "table_2.csv")
    measures = ["mean", "mean without the worst", "mean |ln|"]
    assert list(table["formulation"]) == ["sucrose", "trehalose", "mannitol", *measures]
    assert not [column for column in table if "published" in column]
    for name in FIGURES:
        assert (own_book / "results" / f"{name}.svg").is_file()


def test_own_micrographs_are_not_called_synthetic(own_book, own_micrographs):
    pages = {path.stem: path for path in (own_book / "html" / "notebooks").glob("*.html")}
    for name in pages.keys() - {"10_stand_ins", "13_third_dimension"}:  # of what is computed
        page = BeautifulSoup(pages[name].read_text(encoding="utf-8"), "html.parser")
        banner = page.find(class_="data-banner")
        assert banner is not None
        text = " ".join(banner.get_text().split())
        assert "manifest.csv" in text
        assert "256×172 px" in text  # without the data bar
        assert str(own_micrographs) not in str(page)


def prose(path: Path) -> list[str]:
    """The paragraphs, captions and headings of a page, with glued numbers and names masked.

    A glued text that is longer than a name is a sentence: it stays, and so differs.
    """
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find("article")
    made_anew = ".data-banner, .cell .highlight, .output, details, table, script"
    for element in page.select(made_anew):
        element.decompose()
    for glued in page.select(".pasted-text"):
        if len(glued.get_text().split()) <= LONGEST_NAME:
            glued.replace_with("#")
    texts = page.find_all(["p", "li", "figcaption", "h1", "h2", "h3"])
    return [" ".join(text.get_text().split()) for text in texts]


@pytest.mark.parametrize("part", ["notebooks", "book"])
def test_the_prose_is_the_same_whatever_came_out(own_book, book, part):
    """Words by the author, numbers by the machine: no sentence depends on a result."""
    own, smoke = (folder / "html" / part for folder in (own_book, book))
    pages = sorted(path.name for path in smoke.glob("*.html"))
    assert pages == sorted(path.name for path in own.glob("*.html"))
    for name in pages:
        assert prose(own / name) == prose(smoke / name), name


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
