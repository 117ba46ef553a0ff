"""What `cdr-eval tasks`, `variants` and `plan` print."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ...errors import UserError
from ...tasks.catalog import find_benchmark, load_task, task_list
from ...tasks.criteria import DEFAULT_CRITERIA, load_criteria
from ...tasks.variants import declare_variants
from . import task_text
from .options import FILE, debug_option, go_offline, split

if TYPE_CHECKING:
    from ..running.cost import RunCost


@click.command()
@click.argument("name", required=False, metavar="[NAME|FILE]")
@click.option("--columns", metavar="ROLE=COLUMN,...", help="Which columns hold what, such as prompt=question.")
@click.option("--strict", is_flag=True, help="Stop at the first row that cannot be used.")
@click.option("--offline", is_flag=True, expose_value=False, is_eager=True, callback=go_offline, help="No network.")
@debug_option
def tasks(name: str | None, columns: str | None, strict: bool) -> None:
    """List the built-in tasks; or say what a task, a file or a data set is understood as. Nothing is scored."""
    if name is None:
        _list_tasks()
        return
    benchmark, local = find_benchmark(name)
    if benchmark is not None:
        click.echo("\n".join(task_text.benchmark_lines(benchmark)) + "\n")
    try:
        task = load_task(name, columns=split(columns), strict=strict)
    except UserError as error:
        if benchmark is None or local is not None:
            raise
        click.echo(f"Its items are not at hand. {error}")
        return
    click.echo("\n".join(task_text.task_lines(task)))


def _list_tasks() -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "rows", "responses", "rule", "chance", "licence"):
        right = heading in ("rows", "chance")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for task in task_list():
        responses = task.responses.partition(",")[0]
        table.add_row(task.name, f"{task.items:,}", responses, task.rule, f"{task.chance:.2g}", task.licence)
    console().print(table)
    click.echo(
        "\n`cdr-eval tasks NAME` shows one with examples. Tasks too are a file, a folder, a\n"
        "dataset on the hub (org/name/config:split@revision), NAME:FILE and a benchmark\n"
        "file (YAML)."
    )


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
