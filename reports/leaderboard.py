"""A run as a document: what leaderboard.md and report.html both say."""

from collections.abc import Sequence

from .annotation_report import annotation_document
from .document import Document, Picture
from .fit_report import fit_document
from .grid_report import grid_document
from .pair_report import pair_document
from .run_format.reading import Run
from .unlabelled_report import unlabelled_document


def leaderboard(run: Run, pictures: Sequence[Picture]) -> Document:
    """The report of a run with the figures that were drawn for it."""
    if run.unlabelled and not run.accuracy:
        return unlabelled_document(run, pictures)
    documents = {
        "pair": pair_document,
        "grid": grid_document,
        "annotation": annotation_document,
        "fit": fit_document,
    }
    return documents[run.info.kind](run, pictures)
