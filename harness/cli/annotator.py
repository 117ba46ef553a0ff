"""`cdr-eval annotator`: training a reward head, and judging it."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import FILE, device_options, options_of
from .training_options import given, tell, training_options

if TYPE_CHECKING:
    from ..annotator import Checked

_SHOWN = (0.3, 0.5, 0.75, 1.0)
"""Shares of the most confident items whose accuracy is printed."""


@click.group()
def annotator() -> None:
    """Reward heads: a weak model that learns to tell chosen from rejected."""


@annotator.command()
@click.argument("labelled")
@click.option("--model", required=True, metavar="BASE", help="Registry name, hub id or local folder.")
@click.option("--share", type=float, default=0.3, show_default=True, help="Share of the prompts to train on, by hash.")
@training_options
def train(labelled: str, model: str, share: float, out: Path, registry: tuple[Path, ...], **settings: Any) -> None:
    """Train a Bradley-Terry reward head on a share of the pairs of LABELLED, and judge it on the others."""
    from ..annotator import CWPO, train_annotator

    result = train_annotator(
        labelled,
        model=model,
        out=out,
        share=share,
        training=replace(CWPO, **given(settings)),
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
    tell(result, settings, told)


@annotator.command()
@click.argument("folder", metavar="ANNOTATOR", type=FILE)
@click.argument("data")
@click.option("--allow-overlap", is_flag=True, help="Judge it on prompts that it was trained on, too.")
@click.option(
    "--limit", type=click.IntRange(min=1), help="Only so many items, drawn by --seed: of every subset its share."
)
@click.option("--resamples", type=click.IntRange(min=100), default=10_000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=FILE, metavar="DIR", help="Write check.json and the tables as CSV there.")
@click.option("--json", "as_json", is_flag=True, help="Print the record and the tables as JSON.")
@device_options
def check(folder: Path, data: str, allow_overlap: bool, out: Path | None, as_json: bool, **settings: Any) -> None:
    """Accuracy, calibration and confidence of ANNOTATOR on DATA: a task's name, a file, or a hub dataset."""
    from ..annotator import check_annotator
    from ..tuning.run_folder import check_empty

    if out is not None:
        check_empty(out)
    checked = check_annotator(folder, data, allow_overlap=allow_overlap, options=options_of(settings, quiet=True))
    if out is not None:
        checked.save(out)
    if as_json:
        tables = {"accuracy": checked.accuracy, **checked.analyses}
        rows = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
        click.echo(json.dumps({**checked.record, **rows}))
        return
    click.echo("\n".join(_told(checked)))


def _told(checked: "Checked") -> list[str]:
    accuracy = checked.accuracy[(checked.accuracy["variant"] == "annotator") & (checked.accuracy["n"] > 0)]
    lines = list(checked.record["notes"])
    for row in accuracy[accuracy["scope"].isin(["section", "overall"])].to_dict("records"):
        lines.append(
            f"{row['name']}: {100 * row['accuracy']:.1f}% ({100 * row['ci_low']:.1f} to {100 * row['ci_high']:.1f}) "
            f"of {row['n']:,} items; chance is {100 * row['chance']:.1f}%."
        )
    curve = checked.analyses["selection"].set_index("fraction")["accuracy"]
    if curve.empty:
        return [*lines, "No item has a reward for a better response and for another, by which it could be confident."]
    points = ", ".join(f"{100 * share:.0f}% {100 * curve[share]:.1f}%" for share in _SHOWN)
    found = checked.analyses["confidence"].set_index("statistic")["value"]
    lines.append(f"Accuracy among the most confident items: {points}.")
    temperature = f"Temperature {found['tau']:.3g} nats"
    if not math.isfinite(found["tau"]):
        why = (
            "separate right from wrong" if math.isnan(found["tau"]) else "are no more often right where they are larger"
        )
        temperature = f"No temperature, since the margins {why}"
    lines.append(
        f"{temperature}; calibration error {100 * found['ece']:.1f} points, "
        f"{100 * found['ece_if_calibrated']:.1f} if it were calibrated."
    )
    return lines
