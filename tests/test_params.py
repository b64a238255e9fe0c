"""Parameters: what a file may hold, and how each mistake is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from fesemlib.params import ParameterError, Parameters, parameter_table, quoted, read_parameters

PAPER = Path(__file__).parent.parent / "params" / "paper.yml"


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "own.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


# --------------------------------------------------------------------------------------- reading


def test_file_replaces_defaults_and_overrides_replace_the_file(written):
    path = written("epochs: 7\nlearning_rate: 1.0e-3\ncrop: 512\n# a comment\n")
    parameters = read_parameters(path, {"epochs": 8})
    assert (parameters.epochs, parameters.learning_rate, parameters.crop) == (8, 1e-3, 512)
    untouched = Parameters().model_dump().keys() - {"epochs", "learning_rate", "crop"}
    assert parameters.model_dump(include=untouched) == Parameters().model_dump(include=untouched)


@pytest.mark.parametrize("text", ["", "\n", "# nothing but a comment\n", "{}"])
def test_empty_file_gives_the_defaults(written, text):
    assert read_parameters(written(text)) == Parameters()


def test_whole_number_does_for_a_number(written):
    assert read_parameters(written("background_radius_px: 20")).background_radius_px == 20.0


def test_paper_profile_has_what_the_paper_states():
    paper = read_parameters(PAPER)
    assert paper.input_width == paper.synthetic_width == 2048
    assert (paper.learning_rate, paper.batch_size, paper.dropout_rate) == (1e-4, 16, 0.5)


# What the effort depends on, and with it what the numbers of a book are worth.
SIZES = {
    *("synthetic_width", "input_width", "epochs", "number_of_seeds", "evaluation_width"),
    *("permutations", "longer_training", "averaging_epochs", "factors"),
    *("learning_curve_sizes", "imaging_strengths"),
}


@pytest.mark.parametrize("profile", ["book", "paper", "evaluation", "sensitivity"])
def test_profiles_do_not_follow_the_small_defaults_of_the_notebooks(profile):
    named = yaml.safe_load(PAPER.with_name(f"{profile}.yml").read_text(encoding="utf-8"))
    assert set(named) >= SIZES


def test_seeds_follow_on_the_first():
    assert Parameters(first_seed=3, number_of_seeds=4).seeds == (3, 4, 5, 6)


def test_relative_dataset_is_beside_its_file_and_an_override_where_we_are(
    tmp_path, written, monkeypatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = written("dataset: data/manifest.csv")
    assert read_parameters(path).dataset == str(tmp_path / "data" / "manifest.csv")
    assert read_parameters(Path("..") / path.name).dataset == read_parameters(path).dataset
    override = read_parameters(path, {"dataset": "data/manifest.csv"})
    assert override.dataset == str(tmp_path / "here" / "data" / "manifest.csv")


def test_relative_image_is_resolved_like_the_dataset(tmp_path, written):
    assert read_parameters(written("image: new/*.tif")).image == str(tmp_path / "new" / "*.tif")
    assert read_parameters(written("image: ''")).image == ""


def test_relative_drying_run_is_resolved_like_the_dataset(tmp_path, written, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = written("drying_run: run.csv")
    assert read_parameters(path).drying_run == str(tmp_path / "run.csv")
    override = read_parameters(path, {"drying_run": "run.csv"})
    assert override.drying_run == str(tmp_path / "here" / "run.csv")
    assert read_parameters(written("drying_run: ''")).drying_run == ""


@pytest.mark.parametrize("dataset", ["synthetic", "/data/manifest.csv"])
def test_other_datasets_stay_as_written(written, dataset):
    parameters = read_parameters(written(f"dataset: {dataset}"), {"epochs": 1})
    assert parameters.dataset == dataset
    assert parameters.is_synthetic == (dataset == "synthetic")


def test_namespace_gives_its_parameters_and_nothing_else():
    namespace = {"epochs": 9, "crop": "none", "np": object(), "__name__": "__main__", "Epochs": 2}
    parameters = Parameters.from_namespace(namespace)
    assert parameters == Parameters(epochs=9, crop="none")


# --------------------------------------------------------------------------------------- mistakes

MISTAKES = {
    "epochs: 0": "epochs = 0 is not allowed; allowed: whole number ≥ 1",
    "epochs: 2.5": "epochs = 2.5 is not allowed; allowed: whole number",
    "epochs: many": "epochs = 'many' is not allowed",
    "epochs: true": "epochs = True is not allowed",
    "epochs:": "epochs = None is not allowed",
    "epochs: [1, 2]": "epochs = [1, 2] is not allowed",
    "learning_rate: .nan": "learning_rate = nan is not allowed; allowed: number > 0 and ≤ 1",
    "learning_rate: .inf": "learning_rate = inf is not allowed",
    "learning_rate: 0.0": "learning_rate = 0.0 is not allowed",
    "learning_rate: 1e-3": "learning_rate = '1e-3' is not allowed (YAML reads it as text: write a "
    "point, as in 1.0e-3, and no quotes)",
    "epochs: '30'": "epochs = '30' is not allowed (YAML reads it as text: remove the quotes and "
    "write digits only)",
    "crop: '20'": "crop = '20' is not allowed (YAML reads it as text: remove the quotes",
    "padding: '1'": "padding = '1' is not allowed; allowed: same, valid",
    "epochs: 1\nepochs: 2": "'epochs' stands there twice, in lines 1 and 2; keep one",
    "# twice\nepochs: 1\ncrop: auto\n'epochs': 1": "'epochs' stands there twice, in lines 2 and 4",
    "{epochs: 1, epochs: 1}": "'epochs' stands there twice, in lines 1 and 1; keep one",
    "dropout_rate: 1.0": "dropout_rate = 1.0 is not allowed; allowed: number ≥ 0 and < 1",
    "light_background: 1": "light_background = 1 is not allowed; allowed: true or false",
    "padding: full": "padding = 'full' is not allowed; allowed: same, valid",
    "crop: bottom": "crop = 'bottom' is not allowed; allowed: auto, none or whole number ≥ 1 or "
    "rows such as '64:900'",
    "crop: '64:'": "crop = '64:' is not allowed",
    "crop: 0": "crop = 0 is not allowed",
    "crop: -5": "crop = -5 is not allowed",
    "dataset: ''": "dataset = '' is not allowed; allowed: text that is not empty",
    "dataset: 3": "dataset = 3 is not allowed; allowed: text",
    "epoch: 3": "unknown parameter 'epoch'; did you mean 'epochs'?",
    "scheduler: foo": "scheduler: 'foo' is no address; write it as in tcp://host:8786",
    "3: epochs": "unknown parameter '3'; known are dataset, ",
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.items(), ids=MISTAKES.keys())
def test_mistake_is_told_with_file_name_value_and_remedy(written, text, words):
    path = written(text)
    with pytest.raises(ParameterError) as caught:
        read_parameters(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "pydantic" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_told_at_once_and_each_once(written):
    with pytest.raises(ParameterError) as caught:
        read_parameters(written("crop: 0\nepoch: 3\n"), {"padding": "full"})
    assert [str(caught.value).count(f"{name}") for name in ("crop = 0", "'epoch'", "'full'")] == [
        1
    ] * 3


def test_mistakes_of_the_command_line_are_not_called_the_files(written):
    path = written("epochs: 3\n")
    with pytest.raises(ParameterError, match=r"^-p: epochs = 0 is not allowed"):
        read_parameters(path, {"epochs": 0})
    with pytest.raises(ParameterError, match=r"\.yml: crop = 0 .*; -p: epochs = 0 is not"):
        read_parameters(written("crop: 0\n"), {"epochs": 0})


def test_mistake_in_a_notebook_is_told_too():
    with pytest.raises(ParameterError, match=r"^the notebook's parameters: epochs = 0 is not"):
        Parameters.from_namespace({"epochs": 0})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"- epochs\n", "holds a list, not a mapping; write one 'name: value' a line"),
        (b"epochs", "holds a str, not a mapping"),
        (b"epochs: [1,\n", "not a readable YAML file: line 2: expected the node content"),
        (b"# first\nepochs: 1: 2\n", "line 2: mapping values are not allowed here; it should hold"),
        (b"epochs: 1\n\tcrop: 2\n", "line 2: found character '\\t' that cannot start any token"),
        (b"? [a]\n: 1\n", "line 1: found unhashable key"),
        (b"epochs: \x00", "not a readable YAML file: unacceptable character #x0000"),
        (b"epochs: 2024-13-01", "not a readable YAML file: month must be in 1..12"),
        (b"results: \xff\n", "not a readable YAML file"),
        (b"!!python/object:os.system {}", "not a readable YAML file"),
    ],
)
def test_file_without_parameters_is_refused(tmp_path, content, words):
    path = tmp_path / "own.yml"
    path.write_bytes(content)
    with pytest.raises(ParameterError) as caught:
        read_parameters(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "<unicode string>" not in str(caught.value)


def test_merged_mapping_repeats_no_key(written):
    path = written("epochs: 1\n<<: {epochs: 2, crop: 5}\n")
    assert read_parameters(path) == Parameters(epochs=1, crop=5)


@pytest.mark.parametrize("text", ["epochs: {}", "{}: 1"])
def test_long_and_unprintable_text_is_shortened(written, text):
    with pytest.raises(ParameterError, match=r"\\x1b\[31m") as caught:
        read_parameters(written(text.format(r'"\e[31m' + "x" * 500 + '"')))
    assert "x" * 60 not in str(caught.value)
    assert str(caught.value).isprintable()


def test_quotation_has_a_length():
    assert quoted("a\0") == r"'a\x00'"
    assert [len(quoted("a" * count)) for count in (57, 58, 59, 5000)] == [59, 60, 60, 60]
    assert quoted("a" * 58).endswith("a'")
    assert quoted("a" * 59).endswith("a…")


def test_missing_file_is_refused_with_the_folder_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match=r"^own\.yml: no such parameter file") as caught:
        read_parameters("own.yml")
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(ParameterError, match="not a readable YAML file"):
        read_parameters(tmp_path)


# ------------------------------------------------------------------------------------------ table


def test_table_explains_every_parameter():
    table = parameter_table().set_index("parameter")
    assert list(table.index) == list(Parameters.model_fields)
    assert (table[["allowed", "meaning", "source"]] != "").all(axis=None)
    assert table["default"].to_dict() == Parameters().model_dump()
    assert (table["unit"].loc[[name for name in table.index if name.endswith("_px")]] == "px").all()


@pytest.mark.parametrize("row", parameter_table().to_dict("records"), ids=lambda r: r["parameter"])
def test_values_are_allowed_where_the_table_says_so(written, row):
    """The words of the table against what the reader does at every bound and just past it."""

    def accepts(value: object) -> bool:
        value = [value] if row["allowed"].startswith("list of") else value
        try:
            read_parameters(written(yaml.safe_dump({row["parameter"]: value})))
        except ParameterError:
            return False
        return True

    whole = "whole number" in row["allowed"]
    bounds = re.findall(r"([≥>≤<]) ([\d.e+-]+)", row["allowed"])
    for sign, text in bounds:
        limit = int(text) if whole else float(text)
        outwards = (-1 if sign in "≥>" else 1) * (1 if whole else 1e-9)
        assert accepts(limit) == (sign in "≥≤")
        assert accepts(limit - outwards)
        assert not accepts(limit + outwards)
    if not bounds:
        words = row["allowed"].split(", ")
        choices = {
            "true or false": [True, False],
            "text": ["", "text"],
            "empty or an address": ["", "tcp://host:8786"],
            "parameters and lists of their values": [
                {"padding": ["same", "valid"], "target": ["raw", "log10"], "batch_size": [1, 2]}
            ],
        }.get(row["allowed"], ["text"] if row["allowed"].startswith("text") else words)
        assert all(accepts(choice) for choice in choices)
        assert not accepts(0.5)
