"""The training curves of a tuning run."""

# pyright: reportUnknownMemberType=false
# (matplotlib does not type the keyword arguments of its drawing methods)

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figure_style import in_style, look, new_figure, save_figure

CURVES = {
    "loss": "loss (of pairs weighted alike)",
    "reward_margin": "reward margin (nats × β)",
    "reward_accuracy": "share of pairs with a positive margin",
}


def write_training_figure(log: Path, folder: Path) -> None:
    """Draw training_log.csv as training.svg and training.png; nothing where no step was logged."""
    with log.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    shown = [name for name in CURVES if any(row.get(name) for row in rows)]
    if shown:
        with in_style():
            save_figure(draw_training(rows, shown), folder, "training")


def draw_training(rows: Sequence[Mapping[str, str]], shown: Sequence[str]) -> Figure:
    """One panel a curve, over the steps."""
    figure = new_figure(0.6 + 3.4 * len(shown), 3.0)
    for position, name in enumerate(shown):
        axes: Axes = figure.add_subplot(1, len(shown), position + 1)
        points = [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
        axes.plot([step for step, _ in points], [value for _, value in points], color=look(position).colour)
        axes.set_title(CURVES[name], loc="left", fontsize=8)
        axes.set_xlabel("step")
        axes.grid(color="#e5e5e5", linewidth=0.6)
    return figure
