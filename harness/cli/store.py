"""`cdr-eval store`: what a score store holds, whether it is damaged, and merging its chunks."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..options import default_store
from .catalog import console
from .options import FILE, debug_option

DAMAGED = 2
"""Exit code of `check` where a chunk is damaged."""


@click.group()
def store() -> None:
    """Look after a score store: check it, merge its chunks, show what it holds."""


def _store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    help_text = "Folder of the score store; default: in the user's cache."
    return debug_option(click.option("--store", "folder", type=FILE, default=default_store, help=help_text)(command))


@store.command()
@_store_option
def check(folder: Path) -> None:
    """Read every chunk, say what is there and what is damaged, and change nothing; exit 2 for damage."""
    from ..running.store_upkeep import check_store

    found = check_store(folder)
    click.echo(f"{folder}: {found.scores:,} scores in {_count(found.chunks, 'chunk')}.")
    if found.set_aside:
        click.echo(f"{_count(found.set_aside, 'damaged chunk')} in {folder / 'damaged'}, set aside by earlier runs.")
    if found.unfinished:
        click.echo(f"{_count(len(found.unfinished), 'unfinished file')} of killed runs; `compact` removes them.")
    for owner in found.claims:
        click.echo(f"{owner} is scoring into it.")
    for path in found.damaged:
        click.echo(f"Damaged: {path}", err=True)
    if found.damaged:
        click.echo("The next run or `compact` sets damaged chunks aside, and a run scores theirs again.", err=True)
        sys.exit(DAMAGED)


@store.command()
@_store_option
def compact(folder: Path) -> None:
    """Merge the chunks into one for each checkpoint, and remove what killed runs left; others may use the store."""
    from ..running.store_upkeep import compact_store

    before, after = compact_store(folder)
    click.echo(f"{folder}: {_count(before, 'chunk')} before, {after:,} now.")


@store.command()
@_store_option
def show(folder: Path) -> None:
    """List the scores by checkpoint."""
    from ..running.store_upkeep import store_contents

    rows = store_contents(folder)
    table = Table(title=str(folder), title_justify="left")
    table.add_column("checkpoint", overflow="fold")
    for heading in ("scores", "scored tokens", "bytes"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row.checkpoint, f"{row.scores:,}", f"{row.tokens:,}", f"{row.bytes:,}")
    table.add_section()
    table.add_row("all", *(f"{sum(getattr(row, n) for row in rows):,}" for n in ("scores", "tokens", "bytes")))
    console().print(table)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
