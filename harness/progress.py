"""What a terminal shows on standard error while something takes long."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.text import Text


def status(doing: str, quiet: bool) -> AbstractContextManager[Any]:
    """A context that shows a line on standard error, if that is a terminal, and takes it away at its end."""
    return nullcontext() if quiet else Console(stderr=True).status(Text(f"{doing} ..."))


def progress_bar(quiet: bool = False) -> Progress:
    """A display of tasks that are counted, for the time that it is entered."""
    return Progress(console=Console(stderr=True), disable=quiet)
