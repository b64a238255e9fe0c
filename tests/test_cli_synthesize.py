"""The command that writes a stand-in: what it writes, what it says, what it refuses."""

import re
from pathlib import Path

import numpy as np
import pytest

import fesemlib.micrographs.zeiss
from fesemlib.command.cli import main
from fesemlib.micrographs.reading import read_micrograph
from fesemlib.synthetic import synthesize_micrograph

SMALL = ["--k-m", "1.1e-3", "--seed", "3", "--width", "256", "--height", "192", "--pixel-size", "2"]


def synthesize(*arguments: object) -> int:
    return main(["synthesize", *map(str, arguments)])


def test_writes_what_the_reader_reads(tmp_path, capsys):
    path = tmp_path / "out.tif"
    assert synthesize(*SMALL, path) == 0
    read = read_micrograph(path)
    expected = synthesize_micrograph(1.1e-3, 3, (192, 256), 2.0, 5.0)
    assert read.pixel_size_um == 2.0
    assert read.data_bar_row == 168
    np.testing.assert_array_equal(read.image, expected.image[:168])
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == str(path)
    # Knudsen by hand: d = 3 k_m τ / (ε v), ε = 0.9688 for 5 %, v = 542 m/s, and a cell of 5 d.
    throat = 3 * 1.1e-3 * 1.5 / (0.9688 * 542) * 1e6
    assert f"pixel 2 µm, cells {5 * throat:.3g} µm, throats {throat:.3g} µm" in told.out
    assert "synthetic" in told.out
    assert told.err == ""


def test_solids_and_no_data_bar(tmp_path):
    path = tmp_path / "out.TIFF"
    assert synthesize(*SMALL, "--solids", 10, "--no-data-bar", path) == 0
    read = read_micrograph(path)
    assert read.data_bar_row is None
    expected = synthesize_micrograph(1.1e-3, 3, (192, 256), 2.0, 10.0)
    np.testing.assert_array_equal(read.image, expected.image)


def test_replaces_a_file_only_when_told(tmp_path, capsys):
    path = tmp_path / "out.tif"
    path.write_text("mine")
    assert synthesize(*SMALL, path) == 2
    assert f"{path}: exists" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert synthesize(*SMALL, "--force", path) == 0
    assert read_micrograph(path).pixel_size_um == 2.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.png"], "out.png: what is written is a TIFF"),
        (["nowhere/out.tif"], "nowhere/out.tif: there is no folder"),
        (["file/out.tif"], "file is not a folder"),
        (["folder.tif"], "folder.tif: is a folder"),
        (["folder"], "folder: is a folder"),
        (["out.tif", "--k-m", "1.1"], ": --k-m 1.1: gives cells"),
        (["out.tif", "--k-m", "1.1"], "with --solids 5.0 give --k-m from"),
        (["out.tif", "--k-m", "nan"], ": --k-m nan: not a positive number"),
        (["out.tif", "--seed", "-1"], ": --seed -1: negative"),
        (["out.tif", "--solids", "0"], ": --solids 0.0: not in"),
        (["out.tif", "--pixel-size", "0"], ": --pixel-size 0.0: not positive"),
        (["out.tif", "--pixel-size", "0.001"], ": --width 256, --height 192 and --pixel-size 0.0"),
        (["out.tif", "--pixel-size", "200"], "or a larger --k-m"),
        (["out.tif", "--height", "0"], ": --width 256, --height 0: not"),
        (["out.tif", "--width", "-1"], ": --width -1, --height 192: not"),
        (["out.tif", "--width", "60"], "image of 60×192 px: too small for a legible data bar"),
        (["out.tif", "--width", "60"], "leave the bar out (--no-data-bar)"),
    ],
)
def test_wrong_arguments(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder.tif").mkdir()
    Path("folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert synthesize(*SMALL, *arguments) == 2
    told = capsys.readouterr()
    assert told.err.startswith("fesem: error: ")
    assert message in told.err
    assert not re.search("shape|solids_percent|pixel_size_um|k_m", told.err)
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("arguments", [["out.tif"], ["--k-m", "1e-3"], ["--k-m", "much", "a.tif"]])
def test_usage(arguments, capsys):
    assert main(["synthesize", *arguments]) == 2
    assert "Usage: fesem synthesize" in capsys.readouterr().err


def test_checks_the_target_before_rendering(tmp_path, monkeypatch, capsys):
    def render(*_: object) -> None:
        raise AssertionError("rendered")

    monkeypatch.setattr("fesemlib.synthetic.synthesize_micrograph", render)
    assert synthesize(*SMALL, tmp_path / "gone" / "out.tif") == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(13, "Permission denied"), " (Permission denied); choose another folder"),
        (FileNotFoundError(2, "No such file or directory"), "; choose another folder"),
    ],
)
def test_a_folder_that_takes_no_file(error, told, tmp_path, monkeypatch, capsys):
    def refuse(**_: object) -> None:
        raise error

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    path = tmp_path / "out.tif"
    assert synthesize(*SMALL, path) == 2
    expected = f"fesem: error: {path}: no file can be made in {tmp_path.resolve()}{told}\n"
    assert capsys.readouterr().err == expected


def test_full_disk(tmp_path, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fesemlib.micrographs.zeiss, "write_zeiss_tiff", fail)
    assert synthesize(*SMALL, tmp_path / "out.tif") == 1
    assert "out.tif: cannot be written" in capsys.readouterr().err
