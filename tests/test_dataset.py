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
from scipy import stats

from fesemlib.dataset import Dataset, DatasetError, draw_stand_ins, load_dataset, with_cut_rows
from fesemlib.formulations import ManifestError, table1
from fesemlib.micrographs import MicrographError
from fesemlib.params import Parameters
from fesemlib.prediction.trials import strange_images
from fesemlib.processing import resample_by_area
from fesemlib.storage import BUILD_FOLDER
from fesemlib.synthetic import microscope, sets, synthesize_micrograph


def load(path: Path, **parameters: object) -> Dataset:
    return load_dataset(Parameters(dataset=str(path), **parameters))


def write_tiff(
    path: Path, pixel_size: str | None, seed: int, shape: tuple[int, int] = (64, 96)
) -> None:
    """A micrograph with Zeiss' tag, where the pixel size is given."""
    text = f"0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {pixel_size}\r\n"
    tag = [(34118, "s", 0, text.encode("cp1252"), True)]
    tifffile.imwrite(path, texture(seed, shape), extratags=tag if pixel_size else [])


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


def test_other_k_m_reach_every_image_of_a_formulation(manifest):
    data = load(manifest(*ROWS, "A,a2.png,1.9e-3"))
    other = data.with_k_m(np.array([3e-3, 1e-3, 2e-3]))
    assert other.formulations["k_m"].to_dict() == {"A": 3e-3, "B": 1e-3, "C": 2e-3}
    assert list(other.k_m) == [3e-3, 1e-3, 2e-3, 3e-3]
    assert other.micrographs is data.micrographs
    assert list(data.k_m) == [1.9e-3, 1.1e-3, 1.4e-3, 1.9e-3]
    assert other.digest != data.digest
    with pytest.raises(ValueError, match="Length of values"):
        data.with_k_m(np.ones(4))


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
    assert [m.cut_rows for m in load(path).micrographs] == [10, 14, 0]


def test_data_bar_does_not_reach_the_network(manifest):
    path = manifest()
    bar = np.zeros((10, 96), np.uint8)
    Image.fromarray(np.vstack([texture(7, (54, 96)), bar])).save(path.parent / "b.png")
    words = r"b\.png \(from row 54\): the data bar is still there, .*; set crop to auto"
    with pytest.raises(DatasetError, match=words) as caught:
        load(path, crop="none")
    assert str(caught.value).startswith(f"{path}: ")
    assert "a.png" not in str(caught.value)
    assert load(path, crop=54).shape == (54, 96)


def test_what_was_cut_off_can_be_shown(manifest):
    path = manifest(*ROWS, header="formulation,image,k_m")
    whole = np.vstack([texture(7), np.zeros((10, 96), np.uint8)])
    Image.fromarray(whole).save(path.parent / "b.png")
    dataset = load(path)
    assert np.array_equal(dataset.uncropped(1).image, whole)
    assert dataset.uncropped(1).data_bar_row == 64
    assert np.array_equal(dataset.uncropped(0).image, dataset.micrographs[0].image)


def test_pages_of_one_file_are_several_micrographs(manifest):
    rows = ["A,stack.tif,1e-3,", "A,stack.tif,1e-3,2", "B,stack.tif,2e-3,3", "C,c.png,3e-3,1"]
    path = manifest(*rows, header="formulation,image,k_m,page")
    pages = np.stack([texture(seed) for seed in (7, 8, 9)])
    tifffile.imwrite(path.parent / "stack.tif", pages, photometric="minisblack")
    dataset = load(path)
    names = ["stack.tif", "stack.tif (page 2)", "stack.tif (page 3)", "c.png"]
    assert list(dataset.images["image"]) == names
    for number, page in enumerate(pages):
        assert np.array_equal(dataset.micrographs[number].image, page)
        assert np.array_equal(dataset.uncropped(number).image, page)


def test_page_that_a_file_lacks_is_named(manifest):
    rows = [f"{row},{page}" for row, page in zip(ROWS, ("", "2", ""), strict=True)]
    path = manifest(*rows, header="formulation,image,k_m,page")
    with pytest.raises(MicrographError, match=r"b\.png: page = 2, but the file has 1 page"):
        load(path)


def test_odd_sizes_are_named_and_no_others(manifest):
    path = manifest(*ROWS, "D,d.png,1e-3")
    Image.fromarray(texture(0, (70, 96))).save(path.parent / "b.png")
    Image.fromarray(texture(0, (64, 90))).save(path.parent / "d.png")
    with pytest.raises(DatasetError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: b.png: 96×70 px, d.png: 90×64 px, but the set is 96×64")
    assert "set crop" in message
    assert "set rescale to true" in message
    assert "a.png" not in message


def test_a_long_list_of_outliers_is_cut_short(manifest):
    rows = [f"{n},{n}{i}.png,1e-3" for n in "ABC" for i in range(7)]
    path = manifest(*rows)
    for i in range(7):
        Image.fromarray(texture(i, (50, 96))).save(path.parent / f"B{i}.png")
    with pytest.raises(DatasetError, match=r"B4\.png: 96×50 px and 2 more, but the set"):
        load(path)


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


@pytest.mark.parametrize("others", [("1.015 µm", "1.015 µm"), ("2.000 µm", "3.000 µm")])
def test_pixel_size_that_the_set_has_is_that_of_an_image(tagged, others):
    """The median would lie between the two halves, and both within its tolerance."""
    with pytest.raises(DatasetError, match=r"C\.tif: .*, D\.tif: .*, but the set has 1 µm;"):
        load(tagged("1.000 µm", "1.000 µm", *others))


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


# ------------------------------------------------------------------- pixel size of the manifest


@pytest.fixture
def told(manifest) -> Callable[..., Path]:
    """A manifest with pixel sizes, each with what Zeiss' tag in the file says."""

    def make(*sizes: tuple[str | None, str]) -> Path:
        rows = [
            f"{name},{name}.tif,1e-3,{size}"
            for name, (_, size) in zip("ABCDEF", sizes, strict=False)
        ]
        path = manifest(*rows, header="formulation,image,k_m,pixel_size_um")
        for seed, (name, (tag, _)) in enumerate(zip("ABCDEF", sizes, strict=False)):
            write_tiff(path.parent / f"{name}.tif", tag, seed)
        return path

    return make


def test_manifest_tells_the_pixel_size_where_the_file_does_not(told):
    dataset = load(told((None, "0.5"), ("0.503 µm", "0.5"), ("0.500 µm", "")))
    assert [m.pixel_size_um for m in dataset.micrographs] == [0.5, 0.503, 0.5]
    sources = [m.pixel_size_source for m in dataset.micrographs]
    assert sources == ["manifest", "Zeiss tag", "Zeiss tag"]
    assert dataset.pixel_size_um == 0.5


def test_manifest_that_contradicts_the_file_is_refused(told):
    path = told((None, "0.5"), ("0.600 µm", "0.5"), ("0.500 µm", ""))
    words = (
        r"B\.tif: pixel_size_um = 0\.5 in the manifest, but the file says 0\.6 µm \(Zeiss tag\); "
    )
    with pytest.raises(DatasetError, match=words + "correct the manifest") as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    dataset = load(path, check_pixel_size=False)
    assert [m.pixel_size_um for m in dataset.micrographs] == [0.5, 0.5, 0.5]
    assert dataset.micrographs[1].pixel_size_source == "manifest"


def test_digest_names_the_source_of_the_pixel_size(told):
    same = [("0.500 µm", "")] * 2
    digests = {load(told((tag, size), *same)).digest for tag, size in ((None, "0.5"), same[0])}
    assert len(digests) == 2


# --------------------------------------------------------------------------------------- rescale


def test_rescaled_set_has_the_coarsest_pixel_size(told):
    """Finer images become means of blocks of pixels; equal ones keep theirs."""
    path = told(("0.500 µm", ""), ("1.000 µm", ""), ("0.333333 µm", ""), ("1.005 µm", ""))
    for name, seed, shape in (("A", 0, (80, 120)), ("C", 2, (192, 183)), ("D", 3, (38, 99))):
        write_tiff(path.parent / f"{name}.tif", None, seed, shape)
    rows = ("A,A.tif,1e-3,0.5", "B,B.tif,1e-3,", "C,C.tif,1e-3,0.333333333333", "D,D.tif,1e-3,1")
    path.write_text("\n".join(["formulation,image,k_m,pixel_size_um", *rows]))
    dataset = load(path, rescale=True)
    # In pixels of 1 µm they have 40 × 60, 64 × 96, 64 × 61 and 38 × 99.
    assert dataset.shape == (38, 60)
    assert dataset.pixel_size_um == 1.0
    blocks = texture(0, (80, 120))[2:78].reshape(38, 2, 60, 2).mean(axis=(1, 3))
    assert np.abs(dataset.micrographs[0].image - blocks).max() <= 0.5 + 1e-6
    assert np.array_equal(dataset.micrographs[1].image, texture(1)[13:51, 18:78])
    blocks = texture(2, (192, 183))[39:153, 1:181].reshape(38, 3, 60, 3).mean(axis=(1, 3))
    assert np.abs(dataset.micrographs[2].image - blocks).max() <= 0.5 + 1e-6
    assert np.array_equal(dataset.micrographs[3].image, texture(3, (38, 99))[:, 19:79])


@pytest.mark.parametrize("shape", [(40, 60), (33, 41), (1, 1)])
def test_resampling_between_whole_pixels_averages_over_areas(shape):
    """Against an enlargement to half pixels, of which three make a new one."""
    image = texture(4)
    halves = np.kron(image, np.ones((2, 2)))
    top, left = (int((n - 1.5 * m) // 2) for n, m in zip(image.shape, shape, strict=True))
    rows, columns = (slice(2 * a, 2 * a + 3 * m) for a, m in zip((top, left), shape, strict=True))
    blocks = halves[rows, columns].reshape(shape[0], 3, shape[1], 3).mean(axis=(1, 3))
    assert np.allclose(resample_by_area(image, 1.5, shape), blocks, atol=1e-4)


@pytest.mark.parametrize(("pitch", "shape"), [(0.9, (10, 10)), (1.5, (43, 64)), (1.5, (42, 65))])
def test_resampling_does_not_enlarge(pitch, shape):
    with pytest.raises(ValueError, match="pitch"):
        resample_by_area(texture(4), pitch, shape)


def test_rescaling_needs_every_pixel_size(told):
    path = told(("0.500 µm", ""), (None, ""), (None, "1.0"))
    with pytest.raises(
        DatasetError, match=r"B\.tif: the pixel size is not known, .*column"
    ) as caught:
        load(path, rescale=True)
    assert str(caught.value).startswith(f"{path}: ")


def test_fields_without_a_pixel_in_common_are_refused(told):
    path = told(("0.100 µm", ""), ("20.00 µm", ""), ("20.00 µm", ""))
    with pytest.raises(
        DatasetError, match=r"from 0\.1 to 20 µm have no field in common; leave out"
    ):
        load(path, rescale=True)


def test_rescaling_changes_nothing_where_nothing_differs(told):
    path = told(*[("0.500 µm", "")] * 3)
    plain, rescaled = load(path), load(path, rescale=True)
    assert rescaled.digest == plain.digest


def test_digest_names_what_rescaling_did(told):
    path = told(("0.500 µm", ""), ("0.500 µm", ""), ("0.750 µm", ""))
    assert load(path, rescale=True).digest != load(path, check_pixel_size=False).digest


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


SMALL = Parameters.model_construct(synthetic_width=128)  # narrower than is allowed


@pytest.fixture
def small_stand_ins(own_build):
    """Stand-ins are made in this process."""
    with parallel_config(backend="threading"):
        yield own_build / "cache" / "micrographs"


@pytest.mark.usefixtures("small_stand_ins")
def test_stand_ins_carry_table_1():
    dataset = load_dataset(SMALL.model_copy(update={"crop": 10}))
    assert dataset.synthetic
    assert dataset.shape == (96, 128)  # nothing to crop
    assert list(dataset.images["formulation"]) == list("ABCDEFGHI")
    assert np.array_equal(dataset.k_m, table1()["k_m"])
    assert dataset.pixel_size_um == pytest.approx(0.977, abs=5e-4)
    assert len({m.image.tobytes() for m in dataset.micrographs}) == 9


def test_stand_ins_are_made_once(small_stand_ins, monkeypatch):
    first = load_dataset(SMALL)
    files = sorted(small_stand_ins.iterdir())
    assert len(files) == 9
    files[4].unlink()
    made = []

    def count(*arguments, **options):
        made.append(arguments)
        return synthesize(*arguments, **options)

    synthesize = sets.synthesize_micrograph
    monkeypatch.setattr(sets, "synthesize_micrograph", count)
    assert load_dataset(SMALL).digest == first.digest
    assert len(made) == 1


def bounds_of_synthetic_width() -> list[int]:
    schema = Parameters.model_json_schema()["properties"]["synthetic_width"]
    return [schema["minimum"], schema["maximum"]]


@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_stand_ins_are_the_same_whichever_process_draws_them(tmp_path, monkeypatch):
    here = draw_stand_ins(3, seed=0, shape=(96, 128))
    monkeypatch.setenv(BUILD_FOLDER, str(tmp_path / "elsewhere"))
    monkeypatch.setattr(sets, "_PIXELS_WORTH_PROCESSES", 0)
    assert draw_stand_ins(3, seed=0, shape=(96, 128)).digest == here.digest


@pytest.mark.slow
@pytest.mark.parametrize("width", bounds_of_synthetic_width())
def test_stand_ins_of_every_allowed_width_can_be_rendered(width, own_build, monkeypatch):
    """The field is wide enough for the widest cells of Table 1, and not too wide for the finest."""

    class ReachedError(Exception):
        """The arguments were accepted."""

    def reached(*_: object) -> None:
        raise ReachedError

    monkeypatch.setattr(microscope.foam, "generators", reached)
    shapes = []

    def accept(path: Path, recipe: sets.Recipe, shape: tuple[int, int]) -> None:
        with pytest.raises(ReachedError):
            synthesize_micrograph(
                recipe.k_m, recipe.seed, shape, solids_percent=recipe.solids_percent
            )
        shapes.append(shape)
        np.save(path, np.zeros((8, 8), np.uint8))

    monkeypatch.setattr(sets, "_synthesize", accept)
    with parallel_config(backend="threading"):
        dataset = load_dataset(Parameters(synthetic_width=width))
        assert shapes == [(width * 3 // 4, width)] * 9
        strange_images((width * 3 // 4, width), pores=1)  # three times as coarse, and as fine
    assert len(shapes) == 11
    assert len(dataset.micrographs) == 9
    assert own_build.is_dir()


def test_seed_makes_other_stand_ins(small_stand_ins):
    first, second = (
        load_dataset(SMALL.model_copy(update={"synthetic_seed": seed})) for seed in (0, 1)
    )
    assert first.digest != second.digest
    assert len(list(small_stand_ins.iterdir())) == 18
    for ours, theirs in zip(first.micrographs, second.micrographs, strict=True):
        assert (ours.image != theirs.image).mean() > 0.5


@pytest.mark.usefixtures("small_stand_ins")
def test_drawn_stand_ins_cover_the_range_of_table_1():
    drawn = draw_stand_ins(12, seed=4, shape=(96, 128))
    again = draw_stand_ins(12, seed=4, shape=(96, 128))
    assert drawn.digest == again.digest
    assert drawn.synthetic
    assert drawn.shape == (96, 128)
    k_m = table1()["k_m"]
    assert np.all((drawn.k_m >= k_m.min()) & (drawn.k_m <= k_m.max()))
    assert np.unique(drawn.k_m).size == 12
    assert list(drawn.formulations["k_m"]) == list(drawn.images["k_m"])
    assert draw_stand_ins(12, seed=5, shape=(96, 128)).digest != drawn.digest


def test_logarithms_of_drawn_k_m_are_uniform(monkeypatch, own_build):
    monkeypatch.setattr(
        sets,
        "_synthesize",
        lambda path, *_: np.save(path, np.random.default_rng(0).integers(0, 9, (8, 8), np.uint8)),
    )
    with parallel_config(backend="threading"):
        drawn = draw_stand_ins(300, seed=1, shape=(8, 8))
    k_m = table1()["k_m"]
    ends = np.log([k_m.min(), k_m.max()])
    spread = stats.uniform(ends[0], ends[1] - ends[0])
    assert stats.kstest(np.log(drawn.k_m), spread.cdf).pvalue > 0.01
    assert own_build.is_dir()


@pytest.mark.usefixtures("small_stand_ins")
def test_bar_is_shown_as_recorded_or_drawn_on_a_stand_in(manifest):
    path = manifest()
    stand_ins = load_dataset(Parameters.model_construct(synthetic_width=256))
    shown, _ = with_cut_rows(stand_ins, 2)
    assert shown.data_bar_row is not None
    rows = shown.data_bar_row
    assert np.array_equal(shown.image[:rows], stand_ins.micrographs[2].image[:rows])
    assert with_cut_rows(load(path), 0)[0].data_bar_row is not None  # none of the set has one
    image = np.vstack([texture(1), np.zeros((10, 96), np.uint8)])
    Image.fromarray(image).save(path.parent / "b.png")
    dataset = load(path)
    for position in (0, 1):
        recorded, kept = with_cut_rows(dataset, position)
        assert np.array_equal(kept.image, texture(1))
        assert recorded.data_bar_row == 64
        assert np.array_equal(recorded.image, image)


def test_unwritable_build_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FESEM_BUILD", str(tmp_path / "file" / "build"))
    with pytest.raises(PermissionError, match=r"cannot write here .*FESEM_BUILD") as caught:
        load_dataset(Parameters())
    assert str(caught.value).startswith(str(tmp_path / "file" / "build"))
