"""A new micrograph: its k_m, how far that may be off, and whether it is like the known ones."""

from fesemlib.prediction.folder import ModelError, write_keras
from fesemlib.prediction.model import (
    Layer,
    Model,
    load_model,
    predict_files,
    predict_micrographs,
    train_model,
)

__all__ = [
    "Layer",
    "Model",
    "ModelError",
    "load_model",
    "predict_files",
    "predict_micrographs",
    "train_model",
    "write_keras",
]
