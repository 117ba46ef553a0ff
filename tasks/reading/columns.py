"""Which columns of a row hold what, and getting at them by paths such as `completions[].response`."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict

from .notes import RowError, as_dict, as_list

_NESTED = re.compile(r"[.\[]")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d*)\]")


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _column_only(value: Any) -> Any:
    return {"column": cast(Any, value)} if isinstance(value, (str, list, tuple)) else value


Paths = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Winner(_Record):
    """Which response is the better one, as a label; several labels, or a list of them, are votes."""

    column: Paths
    values: dict[str, int | Literal["tie"]] = {}
    """Label to the better response's position, from 0; without it, the usual labels."""


class Grades(_Record):
    """A grade a response: one column that holds the list, or one column each."""

    column: Paths
    values: dict[str, float] = {}
    """Where the grades are labels: what each is worth."""


class Layout(_Record):
    """Which columns hold what; a path is a column's name, `a.b`, `a[0]`, `a[-1]` or, for each of a list, `a[].b`."""

    prompt: Paths = ()
    """Text or chat turns; several columns are joined by an empty line."""
    chosen: str | None = None
    rejected: str | None = None
    responses: Paths = ()
    """One column that holds the list, or one column a response."""
    grades: Annotated[Grades, BeforeValidator(_column_only)] | None = None
    ranks: str | None = None
    """One a response, 1 is the best."""
    best: str | None = None
    """The best response's position, from 0."""
    winner: Annotated[Winner, BeforeValidator(_column_only)] | None = None
    preference: str | None = None
    """A number whose sign says which of two responses is better: below 0 the first, 0 for a tie."""
    pairs: str | None = None
    """List of [i, j], from 0: the comparisons that count."""
    finish: str | None = None
    """Why each response ended."""
    id: Paths = ("id",)
    subset: Paths = ("subset",)
    """Several columns are joined by a slash."""
    problem: Paths = ("problem",)
    labels: dict[str, str] = {}
    """Name to column: kept with the item for breakdowns."""
    turns: Literal["text", "human-assistant", "extra-id"] = "text"
    """How a text holds several turns: not at all, as HH-RLHF's transcripts, or as HelpSteer's."""
    steps: bool = False
    """A response is a list of steps, one a line."""
    styles: bool = False
    """The position among the chosen, and among the rejected, is the response's style (RM-Bench)."""

    @property
    def columns(self) -> frozenset[str]:
        """The paths that this layout reads."""
        single = (self.chosen, self.rejected, self.ranks, self.best, self.preference, self.pairs, self.finish)
        many = (self.prompt, self.responses, self.id, self.subset, self.problem, tuple(self.labels.values()))
        labelled = tuple(part.column for part in (self.grades, self.winner) if part)
        return frozenset([path for path in single if path] + [path for paths in many + labelled for path in paths])


def value_at(columns: Mapping[str, Any], path: str) -> Any:
    """The value at a path; a list where the path has `[]`. Raises RowError where the row does not have it."""
    if path in columns:
        return columns[path]
    value: Any = columns
    steps = _steps(path)
    for place, key in enumerate(steps):
        if key is None and (entries := as_list(value)) is not None:
            return [_walk(entry, steps[place + 1 :], path) for entry in entries]
        value = _step(value, key, path, columns)
    return value


def maybe(columns: Mapping[str, Any], path: str) -> Any:
    """The value at a path, None where the row does not have it."""
    if path in columns or not _NESTED.search(path):
        return columns.get(path)
    try:
        return value_at(columns, path)
    except RowError:
        return None


def top_columns(paths: Iterable[str], names: Iterable[str]) -> list[str]:
    """Those of a table's columns that some path needs, in the table's order."""
    wanted = set(paths)
    heads = {head for path in wanted if isinstance(head := (_steps(path) or [None])[0], str)}
    return [name for name in names if name in wanted or name in heads]


@cache
def _steps(path: str) -> list[str | int | None]:
    """Names, positions and, for each of a list, None."""
    return [name or (int(index) if index else None) for name, index in _STEP.findall(path)]


def _walk(value: Any, steps: list[str | int | None], path: str) -> Any:
    for key in steps:
        value = _step(value, key, path, None)
    return value


def _step(value: Any, key: str | int | None, path: str, columns: Mapping[str, Any] | None) -> Any:
    entries, inner = as_list(value), as_dict(value)
    if isinstance(key, str) and inner is not None and key in inner:
        return inner[key]
    if isinstance(key, int) and entries is not None and -len(entries) <= key < len(entries):
        return entries[key]
    if value is columns and columns is not None:
        raise missing(path, columns)
    raise RowError("wrong type", f"there is no `{path}` in this row; mend or remove the row")


def missing(path: str, columns: Mapping[str, Any]) -> RowError:
    """The fault of a row without a column."""
    there = ", ".join(f"`{name[:40]}`" for name in list(columns)[:20]) or "none"
    return RowError("missing column", f"there is no column `{path}`; rename one of those that are there ({there})")
