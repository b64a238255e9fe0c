"""The few statements that code makes, as a reader acts on them: each branch is tested."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from fesemlib.dataset import Dataset
from fesemlib.pages.numbers import percent, typeset
from fesemlib.params import Parameters

if TYPE_CHECKING:
    from fesemlib.prediction.folder import Card
    from fesemlib.prediction.new_micrographs import NewMicrographs


class Banner:
    """A plain text in a box, in JupyterLab and in the book; `kind` is ``warning`` or ``note``."""

    def __init__(self, title: str, text: str, kind: str) -> None:
        self.title, self.text, self.kind = title, text, kind

    def __repr__(self) -> str:
        return f"{self.title}: {self.text}"

    def _repr_html_(self) -> str:
        return (
            f'<div class="admonition {self.kind} data-banner tex2jax_ignore mathjax_ignore">'
            f'<p class="admonition-title">{escape(typeset(self.title))}</p>'
            f"<p>{escape(typeset(self.text))}</p></div>"
        )


def data_banner(dataset: Dataset, parameters: Parameters) -> Banner:
    """Say which micrographs the numbers of a page come from; for its top."""
    height, width = dataset.shape
    if dataset.synthetic:
        drawn = f"seed {parameters.synthetic_seed}"
        if parameters.synthetic_draws > 1:
            drawn += f"; leave-one-out also on {parameters.synthetic_draws - 1} more draws"
        return Banner(
            "Synthetic data",
            f"The {len(dataset.micrographs)} micrographs behind these numbers are computed, not "
            f"measured ({width}×{height} px, {drawn}): the paper's are "
            f"not public. The k_m are {parameters.label_source}. No number computed from these "
            "images says anything about a real product.",
            "warning",
        )
    rescaled = " and rescaling" if parameters.rescale else ""
    found = dataset.crop != parameters.crop
    writing = " Writing that they share was found and cut off." if found else ""
    unchecked = dataset.unchecked_magnification
    told = f" Their manifest says: {dataset.provenance}." if dataset.provenance else ""
    return Banner(
        "The data" if told else "Your data",
        "Where a section names no other source, the numbers come from the "
        f"{len(dataset.micrographs)} micrographs of {len(dataset.formulations)} formulations in "
        f"{Path(parameters.dataset).name} "
        f"({width}×{height} px after cropping{rescaled}){unchecked and f'; {unchecked}'}."
        f"{writing}{told}",
        "warning" if unchecked or told else "note",
    )


def selection_banner(parameters: Parameters) -> Banner:
    """Say which epoch's prediction counts, and loudly when the held-out image has chosen it."""
    if parameters.model_selection == "last":
        return Banner(
            "Model selection",
            f"All networks were trained for as many steps as {parameters.epochs:,} passes over the "
            "original set take, and predict with their last weights; the held-out micrographs had "
            "no say in that.",
            "note",
        )
    return Banner(
        "Chosen on the held-out micrograph",
        "The predictions on this page are those of the epoch that suits the held-out micrograph "
        "best. For a new product nobody could make that choice: these errors are too small.",
        "warning",
    )


def collapse_banner(names: Sequence[str]) -> Banner:
    """Say of which formulations a chapter's networks tell nothing, as they answer a constant."""
    if not names:
        text = "None of these networks has collapsed to a constant."
        return Banner("Collapsed networks", text, "note")
    listed = ", ".join(names)
    return Banner(
        "Collapsed networks",
        f"Not having seen {listed}, networks answer the same k_m to every micrograph: what this "
        f"page says of {listed} says nothing about the image.",
        "warning",
    )


def predictor_banner(card: Card) -> Banner:
    """Say which predictor a model has, and loudly where it has not shown that it reads images."""
    if card.informed:
        return Banner(
            "The predictor",
            f"New micrographs are predicted by: {card.predictor}. About a formulation that it has "
            f"not seen it errs by {percent(card.relative_error)} % on average.",
            "note",
        )
    return Banner(
        "No image information found",
        f"New micrographs are predicted by: {card.predictor}. With so few formulations nothing was "
        "shown, beyond chance (p < 1 %), to err less than their median and to follow the truth: do "
        "not take what is said of a new micrograph for more than that median.",
        "warning",
    )


def new_banner(new: NewMicrographs) -> Banner:
    """Say where the new micrographs come from, and which the model should not be asked about."""
    used, outside = len(new.predicted), sum(not row.in_domain for row in new.predicted)
    title, kind = "Your new micrographs", "note"
    text = f"{used} of {len(new.rows)} files could be used."
    if new.source == "stand-in":
        title, text, kind = (
            "A fresh stand-in",
            "No micrograph was given (parameter image): a stand-in of random k_m, which the model "
            "has not seen, takes its place. It is computed, not measured.",
            "warning",
        )
    elif new.source == "mirrored":
        title, text, kind = (
            "No new micrograph",
            "None was given (parameter image): the mirror image of the first one of your set "
            "takes its place, so that this page shows what it would. The model has seen it.",
            "warning",
        )
    elif used < len(new.rows):
        text, kind = f"{text} The table says what is wrong with the others.", "warning"
    if outside:
        text += (
            f" Outside the domain of the model: {outside} of {used}. Such a prediction should not "
            "be used, and what follows from it on this page is an example only."
        )
    return Banner(title, text, "warning" if outside else kind)
