"""The book: check what is handed over, execute the notebooks, stage them, render them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from fesemlib.command.checks import DEFAULT_PARAMETERS, checked_dataset, read_profile
from fesemlib.command.execute import execute_notebooks
from fesemlib.command.render import render_book
from fesemlib.command.stage import Profile, stage_book
from fesemlib.command.terminal import BookError, watch
from fesemlib.storage import build_folder, checkout, disk_is_full, writable


def build_book(
    parameter_file: Path | str | None = None,
    overrides: Mapping[str, object] | None = None,
    console: Console | None = None,
) -> Path:
    """Execute what has changed, stage it and render it.

    Parameters
    ----------
    parameter_file
        A YAML file; its name without suffix names the profile. Without one, ``params/book.yml``
        of the checkout.
    overrides
        Parameters that replace those of the file.
    console
        Where progress is shown; the terminal's standard error if not given.

    Returns
    -------
    Path
        The first page of the rendered book.

    Raises
    ------
    BookError
        When there is no checkout, a parameter or the data are wrong, the build folder is not
        writable, a cell fails, a page is broken or the disk is full.

    Examples
    --------
    >>> try:
    ...     build_book("cache.yml")
    ... except BookError as error:
    ...     print(error)
    cache.yml: build/cache is used for something else; rename the parameter file
    """
    console = console or Console(stderr=True)
    root = checkout()
    if root is None:
        raise BookError(
            "the book is built from a checkout of its repository, and this package is not "
            "installed from one; clone the repository and run `make book` in it",
            exit_code=2,
        )
    path = Path(parameter_file or root / DEFAULT_PARAMETERS)
    try:
        parameters = read_profile(path, overrides)
        profile = Profile(root, build_folder() / path.stem)
        # Nothing is made before the data are known to be sound.
        folders = (profile.folder, *profile.folder.parents)
        writable(next(folder for folder in folders if folder.exists()))
        with watch(console, "data set"):
            data = checked_dataset(path, parameters).digest
        writable(profile.folder)
    except (ValueError, OSError) as error:
        raise BookError(str(error), exit_code=2) from error
    try:
        execute_notebooks(profile, parameters, data, console)
        stage_book(profile)
        return render_book(profile, console)
    except OSError as error:
        if not disk_is_full(error):
            raise
        raise BookError(
            f"{error}\n{profile.folder}: the disk is full; make room and start again: what was "
            "finished before is kept and will be reused"
        ) from error
