"""What a terminal shows of a run: the part of leaderboard.md that a user waits for."""

from dataclasses import replace
from pathlib import Path

from .document import Document, Table
from .leaderboard import leaderboard
from .markdown import render_markdown
from .run_format.reading import read_run

MAIN_SECTIONS = ("Accuracy", "Leaderboard", "Pairs and agreement")
"""The main table of a pair run, a grid run and an annotation."""


def summary(run_dir: Path) -> str:
    """Markdown of the report up to its main table, less what is folded away there. Raises UserError as `read_run`."""
    document = leaderboard(read_run(run_dir), ())
    main = next(i for i, section in enumerate(document.sections) if section.title in MAIN_SECTIONS)
    shown = tuple(
        replace(section, blocks=tuple(b for b in section.blocks if not (isinstance(b, Table) and b.folded)))
        for section in document.sections[: main + 1]
    )
    return render_markdown(Document(document.title, shown))
