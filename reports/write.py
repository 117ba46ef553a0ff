"""Writing a run's reports into its directory."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from .leaderboard import leaderboard
from .markdown import render_markdown
from .run_format.hidden_folder import hidden_folder
from .run_format.reading import read_run


def write_reports(run_dir: Path) -> Path:
    """Write leaderboard.md, report.html and figures/ from the files of a run, replacing earlier ones.

    The Markdown of an annotation is report.md: README.md there is the card of the data set.
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
    from .figures import draw_figures  # matplotlib takes longer to import than all else here
    from .html import render_html

    try:
        with hidden_folder(run_dir / "reports") as made:
            (made / "figures").mkdir()
            pictures = draw_figures(run, made / "figures")
            document = leaderboard(run, pictures)
            (made / text).write_text(render_markdown(document), encoding="utf-8", newline="\n")
            page = (render_annotation if annotated else render_html)(run, document, made / "figures")
            (made / "report.html").write_text(page, encoding="utf-8", newline="\n")
            _move_into(made, run_dir, (text, "report.html"))
    except OSError as error:
        raise UserError(
            f"The reports could not be written to {run_dir} ({error.strerror}): "
            "make the folder writable, or copy it to where there is space."
        ) from error
    return run_dir / text


def _move_into(made: Path, run_dir: Path, names: Sequence[str]) -> None:
    """Replace the earlier reports by those in `made`, which lies on the same file system."""
    if (run_dir / "figures").exists():
        (run_dir / "figures").rename(made / "earlier-figures")
    (made / "figures").rename(run_dir / "figures")
    for name in names:
        (made / name).replace(run_dir / name)
    shutil.rmtree(made / "earlier-figures", ignore_errors=True)
