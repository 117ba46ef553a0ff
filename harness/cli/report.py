"""`cdr-eval report`: the reports of a run once more, or what was published."""

from pathlib import Path

import click

from ...errors import UserError
from .options import FILE, debug_option


@click.command()
@click.argument("run", type=FILE, required=False)
@click.option("--published", is_flag=True, help="The paper's Tables 1 and 2, and where score sources disagree.")
@debug_option
def report(run: Path | None, published: bool) -> None:
    """Rebuild leaderboard and figures of a RUN directory; no model is needed."""
    if (run is None) != published:
        raise UserError("Pass either a run directory or --published.")
    if run is None:
        from ...model_registry.registry import load_registry
        from ...reports.published import published_report

        conflicts = [
            (c.checkpoint.name, c.benchmark, [(s.value, s.source, s == c.scores[0]) for s in c.scores])
            for c in load_registry().conflicts()
        ]
        click.echo(published_report(conflicts))
        return
    from ...reports.write import write_reports

    click.echo(write_reports(run))
