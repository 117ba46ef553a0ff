"""`cdr-eval export`: a run's results in the formats of others."""

from pathlib import Path

import click

from .options import FILE, debug_option


@click.command()
@click.argument("run", type=FILE)
@click.option("--out", type=FILE, required=True, help="Folder to write to; files of the same names are replaced.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["evaleval", "rewardbench", "trl"]),
    required=True,
    help="evaleval: every-eval-ever's schema; rewardbench: what RewardBench's scripts write; trl: preference data "
    "with a reference's log-probabilities for DPOTrainer.",
)
@click.option("--organization", default="unknown", show_default=True, help="Who ran it; EvalEval's schema asks.")
@click.option("--reference", metavar="NAME", help="trl: the checkpoint whose likelihoods are taken, where several are.")
@click.option("--registry", type=FILE, multiple=True, metavar="FILE", help="trl: the run's registry files.")
@debug_option
def export(
    run: Path, out: Path, file_format: str, organization: str, reference: str | None, registry: tuple[Path, ...]
) -> None:
    """Write the results of a pair or grid RUN for other programs."""
    if file_format == "trl":
        from ..trl_rows import export_trl

        click.echo(export_trl(run, out, reference, registry))
        return
    from ...reports.exports import export_evaleval, export_rewardbench

    written = export_evaleval(run, out, organization) if file_format == "evaleval" else export_rewardbench(run, out)
    click.echo(f"{len(written)} files in {out}")
