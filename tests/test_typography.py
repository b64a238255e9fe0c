"""Numbers and their units, figures and their numbers stay on a line."""

import re

import pytest
from docutils.core import publish_doctree
from docutils.nodes import Text, inline
from docutils.transforms import Transformer
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.command.typography import UnbrokenNumbers, unbroken

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("text", "unbroken_text"),
    [
        ("It errs by 40.8 %; at 20 °C", "It errs by 40.8_%; at 20_°C"),
        ("128 px, 2 min and 5 Pa", "128_px, 2_min and 5_Pa"),
        (" % of the cakes", "_% of the cakes"),
        ("Figs. 5–6, Table 2, Section 4.1", "Figs._5–6, Table_2, Section_4.1"),
        ("9 minutes, 4 mice, 3 seeds, 2 Paris", "9 minutes, 4 mice, 3 seeds, 2 Paris"),
        ("Tables of k_m; a section", "Tables of k_m; a section"),
    ],
)
def test_what_is_read_together_stays_together(text, unbroken_text):
    assert unbroken(text).replace(SPACE, "_") == unbroken_text


@given(st.text())
def test_nothing_but_spaces_is_replaced(text):
    assert unbroken(text).replace(SPACE, " ") == text.replace(SPACE, " ")
    assert len(unbroken(text)) == len(text)


def test_code_and_mathematics_stay_as_they_are():
    page = publish_doctree("Of 5 % ``5 %`` and :math:`5 % 3`::\n\n  5 %\n")
    number = inline("", "7")
    page[0].extend([number, Text(" % more")])
    transformer = Transformer(page)
    transformer.add_transform(UnbrokenNumbers)
    transformer.apply_transforms()
    whole = page.astext()
    assert re.sub(rf"[^{SPACE}]", "", whole) == SPACE * 2
    assert whole.startswith(f"Of 5{SPACE}% 5 % and 5 % 3:7{SPACE}% more")
