"""Fitted rewards by labels, and estimates without labels against the truth."""

from collections.abc import Sequence

from ..colours import GREY
from ..run_format.tables import CurveRow, UnlabelledRow
from .look import Chart, alt, data, percents, told_apart

NAMES = {"fitted": "fit", "pair": "best pair on the same labels"}


def draw_learning_curve(curve: Sequence[CurveRow]) -> Chart:
    """Accuracy on the items left out against the number of labels, the fit beside the pair, with bands."""
    rows = [
        {"series": NAMES[row.reward], "labels": row.labels, "n": row.n}
        | percents(accuracy=row.value, low=row.ci_low, high=row.ci_high)
        for row in curve
        if row.reward in NAMES
    ]
    colour, shape, dash = told_apart(list(NAMES.values()), orient="bottom", columns=1)
    title = "accuracy on the other items (%), bands: 95% intervals"
    x = alt.X("labels:Q", scale=alt.Scale(type="log", nice=False), title="labelled items").axis(
        values=sorted({row.labels for row in curve})
    )
    up = alt.Scale(zero=False)
    base = alt.Chart(data(rows)).encode(x=x, color=colour)
    y = alt.Y("accuracy:Q", scale=up, title=title)
    return alt.layer(
        base.mark_area(opacity=0.12, aria=False).encode(y=alt.Y("low:Q", scale=up).title(title), y2="high:Q"),
        base.mark_line(aria=False).encode(y=y, strokeDash=dash),
        base.mark_point(filled=True, size=40, opacity=1).encode(y=y, shape=shape),
    ).properties(width=380, height=260, title="A fitted reward and the best pair, by labels")


def draw_estimates(pairs: Sequence[UnlabelledRow]) -> Chart:
    """Estimated against measured accuracy, a dot a pair, with the estimates' intervals; on the diagonal is right."""
    rows = [
        {
            "estimate": row.estimate,
            "accuracy": row.accuracy,
            "low": row.ci_low,
            "high": row.ci_high,
            "tip": f"{row.strong} over {row.weak}: estimated {row.estimate:.1f}%, by the labels {row.accuracy:.1f}%",
        }
        for row in pairs
        if row.estimate is not None and row.accuracy is not None
    ]
    scale = alt.Scale(domain=[0, 100], nice=False)
    x = alt.X("estimate:Q", scale=scale, title="estimated without labels (%), lines: 95% intervals")
    y = alt.Y("accuracy:Q", scale=scale, title="by the labels (%)")
    ends = alt.Chart(data([{"estimate": end, "accuracy": end} for end in (0, 100)]))
    dots = alt.Chart(data(rows)).encode(y=y)
    return alt.layer(
        ends.mark_line(color=GREY, strokeDash=[2, 2], aria=False).encode(x=x, y=y),
        dots.mark_rule(opacity=0.35, aria=False).encode(x=alt.X("low:Q", scale=scale).title(""), x2="high:Q"),
        dots.mark_point(filled=True, size=40, opacity=0.85).encode(x=x, description="tip:N"),
    ).properties(width=320, height=320, title=f"{len(rows)} pairs, each direction a dot")
