"""A smoke book of forty formulations, whose names are everything that a name should not be."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from scipy.ndimage import gaussian_filter
from test_pages import (
    CHROMIUM,
    MEGABYTE,
    TOO_WIDE,
    WIDTHS,
    needs_chromium,
    violations,
    weight,
)

from fesemlib.drying.calibration import vial_of
from fesemlib.drying.vial import PAPER_CYCLE, recorded_drying
from fesemlib.params import Parameters

pytestmark = pytest.mark.slow

SCRIPT = "<script>window.ran = 1; alert(1)</script>"
ONERROR = "<img src=x onerror=window.ran=1>"
NAMES = [
    SCRIPT,
    ONERROR,
    "Salt & vinegar &amp; <b>more</b>",
    r"price $\foo$ of $x$ and $$y$$",
    r"\(a^2\) or \[b\] or \begin{equation}",
    "\"quoted\" 'so' “and” ‘so’ -- or ... so",
    "🧊 ice 😀",
    "سكروز و مانيتول",
    "*bold* _it_ **`code`** {doc}`nothing` [link](javascript:alert(1))",
    "{{ nothing }} | a ``` b",
    "_hidden [red]not red[/] # 5 % --- T<Tg",
    "x" * 300,
    "long " * 59 + "name",
]
NAMES += [f"{number} % sucrose and {40 - number} % mannitol" for number in range(len(NAMES), 40)]
FILES = {
    SCRIPT: "<img src=x onerror=window.ran=1> & $x$.png",
    ONERROR: "🧊 {doc}`x` " + 200 * "y" + ".png",
}
THERMOCOUPLES = ("<b>x</b>", "$\\foo$ of $x$", "_🧊", "y" * 300)


def grain(path: Path, seed: int, sigma: float) -> None:
    path.parent.mkdir(exist_ok=True)
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(96, 128)), sigma)
    Image.fromarray(np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> Path:
    """Parameters of the least effort, a manifest, a drying run and micrographs to be predicted."""
    folder = tmp_path_factory.mktemp("many")
    k_m = np.geomspace(3e-4, 2e-3, len(NAMES))
    rows = []
    for number, (name, each) in enumerate(zip(NAMES, k_m, strict=True)):
        for image in range(1 + (number == 3)):
            file = FILES.get(name, f"{number}_{image}.png")
            grain(folder / "images" / file, 100 * number + image, 2e3 * each)
            rows.append((name, f"images/{file}", f"{each:.4g}", f"5 % {name}"))
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("formulation", "image", "k_m", "composition"), *rows])
    for number, file in enumerate(FILES.values()):
        grain(folder / "new" / file, number, 2.0)
    record = recorded_drying([1e-3] * len(THERMOCOUPLES), vial_of(Parameters()), PAPER_CYCLE)
    columns = [name for name in record if name.startswith("T_product")]
    told = dict(zip(columns, (f"T_product_{name} (°C)" for name in THERMOCOUPLES), strict=True))
    record.rename(columns=told).to_csv(folder / "run.csv", index=False)
    parameters = {
        "dataset": "manifest.csv", "drying_run": "run.csv", "image": "new", "parallel_jobs": 2,
        "example_formulation": SCRIPT, "held_out_example": NAMES[8],
        "input_width": 32, "evaluation_width": 32, "epochs": 1, "synthetic_width": 384,
        "permutations": 1, "averaging_epochs": 1, "longer_training": 1, "predictor": "median",
        "factors": {"target": ["minmax", "raw"]}, "learning_curve_sizes": [5],
        "coverage_stand_ins": 4, "imaging_strengths": 1, "volume_foams": 6, "volume_voxels": 48,
        "knudsen_walkers": 60, "walked_stand_ins": 6, "random_filters": 1,
    }  # fmt: skip
    path = folder / "many.yml"
    path.write_text(yaml.safe_dump(parameters, allow_unicode=True), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def many(profile: Path, run, tmp_path_factory) -> Path:
    done = run("fesem", "book", profile, build=tmp_path_factory.mktemp("many-build"))
    assert done.returncode == 0, done.stdout + done.stderr
    return next(Path(line).parents[1] for line in done.stdout.splitlines() if "index.html" in line)


def text(page: Page) -> str:
    return " ".join(page.locator("article").inner_text().split())


@pytest.fixture(scope="module")
def opened(many: Path) -> Iterator[dict[str, Page]]:
    """Every page in Chromium, whose scripts would have run by now."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 900}, offline=True)
        context.add_init_script("window.alert = () => { window.ran = 1 }")
        pages = {}
        for path in sorted((many / "html" / "notebooks").glob("*.html")):
            page = pages[path.stem] = context.new_page()
            page.goto(path.as_uri())
            page.evaluate("() => window.MathJax?.startup?.promise")
        yield pages
        browser.close()


@needs_chromium
def test_no_script_of_a_name_runs(opened: dict[str, Page]) -> None:
    assert len(opened) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    for name, page in opened.items():
        assert page.evaluate("window.ran") is None, name
        assert page.locator("article img[src=x], article td b, article th b").count() == 0, name
        assert page.locator(".cell_output table mjx-container").count() == 0, name


@needs_chromium
@pytest.mark.parametrize("chapter", ["01_dataset", "04_loocv_baseline", "05_loocv_augmented"])
def test_every_name_is_seen_as_written(opened: dict[str, Page], chapter: str) -> None:
    shown = [
        " ".join(cell.split())
        for cell in opened[chapter].locator("article table tbody th").all_inner_texts()
    ]
    assert [name for name in NAMES if name not in shown] == []


@needs_chromium
def test_names_in_other_places_are_seen_as_written(opened: dict[str, Page]) -> None:
    shown = {chapter: text(page) for chapter, page in opened.items()}
    for name in NAMES:
        assert f"5 % {name}" in shown["01_dataset"].replace("\N{NO-BREAK SPACE}", " ")
    for name in THERMOCOUPLES:
        assert f"T_product_{name}" in shown["01_dataset"]
    for file in FILES.values():
        assert file in shown["01_dataset"] or file in shown["02_image_processing"]
        assert file in shown["06_prediction"]
    assert f"First one formulation alone: {NAMES[8]} is held out" in shown["04_loocv_baseline"]


@needs_chromium
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_of_many_names_do_not_scroll_sideways(opened: dict[str, Page], width: int) -> None:
    for name, page in opened.items():
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(TOO_WIDE) == [], name


@needs_chromium
def test_long_tables_scroll_under_their_headings(opened: dict[str, Page]) -> None:
    page = opened["05_loocv_augmented"]
    page.set_viewport_size({"width": 1440, "height": 900})
    frame = page.locator(".cell_output .text_html:has(table)", has_text=NAMES[-1]).first
    settled = "one => one.clientHeight < 1000 && one.scrollHeight > one.clientHeight"
    page.wait_for_function(settled, arg=frame.element_handle())
    above = frame.evaluate(
        "one => { one.scrollTo(0, 400);"
        " const top = each => each.getBoundingClientRect().top;"
        " return top(one.querySelector('thead')) - top(one); }"
    )
    assert above == pytest.approx(0, abs=2)
    assert violations(page, "light") == []


def test_nothing_is_too_large_to_send(many: Path) -> None:
    for path in (many / "html" / "notebooks").glob("*.html"):
        assert weight(many / "html", f"notebooks/{path.name}") < 3 * MEGABYTE, path.name
    figures = sorted((many / "results").glob("*.svg"))
    assert len(figures) > 20
    assert [path.name for path in figures if path.stat().st_size > 5 * MEGABYTE] == []


def test_the_epoch_is_chosen_on_five_groups(many: Path) -> None:
    selection = pd.read_csv(many / "results" / "selection.csv")
    assert set(selection["held_out"]) == set(NAMES)


def test_no_cell_of_many_formulations_wrote_to_stderr(many: Path) -> None:
    for path in (many / "executed").glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert output.get("name") != "stderr", (path.name, output)
