"""What a report says, before it is Markdown or HTML: sections of paragraphs, lists, tables and figures.

All text is plain: the templates escape it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .formatting import MISSING


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: str
    sort: float | None = None
    """The number behind the text, for sorting."""
    best: bool = False
    """Shown bold."""
    published: bool = False
    """Shown in italics: a number that this run did not measure."""
    notes: tuple[int, ...] = ()
    """Numbers of the table's footnotes that belong to the cell."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `numeric` columns are aligned to the right."""

    kind: ClassVar[str] = "table"
    columns: tuple[str | Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    text_columns: int = 1
    """How many columns at the left hold text."""
    footnotes: tuple[str, ...] = ()
    folded: str = ""
    """Summary under which the table is folded away; empty: open."""

    @property
    def headings(self) -> tuple[Cell, ...]:
        """The columns' headings."""
        return tuple(Cell(column) if isinstance(column, str) else column for column in self.columns)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure by its file stem in figures/, with the text that stands for it."""

    kind: ClassVar[str] = "picture"
    topic: str
    """What it shows: accuracy, heatmap, gap, chain or confidence."""
    stem: str
    alt: str


Block = Table | Paragraph | Bullets | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]
    opening: bool = False
    """Whether it stands before everything else on the HTML page, too."""


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    sections: tuple[Section, ...]


class Footnotes:
    """Numbers the footnotes of one table in order of appearance, equal texts once."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def number(self, text: str) -> tuple[int, ...]:
        """The footnote number of `text` as a cell takes it; none for an empty text."""
        if not text:
            return ()
        if text not in self._texts:
            self._texts.append(text)
        return (self._texts.index(text) + 1,)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, the first being number 1."""
        return tuple(self._texts)


def said(columns: Sequence[str], rows: Sequence[Sequence[Cell]], text_columns: int = 1, folded: str = "") -> Table:
    """A table without the columns, after the first, in which no row says anything."""
    empty = ("", MISSING)
    shown = [i for i in range(len(columns)) if i == 0 or any(row[i].text not in empty for row in rows)]
    kept = tuple(tuple(row[i] for i in shown) for row in rows)
    return Table(tuple(columns[i] for i in shown), kept, sum(i < text_columns for i in shown), folded=folded)


def section(title: str, blocks: Sequence[Block], *, opening: bool = False) -> tuple[Section, ...]:
    """A section where there is something to say, else nothing."""
    return (Section(title, tuple(blocks), opening),) if blocks else ()
