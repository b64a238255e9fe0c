"""A chapter in JupyterLab: opened from its script, run, explored with a slider, saved."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import nbformat
import pytest
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(sys.executable).parent
CHROMIUM = shutil.which("chromium")
TOKEN = "of-this-test"
MINUTES = 60_000  # ms

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: the package chromium)"),
]


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the chapters that a person may change."""
    folder = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns(".*"))
    return folder


@pytest.fixture(scope="module")
def address(notebooks: Path) -> Iterator[str]:
    """A running JupyterLab, with the settings of `make lab`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [SCRIPTS / "jupyter", "lab", str(notebooks.parent), "--no-browser", "--allow-root"]
    options = [
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        *re.findall(r"--LabApp\S+", (ROOT / "Makefile").read_text(encoding="utf-8")),
    ]
    own = notebooks.parent
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_PATH": str(ROOT / ".jupyter"),
        "JUPYTER_CONFIG_DIR": str(own / "config"),
        "JUPYTER_DATA_DIR": str(own / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces"),
        "PYTHONPATH": str(ROOT),
        "FESEM_BUILD": str(own / "build"),
    }
    with (own / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, *options], env=environment, cwd=own, stdout=log, stderr=log
        )
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{base}/api?token={TOKEN}", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (own / "log").read_text()
                assert time.monotonic() < deadline, (own / "log").read_text()
                time.sleep(0.2)
        yield base
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    """A browser that complains of whatever is asked for elsewhere."""
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.on("request", lambda request: asked.append(request.url))
        yield page
        browser.close()
    schemes = ("http", "https", "ws", "wss")
    elsewhere = [
        url
        for url in asked
        if urlparse(url).scheme in schemes and urlparse(url).netloc != urlparse(address).netloc
    ]
    assert elsewhere == []


def test_lab_opens_on_the_list_of_chapters(page: Page, address: str) -> None:
    page.goto(f"{address}/?token={TOKEN}")
    heading = page.locator(".jp-RenderedMarkdown h1", has_text="The chapters")
    expect(heading).to_be_visible(timeout=MINUTES)
    expect(page.locator(".jp-RenderedMarkdown a", has_text="Image processing")).to_be_visible()


def test_list_of_chapters_is_complete() -> None:
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].lstrip("# ")
        assert f"[{title}]({path.name})" in text


def test_script_opens_as_a_notebook_runs_and_is_explored(
    page: Page, address: str, notebooks: Path
) -> None:
    script = notebooks / "10_stand_ins.py"
    before = script.read_text(encoding="utf-8")
    page.goto(f"{address}/lab/tree/notebooks/{script.name}?token={TOKEN}")
    expect(page.locator(".jp-Notebook")).to_be_visible(timeout=MINUTES)
    choose = page.get_by_role("dialog").get_by_role("button", name="Select Kernel")
    page.add_locator_handler(choose, lambda: choose.click())  # a slow machine may ask for a kernel
    idle = page.get_by_text("Python 3 (ipykernel) | Idle")
    expect(idle).to_be_visible(timeout=MINUTES)

    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    picture = page.locator(".jupyter-widgets.widget-image").first
    expect(picture).to_be_visible(timeout=4 * MINUTES)
    expect(page.locator(".jp-RenderedImage img, .jp-RenderedSVG").first).to_be_attached()

    shown = picture.get_attribute("src")
    page.locator(".noUi-handle").first.press("ArrowRight")  # heard when the other cells have run
    expect(picture).not_to_have_attribute("src", str(shown), timeout=4 * MINUTES)
    expect(idle).to_be_visible(timeout=4 * MINUTES)
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0

    page.keyboard.press("Control+s")
    page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    assert script.read_text(encoding="utf-8") == before
