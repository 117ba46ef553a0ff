"""A run as one HTML page that needs no network: what leaderboard.md says, with a table to sort and filter."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from .document import Document, Picture
from .escaping import one_line, shortened, written
from .run_format.reading import Run
from .run_format.tables import AccuracyRow
from .scores import Scores, collect_scores, ranked


@dataclass(frozen=True, slots=True)
class ExplorerRow:
    """A row of the table that can be sorted and filtered."""

    family: str
    section: str
    accuracy: AccuracyRow
    gaps: tuple[float | None, ...]


def render_html(run: Run, document: Document, figures: Path, items: bool) -> str:
    """The page; `figures` holds the SVG files of the document's pictures; `items`: whether there is items.html."""
    scores = collect_scores(run)
    benchmarks = tuple(dict.fromkeys(n for row in run.pairs for n, gap in row.gaps.items() if gap is not None))
    script, style = asset("report.js"), asset("report.css")
    rows = _explorer_rows(run, scores, benchmarks)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            script=Markup(script),
            style=Markup(style),
            script_hash=content_hash(script),
            style_hash=content_hash(style),
            rows=rows,
            items=items,
            benchmarks=benchmarks,
            families=_distinct([row.family for row in rows]),
            variants=_distinct([row.accuracy.variant for row in rows]),
            sections=_distinct([row.section for row in rows]),
            images=images_of(document, figures),
        )
    )


def images_of(document: Document, figures: Path) -> dict[str, Markup]:
    """Stem to SVG of the document's pictures; their texts were escaped when they were drawn."""
    blocks = [block for section in document.sections for block in section.blocks]
    stems = [block.stem for block in blocks if isinstance(block, Picture)]
    return {stem: Markup((figures / f"{stem}.svg").read_text(encoding="utf-8")) for stem in stems}


def _distinct(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _explorer_rows(run: Run, scores: Scores, benchmarks: tuple[str, ...]) -> list[ExplorerRow]:
    family = {(pair.strong, pair.weak): pair.family or "" for pair in run.info.pairs}
    alone = {checkpoint.name: checkpoint.family or "" for checkpoint in run.info.checkpoints}
    gaps = {(pair.strong, pair.weak, pair.variant): pair.gaps for pair in run.pairs}
    rows: list[ExplorerRow] = []
    for scope in (scores.overall, *scores.sections, *scores.levels):
        for reward in ranked(scores, scope):
            row = scores.row(reward, scope)
            if row is None:
                continue
            own = family.get(reward[:2]) or alone.get(reward[0], "")
            of_pair = tuple(gaps.get(reward, {}).get(name) for name in benchmarks)
            rows.append(ExplorerRow(own, "Overall" if scope == scores.overall else scope[1], row, of_pair))
    return rows


@cache
def asset(name: str) -> str:
    """The text of a file in templates/."""
    return files(__package__ or "").joinpath("templates", name).read_text(encoding="utf-8")


def content_hash(text: str) -> str:
    """The source that the page's content security policy allows: this text and no other script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def environment() -> Environment:
    """The templates, with everything escaped that they show."""
    from .formatting import count, percent, percent_interval, plain, signed

    made = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(asset),
    )
    names = {"count": count, "percent": percent, "percent_interval": percent_interval, "plain": plain, "signed": signed}
    cast(Any, made).globals.update(names, line=one_line, shortened=shortened, written=written)
    return made
