"""Names in figures: how long they are, and how many there is room for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import withStroke
from matplotlib.textpath import text_to_path

A_DOZEN = 12  # names in a legend, or pictures in a sheet, beyond which a figure shows some of them
PREDICTOR_NAME = 56  # letters; one may name the components of compositions
_LONGEST = 24  # letters, or the room that as many take
MOST_ROWS = 40  # with a name each
_NAME_POINTS = 11.0  # from one name beside a point to the next
_NAME: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 9}
_HALO = withStroke(linewidth=3, foreground="white")
_WITHIN: dict[str, Any] = {"zorder": 5, "path_effects": [_HALO]}
_LINE: dict[str, Any] = {"arrowstyle": "-", "linewidth": 0.6, "shrinkB": 0}
_CLOSE = 0.2  # inches from one of many rows to the next


def shortened(
    names: Iterable[str], most: int = _LONGEST, written: Callable[[str], str] = str
) -> dict[str, str]:
    """Names from outside as figures write them, by name: of long ones beginning and end.

    No dollar sign in them begins a formula, and no legend takes one for hidden.
    """
    short = {name: _cut(" ".join(written(name).split()), most) for name in names}
    shown = told_apart([re.sub("^_", "\u2060_", name) for name in short.values()])
    return dict(zip(short, shown, strict=True))


def told_apart(names: Sequence[str]) -> list[str]:
    """The same, numbered if two are equal."""
    numbered = len(set(names)) < len(names)
    return [f"{number}: {name}" if numbered else name for number, name in enumerate(names, start=1)]


def _cut(name: str, most: int) -> str:
    """A name in the room of so many letters."""
    whole, kept = name, most + 1
    while len(name) > most or _width(name) > _width(most * "n"):
        kept -= 1
        name = f"{whole[: (kept - 1) // 2]}…{whole[-(kept // 2) :]}"
    return name.replace("$", r"\$")


def _width(text: str) -> float:
    font = FontProperties(size=1, weight="bold")
    return float(text_to_path.get_text_width_height_descent(text, font, False)[0])


def height_of_rows(number: int, each: float) -> float:
    """Inches for rows of formulations: so many for each of a dozen; more stand closer."""
    return max(each * min(number, A_DOZEN), _CLOSE * min(number, MOST_ROWS))


def name_points(
    axes: Axes, points: pd.DataFrame, colours: Mapping[str, str], outside: bool = False
) -> None:
    """Names beside points (x, y): to the right of the axes, or within them, with a line.

    None lies on another: where it would, it moves up, or down below the upper end of the axes.
    """
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # the axes have their place
    points = points.sort_values(points.columns[1])
    short = shortened(colours)
    scale, middle = 72 / axes.figure.dpi, (axes.bbox.x0 + axes.bbox.x1) / 2
    places = axes.transData.transform(points.to_numpy())
    heights, steps = scale * places[:, 1], _NAME_POINTS * np.arange(len(places))
    most = scale * axes.bbox.y1 - _NAME_POINTS * (len(places) - 0.5)
    heights = np.minimum(np.maximum.accumulate(heights - steps), most) + steps
    for name, (across, own), height in zip(points.index, places, heights, strict=True):
        left, colour = across > middle and not outside, colours[name]
        look: Any = {} if outside else _WITHIN | {"arrowprops": _LINE | {"color": colour}}
        look |= {"ha": "right", "color": colour} if left else {"ha": "left", "color": colour}
        shift = (4 if outside else -9 if left else 9, height - scale * own)
        axes.annotate(short[name], tuple(points.loc[name]), shift, **_NAME, **look)


def widened(inches: float, names: Iterable[str]) -> float:
    """The width of a figure beside whose panels short names have room, with these."""
    return inches + 0.09 * max(0, max(map(len, shortened(names).values())) - 4)
