"""How figures look: colours that colour-blind readers and grey prints keep apart; files that repeat byte for byte."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair
import vl_convert

from ..colours import GREY, OKABE_ITO

alt: Any = altair
"""Its types are too partial for strict checks."""
Chart = Any
"""An Altair chart of any kind."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
DASHES: tuple[list[int], ...] = ([1, 0], [6, 3], [8, 3, 2, 3], [2, 3], [8, 2, 2, 2, 2, 2], [12, 3], [4, 1])

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is part of vl-convert and as wide as the second, so that text lies everywhere as it was measured."""

STYLE: Any = {
    "font": FONT,
    "background": "white",
    "padding": 8,
    "view": {"stroke": None},
    "axis": {
        "gridColor": "#e5e5e5",
        "domainColor": GREY,
        "tickColor": GREY,
        "labelLimit": 0,
        "titleFontWeight": "normal",
    },
    "header": {"title": None, "labelLimit": 0, "labelFontSize": 11},
    "legend": {"labelLimit": 0, "titleFontWeight": "normal"},
    "title": {"anchor": "start", "frame": "bounds", "fontSize": 12, "fontWeight": "normal", "offset": 10},
}


def data(rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Rows as the data of a chart."""
    return alt.Data(values=[dict(row) for row in rows])


def percents(**shares: float | None) -> dict[str, float | None]:
    """Shares in per cent, rounded, as hovering and screen readers tell them."""
    return {name: None if share is None else round(100 * share, 2) for name, share in shares.items()}


def told_apart(names: Sequence[str], **legend: Any) -> tuple[Any, Any, Any]:
    """Colour, marker and line of the field `series`: each alone tells the series apart."""
    count = range(len(names))
    colours = [OKABE_ITO[i % len(OKABE_ITO)] for i in count]
    shapes = [SHAPES[i % len(SHAPES)] for i in count]
    dashes = [DASHES[(i + i // len(DASHES)) % len(DASHES)] for i in count]
    shared: Any = {"title": None, "legend": alt.Legend(symbolOpacity=1, symbolStrokeWidth=0, **legend)}
    return (
        alt.Color("series:N", scale=alt.Scale(domain=list(names), range=colours), **shared),
        alt.Shape("series:N", scale=alt.Scale(domain=list(names), range=shapes), **shared),
        alt.StrokeDash("series:N", scale=alt.Scale(domain=list(names), range=dashes), legend=None),
    )


def save(chart: Chart, folder: Path, stem: str) -> None:
    """Write stem.svg and stem.png."""
    drawn = vl_convert.vegalite_to_svg(chart.configure(**STYLE).to_dict())
    numbers = dict.fromkeys(re.findall(r'id="(\w+)"', drawn))
    for number, name in enumerate(numbers):  # counted through a process; so named, one page can hold several figures
        drawn = drawn.replace(f'id="{name}"', f'id="{stem}-{number}"').replace(
            f"url(#{name})", f"url(#{stem}-{number})"
        )
    (folder / f"{stem}.svg").write_text(drawn, encoding="utf-8", newline="\n")
    (folder / f"{stem}.png").write_bytes(vl_convert.svg_to_png(drawn, scale=2))
