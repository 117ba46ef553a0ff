"""Says on a terminal what is being done while nothing can be counted."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console
from rich.text import Text


def status(doing: str, quiet: bool) -> AbstractContextManager[Any]:
    """A context that shows a line on standard error, if that is a terminal, and takes it away at its end."""
    return nullcontext() if quiet else Console(stderr=True).status(Text(f"{doing} ..."))
