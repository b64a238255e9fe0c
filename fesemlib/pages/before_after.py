"""Two pictures of the same thing, to be slid over each other on a page."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from fesemlib.processing import GreyImage, resize_by_area

_WIDTH = 1000  # px, enough for a page's text on a fine screen, and a few hundred kilobytes
_QUALITY = 80


@dataclass(frozen=True)
class BeforeAfter:
    """A pair of micrographs of one shape as HTML, one over the other with a slider in the book.

    The slider is made by the book's own script (``book/static/fesem.js``). Where that does not run,
    as in JupyterLab or without JavaScript, the two stand beside each other.
    """

    before: GreyImage
    after: GreyImage
    before_label: str
    after_label: str

    def __post_init__(self) -> None:
        if self.before.shape != self.after.shape:
            raise ValueError(
                f"before and after must have one shape, not {self.before.shape} and "
                f"{self.after.shape}; crop or resize one of them"
            )

    def _repr_html_(self) -> str:
        before = _picture("before", self.before, self.before_label)
        after = _picture("after", self.after, self.after_label)
        return f'<div class="before-after">{before}{after}</div>'


def _picture(kind: str, image: GreyImage, label: str) -> str:
    small = resize_by_area(image, min(_WIDTH, image.shape[1])).round().astype("uint8")
    stream = BytesIO()
    Image.fromarray(small).save(stream, "JPEG", quality=_QUALITY)
    data = base64.b64encode(stream.getvalue()).decode()
    height, width = small.shape
    text = html.escape(label, quote=True)
    return (
        f'<div class="{kind}"><img src="data:image/jpeg;base64,{data}" alt="Micrograph, {text}" '
        f'width="{width}" height="{height}"><span>{text}</span></div>'
    )
