"""The micrographs whose k_m the chapter on new micrographs predicts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fesemlib.dataset import Dataset, draw_stand_ins
from fesemlib.micrographs.files import PredictionError, image_files
from fesemlib.params import Parameters
from fesemlib.prediction.model import Layer, Model, Prediction, predict_files, predict_micrographs
from fesemlib.prediction.seeing import read_as_trained
from fesemlib.processing import GreyImage, process_with
from fesemlib.progress import progress

_SEED = 8_000_000  # far from that of the set and of the trials
_MOST_SHOWN = 6


@dataclass(frozen=True)
class NewMicrographs:
    """New micrographs and what is predicted of them, errors among it."""

    source: str  # "files", "stand-in", or "mirrored": the first one of a set of real micrographs
    rows: tuple[Prediction, ...]
    pictures: dict[str, GreyImage]  # one and what has been made of it, or the first of several
    true_km: float = math.nan  # of a stand-in, m² s⁻¹

    @property
    def predicted(self) -> list[Prediction]:
        """The rows that are no errors."""
        return [row for row in self.rows if not row.error]


def predict_new_micrographs(
    model: Model, dataset: Dataset, parameters: Parameters
) -> NewMicrographs:
    """Predict the micrographs that `image` names, or one that takes their place.

    That is a fresh stand-in of random k_m where the data set is synthetic, else its first
    micrograph mirrored. Raises a PredictionError when `image` names nothing that can be used.
    """
    own = dataset.formulations.get("composition", pd.Series([""])).iloc[0]
    parameters = parameters.changed(composition=parameters.composition or str(own))
    layer = Layer(parameters.layer_thickness_mm / 1e3, parameters.front_temperature_k)
    if parameters.image:
        return _from_files(model, layer, parameters)
    if dataset.synthetic:
        labels, seed = parameters.synthetic_labels, _SEED + parameters.synthetic_seed
        fresh = draw_stand_ins(1, seed, model.card.shape, labels=labels)
        source, name, true_km = "stand-in", "fresh stand-in", float(fresh.k_m[0])
        image = fresh.micrographs[0].image
    else:
        source, name, true_km = "mirrored", f"{dataset.images['image'].iloc[0]}, mirrored", math.nan
        image = np.ascontiguousarray(dataset.micrographs[0].image[:, ::-1])
    (prediction,) = predict_micrographs(model, [image], layer, parameters.composition)
    pictures = _pictures({name: image}, model)
    return NewMicrographs(source, (replace(prediction, image=name),), pictures, true_km)


def _from_files(model: Model, layer: Layer, parameters: Parameters) -> NewMicrographs:
    files = image_files([parameters.image])
    rows = []
    with progress(len(files), "micrographs") as advance:
        jobs, told = parameters.parallel_jobs, parameters.composition
        for row in predict_files(model, files, layer, None, jobs, told):
            rows.append(row)
            advance()
    usable = [(row.image, file) for row, file in zip(rows, files, strict=True) if not row.error]
    if not usable:
        raise PredictionError(
            f"{parameters.image}: no micrograph here can be used; {rows[0].image}: {rows[0].error}"
        )
    shown = usable[:_MOST_SHOWN]
    first = {name: read_as_trained(model.card, file).image for name, file in shown}
    return NewMicrographs("files", tuple(rows), _pictures(first, model))


def _pictures(images: dict[str, GreyImage], model: Model) -> dict[str, GreyImage]:
    """Several micrographs as they are; of a single one also what has been made of it."""
    if len(images) > 1:
        return images
    (image,) = images.values()
    return images | {"processed": process_with(model.card.parameters, image).equalized}
