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
    """A pair of micrographs as HTML: side by side, or one over the other with a slider in the book.

    The slider is made by the book's own script (``book/static/fesem.js``). Where that does not run,
    as in JupyterLab or without JavaScript, the two stand beside each other.

    Attributes
    ----------
    before, after
        uint8, both of shape (H, W).
    before_label, after_label
        What each of them shows, in a few words.

    Raises
    ------
    ValueError
        When the images differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> dark = np.zeros((30, 40), np.uint8)
    >>> page = BeforeAfter(dark, 255 - dark, "recorded", "inverted")._repr_html_()
    >>> page.count("<img "), 'alt="Micrograph, inverted"' in page
    (2, True)
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
        parts = zip(
            ("before", "after"),
            (self.before, self.after),
            (self.before_label, self.after_label),
            strict=True,
        )
        shown = "".join(_picture(kind, image, label) for kind, image, label in parts)
        return f'<div class="before-after">{shown}</div>'


def _picture(kind: str, image: GreyImage, label: str) -> str:
    width = min(_WIDTH, image.shape[1])
    small = resize_by_area(image, width).round().astype("uint8")
    stream = BytesIO()
    Image.fromarray(small).save(stream, "JPEG", quality=_QUALITY)
    data = base64.b64encode(stream.getvalue()).decode()
    height, width = small.shape
    text = html.escape(label, quote=True)
    return (
        f'<div class="{kind}"><img src="data:image/jpeg;base64,{data}" alt="Micrograph, {text}" '
        f'width="{width}" height="{height}"><span>{text}</span></div>'
    )
