"""`cdr-eval report`: the reports of a run once more, or what was published."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import UserError
from .options import FILE, debug_option

if TYPE_CHECKING:
    from ...model_registry.registry import Conflict, Registry
    from ...model_registry.schema import BenchmarkScore


@click.command()
@click.argument("runs", type=FILE, nargs=-1, metavar="[RUN]...")
@click.option("--published", is_flag=True, help="The paper's Tables 1 and 2, and where score sources disagree.")
@debug_option
def report(runs: tuple[Path, ...], published: bool) -> None:
    """Rebuild leaderboard and figures of a RUN directory; no model is needed.

    Of several runs on the same items: the others against the first, paired, and the items that changed sides.
    """
    if bool(runs) == published:
        raise UserError("Pass either run directories or --published.")
    if not runs:
        from ...model_registry.registry import load_registry
        from ...reports.published import published_report
        from ...reports.terminal import print_document

        known = load_registry()
        conflicts = [
            (c.checkpoint.name, c.benchmark, [(s.value, s.source, _users(known, c, s)) for s in c.scores])
            for c in known.conflicts()
        ]
        print_document(published_report(conflicts))
        return
    if len(runs) > 1:
        from ...reports.run_format.reading import read_info

        for run in runs:
            read_info(run)
        from ...reports.comparison_report import comparison_document
        from ...reports.terminal import print_document
        from ..compare_runs import compare_runs

        print_document(comparison_document(compare_runs(runs)))
        return
    from ...reports.write import write_reports

    for run in runs:
        click.echo(write_reports(run))


def _users(registry: "Registry", conflict: "Conflict", score: "BenchmarkScore") -> list[str]:
    """The families whose grids use this one of a checkpoint's scores."""
    name = conflict.checkpoint.name
    return [
        family.name
        for family in registry.families_of(name)
        if registry.used_scores(name, among=family.members)[conflict.benchmark] == score
    ]
