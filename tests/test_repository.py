"""What a visitor of the repository meets: citation, links, workflows, hooks."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_version_and_authors_are_the_same_everywhere() -> None:
    authors = [author["name"] for author in PROJECT["authors"]]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert [author["name"] for author in citation["authors"]] == authors
    assert citation["abstract"] == f"{PROJECT['description']}."
    configuration = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert configuration["author"] == ", ".join(authors)


def test_citation_names_this_software_and_the_paper() -> None:
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    for key in ("cff-version", "message", "title", "authors"):  # the format requires them
        assert content[key]
    paper = content["references"][0]
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    entry = bibliography[bibliography.index("@article{marcato2025") :].split("\n}")[0]
    title = re.search(r"title\s*=\s*\{(.*?)\},\n", entry, re.DOTALL)
    assert title is not None
    assert paper["title"] == " ".join(title[1].split())
    assert f"{{{paper['doi']}}}" in entry
    assert [author["family-names"] for author in paper["authors"]] == [
        name.split(",")[0] for name in entry.split("author  = {")[1].split("}")[0].split(" and ")
    ]


def test_binder_installs_what_is_here() -> None:
    for name in ("environment.yml", "requirements.lock"):
        assert (ROOT / ".binder" / name).resolve() == ROOT / name
    assert (ROOT / ".binder" / "postBuild").stat().st_mode & 0o111
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    # What repo2docker looks for; where it finds none, its own default Python is the base.
    python = [re.match(r"python\s*=+\s*(\d+\.\d+)", one) for one in dependencies[:-1]]
    found = [match[1] for match in python if match]
    assert len(found) == 1
    assert found[0] in ("3.11", "3.12", "3.13")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_jobs_bounded(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    for one in uses:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert all(job["timeout-minutes"] <= 90 for job in workflow["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_job_that_runs_our_code_may_write(path: Path) -> None:
    for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
        commands = " ".join(step.get("run", "") for step in job["steps"])
        if re.search(r"\b(make|pip|python)\b", commands):
            assert job["permissions"] == {"contents": "read"}


def test_workflows_cover_the_pythons_that_the_package_allows() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
    tried = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert tried == ["3.11", "3.12", "3.13"]
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.skipif(not (SCRIPTS / "zizmor").is_file(), reason="needs zizmor")
def test_zizmor_finds_nothing() -> None:
    command = [SCRIPTS / "zizmor", "--offline", "--no-progress", ROOT / ".github"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "No findings" in done.stdout


CHECK = (
    "check:\n\t.venv/bin/python -m pytest -q -p no:cacheprovider tests/test_notebooks.py -k pair\n"
)


def run_hooks(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [ROOT / ".venv" / "bin" / "pre-commit", "run", "--all-files"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.slow
def test_hooks_run_make_check_and_refuse_outputs(tmp_path: Path) -> None:
    """In a repository with the chapters, whose `make check` looks at the pairs only."""
    if not (ROOT / ".venv" / "bin" / "pre-commit").is_file():
        pytest.skip("needs pre-commit in .venv")
    for name in ("notebooks", "params", "fesemlib"):
        skipped = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "build")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=skipped)
    (tmp_path / "tests").mkdir()
    for name in (
        *("pyproject.toml", ".pre-commit-config.yaml", "_config.yml", ".gitignore"),
        *("tests/conftest.py", "tests/test_notebooks.py"),
    ):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "Makefile").write_text(CHECK, encoding="utf-8")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    for arguments in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    done = run_hooks(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == 2

    path = tmp_path / "notebooks" / "03_network.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    cell.outputs = [nbformat.v4.new_output("stream", text="left over")]
    notebook.cells[0].source = "# Another network"
    nbformat.write(notebook, path)
    done = run_hooks(tmp_path)
    assert done.returncode != 0
    assert done.stdout.count("Failed") == 2
