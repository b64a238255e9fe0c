"""Small models for the tests, trained or not."""

from __future__ import annotations

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
from fesemlib.prediction.domain import Domain
from fesemlib.prediction.folder import card_of
from fesemlib.prediction.model import Model
from fesemlib.processing import process_with
from fesemlib.storage import digest
from fesemlib.texture import texture_description
from fesemlib.validation.leave_one_out import TrainedNetwork

SHAPE = (96, 128)
K_M = {"A": 1.9e-3, "B": 1.1e-3, "C": 1.4e-3, "D": 1.0e-3, "E": 0.7e-3}
RESIDUALS = {"A": 0.3, "B": -0.1, "C": 0.2, "D": 0.05, "E": -0.5}
PARAMETERS = Parameters(
    dataset="set/manifest.csv",
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


def small_dataset(k_m: dict[str, float] = K_M, synthetic: bool = False) -> Dataset:
    """One micrograph of each formulation."""
    micrographs = tuple(Micrograph(grain(seed), 1.0) for seed in range(len(k_m)))
    table = pd.DataFrame(
        {
            "formulation": list(k_m),
            "image": [f"{name}.png" for name in k_m],
            "k_m": list(k_m.values()),
        }
    )
    formulations = pd.DataFrame({"k_m": k_m}).rename_axis("formulation")
    content = digest(table.to_dict("list"), *[each.image for each in micrographs])
    return Dataset(formulations, table, micrographs, synthetic, content)


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
    processed = [process_with(parameters, each.image).equalized for each in dataset.micrographs]
    textures = np.stack([texture_description(each) for each in processed])
    domain = Domain(textures, tuple(K_M))
    residuals = pd.Series(RESIDUALS)
    card = card_of(dataset, parameters, networks, residuals, domain, shown)
    return Model(card, tuple(networks))


def write_grain(path: Path, seed: int, shape: tuple[int, int] = SHAPE) -> Path:
    """A micrograph as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grain(seed, shape)).save(path)
    return path


def with_residuals(model: Model, residuals: dict[str, float]) -> Model:
    """The model with other errors of leave-one-out; formulations that are not named leave it."""
    k_m = {name: model.card.k_m[name] for name in residuals}
    card = model.card.model_copy(update={"log_residuals": residuals, "k_m": k_m})
    return replace(model, card=card)
