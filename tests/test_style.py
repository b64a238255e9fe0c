"""Colours that stay with a formulation, and figures that reach a page sharp."""

from io import BytesIO

import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from PIL import Image

from fesemlib.pages.style import formulation_looks, name_formulations, use_style


def test_looks_do_not_depend_on_the_order_and_differ():
    names = [f"formulation {number}" for number in range(30)]
    looks = formulation_looks(reversed(names))
    assert looks == formulation_looks(names)
    assert len(set(looks.values())) == 30
    assert len({look.colour for look in formulation_looks("ABCDEFGHI").values()}) == 9


def test_labels_of_rows_have_the_colours_of_their_formulations():
    axes = Figure().subplots()
    name_formulations(axes, ["C", "A", "B"])
    looks = formulation_looks("ABC")
    shown = {label.get_text(): label.get_color() for label in axes.get_yticklabels()}
    assert shown == {name: look.colour for name, look in looks.items()}


def test_drawings_are_shown_as_svg_and_pictures_as_wide_jpeg():
    shell = InteractiveShell.instance()
    try:
        use_style()
        drawing, picture = Figure((5, 3)), Figure((5, 3))
        drawing.subplots().plot([0, 1])
        picture.subplots().imshow(np.zeros((3, 5)))
        shown = [shell.display_formatter.format(figure)[0] for figure in (drawing, picture)]
    finally:
        InteractiveShell.clear_instance()
    assert "<svg" in shown[0]["image/svg+xml"]
    assert set(shown[0]) == {"text/plain", "image/svg+xml"}
    assert set(shown[1]) == {"text/plain", "image/jpeg"}
    assert Image.open(BytesIO(shown[1]["image/jpeg"])).width > 1400
