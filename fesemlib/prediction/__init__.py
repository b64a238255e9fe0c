"""A new micrograph: its k_m, how far that may be off, and whether it is like the known ones."""

from fesemlib.prediction.model import (
    Model,
    load_model,
    predict_files,
    predict_micrographs,
    train_model,
)

__all__ = ["Model", "load_model", "predict_files", "predict_micrographs", "train_model"]
