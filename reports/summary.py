"""What a terminal shows of a run: the part of leaderboard.md that a user waits for."""

from dataclasses import replace
from pathlib import Path

from .document import Document, Table
from .leaderboard import leaderboard
from .run_format.reading import read_run
from .unlabelled_report import TITLE

MAIN_SECTIONS = ("Accuracy", "Leaderboard", "Pairs and agreement", TITLE)
"""The main table of a pair run or fit, a grid run, an annotation, and a grid without labels."""


def summary(run_dir: Path) -> Document:
    """The report up to its main table, less what is folded away there. Raises UserError as `read_run`."""
    document = leaderboard(read_run(run_dir), ())
    places = {section.title: i for i, section in enumerate(document.sections)}
    main = next(places[title] for title in MAIN_SECTIONS if title in places)
    shown = tuple(
        replace(section, blocks=tuple(b for b in section.blocks if not (isinstance(b, Table) and b.folded)))
        for section in document.sections[: main + 1]
    )
    return Document(document.title, shown)
