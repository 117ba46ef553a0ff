"""Strong x weak heatmaps of accuracy, in the registry's order (the paper's Figure 5)."""

# pyright: reportUnknownMemberType=false
# (matplotlib does not type the keyword arguments of its drawing methods)

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .colours import RAMP, ink_on, ramp_colour
from .figure_style import GREY, new_figure
from .pair_figures import Heatmap

DIVERGING = LinearSegmentedColormap.from_list("below-above-chance", RAMP)

CELL = 0.52
"""Inches a cell."""


def draw_heatmap(heatmap: Heatmap, labels: Mapping[str, str]) -> Figure:
    """Cells hold the accuracy in per cent; colour is centred at chance."""
    names = heatmap.checkpoints
    size = CELL * len(names)
    figure = new_figure(size + 2.6, size + 2.2)
    axes: Axes = figure.add_subplot()
    values = _matrix(heatmap)
    chance, reach = heatmap.chance, heatmap.reach
    image = axes.imshow(values, cmap=DIVERGING, norm=TwoSlopeNorm(chance, chance - reach, chance + reach))
    for (row, column), value in np.ndenumerate(values):
        _write_cell(axes, row, column, float(value), heatmap)
    ticks = [labels[name] for name in names]
    axes.set_xticks(range(len(names)), ticks, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), ticks)
    axes.set_xlabel("weak")
    axes.set_ylabel("strong")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title(heatmap.caption, loc="left")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=25)
    bar.set_label("accuracy (%)")
    bar.outline.set_visible(False)
    return figure


def _matrix(heatmap: Heatmap) -> NDArray[np.float64]:
    """Accuracies in per cent, strong in rows; NaN where a pair was not measured."""
    names = heatmap.checkpoints
    return np.array([[_percent(heatmap, s, w) for w in names] for s in names], dtype=np.float64)


def _percent(heatmap: Heatmap, strong: str, weak: str) -> float:
    row = heatmap.rows.get((strong, weak))
    return float("nan") if row is None or row.accuracy is None else 100 * row.accuracy


def _write_cell(axes: Axes, row: int, column: int, value: float, heatmap: Heatmap) -> None:
    if np.isnan(value):
        axes.text(column, row, "–", ha="center", va="center", color=GREY, fontsize=8)
        return
    colour = GREY if row == column else ink_on(ramp_colour(value, heatmap.chance, heatmap.reach))
    axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=8)
