"""A model as a folder: a card in JSON and, of an ensemble, the weights of its networks.

The card says what the predictor was fitted to and how. It holds the measures of the training set,
to which a regression is fitted anew when the folder is read; networks are built from the card. It
holds the SHA-256 of every file and of itself. That guards against damage, not against malice:
whoever can write the folder can write a fitting card. Nothing in it is executed: numbers and JSON
are data.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fesemlib import borrowed
from fesemlib.dataset import Dataset
from fesemlib.network.architecture import build_network, check_input_shape, load_tensorflow
from fesemlib.network.engine import InputScale, TargetScale
from fesemlib.network.inputs import network_inputs
from fesemlib.params import (
    DataParameters,
    InputParameters,
    NetworkParameters,
    Parameters,
    TrainingParameters,
    ValidationParameters,
    quoted,
)
from fesemlib.prediction import intervals
from fesemlib.predictors import Known, Selection, predictor_named
from fesemlib.predictors.known import Predictor
from fesemlib.predictors.measures import BORROWED, LENGTH, TEXTURE, Measuring
from fesemlib.predictors.networks import IMAGE, Networks
from fesemlib.predictors.regressions import MEDIAN
from fesemlib.processing import input_shape
from fesemlib.progress import remark
from fesemlib.storage import DiskFullError, code_digest, disk_is_full, writable, write_atomically
from fesemlib.validation.folds import software
from fesemlib.validation.leave_one_out import TrainedNetwork

CARD = "model_card.json"  # the file that describes a model folder
FORMAT: Literal[3] = 3

# The parameters that determine a model: what the card keeps of them.
_DETERMINING = {
    *("prediction_training_set", "predictor", "with_composition"),
    *("evaluation_width", "evaluation_seeds", "averaging_learning_rate", "averaging_epochs"),
}.union(
    DataParameters.model_fields,
    InputParameters.model_fields,
    TrainingParameters.model_fields,
    ValidationParameters.model_fields,
)
# What decides how an image comes to be what a predictor is shown.
_PROCESSING = [f"fesemlib.{room}" for room in ("borrowed", "predictors", "processing", "texture")]
_WARNING = "computed, not measured; no prediction of this model says anything about a real product"
_REMEDY = "restore it, or train the model again"


class ModelError(ValueError):
    """A model folder cannot be read or written, or a model cannot be made."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Member(_Strict):
    """One network: its file, the seed of its training, and from its output to k_m."""

    file: str = Field(pattern=r"^member_\d+\.npz$")
    sha256: str
    seed: int
    scale: TargetScale


class Card(_Strict):
    """The model card: what the predictor was fitted to, how, and how wrong it is."""

    format: Literal[3]
    data: str  # in words
    synthetic: bool  # stand-ins: then no prediction says anything about a real product
    made: str
    data_digest: str
    shape: tuple[int, int]  # (H, W) after cropping and rescaling, px
    pixel_size_um: float | None
    page: int = Field(default=1, ge=1)  # that all micrographs are of their files; 1 if of several
    k_m: dict[str, float]  # by formulation, m² s⁻¹
    predictor: str  # as tables call it
    chosen_in_fold: dict[str, str]  # the predictor for each formulation, chosen without it
    # Of leaving each formulation out, ln(true/predicted): of the one micrograph that decides the
    # interval; the mean over the micrographs; and the same of every candidate by itself.
    log_residuals: dict[str, float]
    residuals: dict[str, float]
    candidates: dict[str, dict[str, float | None]]
    skill: float  # 1 − error/error of the median of the others, by the mean absolute residual
    informed: bool  # whether it errs less than that median, and rises with the truth
    finding: str  # what there is to say of it where it is not
    within_formulations: float | None  # standard deviation of ln of several micrographs of one
    members: list[Member]  # networks; none of another predictor
    input_scale: InputScale
    parameters: Parameters
    software: dict[str, str]
    measure_names: list[tuple[str, str]]  # kind and name
    formulations: list[str]  # of each micrograph of the training set
    measures: list[list[float | None]]

    @property
    def k_m_range(self) -> tuple[float, float]:
        """The least and the greatest k_m of the training set, m² s⁻¹."""
        return min(self.k_m.values()), max(self.k_m.values())

    @property
    def micrographs_each(self) -> int:
        """How many micrographs every formulation has at least."""
        return int(pd.Series(self.formulations).value_counts().min())

    @property
    def error(self) -> float:
        """Mean |ln(true/predicted)| over the formulations, each predicted without having it."""
        return float(np.mean(np.abs(list(self.residuals.values()))))

    @property
    def relative_error(self) -> float:
        """The mean of |predicted − true|/true over the formulations, likewise."""
        return float(np.mean(np.abs(np.expm1(-np.array(list(self.residuals.values()))))))

    @property
    def candidate_residuals(self) -> pd.DataFrame:
        """ln(true/predicted) of each candidate (columns) by formulation."""
        return pd.DataFrame(self.candidates, dtype=float).loc[list(self.k_m)]

    @cached_property
    def known(self) -> Known:
        """The training set as predictors see it."""
        names = pd.MultiIndex.from_tuples(self.measure_names)
        k_m = np.array([self.k_m[name] for name in self.formulations])
        measures = pd.DataFrame(self.measures, columns=names, dtype=float)
        return Known(measures, k_m, np.array(self.formulations))

    @cached_property
    def as_predictor(self) -> Predictor:
        """What predicts."""
        return predictor_named(self.predictor, self.known.components)

    @cached_property
    def measuring(self) -> Measuring:
        """How a new micrograph is measured."""
        return Measuring(self.shape, self.pixel_size_um, self.parameters)

    @model_validator(mode="after")
    def _fits_together(self) -> Card:
        names = [name for name in self.measure_names if name[0] in (LENGTH, TEXTURE)]
        rows = {len(each) for each in self.measures}
        if names != self.measuring.names or rows != {len(self.measure_names)}:
            raise ValueError("the measures are not those of this version of fesem")
        if set(self.formulations) != set(self.k_m) or len(self.formulations) != len(self.measures):
            raise ValueError("the micrographs are not those of the formulations")
        tables: list[Any] = [self.residuals, self.log_residuals, *self.candidates.values()]
        if MEDIAN.name not in self.candidates or any(set(each) != set(self.k_m) for each in tables):
            raise ValueError("the residuals of the candidates are not those of the formulations")
        scales = [each.scale.spread for each in self.members]
        if min(self.k_m.values()) <= 0 or min(scales, default=1.0) <= 0:
            raise ValueError("a k_m, or the scale from an output to k_m, is not positive")
        if (IMAGE in self.as_predictor.needs) != bool(self.members):
            raise ValueError("a predictor that is a network has members, and no other has")
        if isinstance(self.as_predictor, Networks):
            width = self.as_predictor.own(self.parameters).input_width
            check_input_shape(input_shape(self.shape, width))
        return self


def card_of(
    dataset: Dataset, parameters: Parameters, known: Known, selection: Selection, learned: Any
) -> Card:
    """Describe a model: its data, what was chosen and how wrong that is, and what it learned."""
    name = Path(parameters.dataset).name  # no path of this machine
    data = f"{len(dataset.micrographs)} micrographs of {len(dataset.formulations)} formulations"
    data = f"SYNTHETIC: {data}, {_WARNING}" if dataset.synthetic else f"{data} in {name}"
    data += f": {dataset.provenance}" if dataset.provenance else ""
    predictor, shown = selection.chosen, InputScale()
    members: list[Member] = []
    if isinstance(predictor, Networks):
        own = predictor.own(parameters)
        shown = InputScale.fit(network_inputs(dataset, own), own)
        members = [
            Member(file=f"member_{number}.npz", sha256="", seed=seed, scale=network.scale)
            for number, (seed, network) in enumerate(zip(own.seeds, learned, strict=True), start=1)
        ]
    of_images = (selection.predicted, known.k_m, known.formulations)
    within = intervals.within_formulations(selection.predicted, known.formulations)
    return Card(
        format=FORMAT,
        data=data,
        synthetic=dataset.synthetic,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        data_digest=dataset.digest,
        shape=dataset.shape,
        pixel_size_um=dataset.pixel_size_um,
        page=dataset.page,
        k_m={str(name): float(k_m) for name, k_m in dataset.formulations["k_m"].items()},
        predictor=predictor.name,
        chosen_in_fold=_named(selection.in_fold),
        log_residuals=_named(intervals.residuals_of_formulations(*of_images)),
        residuals=_named(selection.residuals),
        candidates=_named(_without_nan(selection.candidates).apply(_named)),
        skill=selection.skill,
        informed=selection.informed(known),
        finding=_finding(selection, known),
        within_formulations=None if np.isnan(within) else within,
        members=members,
        input_scale=shown,
        parameters=Parameters(**_determining(parameters.changed(dataset=name, crop=dataset.crop))),
        software=software()
        | {"scikit-learn": version("scikit-learn"), "fesem": version("fesem")}
        | {"processing": code_digest(*_PROCESSING)},
        measure_names=[(str(each[0]), str(each[1])) for each in known.measures.columns],
        formulations=list(known.formulations),
        measures=_without_nan(known.measures).to_numpy().tolist(),
    )


def _finding(selection: Selection, known: Known) -> str:
    if selection.informed(known):
        return ""
    blind = selection.chosen.name == MEDIAN.name
    return "no image information found" if blind else "no skill shown beyond chance (p < 1 %)"


def _named(values: pd.Series[Any]) -> dict[str, Any]:
    return {str(name): value for name, value in values.items()}


def _without_nan(table: pd.DataFrame) -> pd.DataFrame:
    """The table with None for what is missing, as JSON has it."""
    return table.astype(object).where(np.isfinite(table), None)


def write_folder(
    folder: Path, card: Card, networks: Sequence[TrainedNetwork], overwrite: bool = False
) -> Card:
    """Write a model folder, whole or not at all, and hand back its card with the checksums.

    Raises a ModelError when there is something of that name that must not be replaced, and a
    PermissionError or DiskFullError when it cannot be written.
    """
    check_target(folder, overwrite)
    parent = writable(folder.resolve().parent)
    try:
        with tempfile.TemporaryDirectory(dir=parent, prefix=".unfinished-") as temporary:
            work = Path(temporary, "model")
            work.mkdir()
            members = []
            for member, network in zip(card.members, networks, strict=True):
                np.savez(work / member.file, *network.model.get_weights())
                found = _sha256((work / member.file).read_bytes())
                members.append(member.model_copy(update={"sha256": found}))
            card = card.model_copy(update={"members": members})
            (work / CARD).write_text(_as_text(card), encoding="utf-8")
            before = Path(temporary, "before")
            if folder.exists():
                folder.rename(before)
            try:
                work.rename(folder)
            except OSError:
                if before.exists():
                    before.rename(folder)
                raise
    except OSError as error:
        if disk_is_full(error):
            raise DiskFullError(
                f"{parent}: the disk is full, {folder.name} could not be written; make room and "
                "start again: what has been trained is kept"
            ) from error
        raise
    return card


def check_target(folder: Path, overwrite: bool = False) -> None:
    """Raise a ModelError where a model folder cannot be put."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / CARD).is_file():
        raise ModelError(f"{folder}: exists, and is no model folder; choose another name")
    if not overwrite:
        raise ModelError(
            f"{folder}: holds a model already; choose another name, or have it replaced (--force)"
        )


def read_folder(folder: Path) -> tuple[Card, Any]:
    """The card of a model folder and what its predictor has learned; nothing of it is executed.

    Raises a ModelError when anything is missing, damaged or changed, or of another version, and a
    BorrowedError when the weights that it borrows are not installed.
    """
    card = _read_card(folder)
    if BORROWED in card.as_predictor.needs:
        borrowed.network()  # or nothing can be predicted
    learned: Any = [_read_member(folder / member.file, member, card) for member in card.members]
    if not learned:
        learned = card.as_predictor.fit(card.known)
    if card.software.get("processing") != code_digest(*_PROCESSING):
        remark(
            f"{folder}: made by another version of the code that processes micrographs; train the "
            "model again to be sure that its predictions are those of its training"
        )
    return card, learned


def write_keras(networks: Sequence[TrainedNetwork], path: Path) -> None:
    """Write an ensemble as one ordinary Keras file, for those who would use it without fesem.

    `keras.saving.load_model` opens it. It takes the networks' inputs, float32 (n, h, w, 1) in
    [0, 1], to the mean of the members, k_m in m² s⁻¹, (n, 1); a mean below 0 is left as it is.

    Examples
    --------
    >>> write_keras(model.networks, Path("model.keras"))  # doctest: +SKIP
    """
    keras = load_tensorflow().keras
    ten = float(np.log(10))

    def to_k_m(scale: TargetScale) -> list[Any]:
        if not scale.logarithmic:
            return [keras.layers.Rescaling(scale.spread, scale.offset)]
        logarithm = keras.layers.Rescaling(ten * scale.spread, ten * scale.offset)
        return [logarithm, keras.layers.Activation("exponential")]

    image = keras.Input(networks[0].model.input_shape[1:], name="image")
    members = [
        keras.Sequential([network.model, *to_k_m(network.scale)], name=f"member_{number}")(image)
        for number, network in enumerate(networks, start=1)
    ]
    mean = keras.layers.Average(name="k_m")(members) if len(members) > 1 else members[0]
    write_atomically(path, keras.Model(image, mean, name="ensemble").save)


# The card


def _as_text(card: Card) -> str:
    content = card.model_dump(mode="json")
    content["parameters"] = _determining(card.parameters)
    content["sha256"] = _seal(content)
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _determining(parameters: Parameters) -> dict[str, Any]:
    return parameters.model_dump(include=_DETERMINING)


def _seal(content: dict[str, Any]) -> str:
    """SHA-256 of the card's content without this entry, however it is laid out."""
    body = {name: value for name, value in content.items() if name != "sha256"}
    return _sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


def _read_card(folder: Path) -> Card:
    path = folder / CARD
    content = _read_json(path)
    if content.get("format") != FORMAT:
        raise ModelError(
            f"{path}: format {quoted(content.get('format'))}, but this version of fesem reads "
            f"format {FORMAT}; train the model again with `fesem train`"
        )
    if content.pop("sha256", None) != _seal(content):
        raise ModelError(f"{path}: damaged or edited: it does not fit its checksum; {_REMEDY}")
    try:
        return Card.model_validate_json(json.dumps(content))
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(str(part) for part in detail["loc"]) or "the card"
        raise ModelError(
            f"{path}: {place}: {detail['msg']}; this is no model card of this version of fesem: "
            "train the model again"
        ) from None


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        missing = "file" if path.parent.is_dir() else "folder"
        place = path if missing == "file" else path.parent
        raise ModelError(f"{place}: no such {missing}; give a folder that `fesem train` wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problem = quoted(str(error))
        raise ModelError(f"{path}: damaged: no JSON can be read ({problem}); {_REMEDY}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no JSON object; this is no model card")
    return content


# The members


def _read_member(path: Path, member: Member, card: Card) -> TrainedNetwork:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}), though the card lists it; {_REMEDY}"
        ) from None
    if _sha256(content) != member.sha256:
        raise ModelError(
            f"{path}: damaged or replaced: it does not fit its checksum in the card; {_REMEDY}"
        )
    predictor = card.as_predictor
    assert isinstance(predictor, Networks)
    settings = predictor.own(card.parameters)
    options = NetworkParameters.values_of(settings)
    shape = input_shape(card.shape, settings.input_width)
    network = build_network(shape, **options, input_scale=astuple(card.input_scale))
    try:
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            network.set_weights(list(arrays.values()))
    except (ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: not the weights of the network that the card describes; train the model again"
        ) from error
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise ModelError(f"{path}: holds weights that are no numbers; train the model again")
    return TrainedNetwork(network, member.scale)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
