"""Click options of the commands that train, and what they say at their end."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ...errors import UserError
from ..tuning.settings import Lora, Training
from .options import FILE, Command, hush, loading_options

if TYPE_CHECKING:
    from ..tune import Tuned

_TRAINING = (
    click.option("--learning-rate", "--lr", type=float, help="Default: the recipe's, or 1e-6 (annotator: 1e-5)."),
    click.option(
        "--batch", type=int, help="Pairs (kto: answers) a step, over all processes; default 128 (annotator: 32)."
    ),
    click.option("--micro-batch", type=int, help="Of them, those that a process reads at once; default: up to 16."),
    click.option("--epochs", type=float, help="Default 1 (annotator: 5)."),
    click.option("--warmup", type=float, help="Share of the steps, or their number from 1 on; default 0.1."),
    click.option("--weight-decay", type=float, help="Default 0."),
    click.option("--optimizer", metavar="NAME", help="As transformers names it; default adamw_torch."),
    click.option("--lora", metavar="r=8,alpha=16", help="Train adapters; also dropout=0.05."),
    click.option("--drop-long", is_flag=True, default=None, help="Leave rows over --max-length out, and count them."),
    click.option("--save-every", type=int, help="Steps between checkpoints; default: ten of them."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
    click.option("--out", type=FILE, required=True, metavar="DIR", help="New folder to write."),
    click.option(
        "--quiet",
        is_flag=True,
        callback=hush,
        is_eager=True,
        help="No progress bar, and only the folder's path at the end.",
    ),
    click.option(
        "--json", "as_json", is_flag=True, callback=hush, is_eager=True, help="Print the record of the run as JSON."
    ),
)


def training_options(command: Command) -> Command:
    """How to train, and how checkpoints are found and loaded."""
    for option in reversed(_TRAINING):
        command = option(command)
    return loading_options(command)


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The training settings that the command line gives."""
    names = Training.__dataclass_fields__
    found: dict[str, Any] = {name: settings[name] for name in names if settings.get(name) is not None}
    if "lora" in found:
        found["lora"] = _lora(found["lora"])
    return found


def tell(result: "Tuned", settings: Mapping[str, Any], told: str) -> None:
    """Print what a training run left, as the command line wants it."""
    if settings["as_json"]:
        click.echo(json.dumps({"out": str(result.out), **result.record}))
    elif settings["quiet"]:
        click.echo(result.out)
    else:
        for note in result.record["notes"]:
            click.echo(note)
        if result.record["data"]["too_long"]:
            click.echo(f"{result.record['data']['too_long']:,} rows over the length limit were left out.")
        click.echo(told)
        click.echo(f"All of it: {result.out}")


def _lora(text: str) -> Lora:
    """ "r=8,alpha=16" as the adapters' settings."""
    kinds: dict[str, type[int] | type[float]] = {"r": int, "alpha": int, "dropout": float}
    try:
        pairs = dict(part.strip().split("=") for part in text.split(","))
        return replace(Lora(), **{name: kinds[name](value) for name, value in pairs.items()})
    except (KeyError, ValueError) as error:
        raise UserError(f"--lora {text!r} is not understood: write it as r=8,alpha=16,dropout=0.05.") from error
