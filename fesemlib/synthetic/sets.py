"""Sets of stand-ins: which are made, and where they are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed

from fesemlib.formulations import SOLUTES, table1
from fesemlib.micrographs.reading import Micrograph
from fesemlib.params import Parameters
from fesemlib.storage import build_folder, code_digest, digest, read_sealed, writable, write_sealed
from fesemlib.synthetic.foam import Structure
from fesemlib.synthetic.microscope import PAPER_PIXEL_SIZE_UM, synthesize_micrograph

DRAWN_SOLIDS_PERCENT = 5.0

_LEAST_WIDTH = 128  # px: the height, three quarters of it, holds the widest cell of Table 1
_PIXELS_WORTH_PROCESSES = 5_000_000  # fewer are drawn before processes have started


class Recipe(NamedTuple):
    """What a stand-in is made from."""

    formulation: str
    k_m: float  # m² s⁻¹
    solids_percent: float
    seed: int
    frame: int = 0  # those of the synthetic set have the number 0
    structure: Structure | None = None  # drawn from the seed where it is not given


def table_recipes(seed: int, frames: range) -> list[Recipe]:
    """For frames of each formulation of Table 1."""
    solids = table1()[list(SOLUTES)].sum(axis=1).to_dict()
    return [
        Recipe(str(name), k_m, solids[name], _seed(seed, position, frame), frame)
        for position, (name, k_m) in enumerate(table1()["k_m"].to_dict().items())
        for frame in frames
    ]


def drawn_recipes(
    number: int, seed: int, k_m_range: tuple[float, float] | None = None
) -> list[Recipe]:
    """For so many formulations of random k_m, whose logarithm is uniform over a range."""
    known = table1()["k_m"]
    least, greatest = np.log(k_m_range or (known.min(), known.max()))
    k_m = np.exp(np.random.default_rng(seed).uniform(least, greatest, number))
    return [
        Recipe(str(n + 1), value, DRAWN_SOLIDS_PERCENT, _seed(seed, number, n))
        for n, value in enumerate(k_m.tolist())
    ]


def _seed(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


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
    made_by = code_digest("fesemlib.synthetic", "fesemlib.drying"), PAPER_PIXEL_SIZE_UM, shape
    paths = [folder / f"{each.formulation}-{digest(*made_by, each)}.npy" for each in recipes]
    jobs = [(path, each, shape) for path, each in zip(paths, recipes, strict=True)]
    missing = [job for job in jobs if read_sealed(job[0]) is None]
    few = len(missing) * math.prod(shape) < _PIXELS_WORTH_PROCESSES
    Parallel(n_jobs=1 if few else -1)(delayed(_synthesize)(*job) for job in missing)
    return [Micrograph(np.load(path), PAPER_PIXEL_SIZE_UM) for path in paths]


def _synthesize(path: Path, recipe: Recipe, shape: tuple[int, int]) -> None:
    _, k_m, solids, seed, _, structure = recipe
    micrograph = synthesize_micrograph(k_m, seed, shape, PAPER_PIXEL_SIZE_UM, solids, structure)
    write_sealed(path, lambda stream: np.save(stream, micrograph.image))
