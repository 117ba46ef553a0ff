"""`cdr-eval tune` and `cdr-eval annotator`: training on preference data."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import UserError
from ..tuning.losses import LOSSES
from ..tuning.settings import RECIPES, Lora, Training
from .options import FILE, Command, loading_options, options_of

if TYPE_CHECKING:
    from ..tune import Tuned

_TRAINING = (
    click.option("--learning-rate", "--lr", type=float, help="Default: the recipe's, or 1e-6 (annotator: 1e-5)."),
    click.option("--batch", type=int, help="Pairs a step, over all processes; default 128 (annotator: 32)."),
    click.option("--micro-batch", type=int, help="Pairs a process reads at once; default: up to 16."),
    click.option("--epochs", type=float, help="Default 1 (annotator: 5)."),
    click.option("--warmup", type=float, help="Share of the steps, or their number from 1 on; default 0.1."),
    click.option("--weight-decay", type=float, help="Default 0."),
    click.option("--optimizer", metavar="NAME", help="As transformers names it; default adamw_torch."),
    click.option("--lora", metavar="r=8,alpha=16", help="Train adapters; also dropout=0.05."),
    click.option("--drop-long", is_flag=True, default=None, help="Leave rows over --max-length out, and count them."),
    click.option("--save-every", type=int, help="Steps between checkpoints; default: ten of them."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
    click.option("--out", type=FILE, required=True, metavar="DIR", help="New folder to write."),
    click.option("--quiet", is_flag=True, help="No progress bar, and only the folder's path at the end."),
    click.option("--json", "as_json", is_flag=True, help="Print the record of the run as JSON."),
)


def _training_options(command: Command) -> Command:
    for option in reversed(_TRAINING):
        command = option(command)
    return loading_options(command)


@click.command()
@click.argument("data")
@click.option("--model", required=True, metavar="M", help="Registry name, hub id or local folder to start from.")
@click.option("--loss", type=click.Choice(list(LOSSES)), help="Default: the recipe's, or simpo.")
@click.option("--weights", metavar="COLUMN", help="Multiply each pair's loss by this column; default: all alike.")
@click.option("--normalise-weights", is_flag=True, default=None, help="Divide weights by their mean over the data.")
@click.option("--beta", type=float, help="Default: 10 for simpo, else 0.1.")
@click.option("--gamma-ratio", type=float, help="SimPO's target margin as a share of beta; default 0.3.")
@click.option("--label-noise", type=float, help="rdpo: the share of labels thought to be wrong; default 0.1.")
@click.option("--recipe", type=click.Choice(list(RECIPES)), help="Published settings; what is given beside it wins.")
@click.option("--launch", metavar="NAME|FILE", help="Run under accelerate: multi_gpu, zero2, zero3, fsdp2 or a YAML.")
@click.option("--processes", type=click.IntRange(min=1), help="With --launch: how many; default: the file's.")
@_training_options
def tune(data: str, model: str, weights: str | None, out: Path, registry: tuple[Path, ...], **settings: Any) -> None:
    """Tune a checkpoint on preference DATA; the result is a checkpoint of --registry OUT/registry.yaml at once.

    DATA is a folder that `annotate` wrote, a .jsonl, .json or .parquet file, or a hub dataset, with prompt, chosen and
    rejected. A run that was stopped goes on from its newest checkpoint when the same command is run again.
    """
    from ..tune import LOG, Tuned, processes
    from ..tune import tune as tune_checkpoint

    weights = None if weights == "none" else weights
    training = Training(**{**RECIPES.get(settings["recipe"] or "", {}), **_given(settings)})
    if settings["launch"] and processes() == 1:
        from ..tuning.launch import relaunch

        relaunch(settings["launch"], settings["processes"], _without_launch(sys.argv[1:]))
    result: Tuned = tune_checkpoint(
        data,
        model=model,
        out=out,
        training=training,
        weights=weights,
        registry=registry,
        options=options_of(settings, quiet=settings["quiet"] or settings["as_json"] or not _is_main()),
    )
    if not _is_main():
        return
    from ...reports.figure_training import write_training_figure

    write_training_figure(out / LOG, out)
    if not (settings["quiet"] or settings["as_json"]):
        click.echo(f"Settings: {', '.join(f'{name} {value}' for name, value in asdict(training).items())}")
    _tell(result, settings, f"Compare it with others: cdr-eval grid --registry {out / 'registry.yaml'}")


@click.group()
def annotator() -> None:
    """Reward heads: a weak model that learns to tell chosen from rejected."""


@annotator.command("train")
@click.argument("labelled")
@click.option("--model", required=True, metavar="BASE", help="Registry name, hub id or local folder.")
@click.option("--share", type=float, default=0.3, show_default=True, help="Share of the prompts to train on, by hash.")
@_training_options
def train(labelled: str, model: str, share: float, out: Path, registry: tuple[Path, ...], **settings: Any) -> None:
    """Train a Bradley-Terry reward head on a share of the pairs of LABELLED, and judge it on the others."""
    from ..annotator import CWPO, train_annotator

    result = train_annotator(
        labelled,
        model=model,
        out=out,
        share=share,
        training=replace(CWPO, **_given(settings)),
        registry=registry,
        options=options_of(settings, quiet=settings["quiet"] or settings["as_json"]),
    )
    judged = result.record["held_out"]
    told = f"No pair was held out; pass a --share below {share:g} to have it judged."
    if judged["pairs"]:
        told = (
            f"Right on {100 * judged['accuracy']:.1f}% ({100 * judged['ci_low']:.1f} to {100 * judged['ci_high']:.1f}) "
            f"of {judged['pairs']:,} pairs whose prompts it has not seen; chance is 50%."
        )
    _tell(result, settings, told)


def _is_main() -> bool:
    """Whether this process is the one that speaks, of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The training settings that the command line gives."""
    names = Training.__dataclass_fields__
    given: dict[str, Any] = {name: settings[name] for name in names if settings.get(name) is not None}
    if "lora" in given:
        given["lora"] = _lora(given["lora"])
    return given


def _lora(text: str) -> Lora:
    """ "r=8,alpha=16" as the adapters' settings."""
    kinds: dict[str, type[int] | type[float]] = {"r": int, "alpha": int, "dropout": float}
    try:
        pairs = dict(part.strip().split("=") for part in text.split(","))
        return replace(Lora(), **{name: kinds[name](value) for name, value in pairs.items()})
    except (KeyError, ValueError) as error:
        raise UserError(f"--lora {text!r} is not understood: write it as r=8,alpha=16,dropout=0.05.") from error


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


def _tell(result: "Tuned", settings: Mapping[str, Any], told: str) -> None:
    if settings["as_json"]:
        click.echo(json.dumps({"out": str(result.out), **result.record}))
    elif settings["quiet"]:
        click.echo(result.out)
    else:
        for note in result.record.get("notes", []):
            click.echo(note)
        if result.record["data"]["too_long"]:
            click.echo(f"{result.record['data']['too_long']:,} rows over the length limit were left out.")
        click.echo(told)
        click.echo(f"All of it: {result.out}")
