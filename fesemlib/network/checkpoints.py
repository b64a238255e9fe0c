"""Keep what a training has come to, so that one that is killed goes on from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.progress import remark
from fesemlib.storage import read_sealed, write_sealed

_remark_once = cache(remark)

# How much training a kill may cost; an epoch that takes longer is not interrupted.
SECONDS_BETWEEN_CHECKPOINTS = 60.0

# Age from which on nobody is believed to take up a state again.
SECONDS_OF_USE = 30 * 24 * 3600.0

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds all that training changes.

    Its name has to tell apart whatever determines a training, and is part of the file's checksum:
    a state of another training is not taken for one's own.
    """

    path: Path
    seconds: float = SECONDS_BETWEEN_CHECKPOINTS  # how often the state is saved

    def save(
        self, variables: Sequence[Any], predictions: Sequence[Values], fits: Sequence[Values]
    ) -> None:
        """Replace the file; where that is impossible, say so once and let the training go on.

        Of TensorFlow's variables, the predictions of the held-out images after every epoch so far,
        and those of the training images after the logged ones.
        """
        values = (variable.numpy() for variable in variables)
        state = [np.array(predictions), np.array(fits), *values]
        try:
            write_sealed(self.path, lambda stream: np.savez(stream, *state))
        except OSError as error:
            _remark_once(
                f"{self.path.parent}: no state of a training can be kept here "
                f"({error.strerror or error}); one that is killed begins anew"
            )

    def restore(self, variables: Sequence[Any]) -> tuple[list[Values], list[Values]]:
        """Set the variables to the saved state; the predictions and fits saved with it.

        Both are empty, and the variables as they were, where there is no file or a damaged one.
        """
        kept = read_sealed(self.path)
        if kept is None:
            return [], []
        with np.load(kept) as state:
            predictions, fits, *values = state.values()
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return list(predictions), list(fits)

    def remove(self) -> None:
        """Remove the file, once what the training leads to is kept."""
        self.path.unlink(missing_ok=True)
