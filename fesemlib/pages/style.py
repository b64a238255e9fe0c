"""The look of all figures: their colours, one look for each formulation, sharpness on a page."""

from __future__ import annotations

import warnings
from base64 import b64encode
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from fesemlib.pages.names import A_DOZEN, MOST_ROWS, shortened

INK = "#333333"  # lines and letters that stand for nothing in particular
COLOURS: list[str] = sns.color_palette("colorblind").as_hex()  # of what a figure compares, in order

# As dark as letters on white have to be, and told apart with a marker each.
_OF_FORMULATIONS = "1f6fb4 c45500 238b23 c8282a 7b4fb5 8c564b b83a8c 77770a 0b7a88"
_MARKERS = "osD^vPXph<>8d"
_NOT_POSITIVE: dict[str, Any] = {"color": "#c8282a", "alpha": 0.12, "linewidth": 0, "zorder": 0}
# Of a figure that holds pictures: about twice the width of a page's text.
_PIXELS_ACROSS = 1600


class Look(NamedTuple):
    """How a formulation is drawn in every figure of the book."""

    colour: str
    marker: str


def formulation_looks(names: Iterable[object]) -> dict[str, Look]:
    """A colour and a marker for each formulation, by name, the same whatever their order."""
    own = dict.fromkeys(map(str, names))
    ordered = sorted(own)
    colours = [f"#{colour}" for colour in _OF_FORMULATIONS.split()]
    if len(ordered) > len(colours):
        colours = sns.husl_palette(len(ordered), l=0.5).as_hex()
    places = {name: ordered.index(name) for name in own}
    return {
        name: Look(colours[number], _MARKERS[number % len(_MARKERS)])
        for name, number in places.items()
    }


def name_formulations(
    axes: Axes, names: Sequence[str], errors: pd.Series[float] | None = None
) -> None:
    """Name the rows of a figure, from the top, each in the colour of its formulation.

    Where there is no room for all names, those of the greatest `errors`, by name, stand there.
    """
    looks, short, named = formulation_looks(names), shortened(names), list[int]()
    sizes = np.zeros(len(names)) if errors is None else errors.reindex([*names]).fillna(0)
    for row in np.argsort(-np.asarray(sizes), kind="stable"):
        if all(abs(row - other) >= len(names) / MOST_ROWS for other in named):
            named.append(int(row))
    size = 9 if len(names) > A_DOZEN else None
    axes.set_yticks(named, [short[names[row]] for row in named], fontsize=size, fontweight="bold")
    for label, row in zip(axes.get_yticklabels(), named, strict=True):
        label.set_color(looks[names[row]].colour)
    axes.invert_yaxis()


def shade_not_positive(axes: Axes, which: str, predicted: npt.ArrayLike) -> None:
    """Shade where k_m is not positive, along ``x`` or ``y``, if any prediction lies there."""
    if (np.asarray(predicted) <= 0).any():
        shade = axes.axvspan if which == "x" else axes.axhspan
        least = getattr(axes, f"get_{which}lim")()[0]
        shade(least, 0, **_NOT_POSITIVE, label="not positive")
        axes.set(**{f"{which}lim": (least, None)})


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
    warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it
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


def embedded(figure: Figure) -> str:
    """The figure as an HTML file holds it: JPEG in base64."""
    return b64encode(drawn(figure, format="jpeg", dpi=110)).decode()
