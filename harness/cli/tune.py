"""`cdr-eval tune`: tuning a checkpoint on preference data."""

import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from ...errors import UserError
from ..tuning.losses import LOSSES
from ..tuning.settings import RECIPES, Training, processes
from .options import options_of
from .training_options import given, tell, training_options


@click.command()
@click.argument("data")
@click.option("--model", required=True, metavar="M", help="Registry name, hub id or local folder to start from.")
@click.option("--loss", type=click.Choice(list(LOSSES)), help="Default: the recipe's, or simpo.")
@click.option("--weights", metavar="COLUMN", help="Multiply each pair's loss by this column; default: all alike.")
@click.option("--normalise-weights", is_flag=True, default=None, help="Divide weights by their mean over the data.")
@click.option("--beta", type=float, help="Default: 10 for simpo, else 0.1.")
@click.option("--gamma-ratio", type=float, help="SimPO's target margin as a share of beta; default 0.3.")
@click.option("--label-noise", type=float, help="robust-dpo: the share of labels thought to be wrong; default 0.1.")
@click.option("--recipe", type=click.Choice(list(RECIPES)), help="Published settings; what is given beside it wins.")
@click.option("--launch", metavar="NAME|FILE", help="Run under accelerate: multi_gpu, zero2, zero3, fsdp2 or a YAML.")
@click.option(
    "--processes",
    "count",
    type=click.IntRange(min=1),
    help="With --launch: how many; default: one a GPU, or the file's.",
)
@training_options
def tune(
    data: str,
    model: str,
    weights: str | None,
    launch: str | None,
    count: int | None,
    out: Path,
    registry: tuple[Path, ...],
    **settings: Any,
) -> None:
    """Tune a checkpoint on preference DATA; the result is a checkpoint of --registry OUT/registry.yaml at once.

    DATA is a folder that `annotate` wrote, a .jsonl, .json or .parquet file, or a hub dataset, with prompt, chosen and
    rejected. A run that was stopped goes on from its newest checkpoint when the same command is run again.
    """
    from ..tune import LOG
    from ..tune import tune as tune_checkpoint

    training = Training(**{**RECIPES.get(settings["recipe"] or "", {}), **given(settings)})
    if count is not None and not launch:
        raise UserError("--processes goes with --launch: pass --launch multi_gpu, or leave it out.")
    if launch and processes() == 1:
        from ..tuning.launch import relaunch

        relaunch(launch, count, _without_launch(sys.argv[1:]))
    result = tune_checkpoint(
        data,
        model=model,
        out=out,
        training=training,
        weights=None if weights == "none" else weights,
        registry=registry,
        options=options_of(settings, quiet=settings["quiet"] or settings["as_json"] or not _is_main()),
    )
    if not _is_main():
        return
    from ...reports.charts.training import write_training_figure

    write_training_figure(out / LOG, out)
    if not (settings["quiet"] or settings["as_json"]):
        used = asdict(replace(training, beta=training.effective_beta))
        click.echo(f"Settings: {', '.join(f'{name} {value}' for name, value in used.items() if value)}.")
    tell(result, settings, f"Compare it with others: cdr-eval grid --registry {out / 'registry.yaml'}")


def _is_main() -> bool:
    """Whether this process is the one that speaks, of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def _without_launch(arguments: list[str]) -> list[str]:
    """The command line less --launch and --processes with their values."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in {"--launch", "--processes"}:
            skip = True
        elif not argument.startswith(("--launch=", "--processes=")):
            kept.append(argument)
    return kept
