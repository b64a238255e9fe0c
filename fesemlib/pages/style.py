"""The look of all figures: their colours, one look for each formulation, sharpness on a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

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


def name_formulations(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a figure, from the top, each in the colour of its formulation."""
    axes.set_yticks(range(len(names)), names)
    looks = formulation_looks(names)
    for label in axes.get_yticklabels():
        label.set(color=looks[label.get_text()].colour, fontweight="bold")
    axes.invert_yaxis()


def plain_logarithmic(axes: Axes, which: str, ticks: Sequence[float] = ()) -> None:
    """Logarithmic axes, ``x``, ``y`` or both, without powers of ten; `ticks`: of each decade."""
    for letter in which:
        axes.set(**{f"{letter}scale": "log"})
        axis = getattr(axes, f"{letter}axis")
        if ticks:
            axis.set_major_locator(LogLocator(subs=ticks))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())


def drawing(
    width: float, height: float, *grid: int, label_size: float = 10, **options: Any
) -> tuple[Figure, Any]:
    """A figure of so many inches and its axes, as of `Figure.subplots`; `label_size` in points."""
    figure = Figure(figsize=(width, height))
    with mpl.rc_context({"axes.labelsize": label_size}):
        return figure, figure.subplots(*grid, **options)


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
            "legend.fontsize": 9,
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


def _as_svg(figure: Figure) -> str | None:
    """The figure as SVG, or None where it holds pictures."""
    if any(axes.images for axes in figure.axes):
        return None
    return drawn(figure, format="svg", metadata={"Date": None}).decode()


def _as_jpeg(figure: Figure) -> bytes | None:
    """The figure as JPEG, or None where it holds no picture."""
    if not any(axes.images for axes in figure.axes):
        return None
    dpi = _PIXELS_ACROSS / figure.get_figwidth()
    return drawn(figure, format="jpeg", dpi=dpi, pil_kwargs={"quality": 75})


def drawn(figure: Figure, **how: Any) -> bytes:
    """The figure as a file, cut to what is drawn."""
    stream = BytesIO()
    figure.savefig(stream, bbox_inches="tight", **how)
    return stream.getvalue()
