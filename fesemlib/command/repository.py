"""What follows from the repository's address and its authors: citation, links, launch buttons.

Both stand in ``pyproject.toml`` and nowhere else: ``authors`` under ``[project]``, and the address
as ``Repository`` under ``[project.urls]``. Without an address, everything that would link to it is
left out. After a change of either, ``python -m fesemlib.command.repository`` writes what is
committed (``CITATION.cff`` and the links in ``README.md``) anew; the book completes its own
configuration whenever it is staged.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_LINKS = re.compile(r"(<!-- links -->\n).*?(<!-- end of links -->)", re.DOTALL)
_PAPER = {
    "type": "article",
    "title": (
        "Enhancing Mass Transfer Coefficient Prediction from Field Emission Scanning Electron "
        "Microscope Images Through Convolutional Neural Networks and Data Augmentation Techniques"
    ),
    "authors": [
        {"family-names": "Marcato", "given-names": "Agnese"},
        {"family-names": "Boccardo", "given-names": "Gianluca"},
        {"family-names": "Pisano", "given-names": "Roberto"},
    ],
    "journal": "Processes",
    "year": 2025,
    "volume": 13,
    "start": 365,
    "doi": "10.3390/pr13020365",
}


@dataclass(frozen=True)
class Project:
    """What ``pyproject.toml`` says of the project.

    Attributes
    ----------
    title
        Its description, in a sentence.
    version
        Of the package.
    authors
        Their names.
    address
        Of the repository, without a slash at the end; empty where it is not known.
    """

    title: str
    version: str
    authors: tuple[str, ...]
    address: str


def read_project(root: Path) -> Project:
    r"""Read what concerns the repository.

    Parameters
    ----------
    root
        The checkout.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> text = '[project]\ndescription = "A book"\nversion = "1.0"\nauthors = [{name = "Ada"}]\n'
    >>> _ = Path(folder.name, "pyproject.toml").write_text(text, encoding="utf-8")
    >>> read_project(Path(folder.name))
    Project(title='A book', version='1.0', authors=('Ada',), address='')
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Project(
        project["description"],
        project["version"],
        tuple(author["name"] for author in project["authors"]),
        project.get("urls", {}).get("Repository", "").rstrip("/"),
    )


def citation(project: Project) -> str:
    """The file ``CITATION.cff``, in the Citation File Format 1.2.0: this software, and the paper.

    Parameters
    ----------
    project
        From `read_project`.

    Examples
    --------
    >>> project = Project("A book", "1.0", ("Ada Lovelace",), "")
    >>> yaml.safe_load(citation(project))["authors"]
    [{'name': 'Ada Lovelace'}]
    """
    content: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this software, please cite it and the paper that it implements.",
        "type": "software",
        "title": "fesem",
        "abstract": f"{project.title}.",
        "version": project.version,
        "authors": [{"name": name} for name in project.authors],
        "license": "MIT",
        "references": [_PAPER],
    }
    if project.address:
        content["repository-code"] = project.address
    head = "# Made by `python -m fesemlib.command.repository` from pyproject.toml.\n"
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def book_configuration(text: str, project: Project) -> str:
    """Jupyter Book's configuration, with the author and, where there is an address, its buttons.

    Parameters
    ----------
    text
        Of ``_config.yml``.
    project
        From `read_project`.

    Examples
    --------
    >>> book_configuration("title: A book\\n", Project("", "", ("Ada", "Bob"), ""))
    'title: A book\\nauthor: Ada, Bob\\n'
    """
    added: dict[str, Any] = {"author": ", ".join(project.authors)}
    if project.address:
        added["repository"] = {"url": project.address, "path_to_book": "", "branch": "main"}
        added["html"] = {
            "use_repository_button": True,
            "use_edit_page_button": True,
            "use_issues_button": True,
        }
        added["launch_buttons"] = {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
        }
    return text + yaml.safe_dump(added, sort_keys=False, allow_unicode=True)


def readme_links(project: Project) -> str:
    """The line of links of the README; empty without an address on GitHub.

    Parameters
    ----------
    project
        From `read_project`.

    Examples
    --------
    >>> readme_links(Project("", "", (), "https://github.com/someone/fesem")).count("](")
    6
    """
    match = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", project.address)
    if match is None:
        return ""
    owner, name = match.groups()
    tests = f"{project.address}/actions/workflows/tests.yml"
    binder = f"https://mybinder.org/v2/gh/{owner}/{name}/main?urlpath=lab/tree/notebooks/README.md"
    return (
        f"[![tests]({tests}/badge.svg)]({tests})\n"
        f"[![Binder](https://mybinder.org/badge_logo.svg)]({binder})\n"
        f"[The book](https://{owner}.github.io/{name}/) ·\n"
        f"[Questions and errors]({project.address}/issues)\n"
    )


def write_files(root: Path) -> None:
    r"""Write the committed files that follow from ``pyproject.toml``.

    Parameters
    ----------
    root
        The checkout.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> text = '[project]\ndescription = "A book"\nversion = "1.0"\nauthors = [{name = "Ada"}]\n'
    >>> _ = Path(folder.name, "pyproject.toml").write_text(text, encoding="utf-8")
    >>> _ = Path(folder.name, "README.md").write_text("<!-- links -->\n<!-- end of links -->\n")
    >>> write_files(Path(folder.name))
    >>> Path(folder.name, "CITATION.cff").is_file()
    True
    """
    project = read_project(root)
    (root / "CITATION.cff").write_text(citation(project), encoding="utf-8")
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    links = readme_links(project)
    readme.write_text(_LINKS.sub(lambda match: match[1] + links + match[2], text), encoding="utf-8")


if __name__ == "__main__":
    write_files(Path(__file__).parents[2])
