"""Leave-one-formulation-out: folds, training, and one tidy table of predictions.

Section 4.2 leaves one sample out in turn. Here the unit that is left out is the formulation: all
its micrographs and all their copies leave the training set together.
"""

from __future__ import annotations

from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from loky import cpu_count, get_reusable_executor

from fesemlib.augmentation import TRANSFORMATIONS, augment
from fesemlib.dataset import Dataset
from fesemlib.network import build_network, load_tensorflow
from fesemlib.params import Parameters
from fesemlib.processing import keep_network_inputs
from fesemlib.progress import progress
from fesemlib.storage import build_folder, code_digest, digest, writable, write_atomically

__all__ = [
    "TRAINING_SETS",
    "TargetScale",
    "collapsed_runs",
    "held_out_errors",
    "held_out_predictions",
    "leave_one_formulation_out",
]

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]

COLUMNS = (
    "held_out",
    "formulation",
    "image",
    "role",
    "seed",
    "training_set",
    "epoch",
    "true_km",
    "predicted_km",
    "relative_error",
)

TRAINING_SETS = ("original", "augmented")

# A network whose predictions on its own training set spread over less than this share of the
# targets' spread says the same whatever it is shown.
_COLLAPSED_SPREAD = 0.01


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
        """
        if target == "raw":
            return cls(0.0, 1.0)
        if target == "minmax":
            return cls(float(k_m.min()), float(np.ptp(k_m)) or 1.0)
        values = np.log10(k_m) if target == "log10" else k_m
        return cls(float(values.mean()), float(values.std()) or 1.0, target == "log10")

    def to_target(self, k_m: Values) -> Values:
        """From k_m in m² s⁻¹ to the network's target."""
        values = np.log10(k_m) if self.logarithmic else k_m
        scaled: Values = (values - self.offset) / self.spread
        return scaled

    def to_k_m(self, target: Values) -> Values:
        """From the network's output to k_m in m² s⁻¹."""
        values = target * self.spread + self.offset
        return np.power(10.0, values) if self.logarithmic else values


def leave_one_formulation_out(
    dataset: Dataset, parameters: Parameters, training_set: str = "original"
) -> pd.DataFrame:
    """Hold every formulation out in turn, train on the others and predict it.

    Parameters
    ----------
    dataset
        The micrographs.
    parameters
        Those of processing, network and training.
    training_set
        ``"original"`` or ``"augmented"`` (Section 5.1).

    Returns
    -------
    DataFrame
        One row for each prediction, with the columns ``held_out``, ``formulation``, ``image``,
        ``role`` ("train" or "test"), ``seed``, ``training_set``, ``epoch`` (1 is the first),
        ``true_km`` and ``predicted_km`` (m² s⁻¹) and ``relative_error``, which is
        |predicted − true| / true. Test rows at every epoch, training rows at the last one only.

    Raises
    ------
    ValueError
        When the training set is unknown.

    Notes
    -----
    A finished fold is kept in the cache under a digest of all that determines it, so that
    nothing is trained twice. Folds are trained side by side in processes of one thread each: the
    numbers depend neither on how many there are nor on what was trained before.
    """
    if training_set not in TRAINING_SETS:
        raise ValueError(f"training_set = {training_set!r}: choose one of {TRAINING_SETS}")
    held_out = list(dict.fromkeys(dataset.images["formulation"]))
    folds = [
        _Fold(name, number, seed, training_set)
        for seed in parameters.seeds
        for number, name in enumerate(held_out)
    ]
    outcomes = _train_all(folds, dataset, parameters)
    tables = [
        _predictions_of(fold, dataset, outcome)
        for fold, outcome in zip(folds, outcomes, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def held_out_predictions(results: pd.DataFrame, model_selection: str = "last") -> pd.DataFrame:
    """The prediction that counts of each run: one row a run and held-out micrograph.

    Parameters
    ----------
    results
        From `leave_one_formulation_out`.
    model_selection
        ``"last"`` epoch, or ``"best_on_held_out"``: the epoch with the least mean error on the
        held-out micrographs themselves, which no one could choose for a new product.

    Returns
    -------
    DataFrame
        Rows and columns of `results`.
    """
    test: pd.DataFrame = results[results["role"] == "test"]
    if model_selection == "last":
        last: pd.DataFrame = test[test["epoch"] == test["epoch"].max()]
        return last.reset_index(drop=True)
    run = ["training_set", "seed", "held_out"]
    error = test.groupby([*run, "epoch"])["relative_error"].mean().reset_index()
    best = error.loc[error.groupby(run)["relative_error"].idxmin(), [*run, "epoch"]]
    return test.merge(best, on=[*run, "epoch"])


def held_out_errors(predictions: pd.DataFrame) -> pd.DataFrame:
    """Relative error of each held-out formulation over the seeds: median, least and greatest.

    Parameters
    ----------
    predictions
        From `held_out_predictions`, of one training set.

    Returns
    -------
    DataFrame
        Indexed by formulation, columns ``median, least, greatest``; the error of a formulation
        with several micrographs is the mean over them.
    """
    runs = predictions.groupby(["held_out", "seed"], sort=False)["relative_error"].mean()
    formulations = runs.groupby("held_out", sort=False)
    errors = {
        "median": formulations.median(),
        "least": formulations.min(),
        "greatest": formulations.max(),
    }
    return pd.DataFrame(errors).rename_axis("formulation")


def collapsed_runs(results: pd.DataFrame) -> pd.DataFrame:
    """Runs that predict a constant: the hidden units are dead and the image no longer matters.

    Parameters
    ----------
    results
        From `leave_one_formulation_out`.

    Returns
    -------
    DataFrame
        One row a run: ``training_set, seed, held_out, collapsed``. A run counts as collapsed
        when its predictions on its own training set spread (standard deviation) over less than
        1 % of the true values' spread.
    """
    train = results[results["role"] == "train"]
    spread = train.groupby(["training_set", "seed", "held_out"], sort=False)[
        ["predicted_km", "true_km"]
    ].std(ddof=0)
    collapsed = spread["predicted_km"] < _COLLAPSED_SPREAD * spread["true_km"]
    return collapsed.rename("collapsed").reset_index()


@dataclass(frozen=True)
class _Fold:
    held_out: str
    number: int
    seed: int
    training_set: str


@dataclass(frozen=True)
class _Settings:
    """What of the parameters determines a training."""

    padding: str
    dropout_rate: float
    dropout_position: str
    initializer: str
    target: str
    epochs: int
    learning_rate: float
    batch_size: int

    @classmethod
    def of(cls, parameters: Parameters) -> _Settings:
        return cls(**parameters.model_dump(include=set(cls.__dataclass_fields__)))


@dataclass(frozen=True)
class _Outcome:
    """Predicted k_m, m² s⁻¹: ``test`` of shape (epochs, test images), ``train`` (images,)."""

    test: Values
    train: Values


def _train_all(folds: list[_Fold], dataset: Dataset, parameters: Parameters) -> list[_Outcome]:
    """The outcome of every fold: from the cache where it is there, else trained now."""
    folder = writable(build_folder() / "cache" / "folds")
    settings = _Settings.of(parameters)
    inputs = keep_network_inputs(dataset, parameters)
    determines = (inputs.stem, settings, _versions())
    paths = [folder / f"{digest(fold, *determines)}.npz" for fold in folds]
    missing = [(fold, path) for fold, path in zip(folds, paths, strict=True) if not path.is_file()]
    with progress(len(folds), "folds", done=len(folds) - len(missing)) as advance:
        if missing:
            workers = min(parameters.parallel_jobs or cpu_count(), len(missing))
            executor = get_reusable_executor(max_workers=workers, timeout=30)
            jobs = [
                executor.submit(_train_and_keep, path, fold, dataset.images, inputs, settings)
                for fold, path in missing
            ]
            try:
                for job in as_completed(jobs):
                    job.result()
                    advance()
            except BaseException:  # an interrupt too: no worker may go on training unseen
                executor.shutdown(kill_workers=True)
                raise
    return [_read_outcome(path) for path in paths]


def _versions() -> tuple[str, ...]:
    """What of the software determines a training."""
    modules = ("augmentation", "network", "validation")
    code = code_digest(*(f"fesemlib.{module}" for module in modules))
    return code, *(version(name) for name in ("keras", "numpy", "tensorflow"))


def _train_and_keep(
    path: Path, fold: _Fold, table: pd.DataFrame, inputs: Path, settings: _Settings
) -> None:
    """Train a fold and write its outcome; runs in a process of its own."""
    images: Images = np.load(inputs)
    k_m = table["k_m"].to_numpy(dtype=np.float64)
    test = (table["formulation"] == fold.held_out).to_numpy()
    train_images, train_k_m = images[~test], k_m[~test]
    if fold.training_set == "augmented":
        train_images = augment(train_images)
        train_k_m = np.tile(train_k_m, len(TRANSFORMATIONS))
    seed = np.random.SeedSequence([fold.seed, fold.number])
    outcome = _train(train_images, train_k_m, images[test], settings, seed)
    write_atomically(path, lambda temporary: np.savez(temporary, **asdict(outcome)))


def _train(
    train_images: Images,
    train_k_m: Values,
    test_images: Images,
    settings: _Settings,
    seed: np.random.SeedSequence,
) -> _Outcome:
    """Train a network from scratch and predict the test images after every epoch."""
    tensorflow = _tensorflow_with_one_thread()
    keras = tensorflow.keras
    weights_seed, order_seed = seed.generate_state(2)
    network = build_network(
        (train_images.shape[1], train_images.shape[2]),
        settings.padding,
        settings.dropout_rate,
        settings.dropout_position,
        settings.initializer,
        seed=int(weights_seed),
    )
    optimizer = keras.optimizers.Adam(settings.learning_rate)
    optimizer.build(network.trainable_variables)
    scale = TargetScale.fit(train_k_m, settings.target)
    images = tensorflow.constant(train_images[..., np.newaxis])
    targets = tensorflow.constant(scale.to_target(train_k_m)[:, np.newaxis], "float32")
    test = tensorflow.constant(test_images[..., np.newaxis])

    def step(batch: Any) -> None:
        with tensorflow.GradientTape() as tape:
            predicted = network(tensorflow.gather(images, batch), training=True)
            error = tensorflow.reduce_mean((predicted - tensorflow.gather(targets, batch)) ** 2)
        gradients = tape.gradient(error, network.trainable_variables)
        optimizer.apply(gradients, network.trainable_variables)

    compiled_step = tensorflow.function(step)
    predict = tensorflow.function(lambda batch: network(batch, training=False))
    order = np.random.default_rng(order_seed)
    predictions = []
    for _ in range(settings.epochs):
        shuffled = order.permutation(len(train_images)).astype(np.int32)
        for start in range(0, len(shuffled), settings.batch_size):
            compiled_step(tensorflow.constant(shuffled[start : start + settings.batch_size]))
        predictions.append(predict(test).numpy()[:, 0])
    trained = np.concatenate([predict(image[np.newaxis]).numpy()[:, 0] for image in images])
    keras.utils.clear_session()
    return _Outcome(
        test=scale.to_k_m(np.array(predictions, dtype=np.float64)),
        train=scale.to_k_m(trained.astype(np.float64)),
    )


def _tensorflow_with_one_thread() -> Any:
    """TensorFlow with one thread: then a training is repeatable to the last bit."""
    tensorflow = load_tensorflow()
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return tensorflow


def _read_outcome(path: Path) -> _Outcome:
    with np.load(path) as arrays:
        return _Outcome(test=arrays["test"], train=arrays["train"])


def _predictions_of(fold: _Fold, dataset: Dataset, outcome: _Outcome) -> pd.DataFrame:
    """The rows of the table of predictions that one fold gives."""
    held_out = dataset.images["formulation"] == fold.held_out
    test, train = dataset.images[held_out], dataset.images[~held_out]
    epochs = len(outcome.test)
    if fold.training_set == "augmented":
        copies = [
            train.assign(image=[f"{image}, {name}" for image in train["image"]])
            for name in TRANSFORMATIONS
        ]
        train = pd.concat(copies, ignore_index=True)
    table = pd.concat(
        [
            pd.concat([test] * epochs).assign(
                role="test",
                epoch=np.repeat(np.arange(1, epochs + 1), len(test)),
                predicted_km=outcome.test.ravel(),
            ),
            train.assign(role="train", epoch=epochs, predicted_km=outcome.train),
        ],
        ignore_index=True,
    ).rename(columns={"k_m": "true_km"})
    table = table.assign(
        held_out=fold.held_out,
        seed=fold.seed,
        training_set=fold.training_set,
        relative_error=(table["predicted_km"] - table["true_km"]).abs() / table["true_km"],
    )
    return table[list(COLUMNS)]
