"""Heatmaps and scatters as inline SVG: plain geometry that the page's template writes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from .colours import OKABE_ITO, ink_on, ramp_colour
from .formatting import count, percent, percent_interval, signed
from .pair_figures import Heatmap, Point, Scatter, families, list_heatmaps, list_scatters, members, short_labels
from .run_format.reading import Run
from .run_format.tables import AccuracyRow
from .scores import Reward, Scores, reward_of

Gaps = Mapping[Reward, Mapping[str, float | None]]
"""The gaps of each pair by benchmark, in points."""

CELL = 46
PLOT = (760.0, 420.0)
"""Width and height of a scatter's plotting area, in SVG units."""


@dataclass(frozen=True, slots=True)
class HeatCell:
    """A square of a heatmap."""

    x: float
    y: float
    fill: str
    ink: str
    text: str
    tip: str


@dataclass(frozen=True, slots=True)
class HtmlHeatmap:
    """A heatmap in SVG units."""

    caption: str
    family: str
    variant: str
    labels: tuple[str, ...]
    cells: tuple[HeatCell, ...]
    margin: int
    """Room for the labels at the left; turned by 45 degrees they need three quarters of it below."""
    cell: int = CELL

    @property
    def size(self) -> int:
        """Width and height of the grid of cells."""
        return self.cell * len(self.labels)


@dataclass(frozen=True, slots=True)
class Dot:
    """A pair in a scatter; `shape` is 0 for a circle, 1 for a square, 2 for a triangle, 3 for a diamond."""

    x: float
    y: float
    shape: int
    fill: str
    tip: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick of an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A family's fit as SVG paths."""

    family: str
    colour: str
    shape: int
    line: str
    band: str


@dataclass(frozen=True, slots=True)
class HtmlScatter:
    """A scatter in SVG units."""

    benchmark: str
    n: str
    dots: tuple[Dot, ...]
    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    chance: float | None
    """Where the line of chance lies."""
    width: float = PLOT[0]
    height: float = PLOT[1]


@dataclass(frozen=True, slots=True)
class Frame:
    """The axes of a scatter: gaps from 0 to `right`, shares from `low` to `high`."""

    right: float
    low: float
    high: float

    def x(self, gap: float) -> float:
        """A gap in SVG units."""
        return round(PLOT[0] * gap / self.right, 1)

    def y(self, share: float) -> float:
        """A share in SVG units; one outside the frame lies on its edge."""
        inside = min(max(share, self.low), self.high)
        return round(PLOT[1] * (self.high - inside) / (self.high - self.low), 1)

    def path(self, spots: Sequence[tuple[float | None, float]]) -> str:
        """The `d` of an SVG path through (gap, share)."""
        steps = [f"{self.x(gap)},{self.y(share)}" for gap, share in spots if gap is not None and gap <= self.right]
        return "M" + " L".join(steps) if steps else ""


def html_heatmaps(run: Run, scores: Scores) -> list[HtmlHeatmap]:
    """The run's heatmaps with every pair's numbers behind its cell."""
    labels = {family: short_labels(run, members(run, family)) for family in families(run)}
    gaps = _gaps(run)
    return [_heatmap(heatmap, labels[heatmap.family], gaps) for heatmap in list_heatmaps(run, scores)]


def _gaps(run: Run) -> Gaps:
    return {reward_of(row): row.gaps for row in run.pairs}


def _heatmap(heatmap: Heatmap, labels: Mapping[str, str], gaps: Gaps) -> HtmlHeatmap:
    cells: list[HeatCell] = []
    for i, strong in enumerate(heatmap.checkpoints):
        for j, weak in enumerate(heatmap.checkpoints):
            row = heatmap.rows.get((strong, weak))
            if row is None or row.accuracy is None:
                continue
            fill = ramp_colour(100 * row.accuracy, heatmap.chance, heatmap.reach)
            ink = "#666666" if i == j else ink_on(fill)
            tip = pair_tip(row, gaps.get(reward_of(row), {}))
            cells.append(HeatCell(j * CELL, i * CELL, fill, ink, percent(row.accuracy), tip))
    texts = tuple(labels[name] for name in heatmap.checkpoints)
    margin = 30 + 7 * max(len(text) for text in texts)
    return HtmlHeatmap(heatmap.caption, heatmap.family, heatmap.variant, texts, tuple(cells), margin)


def pair_tip(row: AccuracyRow, gaps: Mapping[str, float | None]) -> str:
    """A pair's numbers, one a line."""
    lines = [
        f"{row.strong} over {row.weak}",
        f"{row.variant}: {percent_interval(row.accuracy, row)} %",
        f"n = {count(row.n)}, ties {count(row.ties)}",
    ]
    lines += [f"gap in {name}: {signed(gap, 1)}" for name, gap in gaps.items() if gap is not None]
    return "\n".join(lines)


def html_scatters(run: Run, scores: Scores) -> list[HtmlScatter]:
    """The run's scatters with every pair's numbers behind its dot."""
    gaps = _gaps(run)
    return [_scatter(scatter, gaps) for scatter in list_scatters(run, scores)]


def _scatter(scatter: Scatter, gaps: Gaps) -> HtmlScatter:
    points = [point for series in scatter.series for point in series.points]
    fits = [row for series in scatter.series for row in series.fit]
    shares = [p.row.accuracy or 0.0 for p in points] + [
        v for row in fits for v in (row.fitted, row.ci_low, row.ci_high) if v is not None
    ]
    low, high = floor(min([*shares, scatter.chance or 1.0]) * 20) / 20, ceil(max(shares) * 20 + 0.01) / 20
    frame = Frame(max(p.gap for p in points) * 1.03, low, high)
    x_ticks = [Tick(frame.x(value), f"{value:g}") for value in _round_steps(frame.right)]
    y_ticks = [Tick(frame.y(k / 20), str(5 * k)) for k in range(round(low * 20), round(high * 20) + 1)]
    dots: list[Dot] = []
    curves: list[Curve] = []
    for index, series in enumerate(scatter.series):
        colour = OKABE_ITO[index % len(OKABE_ITO)]
        dots += [_dot(p, gaps, frame, index % 4, colour) for p in series.points]
        top = [(r.gap, r.ci_high) for r in series.fit if r.ci_high is not None]
        bottom = [(r.gap, r.ci_low) for r in series.fit if r.ci_low is not None]
        middle = [(r.gap, r.fitted) for r in series.fit if r.fitted is not None]
        line = frame.path(middle)
        band = frame.path(top + bottom[::-1])
        curves.append(Curve(series.family, colour, index % 4, line, band))
    chance = None if scatter.chance is None else frame.y(scatter.chance)
    return HtmlScatter(scatter.benchmark, scatter.n, tuple(dots), tuple(curves), tuple(x_ticks), tuple(y_ticks), chance)


def _dot(point: Point, gaps: Gaps, frame: Frame, shape: int, colour: str) -> Dot:
    tip = pair_tip(point.row, gaps.get(reward_of(point.row), {}))
    return Dot(frame.x(point.gap), frame.y(point.row.accuracy or 0.0), shape, colour, tip)


def _round_steps(right: float) -> list[float]:
    """Tick values from 0 up to `right`, at steps of 1, 2 or 5 times a power of ten; at most eleven."""
    power = 10.0 ** floor(log10(right / 2))
    step = next(factor * power for factor in (0.2, 0.5, 1, 2) if right / (factor * power) <= 10)
    return [k * step for k in range(int(right / step) + 1)]
