"""An annotation as one HTML page that needs no network: its report, and prompts to read with their responses."""

from pathlib import Path

from markupsafe import Markup

from .annotation_rows import read_prompts
from .document import Document
from .html import asset, content_hash, environment, images_of
from .run_format.reading import Run


def render_annotation(run: Run, document: Document, figures: Path) -> str:
    """The page; `figures` holds the SVG files of the document's pictures."""
    prompts, total = read_prompts(run)
    style = asset("report.css")
    return (
        environment()
        .get_template("annotation.html.j2")
        .render(
            document=document,
            style=Markup(style),
            style_hash=content_hash(style),
            images=images_of(document, figures),
            prompts=prompts,
            total=total,
            unit=run.info.annotation.length_unit if run.info.annotation else "",
        )
    )
