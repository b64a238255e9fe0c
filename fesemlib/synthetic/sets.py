"""Sets of stand-ins: which are made, and where they are kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from fesemlib.formulations import SOLUTES, table1
from fesemlib.micrographs.reading import Micrograph
from fesemlib.params import Parameters
from fesemlib.storage import build_folder, code_digest, digest, read_sealed, writable, write_sealed
from fesemlib.synthetic.microscope import PAPER_PIXEL_SIZE_UM, synthesize_micrograph

DRAWN_SOLIDS_PERCENT = 5.0

_LEAST_WIDTH = 128  # px: the height, three quarters of it, holds the widest cell of Table 1
_PIXELS_WORTH_PROCESSES = 5_000_000  # fewer are drawn before processes have started


@dataclass(frozen=True)
class Recipe:
    """What a stand-in is made from; the name is that of its formulation."""

    name: str
    k_m: float  # m² s⁻¹
    solids_percent: float
    entropy: tuple[int, ...]

    @property
    def seed(self) -> int:
        """Made of the entropy."""
        return int(np.random.SeedSequence(self.entropy).generate_state(1)[0])


def table_recipes(seed: int, frames: Iterable[int]) -> list[Recipe]:
    """For frames of each formulation of Table 1; those of the synthetic set have the number 0."""
    table = table1()
    solids = table[list(SOLUTES)].sum(axis=1)
    frames = list(frames)
    return [
        Recipe(str(name), float(table["k_m"][name]), float(solids[name]), (seed, position, frame))
        for position, name in enumerate(table.index)
        for frame in frames
    ]


def drawn_recipes(
    number: int, seed: int, k_m_range: tuple[float, float] | None = None
) -> list[Recipe]:
    """For so many formulations of random k_m, whose logarithm is uniform over a range."""
    table = table1()
    least, greatest = np.log(k_m_range or (table["k_m"].min(), table["k_m"].max()))
    k_m = np.exp(np.random.default_rng(seed).uniform(least, greatest, number))
    return [
        Recipe(str(position + 1), float(value), DRAWN_SOLIDS_PERCENT, (seed, number, position))
        for position, value in enumerate(k_m)
    ]


def part_of_frame(parameters: Parameters, share: float) -> tuple[int, int]:
    """Height and width in px of a share of either side of the synthetic set's frames.

    No less than the widest cells of Table 1 need.

    Examples
    --------
    >>> part_of_frame(Parameters(synthetic_width=2048), 0.5)
    (768, 1024)
    """
    width = max(round(share * parameters.synthetic_width), _LEAST_WIDTH)
    return round(0.75 * width), width


def stand_ins(recipes: Sequence[Recipe], shape: tuple[int, int]) -> list[Micrograph]:
    """A stand-in of each recipe at the paper's pixel size, made once and kept in the cache.

    Examples
    --------
    >>> recipes = drawn_recipes(2, seed=0)
    >>> [each.image.shape for each in stand_ins(recipes, (96, 128))]
    [(96, 128), (96, 128)]
    """
    folder = writable(build_folder() / "cache" / "micrographs")
    jobs = [(_kept(folder, recipe, shape), recipe, shape) for recipe in recipes]
    missing = [job for job in jobs if read_sealed(job[0]) is None]
    few = len(missing) * math.prod(shape) < _PIXELS_WORTH_PROCESSES
    Parallel(n_jobs=1 if few else -1)(delayed(_synthesize)(*job) for job in missing)
    return [Micrograph(np.load(path), PAPER_PIXEL_SIZE_UM) for path, *_ in jobs]


def _kept(folder: Path, recipe: Recipe, shape: tuple[int, int]) -> Path:
    """Where a stand-in is kept, named by all that determines it."""
    made_of = (recipe.k_m, recipe.seed, recipe.solids_percent, shape, PAPER_PIXEL_SIZE_UM)
    code = code_digest("fesemlib.synthetic", "fesemlib.drying")
    return folder / f"{recipe.name}-{digest(code, *made_of)}.npy"


def _synthesize(path: Path, recipe: Recipe, shape: tuple[int, int]) -> None:
    solids = recipe.solids_percent
    micrograph = synthesize_micrograph(recipe.k_m, recipe.seed, shape, solids_percent=solids)
    write_sealed(path, lambda stream: np.save(stream, micrograph.image))
