"""Predictions as lines of a terminal, as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pydantic_core import to_json

from fesemlib.prediction.folder import Card
from fesemlib.prediction.model import Layer, Model, Prediction
from fesemlib.storage import write_atomically

_WIDEST_NAME = 40


def name_width(files: Sequence[str]) -> int:
    """Width of the column of names, in characters."""
    return min(max([len(file) for file in files] + [len("image")]), _WIDEST_NAME)


def quality(card: Card) -> str:
    """Which predictor it is, and how wrong it is about a formulation that it has not seen."""
    found = (
        f"errs by {100 * card.relative_error:.0f} % on average about a formulation left out (mean "
        f"|ln| {card.error:.2f}), skill {card.skill:.2f} against the median of the others"
    )
    return f"{card.finding}: {found}" if card.finding else found


def heading(model: Model, layer: Layer, width: int) -> str:
    """What stands above the lines: the model, the layer, and the columns with their units."""
    card, members = model.card, len(model.networks)
    networks = f" ({members} of them)" if members > 1 else ""
    return "\n".join(
        [
            f"model: {card.data}; {card.made}",
            f"predictor: {card.predictor}{networks}; {quality(card)}",
            f"interval: nominally {100 * model.level:.0f} %, from leaving out each of "
            f"{len(card.k_m)} formulations; so few carry no guarantee",
            f"R_p: of {1e3 * layer.thickness:g} mm dried, front at "
            f"{layer.front_temperature - 273.15:g} °C",
            "",
            f"{'image':{width}} {'k_m':>9} {'interval':>15} {'R_p':>8}  domain",
            f"{'':{width}} {'10⁻³ m²/s':>9} {'10⁻³ m²/s':>15} {'10⁵ m/s':>8}",
        ]
    )


def line(row: Prediction, width: int) -> str:
    """One row for the terminal, its name in a column of this width."""
    name = row.image if len(row.image) <= width else f"…{row.image[1 - width :]}"
    if row.error:
        return f"{name:{width}} error: {row.error}"
    interval = f"{1e3 * row.k_m_low:.3g} – {1e3 * row.k_m_high:.3g}"
    domain = "inside" if row.in_domain else "OUTSIDE"
    text = (
        f"{name:{width}} {1e3 * row.k_m:9.3g} {interval:>15} {1e-5 * row.resistance:8.3g}  {domain}"
    )
    return f"{text}: {row.remarks}" if row.remarks else text


def write_csv(path: Path, rows: Sequence[Prediction]) -> None:
    """Write rows as CSV in SI units: what there is not is empty, an end without bound ``inf``."""
    table = pd.DataFrame(list(rows))
    table["in_domain"] = table["in_domain"].map({True: "true", False: "false"})
    write_atomically(path, lambda unfinished: table.to_csv(unfinished, index=False))


def write_json(path: Path, rows: Sequence[Prediction], model: Model, layer: Layer) -> None:
    """Write rows as JSON in SI units, with what they were predicted by and for.

    What there is not, and an end of an interval without bound, is ``null``.
    """
    card = model.card
    content = {
        "model": {
            **card.model_dump(include={"data", "synthetic", "data_digest", "made", "predictor"}),
            **{"error": card.error, "relative_error": card.relative_error, "skill": card.skill},
            "members": [member.sha256 for member in card.members],
        },
        "level": model.level,
        "layer_thickness": layer.thickness,
        "front_temperature": layer.front_temperature,
        "predictions": list(rows),
    }
    text = to_json(content, indent=1, inf_nan_mode="null") + b"\n"
    write_atomically(path, lambda unfinished: unfinished.write_bytes(text))
