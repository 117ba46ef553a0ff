"""The training curves of a tuning run."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..colours import OKABE_ITO
from .look import Chart, alt, data, save

CURVES = {
    "loss": "loss (of pairs weighted alike)",
    "reward_margin": "reward margin (nats × β)",
    "reward_accuracy": "share of pairs with a positive margin",
}
FEW = 20
"""Fewer steps are drawn as dots too: a line of one has no length."""


def write_training_figure(log: Path, folder: Path) -> None:
    """Draw training_log.csv as training.svg and training.png; nothing where no step was logged."""
    with log.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    shown = [name for name in CURVES if any(row.get(name) for row in rows)]
    if shown:
        save(draw_training(rows, shown), folder, "training")


def draw_training(rows: Sequence[Mapping[str, str]], shown: Sequence[str]) -> Chart:
    """One panel a curve, over the steps."""
    panels = [
        alt.Chart(data([{"step": int(row["step"]), "value": float(row[name])} for row in rows if row.get(name)]))
        .mark_line(color=colour, point={"color": colour} if len(rows) < FEW else False)
        .encode(x=alt.X("step:Q", title="step"), y=alt.Y("value:Q", title=None).scale(zero=False))
        .properties(width=240, height=180, title=CURVES[name])
        for name, colour in zip(shown, OKABE_ITO, strict=False)
    ]
    return alt.hconcat(*panels)
