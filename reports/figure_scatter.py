"""Accuracy against alignment gap by family, with fit and interval (the paper's Figure 1)."""

# pyright: reportUnknownMemberType=false
# (matplotlib does not type the keyword arguments of its drawing methods)

from collections.abc import Mapping
from itertools import chain
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figure_labels import place_labels
from .figure_style import GREY, Look, look, new_figure
from .pair_figures import Point, Scatter, Series

NOTABLE = 2
"""Pairs of each kind and family that get a label."""


def draw_scatter(scatter: Scatter, labels: Mapping[str, Mapping[str, str]]) -> Figure:
    """Each pair once, turned to a positive gap: the mirror image of a pair adds nothing."""
    figure = new_figure(8.0, 5.4)
    axes: Axes = figure.add_subplot()
    for index, series in enumerate(scatter.series):
        _draw_series(axes, series, look(index))
    if scatter.chance is not None:
        chance = 100 * scatter.chance
        axes.axhline(chance, color=GREY, linewidth=0.8, linestyle=":")
        where: Any = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
        axes.annotate("chance", (1, chance), color=GREY, fontsize=7, **where)
    axes.set_xlabel(f"alignment gap: {scatter.benchmark} of strong minus that of weak (points)")
    axes.set_ylabel("overall accuracy (%)")
    axes.set_title(
        f"Accuracy against alignment gap ({scatter.variant}; {scatter.n} items a pair)\n"
        "each pair once, turned to a positive gap; bands: 95% from resampling checkpoints",
        loc="left",
    )
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.margins(x=0.06, y=0.1)
    figure.legend(loc="outside lower center", ncols=2)
    points = list(chain.from_iterable(series.points for series in scatter.series))
    texts = [text for series in scatter.series for text in _texts(series, labels[series.family])]
    place_labels(axes, texts, [(p.gap, 100 * (p.row.accuracy or 0)) for p in points])
    return figure


def _draw_series(axes: Axes, series: Series, style: Look) -> None:
    axes.scatter(
        [p.gap for p in series.points],
        [100 * (p.row.accuracy or 0) for p in series.points],
        s=22,
        marker=style.marker,
        facecolor=style.colour,
        edgecolor="white",
        linewidth=0.4,
        alpha=0.85,
        label=f"{series.family or 'pairs'} ({len(series.points)} pairs)",
        zorder=2,
    )
    line = [row for row in series.fit if row.gap is not None and row.fitted is not None]
    if not line:
        return
    gaps = [row.gap or 0.0 for row in line]
    unknown = "" if series.identifiable else " (asymptote not identifiable)"
    axes.plot(
        gaps,
        [100 * (row.fitted or 0) for row in line],
        color=style.colour,
        linestyle=style.line,
        label=f"{series.family or 'pairs'}: saturating fit{unknown}",
        zorder=3,
    )
    band = [row for row in line if row.ci_low is not None and row.ci_high is not None]
    axes.fill_between(
        [row.gap or 0.0 for row in band],
        [100 * (row.ci_low or 0) for row in band],
        [100 * (row.ci_high or 0) for row in band],
        color=style.colour,
        alpha=0.15,
        linewidth=0,
        zorder=1,
    )


def _texts(series: Series, labels: Mapping[str, str]) -> list[tuple[float, float, str]]:
    """Labels "strong / weak" of the notable pairs; the colour tells the family."""
    notable = dict.fromkeys(_notable(series))
    return [(p.gap, 100 * (p.row.accuracy or 0), f"{labels[p.strong]} / {labels[p.weak]}") for p in notable]


def _notable(series: Series) -> list[Point]:
    """The most accurate pairs, those far better and far worse than their gap's rank says, and the largest gap."""
    by_accuracy = sorted(series.points, key=lambda p: -(p.row.accuracy or 0))
    by_gap = sorted(series.points, key=lambda p: -p.gap)
    surprise = {point: by_gap.index(point) - by_accuracy.index(point) for point in series.points}
    by_surprise = sorted(series.points, key=lambda p: -surprise[p])
    return [*by_accuracy[:NOTABLE], *by_surprise[:NOTABLE], *by_surprise[-NOTABLE:], *by_gap[:1]]
