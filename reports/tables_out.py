"""The tables of a report as files to paste elsewhere: CSV, and LaTeX for booktabs."""

import csv
from pathlib import Path

from .document import Cell, Document, Table
from .escaping import file_stem, one_line
from .run_format.columns import inert

LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "–": "--",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "κ": r"$\kappa$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
    "π": r"$\pi$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "…": r"\dots{}",
    "β": r"$\beta$",
    "½": r"$\frac{1}{2}$",
    "Σ": r"$\Sigma$",
}
"""What LaTeX takes for a command, and characters that its fonts of text lack."""


def write_tables(document: Document, folder: Path) -> None:
    """Write each table of the document to `folder` as stem.csv and stem.tex, the stem from its section."""
    taken: set[str] = set()
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Table):
                stem = file_stem(section.title, taken)
                rows = [[inert(one_line(cell.text)) for cell in row] for row in (block.headings, *block.rows)]
                with (folder / f"{stem}.csv").open("w", encoding="utf-8", newline="") as stream:
                    csv.writer(stream, lineterminator="\n").writerows(rows)
                (folder / f"{stem}.tex").write_text(latex(block, section.title), encoding="utf-8", newline="\n")


def latex(table: Table, caption: str) -> str:
    """A table environment that needs the package booktabs."""
    columns = "l" * table.text_columns + "r" * (len(table.columns) - table.text_columns)
    notes = [f"\\par\\footnotesize\\textsuperscript{{{k}}} {_plain(note)}" for k, note in enumerate(table.footnotes, 1)]
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_plain(caption)}}}",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        _row(table.headings),
        "\\midrule",
        *(_row(row) for row in table.rows),
        "\\bottomrule",
        "\\end{tabular}",
        *notes,
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[Cell, ...]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(cell: Cell) -> str:
    text = _plain(cell.text)
    text = f"\\textbf{{{text}}}" if cell.best else f"\\textit{{{text}}}" if cell.published and text else text
    return text + (f"\\textsuperscript{{{','.join(map(str, cell.notes))}}}" if cell.notes else "")


def _plain(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in one_line(text))
