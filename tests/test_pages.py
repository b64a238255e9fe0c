"""The rendered pages as a reader meets them: from disk, without a network, in Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium (Debian: the package chromium)"
)
WIDTHS = (390, 768, 1440)
Findings = dict[str, dict[str, list[str]]]
MEGABYTE = 1e6

# The first page sends the reader on to the introduction.
ARRIVED = """() => !document.querySelector('meta[http-equiv="Refresh" i]')"""
PICTURES_NOT_LOADED = """() => [...document.images]
    .filter(image => !(image.complete && image.naturalWidth > 0)).map(image => image.src)"""
PICTURES_WITHOUT_TEXT = """() => [...document.querySelectorAll("article img:not(.toggler)")]
    .filter(image => image.alt.trim().length < 15).map(image => image.src.slice(0, 100))"""
FORMULAE_NOT_TYPESET = """() => [...document.querySelectorAll(".math")]
    .filter(formula => !formula.querySelector("mjx-container") ||
        formula.querySelector("mjx-merror, [data-mjx-error]")).map(formula => formula.innerText)"""
# What sticks out to the right where the page can be scrolled there, but for what scrolls by itself.
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const scrolls = one => getComputedStyle(one).overflowX !== "visible";
    const within = one => one.parentElement?.closest("body *") &&
        (scrolls(one.parentElement) || within(one.parentElement));
    return [...document.querySelectorAll("body *")]
        .filter(one => one.getBoundingClientRect().right > width + 1 && !within(one))
        .map(one => one.outerHTML.slice(0, 200)).slice(0, 3);
}"""


@pytest.fixture(scope="module")
def html(book: Path) -> Path:
    return book / "html"


@pytest.fixture(scope="module")
def names(html: Path) -> list[str]:
    """All pages, the index of names and the search among them."""
    found = sorted(str(path.relative_to(html)) for path in html.rglob("*.html"))
    found = [name for name in found if not name.startswith("_static")]
    assert len(found) > 15
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, offline=True)
    yield context
    context.close()


def opened(context: BrowserContext, path: Path, told: list[str] | None = None) -> Page:
    """A page with its formulae typeset; complaints of the browser go to the list."""
    page = context.new_page()
    complaints = told if told is not None else []
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:200]}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on(
        "console",
        lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None,
    )
    page.on(
        "request",
        lambda request: (
            None
            if urlparse(request.url).scheme in ("file", "data", "blob")
            else complaints.append(f"asked for: {request.url[:200]}")
        ),
    )
    page.goto(path.as_uri())
    page.wait_for_function(ARRIVED)
    page.evaluate("() => window.MathJax?.startup?.promise")
    return page


@pytest.fixture(scope="module")
def findings(browser: Browser, html: Path, names: list[str]) -> Findings:
    """What is wrong with each page, by kind: all pages are visited once."""
    found: Findings = {kind: {} for kind in ("complaints", "too wide", "axe", "formulae")}
    context = browser.new_context(offline=True)
    for name in names:
        told: list[str] = []
        page = opened(context, html / name, told)
        found["axe"][name] = violations(page, "light")
        questions = (PICTURES_NOT_LOADED, PICTURES_WITHOUT_TEXT, FORMULAE_NOT_TYPESET)
        told += [str(answer) for question in questions for answer in page.evaluate(question)]
        found["complaints"][name] = told
        found["formulae"][name] = page.locator("article mjx-container").all_inner_texts()
        found["too wide"][name] = []
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            found["too wide"][name] += [f"{width} px: {one}" for one in page.evaluate(TOO_WIDE)]
        page.close()
    context.close()
    return found


def violations(page: Page, scheme: str) -> list[str]:
    """What axe finds serious; of the dark pages, the colours only."""
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    rules: dict[str, object] = {"preload": False, "resultTypes": ["violations"]}
    if scheme == "dark":
        rules["runOnly"] = ["color-contrast"]
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:200]}"
        for violation in Axe().run(page, options=rules).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def wrong(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: one for name, one in found.items() if one}


@needs_chromium
def test_pages_open_from_disk_without_complaint(findings: Findings) -> None:
    assert wrong(findings["complaints"]) == {}
    assert sum(map(len, findings["formulae"].values())) > 50


@needs_chromium
def test_no_page_scrolls_sideways(findings: Findings) -> None:
    assert wrong(findings["too wide"]) == {}


@needs_chromium
def test_axe_finds_nothing_serious(findings: Findings) -> None:
    assert wrong(findings["axe"]) == {}


@needs_chromium
def test_axe_finds_nothing_serious_in_dark_mode(
    browser: Browser, html: Path, names: list[str]
) -> None:
    """Only the colours differ, and all pages of the package, which are large, have the same."""
    context = browser.new_context(color_scheme="dark", offline=True)
    of_package = [name for name in names if name.startswith("book/api/")]
    dark: dict[str, list[str]] = {}
    for name in names:
        if name not in of_package[1:]:
            dark[name] = []
            page = opened(context, html / name, dark[name])
            dark[name] += violations(page, "dark")
            page.close()
    context.close()
    assert wrong(dark) == {}


@needs_chromium
def test_search_finds_the_rolling_ball(context: BrowserContext, html: Path) -> None:
    page = context.new_page()
    page.goto(f"{(html / 'search.html').as_uri()}?q=rolling+ball")
    page.wait_for_selector("#search-results li a")
    assert any(
        "Image processing" in text for text in page.locator("#search-results li").all_inner_texts()
    )


@needs_chromium
def test_slider_shows_more_of_one_picture_and_less_of_the_other(
    context: BrowserContext, html: Path
) -> None:
    page = opened(context, html / "notebooks" / "02_image_processing.html")
    pair = page.locator(".before-after")
    slider = pair.get_by_role("slider")
    before = pair.screenshot()
    slider.focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    assert slider.input_value() == "80"
    assert pair.screenshot() != before
    first, second = (pair.locator("img").nth(number).bounding_box() for number in range(2))
    assert first == second


@needs_chromium
def test_figure_opens_over_the_page_and_closes(context: BrowserContext, html: Path) -> None:
    page = opened(context, html / "notebooks" / "02_image_processing.html")
    link = page.locator("figure a.enlarge").first
    text = link.locator("img").get_attribute("alt")
    link.focus()
    page.keyboard.press("Enter")
    closer = page.get_by_role("dialog")
    assert closer.locator("img").get_attribute("alt") == text
    width = closer.locator("img").evaluate("image => image.getBoundingClientRect().width")
    assert width > 1300
    page.keyboard.press("Escape")
    expect(closer).to_have_count(0)
    page.locator("figure a.enlarge img").first.click()
    expect(closer).to_have_count(1)
    closer.click()
    expect(closer).to_have_count(0)


@needs_chromium
def test_without_javascript_both_pictures_stand_side_by_side(browser: Browser, html: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((html / "notebooks" / "02_image_processing.html").as_uri())
    pictures = page.locator(".before-after img")
    boxes = [pictures.nth(number).bounding_box() for number in range(2)]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    assert page.get_by_role("slider").count() == 0
    context.close()


def test_every_internal_link_and_anchor_exists(html: Path, names: list[str]) -> None:
    pages = {
        name: BeautifulSoup((html / name).read_text(encoding="utf-8"), "html.parser")
        for name in names
    }
    anchors = {
        name: {tag["id"] for tag in page.find_all(id=True)}
        | {tag["name"] for tag in page.find_all("a", attrs={"name": True})}
        for name, page in pages.items()
    }
    broken = []
    for name, page in pages.items():
        for link in page.find_all("a", href=True):
            address, anchor = urldefrag(link["href"])
            if urlparse(address).scheme:
                continue
            target = (html / name).parent / unquote(address) if address else html / name
            relative = str(target.resolve().relative_to(html.resolve()))
            known = anchors.get(relative)
            if not target.is_file() or (anchor and known and unquote(anchor) not in known):
                broken.append(f"{name}: {link['href']}")
    assert broken == []


def test_book_is_small_enough_to_send(html: Path, names: list[str]) -> None:
    size = sum(path.stat().st_size for path in html.rglob("*") if path.is_file())
    assert size < 60 * MEGABYTE
    for name in names:
        # 3 MB in the default book, whose micrographs have more to compress.
        assert weight(html, name) < 2.2 * MEGABYTE, name


def weight(html: Path, name: str) -> int:
    """Bytes of a page and its pictures."""
    page = BeautifulSoup((html / name).read_text(encoding="utf-8"), "html.parser")
    sources = {str(tag["src"]) for tag in page.find_all("img", src=True)}
    pictures = [
        (html / name).parent / source for source in sources if not source.startswith("data:")
    ]
    return sum(path.stat().st_size for path in [html / name, *pictures])
