"""Leave-one-formulation-out: isolation, exactness against plain Keras, caching, bookkeeping."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.dataset import Dataset
from fesemlib.micrographs.reading import Micrograph
from fesemlib.network.architecture import build_network, load_tensorflow
from fesemlib.network.augmentation import TRANSFORMATIONS, augment
from fesemlib.network.engine import TargetScale
from fesemlib.network.inputs import network_inputs
from fesemlib.params import Parameters
from fesemlib.storage import BUILD_FOLDER, digest
from fesemlib.validation import leave_one_out as validation
from fesemlib.validation.errors import at_the_end, errors_of_formulations
from fesemlib.validation.leave_one_out import (
    COLUMNS,
    Split,
    held_out_predictions,
    kept_networks,
    leave_one_formulation_out,
    leave_one_out_splits,
    train_splits,
    training_steps,
    training_summary,
)

pytestmark = pytest.mark.usefixtures("shared_build")

SMALL = Parameters(input_width=32, epochs=4, learning_rate=0.01, number_of_seeds=2, parallel_jobs=1)
OWN_COLUMNS = [name for name in COLUMNS if name != "draw"]  # of micrographs that are no stand-ins
K_M = {"A": 1.9e-3, "B": 1.1e-3, "C": 1.4e-3}


def small_dataset(k_m: dict[str, float] = K_M, images_of_a: int = 2) -> Dataset:
    """Noise of another grain for each formulation; formulation A has several images."""
    rng = np.random.default_rng(0)
    names = ["A"] * images_of_a + [name for name in k_m if name != "A"]
    micrographs = tuple(Micrograph(rng.integers(0, 256, (48, 64)).astype(np.uint8)) for _ in names)
    table = pd.DataFrame(
        {
            "formulation": names,
            "image": [f"{number}.png" for number in range(len(names))],
            "k_m": [k_m[name] for name in names],
        }
    )
    formulations = pd.DataFrame({"k_m": k_m}).rename_axis("formulation")
    content = digest(table.to_dict("list"), *[m.image for m in micrographs])
    return Dataset(formulations, table, micrographs, False, content)


@given(
    st.lists(st.floats(1e-5, 1e-1), min_size=2, max_size=9),
    st.sampled_from(["minmax", "zscore", "raw", "log10"]),
)
def test_target_scales_are_undone(values, target):
    k_m = np.array(values)
    scale = TargetScale.fit(k_m, target)
    assert np.allclose(scale.to_k_m(scale.to_target(k_m)), k_m, rtol=1e-9, atol=1e-15)


def test_target_scales_do_what_their_names_say():
    k_m = np.array([2.8e-4, 9.3e-4, 1.9e-3])
    scaled = {name: TargetScale.fit(k_m, name).to_target(k_m) for name in ("minmax", "zscore")}
    assert scaled["minmax"].min() == 0
    assert scaled["minmax"].max() == pytest.approx(1)
    assert scaled["zscore"].mean() == pytest.approx(0, abs=1e-12)
    assert scaled["zscore"].std() == pytest.approx(1)
    logarithms = TargetScale.fit(k_m, "log10").to_target(k_m)
    ratio = (logarithms[2] - logarithms[1]) / (logarithms[1] - logarithms[0])
    assert ratio == pytest.approx(np.log(1.9e-3 / 9.3e-4) / np.log(9.3e-4 / 2.8e-4))
    assert np.array_equal(TargetScale.fit(k_m, "raw").to_target(k_m), k_m)


def test_equal_targets_do_not_divide_by_zero():
    k_m = np.full(3, 1e-3)
    for target in ("minmax", "zscore", "log10"):
        assert np.all(np.isfinite(TargetScale.fit(k_m, target).to_target(k_m)))


@pytest.mark.slow
def test_table_has_every_prediction_once():
    data = small_dataset()
    table = pd.concat(
        [leave_one_formulation_out(data, SMALL, name) for name in ("original", "augmented")]
    )
    assert list(table.columns) == OWN_COLUMNS
    assert not table.isna().any().any()
    assert not table.duplicated(OWN_COLUMNS[:-3]).any()
    assert set(table["held_out"]) == {"A", "B", "C"}
    assert set(table["seed"]) == {0, 1}
    test, train = (table[table["role"] == role] for role in ("test", "train"))
    assert (test["held_out"] == test["formulation"]).all()
    assert (train["held_out"] != train["formulation"]).all()
    assert set(train["epoch"]) == set(range(1, SMALL.epochs + 1))  # so few are all logged
    # Per training set and seed: A has two images, B and C one; so many are left for training.
    assert len(test) == 2 * 2 * SMALL.epochs * (2 + 1 + 1)
    counts = train.groupby("training_set").size() / SMALL.epochs
    assert counts["original"] == 2 * (2 + 3 + 3)
    assert counts["augmented"] == len(TRANSFORMATIONS) * counts["original"]
    assert np.allclose(
        table["relative_error"], np.abs(table["predicted_km"] / table["true_km"] - 1)
    )


@pytest.mark.slow
def test_training_never_sees_what_is_held_out():
    """Whatever the held-out images and their k_m are, the networks come out the same."""
    data = small_dataset()
    changed = small_dataset({**K_M, "A": 5e-3})
    before = leave_one_formulation_out(data, SMALL, "augmented")
    after = leave_one_formulation_out(changed, SMALL, "augmented")
    fold = [table[table["held_out"] == "A"] for table in (before, after)]
    assert np.array_equal(fold[0]["predicted_km"], fold[1]["predicted_km"])
    others = [table[table["held_out"] == "B"] for table in (before, after)]
    assert not np.allclose(others[0]["predicted_km"], others[1]["predicted_km"], rtol=1e-3)


@pytest.mark.slow
def test_inputs_are_scaled_without_the_held_out_image():
    """Inverted, it changes neither the scale nor what the networks make of their own images."""
    scaled = SMALL.model_copy(update={"input_scaling": "standardised", "number_of_seeds": 1})
    data = small_dataset()
    inverted = [Micrograph(255 - m.image) if n < 2 else m for n, m in enumerate(data.micrographs)]
    changed = replace(data, micrographs=tuple(inverted), digest="inverted")
    fits, others = (
        [
            table[(table["held_out"] == name) & (table["role"] == "train")]["predicted_km"]
            for table in (leave_one_formulation_out(each, scaled) for each in (data, changed))
        ]
        for name in ("A", "B")
    )
    assert np.array_equal(*fits)
    assert not np.allclose(*others, rtol=1e-3)  # where it is trained on


@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_loss_of_each_fold_is_told_while_training(monkeypatch):
    told = []

    @contextmanager
    def watched(*_, **__):
        yield told.append

    monkeypatch.setattr(validation, "progress", watched)
    one_seed = SMALL.model_copy(update={"number_of_seeds": 1})
    table = leave_one_formulation_out(small_dataset(), one_seed)
    train = at_the_end(table[table["role"] == "train"])
    expected = [
        float((((fold["predicted_km"] - fold["true_km"]) / np.ptp(fold["true_km"])) ** 2).mean())
        for _, fold in train.groupby("held_out")
    ]
    assert sorted(told) == pytest.approx(sorted(expected))


@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_one_and_two_jobs_give_the_same_bits(monkeypatch, tmp_path):
    data = small_dataset()
    two = leave_one_formulation_out(data, SMALL.model_copy(update={"parallel_jobs": 2}))
    monkeypatch.setenv(BUILD_FOLDER, str(tmp_path / "other"))
    one = leave_one_formulation_out(data, SMALL.model_copy(update={"parallel_jobs": 1}))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


@pytest.mark.slow
def test_finished_folds_are_not_trained_again(own_build):
    data = small_dataset()
    first = leave_one_formulation_out(data, SMALL)
    folder = own_build / "cache" / "folds"
    written = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert len(written) == 6
    lost = sorted(written)[0]
    lost.unlink()
    again = leave_one_formulation_out(data, SMALL)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    rewritten = {path for path in written if path.stat().st_mtime_ns != written[path]}
    assert rewritten == {lost}


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 5},
        {"learning_rate": 0.02},
        {"target": "zscore"},
        {"padding": "valid"},
        {"first_seed": 7},
        {"input_width": 40},
        {"light_background": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_determines_a_fold_is_in_its_name(own_build, change):
    data = small_dataset()
    parameters = SMALL.model_copy(update={"number_of_seeds": 1, "epochs": 1})
    leave_one_formulation_out(data, parameters)
    before = set((own_build / "cache" / "folds").iterdir())
    leave_one_formulation_out(data, parameters.model_copy(update=change))
    after = set((own_build / "cache" / "folds").iterdir())
    assert len(after) == 2 * len(before)


@pytest.mark.slow
@pytest.mark.parametrize("training_set", ["original", "augmented"])
def test_training_equals_plain_keras(training_set):
    """`model.fit` of the same network on the same images; the batch holds them all."""
    data = small_dataset(images_of_a=1)
    parameters = SMALL.model_copy(
        update={"dropout_rate": 0.0, "number_of_seeds": 1, "epochs": 10, "batch_size": 16}
    )
    ours = leave_one_formulation_out(data, parameters, training_set)

    images = network_inputs(data, parameters)
    keras = load_tensorflow().keras
    weights_seed = np.random.SeedSequence([0, 0]).generate_state(2)[0]
    network = build_network(images.shape[1:], dropout_rate=0.0, seed=int(weights_seed))
    network.compile(keras.optimizers.Adam(parameters.learning_rate), loss="mse")
    train, targets = images[1:], np.array([0.0, 1.0])  # B and C, min–max scaled
    if training_set == "augmented":
        train, targets = augment(train), np.tile(targets, 4)
    network.fit(train[..., None], targets, batch_size=16, epochs=10, verbose=0)
    scaled = network.predict(images[..., None], verbose=0)[:, 0]
    expected = K_M["B"] + scaled * (K_M["C"] - K_M["B"])

    fold = ours[ours["held_out"] == "A"]
    last = fold[(fold["role"] == "test") & (fold["epoch"] == 10)]
    assert last["predicted_km"].item() == pytest.approx(expected[0], rel=1e-4)
    trained = at_the_end(fold[fold["role"] == "train"])["predicted_km"].to_numpy()[:2]
    assert trained == pytest.approx(expected[1:], rel=1e-4)


def test_unknown_training_set_is_refused():
    with pytest.raises(ValueError, match="rotated"):
        leave_one_formulation_out(small_dataset(), SMALL, "rotated")


def table_of(predictions: dict[int, list[float]], role: str = "test") -> pd.DataFrame:
    """A table with one run for each seed: its predictions along the epochs, true value 1."""
    rows = [
        ("B", "B", "b.png", role, 0, seed, "original", epoch, 1.0, value, abs(value - 1))
        for seed, values in predictions.items()
        for epoch, value in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_last_and_best_epoch():
    table = table_of({0: [1.5, 1.01, 1.3], 1: [0.9, 0.7, 0.8]})
    assert list(held_out_predictions(table)["predicted_km"]) == [1.3, 0.8]
    best = held_out_predictions(table, "best_on_held_out").sort_values("seed")
    assert list(best["predicted_km"]) == [1.01, 0.9]


def test_constant_predictions_are_reported():
    dead = table_of({0: [1.0]}, "train").loc[[0] * 8].assign(predicted_km=0.7)
    alive = dead.assign(seed=1, predicted_km=np.linspace(0.5, 1.5, 8))
    table = pd.concat([dead, alive]).assign(true_km=[*np.linspace(0.5, 1.5, 8)] * 2)
    failed = training_summary(table).set_index("seed")
    assert list(failed["collapsed"]) == [True, False]
    assert not failed["diverged"].any()


def test_a_diverged_run_is_reported_and_never_averaged_away():
    alive = (
        table_of({0: [1.0]}, "train")
        .loc[[0] * 8]
        .assign(predicted_km=np.linspace(0.5, 1.5, 8), true_km=np.linspace(0.5, 1.5, 8))
    )
    dead = alive.assign(seed=1, predicted_km=[np.nan] + [1.0] * 7)
    failed = training_summary(pd.concat([alive, dead])).set_index("seed")
    assert list(failed["diverged"]) == [False, True]
    assert not failed["collapsed"].any()


@pytest.mark.slow
def test_a_diverged_training_has_an_infinite_error():
    wild = SMALL.model_copy(
        update={"target": "log10", "learning_rate": 1.0, "dropout_rate": 0.0, "epochs": 30}
    )
    results = leave_one_formulation_out(small_dataset(), wild)
    lost = ~np.isfinite(results["predicted_km"])
    assert lost.any()
    assert np.isinf(results.loc[lost, "relative_error"]).all()
    assert not results["relative_error"].isna().any()
    wildest = results.assign(epoch=1)[lost & (results["role"] == "test")]
    assert np.isinf(errors_of_formulations(wildest)).all()


def test_steps_of_a_training():
    """Formulation A has two of four images: at most three are left."""
    parameters = SMALL.model_copy(update={"epochs": 10, "batch_size": 2})
    assert training_steps(small_dataset(), parameters) == 20


@pytest.mark.slow
@pytest.mark.usefixtures("shared_build")
def test_augmented_set_is_trained_in_as_many_steps():
    """Three images are one batch of eight, their twelve copies two: half the epochs."""
    parameters = SMALL.model_copy(update={"epochs": 6, "number_of_seeds": 1, "batch_size": 8})
    epochs = {
        name: training_summary(leave_one_formulation_out(small_dataset(), parameters, name))
        .set_index("held_out")["epoch"]
        .to_dict()
        for name in ("original", "augmented")
    }
    assert epochs == {
        "original": {"A": 6, "B": 6, "C": 6},
        "augmented": {"A": 6, "B": 3, "C": 3},  # without A, two images are left, and eight copies
    }


# ------------------------------------------------------------------------------------- splits

FOUR = {**K_M, "D": 1.2e-3}
QUICK = SMALL.model_copy(update={"epochs": 2, "number_of_seeds": 1})


def test_leave_one_out_is_a_split_for_each_formulation_and_seed():
    splits = leave_one_out_splits(small_dataset(), SMALL, "augmented")
    assert [(split.seed, split.held_out) for split in splits] == [
        (seed, (name,)) for seed in (0, 1) for name in "ABC"
    ]
    assert {split.training_set for split in splits} == {"augmented"}
    assert [split.keep_network for split in splits] == [True] * 3 + [False] * 3
    assert not any(split.unused for split in splits)


@pytest.mark.slow
def test_pairs_and_unused_formulations_are_not_trained_on(own_build):
    """Neither their images nor their k_m have a say; what is unused is not in the table either."""
    data = small_dataset(FOUR)
    splits = [Split(("A", "C")), Split(("C", "A")), Split(("B",), unused=("D",)), Split(("B",))]
    before = train_splits(data, QUICK, splits)
    pair = before[before["held_out"] == "A + C"]
    assert list(pair.columns) == OWN_COLUMNS
    test = pair[pair["role"] == "test"]
    assert test["formulation"].value_counts().to_dict() == {"A": 4, "C": 2}  # A has two images
    assert set(pair.loc[pair["role"] == "train", "formulation"]) == {"B", "D"}
    turned = before[before["held_out"] == "C + A"]
    assert np.array_equal(turned["predicted_km"], pair["predicted_km"])
    both = before[before["held_out"] == "B"]
    apart, whole = both[:8], both[8:]  # at each of two epochs, one held out and three of others
    assert set(apart["formulation"]) == {"A", "B", "C"}
    assert set(whole["formulation"]) == set(FOUR)
    assert len(list((own_build / "cache" / "folds").glob("*.npz"))) == 3

    changed = small_dataset({**FOUR, "A": 9e-3, "C": 1e-4})
    after = train_splits(changed, QUICK, splits[:1])
    assert np.array_equal(after["predicted_km"], pair["predicted_km"])
    without_d = train_splits(small_dataset({**FOUR, "D": 9e-3}), QUICK, splits[2:3])
    assert np.array_equal(without_d["predicted_km"], apart["predicted_km"])


@pytest.mark.slow
def test_what_is_unused_might_as_well_not_be_there():
    """The last formulation of the set, so that the positions of the others stay."""
    unused = train_splits(small_dataset(FOUR), QUICK, [Split(("B",), "augmented", unused=("D",))])
    absent = train_splits(small_dataset(K_M), QUICK, [Split(("B",), "augmented")])
    pd.testing.assert_frame_equal(unused, absent, check_exact=True)


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (Split(("A", "Z")), "Z: no formulation of this data set"),
        (Split(("A",), unused=("Y", "Z")), "Y, Z: no formulation"),
        (Split(("A", "B", "C")), "A . B . C held out: no formulation is left"),
        (Split(("A",), unused=("B", "C")), "no formulation is left to train on"),
        (Split(("A",), "rotated"), "training_set = 'rotated'"),
    ],
)
def test_impossible_split_is_refused_before_anything_is_trained(own_build, split, words):
    with pytest.raises(ValueError, match=words):
        train_splits(small_dataset(), QUICK, [Split(("A",)), split])
    assert not list(own_build.glob("cache/folds/*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head": "global_average"},
        {"input_scaling": "standardised", "limit_first_step": True, "learning_rate": 0.05},
    ],
)
def test_kept_network_predicts_what_the_table_says(own_build, changes):
    """Trained without being kept, then with it; then read from the files."""
    data = small_dataset()
    parameters = QUICK.model_copy(update={"target": "zscore", **changes})
    table = train_splits(data, parameters, [Split(("B",))])
    split = Split(("B",), keep_network=True)
    network = kept_networks(data, parameters, [split])[0]
    images = network_inputs(data, parameters)
    expected = table[(table["epoch"] == QUICK.epochs)].set_index("image")["predicted_km"]
    predicted = network.predict(images)
    assert predicted == pytest.approx(expected.loc[list(data.images["image"])], rel=1e-4)
    many = network.predict(np.concatenate([images] * 17))  # more than a batch
    assert many == pytest.approx(np.tile(predicted, 17), rel=1e-5)
    written = {path: path.stat().st_mtime_ns for path in own_build.glob("cache/folds/*")}
    again = kept_networks(data, parameters, [split])[0]
    assert np.array_equal(again.predict(images), predicted)
    assert written == {path: path.stat().st_mtime_ns for path in own_build.glob("cache/folds/*")}


@pytest.mark.slow
def test_kept_network_is_scaled_without_the_held_out_k_m():
    changed = small_dataset({**K_M, "B": 7e-3})
    split = Split(("B",), keep_network=True)
    scales = [kept_networks(data, QUICK, [split])[0].scale for data in (small_dataset(), changed)]
    assert scales[0] == scales[1] == TargetScale.fit(np.array([1.9e-3, 1.4e-3]), "minmax")


@pytest.mark.slow
def test_kept_network_has_the_dropout_of_the_parameters():
    changes = {"dropout_rate": 0.25, "dropout_position": "flatten"}
    (network,) = kept_networks(
        small_dataset(), QUICK.model_copy(update=changes), [Split(("B",), keep_network=True)]
    )
    names = [layer.name for layer in network.model.layers]
    dropout = next(layer for layer in network.model.layers if "dropout" in layer.name)
    assert dropout.rate == 0.25
    assert names.index(dropout.name) == names.index("flatten") + 1
