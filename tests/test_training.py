"""The training step: exactness against plain Keras, ties, and randomness that keeps no state."""

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from loky import get_reusable_executor

from fesemlib.network.architecture import build_network, load_tensorflow
from fesemlib.network.engine import Engine, InputScale, Settings, logged_epochs, train_fold
from fesemlib.network.fast import FastForm, StandardForm, executable_form
from fesemlib.params import Parameters


def altered(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update=changes)


SETTINGS = altered(Settings.of(Parameters()), epochs=4, batch_size=3, learning_rate=1e-3)

# Even sides, and sides of which pooling drops a row or a column in every block.
SHAPES = [(32, 48), (37, 47)]


@pytest.fixture(scope="module")
def worker():
    """A process of its own, in which TensorFlow is set to one thread before it is used."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def images_of(shape: tuple[int, int], number: int = 5) -> np.ndarray:
    return np.random.default_rng(0).random((number, *shape), dtype=np.float32)


def flat_images(shape: tuple[int, int]) -> np.ndarray:
    """Black, white, one grey, two flat halves, stripes, squares, and a flat patch in noise."""
    images = np.zeros((7, *shape), np.float32)
    images[1] = 1
    images[2] = 0.4
    images[3, :, shape[1] // 2 :] = 0.7
    images[4, ::2] = 0.5
    images[5] = np.indices(shape).sum(axis=0) // 6 % 2
    images[6] = images_of(shape, 1)[0]
    images[6, 6:26, 6:30] = 0.3
    return images


def gradients(network, predict, images):
    """Of a function of the outputs in which no image counts like another."""
    tensorflow = load_tensorflow()
    factors = np.linspace(-1, 2, len(images), dtype=np.float32)[:, np.newaxis]
    with tensorflow.GradientTape() as tape:
        outcome = tensorflow.reduce_sum(predict(images) * factors)
    return [gradient.numpy() for gradient in tape.gradient(outcome, network.trainable_variables)]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("make", [images_of, flat_images])
def test_fast_form_has_keras_outputs_and_gradients(shape, padding, make):
    """On flat images, too, where several numbers of a window are its maximum."""
    images = make(shape)
    network = build_network(shape, padding, dropout_rate=0.0, seed=1)
    rng = np.random.default_rng(2)  # biases of both signs, so that blocks are silent in part
    network.set_weights([w + 0.05 * rng.normal(size=w.shape) for w in network.get_weights()])
    fast = FastForm(network)
    predict = load_tensorflow().function(lambda images: fast(images))
    expected = gradients(network, network, images[..., np.newaxis])
    found = gradients(network, predict, fast.prepare(images))
    outputs = predict(fast.prepare(images)).numpy()
    assert np.allclose(outputs, network(images[..., np.newaxis]).numpy(), rtol=1e-5)
    for ours, keras in zip(found, expected, strict=True):
        assert np.abs(keras).max() > 0
        assert np.allclose(ours, keras, rtol=1e-4, atol=1e-5 * np.abs(keras).max())


@pytest.mark.slow
def test_first_of_equal_maxima_takes_the_gradient():
    """Whole numbers, so that sums are exact: windows differ and their maxima tie all the same."""
    shape = (32, 32)
    images = np.random.default_rng(3).integers(0, 3, (4, *shape)).astype(np.float32)
    network = build_network(shape, dropout_rate=0.0, seed=1)
    weights = network.get_weights()
    rng = np.random.default_rng(4)
    for number in range(6):
        weights[number] = rng.integers(-1, 2, weights[number].shape).astype(np.float32)
    network.set_weights(weights)
    fast = FastForm(network)
    expected = gradients(network, network, images[..., np.newaxis])
    found = gradients(network, lambda prepared: fast(prepared), fast.prepare(images))
    for ours, keras in zip(found, expected, strict=True):
        assert np.abs(keras).max() > 0
        assert np.allclose(ours, keras, rtol=1e-4, atol=1e-5 * np.abs(keras).max())


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_losses_follow_plain_keras(padding):
    """Twenty steps of `train_on_batch` on the same batches, without dropout."""
    keras = load_tensorflow().keras
    images, targets = images_of((37, 47), 6), np.linspace(0, 1, 6, dtype=np.float32)[:, np.newaxis]
    settings = altered(SETTINGS, padding=padding, dropout_rate=0.0)
    model = build_network((37, 47), padding, dropout_rate=0.0, seed=7)
    model.compile(keras.optimizers.Adam(settings.learning_rate), loss="mse")
    engine = Engine((37, 47), settings)
    engine.start(seed=7)
    prepared = engine.form.prepare(images)
    found, expected = [], []
    for epoch in range(10):
        order = np.random.default_rng(epoch).permutation(6)
        found.extend(engine.run_epochs(prepared, targets, [order], epoch, dropout_seed=0)[0][0])
        for batch in (order[:3], order[3:]):
            expected.append(model.train_on_batch(images[batch, ..., np.newaxis], targets[batch]))
    assert len(found) == 20
    assert found == pytest.approx([float(loss) for loss in expected], rel=1e-4)
    trained = model.predict(images[..., np.newaxis], verbose=0)[:, 0]
    assert engine.predict(prepared) == pytest.approx(trained, rel=1e-3)


def trainings(*kinds):
    """Folds of some settings and seeds, one after another in the same process."""
    images, k_m, test = images_of((32, 48)), np.linspace(1e-3, 2e-3, 5), np.arange(5) == 0
    return [
        train_fold(images, k_m, test, settings, ("original",), np.random.SeedSequence(seed))
        for settings, seed in kinds
    ]


@pytest.mark.slow
@pytest.mark.parametrize("between", [{"epochs": 5}, {"target": "log10"}, {"dropout_rate": 0.1}])
def test_a_used_engine_trains_as_a_new_one(worker, between):
    """Folds of one kind share an engine: nothing of the fold before may be left in it."""
    kinds = [(SETTINGS, 1), (altered(SETTINGS, **between), 1), (SETTINGS, 1), (SETTINGS, 2)]
    first, changed, again, other = worker.submit(trainings, *kinds).result()
    assert changed.test.shape != first.test.shape or np.all(changed.test[-1] != first.test[-1])
    assert np.array_equal(first.test, again.test)
    assert np.array_equal(first.train, again.train)
    assert not np.allclose(first.test, other.test, rtol=1e-3)


def orders_of(seeds):
    """The orders in which folds of some seeds show their four images, epoch by epoch."""
    orders, run_epochs = [], Engine.run_epochs

    def spy(engine, images, targets, given, *others):
        orders.extend(np.asarray(given).tolist())
        return run_epochs(engine, images, targets, given, *others)

    Engine.run_epochs = spy
    try:
        trainings(*((altered(SETTINGS, epochs=8), seed) for seed in seeds))
    finally:
        Engine.run_epochs = run_epochs
    return [orders[start : start + 8] for start in range(0, len(orders), 8)]


@pytest.mark.slow
def test_order_of_the_images_changes_from_epoch_to_epoch_and_follows_from_the_seed(worker):
    one, same, other = worker.submit(orders_of, (1, 1, 2)).result()
    assert all(sorted(order) == [0, 1, 2, 3] for order in one)
    assert len({tuple(order) for order in one}) > 2
    assert one == same
    assert one != other


@pytest.mark.slow
def test_every_step_drops_other_units():
    """Of a network that learns nothing and is shown one image, only dropout moves the error."""
    engine = Engine((32, 48), altered(SETTINGS, learning_rate=0.0, batch_size=1))
    engine.start(seed=1)
    engine.form.network.get_layer("dense").bias.assign(np.full(10, 0.5))  # all units are alive
    images = engine.form.prepare(np.tile(images_of((32, 48), 1), (8, 1, 1)))
    targets = np.zeros((8, 1), np.float32)
    first, again, second, other = (
        engine.run_epochs(images, targets, [np.arange(8)], epoch, dropout_seed=seed)[0][0]
        for epoch, seed in ((0, 9), (0, 9), (1, 9), (0, 10))
    )
    assert len({*first, *second}) > 12  # of 16 steps, each with five of ten units or so
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.slow
def test_epochs_together_give_the_bits_of_epochs_apart(worker):
    """And the predictions after each of them are those of the network at that time."""
    together, apart = worker.submit(epochs_together_and_apart).result()
    for one, other in zip(together, apart, strict=True):
        assert np.array_equal(one, other)
    assert len({*together[1][:, 0]}) == 5


def epochs_together_and_apart():
    images, targets = images_of((32, 48)), np.linspace(0, 1, 5, dtype=np.float32)[:, np.newaxis]
    orders = np.array([np.random.default_rng(epoch).permutation(5) for epoch in range(5)])
    found = []
    for parts in ([orders], [[order] for order in orders]):
        engine = Engine((32, 48), altered(SETTINGS, learning_rate_schedule="cosine"))
        engine.start(seed=1)
        prepared = engine.form.prepare(images)
        epoch, errors, predictions = 0, [], []
        for part in parts:
            trained = engine.run_epochs(prepared, targets, part, epoch, 9, prepared[:2], 5)
            epoch += len(part)
            errors.append(trained[0])
            predictions.append(trained[1])
        parts_joined = np.concatenate(errors), np.concatenate(predictions)
        found.append((*parts_joined, engine.predict(prepared)))
    assert np.allclose(found[0][1][-1], found[0][2][:2], rtol=1e-5)
    return found


@pytest.mark.slow
def test_cosine_schedule_is_that_of_keras():
    keras = load_tensorflow().keras
    images, targets = images_of((32, 48), 3), np.array([[0.0], [0.5], [1.0]], np.float32)
    settings = altered(SETTINGS, dropout_rate=0.0, learning_rate_schedule="cosine")
    model = build_network((32, 48), dropout_rate=0.0, seed=7)
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, decay_steps=10)
    model.compile(keras.optimizers.Adam(rate), loss="mse")
    expected = [float(model.train_on_batch(images[..., None], targets)) for _ in range(10)]
    engine = Engine((32, 48), settings)
    engine.start(seed=7)
    orders = [np.arange(3)] * 10
    errors, _ = engine.run_epochs(engine.form.prepare(images), targets, orders, 0, 0, last=10)
    assert errors[:, 0] == pytest.approx(expected, rel=1e-4)


# ---------------------------------------------------------------------------------------- inputs


@pytest.mark.parametrize("scaling", ["unit", "centred", "standardised"])
def test_inputs_are_scaled_by_the_training_fold(scaling):
    train, other = images_of((24, 32)), 3 * images_of((24, 32), 2)
    scale = InputScale.fit(train, altered(SETTINGS, input_scaling=scaling))
    mean, deviation = train.mean(), train.std()
    expected = {
        "unit": other, "centred": other - mean, "standardised": (other - mean) / deviation
    }  # fmt: skip
    assert scale.of(other) == pytest.approx(expected[scaling], abs=1e-5)


def test_a_limited_first_step_shrinks_wide_inputs_only():
    """At 64 px a unit has 768 inputs, at 512 px 49,152: times 1e-3, below one and about 49."""
    settings = altered(SETTINGS, limit_first_step=True)
    factors = [
        InputScale.fit(np.zeros((1, side * 3 // 4, side), np.float32), settings).factor
        for side in (64, 512)
    ]
    assert factors == pytest.approx([1.0, 49.152**-0.5])


# ------------------------------------------------------------------------------------ criterion


def test_logged_epochs_are_increasing_and_end_with_the_last():
    for epochs in (1, 7, 1200, 100_000):
        logged = logged_epochs(epochs)
        assert logged[0] == 1
        assert logged[-1] == epochs
        assert (np.diff(logged) > 0).all()
        assert len(logged) <= 50


@pytest.mark.slow
def test_a_training_to_the_criterion_is_the_beginning_of_the_whole_one(worker):
    """It ends where the mean relative error on the training images first falls below it."""
    long = altered(SETTINGS, epochs=60, dropout_rate=0.0)
    whole = worker.submit(trainings, (long, 1)).result()[0]
    k_m = np.linspace(1e-3, 2e-3, 5)[1:]
    errors = (np.abs(whole.train - k_m) / k_m).mean(axis=1)
    criterion = float(np.sort(errors)[3])  # of those that are reached on the way
    ended = worker.submit(trainings, (altered(long, stop_at=criterion), 1)).result()[0]
    last = int(np.flatnonzero(errors <= criterion)[0])
    assert 0 < last < len(errors) - 1
    assert ended.logged.tolist() == whole.logged[: last + 1].tolist()
    assert np.array_equal(ended.train, whole.train[: last + 1])
    assert np.array_equal(ended.test, whole.test[: whole.logged[last]])


@pytest.mark.slow
def test_a_killed_worker_leaves_no_temporary_file(tmp_path):
    """TensorFlow's translator of loops writes some, and removes them at a regular end only."""
    worker = get_reusable_executor(1, reuse=False, env={"TMPDIR": str(tmp_path)})
    assert worker.submit(trainings, (SETTINGS, 1)).result()
    worker.shutdown(kill_workers=True)
    assert not list(tmp_path.iterdir())


def variables_after(settings, epochs, start=None):
    """The engine's variables after some epochs, from given ones or from the beginning."""
    images, targets = images_of((32, 48)), np.linspace(0, 1, 5, dtype=np.float32)[:, np.newaxis]
    engine = Engine((32, 48), settings)
    engine.start(seed=1)
    if start is not None:
        for variable, value in zip(engine.variables, start, strict=True):
            variable.assign(value)
    for epoch in epochs:
        order = np.random.default_rng([8, epoch]).permutation(5)
        engine.run_epochs(engine.form.prepare(images), targets, [order], epoch, dropout_seed=9)
    return [variable.numpy() for variable in engine.variables]


@pytest.mark.slow
@pytest.mark.parametrize("position", ["dense", "flatten"])
def test_training_resumed_in_the_middle_gives_the_same_bits(worker, position):
    """From the variables alone: order and dropout follow from seed, epoch and step."""
    settings = altered(SETTINGS, dropout_position=position)
    whole, half = (
        worker.submit(variables_after, settings, range(epochs)).result() for epochs in (4, 2)
    )
    resumed = worker.submit(variables_after, settings, range(2, 4), half).result()
    assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))
    assert not np.array_equal(whole[0], half[0])
    repeated = worker.submit(variables_after, settings, [2, 2], half).result()
    assert not np.array_equal(whole[0], repeated[0])  # the number of the epoch matters


@pytest.mark.slow
@pytest.mark.parametrize("form", [FastForm, StandardForm])
@pytest.mark.parametrize("position", ["dense", "flatten"])
def test_dropout_follows_from_its_seed(form, position):
    """Units are dropped at the given rate, and the others scaled so that the mean stays."""
    network = build_network((32, 48), dropout_rate=0.3, dropout_position=position, seed=1)
    images = np.tile(images_of((32, 48), 1), (500, 1, 1))
    trained = form(network)
    prepared = trained.prepare(images)
    network.get_layer("dense").bias.assign(np.full(10, 0.5))  # all units are alive: linear
    whole = trained(prepared).numpy()[:, 0]
    some, same, others = (
        trained(prepared, seed).numpy()[:, 0] for seed in ((1, 5), (1, 5), (1, 6))
    )
    assert np.array_equal(some, same)
    assert np.mean(some == others) < 0.2
    standard_error = some.std() / np.sqrt(len(some))
    assert abs(some.mean() - whole[0]) < 4 * standard_error
    if position == "dense":
        units = load_tensorflow().keras.Model(network.inputs[0], network.get_layer("dense").output)
        parts = (
            units(images[:1, ..., np.newaxis]).numpy()[0] * network.get_layer("k_m").kernel[:, 0]
        )
        variance = np.sum(np.square(parts)) * 0.3 / 0.7
        assert some.var() == pytest.approx(variance, rel=0.2)


@pytest.mark.slow
def test_both_forms_train_alike():
    """What a GPU computes layer by layer, dropout included, the fast form computes, too."""
    network = build_network((37, 47), seed=3)
    images = images_of((37, 47))
    fast, standard = (
        form(network)(form(network).prepare(images), (4, 2)).numpy()
        for form in (FastForm, StandardForm)
    )
    assert np.allclose(fast, standard, rtol=1e-4, atol=1e-6)


def test_form_follows_the_machine(monkeypatch):
    network = build_network((32, 48))
    configuration = load_tensorflow().config
    for devices, form in (([], FastForm), (["GPU:0"], StandardForm)):
        monkeypatch.setattr(configuration, "list_logical_devices", lambda _kind, d=devices: d)
        assert type(executable_form(network)) is form


PLAIN_KERAS = """
import sys
from pathlib import Path
import keras
import numpy as np

folder = Path(sys.argv[1])
network = keras.models.load_model(folder / "network.keras")
predictions = network.predict(np.load(folder / "images.npy")[..., np.newaxis], verbose=0)
np.save(folder / "predictions.npy", predictions[:, 0])
assert not any(name.partition(".")[0] == "fesemlib" for name in sys.modules)
"""


@pytest.mark.slow
def test_saved_network_needs_nothing_of_ours(tmp_path):
    """The engine trains the variables of an ordinary Keras model, which Keras saves and loads."""
    images, targets = images_of((37, 47)), np.linspace(0, 1, 5, dtype=np.float32)[:, np.newaxis]
    engine = Engine((37, 47), SETTINGS)
    engine.start(seed=1)
    prepared = engine.form.prepare(images)
    before = engine.predict(prepared)
    engine.run_epochs(prepared, targets, [np.arange(5)], 0, dropout_seed=2)
    after = engine.predict(prepared)
    assert not np.allclose(before, after, rtol=1e-3)
    engine.form.network.save(tmp_path / "network.keras")
    np.save(tmp_path / "images.npy", images)
    subprocess.run([sys.executable, "-c", PLAIN_KERAS, str(tmp_path)], check=True)
    assert np.load(tmp_path / "predictions.npy") == pytest.approx(after, rel=1e-5)
