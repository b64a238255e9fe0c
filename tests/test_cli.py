"""The command as a whole: what it tells of itself, how it ends."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fesemlib.command.cli import fesem, main


def test_help_waits_for_nothing() -> None:
    code = (
        "import sys\n"
        "from fesemlib.command.cli import fesem, main\n"
        "for command in ('', *fesem.commands):\n"
        "    assert main([*command.split(), '--help']) == 0\n"
        "assert not {'tensorflow', 'numpy', 'pandas', 'pydantic', 'yaml'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("command", fesem.commands)
def test_each_command_shows_how_it_is_used(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "-h"]) == 0
    told = capsys.readouterr().out
    assert f"Usage: fesem {command}" in told
    assert f"Examples:\n    fesem {command}" in told


@pytest.mark.parametrize("arguments", [[], ["bake"], ["book", "--fast"], ["predict", "model"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Usage: fesem" in capsys.readouterr().err


def test_interruption_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fesemlib.command.cache.entries", interrupt)
    assert main(["clean"]) == 130
    assert "fesem: interrupted; what was not removed is kept" in capsys.readouterr().err


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, Path]]:
    """What `fesem train` hands to the writer of Keras files, without any training."""
    written: list[tuple[object, Path]] = []
    errors = {"error": 0.2, "relative_error": 0.2, "skill": 0.5, "informed": True, "finding": ""}
    card = SimpleNamespace(data="3 micrographs", predictor="the paper's network", **errors)
    model = SimpleNamespace(card=card, networks=[1], half_width=1)
    model.save = lambda *_: model
    monkeypatch.setattr("fesemlib.prediction.model.train_model", lambda *_: model)
    monkeypatch.setattr(
        "fesemlib.prediction.folder.write_keras", lambda *of: written.append(of), raising=False
    )
    return written


def train(manifest: Path, *options: object) -> int:
    small = ["-p", "dataset", manifest, "-p", "input_width", 64]
    return main(["train", *map(str, [*small, "-o", manifest.with_name("model"), *options])])


@pytest.mark.usefixtures("own_build")
def test_train_writes_a_keras_file_where_one_is_asked_for(
    manifest: Callable[..., Path], trained: list[tuple[object, Path]]
) -> None:
    file = manifest().with_name("model.keras")
    assert train(manifest()) == 0
    assert trained == []
    assert train(manifest(), "--keras", file) == 0
    assert [path for _, path in trained] == [file]


@pytest.mark.usefixtures("own_build")
def test_wrong_keras_file_ends_before_any_training(
    manifest: Callable[..., Path],
    trained: list[tuple[object, Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = manifest().with_name("model.keras")
    assert train(manifest(), "--keras", file.with_suffix(".h5")) == 2
    assert "model.h5: what is written is a Keras file; give a name" in capsys.readouterr().err
    file.touch()
    assert train(manifest(), "--keras", file) == 2
    assert "model.keras: exists; choose another name, or add --force" in capsys.readouterr().err
    assert trained == []
