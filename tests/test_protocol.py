"""Choosing the epoch: by errors made by hand, and without sight of the held-out answer."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from conftest import texture

from fesemlib.dataset import Dataset
from fesemlib.evaluation import epochs as protocol
from fesemlib.evaluation.epochs import (
    SELECTIONS,
    best_inner_epochs,
    inner_folds,
    selected_predictions,
    train_for_selection,
)
from fesemlib.micrographs.reading import Micrograph
from fesemlib.params import Parameters
from fesemlib.validation.leave_one_out import COLUMNS, train_splits

# One name is what joins two others.
NAMES = ("batch 1", "batch 2", "batch 1 + batch 2", "5% trehalose")


def dataset_of(names: tuple[str, ...], images_of_first: int = 1) -> Dataset:
    k_m = pd.Series(np.linspace(1e-3, 2e-3, len(names)), index=pd.Index(names, name="formulation"))
    rows = [names[0]] * (images_of_first - 1) + list(names)
    images = pd.DataFrame(
        {
            "formulation": rows,
            "image": [f"{number}.png" for number in range(len(rows))],
            "k_m": k_m.loc[rows].to_numpy(),
        }
    )
    micrographs = tuple(Micrograph(texture(seed, (24, 32))) for seed in range(len(rows)))
    return Dataset(pd.DataFrame({"k_m": k_m}), images, micrographs, False, "")


def pretended(dataset: Dataset, parameters: Parameters, splits) -> pd.DataFrame:
    """In place of training: errors that tell which split and which formulation they are of."""
    rows = [
        (
            " + ".join(split.held_out), name, image, "test", dataset.draw, split.seed,
            split.training_set, epoch, k_m, k_m * (1 + error), error,
        )
        for split in splits
        for name, image, k_m in dataset.images.itertuples(index=False)
        if name in split.held_out
        for epoch in range(1, parameters.epochs + 1)
        for error in [10 * len(split.held_out) + epoch + sum(map(len, split.held_out)) / 1000]
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def runs(errors: dict[tuple[str, str, int], list[float]]) -> pd.DataFrame:
    """Errors along the epochs by held-out formulation (``outer``), predicted one, and seed."""
    rows = [
        (
            outer,
            name,
            name,
            f"{name}.png",
            "test",
            0,
            seed,
            "original",
            epoch,
            1.0,
            1 + error,
            error,
        )
        for (outer, name, seed), along in errors.items()
        for epoch, error in enumerate(along, start=1)
    ]
    return pd.DataFrame(rows, columns=["outer", *COLUMNS])


@pytest.mark.parametrize("number", [3, 4])
def test_every_fold_has_every_other_formulation_within(monkeypatch, number):
    monkeypatch.setattr(protocol, "train_splits", pretended)
    data = dataset_of(NAMES[:number], images_of_first=2)
    outer, inner = train_for_selection(data, Parameters(epochs=2, number_of_seeds=3))
    assert set(outer["held_out"]) == set(NAMES[:number])
    assert (outer["held_out"] == outer["formulation"]).all()
    assert len(outer) == 3 * 2 * (number + 1)
    assert len(inner) == 3 * 2 * (number + 1) * (number - 1)
    assert (inner["outer"] != inner["formulation"]).all()
    for name in NAMES[:number]:
        own = inner[inner["outer"] == name]
        assert set(own["formulation"]) == set(NAMES[:number]) - {name}
    lengths = inner["outer"].map(len) + inner["formulation"].map(len)
    expected = 20 + inner["epoch"] + lengths / 1000
    assert inner["relative_error"].to_numpy() == pytest.approx(expected.to_numpy())


@pytest.mark.parametrize("number", [12, 13, 40])
def test_many_formulations_are_held_out_within_a_fold_in_five_groups(monkeypatch, number):
    """By each fold every other formulation is predicted once, by a training that saw neither."""
    monkeypatch.setattr(protocol, "train_splits", pretended)
    names = tuple(f"{number}" for number in range(number))
    folds = inner_folds(names)
    assert len(folds) == (66 if number == 12 else 4 * number + 5)
    _, inner = train_for_selection(dataset_of(names), Parameters(epochs=1, number_of_seeds=1))
    pairs = list(zip(inner["outer"], inner["formulation"], strict=True))
    assert sorted(pairs) == sorted(permutations(names, 2))
    for held_out, pair in zip(inner["held_out"], pairs, strict=True):
        assert set(pair) <= set(held_out.split(" + "))


def test_two_formulations_leave_none_to_choose_on():
    with pytest.raises(ValueError, match="no formulation is left to train on"):
        train_for_selection(dataset_of(NAMES[:2]), Parameters(epochs=1, input_width=32))


def test_inner_epoch_is_that_of_the_least_mean_over_formulations():
    """B has two images and counts once; of equal errors the earliest counts."""
    inner = runs(
        {
            ("A", "B", 0): [0.9, 0.1, 0.3],
            ("A", "C", 0): [0.9, 0.7, 0.3],
            ("A", "B", 1): [0.2, 0.2, 0.2],
            ("A", "C", 1): [0.4, 0.4, 0.4],
        }
    )
    second = inner[inner["formulation"] == "B"].assign(image="another.png")
    chosen = best_inner_epochs(pd.concat([inner, second, second.assign(image="third.png")]))
    assert chosen.to_dict("list") == {"outer": ["A", "A"], "seed": [0, 1], "epoch": [3, 1]}


def test_inner_epoch_of_diverged_trainings_is_the_first():
    inner = runs({("A", "B", 0): [np.inf, np.inf], ("B", "A", 0): [np.inf, 0.5]})
    assert list(best_inner_epochs(inner)["epoch"]) == [1, 2]


def test_each_selection_takes_its_own_epoch():
    outer = runs({("", "A", 0): [0.5, 0.01, 0.3, 0.4], ("", "A", 1): [0.3, 0.2, 0.1, 0.6]})
    inner = runs({("A", "B", 0): [0.9, 0.8, 0.2, 0.5], ("A", "B", 1): [0.1, 0.2, 0.3, 0.4]})
    selected = selected_predictions(outer.drop(columns="outer"), inner)
    assert list(selected["selection"].unique()) == list(SELECTIONS)
    errors = selected.set_index(["selection", "seed"])["relative_error"]
    assert errors.to_dict() == {
        ("last", 0): 0.4,
        ("last", 1): 0.6,
        ("best_inner", 0): 0.3,
        ("best_inner", 1): 0.3,
        ("best_on_held_out", 0): 0.01,
        ("best_on_held_out", 1): 0.1,
    }


def test_errors_that_know_nothing_shrink_when_the_held_out_one_chooses():
    """Independent errors: the fair choice errs as the last epoch does, the other far less."""
    rng = np.random.default_rng(0)
    names = [str(number) for number in range(30)]
    outer = runs({("", name, 0): list(rng.uniform(size=50)) for name in names})
    inner = runs(
        {
            (name, other, 0): list(rng.uniform(size=50))
            for name in names
            for other in names[:5]
            if other != name
        }
    )
    selected = selected_predictions(outer.drop(columns="outer"), inner)
    mean = selected.groupby("selection")["relative_error"].mean()
    four_errors = 4 * np.sqrt(1 / 12 / 30)
    assert mean["last"] == pytest.approx(0.5, abs=four_errors)
    assert mean["best_inner"] == pytest.approx(0.5, abs=four_errors)
    assert mean["best_on_held_out"] == pytest.approx(1 / 51, abs=0.02)  # least of 50


def by_the_mean(dataset: Dataset, parameters: Parameters, splits) -> pd.DataFrame:
    """In place of a network: from the mean of the others in the first epoch, up and up."""
    table = pretended(dataset, parameters, splits)
    others = [
        dataset.k_m[~dataset.images["formulation"].isin(held_out.split(" + "))].mean()
        for held_out in table["held_out"]
    ]
    predicted = np.array(others) * (0.8 + 0.1 * table["epoch"])
    error = (predicted - table["true_km"]).abs() / table["true_km"]
    return table.assign(predicted_km=predicted, relative_error=error)


def test_the_fair_choice_does_not_depend_on_the_held_out_k_m(monkeypatch):
    monkeypatch.setattr(protocol, "train_splits", by_the_mean)
    data = dataset_of(tuple("ABCDE"))
    changed = data.with_k_m(data.formulations["k_m"].to_numpy() * [5.0, 1.0, 1.0, 1.0, 1.0])
    tables = []
    for each in (data, changed):
        outer, inner = train_for_selection(each, Parameters(epochs=6))
        selected = selected_predictions(outer, inner)
        tables.append(selected[selected["held_out"] == "A"].set_index("selection"))
    before, after = (table[["epoch", "predicted_km"]] for table in tables)
    assert before.loc["best_inner"].equals(after.loc["best_inner"])
    assert not before.loc["best_on_held_out"].equals(after.loc["best_on_held_out"])


def test_trainings_are_those_of_the_rest_of_the_book():
    assert protocol.train_splits is train_splits


@pytest.mark.slow
@pytest.mark.usefixtures("shared_build")
def test_trained_pairs_serve_both_of_their_formulations():
    settings = {"input_width": 32, "epochs": 2, "number_of_seeds": 1, "parallel_jobs": 1}
    outer, inner = train_for_selection(dataset_of(NAMES[:3]), Parameters(**settings))
    assert set(outer["held_out"]) == set(NAMES[:3])
    pairs = sorted(set(zip(inner["outer"], inner["formulation"], strict=True)))
    assert pairs == sorted(permutations(NAMES[:3], 2))
