"""A Sphinx extension that keeps together on a line what is read together: numbers and units."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_SPACE = "\N{NO-BREAK SPACE}"
# At its beginning, a text goes on from another node, such as a number that was glued.
_BEFORE_UNIT = re.compile(
    r"(?:^|(?<=\d)) (?=%|°C|(?:px|nm|µm|mm|cm|m|K|Pa|W|s|min|h|kB|MB|GB|KiB|MiB|GiB)\b)"
)
_AFTER_WORD = re.compile(r"\b(Figs?\.|Tables?|Sections?|Eqs?\.|Chapters?) (?=[\d(])")


def unbroken(text: str) -> str:
    """A text in which no line ends between a number and its unit, nor before a figure's number."""
    return _AFTER_WORD.sub(rf"\1{_SPACE}", _BEFORE_UNIT.sub(_SPACE, text))


class UnbrokenNumbers(SphinxPostTransform):
    """Makes all texts of a page `unbroken` but for code and mathematics."""

    default_priority = 900  # by then links and glued numbers have their texts

    def run(self, **_: Any) -> None:
        """Replace the texts of the page."""
        for text in list(self.document.findall(nodes.Text)):
            if isinstance(text.parent, nodes.literal | nodes.FixedTextElement | nodes.math):
                continue
            replaced = unbroken(text.astext())
            if replaced != text.astext():
                text.parent.replace(text, nodes.Text(replaced))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx, which calls this function, to treat pages in this way."""
    app.add_post_transform(UnbrokenNumbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
