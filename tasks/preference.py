"""Preference items, and making them from the rows of a file or a hub dataset."""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import UserError
from .item import MAX_TEXT_CHARS, Item, Turn
from .rows import Row, read_rows

DEFAULT_SUBSET = "all"


class _Message(BaseModel):
    model_config = ConfigDict(strict=True)
    role: Literal["system", "user", "assistant"]
    content: str


_Messages = Annotated[list[_Message], Field(fail_fast=True)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class _Columns(BaseModel):
    """The columns that matter, in any of the hub's common shapes; others are ignored."""

    model_config = ConfigDict(strict=True)
    prompt: str | _Messages | None = None
    chosen: str | _Messages
    rejected: str | _Messages
    subset: _Name | None = None
    id: _Integer | _Name | None = None
    problem: _Integer | str | None = None


_EXPECTED = {
    "prompt": "text or a list of {role, content} turns",
    "chosen": "text or a list of {role, content} turns",
    "rejected": "text or a list of {role, content} turns",
    "subset": "a text of 1 to 200 characters",
    "id": "a whole number or a text of 1 to 200 characters",
    "problem": "a whole number or a text",
}


class _RowError(Exception):
    """What is wrong with one row: `kind` for counting, and a sentence without the row's place."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def load_preferences(source: str) -> tuple[Item, ...]:
    """Read preference items from a .jsonl, .json or .parquet file or a hub dataset (`org/name[:split][@revision]`).

    Row shapes: prompt (text or chat turns) with chosen and rejected as text; the same with chosen and rejected as
    message lists; or chosen and rejected as whole conversations that share their prompt. Optional columns: subset
    (default "all"), id (default the row number; a whole number counts within its subset) and problem. Other columns
    are ignored.

    Raises UserError for the first row that is not of such a shape, with the number of rows that share its fault.
    """
    items: list[Item] = []
    places: dict[str, str] = {}
    first: tuple[str, _RowError] | None = None
    counts: Counter[str] = Counter()
    for row in read_rows(source, tuple(_Columns.model_fields)):
        try:
            item = _item(row)
            if item.id in places:
                raise _RowError("duplicate", f"the id {item.id!r} is also that of {places[item.id]}; make ids unique")
        except _RowError as fault:
            first = first or (row.where, fault)
            counts[fault.kind] += 1
            continue
        places[item.id] = row.where
        items.append(item)
    if first is not None:
        where, fault = first
        count = counts[fault.kind]
        raise UserError(f"{where}: {fault}{f' ({count} rows have this fault)' if count > 1 else ''}.")
    if not items:
        raise UserError(f"{source} holds no rows: give a file with at least one preference item.")
    return tuple(items)


def _item(row: Row) -> Item:
    columns = _validated(row.columns)
    prompt, chosen, rejected = _texts(columns)
    if prompt[-1]["role"] != "user" or not prompt[-1]["content"].strip():
        raise _RowError(
            "prompt", "the prompt must end with a turn of the user that is not empty; mend or remove the row"
        )
    for name, text in (("chosen", chosen), ("rejected", rejected)):
        if not text.strip():
            raise _RowError("empty", f"the response in `{name}` is empty; fill it in or remove the row")
        _check_length(name, len(text))
    _check_length("prompt", sum(len(turn["content"]) for turn in prompt))
    if chosen == rejected:
        raise _RowError("equal", "`chosen` and `rejected` are equal; remove the row")
    number = columns.id
    if isinstance(number, int) and columns.subset is not None:
        name = f"{columns.subset}-{number}"
    else:
        name = str(row.number if number is None else number)
    problem = None if columns.problem is None else str(columns.problem)
    return Item.preference(name, columns.subset or DEFAULT_SUBSET, prompt, chosen, rejected, problem)


def _validated(columns: dict[str, Any]) -> _Columns:
    required = ["chosen", "rejected"]
    if not isinstance(columns.get("chosen"), list):
        required.insert(0, "prompt")
    missing = [name for name in required if name not in columns]
    if missing:
        there = ", ".join(f"`{name[:40]}`" for name in list(columns)[:20]) or "none"
        raise _RowError("column", f"there is no column `{missing[0]}`; rename one of those that are there ({there})")
    try:
        return _Columns.model_validate(columns)
    except ValidationError as error:
        details = error.errors(include_url=False)
    for detail in details:
        if detail["type"] == "literal_error":
            role = str(detail["input"])[:40]
            raise _RowError(
                "role", f"`{detail['loc'][0]}` has the unknown role {role!r}; use system, user or assistant"
            )
    name = str(details[0]["loc"][0])
    raise _RowError("type", f"`{name}` must be {_EXPECTED[name]}; mend or remove the row")


def _texts(columns: _Columns) -> tuple[tuple[Turn, ...], str, str]:
    """The prompt's turns and the two responses, whichever shape the row has."""
    chosen, rejected = columns.chosen, columns.rejected
    prompt = [_Message(role="user", content=columns.prompt)] if isinstance(columns.prompt, str) else columns.prompt
    if isinstance(chosen, str) and isinstance(rejected, str) and prompt:
        return _turns(prompt), chosen, rejected
    if isinstance(chosen, str) or isinstance(rejected, str):
        raise _RowError("shape", "`chosen` and `rejected` must both be text with a `prompt`, or both be message lists")
    for name, messages in (("chosen", chosen), ("rejected", rejected)):
        if not messages or messages[-1].role != "assistant":
            raise _RowError("shape", f"the last turn of `{name}` must be the assistant's; mend or remove the row")
    before = chosen[:-1]
    if before != rejected[:-1]:
        raise _RowError("prompts", "`chosen` and `rejected` answer different prompts; only their last turn may differ")
    if not before and not prompt:
        raise _RowError("prompt", "there is no prompt; put it before the responses or into a column `prompt`")
    if before and prompt and not _agree(columns.prompt, prompt, before):
        raise _RowError(
            "prompts", "the column `prompt` is not the prompt inside `chosen` and `rejected`; remove one of the two"
        )
    return _turns(before or prompt or []), chosen[-1].content, rejected[-1].content


def _agree(column: str | list[_Message] | None, prompt: list[_Message], before: list[_Message]) -> bool:
    """Whether the prompt column is the conversation before the responses, or the text of one of its user turns."""
    if isinstance(column, str):
        return any(turn.role == "user" and turn.content.strip() == column.strip() for turn in before)
    return prompt == before


def _turns(messages: list[_Message]) -> tuple[Turn, ...]:
    return tuple(Turn(role=message.role, content=message.content) for message in messages)


def _check_length(name: str, length: int) -> None:
    if length > MAX_TEXT_CHARS:
        raise _RowError("length", f"`{name}` has {length:,} characters, over {MAX_TEXT_CHARS:,}; shorten or remove it")
