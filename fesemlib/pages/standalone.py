"""A page that can be handed on: one HTML file, which needs no network."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from matplotlib.figure import Figure

from fesemlib.pages.style import drawn
from fesemlib.storage import write_atomically


def write_page(path: Path, template: str, **content: Any) -> None:
    """Write a page of what a template of `pages` is told; texts in it are no HTML."""
    page = Environment(
        loader=PackageLoader("fesemlib.pages"), autoescape=select_autoescape(default=True)
    ).get_template(template)
    text = page.render(**content)
    write_atomically(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def embedded(figure: Figure) -> str:
    """A figure as a page holds it: JPEG, base64."""
    return base64.b64encode(drawn(figure, format="jpeg", dpi=110)).decode()
