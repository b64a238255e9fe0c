"""The look of all figures: their colours, one look for each formulation, sharpness on a page."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#333333"  # lines and letters that stand for nothing in particular
COLOURS: list[str] = sns.color_palette("colorblind").as_hex()  # of what a figure compares, in order

# As dark as letters on white have to be, and told apart with a marker each.
_OF_FORMULATIONS = "1f6fb4 c45500 238b23 c8282a 7b4fb5 8c564b b83a8c 77770a 0b7a88"
_MARKERS = "osD^vPXph<>8d"
# Of a figure that holds pictures: about twice the width of a page's text.
_PIXELS_ACROSS = 1600


class Look(NamedTuple):
    """How a formulation is drawn in every figure of the book."""

    colour: str
    marker: str


def formulation_looks(names: Iterable[object]) -> dict[str, Look]:
    """A colour and a marker for each formulation, by name, the same whatever their order."""
    ordered = sorted({str(name) for name in names})
    colours = [f"#{colour}" for colour in _OF_FORMULATIONS.split()]
    if len(ordered) > len(colours):
        colours = sns.husl_palette(len(ordered), l=0.5).as_hex()
    return {
        name: Look(colours[number], _MARKERS[number % len(_MARKERS)])
        for number, name in enumerate(ordered)
    }


def colour_formulations(axes: Axes) -> None:
    """Give the labels of the y axis, which are all formulations, the colours of their looks."""
    labels = axes.get_yticklabels()
    looks = formulation_looks(label.get_text() for label in labels)
    for label in labels:
        label.set(color=looks[label.get_text()].colour, fontweight="bold")


def use_style() -> None:
    """Give all figures of a notebook their look, and pages sharp pictures.

    Line drawings reach the page as SVG. Figures with pictures in them become JPEG, 1600 px wide.
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
    from IPython import get_ipython

    if shell := get_ipython():
        formatters = shell.display_formatter.formatters
        formatters["image/svg+xml"].for_type(Figure, _as_svg)
        formatters["image/jpeg"].for_type(Figure, _as_jpeg)


def _holds_pictures(figure: Figure) -> bool:
    return any(axes.images for axes in figure.axes)


def _as_svg(figure: Figure) -> str | None:
    """The figure as SVG, or None where it holds pictures."""
    if _holds_pictures(figure):
        return None
    return _drawn(figure, format="svg", metadata={"Date": None}).decode()


def _as_jpeg(figure: Figure) -> bytes | None:
    """The figure as JPEG, or None where it holds no picture."""
    if not _holds_pictures(figure):
        return None
    dpi = _PIXELS_ACROSS / figure.get_figwidth()
    return _drawn(figure, format="jpeg", dpi=dpi, pil_kwargs={"quality": 75})


def _drawn(figure: Figure, **how: Any) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, bbox_inches="tight", **how)
    return stream.getvalue()
