"""The pages of the package: which rooms they show."""

import pkgutil
import re
from collections import Counter
from pathlib import Path

import yaml

import fesemlib

BOOK = Path(__file__).parent.parent / "book"


def test_each_room_is_described_once():
    pages = sorted((BOOK / "api").glob("*.md"))
    shown = Counter(
        name
        for page in pages
        for name in re.findall(r"automodule:: (fesemlib[\w.]+)", page.read_text(encoding="utf-8"))
    )
    rooms = [room.name for room in pkgutil.iter_modules(fesemlib.__path__, "fesemlib.")]
    assert shown == Counter(rooms)
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    (chapters,) = [
        part["chapters"] for part in contents["parts"] if part["caption"] == "The package"
    ]
    assert sorted(each["file"] for each in chapters) == [f"book/api/{page.stem}" for page in pages]
