"""Reading the prompts that responses are sampled for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ...errors import UserError
from ...tasks.preference import MAX_TEXT_CHARS, Turn
from ...tasks.rows import Row, read_rows


@dataclass(frozen=True, slots=True)
class SamplingPrompt:
    """A conversation that a response is wanted for."""

    id: str
    """Unique in its file; the random streams of its samples depend on it."""
    turns: tuple[Turn, ...]
    """The last one is the user's."""
    subset: str | None = None
    problem: str | None = None


class _Message(BaseModel):
    model_config = ConfigDict(strict=True)
    role: Literal["system", "user", "assistant"]
    content: str


class _Columns(BaseModel):
    """The columns that matter; others are ignored."""

    model_config = ConfigDict(strict=True)
    prompt: str | list[_Message] | None = None
    messages: list[_Message] | None = None
    instruction: str | None = None
    id: int | str | None = None
    subset: str | None = None
    problem: int | str | None = None


def read_prompts(source: str, limit: int | None = None) -> tuple[tuple[SamplingPrompt, ...], list[str]]:
    """Prompts of a .jsonl, .json or .parquet file or of a hub dataset, and notes on what was left out of rows.

    A row has its prompt in `prompt` (text or turns), `messages` (an answer at their end is left out) or `instruction`;
    optional columns: id (default the row number), subset, problem. `limit` takes so many, spread evenly.

    Raises UserError for the first row that is not of such a shape.
    """
    prompts: dict[str, SamplingPrompt] = {}
    answers = 0
    for row in read_rows(source, tuple(_Columns.model_fields)):
        columns = _validated(row)
        turns = _turns(row, columns)
        if turns[-1]["role"] == "assistant" and columns.prompt is None:
            turns, answers = turns[:-1], answers + 1
        _check(row, turns)
        name = str(row.number if columns.id is None else columns.id)
        if columns.subset is not None and isinstance(columns.id, int):
            name = f"{columns.subset}-{name}"
        if name in prompts:
            raise UserError(f"{row.where}: the id {name!r} stands twice; make ids unique.")
        problem = None if columns.problem is None else str(columns.problem)
        prompts[name] = SamplingPrompt(name, turns, columns.subset, problem)
    if not prompts:
        raise UserError(f"{source} holds no rows: give a file with at least one prompt.")
    notes = [f"The answer at the end of `messages` was left out in {answers:,} rows."] if answers else []
    chosen = list(prompts.values())
    if limit is not None and limit < len(chosen):
        chosen = [chosen[place] for place in _spread(len(chosen), limit)]
    return tuple(chosen), notes


def _spread(count: int, wanted: int) -> list[int]:
    """So many places of `count`, evenly."""
    return [place * count // wanted for place in range(wanted)]


def prompts_hash(prompts: Sequence[SamplingPrompt]) -> str:
    """SHA-256 of ids and turns; their order matters."""
    digest = sha256()
    for prompt in prompts:
        digest.update(json.dumps([prompt.id, prompt.turns]).encode() + b"\n")
    return digest.hexdigest()


def _validated(row: Row) -> _Columns:
    names = ("prompt", "messages", "instruction")
    if all(row.columns.get(name) is None for name in names):
        there = ", ".join(f"`{name[:40]}`" for name in list(row.columns)[:20]) or "none"
        raise UserError(
            f"{row.where}: there is no column `prompt`, `messages` or `instruction`; "
            f"rename one of those that are there ({there})."
        )
    try:
        return _Columns.model_validate(row.columns)
    except ValidationError as error:
        name = str(error.errors(include_url=False)[0]["loc"][0])
    shape = "a text" if name in {"instruction", "subset", "id", "problem"} else "turns {role, content}"
    hint = " or a text" if name == "prompt" else ""
    raise UserError(
        f"{row.where}: `{name}` must be {shape}{hint}, with the roles system, user and assistant; "
        "mend or remove the row."
    )


def _turns(row: Row, columns: _Columns) -> tuple[Turn, ...]:
    given: Any = columns.prompt if columns.prompt is not None else columns.messages
    if given is None:
        given = columns.instruction
    if isinstance(given, str):
        return (Turn(role="user", content=given),)
    if not given:
        raise UserError(f"{row.where}: the list of turns is empty; fill it in or remove the row.")
    return tuple(Turn(role=message.role, content=message.content) for message in given)


def _check(row: Row, turns: Sequence[Turn]) -> None:
    if not turns or turns[-1]["role"] != "user" or not turns[-1]["content"].strip():
        raise UserError(
            f"{row.where}: the prompt must end with a turn of the user that is not empty; mend or remove the row."
        )
    if sum(len(turn["content"]) for turn in turns) > MAX_TEXT_CHARS:
        raise UserError(f"{row.where}: the prompt is longer than {MAX_TEXT_CHARS:,} characters; remove the row.")
