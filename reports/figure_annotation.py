"""Figures of an annotation: shares as bars, lengths of chosen and rejected, best of N."""

# pyright: reportUnknownMemberType=false
# (matplotlib does not type the keyword arguments of its drawing methods)

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .colours import OKABE_ITO
from .escaping import shortened
from .figure_style import GREY, look, new_figure
from .run_format.tables import BestOfRow, StatisticRow
from .scores import Reward


def draw_shares(rows: Sequence[StatisticRow], across: str, up: str, *, level: bool = False) -> Figure:
    """A bar a row; with `level` a line where all were equal."""
    figure = new_figure(6.2, 3.2)
    axes: Axes = figure.add_subplot()
    values = [100 * (row.value or 0) for row in rows]
    axes.bar(range(len(rows)), values, width=0.8, color=OKABE_ITO[0])
    if level:
        axes.axhline(sum(values) / len(values), color=GREY, linewidth=0.8, linestyle=":")
    every = max(1, len(rows) // 16)
    axes.set_xticks(range(0, len(rows), every), [row.name.replace(" to ", "–") for row in rows[::every]], fontsize=7)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure


def draw_lengths(lengths: pd.DataFrame, unit: str) -> Figure:
    """A dot a prompt; on the diagonal chosen and rejected are equally long."""
    figure = new_figure(4.6, 4.4)
    axes: Axes = figure.add_subplot()
    most = float(lengths.to_numpy().max())
    axes.plot([0, most], [0, most], color=GREY, linewidth=0.8, linestyle=":")
    axes.plot(lengths["rejected"], lengths["chosen"], ".", color=OKABE_ITO[0], markersize=4, alpha=0.5)
    axes.set_xlabel(f"length of the rejected ({unit})")
    axes.set_ylabel(f"length of the chosen ({unit})")
    axes.set_title(f"n = {len(lengths):,} prompts", loc="left")
    return figure


def draw_best_of(curves: Mapping[Reward, Sequence[BestOfRow]], names: Mapping[Reward, str]) -> Figure:
    """Mean grade against k, a curve a reward; baselines in grey."""
    figure = new_figure(6.6, 4.2 + 0.11 * len(curves))
    axes: Axes = figure.add_subplot()
    for index, (reward, rows) in enumerate(curves.items()):
        style, known = look(index), [row for row in rows if row.grade is not None]
        colour = style.colour if reward[0] else GREY
        ks = np.array([row.k for row in known])
        label = shortened(names[reward], 44)
        grades = np.array([row.grade for row in known], dtype=float)
        axes.plot(ks, grades, color=colour, linestyle=style.line, linewidth=1.3, label=label)
        low, high = (np.array([getattr(row, end) for row in known], dtype=float) for end in ("ci_low", "ci_high"))
        axes.fill_between(ks, low, high, color=colour, alpha=0.08, linewidth=0)
    axes.set_xlabel("responses to pick from, k")
    axes.set_ylabel("mean grade of the one picked, bands: 95% intervals")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7, handlelength=3)
    axes.grid(color="#e5e5e5", linewidth=0.6)
    return figure
