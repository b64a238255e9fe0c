"""A trained ensemble as a folder: networks in Keras' format, and a model card in JSON.

The card says what the networks were trained on and how, and holds the SHA-256 of every file and of
itself. That guards against damage, not against malice: whoever can write the folder can write
a fitting card. Nothing in it is therefore executed. JSON is data; of Keras' files only such are
opened as describe the layers of `fesemlib.network`, in Keras' safe mode, and there is no pickle.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fesemlib.dataset import Dataset
from fesemlib.network.architecture import build_network, load_tensorflow
from fesemlib.network.engine import TargetScale
from fesemlib.params import Parameters, quoted
from fesemlib.prediction.domain import Domain
from fesemlib.processing import input_shape
from fesemlib.storage import DiskFullError, code_digest, disk_is_full, writable
from fesemlib.texture import texture_names
from fesemlib.validation.folds import software
from fesemlib.validation.leave_one_out import TrainedNetwork

CARD = "model_card.json"
"""Name of the file that describes a model folder."""

FORMAT: Literal[1] = 1

_PARAMETERS = {
    *("dataset", "synthetic_seed", "synthetic_width", "crop", "check_pixel_size", "rescale"),
    *("background_radius_px", "light_background", "smooth_background", "equalization"),
    *("input_width", "padding", "dropout_rate", "dropout_position", "head", "initializer"),
    *("target", "epochs", "learning_rate", "batch_size", "augmentation_group"),
    *("first_seed", "number_of_seeds", "prediction_training_set"),
}
# What decides how an image comes to be the network's input.
_PROCESSING = ("fesemlib.processing", "fesemlib.texture")

# All that the configuration of a network of ours names.
_KERAS_CLASSES = {
    *("Sequential", "InputLayer", "Conv2D", "MaxPooling2D", "Flatten", "GlobalAveragePooling2D"),
    *("Dense", "Dropout", "GlorotUniform", "HeNormal", "Zeros", "DTypePolicy"),
}
_MEMBER_NAME = re.compile(r"member_\d+\.keras")
_LARGEST_CARD = 50_000_000  # bytes
_BYTES_BESIDE_WEIGHTS = 1_000_000


class ModelError(ValueError):
    """A model folder cannot be read or written, or a model cannot be made."""


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )


class Member(_Strict):
    """One network: its file, the seed of its training, and from its output v to k_m.

    k_m = offset + spread · v, or ten to the power of that where it is logarithmic.
    """

    file: str = Field(pattern=f"^{_MEMBER_NAME.pattern}$")
    sha256: str
    seed: int
    offset: float
    spread: float
    logarithmic: bool


class Image(_Strict):
    """The size of the micrographs after cropping and rescaling, and of their pixels."""

    height_px: int = Field(ge=1, le=100_000)
    width_px: int = Field(ge=1, le=100_000)
    pixel_size_um: float | None = Field(gt=0)


class Formulation(_Strict):
    """A formulation of the training set, and the error of leaving it out: ln(true/predicted)."""

    name: str
    k_m: float = Field(gt=0)
    log_residual: float


class Texture(_Strict):
    """What is measured of a micrograph of the training set; see `fesemlib.prediction.domain`."""

    formulation: str
    image: str
    values: list[float]


class Card(_Strict):
    """The model card; lengths and k_m (m² s⁻¹) as their names say.

    Attributes
    ----------
    data
        What the networks have been trained on, in words.
    synthetic
        Whether that were stand-ins: then no prediction says anything about a real product.
    """

    format: Literal[1]
    data: str
    synthetic: bool
    made: str
    data_digest: str
    training_set: Literal["original", "augmented"]
    image: Image
    k_m_range: tuple[float, float]
    formulations: list[Formulation] = Field(min_length=1)
    members: list[Member] = Field(min_length=1)
    parameters: dict[str, bool | int | float | str]
    software: dict[str, str]
    texture_names: list[str] = Field(min_length=1)
    textures: list[Texture] = Field(min_length=1)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (H, W) of a micrograph after cropping and rescaling, px."""
        return self.image.height_px, self.image.width_px

    @property
    def domain(self) -> Domain:
        """What the micrographs of the training set look like."""
        return Domain(
            np.array([each.values for each in self.textures]),
            tuple(each.formulation for each in self.textures),
        )

    @property
    def settings(self) -> Parameters:
        """The parameters that the model was made with."""
        return Parameters.model_validate(self.parameters, strict=True)


def card_of(
    dataset: Dataset,
    parameters: Parameters,
    networks: Sequence[TrainedNetwork],
    residuals: dict[str, float],
    domain: Domain,
) -> Card:
    """Describe a model.

    Parameters
    ----------
    dataset, parameters
        What it was trained on, and how.
    networks
        The members, one for each seed.
    residuals
        Of leave-one-out, by formulation: ln(true/predicted).
    domain
        What the micrographs look like.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.prediction.model import train_model
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     model = train_model(dataset, parameters)
    >>> residuals = {"1": 0.1, "2": -0.2}
    >>> card = card_of(dataset, parameters, model.networks, residuals, model.domain)
    >>> card.shape, [each.log_residual for each in card.formulations], len(card.members)
    ((96, 128), [0.1, -0.2], 1)
    """
    height, width = dataset.shape
    name = Path(parameters.dataset).name
    return Card(
        format=FORMAT,
        data=_told(dataset, name),
        synthetic=dataset.synthetic,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        data_digest=dataset.digest,
        training_set=parameters.prediction_training_set,
        image=Image(height_px=height, width_px=width, pixel_size_um=dataset.pixel_size_um),
        k_m_range=(float(dataset.k_m.min()), float(dataset.k_m.max())),
        formulations=[
            Formulation(name=str(each), k_m=float(k_m), log_residual=residuals[str(each)])
            for each, k_m in dataset.formulations["k_m"].items()
        ],
        members=[
            Member(
                file=f"member_{number}.keras",
                sha256="",
                seed=seed,
                offset=network.scale.offset,
                spread=network.scale.spread,
                logarithmic=network.scale.logarithmic,
            )
            for number, (seed, network) in enumerate(
                zip(parameters.seeds, networks, strict=True), start=1
            )
        ],
        parameters={**parameters.model_dump(include=_PARAMETERS), "dataset": name},
        software={
            **software(),
            "fesem": version("fesem"),
            "processing": code_digest(*_PROCESSING),
        },
        texture_names=list(texture_names(dataset.shape)),
        textures=[
            Texture(formulation=str(formulation), image=str(image), values=texture.tolist())
            for formulation, image, texture in zip(
                dataset.images["formulation"],
                dataset.images["image"],
                domain.textures,
                strict=True,
            )
        ],
    )


def write_model_folder(
    folder: Path, card: Card, networks: Sequence[TrainedNetwork], overwrite: bool = False
) -> Card:
    """Write a model folder, whole or not at all.

    Parameters
    ----------
    folder
        To be made; its parents are made, too.
    card
        From `card_of`; the checksums of the files are filled in.
    networks
        The members, in the card's order.
    overwrite
        Whether another model folder of that name is replaced.

    Returns
    -------
    Card
        As it was written.

    Raises
    ------
    ModelError
        When there is something of that name that must not be replaced.
    PermissionError, DiskFullError
        When it cannot be written.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.prediction.model import train_model
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder() as folder:
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     model = train_model(dataset, parameters)
    ...     _ = write_model_folder(Path(folder, "model"), model.card, model.networks)
    ...     sorted(path.name for path in Path(folder, "model").iterdir())
    ['member_1.keras', 'model_card.json']
    """
    check_target(folder, overwrite)
    parent = writable(folder.resolve().parent)
    work = Path(tempfile.mkdtemp(dir=parent, prefix=".unfinished-"))
    try:
        for member, network in zip(card.members, networks, strict=True):
            network.model.save(work / member.file)
        members = [
            member.model_copy(update={"sha256": _sha256(work / member.file)})
            for member in card.members
        ]
        card = card.model_copy(update={"members": members})
        (work / CARD).write_text(_as_text(card), encoding="utf-8")
        for path in work.iterdir():
            with path.open("r+b") as stream:
                os.fsync(stream.fileno())
        work.chmod(0o755)
        _put_in_place(work, folder)
    except OSError as error:
        if disk_is_full(error):
            raise DiskFullError(
                f"{parent}: the disk is full, {folder.name} could not be written; make room and "
                "start again: what has been trained is kept"
            ) from error
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return card


def check_target(folder: Path, overwrite: bool = False) -> None:
    """Raise a ModelError where a model folder cannot be put.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     check_target(Path(folder))  # empty: a model may be put there
    ...     Path(folder, "notes.txt").touch()
    ...     try:
    ...         check_target(Path(folder))
    ...     except ModelError as error:
    ...         print(str(error).split(": ")[-1])
    exists, and is no model folder; choose another name for the model
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / CARD).is_file():
        raise ModelError(
            f"{folder}: exists, and is no model folder; choose another name for the model"
        )
    if not overwrite:
        raise ModelError(
            f"{folder}: holds a model already; choose another name, or ask for it to be replaced "
            "(--force)"
        )


def read_model_folder(folder: Path) -> tuple[Card, list[TrainedNetwork]]:
    """Read a model folder without executing anything of it.

    Parameters
    ----------
    folder
        From `write_model_folder`.

    Returns
    -------
    Card
        What the model is.
    list of TrainedNetwork
        Its members.

    Raises
    ------
    ModelError
        When the folder, the card or a member is missing, truncated or changed, was made by another
        version of the format, or holds anything but networks of ours.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.prediction.model import train_model
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder() as folder:
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     model = train_model(dataset, parameters)
    ...     _ = model.save(Path(folder, "model"))
    ...     card, networks = read_model_folder(Path(folder, "model"))
    >>> inputs = np.ones((1, 24, 32), np.float32)
    >>> bool((networks[0].predict(inputs) == model.networks[0].predict(inputs)).all())
    True
    """
    card = _read_card(folder)
    networks = [_read_member(folder / member.file, member, card) for member in card.members]
    return card, networks


def processing_has_changed(card: Card) -> bool:
    """Whether the code that processes a micrograph is another than when the model was made.

    Examples
    --------
    >>> card = Card.model_construct(software={"processing": "the digest of another version"})
    >>> processing_has_changed(card)
    True
    """
    return card.software.get("processing") != code_digest(*_PROCESSING)


def _told(dataset: Dataset, name: str) -> str:
    number = f"{len(dataset.micrographs)} micrographs of {len(dataset.formulations)} formulations"
    if dataset.synthetic:
        return (
            f"SYNTHETIC: {number}, computed, not measured; no prediction of this model says "
            "anything about a real product"
        )
    return f"{number} in {name}"


# The card


def _as_text(card: Card) -> str:
    content = card.model_dump(mode="json")
    content["sha256"] = _seal(content)
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _seal(content: dict[str, Any]) -> str:
    """SHA-256 of the card's content without this entry, however it is laid out."""
    body = {name: value for name, value in content.items() if name != "sha256"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _read_card(folder: Path) -> Card:
    path = folder / CARD
    content = _read_json(path)
    if content.get("format") != FORMAT:
        raise ModelError(
            f"{path}: format {quoted(content.get('format'))}, but this version of fesem reads "
            f"format {FORMAT}; train the model again with `fesem train`"
        )
    if content.pop("sha256", None) != _seal(content):
        raise ModelError(
            f"{path}: the content does not fit its checksum: the card has been damaged or edited; "
            "restore it, or train the model again"
        )
    try:
        card = Card.model_validate_json(json.dumps(content))
        _check_parameters(card)
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(str(part) for part in detail["loc"])
        raise ModelError(
            f"{path}: {place}: {detail['msg']}; this is no model card of this version of fesem: "
            "train the model again"
        ) from None
    except ValueError as error:
        raise ModelError(f"{path}: {error}; train the model again") from None
    return card


def _read_json(path: Path) -> dict[str, Any]:
    if not path.parent.is_dir():
        raise ModelError(f"{path.parent}: no such folder; give a folder that `fesem train` wrote")
    try:
        if path.stat().st_size > _LARGEST_CARD:
            raise ModelError(f"{path}: larger than {_LARGEST_CARD} bytes; this is no model card")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no such file; give a folder that `fesem train` wrote, with its {CARD}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: not readable as JSON ({quoted(str(error))}); the card has been damaged: "
            "restore it, or train the model again"
        ) from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no JSON object; this is no model card")
    return content


def _check_parameters(card: Card) -> None:
    """Raise a ValueError where the entries of a card do not fit together."""
    settings = card.settings
    number = len(card.texture_names)
    if list(texture_names(card.shape)) != card.texture_names or any(
        len(each.values) != number for each in card.textures
    ):
        raise ValueError("the texture features are not those of this version of fesem")
    least, greatest = card.k_m_range
    if not 0 < least <= greatest:
        raise ValueError(f"k_m_range = {least:g} to {greatest:g}: no range of k_m")
    if any(member.spread == 0 or not math.isfinite(member.offset) for member in card.members):
        raise ValueError("a member has no scale from its output to k_m")
    input_shape(card.shape, settings.input_width)


# The members


def _read_member(path: Path, member: Member, card: Card) -> TrainedNetwork:
    _check_member(path, member)
    expected = _network_of(card)
    _check_archive(path, 4 * expected.count_params())
    keras = load_tensorflow().keras
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever it stumbles over; for the reader it is one thing.
    except Exception as error:
        raise ModelError(
            f"{path}: Keras cannot open it ({type(error).__name__}); it was written by another "
            "version of Keras: train the model again"
        ) from error
    if _architecture(model) != _architecture(expected):
        raise ModelError(f"{path}: not the network that the card describes; train the model again")
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise ModelError(f"{path}: holds weights that are no numbers; train the model again")
    return TrainedNetwork(model, TargetScale(member.offset, member.spread, member.logarithmic))


def _check_member(path: Path, member: Member) -> None:
    try:
        found = _sha256(path)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}), though the model card lists it; restore "
            "the file, or train the model again"
        ) from None
    if found != member.sha256:
        raise ModelError(
            f"{path}: the content does not fit the checksum in the model card: the file has been "
            "damaged or replaced; restore it, or train the model again"
        )


def _check_archive(path: Path, weight_bytes: int) -> None:
    """Refuse a Keras file that names anything but the parts of our networks, before it is opened.

    Keras' safe mode refuses what it knows to be dangerous; this refuses what is not needed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > weight_bytes + _BYTES_BESIDE_WEIGHTS:
                raise ModelError(
                    f"{path}: unpacks to {size} bytes, more than the network has; it is refused"
                )
            configuration = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: not a network in Keras' format; restore it, or train the model again"
        ) from None
    foreign = sorted(set(_classes_in(configuration)) - _KERAS_CLASSES)
    if foreign:
        raise ModelError(
            f"{path}: names {quoted(foreign[0])}, which is no part of a network of fesem and could "
            "execute code; it is refused. Train the model yourself, from the data"
        )


def _classes_in(part: Any) -> Iterator[str]:
    """What a Keras configuration would have made or imported, wherever it stands in it."""
    if isinstance(part, dict):
        if "class_name" in part:
            yield str(part["class_name"])
        module = part.get("module")
        if module is not None and str(module).split(".")[0] != "keras":
            yield f"{module}.{part.get('class_name')}"
        if part.get("registered_name") not in (None, part.get("class_name")):
            yield str(part["registered_name"])
        for value in part.values():
            yield from _classes_in(value)
    elif isinstance(part, list):
        for value in part:
            yield from _classes_in(value)


def _network_of(card: Card) -> Any:
    settings = card.settings
    return build_network(
        input_shape(card.shape, settings.input_width),
        settings.padding,
        settings.dropout_rate,
        settings.dropout_position,
        initializer=settings.initializer,
        head=settings.head,
    )


def _architecture(model: Any) -> list[tuple[str, str, str, list[tuple[int, ...]]]]:
    """Type, name, activation and shapes of the weights of every layer."""
    return [
        (
            type(layer).__name__,
            layer.name,
            getattr(getattr(layer, "activation", None), "__name__", ""),
            [tuple(weight.shape) for weight in layer.weights],
        )
        for layer in model.layers
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _put_in_place(work: Path, folder: Path) -> None:
    """Rename a finished folder, putting aside for a moment the one that it replaces."""
    if not folder.exists():
        work.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(dir=work.parent, prefix=".unfinished-"))
    try:
        folder.rename(aside / "before")
        try:
            work.rename(folder)
        except OSError:
            (aside / "before").rename(folder)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
