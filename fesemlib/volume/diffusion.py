"""How fast a gas diffuses through the pores of a volume, beside open space."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import linalg

Solid = npt.NDArray[np.bool_]  # shape (D, H, W), True in the solid
Field = npt.NDArray[np.float32]

VOXELS_LIMIT = 256**3  # solved in 1 GB
_RESIDUALS = (1e-3, 1e-4, 1e-5, 1e-6)  # relative, one after the other
_SETTLED = 0.005  # relative change of the flux from one to the next
_STEPS_LIMIT = 10_000


class VolumeError(ValueError):
    """A volume cannot be read, is too large, or lets nothing through."""


class Diffusion(NamedTuple):
    """Diffusion through a volume along one axis."""

    relative_diffusivity: float  # D_e/D: the flux over that through open space of the same size
    porosity: float  # volume fraction ε of all pores, closed ones among them

    @property
    def tortuosity(self) -> float:
        """τ = ε / (D_e/D): 1 in straight channels along the axis."""
        return self.porosity / self.relative_diffusivity


def effective_diffusivity(solid: Solid, axis: int = 0) -> Diffusion:
    """Effective diffusivity of the pores of a volume along one axis, relative to open space.

    Between two opposite faces of given concentration, the other four closed. Finite volumes on the
    voxels, solved by conjugate gradients in single precision: `VOXELS_LIMIT` voxels take 1 GB.

    Parameters
    ----------
    solid
        True in the solid, shape (D, H, W); also one voxel deep, as a section is.
    axis
        Along which the gas diffuses: 0, 1 or 2.

    Returns
    -------
    Diffusion
        ``relative_diffusivity``, D_e/D; ``porosity`` ε; ``tortuosity`` τ = ε / (D_e/D).

    Raises
    ------
    VolumeError
        When the shape is no volume's, the volume too large, or no pore leads through it.

    Notes
    -----
    Voxels that share a face are connected. Walls thinner than a voxel have holes, which the
    original has not: D_e/D is then far too large. Checked against closed forms, PoreSpy
    (Gostick et al. 2019) and, along one axis, the test volume of TauFactor 2 (Kench et al. 2023).

    Examples
    --------
    >>> disc = np.hypot(*np.indices((40, 40)) - 19.5) < 8
    >>> cylinder = np.broadcast_to(disc, (40, 40, 40))
    >>> along, across = (effective_diffusivity(cylinder, axis) for axis in (0, 1))
    >>> print(f"τ is {along.tortuosity:.2f} along, and {across.tortuosity:.2f} across")
    τ is 1.00 along, and 1.15 across
    """
    solid = np.asarray(solid, dtype=bool)
    check_size(solid.shape)
    pores = np.moveaxis(percolating(solid, axis), axis, 0)
    before = math.inf
    for flux in _fluxes(np.ascontiguousarray(pores, dtype=np.float32)):
        if abs(flux - before) <= _SETTLED * flux:
            return Diffusion(flux, 1 - float(solid.mean()))
        before = flux
    raise VolumeError(f"diffusion along axis {axis} has not settled; cut out a part of the volume")


def check_size(shape: tuple[int, ...]) -> None:
    """Refuse what is no volume, or more voxels than are solved for."""
    if len(shape) != 3 or 0 in shape:
        raise VolumeError(f"shape {shape}: give a volume of three axes, (depth, height, width)")
    if np.prod(shape) > VOXELS_LIMIT:
        raise VolumeError(
            f"{'×'.join(map(str, shape))} voxels are more than the 256×256×256 that fit; cut out "
            "as many, or average blocks of voxels"
        )


def percolating(solid: Solid, axis: int) -> Solid:
    """The pores that lead from the first to the last plane of an axis, across voxels' faces."""
    labels, number = ndimage.label(~solid)
    through = np.intersect1d(labels.take(0, axis), labels.take(-1, axis))
    kept = np.zeros(number + 1, dtype=bool)
    kept[through[through > 0]] = True
    if not kept.any():
        advice = "take another threshold, or a finer or larger volume"
        raise VolumeError(f"no pore leads through the volume along axis {axis}; {advice}")
    return np.asarray(kept[labels])


def _fluxes(pores: Field) -> Iterator[float]:
    """Flux along axis 0 over that of open space, ever more exact; `pores`: 1 or 0.

    The concentration is 1 before the first plane and 0 behind the last, half a voxel away from the
    centres. What enters each voxel leaves it: one equation each, solved by conjugate gradients,
    ever closer. The flux is the dissipation, which errs by the square of the concentrations' error.
    """
    diagonal = -_without_neighbours(np.zeros_like(pores), pores)
    diagonal[0] += 2  # half a voxel: twice the conductance
    diagonal[-1] += 2
    diagonal[pores == 0] = 1

    def net_outflow(concentration: Field) -> Field:
        values = concentration.reshape(pores.shape)
        return np.asarray(_without_neighbours(diagonal * values, values) * pores).ravel()

    size = 2 * (pores.size,)
    system = linalg.LinearOperator(size, net_outflow, dtype=pores.dtype)
    jacobi = linalg.LinearOperator(size, lambda flow: flow / diagonal.ravel(), dtype=pores.dtype)
    supply, planes = np.zeros_like(pores), len(pores)
    supply[0] = 2 * pores[0]
    linear = (np.arange(planes, 0, -1, dtype=np.float32) - 0.5) / planes
    solved = (linear[:, None, None] * pores).ravel()
    for residual in _RESIDUALS:
        how = {"rtol": residual, "maxiter": _STEPS_LIMIT, "M": jacobi}
        solved, _ = linalg.cg(system, supply.ravel(), solved, **how)
        error = (supply.ravel() - net_outflow(solved)).astype(np.float64)
        entering = 2 * (pores[0].sum() - solved[: pores[0].size].sum(dtype=float))
        yield planes / pores[0].size * float(entering - solved @ error)


def _without_neighbours(target: Field, values: Field) -> Field:
    """Subtract from each voxel, in place, the values of its six neighbours."""
    for axis in range(3):
        to, of = np.moveaxis(target, axis, 0), np.moveaxis(values, axis, 0)
        to[:-1] -= of[1:]
        to[1:] -= of[:-1]
    return target
