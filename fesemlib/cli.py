"""The `fesem` command."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import yaml

__all__ = ["main"]

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        What stands behind ``fesem``; those of the process if not given.

    Returns
    -------
    int
        The exit code: 0, 1 when something failed, 2 when what was handed over is wrong, 130 after
        an interruption.
    """
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        print("\nfesem: interrupted; what was finished will be reused", file=sys.stderr)
        return INTERRUPTED


def parameter_value(text: str) -> object:
    """Read the value of ``-p`` as a parameter file would, and every spelling of a number as one.

    Parameters
    ----------
    text
        For instance ``true``, ``100``, ``1e-3`` (which YAML alone takes for text) or a path.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, bool | int | float):
        return value
    if not isinstance(value, str):
        return text
    try:
        return float(value) if value == text else value
    except ValueError:
        return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fesem",
        description="Mass transfer coefficients of freeze-dried products from FESEM micrographs.",
    )
    parser.add_argument("--version", action="version", version=f"fesem {version('fesem')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_book(commands)
    return parser


def _add_book(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    book = commands.add_parser(
        "book",
        help="execute the notebooks and render the book",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Check the parameters and the data, execute the notebooks that changed since the last\n"
            "time, and render the book. Everything goes to build/PROFILE, where PROFILE is the\n"
            "name of the parameter file: the pages to html/, tables and figures to results/."
        ),
        epilog=(
            "examples:\n"
            "  fesem book params/smoke.yml\n"
            "  fesem book -p dataset mine/manifest.csv -p epochs 50"
        ),
    )
    book.add_argument(
        "parameters",
        metavar="PARAMS",
        nargs="?",
        type=Path,
        help="parameter file in YAML (default: params/book.yml of the checkout)",
    )
    book.add_argument(
        "-p",
        dest="overrides",
        metavar=("NAME", "VALUE"),
        nargs=2,
        action="append",
        default=[],
        help="a parameter that replaces the file's; repeatable",
    )
    book.set_defaults(command=_book)


def _book(options: argparse.Namespace) -> int:
    from fesemlib.book import BookError, build_book

    overrides = {name: parameter_value(text) for name, text in options.overrides}
    try:
        index = build_book(options.parameters, overrides)
    except BookError as error:
        print(f"fesem: error: {error}", file=sys.stderr)
        return error.exit_code
    print(index)
    return 0
