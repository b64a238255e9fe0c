"""The micrographs whose k_m the chapter on new micrographs predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fesemlib.dataset import Dataset, draw_stand_ins
from fesemlib.micrographs.files import PredictionError, image_files
from fesemlib.micrographs.reading import read_micrograph
from fesemlib.params import Parameters
from fesemlib.prediction.model import Layer, Model, Row, predict_files, predict_micrographs, row_of
from fesemlib.processing import GreyImage, process_with
from fesemlib.progress import progress

_SEED = 8_000_000  # far from that of the set and of the trials
_MOST_SHOWN = 6


@dataclass(frozen=True)
class NewMicrographs:
    """New micrographs and what is predicted of them.

    Attributes
    ----------
    source
        ``"files"``, ``"stand-in"`` or, where a set of real micrographs is given and no new one,
        ``"mirrored"``.
    rows
        One a micrograph, errors among them.
    pictures
        Of one micrograph what it is and what has been made of it; of several the first of them.
    true_km
        Of a stand-in, m² s⁻¹.
    """

    source: Literal["files", "stand-in", "mirrored"]
    rows: tuple[Row, ...]
    pictures: dict[str, GreyImage]
    true_km: float | None = None

    @property
    def predicted(self) -> list[Row]:
        """The rows that are no errors."""
        return [row for row in self.rows if not row.error]


def predict_new_micrographs(
    model: Model, dataset: Dataset, parameters: Parameters
) -> NewMicrographs:
    """Predict the micrographs that `image` names, or one that takes their place.

    Parameters
    ----------
    model
        Trained on the data set.
    dataset
        Without an `image`, its first micrograph is mirrored, unless it is synthetic: then a fresh
        stand-in of random k_m is made.
    parameters
        `image`, and those of the layer.

    Raises
    ------
    PredictionError
        When `image` names nothing, or nothing that can be used.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.prediction.model import train_model
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     model = train_model(dataset, parameters)
    ...     new = predict_new_micrographs(model, dataset, parameters)
    >>> new.source, list(new.pictures), new.true_km > 0
    ('stand-in', ['fresh stand-in', 'processed'], True)
    """
    if parameters.image:
        return _from_files(model, parameters)
    if dataset.synthetic:
        fresh = draw_stand_ins(1, _SEED + parameters.synthetic_seed, model.card.shape)
        name, image = "fresh stand-in", fresh.micrographs[0].image
        return _from_memory(model, parameters, "stand-in", name, image, float(fresh.k_m[0]))
    name = f"{dataset.images['image'].iloc[0]}, mirrored"
    image = np.ascontiguousarray(dataset.micrographs[0].image[:, ::-1])
    return _from_memory(model, parameters, "mirrored", name, image, None)


def _from_files(model: Model, parameters: Parameters) -> NewMicrographs:
    files = image_files([parameters.image])
    rows = []
    with progress(len(files), "micrographs") as advance:
        for row in predict_files(
            model, files, Layer.of(parameters), parallel_jobs=parameters.parallel_jobs
        ):
            rows.append(row)
            advance()
    usable = [row.image for row in rows if not row.error]
    if not usable:
        raise PredictionError(
            f"{parameters.image}: no micrograph here can be used; {rows[0].image}: {rows[0].error}"
        )
    crop = model.parameters.crop
    if len(usable) == 1:
        pictures = _steps(usable[0], read_micrograph(usable[0], crop).image, model.parameters)
    else:
        pictures = {name: read_micrograph(name, crop).image for name in usable[:_MOST_SHOWN]}
    return NewMicrographs("files", tuple(rows), pictures)


def _from_memory(
    model: Model,
    parameters: Parameters,
    source: Literal["stand-in", "mirrored"],
    name: str,
    image: GreyImage,
    true_km: float | None,
) -> NewMicrographs:
    (prediction,) = predict_micrographs(model, [image])
    row = row_of(name, prediction, model, Layer.of(parameters))
    return NewMicrographs(source, (row,), _steps(name, image, model.parameters), true_km)


def _steps(name: str, image: GreyImage, parameters: Parameters) -> dict[str, GreyImage]:
    return {name: image, "processed": process_with(parameters, image).equalized}
