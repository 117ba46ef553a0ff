"""What `cdr-eval tasks`, `variants` and `plan` print."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ...tasks.catalog import task_list
from ...tasks.criteria import DEFAULT_CRITERIA, load_criteria
from ...tasks.variants import declare_variants
from .options import FILE, debug_option

if TYPE_CHECKING:
    from ..running.cost import RunCost


@click.command()
@debug_option
def tasks() -> None:
    """List the built-in tasks with their sections and subsets."""
    for task in task_list():
        click.echo(f"{task.name}: {task.description} ({task.items} items)\n  source: {task.source}")
        table = Table()
        for heading in ("section", "subset"):
            table.add_column(heading, overflow="fold")
        table.add_column("weight", justify="right")
        for section in task.sections:
            for subset, count in section.counts.items():
                table.add_row(section.name, subset, str(count))
        console().print(table)
    click.echo("A path of a JSONL or Parquet file, or the id of a hub dataset, is a task too.")


@click.command()
@click.option("--criteria", type=FILE, help="Criteria file (YAML) instead of the built-in one.")
@debug_option
def variants(criteria: Path | None) -> None:
    """List the reward variants with their formulas."""
    table = Table()
    table.add_column("variant", no_wrap=True)
    table.add_column("reward r(x, y)", overflow="fold")
    for variant in declare_variants(load_criteria(criteria or DEFAULT_CRITERIA)).values():
        table.add_row(variant.name, variant.formula)
    console().print(table)


def print_cost(cost: "RunCost") -> None:
    """The table of `cdr-eval plan`."""
    table = Table(title=f"pairs: {cost.pairs:,}, items: {cost.items:,}", title_justify="left")
    table.add_column("checkpoint", overflow="fold")
    for heading in ("responses", "in store", "tokens, prefixes shared", "tokens, each response alone", "time"):
        table.add_column(heading, justify="right")
    for row in cost.checkpoints:
        numbers = (row.responses, row.in_store, row.tokens_shared, row.tokens_separate)
        table.add_row(row.checkpoint, *(f"{n:,}" for n in numbers), _duration(row.seconds))
    timed = [row.seconds for row in cost.checkpoints if row.seconds is not None]
    shared, separate = (sum(getattr(row, n) for row in cost.checkpoints) for n in ("tokens_shared", "tokens_separate"))
    table.add_section()
    table.add_row("all", "", "", f"{shared:,}", f"{separate:,}", _duration(sum(timed) if timed else None))
    console().print(table)
    if cost.routed_by_section:
        click.echo("The router has not been asked yet; its items are planned as if it routed by section.")
    for note in cost.notes:
        click.echo(note)


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))


def console() -> Console:
    """Standard output, names never read as markup; where it is no terminal, wide enough that nothing is cut."""
    return Console(width=None if Console().is_terminal else 160, markup=False, emoji=False)
