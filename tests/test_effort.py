"""Estimates of time, memory and disk, and `fesem check`."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fesemlib.command.cli import main
from fesemlib.command.effort import Probe, estimate, probe, shortages
from fesemlib.dataset import load_dataset
from fesemlib.params import Parameters

pytestmark = pytest.mark.usefixtures("own_build")

SMALL = {"input_width": 64, "evaluation_width": 64, "parallel_jobs": 1, "epochs": 3}


@pytest.fixture
def own_parameters(manifest: Callable[..., Path]) -> Parameters:
    return Parameters(dataset=str(manifest()), **SMALL)  # type: ignore[arg-type]


def test_time_is_folds_times_epochs_times_images(own_parameters: Parameters) -> None:
    data = load_dataset(own_parameters)
    once = estimate(data, own_parameters, Probe(1, 1e-3, 10**9))
    # Three folds of two images; their eight copies are one batch, as the two are.
    assert once.seconds["04"] == pytest.approx(3 * 3 * 2 * 1e-3)
    assert once.seconds["05"] == pytest.approx(3 * 3 * 8 * 1e-3)
    more = own_parameters.model_copy(update={"epochs": 30})
    longer = estimate(data, more, Probe(3, 1e-3, 10**9))
    assert longer.seconds["05"] == pytest.approx(30 * 8 * 1e-3)
    assert longer.bytes_of_memory == 3 * once.bytes_of_memory


def test_copies_are_trained_in_as_many_steps(own_parameters: Parameters) -> None:
    small_batches = own_parameters.model_copy(update={"batch_size": 1, "epochs": 8})
    seconds = estimate(load_dataset(own_parameters), small_batches, Probe(1, 1e-3, 0)).seconds
    assert seconds["05"] == pytest.approx(seconds["04"])


@pytest.mark.parametrize(("number", "trainings"), [(3, 3), (12, 66), (13, 57), (40, 165)])
def test_the_choice_of_the_epoch_grows_no_more_with_the_square(
    manifest: Callable[..., Path], number: int, trainings: int
) -> None:
    path = manifest(*(f"{n},{n}.png,1e-3" for n in range(number)))
    parameters = Parameters(dataset=str(path), **SMALL)  # type: ignore[arg-type]
    found = estimate(load_dataset(parameters), parameters, Probe(1, 1e-3, 0)).seconds
    assert found["07"] == pytest.approx(trainings * 3 * (number - 1) * 1e-3)


def test_what_is_too_little_is_told(own_parameters: Parameters) -> None:
    effort = estimate(load_dataset(own_parameters), own_parameters, Probe(1, 1e-3, 8 * 10**9))
    assert shortages(effort, 4 * 10**9, 10**18) == [
        "8.0 GB of memory are needed and 4.0 GB free: lower parallel_jobs or input_width"
    ]
    assert shortages(effort, 10**18, 10**18) == []
    assert "FESEM_BUILD" in shortages(effort, 10**18, 0)[0]


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
    assert 0 < probed[0].seconds_per_image < 1
    assert 1e8 < probed[0].bytes_of_training < 1e11
    told = capsys.readouterr().out
    assert "sound: 3 micrographs of 3 formulations, 96×64 px" in told
    for part in ("leave-one-out of chapter 04", "chapter 05", "choice of the epoch, chapter 07"):
        assert part in told
    for part in ("memory", "disk", "come on top"):
        assert part in told
    assert "too little" not in told
    monkeypatch.setattr("fesemlib.command.effort.probe", lambda *_: probed[0])
    monkeypatch.setattr("fesemlib.command.effort.free_bytes", lambda: (1_000, 10**18))
    assert main(["check", str(path)]) == 0
    assert re.search(r"too little: .* of memory .* lower parallel_jobs", capsys.readouterr().out)


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
    said = capsys.readouterr().err.splitlines()
    errors = [line for line in said if line.startswith("fesem: error")]
    assert errors[0] == errors[1]
    assert message in errors[0]
