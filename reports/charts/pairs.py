"""All pairs of a grid: strong by weak (the paper's Figure 5) and against the alignment gap (its Figure 1)."""

from collections.abc import Mapping, Sequence
from math import ceil, floor

from ..colours import GREY, RAMP, ink_on, ramp_colour
from ..escaping import one_line
from ..formatting import count, percent, percent_interval, plural, signed
from ..pair_figures import Heatmap, Point, Scatter, Series
from ..run_format.tables import AccuracyRow
from ..scores import Reward, reward_of
from .labels import Frame, place_labels
from .look import Chart, alt, data, percents, told_apart

NOTABLE = 2
"""Pairs of each kind and family that get a label."""

Gaps = Mapping[Reward, Mapping[str, float | None]]
"""The gaps of each pair by benchmark, in points."""


def pair_tip(row: AccuracyRow, gaps: Gaps) -> str:
    """A pair's numbers, one a line."""
    lines = [
        f"{row.strong} over {row.weak}",
        f"{row.variant}: {percent_interval(row.accuracy, row)} %",
        f"n = {count(row.n)}, ties {count(row.ties)}",
    ]
    known = gaps.get(reward_of(row), {})
    lines += [f"gap in {name}: {signed(gap, 1)}" for name, gap in known.items() if gap is not None]
    return "\n".join(map(one_line, lines))


def draw_heatmap(heatmap: Heatmap, labels: Mapping[str, str], gaps: Gaps) -> Chart:
    """Cells hold the accuracy in per cent; colour is centred at chance; a pair that was not measured is a dash."""
    low, high = heatmap.chance - heatmap.reach, heatmap.chance + heatmap.reach
    cells: list[dict[str, object]] = []
    for strong in heatmap.checkpoints:
        for weak in heatmap.checkpoints:
            row = heatmap.rows.get((strong, weak))
            cell: dict[str, object] = {"strong": labels[strong], "weak": labels[weak], "text": "–", "ink": GREY}
            if row is not None and row.accuracy is not None:
                value = 100 * row.accuracy
                ink = GREY if strong == weak else ink_on(ramp_colour(value, heatmap.chance, heatmap.reach))
                cell |= {"value": value, "text": percent(row.accuracy), "ink": ink, "tip": pair_tip(row, gaps)}
            cells.append(cell)
    order = [labels[name] for name in heatmap.checkpoints]
    base = alt.Chart(data(cells)).encode(
        x=alt.X("weak:N", sort=order, axis=alt.Axis(labelAngle=-45, ticks=False, domain=False)),
        y=alt.Y("strong:N", sort=order, axis=alt.Axis(ticks=False, domain=False)),
    )
    steps = [low + k * (high - low) / 4 for k in range(5)]
    ramp = alt.Scale(domain=steps, range=list(RAMP), interpolate="rgb")
    legend = alt.Legend(gradientLength=200, values=steps, format=".0f")
    squares = base.mark_rect().encode(
        color=alt.Color("value:Q", scale=ramp, title="accuracy (%)", legend=legend),
        description="tip:N",
    )
    texts = base.mark_text(aria=False, fontSize=11).encode(text="text:N", color=alt.Color("ink:N", scale=None))
    chart = alt.layer(squares.transform_filter("isValid(datum.value)"), texts).resolve_scale(color="independent")
    return chart.properties(width=alt.Step(40), height=alt.Step(40), title=heatmap.caption.split("\n"))


def draw_scatter(scatter: Scatter, labels: Mapping[str, Mapping[str, str]], gaps: Gaps) -> Chart:
    """Each pair once, turned to a positive gap: the mirror image of a pair adds nothing."""
    frame = _frame(scatter)
    names = [
        f"{one_line(series.family) or 'pairs'} ({plural(len(series.points), 'pair')}{_doubt(series)})"
        for series in scatter.series
    ]
    dots: list[dict[str, object]] = []
    fits: list[dict[str, object]] = []
    for name, series in zip(names, scatter.series, strict=True):
        for p in series.points:
            dots.append({"series": name, "gap": p.gap, "accuracy": _percent(p), "tip": pair_tip(p.row, gaps)})
        for row in series.fit:
            if row.fitted is not None:
                band = percents(accuracy=row.fitted, low=row.ci_low, high=row.ci_high)
                fits.append({"series": name, "gap": row.gap, **band})
    colour, shape, dash = told_apart(names, orient="bottom", columns=2)
    x = alt.X("gap:Q", scale=alt.Scale(domain=[frame.left, frame.right], nice=False)).title(
        f"alignment gap: {one_line(scatter.benchmark)} of strong minus that of weak (points)"
    )
    up = alt.Scale(domain=[frame.low, frame.high], nice=False, zero=False)
    y = alt.Y("accuracy:Q", scale=up, title="overall accuracy (%)")
    fit = alt.Chart(data(fits)).encode(x=x, color=colour)
    points = alt.Chart(data(dots)).mark_point(filled=True, size=55, opacity=0.85, stroke="white", strokeWidth=0.5)
    layers: list[Chart] = [
        fit.mark_area(opacity=0.15, aria=False, clip=True).encode(y=alt.Y("low:Q", scale=up, title=""), y2="high:Q"),
        fit.mark_line(aria=False, clip=True).encode(y=y, strokeDash=dash),
        points.encode(x=x, y=y, color=colour, shape=shape, description="tip:N"),
        _labels(scatter, labels, frame),
    ]
    if scatter.chance is not None:
        layers.insert(0, _chance_line(100 * scatter.chance, frame))
    title = [
        f"Accuracy against alignment gap ({scatter.variant}; {scatter.n} items a pair), with saturating fits",
        "each pair once, turned to a positive gap; bands: 95% from resampling checkpoints",
    ]
    return alt.layer(*layers).properties(width=frame.width, height=frame.height, title=title)


def _doubt(series: Series) -> str:
    return "" if series.identifiable or not series.fit else "; asymptote not identifiable"


def _percent(point: Point) -> float:
    return 100 * (point.row.accuracy or 0.0)


def _frame(scatter: Scatter) -> Frame:
    """The axes, with room for labels around the points."""
    points = [point for series in scatter.series for point in series.points]
    shares = [_percent(point) for point in points] + [
        100 * r.fitted for s in scatter.series for r in s.fit if r.fitted is not None
    ]
    low = min([*shares, 100 * (scatter.chance or 1.0)])
    most = max(point.gap for point in points)
    return Frame(-0.04 * most, 1.06 * most, 5 * floor(low / 5 - 0.5), 5 * ceil(max(shares) / 5 + 0.9))


def _chance_line(chance: float, frame: Frame) -> Chart:
    base = alt.Chart(data([{"accuracy": chance, "gap": frame.right}])).encode(y="accuracy:Q")
    text = base.mark_text(align="right", baseline="bottom", color=GREY, dy=-3).encode(
        x="gap:Q", text=alt.value("chance")
    )
    return alt.layer(base.mark_rule(color=GREY, strokeDash=[2, 2]), text)


def _labels(scatter: Scatter, labels: Mapping[str, Mapping[str, str]], frame: Frame) -> Chart:
    """Labels "strong / weak" of the notable pairs, with lines to their points; the colour tells the family."""
    texts = [
        (p.gap, _percent(p), f"{labels[series.family][p.strong]} / {labels[series.family][p.weak]}")
        for series in scatter.series
        for p in dict.fromkeys(_notable(series))
    ]
    spots = [(p.gap, _percent(p)) for series in scatter.series for p in series.points]
    return place_labels(texts, spots, frame)


def _notable(series: Series) -> Sequence[Point]:
    """The most accurate pairs, those far better and far worse than their gap's rank says, and the largest gap."""
    by_accuracy = sorted(series.points, key=lambda p: -(p.row.accuracy or 0))
    by_gap = sorted(series.points, key=lambda p: -p.gap)
    surprise = {point: by_gap.index(point) - by_accuracy.index(point) for point in series.points}
    by_surprise = sorted(series.points, key=lambda p: -surprise[p])
    return [*by_accuracy[:NOTABLE], *by_surprise[:NOTABLE], *by_surprise[-NOTABLE:], *by_gap[:1]]
