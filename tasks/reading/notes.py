"""What reading a source left out and understood, for the report's first section."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

SHARE = 0.05
"""Of the rows that may be unusable before a source is refused: above it, the columns are probably not those meant."""
CHECK_ROWS = 65_536
"""The share is looked at each so many rows, and at the end."""
TIE = "tied label"
"""A row that prefers no response says nothing to a rule; it is no sign of wrong columns."""


class RowError(Exception):
    """What is wrong with one row: `reason` in a few words for counting, and a sentence without the row's place."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def not_utf8() -> RowError:
    """The fault of a row that holds bytes which are no text."""
    return RowError("no UTF-8", "the text is not UTF-8; save it as UTF-8")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that became no item."""

    file: str
    line: int
    """Line or row number, from 1."""
    reason: str
    """In a few words, to count by."""
    sentence: str
    """What is wrong and how to mend it."""


@dataclass(frozen=True, slots=True)
class ReadingNotes:
    """What became of a source's rows."""

    rows: int = 0
    """Rows read."""
    taken_for: str = ""
    """What the source was understood as: a benchmark, or which columns hold what."""
    left_out: tuple[LeftOut, ...] = ()
    passed_over: int = 0
    """Rows that the benchmark does not ask for (another split, another turn)."""
    duplicates: int = 0
    """Responses whose text stands in their item before; each text is scored once."""
    remarks: tuple[str, ...] = ()
    """Sentences on what is unexpected, such as another number of rows than was published."""
    groups: int = 0
    """Groups of rows that were each to be an item; none where a row is one."""

    @property
    def tried(self) -> str:
        """What was to become items, with its number."""
        return f"{self.groups:,} groups of rows" if self.groups else f"{self.rows:,} rows"

    @property
    def reasons(self) -> dict[str, int]:
        """Reason to the number of rows left out for it, the most frequent first."""
        return dict(Counter(row.reason for row in self.left_out).most_common())


def as_list(value: Any) -> list[Any] | None:
    """The value if it is a list."""
    return cast(list[Any], value) if isinstance(value, list) else None


def as_dict(value: Any) -> dict[str, Any] | None:
    """The value if it is an object."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else None
