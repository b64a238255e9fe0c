"""Estimates of time, memory and disk, and `fesem check`."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fesemlib.command.cli import main
from fesemlib.command.effort import Probe, estimate, planned_trainings, probe
from fesemlib.dataset import load_dataset
from fesemlib.params import Parameters

pytestmark = pytest.mark.usefixtures("own_build")

SMALL = {"input_width": 64, "evaluation_width": 64, "parallel_jobs": 1, "epochs": 3}


@pytest.fixture
def own_parameters(manifest: Callable[..., Path]) -> Parameters:
    return Parameters(dataset=str(manifest()), **SMALL)  # type: ignore[arg-type]


def test_folds_are_counted_for_any_number_of_formulations(own_parameters: Parameters) -> None:
    planned = planned_trainings(load_dataset(own_parameters), own_parameters)
    first = {kind.chapter: kind for kind in reversed(planned)}
    assert first["04_loocv_baseline"].folds == 3
    assert first["04_loocv_baseline"].images == 2
    assert first["05_loocv_augmented"].images == 8


def test_time_is_epochs_times_images_times_pixels(own_parameters: Parameters) -> None:
    data = load_dataset(own_parameters)
    once = estimate(data, own_parameters, Probe(0.0, 0.0, 1e-6, 10**9))
    assert once.seconds["05_loocv_augmented"] == pytest.approx(3 * 3 * 8 * 64 * 43 * 1e-6)
    more = own_parameters.model_copy(update={"epochs": 30, "parallel_jobs": 3})
    longer = estimate(data, more, Probe(0.0, 0.0, 1e-6, 10**9))
    assert longer.seconds["05_loocv_augmented"] == pytest.approx(30 * 8 * 64 * 43 * 1e-6)
    assert longer.bytes_of_memory == 3 * once.bytes_of_memory


@pytest.mark.slow
def test_check_tells_what_is_sound_and_what_it_takes(
    manifest: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = manifest().with_name("mine.yml")
    path.write_text("dataset: manifest.csv\n" + "".join(f"{k}: {v}\n" for k, v in SMALL.items()))
    probed = []
    monkeypatch.setattr(
        "fesemlib.command.effort.probe", lambda *of: probed.append(probe(*of)) or probed[0]
    )
    assert main(["check", str(path)]) == 0
    assert 0 < probed[0].seconds_per_pixel < 1e-4
    assert probed[0].seconds_to_start >= 0
    assert math.isfinite(probed[0].seconds_to_compile)
    assert 1e8 < probed[0].bytes_of_training < 1e11
    told = capsys.readouterr().out
    assert "sound: 3 micrographs of 3 formulations, 96×64 px" in told
    for part in ("trainings of 04_loocv_baseline", "memory", "disk", "comes on top"):
        assert part in told
    assert "too little" not in told
    monkeypatch.setattr("fesemlib.command.effort.probe", lambda *_: probed[0])
    monkeypatch.setattr("fesemlib.command.cli._free_bytes", lambda: (1_000, 10**18))
    assert main(["check", str(path)]) == 0
    assert re.search(
        r"too little: \S+ GB of memory .* lower parallel_jobs", capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [("epochs: 0", "epochs = 0 is not allowed"), ("input_width: 512", "input_width = 512 px")],
)
def test_check_refuses_what_the_book_refuses(
    manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str],
    change: str, message: str,
) -> None:  # fmt: skip
    path = manifest().with_name("mine.yml")
    path.write_text(f"dataset: manifest.csv\n{change}\n")
    assert main(["check", str(path)]) == 2
    assert main(["book", str(path)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == errors[1]
    assert message in errors[0]
