"""Train a network on one fold.

The code here, in `network`, `fast_network`, `checkpoints` and `augmentation` determines a
prediction: finished folds are kept under a digest of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.network.architecture import (
    build_network,
    initial_weights,
    load_tensorflow,
    number_of_inputs,
)
from fesemlib.network.augmentation import augment
from fesemlib.network.checkpoints import Checkpoint
from fesemlib.network.fast import executable_form
from fesemlib.params import Parameters

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]

_LOGS = 50
"""Epochs, about, after which the predictions of the training images are kept."""

# Epochs that run as one graph: as many as take about so long, so that a kill costs little.
_MOST_AT_ONCE, _SECONDS_AT_ONCE = 64, 0.5

# Keras' defaults for Adam.
_ADAM_MEAN, _ADAM_SQUARE, _ADAM_EPSILON = 0.9, 0.999, 1e-7


class AbandonedError(Exception):
    """A training ended early because nobody waits for it any more."""


@dataclass(frozen=True)
class TargetScale:
    """The scale on which the network learns k_m.

    Attributes
    ----------
    offset, spread
        The network's target is (v − offset) / spread, where v is k_m or its decimal logarithm.
    logarithmic
        Whether v is the logarithm.
    """

    offset: float
    spread: float
    logarithmic: bool = False

    @classmethod
    def fit(cls, k_m: Values, target: str) -> TargetScale:
        """The scale that a training set defines.

        Parameters
        ----------
        k_m
            Of the training images, m² s⁻¹, shape (n,).
        target
            ``"minmax"`` (to [0, 1]), ``"zscore"``, ``"raw"`` or ``"log10"`` (of k_m in m² s⁻¹,
            then to zero mean and unit variance).

        Examples
        --------
        >>> k_m = np.array([1e-3, 2e-3, 3e-3])
        >>> TargetScale.fit(k_m, "minmax").to_target(k_m).round(6).tolist()
        [0.0, 0.5, 1.0]
        """
        if target == "raw":
            return cls(0.0, 1.0)
        if target == "minmax":
            return cls(float(k_m.min()), float(np.ptp(k_m)) or 1.0)
        values = np.log10(k_m) if target == "log10" else k_m
        return cls(float(values.mean()), float(values.std()) or 1.0, target == "log10")

    def to_target(self, k_m: Values) -> Values:
        """From k_m in m² s⁻¹ to the network's target.

        Examples
        --------
        >>> scale = TargetScale(offset=-3.0, spread=1.0, logarithmic=True)
        >>> scale.to_target(np.array([1e-3, 1e-2])).round(6).tolist()
        [0.0, 1.0]
        """
        values = np.log10(k_m) if self.logarithmic else k_m
        scaled: Values = (values - self.offset) / self.spread
        return scaled

    def to_k_m(self, target: Values) -> Values:
        """From the network's output to k_m in m² s⁻¹.

        Examples
        --------
        >>> k_m = np.array([1e-3, 2e-3, 3e-3])
        >>> scale = TargetScale.fit(k_m, "log10")
        >>> bool(np.allclose(scale.to_k_m(scale.to_target(k_m)), k_m))
        True
        """
        values = target * self.spread + self.offset
        with np.errstate(over="ignore"):  # of a training that diverged
            return np.power(10.0, values) if self.logarithmic else values


@dataclass(frozen=True)
class Settings:
    """What of the parameters determines a training; see `fesemlib.params`.

    Attributes
    ----------
    stop_at
        Mean relative error on the training images, after one of the logged epochs, at which the
        training ends before its last epoch; 0 for never. The held-out images have no say in it.
    """

    padding: str
    dropout_rate: float
    dropout_position: str
    initializer: str
    input_scaling: str
    limit_first_step: bool
    target: str
    epochs: int
    learning_rate: float
    learning_rate_schedule: str
    batch_size: int
    head: str = "flatten"
    stop_at: float = 0.0

    @classmethod
    def of(cls, parameters: Parameters) -> Settings:
        """The settings among the parameters, for a training that takes all its epochs.

        Examples
        --------
        >>> settings = Settings.of(Parameters(target="log10"))
        >>> settings.target, settings.dropout_rate
        ('log10', 0.5)
        """
        return cls(**parameters.model_dump(include=set(cls.__dataclass_fields__)))


@dataclass(frozen=True)
class InputScale:
    """The scale on which the network is shown an image.

    Attributes
    ----------
    offset, factor
        The network is shown (image − offset) · factor.
    """

    offset: float = 0.0
    factor: float = 1.0

    @classmethod
    def fit(cls, images: Images, settings: Settings) -> InputScale:
        """The scale that a training set defines.

        Parameters
        ----------
        images
            In [0, 1], shape (n, h, w).
        settings
            `input_scaling`: ``"unit"`` leaves them there, ``"centred"`` subtracts their mean,
            ``"standardised"`` also divides by their standard deviation. `limit_first_step` divides
            by √r where r, the learning rate times the number of inputs of a hidden unit, is more
            than one.

        Notes
        -----
        Adam's first step moves every weight by the learning rate, and so a hidden unit by up to
        about r times its own scale. A network with its first weights is in proportion to its input,
        so that a smaller input leaves this ratio as it is; but step and output shrink beside the
        targets, and what follows need not push back as hard. √r is a compromise between a first
        step that grows with the number of inputs and one that does not; it was not tuned.

        Examples
        --------
        >>> images = np.array([[[0.2, 0.6]]], np.float32)
        >>> scale = InputScale.fit(images, Settings.of(Parameters(input_scaling="standardised")))
        >>> scale.of(images).round(3).tolist()
        [[[-1.0, 1.0]]]
        """
        factor = 1.0
        if settings.limit_first_step:
            inputs = number_of_inputs(images.shape[1:3], settings.padding, settings.head)
            factor = 1.0 / math.sqrt(max(settings.learning_rate * inputs, 1.0))
        if settings.input_scaling == "unit":
            return cls(factor=factor)
        mean, deviation = (float(value) for value in (images.mean(), images.std()))
        if settings.input_scaling == "standardised":
            factor /= deviation or 1.0
        return cls(mean, factor)

    def of(self, images: Images) -> Images:
        """The images as the network is shown them."""
        if self == InputScale():
            return images
        return (images - np.float32(self.offset)) * np.float32(self.factor)


@dataclass(frozen=True)
class Outcome:
    """What a trained fold predicts.

    Attributes
    ----------
    test
        Predicted k_m of the held-out images after every epoch, m² s⁻¹, shape (epochs, images).
    train
        Predicted k_m of the training images after the logged epochs, m² s⁻¹, shape (logs, images).
    logged
        These epochs, of which the last is the last of the training, shape (logs,).
    weights
        Of the network after the last epoch, in Keras' order.
    """

    test: Values
    train: Values
    logged: npt.NDArray[np.int64]
    weights: tuple[Images, ...] = ()


def logged_epochs(epochs: int) -> npt.NDArray[np.int64]:
    """About fifty epochs on a logarithmic scale, the last among them.

    Examples
    --------
    >>> logged_epochs(3).tolist(), len(logged_epochs(1200))
    ([1, 2, 3], 43)
    """
    return np.unique(np.geomspace(1, epochs, _LOGS).round().astype(np.int64))


def train_fold(
    images: Images,
    k_m: Values,
    test: npt.NDArray[np.bool_],
    settings: Settings,
    transformations: Sequence[str],
    seed: np.random.SeedSequence,
    checkpoint: Checkpoint | None = None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> Outcome:
    """Train a network from scratch on one part of the images and predict the other.

    TensorFlow is set to one thread, which makes the result repeatable to the last bit; call this in
    a process that has not used TensorFlow before.

    Parameters
    ----------
    images
        In [0, 1], shape (n, h, w).
    k_m
        Their mass transfer coefficients, m² s⁻¹, shape (n,).
    test
        Which of them are held out, shape (n,).
    settings
        Network and training.
    transformations
        Names of those under which every training image is shown (Section 5.1); the original is one
        of them.
    seed
        Of the initial weights, the dropout and the order of the images.
    checkpoint
        Where the state of the training is saved between epochs, and where a training with the same
        arguments that was killed is taken up again; the predictions are the same. It is left for
        the caller to remove.
    is_wanted
        Asked every few epochs, but not after the last.

    Raises
    ------
    AbandonedError
        When the training is not wanted any more; its state has been saved.

    Examples
    --------
    TensorFlow must not have been used with more threads, so that this takes a process of its own.

    >>> from loky import get_reusable_executor
    >>> images = np.random.default_rng(0).random((3, 24, 32), np.float32)
    >>> fold = images, np.array([1e-3, 2e-3, 3e-3]), np.array([True, False, False])
    >>> settings = Settings.of(Parameters(epochs=2))
    >>> seed = np.random.SeedSequence(0)
    >>> process = get_reusable_executor(max_workers=1, reuse=True)
    >>> outcome = process.submit(train_fold, *fold, settings, ("original",), seed).result()
    >>> outcome.test.shape, outcome.train.shape, outcome.logged.tolist()
    ((2, 1), (2, 2), [1, 2])
    """
    train_images = augment(images[~test], transformations)
    train_k_m = np.tile(k_m[~test], len(transformations))
    return _train(train_images, train_k_m, images[test], settings, seed, checkpoint, is_wanted)


def _train(
    train_images: Images,
    train_k_m: Values,
    test_images: Images,
    settings: Settings,
    seed: np.random.SeedSequence,
    checkpoint: Checkpoint | None,
    is_wanted: Callable[[], bool],
) -> Outcome:
    """Train a network from scratch and predict the test images after every epoch."""
    use_one_thread()
    weights_seed, order_seed, dropout_seed = (int(word) for word in seed.generate_state(3))
    scale, shown = (
        TargetScale.fit(train_k_m, settings.target),
        InputScale.fit(train_images, settings),
    )
    engine = engine_for((train_images.shape[1], train_images.shape[2]), settings)
    engine.start(weights_seed)
    train, test = (engine.form.prepare(shown.of(part)) for part in (train_images, test_images))
    targets = scale.to_target(train_k_m)[:, np.newaxis].astype(np.float32)
    predictions, fits = checkpoint.restore(engine.variables) if checkpoint else ([], [])
    logged, ended = logged_epochs(settings.epochs), False
    saved, at_once = time.monotonic(), 1
    while not ended:
        begun, epoch = time.monotonic(), len(predictions)
        end = min(epoch + at_once, int(logged[len(fits)]))
        orders = [
            np.random.default_rng([order_seed, number]).permutation(len(train_images))
            for number in range(epoch, end)
        ]
        _, predicted = engine.run_epochs(
            train, targets, np.array(orders), epoch, dropout_seed, test, settings.epochs
        )
        predictions.extend(predicted)
        if end == logged[len(fits)]:
            fits.append(engine.predict(train))
            error = np.mean(np.abs(scale.to_k_m(fits[-1]) - train_k_m) / train_k_m)
            ended = end == settings.epochs or bool(error <= settings.stop_at)
        at_once = at_once * 2 if time.monotonic() - begun < _SECONDS_AT_ONCE else at_once // 2
        at_once = min(max(at_once, 1), _MOST_AT_ONCE)
        abandoned = not ended and not is_wanted()
        if checkpoint and (abandoned or time.monotonic() - saved >= checkpoint.seconds):
            checkpoint.save(engine.variables, predictions, fits)
            saved = time.monotonic()
        if abandoned:
            raise AbandonedError
    return Outcome(
        test=scale.to_k_m(np.array(predictions)),
        train=scale.to_k_m(np.array(fits)),
        logged=logged[: len(fits)],
        weights=tuple(engine.form.network.get_weights()),
    )


class Engine:
    """A network, its optimiser's state and the compiled functions that train it and predict.

    All that training changes is in `variables`. Nothing else is remembered between two epochs: the
    order of the images follows from seed and epoch, the dropped units from seed and step. An
    epoch that starts from the same variables therefore ends with the same variables.

    Attributes
    ----------
    form
        The network, in the form that is fast on this machine.
    variables
        The network's weights and, for each of them, Adam's two moments.

    Examples
    --------
    >>> images = np.random.default_rng(0).random((2, 24, 32), np.float32)
    >>> engine = Engine((24, 32), Settings.of(Parameters()))
    >>> prepared = engine.form.prepare(images)
    >>> engine.start(seed=1)
    >>> before = engine.predict(prepared)
    >>> errors, _ = engine.run_epochs(prepared, np.ones((2, 1), np.float32), [[0, 1]], 0, 0)
    >>> engine.start(seed=1)  # the same seed, the same weights
    >>> bool((engine.predict(prepared) == before).all()), bool((errors > 0).all())
    (True, True)
    """

    def __init__(self, shape: tuple[int, int], settings: Settings) -> None:
        tensorflow = load_tensorflow()
        self._settings = settings
        self.form = executable_form(
            build_network(
                shape,
                settings.padding,
                settings.dropout_rate,
                settings.dropout_position,
                settings.initializer,
                head=settings.head,
            )
        )
        self._weights = [weight.value for weight in self.form.network.trainable_variables]
        self._means, self._squares = (
            [tensorflow.Variable(tensorflow.zeros_like(weight)) for weight in self._weights]
            for _ in range(2)
        )
        self.variables = [*self._weights, *self._means, *self._squares]
        self._run_epochs = tensorflow.function(self._epochs, autograph=False)
        self._predict = tensorflow.function(self.form, autograph=False)

    def start(self, seed: int) -> None:
        """Set the weights that the seed gives, and the optimiser to its beginning."""
        drawn = initial_weights(self.form.network, seed)
        for weight, value in zip(self._weights, drawn, strict=True):
            weight.assign(value)
        for moment in (*self._means, *self._squares):
            moment.assign(np.zeros(moment.shape, np.float32))

    def run_epochs(
        self,
        images: Any,
        targets: Images,
        orders: npt.ArrayLike,
        first: int,
        dropout_seed: int,
        test: Any = None,
        last: int = 1,
    ) -> tuple[Values, Values]:
        """Train on all images, epoch after epoch as one graph, and predict others after each.

        Parameters
        ----------
        images
            From `form.prepare`.
        targets
            What the network should give, shape (n, 1).
        orders
            Permutations of the n images, one for each epoch, at most 64, shape (epochs, n); the
            batches are the consecutive parts of each.
        first
            The number of epochs before these.
        dropout_seed
            Decides, with the number of the step, which units are dropped.
        test
            The other images, from `form.prepare`.
        last
            The number of all epochs of the training, at whose end a schedule arrives.

        Returns
        -------
        errors
            Mean squared error of every batch before its step, shape (epochs, batches).
        predictions
            The network's outputs for the other images, shape (epochs, images).
        """
        tensorflow = load_tensorflow()
        given = np.asarray(orders, dtype=np.int32)
        padded = np.zeros((_MOST_AT_ONCE, given.shape[1]), np.int32)  # one shape, one graph
        padded[: len(given)] = given
        steps = math.ceil(given.shape[1] / self._settings.batch_size)
        errors, predictions = self._run_epochs(
            images,
            tensorflow.constant(targets),
            images[:0] if test is None else test,
            tensorflow.constant(padded),
            np.int32(len(given)),
            np.int64(first * steps),
            np.int64(last * steps),
            np.int64(dropout_seed),
        )
        return errors.numpy().astype(np.float64), predictions.numpy().astype(np.float64)

    def predict(self, images: Any) -> Values:
        """The network's outputs for images from `form.prepare`, shape (n,); n may be 0."""
        predicted: Values = np.concatenate(
            [np.zeros((0, 1)), *(self._predict(part).numpy() for part in self._batches(images))]
        )[:, 0]
        return predicted

    def _batches(self, images: Any) -> list[Any]:
        size = self._settings.batch_size
        return [images[start : start + size] for start in range(0, images.shape[0], size)]

    def _epochs(
        self,
        images: Any,
        targets: Any,
        test: Any,
        orders: Any,
        number: Any,
        step: Any,
        last: Any,
        dropout_seed: Any,
    ) -> tuple[Any, Any]:
        """Epochs as one graph, so that no step waits for Python.

        The loops are written as TensorFlow's, for its translator of Python's loops writes files
        that killed workers leave behind.
        """
        tensorflow = load_tensorflow()
        steps = math.ceil(orders.shape[1] / self._settings.batch_size)

        def run_epoch(epoch: Any, errors: Any, predictions: Any) -> tuple[Any, Any, Any]:
            before = step + tensorflow.cast(epoch, "int64") * steps
            losses = self._steps(images, targets, orders[epoch], before, last, dropout_seed)
            with tensorflow.control_dependencies([losses]):
                outputs = [self.form(tensorflow.identity(part)) for part in self._batches(test)]
            predicted = tensorflow.concat([tensorflow.zeros((0, 1)), *outputs], axis=0)[:, 0]
            return epoch + 1, errors.write(epoch, losses), predictions.write(epoch, predicted)

        arrays = [tensorflow.TensorArray("float32", size=number) for _ in range(2)]
        _, errors, predictions = tensorflow.while_loop(
            lambda epoch, *_: epoch < number, run_epoch, (tensorflow.constant(0), *arrays)
        )
        return errors.stack(), predictions.stack()

    def _steps(
        self, images: Any, targets: Any, order: Any, step: Any, last: Any, dropout_seed: Any
    ) -> Any:
        """One epoch; the mean squared error of every batch."""
        tensorflow = load_tensorflow()
        batch_size = self._settings.batch_size
        number = math.ceil(order.shape[0] / batch_size)

        def train_on_batch(index: Any, errors: Any) -> tuple[Any, Any]:
            batch = order[index * batch_size : (index + 1) * batch_size]
            now = step + tensorflow.cast(index, "int64")
            error = self._step(
                tensorflow.gather(images, batch),
                tensorflow.gather(targets, batch),
                now,
                self._rate(now, last),
                dropout_seed,
            )
            return index + 1, errors.write(index, error)

        start = (tensorflow.constant(0), tensorflow.TensorArray("float32", size=number))
        _, errors = tensorflow.while_loop(lambda index, _: index < number, train_on_batch, start)
        return errors.stack()

    def _rate(self, step: Any, last: Any) -> Any:
        """The learning rate of a step: constant, or a cosine's way from its value to zero."""
        if self._settings.learning_rate_schedule == "constant":
            return self._settings.learning_rate
        tensorflow = load_tensorflow()
        share = tensorflow.cast(step, "float32") / tensorflow.cast(last, "float32")
        return self._settings.learning_rate * 0.5 * (1.0 + tensorflow.cos(math.pi * share))

    def _step(self, images: Any, targets: Any, step: Any, rate: Any, dropout_seed: Any) -> Any:
        tensorflow = load_tensorflow()
        with tensorflow.GradientTape() as tape:
            predicted = self.form(images, tensorflow.stack([dropout_seed, step]))
            error = tensorflow.reduce_mean((predicted - targets) ** 2)
        gradients = tape.gradient(error, self._weights)
        self._adam(gradients, tensorflow.cast(step + 1, "float32"), rate)
        return error

    def _adam(self, gradients: list[Any], step: Any, rate: Any) -> None:
        """Adam's step as TensorFlow's own operation, which reads and writes every number once.

        Keras' Adam computes the same from a dozen operations, each a pass over memory.
        """
        tensorflow = load_tensorflow()
        for weight, mean, square, gradient in zip(
            self._weights, self._means, self._squares, gradients, strict=True
        ):
            tensorflow.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=tensorflow.pow(_ADAM_MEAN, step),
                beta2_power=tensorflow.pow(_ADAM_SQUARE, step),
                lr=rate,
                beta1=_ADAM_MEAN,
                beta2=_ADAM_SQUARE,
                epsilon=_ADAM_EPSILON,
                grad=gradient,
            )


def engine_for(shape: tuple[int, int], settings: Settings) -> Engine:
    """The engine for images of this shape; folds of one kind share what is compiled.

    Examples
    --------
    >>> short, long = (Settings.of(Parameters(epochs=epochs)) for epochs in (30, 300))
    >>> engine_for((24, 32), short) is engine_for((24, 32), long)
    True
    """
    known = replace(
        settings, epochs=0, stop_at=0.0, target="", input_scaling="", limit_first_step=False
    )
    return _engine(shape, known)


@lru_cache(maxsize=1)
def _engine(shape: tuple[int, int], settings: Settings) -> Engine:
    return Engine(shape, settings)


def use_one_thread() -> None:
    """Let TensorFlow use one thread: then a training is repeatable to the last bit.

    Raises
    ------
    RuntimeError
        When this process has already used TensorFlow with another number.

    Examples
    --------
    >>> from loky import get_reusable_executor
    >>> process = get_reusable_executor(max_workers=1, reuse=True)
    >>> process.submit(use_one_thread).result()
    """
    threading = load_tensorflow().config.threading
    threading.set_intra_op_parallelism_threads(1)
    threading.set_inter_op_parallelism_threads(1)
