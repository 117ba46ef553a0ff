"""A run as a document: what leaderboard.md and report.html both say."""

from collections.abc import Sequence

from .document import Document, Picture
from .grid_report import grid_document
from .pair_report import pair_document
from .run_format.reading import Run


def leaderboard(run: Run, pictures: Sequence[Picture]) -> Document:
    """The report of a run with the figures that were drawn for it."""
    return pair_document(run, pictures) if run.info.kind == "pair" else grid_document(run, pictures)
