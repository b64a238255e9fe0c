"""The error against the number of formulations: nested training sets, a test set of its own."""

import numpy as np
import pytest
from written_tables import written

from fesemlib.dataset import draw_stand_ins
from fesemlib.evaluation import learning_curve as curves
from fesemlib.evaluation.learning_curve import AVERAGED, MEDIAN, NETWORK, RIDGE
from fesemlib.formulations import table1
from fesemlib.pages.figures.sensitivity import learning_curve_figure
from fesemlib.pages.tables.sensitivity import show_learning_curve
from fesemlib.params import ParameterError, Parameters
from fesemlib.predictors.known import Known, Seen
from fesemlib.predictors.listing import predictor_named

SHAPE = (96, 128)
SIZES = [5, 8]
CRITERION = 0.2


@pytest.fixture(scope="module", autouse=True)
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESEM_BUILD", str(folder))
        yield folder


@pytest.fixture(scope="module")
def stand_ins():
    return curves.draw_training_and_test(8, [0, 3], SHAPE)


@pytest.fixture(scope="module")
def results(stand_ins):
    parameters = Parameters(
        epochs=100, longer_training=3, training_criterion=CRITERION, learning_rate=1e-3,
        batch_size=6, averaging_epochs=2, evaluation_width=64, parallel_jobs=1,
    )  # fmt: skip
    return curves.learning_curve(stand_ins, SIZES, parameters)


# ------------------------------------------------------------------------------------- stand-ins


def test_range_of_drawn_stand_ins_can_be_given():
    drawn = draw_stand_ins(8, 1, (96, 128), (1e-3, 2e-3))
    assert 1e-3 <= drawn.k_m.min() < 1.3e-3
    assert 1.5e-3 < drawn.k_m.max() <= 2e-3


def test_thirty_are_tested_inside_and_outside_of_the_training_range(stand_ins):
    low, high = stand_ins.k_m_range
    k_m = stand_ins.dataset.formulations["k_m"]
    assert len(stand_ins.test) == 30
    inside = [name for name, region in stand_ins.test.items() if region == "inside"]
    outside = [name for name, region in stand_ins.test.items() if region == "outside"]
    assert len(inside) == len(outside) == 15
    assert k_m[inside].between(low, high).all()
    assert not k_m[outside].between(low, high).any()
    assert (k_m[outside] < low).any()
    assert (k_m[outside] > high).any()
    table = table1()["k_m"]
    assert k_m.between(table.min() * (1 - 1e-9), table.max() * (1 + 1e-9)).all()
    assert np.log(high / low) == pytest.approx(curves.MIDDLE * np.log(table.max() / table.min()))


def test_training_sets_lie_in_the_range_and_apart_from_the_test_set(stand_ins):
    low, high = stand_ins.k_m_range
    k_m = stand_ins.dataset.formulations["k_m"]
    first, second = stand_ins.training.values()
    assert len(first) == len(second) == 8
    assert not set(first) & set(second)
    assert not {*first, *second} & set(stand_ins.test)
    assert k_m[[*first, *second]].between(low, high).all()
    images = [micrograph.image.tobytes() for micrograph in stand_ins.dataset.micrographs]
    assert len(set(images)) == len(images) == 30 + 2 * 8


def test_names_and_values_stay_together(stand_ins):
    images = stand_ins.dataset.images
    assert images["formulation"].is_unique
    known = images["formulation"].map(stand_ins.dataset.formulations["k_m"])
    assert (known == images["k_m"]).all()
    again = draw_stand_ins(curves.INSIDE, curves._TEST_SEED, SHAPE, stand_ins.k_m_range)
    for own, made in zip(stand_ins.dataset.micrographs, again.micrographs, strict=False):
        assert (own.image == made.image).all()


# --------------------------------------------------------------------------------------- results


@pytest.mark.slow
def test_every_predictor_predicts_the_whole_test_set_at_every_size_and_draw(stand_ins, results):
    assert set(results["predictor"]) == {NETWORK, AVERAGED, RIDGE, MEDIAN}
    tested = results[results["region"] != "training"]
    for _, part in tested.groupby(["predictor", "size", "draw"]):
        assert sorted(part["held_out"]) == sorted(stand_ins.test)
        assert np.isfinite(part["predicted_km"]).all()
    assert tested.groupby(["predictor", "size", "draw"]).ngroups == 4 * len(SIZES) * 2
    trained = results[results["region"] == "training"]
    for (_, size, draw), part in trained.groupby(["predictor", "size", "draw"]):
        assert set(part["held_out"]) == set(stand_ins.training[draw][:size])
    assert set(trained["predictor"]) == {NETWORK, AVERAGED}
    error = (results["predicted_km"] - results["true_km"]).abs() / results["true_km"]
    assert results["relative_error"].to_numpy() == pytest.approx(error.to_numpy())


@pytest.mark.slow
def test_error_of_the_median_by_hand(stand_ins, results):
    k_m = stand_ins.dataset.formulations["k_m"]
    inside = [name for name, region in stand_ins.test.items() if region == "inside"]
    for size in SIZES:
        guess = np.median(k_m[list(stand_ins.training[3][:size])])
        wanted = np.mean(np.abs(guess - k_m[inside]) / k_m[inside])
        curve = curves.curve_of(results).set_index(["predictor", "region", "size", "draw"])
        assert curve.loc[(MEDIAN, "inside", size, 3), "mean"] == pytest.approx(wanted)


def test_without_a_network_the_first_stand_ins_of_a_draw_are_all_that_is_known(stand_ins):
    """The median by hand, and the ridge by fits that were never handed the test set."""
    parameters = Parameters(parallel_jobs=1)
    table = curves._without_network(stand_ins, [6], parameters)
    assert list(table["predictor"].unique()) == [MEDIAN, RIDGE]
    known, ridge = Known.of(stand_ins.dataset, parameters), predictor_named(RIDGE)
    for draw, training in stand_ins.training.items():
        own = table[table["draw"] == draw].set_index(["predictor", "held_out"])["predicted_km"]
        train = np.isin(known.formulations, training[:6])
        assert own[MEDIAN].to_numpy() == pytest.approx(np.median(known.k_m[train]))
        learned = ridge.fit(known.only(train))
        assert list(own[RIDGE].index) == list(stand_ins.test)
        for name in list(stand_ins.test)[::6]:
            (measures,) = (row for _, row in known.measures[known.formulations == name].iterrows())
            assert own[RIDGE, name] == pytest.approx(ridge.predict(learned, Seen(measures)))


def test_networks_train_on_the_first_stand_ins_of_their_draw_alone(stand_ins, monkeypatch):
    """What the splits leave for training, whatever the network makes of it."""
    seen = []

    def spy(dataset, _parameters, splits):
        for split in splits:
            left = set(dataset.formulations.index) - {*split.held_out, *split.unused}
            seen.append((split.seed, split.to_criterion, left, set(split.held_out)))
        raise InterruptedError

    monkeypatch.setattr(curves, "train_splits", spy)
    for size in SIZES:
        with pytest.raises(InterruptedError):
            curves._by_network(stand_ins, NETWORK if size == 5 else AVERAGED, size, Parameters())
    assert [each[:2] for each in seen] == [(0, True), (3, True), (0, False), (3, False)]
    for seed, _, left, held_out in seen[:2]:
        assert left == set(stand_ins.training[seed][:5])
        assert held_out == set(stand_ins.test)
    for (seed, _, fewer, _), (_, _, more, _) in zip(seen[:2], seen[2:], strict=True):
        assert fewer < more == set(stand_ins.training[seed])


@pytest.mark.slow
def test_paper_s_network_ends_at_the_criterion_and_the_other_after_its_own_epochs(results):
    """Eight images make two batches of six: twice as many steps as epochs."""
    curve = curves.curve_of(results)
    trained = curve[curve["region"] == "training"].set_index("predictor")
    assert (trained.loc[NETWORK, "mean"] <= CRITERION).all()
    assert (trained.loc[NETWORK, "steps"] < 2 * 3 * 100).all()
    averaged = trained.loc[AVERAGED].groupby("size")["steps"].agg(list)
    assert averaged.to_dict() == {5: [2, 2], 8: [4, 4]}
    assert curve[curve["predictor"] == RIDGE]["steps"].isna().all()


@pytest.mark.parametrize("sizes", [[], [4], [9, 1001], [9.5], 9])
def test_sizes_that_make_no_curve_are_refused(sizes):
    with pytest.raises(ParameterError, match="learning_curve_sizes"):
        Parameters.from_namespace({"learning_curve_sizes": sizes})


# ------------------------------------------------------------------------------------------- page


@pytest.mark.slow
def test_table_and_figure_show_all_predictors(results):
    curve = curves.curve_of(results)
    shown = written(show_learning_curve(curve))
    assert list(shown.index) == [
        f"{predictor}, {size}" for predictor in (MEDIAN, RIDGE, NETWORK, AVERAGED) for size in SIZES
    ]
    assert (shown.loc[f"{MEDIAN}, 5", "training"] == "—").all()
    assert shown.loc[f"{AVERAGED}, 8", ("training", "steps")] == "4"
    assert "—" not in shown[["inside", "outside"]].to_numpy()
    figure = learning_curve_figure(curve)
    assert [axes.get_title(loc="left")[:6] for axes in figure.axes] == ["inside", "outsid"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["5", "8"]
