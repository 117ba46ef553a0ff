"""Selection and calibration curves: does a reward know when it is right?"""

# pyright: reportUnknownMemberType=false
# (matplotlib does not type the keyword arguments of its drawing methods)

from collections.abc import Mapping, Sequence
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .escaping import shortened
from .figure_style import GREY, look, new_figure
from .run_format.tables import CalibrationRow, SelectionRow
from .scores import Reward

COLUMNS = 6
"""Calibration panels in a row."""


INTERVALS_AT = (0.1, 0.4, 0.7, 1.0)
"""Shares of items at which selection curves carry their intervals."""


def draw_selection(
    groups: Mapping[str, Mapping[Reward, Sequence[SelectionRow]]], names: Mapping[Reward, str], chance: float | None
) -> Figure:
    """Accuracy among the items with the largest |margin|, one panel for each group of rewards; chance is a share."""
    figure = new_figure(1.0 + 4.2 * len(groups), 4.6)
    first: Axes | None = None
    for position, (title, curves) in enumerate(groups.items()):
        axes: Axes = figure.add_subplot(1, len(groups), position + 1, sharey=first)
        first = first or axes
        for index, (reward, rows) in enumerate(curves.items()):
            _draw_curve(axes, rows, index, shortened(names[reward], 44))
        if chance is not None:
            axes.axhline(100 * chance, color=GREY, linewidth=0.8, linestyle=":")
        axes.set_xlabel("share of items kept, largest |margin| first (%)")
        axes.set_title(title, loc="left")
        axes.grid(color="#e5e5e5", linewidth=0.6)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1, handlelength=3)
    if first is not None:
        first.set_ylabel("accuracy (%), bars: 95% intervals")
    return figure


def _draw_curve(axes: Axes, rows: Sequence[SelectionRow], index: int, label: str) -> None:
    known = sorted(
        (r for r in rows if r.accuracy is not None and r.fraction is not None), key=lambda r: r.fraction or 0
    )
    style = look(index)
    axes.plot(
        [100 * (row.fraction or 0) for row in known],
        [100 * (row.accuracy or 0) for row in known],
        color=style.colour,
        linestyle=style.line,
        marker=style.marker,
        markersize=3.5,
        linewidth=1.3,
        label=f"{label} (n = {max((row.n for row in known), default=0):,})",
    )
    for row in known:
        if row.ci_low is None or row.ci_high is None or round(row.fraction or 0, 6) not in INTERVALS_AT:
            continue
        x = 100 * (row.fraction or 0) + 0.7 * (index - 3)  # side by side, so that all can be read
        axes.plot([x, x], [100 * row.ci_low, 100 * row.ci_high], color=style.colour, linewidth=1.1, alpha=0.8)


def draw_calibration(curves: Mapping[Reward, Sequence[CalibrationRow]], names: Mapping[Reward, str]) -> Figure:
    """Accuracy against confidence σ(|margin| / τ), one panel a reward; on the diagonal is calibrated."""
    columns = min(COLUMNS, len(curves))
    lines = ceil(len(curves) / columns)
    figure = new_figure(0.8 + 2.0 * columns, 0.9 + 2.1 * lines)
    first: Axes | None = None
    for position, (reward, rows) in enumerate(curves.items()):
        axes: Axes = figure.add_subplot(lines, columns, position + 1, sharex=first, sharey=first)
        first = first or axes
        known = [100 * row.confidence for row in rows if row.confidence is not None]
        diagonal = (min(known, default=100.0), 100.0)
        axes.plot(diagonal, diagonal, color=GREY, linewidth=0.8, linestyle=":")
        for row in rows:
            _draw_bin(axes, row)
        axes.set_title(f"{shortened(names[reward], 29)}\nn = {sum(row.n for row in rows):,}", fontsize=7)
        axes.label_outer()
    figure.supxlabel("confidence σ(|margin| / τ) (%)", fontsize=9)
    figure.supylabel("accuracy (%), lines: 95% intervals", fontsize=9)
    return figure


def _draw_bin(axes: Axes, row: CalibrationRow) -> None:
    if row.confidence is None or row.accuracy is None:
        return
    style = look(0)
    x = 100 * row.confidence
    if row.ci_low is not None and row.ci_high is not None:
        axes.plot([x, x], [100 * row.ci_low, 100 * row.ci_high], color=style.colour, linewidth=1)
    axes.plot([x], [100 * row.accuracy], marker="o", markersize=3.5, color=style.colour)
