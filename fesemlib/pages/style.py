"""The look of all figures: their colours, one look for each formulation, sharpness on a page."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#333333"
"""Lines and letters that stand for nothing in particular."""
COLOURS: list[str] = sns.color_palette("colorblind").as_hex()
"""For what is compared within one figure, in this order."""

# As dark as letters on white have to be, and told apart with a marker each.
_OF_FORMULATIONS = [
    "#1f6fb4",
    "#c45500",
    "#238b23",
    "#c8282a",
    "#7b4fb5",
    "#8c564b",
    "#b83a8c",
    "#77770a",
    "#0b7a88",
]
_MARKERS = "osD^vPXph<>8d"
# Of a figure that holds pictures: about twice the width of a page's text.
_PIXELS_ACROSS = 1600


class Look(NamedTuple):
    """How a formulation is drawn in every figure of the book."""

    colour: str
    marker: str


def formulation_looks(names: Iterable[object]) -> dict[str, Look]:
    """A colour and a marker for each formulation, the same whatever the order of the names.

    Parameters
    ----------
    names
        All formulations of the data set; repetitions are no matter.

    Returns
    -------
    dict
        Indexed by name, in alphabetical order.

    Examples
    --------
    >>> looks = formulation_looks("BAAC")
    >>> list(looks), looks["A"] == formulation_looks("CBA")["A"]
    (['A', 'B', 'C'], True)
    """
    ordered = sorted({str(name) for name in names})
    few = len(ordered) <= len(_OF_FORMULATIONS)
    palette = _OF_FORMULATIONS if few else sns.husl_palette(len(ordered), l=0.5)
    colours = [mpl.colors.to_hex(colour) for colour in palette]
    return {
        name: Look(colours[number], _MARKERS[number % len(_MARKERS)])
        for number, name in enumerate(ordered)
    }


def colour_formulations(axes: Axes) -> None:
    """Give each formulation that labels a row the colour that it has in all figures.

    Parameters
    ----------
    axes
        Its labels of the y axis are the formulations of the data set, all of them.

    Examples
    --------
    >>> axes = Figure().subplots()
    >>> _ = axes.set_yticks([0, 1], ["B", "A"])
    >>> colour_formulations(axes)
    >>> axes.get_yticklabels()[0].get_color() == formulation_looks("AB")["B"].colour
    True
    """
    labels = axes.get_yticklabels()
    looks = formulation_looks(label.get_text() for label in labels)
    for label in labels:
        label.set(color=looks[label.get_text()].colour, fontweight="bold")


def use_style() -> None:
    """Give all figures of a notebook their look, and pages sharp pictures.

    Line drawings reach the page as SVG. Figures with pictures in them become JPEG, 1600 px wide.

    Examples
    --------
    >>> use_style()
    >>> mpl.rcParams["axes.spines.top"]
    False
    """
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    mpl.rcParams.update(
        {
            "savefig.dpi": 200,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "image.interpolation": "antialiased",
            "svg.hashsalt": "fesem",
            "svg.fonttype": "path",
        }
    )
    if "IPython" in sys.modules:
        _show_figures_sharply()


def _show_figures_sharply() -> None:
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell is None:
        return
    formatters = shell.display_formatter.formatters
    formatters["image/svg+xml"].for_type(Figure, _as_svg)
    formatters["image/jpeg"].for_type(Figure, _as_jpeg)


def _holds_pictures(figure: Figure) -> bool:
    return any(axes.images for axes in figure.axes)


def _as_svg(figure: Figure) -> str | None:
    """The figure as SVG, or None where it holds pictures."""
    if _holds_pictures(figure):
        return None
    stream = BytesIO()
    figure.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
    return stream.getvalue().decode()


def _as_jpeg(figure: Figure) -> bytes | None:
    """The figure as JPEG, or None where it holds no picture."""
    if not _holds_pictures(figure):
        return None
    stream = BytesIO()
    figure.savefig(
        stream,
        format="jpeg",
        dpi=_PIXELS_ACROSS / figure.get_figwidth(),
        bbox_inches="tight",
        pil_kwargs={"quality": 75},
    )
    return stream.getvalue()
