"""The pages of the package: which modules they show, and how."""

import pkgutil
import re
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, Field
from sphinx.util.typing import stringify_annotation

import fesemlib
from fesemlib.command.api_pages import sections_as_rubrics, signature_of_model, with_short_arrays

BOOK = Path(__file__).parent.parent / "book"


def test_each_module_is_described_once():
    pages = sorted((BOOK / "api").glob("*.md"))
    shown = Counter(
        name
        for page in pages
        for name in re.findall(r"automodule:: (fesemlib[\w.]+)", page.read_text(encoding="utf-8"))
    )
    modules = [
        module.name
        for module in pkgutil.walk_packages(fesemlib.__path__, "fesemlib.")
        if not module.ispkg
    ]
    assert shown == Counter(modules)
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    (chapters,) = [
        part["chapters"] for part in contents["parts"] if part["caption"] == "The package"
    ]
    assert sorted(each["file"] for each in chapters) == [f"book/api/{page.stem}" for page in pages]


def test_sections_of_a_module_are_no_sections_of_the_page():
    lines = ["Summary.", "", "References", "----------", ".. [1] Somebody.", "", "---", ""]
    assert sections_as_rubrics(lines) == [
        "Summary.", "", ".. rubric:: References", ".. [1] Somebody.", "", "---", "",
    ]  # fmt: skip


def test_arrays_are_written_as_in_the_source():
    array = stringify_annotation(npt.NDArray[np.float64], "smart")
    anything = stringify_annotation(npt.ArrayLike, "smart")
    assert with_short_arrays(f"(x: {anything}, y: {array} | None = None)") == (
        "(x: ~numpy.typing.ArrayLike, y: ~numpy.typing.NDArray[~numpy.float64] | None = None)"
    )


def test_a_model_shows_types_and_defaults_without_bounds():
    class Card(BaseModel):
        name: str
        width: int = Field(default=128, ge=16)
        notes: list[str] = Field(default_factory=list)

    Card.__annotations__ = {"name": "str", "width": "int", "notes": "list[str]"}
    assert signature_of_model(Card) == "(*, name: str, width: int = 128, notes: list[str] = [])"
