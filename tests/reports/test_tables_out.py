"""Tables as CSV and LaTeX: every cell, nothing taken for a command or a formula."""

import csv
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cdr_eval.reports.document import Cell, Document, Section, Table
from cdr_eval.reports.escaping import one_line
from cdr_eval.reports.leaderboard import leaderboard
from cdr_eval.reports.run_format.columns import inert
from cdr_eval.reports.run_format.reading import read_run
from cdr_eval.reports.tables_out import latex, write_tables

HOSTILE = r"\input{/etc/passwd} $x_1^2$ 50% & #1 ~ {a} <b> a|b −1.5"


def test_every_table_of_a_report_is_a_file_with_every_cell(make_run: Callable[[str], Path], tmp_path: Path) -> None:
    document = leaderboard(read_run(make_run("hostile")), ())
    write_tables(document, tmp_path)
    tables = [block for section in document.sections for block in section.blocks if isinstance(block, Table)]
    assert len(list(tmp_path.glob("*.csv"))) == len(list(tmp_path.glob("*.tex"))) == len(tables)
    with (tmp_path / "leaderboard.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    shown = next(b for s in document.sections if s.title == "Leaderboard" for b in s.blocks if isinstance(b, Table))
    assert rows[1:] == [[inert(one_line(cell.text)) for cell in row] for row in shown.rows]
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@")]


def test_latex_shows_text_as_text() -> None:
    table = Table(("a", "b"), ((Cell(HOSTILE, best=True), Cell("1", notes=(1,))),), footnotes=("50%",))
    text = latex(table, "A_B")
    body = text.split("\\midrule\n")[1]
    assert body.startswith(r"\textbf{\textbackslash{}input\{/etc/passwd\} \$x\_1\textasciicircum{}2\$ 50\% \& \#1")
    assert r"1\textsuperscript{1} \\" in body
    assert not re.search(r"(?<!\\)[%#]", text.split("\n", 1)[1])


def booktabs() -> bool:
    command = ["kpsewhich", "booktabs.sty"]
    found = shutil.which(command[0]) and subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    return bool(found) and found.returncode == 0


@pytest.mark.skipif(not booktabs(), reason="needs pdflatex with booktabs (Debian: texlive-latex-recommended)")
def test_latex_compiles(make_run: Callable[[str], Path], tmp_path: Path) -> None:
    sections = [s for name in ("pair", "grid") for s in leaderboard(read_run(make_run(name)), ()).sections]
    more = Section("Hostile", (Table(("a", "b"), ((Cell(HOSTILE), Cell("τ ≥ ½ ∞")),), footnotes=("σ",)),))
    write_tables(Document("Runs", (*sections, more)), tmp_path)
    inputs = "\n".join(f"\\input{{{path.name}}}\\clearpage" for path in sorted(tmp_path.glob("*.tex")))
    packages = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}"
    main = f"{packages}\\begin{{document}}\n{inputs}\n\\end{{document}}"
    (tmp_path / "main.tex").write_text(main, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-1500:]
