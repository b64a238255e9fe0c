"""Diffusion through volumes, and stacks of sections, against closed forms and other programs."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import sparse

from fesemlib.command.cli import main
from fesemlib.synthetic import foam_volume
from fesemlib.volume import Diffusion, VolumeError, effective_diffusivity, kept, read_stack


def blobs(side: int = 32) -> np.ndarray:
    """A random two-phase volume, of some 60 % of pores."""
    return foam_volume(side / 3, 0.4, (side, side, side), 1.0, seed=1)


# ---------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_open_space_resists_nothing(axis):
    found = effective_diffusivity(np.zeros((6, 7, 8), bool), axis)
    assert found == pytest.approx(Diffusion(1, 1), rel=1e-5)


def test_parallel_layers_let_through_their_share_along_and_nothing_across():
    layers = np.zeros((8, 9, 10), bool)
    layers[:, 2:5] = True
    for axis in (0, 2):
        found = effective_diffusivity(layers, axis)
        assert found.relative_diffusivity == pytest.approx(6 / 9, rel=1e-4)
        assert found.tortuosity == pytest.approx(1, rel=1e-4)
    with pytest.raises(VolumeError, match="no pore leads through the volume along axis 1"):
        effective_diffusivity(layers, 1)


def test_stairs_are_a_chain_of_resistors():
    stairs = np.ones((5, 1, 5), bool)
    for step in range(5):
        stairs[step, 0, step : step + 2] = False
    # Half a voxel in, beside another that takes a step more; seven steps; half a voxel out.
    resistance = 1 / (1 / 0.5 + 1 / 1.5) + 7 + 0.5
    found = effective_diffusivity(stairs).relative_diffusivity
    assert found == pytest.approx(1 / resistance * 5 / 5, rel=1e-3)


@pytest.mark.parametrize(("side", "radius"), [(24, 5), (32, 5), (48, 8)])  # 4, 1.7, 2 % solids
def test_dilute_spheres_follow_maxwell(side, radius):
    solid = ((np.indices((side,) * 3) - (side - 1) / 2) ** 2).sum(axis=0) < radius**2
    found = effective_diffusivity(solid)
    maxwell = 2 * found.porosity / (3 - found.porosity)
    assert found.relative_diffusivity == pytest.approx(maxwell, rel=0.01)


@pytest.mark.parametrize(("side", "tolerance"), [(40, 0.022), (160, 0.006)])  # steps shrink
def test_cylinders_across_follow_rayleigh(side, tolerance):
    solid = ((np.indices((side, side)) - (side - 1) / 2) ** 2).sum(axis=0) < (side / 4) ** 2
    share = solid.mean()
    rayleigh = 1 - 2 * share / (1 + share - 0.3058 * share**4)
    found = effective_diffusivity(solid[np.newaxis], axis=1)  # one voxel deep, as a section
    assert found.relative_diffusivity == pytest.approx(rayleigh, rel=tolerance)


# ------------------------------------------------------------------ other solutions, properties


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_direct_solution_is_the_same(axis):
    pores = np.moveaxis(~blobs(16), axis, 0)
    numbers = np.arange(pores.size).reshape(pores.shape)
    matrix = sparse.lil_array((pores.size, pores.size))
    supply = np.zeros(pores.size)
    for place in np.argwhere(pores):
        own = numbers[tuple(place)]
        ends = (place[0] == 0) + (place[0] == len(pores) - 1)
        matrix[own, own] = 2 * ends + 1e-12
        supply[own] = 2 * (place[0] == 0)
        for step in (*np.eye(3, dtype=int), *-np.eye(3, dtype=int)):
            other = place + step
            if (other >= 0).all() and (other < pores.shape).all() and pores[tuple(other)]:
                matrix[own, own] += 1
                matrix[own, numbers[tuple(other)]] = -1
    inside = numbers[pores]
    solved = sparse.linalg.spsolve(matrix.tocsr()[inside][:, inside].tocsc(), supply[inside])
    leaving = 2 * solved[np.isin(inside, numbers[-1])].sum() / pores[0].size * len(pores)
    found = effective_diffusivity(blobs(16), axis).relative_diffusivity
    assert found == pytest.approx(leaving, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 2])
def test_porespy_finds_the_same(axis):
    pytest.importorskip("openpnm")
    porespy = pytest.importorskip("porespy")
    theirs = porespy.simulations.tortuosity_fd(~blobs(), axis)  # from the first centres to the last
    found = effective_diffusivity(blobs(), axis).relative_diffusivity
    assert found == pytest.approx(1 / theirs.formation_factor, rel=0.02)


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_turned_volume_turns_the_axis(order):
    along_0 = effective_diffusivity(blobs(), 0).relative_diffusivity
    turned = blobs().transpose(order)
    found = effective_diffusivity(turned, order.index(0)).relative_diffusivity
    assert found == pytest.approx(along_0, rel=1e-4)
    assert effective_diffusivity(blobs()[::-1], 0).relative_diffusivity == pytest.approx(
        along_0, rel=0.01
    )


def test_closed_pores_count_as_pores_but_carry_nothing():
    solid = np.zeros((6, 8, 8), bool)
    solid[:, 4:] = True
    closed = solid.copy()
    closed[3, 6, 6] = False
    found, without = effective_diffusivity(closed), effective_diffusivity(solid)
    assert found.relative_diffusivity == pytest.approx(without.relative_diffusivity, rel=1e-6)
    assert found.porosity - without.porosity == pytest.approx(1 / solid.size)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((257, 257, 257), "257×257×257 voxels are more than the 256×256×256"), ((9, 9), "three axes")],
)
def test_what_is_no_volume_or_too_large_is_refused(shape, message):
    with pytest.raises(VolumeError, match=message):
        effective_diffusivity(np.broadcast_to(False, shape))


def test_results_are_kept(own_build):
    calls = []

    def counted(solid, factor):
        calls.append(factor)
        return factor * solid.mean()

    solid = blobs(16)
    values = [
        float(kept(counted, *arguments)) for arguments in ((solid, 2), (solid, 2), (~solid, 2))
    ]
    assert values[0] == values[1] == pytest.approx(2 - values[2])
    assert calls == [2, 2]
    assert len(list((own_build / "cache" / "volumes").iterdir())) == 2


# ------------------------------------------------------------------------------------------- stacks


def grey_stack() -> np.ndarray:
    """Noisy sections of a foam, bright where it is solid."""
    noise = np.random.default_rng(0).normal(0, 12, (12, 20, 24))
    return (np.where(foam_volume(8.0, 0.3, (12, 20, 24), 1.0, 2), 180, 60) + noise).astype(np.uint8)


def write_folder(folder, sections, name="section_{}.png"):
    folder.mkdir()
    for number, section in enumerate(sections):
        Image.fromarray(section).save(folder / name.format(number))
    return folder


def test_stack_of_imagej_tells_its_voxels(tmp_path):
    path = tmp_path / "stack.tif"
    metadata = {"unit": "um", "spacing": 0.5, "axes": "ZYX"}
    tifffile.imwrite(path, grey_stack(), imagej=True, resolution=(2, 2), metadata=metadata)
    found = read_stack(path)
    np.testing.assert_array_equal(found.solid, grey_stack() > 120)
    assert found.voxel_um == pytest.approx(0.5)
    np.testing.assert_array_equal(read_stack(path, 1.0, 120, dark_solid=True).solid, ~found.solid)
    tifffile.imwrite(path, grey_stack(), imagej=True, resolution=(4, 4), metadata=metadata)
    with pytest.raises(VolumeError, match=r"stack\.tif: the sections are 2 pixels apart"):
        read_stack(path)
    assert read_stack(path, voxel_um=3.0).voxel_um == 3.0


def test_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    two_valued = np.where(grey_stack() > 120, 255, 0).astype(np.uint8)
    folder = write_folder(tmp_path / "sections", two_valued)  # section_10 comes after section_9
    np.testing.assert_array_equal(read_stack(folder, 2.0).solid, two_valued > 0)


def test_stacks_that_are_none_are_refused(tmp_path):
    sections = [*grey_stack()]
    uneven = write_folder(tmp_path / "uneven", [*sections, sections[0][:10]])
    single = write_folder(tmp_path / "single", sections[:1])
    whole = write_folder(tmp_path / "whole", sections)
    for path, options, message in [
        (uneven, {}, r"section_12\.png, page 1: height and width are \(10, 24\)"),
        (single, {}, "one section is no volume"),
        (single / "section_0.png", {}, r"section_0\.png: no sound TIFF"),
        (whole, {}, "tells no edge of a voxel"),
        (whole, {"voxel_um": 1.0, "threshold": 300}, "threshold of 300 .* choose another"),
    ]:
        with pytest.raises(VolumeError, match=message):
            read_stack(path, **options)


@pytest.mark.slow
def test_command_tells_each_axis(tmp_path, capsys):
    disc = np.hypot(*np.indices((41, 41)) - 20) < 16
    folder = write_folder(tmp_path / "tube", np.broadcast_to(~disc * np.uint8(255), (6, 41, 41)))
    assert main(["volume", str(folder), "--voxel-size", "0.5"]) == 0
    told = capsys.readouterr().out
    assert f"(6, 41, 41) voxels of 0.5 µm, porosity {disc.mean():.4f}" in told
    assert f"along z: D_e/D {disc.mean():.4f}, tortuosity 1.000" in told
    assert "along y: no pore leads through" in told
    k_m = float(re.search(r"k_m (\S+) ±", told)[1])
    speed = np.sqrt(8 * 8.314462618 * 250 / (np.pi * 0.01801528))
    assert k_m == pytest.approx(disc.mean() * 16e-6 / 3 * speed, rel=0.08)  # three standard errors
    assert main(["volume", str(folder)]) == 2
    assert "--voxel-size" in capsys.readouterr().err
