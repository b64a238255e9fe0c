"""The notebooks as they are committed: pairs, parameters, no outputs."""

import shutil
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest
import yaml
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from jupytext.sync_contentsmanager import build_sync_jupytext_contents_manager_class

from fesemlib.params import Parameters

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PARAMETER_FILES = sorted((ROOT / "params").glob("*.yml"))

by_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def declared(path: Path) -> dict[str, object]:
    """The parameters of a notebook with their defaults."""
    cells = nbformat.read(path, as_version=4).cells
    first = next(cell for cell in cells if cell.cell_type == "code")
    assert "parameters" in first.metadata.get("tags", [])
    namespace: dict[str, object] = {}
    exec(first.source, namespace)
    return {name: value for name, value in namespace.items() if not name.startswith("__")}


def test_every_script_has_its_notebook():
    assert [path.stem for path in NOTEBOOKS] == sorted(
        path.stem for path in (ROOT / "notebooks").glob("*.py")
    )
    assert len(NOTEBOOKS) >= 5


@by_notebook
def test_pair_is_equal(path):
    """The script is the source: the notebook holds its cells and nothing else."""
    script = jupytext.read(path.with_suffix(".py"))
    notebook = nbformat.read(path, as_version=4)
    cells, written = (
        [(cell.cell_type, cell.source, cell.metadata) for cell in each.cells]
        for each in (notebook, script)
    )
    remedy = f"run .venv/bin/jupytext --to ipynb --update notebooks/{path.stem}.py"
    assert cells == written, remedy
    assert notebook.metadata.kernelspec == script.metadata.kernelspec


@by_notebook
def test_no_outputs_are_committed(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs"), "run .venv/bin/nbstripout --keep-id notebooks/*.ipynb"
        assert cell.get("execution_count") is None


@by_notebook
def test_parameters_are_annotated_and_have_the_defaults_of_the_package(path):
    known = papermill.inspect_notebook(str(path))
    defaults = declared(path)
    assert list(known) == list(defaults)
    for name, value in defaults.items():
        field = Parameters.model_fields[name]
        assert value == field.default
        assert known[name]["inferred_type_name"] == type(value).__name__


@by_notebook
@pytest.mark.parametrize("file", PARAMETER_FILES, ids=lambda file: file.stem)
def test_every_parameter_file_is_valid_for_every_notebook(path, file):
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    parameters = Parameters.from_namespace({**declared(path), **values})
    assert all(getattr(parameters, name) == value for name, value in values.items())


@by_notebook
def test_every_parameter_that_a_notebook_uses_is_declared(path):
    source = path.with_suffix(".py").read_text(encoding="utf-8")
    for name in Parameters.model_fields:
        if f"parameters.{name}" in source:
            assert name in declared(path), name


@by_notebook
def test_chapter_says_what_it_teaches_and_what_it_showed(path):
    cells = nbformat.read(path, as_version=4).cells
    assert "**What you will learn**\n\n- " in cells[0].source
    assert "## What was shown\n\n- " in cells[-1].source


@by_notebook
def test_metadata_are_as_jupyterlab_writes_them(path):
    """It escapes what is not ASCII, and would change the script when it saves it."""
    lines = path.with_suffix(".py").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("# %%") and not line.isascii()] == []


@by_notebook
def test_saving_in_jupyterlab_leaves_the_script_as_it_is(path, tmp_path):
    for source in (path, path.with_suffix(".py"), path.with_name("jupytext.toml")):
        shutil.copy(source, tmp_path)
    manager = build_sync_jupytext_contents_manager_class(LargeFileManager)(root_dir=str(tmp_path))
    script = path.with_suffix(".py").name
    manager.save(manager.get(script, type="notebook", content=True), script)
    assert (tmp_path / script).read_bytes() == path.with_suffix(".py").read_bytes()


@by_notebook
def test_every_chapter_is_listed_where_chapters_are_listed(path):
    listed = {
        "book/_toc.yml": f"notebooks/{path.stem}",
        "book/introduction.md": f"(../notebooks/{path.name})",
        "notebooks/README.md": f"({path.name})",
    }
    for page, entry in listed.items():
        assert entry in (ROOT / page).read_text(encoding="utf-8"), page
