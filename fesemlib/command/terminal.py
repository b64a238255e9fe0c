"""What is said on the terminal while something long goes on, and where it cannot."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
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


def say(console: Console, text: str) -> None:
    """Print a line as it is."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watch(console: Console, label: str, report: Path | None = None) -> Iterator[None]:
    """Show how far the work inside the context has come.

    A terminal gets one line that is overwritten, anything else a line now and then. The environment
    tells a notebook to say in `report` how far it is, and its remarks in a file beside it.
    """
    from fesemlib.progress import PROGRESS_FILE, REMARKS_FILE, duration, read_progress, read_remarks
    from fesemlib.storage import environment_variable

    start = time.monotonic()
    finished = threading.Event()
    remarks = report.with_name("remarks.txt") if report else None
    said = 0

    def say_remarks() -> None:
        nonlocal said
        for line in read_remarks(remarks)[said:] if remarks else []:
            say(console, f"{label} · {line}")
            said += 1

    def text() -> str:
        state = read_progress(report) if report else None
        return f"{label} · {state or duration(time.monotonic() - start)}"

    def tell() -> None:
        with console.status(text()) if console.is_terminal else nullcontext() as line:
            while not finished.wait(0.5 if line else SECONDS_BETWEEN_LINES):
                say_remarks()
                if line:
                    line.update(text())
                else:
                    say(console, text())

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        with (
            environment_variable(PROGRESS_FILE, str(report) if report else None),
            environment_variable(REMARKS_FILE, str(remarks) if remarks else None),
        ):
            yield
    finally:
        finished.set()
        thread.join()
        say_remarks()
        for path in (report, remarks):
            if path:
                path.unlink(missing_ok=True)
