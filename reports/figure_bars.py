"""Accuracy by variant (pair runs) and over the chain of iterated training (the paper's Figure 2)."""

# pyright: reportUnknownMemberType=false
# (matplotlib does not type the keyword arguments of its drawing methods)

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .colours import OKABE_ITO
from .escaping import shortened
from .figure_style import GREY, look, new_figure
from .pair_figures import sizes
from .run_format.tables import AccuracyRow, ChainRow
from .scores import Line, Scores, chance_of


def draw_variants(scores: Scores, lines: Sequence[Line], title: str) -> Figure:
    """One panel a section and one overall: a dot with its 95% interval for each reward, a diamond where published."""
    scopes = scores.main_scopes
    figure = new_figure(2.4 + 1.75 * len(scopes), 1.5 + 0.27 * len(lines))
    panels: list[Axes] = [figure.add_subplot(1, len(scopes), 1)]
    panels += [
        figure.add_subplot(1, len(scopes), i + 1, sharex=panels[0], sharey=panels[0]) for i in range(1, len(scopes))
    ]
    for axes, scope in zip(panels, scopes, strict=True):
        rows = [scores.row(line.reward, scope) for line in lines]
        for position, (line, row) in enumerate(zip(lines, rows, strict=True)):
            _draw_dot(axes, position, row)
            _draw_published(axes, position, line, scope)
        chance = chance_of(rows)
        if chance is not None:
            axes.axvline(100 * chance, color=GREY, linewidth=0.8, linestyle=":")
        name = "Overall" if scope[0] == "overall" else shortened(scope[1], 22)
        axes.set_title(f"{name}\n{sizes(row for row in rows if row is not None)}", fontsize=9)
        axes.grid(axis="x", color="#e5e5e5", linewidth=0.6)
        axes.tick_params(axis="y", length=0, labelleft=axes is panels[0])
    panels[0].set_yticks(range(len(lines)), [shortened(line.labels[0], 42) for line in lines])
    panels[0].set_ylim(len(lines) - 0.5, -0.5)
    marks = "dots with 95% intervals" + ("; diamonds: published" if any(line.published for line in lines) else "")
    figure.supxlabel(f"accuracy (%): {marks}", fontsize=9)
    figure.suptitle(shortened(title, 90), x=0.01, ha="left", fontsize=10)
    return figure


def _draw_dot(axes: Axes, position: int, row: AccuracyRow | None) -> None:
    if row is None or row.accuracy is None:
        return
    if row.ci_low is not None and row.ci_high is not None:
        axes.plot([100 * row.ci_low, 100 * row.ci_high], [position, position], color=OKABE_ITO[0], linewidth=1.4)
    axes.plot([100 * row.accuracy], [position], marker="o", markersize=4.5, color=OKABE_ITO[0])


def _draw_published(axes: Axes, position: int, line: Line, scope: tuple[str, str]) -> None:
    if line.published is None:
        return
    value = line.published.overall if scope[0] == "overall" else line.published.scores.get(scope[1])
    if value is not None:
        axes.plot(
            [float(value)], [position], marker="D", markersize=5, markerfacecolor="none", markeredgecolor=OKABE_ITO[1]
        )


def draw_chain(rows: Sequence[ChainRow], labels: Mapping[str, str], title: str, chance: float) -> Figure:
    """For each checkpoint of a chain, bars from chance to its accuracy over its own reference and over weaker ones.

    `chance` is a share.
    """
    checkpoints = list(dict.fromkeys(row.checkpoint for row in rows))
    weak = list(dict.fromkeys(name for name in labels if any(row.weak == name for row in rows)))
    figure = new_figure(max(5.0, 1.4 + 0.36 * (len(rows) + len(checkpoints))), 4.0)
    axes: Axes = figure.add_subplot()
    seen: set[str] = set()
    centres: list[float] = []
    left = 0
    for checkpoint in checkpoints:
        own = sorted((r for r in rows if r.checkpoint == checkpoint), key=lambda r: weak.index(r.weak))
        for x, row in enumerate(own, start=left):
            _draw_bar(axes, x, row, 100 * chance, weak.index(row.weak), "" if row.weak in seen else labels[row.weak])
            seen.add(row.weak)
        centres.append(left + (len(own) - 1) / 2)
        left += len(own) + 1
    axes.axhline(100 * chance, color="black", linewidth=0.8)
    axes.set_xticks(centres, [labels[name] for name in checkpoints])
    axes.set_ylabel("overall accuracy (%), bars start at chance")
    axes.set_title(f"{title}\n* over its own reference; lines are 95% intervals", loc="left")
    axes.margins(y=0.12)
    figure.legend(loc="outside right upper", title="over")
    return figure


def _draw_bar(axes: Axes, x: float, row: ChainRow, chance: float, index: int, label: str) -> None:
    if row.accuracy is None:
        return
    style = look(index)
    axes.bar(
        x,
        100 * row.accuracy - chance,
        0.9,
        bottom=chance,
        color=style.colour,
        hatch=style.hatch,
        edgecolor="white",
        linewidth=0.5,
        label=label or None,
    )
    top = 100 * row.accuracy
    if row.ci_low is not None and row.ci_high is not None:
        axes.plot([x, x], [100 * row.ci_low, 100 * row.ci_high], color="black", linewidth=1)
        top = max(top, 100 * row.ci_high)
    star = "*" if row.relation == "own reference" else ""
    axes.annotate(
        f"{100 * row.accuracy:.1f}{star}",
        (x, max(top, chance)),
        (0, 2),
        textcoords="offset points",
        ha="center",
        fontsize=7,
    )
