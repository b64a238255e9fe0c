"""Small models for the tests, trained or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from fesemlib.dataset import Dataset
from fesemlib.micrographs.reading import Micrograph
from fesemlib.network.architecture import build_network
from fesemlib.network.engine import InputScale, TargetScale
from fesemlib.params import Parameters
from fesemlib.prediction.folder import Card, card_of
from fesemlib.prediction.model import Model
from fesemlib.predictors import Known, Selection, select
from fesemlib.predictors.known import Predictor
from fesemlib.predictors.networks import PAPER_NETWORK
from fesemlib.predictors.regressions import MEDIAN
from fesemlib.storage import digest
from fesemlib.validation.leave_one_out import TrainedNetwork

SHAPE = (96, 128)
K_M = {"A": 1.9e-3, "B": 1.1e-3, "C": 1.4e-3, "D": 1.0e-3, "E": 0.7e-3}
RESIDUALS = {"A": 0.3, "B": -0.1, "C": 0.2, "D": 0.05, "E": -0.5}
PARAMETERS = Parameters(
    dataset="set/manifest.csv",
    predictor="paper_network",
    input_width=32,
    epochs=2,
    learning_rate=0.01,
    number_of_seeds=2,
    parallel_jobs=1,
)


def grain(seed: int, shape: tuple[int, int] = SHAPE, sigma: float = 2.0) -> np.ndarray:
    """Smoothed noise: grains of a size, with many grey levels in every row."""
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, sigma)
    return np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def sigma_of(k_m: float) -> float:
    """Of the grains of a formulation in a set whose k_m can be read, px."""
    return 2e3 * k_m


def small_dataset(
    k_m: Mapping[str, float] = K_M,
    synthetic: bool = False,
    readable: bool = False,
    each: int = 1,
    compositions: Mapping[str, str] | None = None,
) -> Dataset:
    """So many micrographs of each formulation; the size of their grains follows k_m if readable."""
    names = [name for name in k_m for _ in range(each)]
    sigmas = [sigma_of(k_m[name]) if readable else 2.0 for name in names]
    images = [grain(seed, SHAPE, sigma) for seed, sigma in enumerate(sigmas)]
    table = pd.DataFrame(
        {
            "formulation": names,
            "image": [f"{name}{n % each or ''}.png" for n, name in enumerate(names)],
            "k_m": [k_m[name] for name in names],
        }
    )
    formulations = pd.DataFrame({"k_m": k_m}).rename_axis("formulation")
    if compositions:
        formulations["composition"] = pd.Series(compositions)
    micrographs = tuple(Micrograph(image, 1.0) for image in images)
    return Dataset(
        formulations, table, micrographs, synthetic, digest(table.to_dict("list"), *images)
    )


def fitted_model(predictor: Predictor, dataset: Dataset | None = None) -> Model:
    """A model by this predictor, of a set whose k_m can be read unless it is another one."""
    dataset = dataset or small_dataset(readable=True)
    parameters = PARAMETERS.changed(predictor=predictor.kind)
    known = Known.of(dataset, parameters)
    selection = select(known, [predictor], or_median=False)
    learned = predictor.fit(known)
    return Model(card_of(dataset, parameters, known, selection, learned), learned)


def untrained_model(
    parameters: Parameters = PARAMETERS,
    synthetic: bool = False,
    shown: InputScale = InputScale(),  # noqa: B008
) -> Model:
    """An ensemble with the weights that its seeds begin with."""
    dataset = small_dataset(synthetic=synthetic)
    scale = TargetScale.fit(dataset.k_m, parameters.target)
    networks = [
        TrainedNetwork(
            build_network(
                (24, 32),
                parameters.padding,
                initializer=parameters.initializer,
                seed=seed,
                input_scale=(shown.offset, shown.factor),
            ),
            scale,
        )
        for seed in parameters.seeds
    ]
    known = Known.of(dataset, parameters)
    residuals = pd.Series(RESIDUALS)
    median = np.nanmax(MEDIAN.left_out(known, [(name,) for name in K_M]), axis=0)
    selection = Selection(
        chosen=PAPER_NETWORK,
        in_fold=pd.Series(PAPER_NETWORK.name, index=list(K_M)),
        residuals=residuals,
        candidates=pd.DataFrame(
            {MEDIAN.name: np.log(known.k_m / median), PAPER_NETWORK.name: residuals}
        ),
        predicted=known.k_m / np.exp(residuals.to_numpy()),
    )
    card = card_of(dataset, parameters, known, selection, networks)
    return Model(card.model_copy(update={"input_scale": shown}), networks)


def write_grain(path: Path, seed: int, shape: tuple[int, int] = SHAPE, sigma: float = 2.0) -> Path:
    """A micrograph as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grain(seed, shape, sigma)).save(path)
    return path


def with_residuals(model: Model, residuals: dict[str, float]) -> Model:
    """The model with other errors of leave-one-out; formulations that are not named leave it."""
    card, names = model.card, list(residuals)
    left = [number for number, name in enumerate(card.formulations) if name in residuals]
    update = {
        "k_m": {name: card.k_m[name] for name in names},
        "log_residuals": residuals,
        "residuals": residuals,
        "candidates": {
            candidate: {name: each[name] for name in names}
            for candidate, each in card.candidates.items()
        },
        "chosen_in_fold": {name: card.chosen_in_fold[name] for name in names},
        "formulations": [card.formulations[number] for number in left],
        "measures": [card.measures[number] for number in left],
    }
    return replace(model, card=changed(card, **update))


def changed(card: Card, **update: object) -> Card:
    """The card with other contents, checked as one that is read."""
    return Card.model_validate_json(card.model_copy(update=update).model_dump_json())
