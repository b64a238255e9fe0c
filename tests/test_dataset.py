"""Data sets: what belongs together, what is refused, and what their digest names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import ROWS, texture
from joblib import parallel_config
from PIL import Image

import fesemlib.dataset
from fesemlib.dataset import Dataset, DatasetError, load_dataset
from fesemlib.formulations import ManifestError, table1
from fesemlib.micrographs import MicrographError
from fesemlib.params import Parameters


def load(path: Path, **parameters: object) -> Dataset:
    return load_dataset(Parameters(dataset=str(path), **parameters))


def write_tiff(path: Path, pixel_size: str | None, seed: int) -> None:
    """A micrograph with Zeiss' tag, where the pixel size is given."""
    text = f"0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {pixel_size}\r\n"
    tag = [(34118, "s", 0, text.encode("cp1252"), True)]
    tifffile.imwrite(path, texture(seed), extratags=tag if pixel_size else [])


# ------------------------------------------------------------------------------------ manifests


def test_every_image_meets_its_own_row(manifest):
    path = manifest(*ROWS, "A,more/a2.png,1.9e-3")
    dataset = load(path)
    assert not dataset.synthetic
    assert dataset.shape == (64, 96)
    assert list(dataset.images["formulation"]) == ["A", "B", "C", "A"]
    assert list(dataset.k_m) == [1.9e-3, 1.1e-3, 1.4e-3, 1.9e-3]
    assert dataset.formulations["k_m"].to_dict() == {"A": 1.9e-3, "B": 1.1e-3, "C": 1.4e-3}
    for seed, micrograph in enumerate(dataset.micrographs):
        assert np.array_equal(micrograph.image, texture(seed))


def test_examples_fall_back_on_the_first_formulation(manifest):
    dataset = load(manifest("Z,z.png,1e-3", *ROWS, "B,b2.png,1.1e-3"))
    assert (dataset.formulation_or_first("B"), dataset.first_image("B")) == ("B", 2)
    assert (dataset.formulation_or_first("none"), dataset.first_image("none")) == ("Z", 0)


def test_images_are_sought_beside_the_manifest(manifest, tmp_path, monkeypatch):
    path = manifest()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Image.fromarray(texture(9)).save("a.png")  # not this one
    dataset = load(Path("..") / "set" / path.name)
    assert np.array_equal(dataset.micrographs[0].image, texture(0))


def test_image_paths_may_be_absolute(manifest, tmp_path):
    Image.fromarray(texture(9)).save(tmp_path / "far.png")
    dataset = load(manifest(*ROWS, f"D,{tmp_path / 'far.png'},1e-3"))
    assert np.array_equal(dataset.micrographs[3].image, texture(9))


def test_data_bars_of_unequal_height_are_cut_to_a_common_size(manifest):
    path = manifest()
    for name, rows in (("a.png", 10), ("b.png", 14)):
        bar = np.zeros((rows, 96), np.uint8)
        Image.fromarray(np.vstack([texture(rows), bar])).save(path.parent / name)
    assert load(path).shape == (64, 96)
    assert load(path, crop=50).shape == (50, 96)
    with pytest.raises(DatasetError, match="take the micrographs at one size"):
        load(path, crop="none")


def test_odd_sizes_are_named_and_no_others(manifest):
    path = manifest(*ROWS, "D,d.png,1e-3")
    Image.fromarray(texture(0, (70, 96))).save(path.parent / "b.png")
    Image.fromarray(texture(0, (64, 90))).save(path.parent / "d.png")
    with pytest.raises(DatasetError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: b.png: 96×70 px, d.png: 90×64 px, but the set is 96×64")
    assert "set crop" in message
    assert "a.png" not in message


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("d.png", shutil.copy),
        ("copies/d.png", shutil.copy),
        ("d.tif", lambda old, new: tifffile.imwrite(new, np.asarray(Image.open(old)))),
    ],
    ids=["copied file", "in a folder", "other format"],
)
@pytest.mark.parametrize("row", ["D,{},1e-3", "B,{},1.1e-3"])
def test_micrograph_under_two_names_is_refused(manifest, name, copy, row):
    path = manifest(*ROWS)
    (path.parent / "copies").mkdir()
    copy(path.parent / "b.png", path.parent / name)
    manifest(*ROWS, row.format(name))
    with pytest.raises(
        DatasetError, match=r"must stand in the manifest once, .*: delete"
    ) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {name} shows the same pixels as b.png; ")


def test_micrographs_that_differ_in_one_pixel_are_two(manifest):
    path = manifest(*ROWS, "D,d.png,1e-3")
    image = texture(1)
    image[63, 95] ^= 1
    Image.fromarray(image).save(path.parent / "d.png")
    assert len(load(path).micrographs) == 4


@pytest.fixture
def tagged(manifest) -> Callable[..., Path]:
    def make(*pixel_sizes: str | None) -> Path:
        rows = [f"{name},{name}.tif,1e-3" for name in "ABCDEF"[: len(pixel_sizes)]]
        path = manifest(*rows)
        for seed, (name, pixel_size) in enumerate(zip("ABCDEF", pixel_sizes, strict=False)):
            write_tiff(path.parent / f"{name}.tif", pixel_size, seed)
        return path

    return make


def test_odd_pixel_sizes_are_named_and_no_others(tagged):
    path = tagged("976.6 nm", "0.9766 µm", None, "0.9900 µm")
    with pytest.raises(DatasetError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: D.tif: 0.99 µm a pixel, but the set has 0.9766 µm")
    assert "set check_pixel_size to false" in message
    assert load(path, check_pixel_size=False).pixel_size_um is None


@pytest.mark.parametrize(
    ("pixel_sizes", "median"),
    [
        ([None, None, None], None),
        (["1.000 µm", None, None], 1.0),
        (["1.000 µm", "1.009 µm", "0.991 µm"], 1.0),
    ],
)
def test_pixel_sizes_within_one_percent_or_unknown_pass(tagged, pixel_sizes, median):
    assert load(tagged(*pixel_sizes)).pixel_size_um == median


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, "no such file"),
        (truncate, "cannot be read"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: Image.new("RGB", (96, 64), "red").save(path), "in colour"),
    ],
)
def test_damaged_image_is_named(manifest, damage, words):
    path = manifest()
    damage(path.parent / "b.png")
    with pytest.raises(MicrographError, match=words) as caught:
        load(path)
    assert str(caught.value).startswith(str(path.parent / "b.png"))


def test_missing_manifest_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"none\.csv: no such manifest"):
        load(tmp_path / "none.csv")


# --------------------------------------------------------------------------------------- digest


def test_digest_does_not_depend_on_the_folder(manifest, tmp_path, monkeypatch):
    path = manifest()
    shutil.copytree(path.parent, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    assert load(tmp_path / "copy" / path.name).digest == load(path).digest
    assert load(Path("copy") / path.name).digest == load(path).digest


def one_pixel(path: Path) -> None:
    image = texture(1)
    image[63, 95] ^= 1
    Image.fromarray(image).save(path.parent / "b.png")


def reword(old: str, new: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(path.read_text().replace(old, new))


def rename_image(path: Path) -> None:
    (path.parent / "b.png").rename(path.parent / "d.png")
    reword("b.png", "d.png")(path)


@pytest.mark.parametrize(
    "change",
    [
        one_pixel,
        reword("1.9e-3", "1.91e-3"),
        reword("5% dextran", "5% PVP"),
        reword("9.3", "9.4"),
        reword("B,b.png,1.1e-3", "D,b.png,1.1e-3"),
        rename_image,
    ],
    ids=["pixel", "k_m", "composition", "std_percent", "formulation", "name of an image"],
)
def test_digest_names_all_that_a_page_shows(manifest, change):
    path = manifest(
        f"{ROWS[0]},5% dextran,2.3",
        f"{ROWS[1]},,9.3",
        f"{ROWS[2]},,",
        header="formulation,image,k_m,composition,std_percent",
    )
    before = load(path).digest
    change(path)
    assert load(path).digest != before


def test_digest_names_the_pixel_size(tagged):
    digests = {load(tagged(*[size] * 3)).digest for size in ("1.0 µm", "1.1 µm", None)}
    assert len(digests) == 3


# ------------------------------------------------------------------------------------ stand-ins


@pytest.fixture
def small_stand_ins(own_build, monkeypatch):
    """Stand-ins of 128 × 96 px, made in this process."""
    monkeypatch.setattr(fesemlib.dataset, "PAPER_SHAPE", (96, 128))
    with parallel_config(backend="threading"):
        yield own_build / "cache" / "micrographs"


@pytest.mark.usefixtures("small_stand_ins")
def test_stand_ins_carry_table_1():
    dataset = load_dataset(Parameters(crop=10))
    assert dataset.synthetic
    assert dataset.shape == (96, 128)  # nothing to crop
    assert list(dataset.images["formulation"]) == list("ABCDEFGHI")
    assert np.array_equal(dataset.k_m, table1()["k_m"])
    assert dataset.pixel_size_um == pytest.approx(0.977, abs=5e-4)
    assert len({m.image.tobytes() for m in dataset.micrographs}) == 9


def test_stand_ins_are_made_once(small_stand_ins, monkeypatch):
    first = load_dataset(Parameters())
    files = sorted(small_stand_ins.iterdir())
    assert len(files) == 9
    files[4].unlink()
    made = []

    def count(*arguments, **options):
        made.append(arguments)
        return synthesize(*arguments, **options)

    synthesize = fesemlib.dataset.synthesize_micrograph
    monkeypatch.setattr(fesemlib.dataset, "synthesize_micrograph", count)
    assert load_dataset(Parameters()).digest == first.digest
    assert len(made) == 1


def test_seed_makes_other_stand_ins(small_stand_ins):
    first, second = (load_dataset(Parameters(synthetic_seed=seed)) for seed in (0, 1))
    assert first.digest != second.digest
    assert len(list(small_stand_ins.iterdir())) == 18
    for ours, theirs in zip(first.micrographs, second.micrographs, strict=True):
        assert (ours.image != theirs.image).mean() > 0.5


def test_unwritable_build_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FESEM_BUILD", str(tmp_path / "file" / "build"))
    with pytest.raises(PermissionError, match=r"cannot write here .*FESEM_BUILD") as caught:
        load_dataset(Parameters())
    assert str(caught.value).startswith(str(tmp_path / "file" / "build"))
