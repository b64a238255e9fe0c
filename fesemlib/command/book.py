"""The book: check what is handed over, execute the notebooks, stage them, render them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fesemlib.command.checks import DEFAULT_PARAMETERS, checked_dataset, read_profile
from fesemlib.command.execute import execute_notebooks
from fesemlib.command.provenance import Profile
from fesemlib.command.render import render_book, stage_book
from fesemlib.command.terminal import CommandError, ending, watch
from fesemlib.storage import build_folder, checkout, disk_is_full, writable


def build_book(
    parameter_file: Path | None = None, overrides: Mapping[str, object] | None = None
) -> Path:
    """Execute what has changed, stage it and render it; the first page of the rendered book.

    The file's name without suffix names the profile; without a file, it is ``params/book.yml`` of
    the checkout. A `CommandError` says what is wrong: a parameter, the data, a cell or a page.
    """
    root = checkout()
    if root is None:
        raise CommandError(
            "the book is built from a checkout of its repository, and this package is not "
            "installed from one; clone the repository and run `make book` in it",
            exit_code=2,
        )
    path = parameter_file or root / DEFAULT_PARAMETERS
    with ending(2):
        parameters = read_profile(path, overrides)
        profile = Profile(root, build_folder() / path.stem)
        # Nothing is made before the data are known to be sound.
        folders = (profile.folder, *profile.folder.parents)
        writable(next(folder for folder in folders if folder.exists()))
        with watch("data set"):
            data = checked_dataset(path, parameters).digest
        writable(profile.folder)
    try:
        execute_notebooks(profile, parameters, data)
        stage_book(profile)
        return render_book(profile)
    except OSError as error:
        if not disk_is_full(error):
            raise
        raise CommandError(
            f"{error}\n{profile.folder}: the disk is full; make room and start again: what was "
            "finished before is kept and will be reused"
        ) from error
