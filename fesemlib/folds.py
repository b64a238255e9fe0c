"""One fold as a piece of work that any process can do, and the file that keeps its outcome."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fesemlib.checkpoints import SECONDS_BETWEEN_CHECKPOINTS, Checkpoint
from fesemlib.storage import code_digest, read_sealed, write_sealed
from fesemlib.training import Images, Outcome, Settings, Values, train_fold

__all__ = ["FoldJob", "keep_outcome", "kept_outcome", "software"]

_MODULES = ("augmentation", "checkpoints", "fast_network", "network", "training")


@dataclass(frozen=True)
class FoldJob:
    """What it takes to train one fold, but for the images.

    Attributes
    ----------
    label
        How messages call it.
    path
        Where its outcome is kept; the name is a digest of all that determines it.
    k_m
        Of all images, m² s⁻¹, shape (n,).
    test
        Which of them are held out, shape (n,).
    settings, augmented
        As in `train_fold`.
    seed
        Integers that determine everything random.
    """

    label: str
    path: Path
    k_m: Values
    test: npt.NDArray[np.bool_]
    settings: Settings
    augmented: bool
    seed: tuple[int, ...]

    def checkpoint(self, seconds: float = SECONDS_BETWEEN_CHECKPOINTS) -> Checkpoint:
        """Where the state of the training is saved every so many seconds."""
        return Checkpoint(self.path.with_suffix(".checkpoint"), seconds)

    def train(
        self, images: Images, checkpoint: Checkpoint | None, is_wanted: Callable[[], bool]
    ) -> Outcome:
        """Train the fold, from the checkpoint on where there is one; see `train_fold`."""
        return train_fold(
            images,
            self.k_m,
            self.test,
            self.settings,
            self.augmented,
            np.random.SeedSequence(self.seed),
            checkpoint,
            is_wanted,
        )


def keep_outcome(path: Path, outcome: Outcome) -> None:
    """Write the outcome of a fold to its file."""
    write_sealed(path, lambda stream: np.savez(stream, **asdict(outcome)))


def kept_outcome(path: Path) -> Outcome | None:
    """The outcome of a fold in its file; None when it is missing or damaged."""
    kept = read_sealed(path)
    if kept is None:
        return None
    with np.load(kept) as arrays:
        return Outcome(test=arrays["test"], train=arrays["train"])


def software() -> dict[str, str]:
    """What of the software determines a training, by name: versions, and a digest of our code."""
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "fesemlib": code_digest(*(f"fesemlib.{module}" for module in _MODULES)),
        **{name: version(name) for name in ("keras", "numpy", "tensorflow")},
    }
