"""Rows that hold N responses with what is known of them: grades, ranks, the best, a winner, a preference, nothing."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from pydantic_core import from_json

from .columns import Grades, Layout, Paths, Winner, maybe, value_at
from .notes import TIE, RowError, as_dict, as_list
from .turns import Turns, turns_of

FIRST = frozenset(
    {"a", "a>b", "a>>b", "model_a", "response_a", "response_1", "response1", "output_1", "first", "[[a]]"}
)
SECOND = frozenset(
    {"b", "b>a", "b>>a", "model_b", "response_b", "response_2", "response2", "output_2", "second", "[[b]]"}
)
DRAWN = frozenset({"tie", "same", "equal", "draw"})
EVEN = DRAWN | {"tie (bothbad)", "both_bad", "a=b", "b=a", "c", "[[c]]"}
"""The labels of the winner of two that need no explanation, in small letters; of more there are letters and DRAWN."""


@dataclass(frozen=True, slots=True)
class Answers:
    """A prompt, its responses and what is known about them; `places` name the responses in sentences."""

    prompt: Turns
    responses: tuple[str, ...]
    places: tuple[str, ...]
    grades: tuple[float, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    styles: tuple[int, ...] = ()
    finish: tuple[str, ...] = ()


def graded_answers(columns: Mapping[str, Any], layout: Layout) -> Answers:
    """The prompt and the responses in the row's order, with a grade each where the row says one."""
    responses, places = _responses(columns, layout)
    prompt = prompt_turns(columns, layout, layout.prompt or ("prompt",))
    grades = _grades(columns, layout, len(responses))
    pairs = _pairs(value_at(columns, layout.pairs), layout.pairs, len(responses)) if layout.pairs else ()
    return Answers(prompt, responses, places, grades, pairs, finish=_finish(columns, layout, len(responses)))


def prompt_turns(columns: Mapping[str, Any], layout: Layout, paths: Paths) -> Turns:
    """The prompt's turns; texts of several columns are joined by an empty line, empty ones left away."""
    if len(paths) == 1:
        turns = turns_of(paths[0], value_at(columns, paths[0]), layout.turns)
    else:
        texts = [value_at(columns, path) for path in paths]
        kept = [text for text in texts if text is not None and text != ""]
        if not all(isinstance(text, str) for text in kept):
            raise RowError("wrong type", f"`{'`, `'.join(paths)}` must be text; mend or remove the row")
        turns = turns_of(paths[0], "\n\n".join(kept), layout.turns)
    answered = layout.turns == "human-assistant" and turns and turns[-1]["role"] == "assistant"
    return turns[:-1] if answered and not turns[-1]["content"] else turns


def _responses(columns: Mapping[str, Any], layout: Layout) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if len(layout.responses) > 1:
        for path in layout.responses[:2]:
            value_at(columns, path)
        found = [
            (f"`{path}`", columns.get(path) if path in columns else value_at(columns, path))
            for path in layout.responses
        ]
    else:
        path = next(iter(layout.responses))
        values = _list(path, value_at(columns, path))
        found = [(f"`{path}`, number {number},", value) for number, value in enumerate(values, start=1)]
    return tuple(_text(place, value, layout.steps) for place, value in found), tuple(place for place, _ in found)


def _text(place: str, value: Any, steps: bool) -> str:
    """A response: text, a list of steps, or a conversation whose last turn it is."""
    if isinstance(value, str):
        return value
    entries = as_list(value) or []
    if steps and entries and all(isinstance(step, str) for step in entries):
        return "\n".join(entries)
    last = as_dict(entries[-1]) if entries else None
    if last is not None and isinstance(text := last.get("content"), str):
        return text
    raise RowError("wrong type", f"the response in {place} must be text; mend or remove the row")


def _finish(columns: Mapping[str, Any], layout: Layout, n: int) -> tuple[str, ...]:
    reasons = as_list(maybe(columns, layout.finish)) if layout.finish else None
    if reasons is None:
        return ()
    if len(reasons) != n:
        raise RowError(
            "wrong type", f"`{layout.finish}` has {len(reasons)} entries for {n} responses; mend or remove the row"
        )
    return tuple("" if reason is None else str(reason) for reason in reasons)


def _grades(columns: Mapping[str, Any], layout: Layout, n: int) -> tuple[float, ...]:
    if layout.grades is not None:
        return _graded(columns, layout.grades, n)
    if layout.ranks is not None:
        return tuple(-rank for rank in _numbers(layout.ranks, value_at(columns, layout.ranks), n))
    if layout.best is not None:
        return _one_best(layout.best, value_at(columns, layout.best), n)
    if layout.winner is not None:
        return _won(columns, layout.winner, n)
    if layout.preference is not None:
        sign = _number(layout.preference, value_at(columns, layout.preference))
        if math.isnan(sign) or sign == 0:
            raise RowError(TIE, f"`{layout.preference}` prefers neither response; nothing to mend")
        return _one_best(layout.preference, int(sign > 0), n)
    return ()


def _graded(columns: Mapping[str, Any], grades: Grades, n: int) -> tuple[float, ...]:
    name = "`, `".join(grades.column)
    values = [value_at(columns, path) for path in grades.column]
    listed = _list(name, values[0]) if len(grades.column) == 1 else values
    if grades.values:
        labels = [str(value) for value in listed]
        for label in labels:
            if label not in grades.values:
                raise RowError("no number", f"`{name}` has the unknown label {label[:40]!r}; mend or remove the row")
        listed = [grades.values[label] for label in labels]
    return _numbers(name, listed, n)


def _numbers(name: str, value: Any, n: int) -> tuple[float, ...]:
    listed = _list(name, value)
    if len(listed) != n:
        raise RowError("wrong type", f"`{name}` has {len(listed)} entries for {n} responses; mend or remove the row")
    return tuple(_number(name, entry) for entry in listed)


def _number(name: str, value: Any) -> float:
    """A finite number; NaN for null, which says that nothing is known."""
    if value is None:
        return math.nan
    try:
        number = float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise RowError("no number", f"`{name}` holds {str(value)[:40]!r}, which is no number; mend or remove the row")
    return number


def _one_best(name: str, value: Any, n: int) -> tuple[float, ...]:
    number = _number(name, value)
    if number not in range(n):
        raise RowError(
            "wrong type", f"`{name}` must be the place of the best response, 0 to {n - 1}; mend or remove the row"
        )
    return tuple(float(index == number) for index in range(n))


def _won(columns: Mapping[str, Any], winner: Winner, n: int) -> tuple[float, ...]:
    """Grade 1 for the winner of most votes, 0 for the others; a draw of votes is a tie."""
    name = "`, `".join(winner.column)
    votes: list[Any] = []
    for path in winner.column:
        value = value_at(columns, path)
        votes.extend([value] if (several := as_list(value)) is None else several)
    counts = Counter(_vote(name, vote, winner, n) for vote in votes).most_common(2)
    best = counts[0][0] if counts and (len(counts) == 1 or counts[0][1] > counts[1][1]) else "tie"
    if best == "tie":
        raise RowError(TIE, f"`{name}` prefers no response; nothing to mend")
    return _one_best(name, best, n)


def _vote(name: str, vote: Any, winner: Winner, n: int) -> int | str:
    """The place of the response that a vote is for, or "tie"."""
    label = str(vote)
    small = label.strip().lower()
    if winner.values:
        if label in winner.values:
            return winner.values[label]
    elif small in (EVEN if n == 2 else DRAWN):
        return "tie"
    elif n == 2 and small in FIRST | SECOND:
        return int(small in SECOND)
    elif n > 2 and small in ascii_lowercase[:n] and len(small) == 1:
        return ascii_lowercase.index(small)
    raise RowError("unknown label", f"`{name}` has the unknown label {label[:40]!r}; mend or remove the row")


def _pairs(value: Any, name: str | None, n: int) -> tuple[tuple[int, int], ...]:
    """The comparisons without those that stand twice."""
    pairs: dict[tuple[int, int], None] = {}
    for entry in _list(name or "", value):
        pair = as_list(entry) or []
        if len(pair) != 2 or not all(type(i) is int and 0 <= i < n for i in pair):
            raise RowError("wrong type", f"`{name}` must be a list of [i, j] below {n}; mend or remove the row")
        pairs[min(pair), max(pair)] = None
    return tuple(pairs)


def _list(name: str, value: Any) -> Sequence[Any]:
    """A list, or the JSON text of one, as CSV files hold it."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = from_json(value)
        except ValueError:
            value = None
    if (entries := as_list(value)) is None:
        raise RowError("wrong type", f"`{name}` must be a list; mend or remove the row")
    return entries
