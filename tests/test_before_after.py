"""Two pictures of one thing as HTML."""

import base64
from io import BytesIO

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from fesemlib.pages.before_after import before_after


def test_pictures_come_with_what_they_show():
    ramp = np.linspace(0, 255, 1200 * 600).reshape(600, 1200).astype(np.uint8)
    pair = before_after(ramp, 255 - ramp, "before <processing>", 'called "after"')
    page = BeautifulSoup(pair._repr_html_(), "html.parser")
    pictures = page.find_all("img")
    assert [picture["alt"] for picture in pictures] == [
        "Micrograph, before <processing>",
        'Micrograph, called "after"',
    ]
    shown = [
        np.asarray(Image.open(BytesIO(base64.b64decode(picture["src"].partition(",")[2]))))
        for picture in pictures
    ]
    assert all(image.shape == (500, 1000) for image in shown)
    assert np.abs(shown[0].astype(int) + shown[1] - 255).max() <= 4  # what JPEG takes away
    assert np.abs(shown[0].mean() - ramp.mean()) < 1


def test_small_pictures_are_not_enlarged():
    image = np.zeros((30, 40), np.uint8)
    page = BeautifulSoup(before_after(image, image, "a", "b")._repr_html_(), "html.parser")
    assert page.img["width"] == "40"


def test_pictures_of_different_shapes():
    with pytest.raises(ValueError, match=r"one shape, not \(3, 4\) and \(4, 3\)"):
        before_after(np.zeros((3, 4), np.uint8), np.zeros((4, 3), np.uint8), "a", "b")
