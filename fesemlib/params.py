"""Every knob of the analysis: its name, unit, default and bounds, and where the paper says so.

The notebooks declare theirs in their first cell, and papermill injects the values of a file after
it. The knobs are flat there, and come in groups here, which code passes on whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

__all__ = [
    "InputParameters",
    "NetworkParameters",
    "ParameterError",
    "Parameters",
    "ProcessingParameters",
    "TrainingParameters",
    "checked_parameters",
    "parameter_table",
    "quoted",
    "read_parameters",
]

SYNTHETIC = "synthetic"

LEAST_PIXEL_SIZE_UM, GREATEST_PIXEL_SIZE_UM = 1e-4, 50.0
"""What a pixel of an electron micrograph may measure: from 0.1 nm to 50 µm."""

WIDEST_SYNTHETIC = 2048
"""The width of the paper's micrographs, px; wider stand-ins would hold more pores than fit."""

_PATHS = ("dataset", "drying_run", "image")
"""The parameters that name a file, unless they have their defaults."""


_NOT_NAMED = ("processing", "paper")  # a value that names nothing that is kept: it came later


class ParameterError(ValueError):
    """A parameter is unknown, of the wrong type or out of bounds."""


def _knob(default: Any, source: str = "this book", unit: str = "", **bounds: Any) -> Any:
    """A parameter with what the book's table shows of it; its meaning stands below it."""
    return Field(default, json_schema_extra={"unit": unit, "source": source}, **bounds)


class _Group(BaseModel):
    """Parameters that code passes on whole; what stands below each is its meaning in the table."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def values_of(cls, parameters: BaseModel) -> dict[str, Any]:
        """The values of this group among more parameters, by name."""
        values = parameters.model_dump(include=set(cls.model_fields))
        return {name: value for name, value in values.items() if (name, value) != _NOT_NAMED}

    @classmethod
    def of(cls, parameters: BaseModel) -> Self:
        """This group among more parameters, which have been checked."""
        return cls.model_construct(**cls.values_of(parameters))

    def changed(self, **values: object) -> Self:
        """The same parameters but for these, which are not checked."""
        return self.model_copy(update=values)


_Rows = Annotated[str, Field(pattern=r"^\d{1,6}:\d{1,6}$", examples=["64:900"])]


class DataParameters(_Group):
    """Which micrographs there are, and what is kept of each."""

    dataset: str = _knob(SYNTHETIC, "Section 2", min_length=1)
    """`synthetic` for the stand-in micrographs, or the path of a manifest (CSV)"""

    synthetic_seed: int = _knob(0, ge=0)
    """seed of the stand-in micrographs"""

    synthetic_draws: int = _knob(1, unit="draws", ge=1, le=100)
    """sets of stand-ins, each drawn from a seed of its own, on which leave-one-out is repeated; a
    manifest is one set"""

    synthetic_width: int = _knob(1024, "Section 2: 2048", unit="px", ge=384, le=WIDEST_SYNTHETIC)
    """width of the stand-ins, at the paper's pixel size; their height is three quarters of it"""

    synthetic_labels: Literal["formula", "geometry"] = _knob("formula")
    """k_m of the stand-ins: `formula` keeps that of Table 1, from which each foam's size follows by
    the law for straight tubes; `geometry` takes that of a walk of molecules through the foam"""

    synthetic_label_scatter: bool = _knob(False, "Table 1")
    """whether these k_m scatter as those of Table 1 do, by its column std, at random"""

    crop: Literal["auto", "none"] | Annotated[int, Field(ge=1)] | _Rows = _knob("auto", unit="px")
    """rows kept of each micrograph: `auto` cuts the instrument's data bar off, and writing that is
    the same in nearly all micrographs; `none` keeps every row and refuses both; a number keeps that
    many rows from the top; `'64:900'` those from row 64, counted from 0, to row 899"""

    check_pixel_size: bool = _knob(True, "Section 2")
    """refuse micrographs whose known pixel sizes differ by more than 1 %, be it from each other or
    from what the manifest says of them"""

    rescale: bool = _knob(False)
    """resample all micrographs to the coarsest pixel size, and crop them about their centre to the
    field that all of them cover"""

    @property
    def is_synthetic(self) -> bool:
        """Whether the micrographs are stand-ins."""
        return self.dataset == SYNTHETIC

    @property
    def label_source(self) -> str:
        """Where the k_m of stand-ins come from, in words."""
        walked = "those of a walk of molecules through the foams shown"
        source = {"formula": "the measured ones of Table 1", "geometry": walked}
        scatter = ", with the scatter of Table 1 added" if self.synthetic_label_scatter else ""
        return source[self.synthetic_labels] + scatter


class DryingParameters(_Group):
    """How k_m follows from a drying run, and the drying that a prediction plans."""

    drying_run: str = _knob("")
    """path of the record of a drying run (CSV or XLSX), or of a folder with its files, from which
    *The data set* works k_m out; empty for a computed run"""

    heat_transfer_coefficient: (
        Annotated[float, Field(ge=0.1, le=1000.0)] | Literal["from_end_of_drying"]
    ) = _knob(14.2, "not stated", "W m⁻² K⁻¹")
    """heat transfer coefficient k_v of the vials with a thermocouple, with respect to their outer
    area, at the pressure of the chamber; or `from_end_of_drying`: from the ice balance of
    `drying_run`"""

    end_of_drying: (
        Annotated[float, Field(gt=0.0, le=1e4)] | Literal["auto", "temperatures", "pirani"]
    ) = _knob("auto", unit="h")
    """when the ice of `drying_run` was gone, in hours of the record; or where the record shows it:
    `temperatures` (a thermocouple is halfway from ice to shelf), `pirani` (the Pirani gauge is
    halfway to the capacitance gauge), `auto` for the first of these that is there"""

    area_ratio: float = _knob(1.21, "not stated", ge=0.5, le=3.0)
    """outer area of a vial over that of the product in it, A_v/A_p; 1 as in Eq. (1)"""

    ice_thickness_mm: float = _knob(7.0, "not stated", unit="mm", ge=0.1, le=100.0)
    """thickness of the frozen layer in the vials"""

    solids_percent: float = _knob(5.0, "Table 1", unit="mass %", gt=0.0, le=50.0)
    """solids in the solution that is dried; the ice leaves the rest as pores"""

    front_correction: bool = _knob(True, "not stated")
    """whether Eq. (2) takes the temperature of the sublimation front, worked out from that at the
    bottom of the vial, which it takes otherwise"""

    temperature_uncertainty_k: float = _knob(0.5, unit="K", ge=0.0, le=2.0)
    """standard uncertainty of each thermocouple and of the shelf's sensor"""

    heat_transfer_uncertainty_percent: float = _knob(5.0, unit="%", ge=0.0, le=20.0)
    """standard uncertainty of k_v"""

    pressure_uncertainty_percent: float = _knob(2.0, unit="%", ge=0.0, le=20.0)
    """standard uncertainty of the chamber's pressure"""

    area_ratio_uncertainty_percent: float = _knob(2.0, unit="%", ge=0.0, le=20.0)
    """standard uncertainty of A_v/A_p"""

    ice_thickness_uncertainty_percent: float = _knob(3.0, unit="%", ge=0.0, le=20.0)
    """standard uncertainty of the thickness of the frozen layer"""

    unfrozen_water: float = _knob(0.3, unit="g/g", ge=0.0, le=1.0)
    """water that does not freeze, per mass of solids: as much as this, or any share of it"""

    layer_thickness_mm: float = _knob(7.0, unit="mm", ge=0.1, le=100.0)
    """thickness of the dried layer for which a prediction's product resistance is given"""

    front_temperature_k: float = _knob(243.15, unit="K", ge=150.0, le=273.16)
    """temperature of the sublimation front for which that resistance is given"""

    shelf_start_k: float = _knob(223.15, "Section 2", unit="K", ge=150.0, le=400.0)
    """temperature of the shelf at the start of the drying that *A new micrograph* plans"""

    shelf_hold_k: float = _knob(263.15, "Section 2", unit="K", ge=150.0, le=400.0)
    """temperature that it is then held at"""

    shelf_ramp_k_per_min: float = _knob(1.0, "not stated", unit="K/min", ge=1.0e-4, le=10.0)
    """rate from the one to the other"""

    chamber_pressure_pa: float = _knob(10.0, "Section 2", unit="Pa", ge=0.001, le=600.0)
    """pressure of the chamber in that drying"""

    collapse_temperature_k: float = _knob(253.15, unit="K", ge=150.0, le=273.16)
    """temperature that the front must stay below (from freeze-drying microscopy); an example"""

    @property
    def calibrates(self) -> bool:
        """Whether k_v comes from the record of a drying run."""
        return self.heat_transfer_coefficient == "from_end_of_drying"


class ProcessingParameters(_Group):
    """The processing of a full-size micrograph."""

    processing: Literal["paper", "none"] = _knob("paper", "Section 3")
    """`paper` subtracts the background and equalises the histogram, as the parameters below say;
    `none` does neither, for images that are processed already"""

    background_radius_px: float = _knob(50.0, "Section 3", unit="px", ge=1.0, le=500.0)
    """radius of the rolling ball on the full-size micrograph"""

    light_background: bool = _knob(True, "not stated")
    """the background is lighter than the features (ImageJ's preset)"""

    smooth_background: bool = _knob(True, "not stated")
    """average 3 × 3 px before the ball rolls (ImageJ's preset)"""

    equalization: Literal["classic", "imagej", "clahe", "none"] = _knob("classic", "Section 3")
    """histogram equalisation: `classic` linearises the cumulative distribution, `imagej` weights
    counts by their square root, `clahe` equalises each tile by itself with limited contrast
    (scikit-image), `none` leaves it out"""


class InputParameters(ProcessingParameters):
    """From a micrograph to the network's input."""

    input_width: int = _knob(128, "Section 2: 2048", unit="px", ge=16, le=8192)
    """width of the network's input; the height follows from the micrograph's shape"""


class NetworkParameters(_Group):
    """The network, by the arguments of `fesemlib.network.build_network`."""

    padding: Literal["same", "valid"] = _knob("same", "not stated")
    """padding of the convolutions"""

    dropout_rate: float = _knob(0.5, "Section 4.1", ge=0.0, lt=1.0)
    """share of units dropped"""

    dropout_position: Literal["dense", "flatten"] = _knob("flatten", "not stated")
    """dropout acts on the flattened list, before the dense layer of ten units, or after it"""

    head: Literal["flatten", "global_average"] = _knob("flatten", "Section 4.1")
    """what the dense layer takes: the paper's flattened list, or the average of each feature map"""

    initializer: Literal["glorot_uniform", "he_normal"] = _knob("glorot_uniform", "not stated")
    """initial weights"""


class TrainingParameters(NetworkParameters):
    """The training of one network."""

    input_scaling: Literal["unit", "centred", "standardised"] = _knob("unit", "not stated")
    """what the network is shown: grey levels from 0 to 1; these less their mean over the training
    fold; or also divided by their standard deviation there"""

    limit_first_step: bool = _knob(False)
    """divide the input by the square root of the learning rate times the numbers that a hidden unit
    sums over, where that is more than one: with a wide input, Adam's first step carries the output
    far beyond the targets"""

    target: Literal["minmax", "raw", "zscore", "log10"] = _knob("minmax", "not stated")
    """scale on which the network learns k_m, with the statistics of the training fold only"""

    epochs: int = _knob(1200, "not stated", ge=1, le=100_000)
    """passes over the original training set, the same for every fold; the augmented set is trained
    in as many steps"""

    learning_rate: float = _knob(1.0e-4, "Section 4.1", gt=0.0, le=1.0)
    """Adam's initial learning rate"""

    learning_rate_schedule: Literal["constant", "cosine"] = _knob("constant", "not stated")
    """the learning rate stays at its initial value, or falls to zero along a cosine"""

    batch_size: int = _knob(16, "Section 4.1", unit="images", ge=1, le=1024)
    """images in one training step"""


class ValidationParameters(_Group):
    """How often trainings are repeated, and which of their predictions count."""

    augmentation_group: Literal[
        "flips_and_rotation", "vertical_flip", "horizontal_flip", "rotation"
    ] = _knob("flips_and_rotation", "Section 5.1")
    """what the augmented training set holds beside the originals"""

    first_seed: int = _knob(0, ge=0)
    """the first seed of the repeated trainings"""

    number_of_seeds: int = _knob(1, ge=1, le=100)
    """how many trainings, each from its own seed, repeat every fold"""

    model_selection: Literal["last", "best_on_held_out"] = _knob("last", "not stated")
    """epoch whose prediction counts: the last, or the one that happens to suit the held-out
    micrograph best, which is no honest estimate of the error"""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the repeated trainings."""
        return tuple(range(self.first_seed, self.first_seed + self.number_of_seeds))


class StudyParameters(_Group):
    """What the chapters show, and how far their studies go."""

    example_formulation: str = _knob("C", "Figures 1, 2 and 7")
    """formulation shown in Figures 1, 2 and 7 (the first one, if the data set lacks it)"""

    held_out_example: str = _knob("B", "Figure 5")
    """formulation held out in Figure 5 (the first one, if the data set lacks it)"""

    training_criterion: float = _knob(0.05, gt=0.0, lt=1.0)
    """mean relative error on its own training micrographs from which on a training counts as
    finished; trainings that repeat leave-one-out many times end there"""

    longer_training: int = _knob(4, ge=1, le=1000)
    """how many times `epochs` a training to the `training_criterion` may take at most"""

    evaluation_width: int = _knob(96, unit="px", ge=16, le=8192)
    """width of the network's input in the trainings that repeat leave-one-out many times (*What the
    numbers mean* and the two chapters after it)"""

    evaluation_seeds: int = _knob(1, unit="seeds", ge=1, le=100)
    """seeds of those trainings"""

    permutations: int = _knob(3, ge=1, le=10_000)
    """how often the k_m are shuffled, to see whether chance would do; the smallest p-value is 1
    over one more"""

    permutation_learning_rate: float = _knob(1.0e-3, gt=0.0, le=1.0)
    """Adam's learning rate in these trainings, which are many: larger than `learning_rate`, to be
    at the `training_criterion` in fewer steps"""

    averaging_learning_rate: float = _knob(3.0e-3, gt=0.0, le=1.0)
    """Adam's learning rate for the network that averages its feature maps (*What the numbers
    mean*); at the paper's rate it answers a constant for hundreds of epochs"""

    averaging_epochs: int = _knob(60, ge=1, le=100_000)
    """epochs of the network that averages its feature maps"""

    factors: dict[str, list[bool | int | float | str]] = _knob(
        {
            "target": ["minmax", "log10"],
            "input_scaling": ["unit", "standardised"],
            "learning_rate": [1.0e-4, 1.0e-3],
        },
        min_length=1,
    )
    """what *What the choices do* changes: parameters, and the levels of each, which are trained in
    combination; the others are compared with the first"""

    learning_curve_sizes: list[Annotated[int, Field(ge=5, le=1000)]] = _knob(
        [5, 9], unit="formulations", min_length=1
    )
    """numbers of stand-ins that are trained on, to see how the error depends on their number"""

    learning_curve_seeds: int = _knob(1, unit="seeds", ge=1, le=100)
    """how often these are drawn, and trained on, anew"""

    fresh_frames: int = _knob(1, unit="frames", ge=1, le=100)
    """frames of each stand-in's formulation that are made beside its own, to see how the
    predictions of several frames combine; not used for other micrographs"""

    windows_per_side: int = _knob(2, unit="windows", ge=1, le=16)
    """windows cut from a micrograph in either direction, for networks that see less, more finely"""

    random_filters: int = _knob(3, unit="networks", ge=1, le=20)
    """how many networks with random weights stand beside the one with borrowed weights"""

    knudsen_walkers: int = _knob(500, unit="molecules", ge=20, le=100_000)
    """molecules that *The stand-ins* sends through each foam; 2000 give k_m to 3 % or better"""

    walked_stand_ins: int = _knob(24, unit="stand-ins", ge=5, le=1000)
    """stand-ins there whose cells, walls and direction are drawn independently"""

    imaging_strengths: int = _knob(1, ge=1, le=4)
    """how many strengths of each fault of the imaging are tried, the strongest among them"""

    volume_foams: int = _knob(24, unit="foams", ge=6, le=1000)
    """drawn foams on which *The third dimension* compares what can be seen of a volume"""

    volume_voxels: int = _knob(96, unit="voxels", ge=48, le=192)
    """edge of these volumes, in which their cells grow with it; below 96, walls are thinner than a
    voxel, and leak"""

    volume_network_epochs: int = _knob(0, unit="epochs", ge=0, le=100_000)
    """at most so many passes over the foams for a network of three dimensions, trained to the
    `training_criterion` with each foam left out; 0 leaves it out"""


class PredictionParameters(_Group):
    """The prediction of new micrographs."""

    predictor: Literal[
        "auto",
        "paper_network",
        "averaging_network",
        "texture",
        "length",
        "length_and_texture",
        "borrowed",
        "composition",
        "median",
    ] = _knob("auto")
    """what predicts new micrographs: `auto` chooses among all by nested leave-one-out; the paper's
    network, or the small one that averages its maps; regression on `texture`; in proportion to the
    correlation `length`, or the mean of both (`length_and_texture`); by the `composition`; on the
    `borrowed` features of a network that was trained on photographs, which `auto` does not try and
    which need the extra `transfer`; or the `median` of the formulations, which sees nothing"""

    with_composition: bool = _knob(False)
    """whether new micrographs come with their composition, so that `auto` may choose by it"""

    composition: str = _knob("")
    """composition of the new micrographs, such as `4% dextran + 1% mannitol`, for a predictor that
    goes by it; empty for that of the first formulation"""

    image: str = _knob("")
    """micrograph whose k_m is predicted: a file, a folder or a pattern such as `new/*.tif`; empty
    for a fresh stand-in"""

    prediction_training_set: Literal["original", "augmented"] = _knob("original", "Section 5.1")
    """training set of the networks that predict new micrographs; no formulation is held out"""

    coverage_stand_ins: int = _knob(10, unit="stand-ins", ge=4, le=10_000)
    """fresh stand-ins of random k_m on which the interval of a prediction is tried"""


class RunParameters(_Group):
    """Where the work is done; no influence on the numbers."""

    parallel_jobs: int = _knob(0, ge=0, le=1024)
    """folds trained, or micrographs processed, side by side, 0 for one on each core; no influence
    on the numbers"""

    scheduler: str = _knob("")
    """address of a Dask scheduler whose workers train the folds, such as `tcp://host:8786`; empty
    for this machine; no influence on the numbers where the processors are alike"""

    results: str = _knob("")
    """folder for tables and figures; empty for `build/explore/results` of the checkout"""


VARIABLE = tuple(
    name
    for name in (*InputParameters.model_fields, *TrainingParameters.model_fields, "first_seed")
    if name != "epochs"  # each training ends where its own error is small enough
)
"""What `factors` may name: the parameters of processing, network and training."""


class Parameters(  # pydantic lists the fields of the last base first
    RunParameters,
    PredictionParameters,
    StudyParameters,
    ValidationParameters,
    TrainingParameters,
    InputParameters,
    DryingParameters,
    DataParameters,
):
    """The parameters of one analysis; the defaults are the paper's, except for size and effort.

    What is not allowed is a pydantic.ValidationError; those of `read_parameters` name the file.

    Examples
    --------
    >>> parameters = Parameters(epochs=50, number_of_seeds=3)
    >>> parameters.seeds, parameters.is_synthetic
    ((0, 1, 2), True)
    """

    @field_validator("factors")
    @classmethod
    def _check_factors(cls, factors: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Refuse what has no influence on a training, is not allowed there, or is not varied."""
        problems = []
        for name, levels in factors.items():
            if name in cls.model_fields and name not in VARIABLE:
                problems.append(f"{name} cannot be varied; it can be one of {', '.join(VARIABLE)}")
                continue
            if len(set(levels)) < max(len(levels), 2):
                problems.append(f"{name} = {quoted(levels)}: give two levels or more, each once")
            for level in levels:
                try:
                    cls.model_validate({name: level}, strict=True)
                except ValidationError as error:
                    problems.append(_problem(name, error.errors()[0]["type"], level))
                    if name not in cls.model_fields:
                        break
        if problems:
            raise ValueError("; ".join(problems))
        return factors

    @field_validator("scheduler")
    @classmethod
    def _check_scheduler(cls, scheduler: str) -> str:
        """Refuse what is no address before any chapter runs."""
        if scheduler and not re.fullmatch(r"[a-z]+://\S+:\d+", scheduler):
            raise ValueError(f"{quoted(scheduler)} is no address; write it as in tcp://host:8786")
        return scheduler

    @classmethod
    def from_namespace(cls, namespace: Mapping[str, object]) -> Parameters:
        """The parameters among a notebook's ``globals()``, or a ParameterError."""
        known = {name: namespace[name] for name in cls.model_fields if name in namespace}
        return _validated(known, "the notebook's parameters")


def read_parameters(path: Path | str, overrides: Mapping[str, object] | None = None) -> Parameters:
    r"""Read and check a parameter file (YAML), a mapping of names to values.

    Parameters
    ----------
    path
        A relative `dataset`, `drying_run` or `image` in the file is resolved against its folder.
    overrides
        Values that replace those of the file; relative paths are resolved against the working
        directory.

    Raises
    ------
    ParameterError
        When the file is missing or no mapping, or a parameter unknown, there twice or not allowed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "mine.yml")
    ...     _ = path.write_text("epochs: 50\nlearning_rate: 1.0e-3\n")
    ...     parameters = read_parameters(path, {"epochs": 20})
    >>> parameters.epochs, parameters.learning_rate, parameters.input_width
    (20, 0.001, 128)
    """
    path = Path(path)
    values = _with_absolute_paths(_read_mapping(path), path.parent)
    replaced = _with_absolute_paths(overrides or {}, Path.cwd())
    return _validated({**values, **replaced}, str(path), replaced)


def checked_parameters(values: Mapping[str, object], origin: str) -> Parameters:
    """Check parameters from elsewhere, as an error calls it, as `read_parameters` does overrides.

    Examples
    --------
    >>> try:
    ...     checked_parameters({"epochs": 0}, "-p")
    ... except ParameterError as error:
    ...     print(error)
    -p: epochs = 0 is not allowed; allowed: whole number ≥ 1 and ≤ 100000
    """
    return _validated(_with_absolute_paths(values, Path.cwd()), origin)


def _with_absolute_paths(values: Mapping[str, object], folder: Path) -> dict[str, object]:
    """The values, with relative paths among them resolved against a folder."""
    resolved = dict(values)
    for name in _PATHS:
        path = resolved.get(name)
        if isinstance(path, str) and path not in ("", Parameters.model_fields[name].default):
            resolved[name] = str((folder / path).resolve())
    return resolved


def parameter_table() -> pd.DataFrame:
    """Every parameter: columns ``parameter, default, allowed, unit, meaning, source``.

    Examples
    --------
    >>> table = parameter_table().set_index("parameter")
    >>> print(table.loc["input_width", ["default", "allowed", "unit"]].to_dict())
    {'default': 128, 'allowed': 'whole number ≥ 16 and ≤ 8192', 'unit': 'px'}
    """
    rows = [
        {"parameter": name, "default": field.default, "allowed": _allowed(name)}
        | cast("dict[str, str]", field.json_schema_extra)
        | {"meaning": " ".join(str(field.description).split())}
        for name, field in Parameters.model_fields.items()
    ]
    return pd.DataFrame(rows)[["parameter", "default", "allowed", "unit", "meaning", "source"]]


def quoted(value: object, length: int = 60) -> str:
    """A value as a message quotes it: as `repr` writes it, at most `length` characters of it.

    Examples
    --------
    >>> quoted("a.tif"), quoted("a" * 20, 8)
    ("'a.tif'", "'aaaaaa…")
    """
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


class _Loader(yaml.SafeLoader):
    """YAML without repeated keys, of which PyYAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[str, int] = {}
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            line = key.start_mark.line + 1
            if key.value in lines:
                raise ParameterError(
                    f"{quoted(key.value)} stands there twice, in lines {lines[key.value]} and "
                    f"{line}; keep one"
                )
            lines[key.value] = line
        return super().construct_mapping(node, deep)


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise ParameterError(
            f"{path}: no such parameter file (looked in {path.resolve().parent}); "
            "give the path of a .yml file, for instance params/book.yml"
        ) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ParameterError(
            f"{path}: not a readable YAML file: {_reading_problem(error)}; "
            "it should hold lines like 'epochs: 100'"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ParameterError(
            f"{path}: holds a {type(content).__name__}, not a mapping; "
            "write one 'name: value' a line"
        )
    return {str(name): value for name, value in content.items()}


def _reading_problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark else problem


def _validated(
    values: Mapping[str, object], origin: str, overrides: Collection[str] = ()
) -> Parameters:
    """`Parameters` of these values, or one `ParameterError` that lists all that is wrong."""
    try:
        return Parameters.model_validate(values, strict=True)
    except ValidationError as error:
        problems: dict[str, str] = {}
        for detail in error.errors():
            name = str(detail["loc"][0])
            problem = _problem(name, detail["type"], values.get(name))
            if detail["type"] == "value_error":
                problem = f"{name}: {detail['ctx']['error']}"
            problems.setdefault(name, problem)
    by_origin: dict[str, list[str]] = {origin: [], "-p": []}
    for name, problem in problems.items():
        by_origin["-p" if name in overrides else origin].append(problem)
    raise ParameterError(
        "; ".join(f"{where}: {'; '.join(wrong)}" for where, wrong in by_origin.items() if wrong)
    )


def _problem(name: str, kind: str, value: object) -> str:
    if kind == "extra_forbidden":
        close = get_close_matches(name, Parameters.model_fields, n=1)
        known = ", ".join(Parameters.model_fields)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {known}"
        return f"unknown parameter {quoted(name)}; {hint}"
    allowed = _allowed(name)
    hint = _number_hint(value, allowed)
    return f"{name} = {quoted(value)} is not allowed{hint}; allowed: {allowed}"


def _number_hint(value: object, allowed: str) -> str:
    """How to write a number that YAML has read as text, where a number is allowed at all."""
    if not isinstance(value, str) or "number" not in allowed:
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    if "whole number" in allowed:
        return " (YAML reads it as text: remove the quotes and write digits only)"
    return " (YAML reads it as text: write a point, as in 1.0e-3, and no quotes)"


def _allowed(name: str) -> str:
    """The allowed values of a parameter in words, read off the model's own JSON schema."""
    if name == "scheduler":
        return "empty or an address"
    schema = Parameters.model_json_schema()["properties"][name]
    return " or ".join(_allowed_by(part) for part in schema.get("anyOf", [schema]))


_KINDS = {
    "string": "text",
    "boolean": "true or false",
    "object": "parameters and lists of their values",
    "integer": "whole number",
    "number": "number",
}
_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _allowed_by(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    if schema["type"] == "array":
        return f"list of {_allowed_by(schema['items']).replace('number ', 'numbers, each ')}"
    if "pattern" in schema:
        return f"rows such as {schema['examples'][0]!r}"
    if schema.get("minLength"):
        return "text that is not empty"
    bounds = [f"{sign} {schema[key]:g}" for key, sign in _SIGNS.items() if key in schema]
    return f"{_KINDS[schema['type']]} {' and '.join(bounds)}".strip()
