"""Two pictures of the same thing, to be slid over each other on a page."""

from __future__ import annotations

import base64
import html
from io import BytesIO

from IPython.display import HTML
from PIL import Image

from fesemlib.processing import GreyImage, resize_by_area

_WIDTH = 1000  # px, enough for a page's text on a fine screen, and a few hundred kilobytes
_QUALITY = 80


def before_after(before: GreyImage, after: GreyImage, *labels: str) -> HTML:
    """A pair of micrographs of one shape, one over the other with a slider in the book.

    The slider is made by the book's own script (``book/static/fesem.js``). Where that does not run,
    as in JupyterLab or without JavaScript, the two stand beside each other under their `labels`.
    """
    if before.shape != after.shape:
        raise ValueError(
            f"before and after must have one shape, not {before.shape} and {after.shape}; crop or "
            "resize one of them"
        )
    pictures = map(_picture, ("before", "after"), (before, after), labels)
    return HTML(f'<div class="before-after">{"".join(pictures)}</div>')  # type: ignore[no-untyped-call]


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
