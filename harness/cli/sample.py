"""`cdr-eval sample`: responses to prompts, from a checkpoint."""

import json
from pathlib import Path
from typing import Any

import click

from .options import EXECUTOR, FILE, hush, loading_options, options_of, read_shard


@click.command()
@click.argument("prompts")
@click.option("--model", required=True, metavar="M", help="Registry name, hub id or local folder.")
@click.option("-n", type=click.IntRange(min=1), default=32, show_default=True, help="Responses a prompt.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="0 takes the likeliest token.")
@click.option("--top-p", type=float, default=1.0, show_default=True, help="Draw from the likeliest tokens up to P.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), default=1024, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=128, show_default=True, help="Sequences read at once.")
@click.option("--limit", type=click.IntRange(min=1), help="Only so many prompts, spread evenly over the file.")
@click.option("--out", type=FILE, default=Path("responses.jsonl"), show_default=True, help="A .jsonl or .parquet file.")
@click.option("--shard", callback=read_shard, metavar="I/N", help="Sample only the I-th of N parts of the prompts.")
@EXECUTOR
@click.option(
    "--quiet", is_flag=True, callback=hush, is_eager=True, help="No progress bar, and only the file's path at the end."
)
@click.option(
    "--json", "as_json", is_flag=True, callback=hush, is_eager=True, help="Print the sampling record as JSON."
)
@loading_options
def sample(prompts: str, model: str, out: Path, **settings: Any) -> None:
    """Sample responses to PROMPTS from a checkpoint, with the reason why each ended.

    PROMPTS is a .jsonl, .json or .parquet file or a hub dataset with a column `prompt` (text or turns), `messages` or
    `instruction`, or minilab:train for prompts of the minilab's world. Every response depends on seed, prompt id and
    index alone; run the same command again to continue one that was stopped.
    """
    from ..generation.settings import Sampling
    from ..sample import sample_responses

    names = Sampling.__dataclass_fields__
    result = sample_responses(
        prompts,
        model=model,
        out=out,
        sampling=Sampling(**{name: settings[name] for name in names}),
        shard=settings["shard"] or (1, 1),
        limit=settings["limit"],
        registry=settings["registry"],
        options=options_of(settings, quiet=settings["quiet"] or settings["as_json"]),
    )
    if settings["as_json"]:
        click.echo(json.dumps({"out": str(result.out), "complete": result.complete, **result.record}))
    elif settings["quiet"]:
        click.echo(result.out)
    elif result.complete:
        click.echo(_told(result.record))
        click.echo(f"Responses: {result.out}; how they were drawn: {result.out.with_suffix('.run.json')}")
    else:
        click.echo("This shard is sampled; the last shard to end writes the file.")


def _told(record: dict[str, Any]) -> str:
    reasons: dict[str, int] = record["finish_reasons"]
    total, cut, too_long = sum(reasons.values()), reasons.get("length", 0), len(record["prompts"]["too_long"])
    lines = [f"{total:,} responses, {cut:,} of them cut at their length limit, in {record['seconds']:.0f} seconds."]
    if too_long:
        lines.append(f"{too_long:,} prompts left no room for a response and were left out.")
    return "\n".join([*lines, *record["notes"]])
