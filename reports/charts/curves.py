"""Curves over a share, a confidence or a number of responses: does a reward know when it is right?"""

from collections.abc import Mapping, Sequence

from ..colours import GREY, OKABE_ITO
from ..escaping import shortened
from ..pair_figures import distinct
from ..run_format.tables import BestOfRow, CalibrationRow, SelectionRow
from ..scores import Reward
from .look import Chart, alt, data, percents, told_apart

COLUMNS = 6
"""Calibration panels in a row."""

INTERVALS_AT = (0.1, 0.4, 0.7, 1.0)
"""Shares of items at which selection curves carry their intervals."""


def draw_selection(
    groups: Mapping[str, Mapping[Reward, Sequence[SelectionRow]]], names: Mapping[Reward, str], chance: float | None
) -> Chart:
    """Accuracy among the items with the largest |margin|, one panel for each group of rewards; chance is a share."""
    panels = [_selection_panel(title, curves, names, chance) for title, curves in groups.items()]
    return alt.hconcat(*panels).resolve_scale(
        y="shared", color="independent", shape="independent", strokeDash="independent"
    )


def _selection_panel(
    title: str, curves: Mapping[Reward, Sequence[SelectionRow]], names: Mapping[Reward, str], chance: float | None
) -> Chart:
    sizes = [max((row.n for row in rows if row.accuracy is not None), default=0) for rows in curves.values()]
    series = distinct([f"{shortened(names[r], 44)} (n = {n:,})" for r, n in zip(curves, sizes, strict=True)])
    rows: list[dict[str, object]] = []
    for index, (name, points) in enumerate(zip(series, curves.values(), strict=True)):
        for row in points:
            if row.accuracy is None or row.fraction is None:
                continue
            low, high = (row.ci_low, row.ci_high) if round(row.fraction, 6) in INTERVALS_AT else (None, None)
            beside = row.fraction + 0.007 * (index - 3)  # side by side, so that all can be read
            shown = percents(kept=row.fraction, accuracy=row.accuracy, beside=beside, low=low, high=high)
            rows.append({"series": name, **shown})
    colour, shape, dash = told_apart(series, orient="bottom", columns=1)
    x = alt.X(
        "kept:Q", scale=alt.Scale(domain=[0, 104], nice=False), title="share of items kept, largest |margin| first (%)"
    )
    y = alt.Y("accuracy:Q", scale=alt.Scale(zero=False), title="accuracy (%), bars: 95% intervals")
    base = alt.Chart(data(rows)).encode(color=colour)
    layers = [
        base.mark_line(aria=False).encode(x=x, y=y, strokeDash=dash),
        base.mark_point(filled=True, size=28, opacity=1).encode(x=x, y=y, shape=shape),
        base.mark_rule(opacity=0.8, aria=False).encode(x="beside:Q", y="low:Q", y2="high:Q"),
    ]
    if chance is not None:
        level = alt.Chart(data([{"accuracy": 100 * chance}]))
        layers.append(level.mark_rule(color=GREY, strokeDash=[2, 2]).encode(y="accuracy:Q"))
    return alt.layer(*layers).properties(width=330, height=280, title=title)


def draw_calibration(curves: Mapping[Reward, Sequence[CalibrationRow]], names: Mapping[Reward, str]) -> Chart:
    """Accuracy against confidence σ(|margin| / τ), one panel a reward; on the diagonal is calibrated."""
    series = distinct(
        [f"{shortened(names[reward], 29)}\nn = {sum(r.n for r in rows):,}" for reward, rows in curves.items()]
    )
    rows = [
        {"panel": panel} | percents(confidence=row.confidence, accuracy=row.accuracy, low=row.ci_low, high=row.ci_high)
        for panel, found in zip(series, curves.values(), strict=True)
        for row in found
        if row.confidence is not None and row.accuracy is not None
    ]
    x = alt.X("confidence:Q", scale=alt.Scale(zero=False), title="confidence (%)")
    y = alt.Y("accuracy:Q", scale=alt.Scale(zero=False), title="accuracy (%)")
    base = alt.Chart().encode(x=x)
    chart = alt.layer(
        base.mark_line(color=GREY, strokeDash=[2, 2], aria=False).encode(y=alt.Y("confidence:Q").title("accuracy (%)")),
        base.mark_rule(color=OKABE_ITO[0], aria=False).encode(y="low:Q", y2="high:Q"),
        base.mark_point(filled=True, size=30, opacity=1, color=OKABE_ITO[0]).encode(y=y),
        data=data(rows),
    ).properties(width=112, height=112)
    header = alt.Header(labelExpr="split(datum.label, '\\n')")
    columns = min(COLUMNS, len(curves))
    return chart.facet(alt.Facet("panel:N", sort=series, header=header), columns=columns, spacing=12).properties(
        title="accuracy (%) with 95% intervals against confidence σ(|margin| / τ) (%)"
    )


def draw_best_of(curves: Mapping[Reward, Sequence[BestOfRow]], names: Mapping[Reward, str]) -> Chart:
    """Mean grade against k, a curve a reward; baselines, which name no checkpoint, are dotted."""
    series = distinct([shortened(names[reward], 44) for reward in curves])
    rows = [
        {"series": name, "k": row.k, "grade": row.grade, "low": row.ci_low, "high": row.ci_high}
        for name, points in zip(series, curves.values(), strict=True)
        for row in points
        if row.grade is not None
    ]
    colour, shape, dash = told_apart(series, orient="right")
    title = "mean grade of the one picked, bands: 95% intervals"
    x = alt.X("k:Q", title="responses to pick from, k").axis(tickMinStep=1)
    base = alt.Chart(data(rows)).encode(x=x, color=colour)
    y = alt.Y("grade:Q", scale=alt.Scale(zero=False), title=title)
    return alt.layer(
        base.mark_area(opacity=0.08, aria=False).encode(y=alt.Y("low:Q").title(title), y2="high:Q"),
        base.mark_line(aria=False).encode(y=y, strokeDash=dash),
        base.mark_point(filled=True, size=28, opacity=1).encode(y=y, shape=shape),
    ).properties(width=440, height=300)
