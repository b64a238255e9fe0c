"""What a terminal asks for: the command `fesem`, and the book that it builds."""

from fesemlib.command.cli import main

__all__ = ["main"]
