"""Accuracy by variant (pair runs) and over the chain of iterated training (the paper's Figure 2)."""

from collections.abc import Mapping, Sequence

from ..colours import GREY, OKABE_ITO
from ..escaping import shortened
from ..formatting import percent, percent_interval
from ..pair_figures import distinct, sizes
from ..run_format.tables import ChainRow
from ..scores import Line, Scope, Scores, chance_of
from .look import Chart, alt, data, percents


def draw_variants(scores: Scores, lines: Sequence[Line], title: str) -> Chart:
    """One panel a section and one overall: a dot with its 95% interval for each reward, a diamond where published."""
    names = distinct([shortened(line.labels[0], 42) for line in lines])
    rows: list[dict[str, object]] = []
    panels: list[str] = []
    for scope in scores.main_scopes:
        found = [scores.row(line.reward, scope) for line in lines]
        title_of = "Overall" if scope[0] == "overall" else shortened(scope[1], 22)
        panels.append(f"{title_of}\n{sizes(row for row in found if row is not None)}")
        chance = chance_of(found)
        for name, line, row in zip(names, lines, found, strict=True):
            rows.append({"panel": panels[-1], "reward": name, "published": _published(line, scope)})
            if row is not None:
                rows[-1] |= percents(accuracy=row.accuracy, low=row.ci_low, high=row.ci_high, chance=chance)
                rows[-1]["tip"] = f"{name}: {percent_interval(row.accuracy, row)} %\n{panels[-1]}"
    base = alt.Chart().encode(y=alt.Y("reward:N", sort=names, title=None, axis=alt.Axis(ticks=False, domain=False)))
    marks = "dots with 95% intervals" + ("; diamonds: published" if any(line.published for line in lines) else "")
    x = alt.X("accuracy:Q", scale=alt.Scale(zero=False), title="accuracy (%)")
    chart = alt.layer(
        alt.Chart().mark_rule(color=GREY, strokeDash=[2, 2]).encode(x="mean(chance):Q"),
        base.mark_rule(color=OKABE_ITO[0], strokeWidth=1.6, aria=False).encode(
            x=alt.X("low:Q").title("accuracy (%)"), x2="high:Q"
        ),
        base.mark_point(filled=True, size=40, color=OKABE_ITO[0], opacity=1).encode(x=x, description="tip:N"),
        base.mark_point(shape="diamond", size=55, color=OKABE_ITO[1], aria=False).encode(x="published:Q"),
        data=data(rows),
    ).properties(width=128, height=alt.Step(20))
    header = alt.Header(labelExpr="split(datum.label, '\\n')")
    return chart.facet(column=alt.Facet("panel:N", sort=panels, header=header), spacing=14).properties(
        title=[shortened(title, 90), f"accuracy (%): {marks}"]
    )


def _published(line: Line, scope: Scope) -> float | None:
    if line.published is None:
        return None
    value = line.published.overall if scope[0] == "overall" else line.published.scores.get(scope[1])
    return None if value is None else float(value)


def draw_chain(rows: Sequence[ChainRow], labels: Mapping[str, str], title: str, chance: float) -> Chart:
    """For each checkpoint of a chain, bars from chance to its accuracy over its own reference and over weaker ones.

    `chance` is a share.
    """
    weak = [name for name in labels if any(row.weak == name for row in rows)]
    bars = [
        {
            "checkpoint": labels[row.checkpoint],
            "weak": labels[row.weak],
            "text": f"{percent(row.accuracy)}{'*' if row.relation == 'own reference' else ''}",
            "tip": f"{row.checkpoint} over {row.weak}: {percent_interval(row.accuracy, row)} %",
            **percents(accuracy=row.accuracy, low=row.ci_low, high=row.ci_high, chance=chance),
            **percents(top=max(row.accuracy, row.ci_high or 0.0, chance)),
        }
        for row in rows
        if row.accuracy is not None
    ]
    order = [labels[name] for name in weak]
    y = alt.Y("accuracy:Q", scale=alt.Scale(zero=False), title="overall accuracy (%), bars start at chance")
    base = alt.Chart().encode(x=alt.X("weak:N", sort=order, title=None, axis=alt.Axis(labelAngle=-45)))
    colour = alt.Color("weak:N", legend=None, scale=alt.Scale(domain=order, range=list(OKABE_ITO)))
    chart = alt.layer(
        base.mark_bar().encode(y=y, y2="chance:Q", color=colour, description="tip:N"),
        base.mark_rule(aria=False).encode(y=alt.Y("low:Q").title(""), y2="high:Q"),
        base.mark_text(dy=-6, fontSize=9, aria=False).encode(y=alt.Y("top:Q").title(""), text="text:N"),
        alt.Chart().mark_rule().encode(y=alt.Y("mean(chance):Q").title("")),
        data=data(bars),
    ).properties(width=alt.Step(30), height=260)
    order = [labels[name] for name in dict.fromkeys(row.checkpoint for row in rows)]
    return (
        chart.facet(column=alt.Facet("checkpoint:N", sort=order), spacing=12)
        .resolve_scale(x="independent")
        .properties(title=[title, "below each bar: over which; * its own reference; lines are 95% intervals"])
    )
