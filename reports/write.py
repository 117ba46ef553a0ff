"""Writing a run's reports into its directory."""

from pathlib import Path

from ..errors import UserError
from .leaderboard import leaderboard
from .markdown import render_markdown
from .run_format.hidden_folder import hidden_folder
from .run_format.reading import read_run
from .tables_out import write_tables

WRITTEN = ("figures", "tables", "items", "items.html", "report.html", "leaderboard.md", "report.md")


def write_reports(run_dir: Path) -> Path:
    """Write leaderboard.md, report.html, items.html and figures/ from the files of a run, replacing earlier ones.

    A run that keeps no texts has no items.html, and a large one a folder items/ beside it; tables/ has the tables as
    CSV and LaTeX. The Markdown of an annotation is report.md: README.md there is the card of the data set.
    Everything is made in a temporary folder first and then moved, so that a failure leaves the earlier reports.

    Returns:
        The path of the Markdown file.

    Raises:
        UserError: the run directory is missing something or damaged, or cannot be written to.
    """
    run = read_run(run_dir)
    annotated = run.info.kind == "annotation"
    text = "report.md" if annotated else "leaderboard.md"
    from .annotation_page import render_annotation
    from .figures import draw_figures  # Altair takes longer to import than all else here
    from .html import render_html
    from .items_page import write_items

    try:
        with hidden_folder(run_dir / "reports") as made:
            (made / "figures").mkdir()
            pictures = draw_figures(run, made / "figures")
            document = leaderboard(run, pictures)
            (made / "tables").mkdir()
            write_tables(document, made / "tables")
            (made / text).write_text(render_markdown(document), encoding="utf-8", newline="\n")
            items = write_items(run, made)
            figures = made / "figures"
            page = (
                render_annotation(run, document, figures) if annotated else render_html(run, document, figures, items)
            )
            (made / "report.html").write_text(page, encoding="utf-8", newline="\n")
            _move_into(made, run_dir)
    except OSError as error:
        raise UserError(
            f"The reports could not be written to {run_dir} ({error.strerror}): "
            "make the folder writable, or copy it to where there is space."
        ) from error
    return run_dir / text


def _move_into(made: Path, run_dir: Path) -> None:
    """Replace the earlier reports by those in `made`, which lies on the same file system."""
    (made / "earlier").mkdir()
    for name in WRITTEN:
        if (run_dir / name).exists():
            (run_dir / name).rename(made / "earlier" / name)
        if (made / name).exists():
            (made / name).rename(run_dir / name)
