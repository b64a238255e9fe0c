"""Predictions as lines of a terminal, as CSV and as JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

from fesemlib.prediction.intervals import LEVEL
from fesemlib.prediction.model import COLUMNS, Layer, Model, Row
from fesemlib.storage import write_atomically

_WIDEST_NAME = 40


def name_width(files: Sequence[str]) -> int:
    """Width of the column of names, in characters.

    Examples
    --------
    >>> name_width(["vial.tif"]), name_width(["a.tif"]), name_width(["a" * 99])
    (8, 5, 40)
    """
    return min(max([len(file) for file in files] + [len("image")]), _WIDEST_NAME)


def heading(model: Model, layer: Layer, width: int) -> str:
    """What stands above the lines: the model, the layer, and the columns with their units.

    Parameters
    ----------
    model, layer
        With which is predicted.
    width
        From `name_width`.

    Examples
    --------
    >>> from fesemlib.prediction.folder import Card
    >>> card = Card.model_construct(data="the stand-ins", made="today", formulations=["A", "B"])
    >>> text = heading(Model(card, networks=()), Layer(thickness=0.01), width=8)
    >>> text.splitlines()[2]
    'R_p: of 10 mm dried, front at -30 °C'
    """
    number, members = len(model.card.formulations), len(model.networks)
    networks = "1 network" if members == 1 else f"{members} networks"
    return "\n".join(
        [
            f"model: {model.card.data}; {networks}, {model.card.made}",
            f"interval: nominally {100 * LEVEL:g} %, from leaving out each of {number} "
            "formulations; so few carry no guarantee",
            f"R_p: of {1e3 * layer.thickness:g} mm dried, front at "
            f"{layer.front_temperature - 273.15:g} °C",
            "",
            f"{'image':{width}} {'k_m':>9} {'interval':>15} {'R_p':>8}  domain",
            f"{'':{width}} {'10⁻³ m²/s':>9} {'10⁻³ m²/s':>15} {'10⁵ m/s':>8}",
        ]
    )


def line(row: Row, width: int) -> str:
    """One row for the terminal.

    Parameters
    ----------
    row
        From `fesemlib.prediction.model.predict_files`.
    width
        From `name_width`.

    Examples
    --------
    >>> row = Row("vial.tif", 1e-3, 5e-4, 2e-3, resistance=1.1e6, in_domain=True)
    >>> line(row, width=8)
    'vial.tif         1         0.5 – 2       11  inside'
    """
    name = row.image if len(row.image) <= width else f"…{row.image[1 - width :]}"
    if row.error:
        return f"{name:{width}} error: {row.error}"
    interval = f"{1e3 * row.k_m_low:.3g} – {_number(1e3 * row.k_m_high)}"
    domain = "inside" if row.in_domain else "OUTSIDE"
    text = (
        f"{name:{width}} {1e3 * row.k_m:9.3g} {interval:>15} {1e-5 * row.resistance:8.3g}  {domain}"
    )
    return f"{text}: {row.remarks}" if row.remarks else text


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV with the columns `fesemlib.prediction.model.COLUMNS`, in SI units.

    What there is not is left empty; an end of an interval that is not bounded is ``inf``.

    Parameters
    ----------
    path
        Written at once or not at all; an existing file is replaced.
    rows
        In the order in which they are written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "predictions.csv")
    ...     write_csv(path, [Row("vial.tif", k_m=1e-3), Row("notes.txt", error="is no image")])
    ...     print(path.read_text(encoding="utf-8").splitlines()[1])
    vial.tif,0.001,,,,,,,,,,
    """
    stream = StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in asdict(row).items()})
    text = stream.getvalue()
    write_atomically(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def write_json(path: Path, rows: Sequence[Row], model: Model, layer: Layer) -> None:
    """Write rows as JSON, with what they were predicted by and for, in SI units.

    What there is not, and an end of an interval that is not bounded, is ``null``.

    Parameters
    ----------
    path
        Written at once or not at all; an existing file is replaced.
    rows
        In the order in which they are written.
    model, layer
        With which they were predicted.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from fesemlib.prediction.folder import Card
    >>> card = Card.model_construct(data="", synthetic=True, data_digest="", made="", members=[])
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "predictions.json")
    ...     write_json(path, [Row("vial.tif", k_m=1e-3)], Model(card, networks=()), Layer())
    ...     read = json.loads(path.read_text(encoding="utf-8"))
    >>> read["model"]["synthetic"], read["predictions"][0]["k_m"], read["predictions"][0]["k_m_low"]
    (True, 0.001, None)
    """
    content = {
        "model": {
            "data": model.card.data,
            "synthetic": model.card.synthetic,
            "data_digest": model.card.data_digest,
            "made": model.card.made,
            "members": [member.sha256 for member in model.card.members],
        },
        "level": LEVEL,
        "layer_thickness": layer.thickness,
        "front_temperature": layer.front_temperature,
        "predictions": [
            {name: _value(value) for name, value in asdict(row).items()} for row in rows
        ],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def _number(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.3g}"


def _cell(value: Any) -> Any:
    """A value as CSV has it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def _value(value: Any) -> Any:
    """A value as JSON has it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
