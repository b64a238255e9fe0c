"""One fold as a piece of work that any process can do, and the files that keep its outcome."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.network import checkpoints
from fesemlib.network.architecture import training_device
from fesemlib.network.checkpoints import Checkpoint
from fesemlib.network.engine import Images, Outcome, Settings, Values, train_fold
from fesemlib.storage import code_digest, read_sealed, write_sealed


@dataclass(frozen=True)
class FoldJob:
    """What it takes to train one fold, but for the images."""

    label: str  # how messages call it
    path: Path  # where its outcome is kept; the name is a digest of all that determines it
    k_m: Values  # of all n images, m² s⁻¹, shape (n,)
    test: npt.NDArray[np.bool_]  # which of them are held out, shape (n,)
    used: npt.NDArray[np.bool_]  # which of them take part at all, shape (n,)
    settings: Settings
    transformations: tuple[str, ...]
    seed: tuple[int, ...]  # determines everything random
    keep_network: bool = False  # whether the weights are kept, too
    checkpoint_s: float = field(default_factory=lambda: checkpoints.SECONDS_BETWEEN_CHECKPOINTS)

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the state of the training is saved."""
        return Checkpoint(self.path.with_suffix(".checkpoint"), self.checkpoint_s)

    def train(self, images: Images, is_wanted: Callable[[], bool], resume: bool = True) -> Outcome:
        """Train the fold, from its checkpoint on if it may resume; see `train_fold`."""
        data = (images[self.used], self.k_m[self.used], self.test[self.used])
        how = (self.settings, self.transformations, np.random.SeedSequence(self.seed))
        outcome = train_fold(*data, *how, self.checkpoint if resume else None, is_wanted)
        return outcome if self.keep_network else replace(outcome, weights=())

    def keep(self, outcome: Outcome) -> None:
        """Write the outcome to its files, the weights first: who finds one file finds both."""
        if self.keep_network:
            write_sealed(self._weights_path, lambda stream: np.savez(stream, *outcome.weights))
        test, train, logged = outcome.test, outcome.train, outcome.logged
        write_sealed(
            self.path, lambda stream: np.savez(stream, test=test, train=train, logged=logged)
        )

    def kept(self) -> Outcome | None:
        """The outcome in its files; None when a file that is needed is missing or damaged."""
        arrays = _arrays(self.path)
        weights = _arrays(self._weights_path) if self.keep_network else {}
        if arrays is None or weights is None:
            return None
        return Outcome(**arrays, weights=tuple(weights.values()))

    @property
    def _weights_path(self) -> Path:
        return self.path.with_suffix(".weights")


def _arrays(path: Path) -> dict[str, Any] | None:
    kept = read_sealed(path)
    if kept is None:
        return None
    with np.load(kept) as arrays:
        return dict(arrays)


def software() -> dict[str, str]:
    """What else determines a training, by name: versions, a digest of our code, the device.

    Variables of the environment that change TensorFlow's arithmetic, such as
    TF_ENABLE_ONEDNN_OPTS, are not among it.
    """
    return {
        "device": training_device(),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "fesemlib": code_digest("fesemlib.network", __name__),
        **{name: version(name) for name in ("keras", "numpy", "tensorflow")},
    }
