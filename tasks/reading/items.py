"""From a source's rows to items: what makes an item, what is left out, and when a source is refused."""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from ...errors import UserError
from ..item import MAX_RESPONSES, MAX_TEXT_CHARS, Item
from ..items import Items
from .columns import Layout, Paths, maybe
from .guess import described, guess_layout
from .notes import CHECK_ROWS, SHARE, TIE, LeftOut, ReadingNotes, RowError
from .preferences import preference_answers
from .responses import Answers, graded_answers
from .rows import Row, Wanted, open_rows
from .turns import Turns

DEFAULT_SUBSET = "all"
SAMPLE_ROWS = 64
"""Rows from which the layout is guessed."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a benchmark says about its rows beyond their columns."""

    where: Mapping[str, str] = field(default_factory=dict[str, str])
    """Column to the value, as text with wildcards, of the rows that are asked for."""
    sides: Mapping[str, str] = field(default_factory=dict[str, str])
    """Columns of the one side to those of the other, exchanged where the first of them holds the later of the two
    values, so that both orders are one."""
    gather: Paths = ()
    """Rows that agree in these columns make one item; each column is then the list of their values."""
    skip: Collection[str] = ()
    """Reasons that the benchmark knows of: left out and counted, but no sign of wrong columns."""
    subsets: Collection[str] = ()
    """The subsets that there are; empty for any."""
    group: str = ""
    """Pattern with the groups `role` and `group` that an item's `id` column is searched for."""

    def takes(self, columns: Mapping[str, Any]) -> bool:
        """Whether a row is asked for."""
        return all(fnmatchcase(str(maybe(columns, path)), value) for path, value in self.where.items())

    def in_order(self, columns: Mapping[str, Any]) -> Mapping[str, Any]:
        """A row with its sides in order; a value that is the name of a column goes with it to the other side."""
        first = next(iter(self.sides.items()), None)
        if first is None or str(columns.get(first[0])) <= str(columns.get(first[1])):
            return columns
        other = {**self.sides, **{b: a for a, b in self.sides.items()}}
        turned = {name: columns.get(other.get(name, name)) for name in columns}
        return {name: other.get(value, value) if isinstance(value, str) else value for name, value in turned.items()}


@dataclass(slots=True)
class Reading:
    """One pass over a source: iterating makes the items, `notes` then says what became of the rows."""

    source: str
    layout: Layout
    rows: Callable[[Wanted], Iterator[Row]]
    filter: Filter = field(default_factory=Filter)
    strict: bool = False
    taken_for: str = ""
    remarks: tuple[str, ...] = ()
    unlabelled: bool = False
    """Whether grades may be equal and responses empty or all equal: rows that are to be annotated."""
    _seen: dict[str, int] = field(default_factory=dict[str, int])
    _left: list[LeftOut] = field(default_factory=list[LeftOut])
    _read: int = 0
    _passed: int = 0
    _groups: int = 0
    _duplicates: int = 0
    _first: dict[str, str] = field(default_factory=dict[str, str])
    _grouped: dict[str, Row] = field(default_factory=dict[str, Row])

    def __iter__(self) -> Iterator[Item]:
        """The items, in the order of the rows; raises UserError where too many rows cannot be used."""
        for row in self._asked():
            try:
                if row.fault is not None:
                    raise row.fault
                item = _item(row, self.layout, self.filter, unlabelled=self.unlabelled)
                if item.id in self._seen:
                    other = f"{row.unit} {self._seen[item.id]}"
                    raise RowError("duplicate id", f"the id {item.id!r} is also that of {other}; make ids unique")
            except RowError as fault:
                self._leave_out(row, fault)
                continue
            self._seen[item.id] = row.index
            if item.group:
                self._grouped[item.id] = replace(row, columns={})
            self._duplicates += len(item.responses) - len(set(item.responses))
            yield item
        if not self._read:
            raise UserError(f"{self.source} holds no rows: give a file with at least one preference item.")
        self._check()
        if not self._seen:
            raise UserError(f"{self.source} holds no row that can be used: {self._told()}.")

    @property
    def notes(self) -> ReadingNotes:
        """What became of the rows that were read."""
        taken = self.taken_for or described(self.layout)
        left_out, passed = tuple(self._left), self._passed
        return ReadingNotes(self._read, taken, left_out, passed, self._duplicates, self.remarks, self._groups)

    def whole_groups(self, items: Items) -> Items:
        """The items read without those whose group lacks a role, such as that of a row that could not be used."""
        roles = sorted({role for role in items.roles if role})
        found: dict[str, list[str]] = {}
        for group, role in zip(items.groups, items.roles, strict=True):
            found.setdefault(group, []).append(role)
        whole = {group for group, there in found.items() if not group or sorted(there) == roles}
        fault = f"its group is not whole, one each of {' and '.join(roles)}; mend it or remove the row"
        for name, group in zip(items.ids, items.groups, strict=True):
            if group not in whole:
                self._leave_out(self._grouped[name], RowError("broken group", fault))
        self._check()
        return items if len(whole) == len(found) else Items(item for item in items if (item.group or "") in whole)

    def _asked(self) -> Iterator[Row]:
        """The rows that the filter asks for, gathered where it says so."""
        wanted = self.layout.columns | {*self.filter.where, *self.filter.gather}
        gathered: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows(wanted):
            self._read += 1
            if self._read % CHECK_ROWS == 0:
                self._check()
            if row.fault is None and not self.filter.takes(row.columns):
                self._passed += 1
            elif self.filter.gather and row.fault is None:
                row = replace(row, columns=self.filter.in_order(row.columns))  # noqa: PLW2901
                key = tuple(str(maybe(row.columns, path)) for path in self.filter.gather)
                gathered.setdefault(key, []).append(row)
            else:
                yield row
        self._groups = len(gathered)
        for rows in gathered.values():
            yield replace(rows[0], columns={name: [r.columns.get(name) for r in rows] for name in rows[0].columns})

    def _leave_out(self, row: Row, fault: RowError) -> None:
        if self.strict and not self._expected(fault.reason):
            raise UserError(f"{row.where}: {fault}.") from fault
        self._left.append(LeftOut(row.file, row.number, fault.reason, str(fault)))
        self._first.setdefault(fault.reason, f"{row.where}: {fault}")

    def _expected(self, reason: str) -> bool:
        return reason == TIE or reason in self.filter.skip

    def _check(self) -> None:
        """Refuse a source of which more than the share of rows, or of groups, has faults that nobody expects."""
        faulty = sum(not self._expected(row.reason) for row in self._left)
        if faulty > SHARE * (self._groups or self._read - self._passed):
            raise UserError(
                f"{self._told()}; {faulty:,} of {self.notes.tried} cannot be used, more than {SHARE:.0%}: look at the"
                " columns, or name them with --columns."
            )

    def _told(self) -> str:
        """The most frequent reason with its first example."""
        counts = Counter(row.reason for row in self._left if not self._expected(row.reason)) or Counter(
            row.reason for row in self._left
        )
        if not counts:
            return "none is asked for"
        reason, count = counts.most_common(1)[0]
        return f"{self._first[reason]}{f' ({count} rows have this fault)' if count > 1 else ''}"


def read_plain(source: str, named: Mapping[str, Paths] | None = None, *, strict: bool = False) -> Reading:
    """A reading of a source whose columns are found by name; `named` are those that the user says."""
    rows = open_rows(source)
    return Reading(source, guess_layout(sample_of(rows), named or {}), rows, strict=strict)


def sample_of(rows: Callable[[Wanted], Iterator[Row]]) -> Sequence[Mapping[str, Any]]:
    """The columns of the first rows."""
    return [row.columns for row in islice(rows(None), SAMPLE_ROWS) if row.fault is None]


def _item(row: Row, layout: Layout, of: Filter, *, unlabelled: bool) -> Item:
    columns = row.columns
    name, subset, problem = names_of(row, layout)
    answers = (graded_answers if layout.responses else preference_answers)(columns, layout)
    _check_answers(answers, unlabelled=unlabelled)
    subset = subset or DEFAULT_SUBSET
    if of.subsets and subset not in of.subsets:
        raise RowError(
            "unknown subset", f"{subset!r} is no subset of the benchmark; pass the file as a task of its own"
        )
    labels = {label: str(value) for label, path in layout.labels.items() if (value := maybe(columns, path)) is not None}
    found = re.search(of.group, str(maybe(columns, layout.id[-1]))) if of.group else None
    group, role = (found["group"], found["role"]) if found else (None, "")
    grades = () if all(map(math.isnan, answers.grades)) else answers.grades
    return Item(
        name,
        subset,
        answers.prompt,
        answers.responses,
        grades,
        answers.pairs,
        answers.styles,
        group,
        role,
        problem,
        answers.finish,
        labels,
    )


def names_of(row: Row, layout: Layout) -> tuple[str, str | None, str | None]:
    """The id, subset and problem of a row."""
    subset = _subset(row.columns, layout)
    return _id(row, layout, subset), subset, _problem(row.columns, layout)


def check_prompt(prompt: Turns) -> None:
    """Raise RowError for turns that no response can follow."""
    if not prompt or prompt[-1]["role"] != "user" or not prompt[-1]["content"].strip():
        raise RowError(
            "no prompt", "the prompt must end with a turn of the user that is not empty; mend or remove the row"
        )
    _check_length("`prompt`", sum(len(turn["content"]) for turn in prompt))


def _check_answers(answers: Answers, *, unlabelled: bool) -> None:
    """Raise RowError for what makes no item."""
    texts = answers.responses
    check_prompt(answers.prompt)
    if len(texts) < 2:
        raise RowError("one response", f"the row has {len(texts)} responses; an item needs at least 2, remove the row")
    if len(texts) > MAX_RESPONSES:
        raise RowError("too many responses", f"the row has {len(texts):,} responses, over {MAX_RESPONSES:,}; split it")
    for place, text in zip(answers.places, texts, strict=True):
        if not text.strip() and not unlabelled:
            raise RowError("empty response", f"the response in {place} is empty; fill it in or remove the row")
        _check_length(place.rstrip(","), len(text))
    if unlabelled:
        return
    if len(set(texts)) == 1:
        names = " and ".join(answers.places) if len(texts) == 2 else f"all {len(texts)} responses"
        raise RowError("equal responses", f"{names} are equal; remove the row")
    known = {grade for grade in answers.grades if not math.isnan(grade)}
    if len(known) == 1:
        raise RowError(TIE, "the grades of all responses are equal; nothing to mend")


def _check_length(name: str, length: int) -> None:
    if length > MAX_TEXT_CHARS:
        raise RowError("too long", f"{name} has {length:,} characters, over {MAX_TEXT_CHARS:,}; shorten or remove it")


def _subset(columns: Mapping[str, Any], layout: Layout) -> str | None:
    parts = [maybe(columns, path) for path in layout.subset]
    if all(part is None for part in parts):
        return None
    for path, part in zip(layout.subset, parts, strict=True):
        if not isinstance(part, str) or not 1 <= len(part) <= 200:
            raise RowError("wrong type", f"`{path}` must be a text of 1 to 200 characters; mend or remove the row")
    return "/".join(str(part) for part in parts)


def _id(row: Row, layout: Layout, subset: str | None) -> str:
    """The id column; a whole number counts within its subset, and without any the row's number is the id."""
    parts = [maybe(row.columns, path) for path in layout.id]
    for path, part in zip(layout.id, parts, strict=True):
        _check_name(path, part, "a whole number or a text of 1 to 200 characters", 1, 200)
    if all(part is None for part in parts):
        return str(row.index)
    if len(parts) == 1 and isinstance(parts[0], int) and subset is not None:
        return f"{subset}-{parts[0]}"
    return "-".join(str(part) for part in parts)


def _problem(columns: Mapping[str, Any], layout: Layout) -> str | None:
    parts = [maybe(columns, path) for path in layout.problem]
    for path, part in zip(layout.problem, parts, strict=True):
        _check_name(path, part, "a whole number or a text", 0, MAX_TEXT_CHARS)
    return None if all(part is None for part in parts) else "-".join(str(part) for part in parts)


def _check_name(path: str, value: Any, expected: str, shortest: int, longest: int) -> None:
    fits = value is None or (type(value) is int and -(2**63) <= value < 2**63)
    if not (fits or (isinstance(value, str) and shortest <= len(value) <= longest)):
        raise RowError("wrong type", f"`{path}` must be {expected}; mend or remove the row")
