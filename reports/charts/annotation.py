"""Figures of an annotation: shares as bars, lengths of chosen and rejected."""

from collections.abc import Sequence

import pandas as pd

from ..colours import GREY, OKABE_ITO
from ..run_format.tables import StatisticRow
from .look import Chart, alt, data


def draw_shares(rows: Sequence[StatisticRow], across: str, up: str, *, level: bool = False) -> Chart:
    """A bar a row; with `level` a line where all were equal."""
    bars = [{"name": row.name.replace(" to ", "–"), "share": 100 * (row.value or 0)} for row in rows]
    x = alt.X("name:N", sort=None, title=across).axis(labelOverlap=True, labelAngle=0)
    base = alt.Chart(data(bars))
    layers = [base.mark_bar(color=OKABE_ITO[0]).encode(x=x, y=alt.Y("share:Q", title=up))]
    if level:
        layers.append(base.mark_rule(color=GREY, strokeDash=[2, 2]).encode(y=alt.Y("mean(share):Q").title(up)))
    return alt.layer(*layers).properties(width=440, height=200)


def draw_lengths(lengths: pd.DataFrame, unit: str) -> Chart:
    """A dot a prompt; on the diagonal chosen and rejected are equally long."""
    rows = [{"rejected": r, "chosen": c} for r, c in zip(lengths["rejected"], lengths["chosen"], strict=True)]
    x = alt.X("rejected:Q", title=f"length of the rejected ({unit})")
    y = alt.Y("chosen:Q", title=f"length of the chosen ({unit})")
    dots = alt.Chart(data(rows)).mark_point(filled=True, size=14, opacity=0.5, color=OKABE_ITO[0]).encode(x=x, y=y)
    most = float(lengths.to_numpy().max())
    ends = alt.Chart(data([{"rejected": v, "chosen": v} for v in (0, most)]))
    diagonal = ends.mark_line(color=GREY, strokeDash=[2, 2]).encode(x=x, y=y)
    return alt.layer(diagonal, dots).properties(width=320, height=300, title=f"n = {len(lengths):,} prompts")
