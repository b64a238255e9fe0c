"""What is handed to the book, and on: glued numbers, tables, figures, files of results, pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from fesemlib.pages.numbers import minus, typeset, typeset_label
from fesemlib.params import Parameters
from fesemlib.progress import in_live_notebook
from fesemlib.storage import build_folder, digest, writable, write_atomically

_UNSEEN = "application/papermill.record/"  # prefix of a MIME type that no page shows
_TEXT = "text-align: left; white-space: normal; min-width: 12em; overflow-wrap: anywhere;"
_PLAIN = 'class="tex2jax_ignore mathjax_ignore"'  # a dollar sign begins no formula
_MOST_BYTES = 5e6  # of a figure
_SHARPNESS = (200, 140, 100, 70, 50)  # pixels per inch of the pictures in it, the first that fits


def results_folder(parameters: Parameters) -> Path:
    """The folder for tables and figures, made if it is missing; `PermissionError` if it cannot."""
    return writable(Path(parameters.results or build_folder() / "explore" / "results"))


def save_figure(figure: Figure, name: str, parameters: Parameters) -> Figure:
    """Keep a figure among the results, as ``name.svg``, and hand it back for display.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     figure = save_figure(Figure(), "figure_2", Parameters(results=folder))
    ...     Path(folder, "figure_2.svg").is_file()
    True
    """
    path = results_folder(parameters) / f"{name}.svg"
    write_atomically(path, partial(_write_figure, figure))
    return figure


def _write_figure(figure: Figure, file: Path) -> None:
    """As SVG, whose pictures are as sharp as its size allows."""
    undated = {"Date": None}  # the same figure is the same file
    for dpi in _SHARPNESS:
        figure.savefig(file, bbox_inches="tight", metadata=undated, dpi=dpi)
        if file.stat().st_size <= _MOST_BYTES:
            return


def save_table(table: pd.DataFrame, name: str, parameters: Parameters) -> pd.DataFrame:
    """Keep a table among the results, as ``name.csv``, and hand it back.

    Where columns have two levels, a heading of the file is both, with a blank between them.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     table = save_table(pd.DataFrame({"k_m": [1e-3]}), "one", Parameters(results=folder))
    ...     Path(folder, "one.csv").read_text(encoding="utf-8").split()
    ['k_m', '0.001']
    """
    path = results_folder(parameters) / f"{name}.csv"
    header = [" ".join(column) if isinstance(column, tuple) else column for column in table]
    index = table.index.name is not None
    write_atomically(path, lambda file: table.set_axis(header, axis=1).to_csv(file, index=index))
    return table


def write_page(path: Path, template: str, **content: Any) -> None:
    """Write a page that needs no network, of a template of `pages`; texts in it are no HTML."""
    templates = Environment(loader=PackageLoader("fesemlib.pages"), autoescape=True)
    text = templates.get_template(template).render(**content)
    write_atomically(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def glue(**numbers: float | str) -> None:
    """Keep numbers or texts under their names, for the prose of any page.

    A page asks for one with the role ``{glue:text}`` and, say, the text
    ``/notebooks/page.ipynb::name:.2f``. A text is `typeset`; NumPy's numbers become Python's, which
    format as expected. This is what MyST-NB's own ``glue`` keeps, without the two seconds that
    importing it takes.

    Examples
    --------
    >>> glue(error=np.float32(0.25))  # goes into the outputs of a notebook's cell, unseen
    """
    from IPython.display import publish_display_data

    for name, value in numbers.items():
        number = value.item() if isinstance(value, np.generic) else value
        kept = typeset(number) if isinstance(number, str) else number
        # No page shows the text.
        seen = {"text/plain": f"{name}: {kept}"} if in_live_notebook() else {}
        publish_display_data(  # type: ignore[no-untyped-call]
            {f"{_UNSEEN}text/plain": repr(kept), **seen},
            metadata={"scrapbook": {"name": name, "mime_prefix": _UNSEEN}},
        )


def show_table(
    table: pd.DataFrame,
    caption: str,
    formats: Mapping[Any, str | Callable[[Any], str]] | None = None,
    narrow: bool = False,
    texts: Collection[str] = (),
) -> Styler:
    """A table with its caption, the same HTML whenever it is made; texts in it are no HTML.

    Parameters
    ----------
    table
        As it should appear, but for the digits of its numbers.
    caption
        Plain text.
    formats
        By column, as for `pandas.io.formats.style.Styler.format`; what is missing becomes a dash.
    narrow
        Whether a wide table is set in small print, its row names over several lines.
    texts
        Columns that stand to the left, over several lines.

    Examples
    --------
    >>> table = show_table(pd.DataFrame({"k_m": [1.234e-3]}), "One number", {"k_m": "{:.1e}"})
    >>> table.caption, "1.2e−03" in table.to_html()
    ('One number', True)
    """
    written: dict[Any, Any] = {
        typeset_label(name): _formatter(form) for name, form in (formats or {}).items()
    }
    styles: list[Any] = [{"selector": "caption", "props": "caption-side: top; text-align: left;"}]
    if narrow:
        styles += [
            {"selector": "", "props": "font-size: 0.8em;"},
            {"selector": "th.row_heading", "props": "white-space: normal; min-width: 7em;"},
        ]
    styles += [
        {"selector": f".col{number}", "props": _TEXT}
        for number, name in enumerate(table)
        if name in texts
    ]
    return (
        table.rename(columns=typeset_label, index=typeset_label)
        .style.format(written, na_rep="—", escape="html")
        .format_index(escape="html", axis="index")
        .format_index(escape="html", axis="columns")
        .set_caption(escape(typeset(caption), quote=False))
        .set_table_attributes(_PLAIN)
        .set_uuid(digest(caption))
        .set_table_styles(styles)
    )


def _formatter(form: str | Callable[[Any], str]) -> Callable[[Any], str]:
    """A format as a function: of a number with a minus sign, of a text as it is."""
    if callable(form):
        return form
    return lambda value: value if isinstance(value, str) else minus(form.format(value))
