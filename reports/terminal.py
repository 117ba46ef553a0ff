"""A document drawn for a terminal: tables as wide as it is, footnotes below them."""

from collections.abc import Iterator, Sequence
from textwrap import fill

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from .document import Bullets, Cell, Document, Paragraph, Table
from .escaping import one_line

PIPED_WIDTH = 1000
"""Columns where the output is no terminal: nothing is wrapped, so that lines can be searched."""
LINE = 100
"""Running text is no wider than this."""
GAP = 2
"""Columns between two cells."""
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def print_document(document: Document) -> None:
    """Print a document, less its figures."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    line = PIPED_WIDTH if not console.is_terminal else min(console.width, LINE)
    console.print(Text(one_line(document.title), style="bold"))
    for section in document.sections:
        console.print()
        console.print(Text(one_line(section.title), style="bold underline"))
        for block in section.blocks:
            if isinstance(block, Paragraph):
                console.print(Text(one_line(block.text)), width=line)
            elif isinstance(block, Bullets):
                for sentence in block.sentences:
                    console.print(Text(_hung(one_line(sentence), line)), soft_wrap=True)
            elif isinstance(block, Table):
                _print_table(console, block, line)


def _hung(sentence: str, width: int) -> str:
    return fill(
        sentence, width, initial_indent="• ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _print_table(console: Console, table: Table, line: int) -> None:
    for columns in _parts(table, console.width):
        console.print()
        grid = Grid(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for column in columns:
            right = column >= table.text_columns
            grid.add_column(_text(table.headings[column]), justify="right" if right else "left", overflow="fold")
        for row in table.rows:
            grid.add_row(*(_text(row[column]) for column in columns))
        console.print(grid)
    for number, note in enumerate(table.footnotes, start=1):
        console.print(Text(f"{_mark((number,))} {one_line(note)}"), width=line)


def _parts(table: Table, width: int) -> Iterator[Sequence[int]]:
    """Columns that fit side by side: a table that is too wide is continued below, with its text columns again."""
    texts = range(table.text_columns)
    widths = [_width(table, column) for column in range(len(table.headings))]
    room = width - sum(widths[column] + GAP for column in texts)
    part: list[int] = []
    for column in range(table.text_columns, len(widths)):
        if part and sum(widths[c] + GAP for c in (*part, column)) - GAP > room:
            yield [*texts, *part]
            part = []
        part.append(column)
    yield [*texts, *part]


def _width(table: Table, column: int) -> int:
    """Columns that the widest cell takes; headings may break between words."""
    heading = max((cell_len(word) for word in _text(table.headings[column]).plain.split()), default=0)
    return max([heading, *(cell_len(_text(row[column]).plain) for row in table.rows)])


def _text(cell: Cell) -> Text:
    style = "bold" if cell.best else "italic" if cell.published else ""
    return Text(one_line(cell.text) + _mark(cell.notes), style=style)


def _mark(notes: Sequence[int]) -> str:
    return "\u202f".join(str(note).translate(SUPERSCRIPTS) for note in notes)
