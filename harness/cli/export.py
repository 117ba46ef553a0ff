"""`cdr-eval export`: a run's results in the formats of others."""

from pathlib import Path

import click

from .options import FILE, debug_option, refuse

_ONLY = {"evaleval": ("samples", "organization"), "trl": ("reference", "registry")}
"""Format → options that no other takes."""


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
@click.option("--samples", is_flag=True, help="evaleval: also a record of every item with its texts, a file a reward.")
@click.option("--organization", default="unknown", show_default=True, help="evaleval: who ran it; the schema asks.")
@click.option("--reference", metavar="NAME", help="trl: the checkpoint whose likelihoods are taken, where several are.")
@click.option("--registry", type=FILE, multiple=True, metavar="FILE", help="trl: the run's registry files.")
@debug_option
def export(
    run: Path,
    out: Path,
    file_format: str,
    samples: bool,
    organization: str,
    reference: str | None,
    registry: tuple[Path, ...],
) -> None:
    """Write the results of a pair or grid RUN for other programs."""
    for of_format, names in _ONLY.items():
        if of_format != file_format:
            refuse(names, f"belongs to --format {of_format}")
    from ...reports.run_format.reading import read_info

    read_info(run)
    if file_format == "trl":
        from ..trl_rows import export_trl

        click.echo(export_trl(run, out, reference, registry))
    elif file_format == "rewardbench":
        from ...reports.export_rewardbench import export_rewardbench

        click.echo(f"{len(export_rewardbench(run, out))} files in {out}")
    else:
        from ...reports.export_evaleval import export_evaleval
        from ...reports.formatting import plural

        rewards, without = export_evaleval(run, out, organization, samples=samples)
        click.echo(f"{plural(rewards, 'reward')} in {out / 'data'}")
        if without:
            click.echo(f"Without samples: {without} of them, as the run keeps no credit of single items by their rule.")
