"""What is said on the terminal while something long goes on, and where it cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import click
from rich.console import Console
from rich.text import Text

CONSOLE = Console(stderr=True)
SECONDS_BETWEEN_LINES = 10.0
"""How often progress is printed where it cannot overwrite itself."""


class CommandError(click.ClickException):
    """Ends a command; the message says why and what to do.

    The exit code is 2 for what the caller handed over, 1 for what went wrong on the way.
    """

    def __init__(self, message: object, exit_code: int = 1) -> None:
        super().__init__(str(message))
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(f"fesem: error: {self.message}", file, err=True)


@contextmanager
def ending(exit_code: int, *errors: type[Exception]) -> Iterator[None]:
    """End the command where an error says it all: those that are named, what is wrong, files."""
    telling: tuple[type[Exception], ...] = (ValueError, OSError, *errors)
    try:
        yield
    except telling as error:
        raise CommandError(error, exit_code) from error


def say(text: str | Text) -> None:
    """Print a line as it is."""
    CONSOLE.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watch(label: str, folder: Path | None = None) -> Iterator[None]:
    """Show how far the work inside the context has come, and what it remarks.

    A terminal gets one line that is overwritten, anything else a line now and then. The environment
    tells all processes of the work which files to use for that, for a while, in `folder`.
    """
    from fesemlib.progress import PROGRESS_FILE, REMARKS_FILE, duration, read_progress
    from fesemlib.storage import environment_variable

    start = time.monotonic()
    finished = threading.Event()

    def state() -> Text:  # no markup: names in brackets stay
        return Text(f"{label} · {read_progress(report) or duration(time.monotonic() - start)}")

    def say_remarks() -> None:
        for line in remarks:
            say(f"{label} · {line.rstrip()}")

    def tell() -> None:
        with CONSOLE.status(state()) if CONSOLE.is_terminal else nullcontext() as line:
            show = line.update if line else say
            while not finished.wait(0.5 if line else SECONDS_BETWEEN_LINES):
                say_remarks()
                show(state())

    with TemporaryDirectory(prefix=".watched-", dir=folder, ignore_cleanup_errors=True) as files:
        report, remarked = Path(files, "progress.json"), Path(files, "remarks.txt")
        remarked.touch()
        with (
            remarked.open(encoding="utf-8") as remarks,
            environment_variable(PROGRESS_FILE, str(report)),
            environment_variable(REMARKS_FILE, str(remarked)),
        ):
            thread = threading.Thread(target=tell)
            thread.start()
            try:
                yield
            finally:
                finished.set()
                thread.join()
                say_remarks()
