"""A sign of life on standard error, where somebody sits at a terminal, while something takes its time."""

from rich.console import Console
from rich.status import Status


def waiting(what: str) -> Status:
    """A spinner for the length of a `with` block; silent where standard error is no terminal."""
    return Console(stderr=True).status(what)
