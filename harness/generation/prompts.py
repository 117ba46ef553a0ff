"""Reading the prompts that responses are sampled for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ...errors import UserError
from ...tasks.item import Turn
from ...tasks.reading.columns import Layout
from ...tasks.reading.items import check_prompt, names_of
from ...tasks.reading.notes import RowError
from ...tasks.reading.rows import Row, open_rows
from ...tasks.reading.turns import messages, turns_of

_PROMPTS = ("prompt", "messages", "instruction")
_LAYOUT = Layout()


@dataclass(frozen=True, slots=True)
class SamplingPrompt:
    """A conversation that a response is wanted for."""

    id: str
    """Unique in its file; the random streams of its samples depend on it."""
    turns: tuple[Turn, ...]
    """The last one is the user's."""
    subset: str | None = None
    problem: str | None = None


def read_prompts(source: str, limit: int | None = None) -> tuple[tuple[SamplingPrompt, ...], list[str]]:
    """Prompts of a file, a folder or a hub dataset, and notes on what was left out of rows.

    A row has its prompt in `prompt` (text or turns), `messages` (an answer at their end is left out) or `instruction`;
    optional columns: id (default the row number), subset, problem. `limit` takes so many, spread evenly.

    Raises UserError for the first row that is not of such a shape.
    """
    prompts: dict[str, SamplingPrompt] = {}
    answers = 0
    for row in open_rows(source)({*_PROMPTS, *_LAYOUT.columns}):
        try:
            prompt, answered = _prompt(row)
        except RowError as fault:
            raise UserError(f"{row.where}: {fault}.") from fault
        if prompt.id in prompts:
            raise UserError(f"{row.where}: the id {prompt.id!r} stands twice; make ids unique.")
        prompts[prompt.id] = prompt
        answers += answered
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


def _prompt(row: Row) -> tuple[SamplingPrompt, bool]:
    """The prompt of a row, and whether an answer behind it was left out."""
    if row.fault is not None:
        raise row.fault
    turns, answered = _turns(row.columns)
    check_prompt(turns)
    name, subset, problem = names_of(row, _LAYOUT)
    return SamplingPrompt(name, turns, subset, problem), answered


def _turns(columns: Mapping[str, Any]) -> tuple[tuple[Turn, ...], bool]:
    name = next((name for name in _PROMPTS if columns.get(name) is not None), None)
    if name is None:
        there = ", ".join(f"`{column[:40]}`" for column in list(columns)[:20]) or "none"
        raise RowError(
            "missing column",
            f"there is no column `prompt`, `messages` or `instruction`; rename one of those that are there ({there})",
        )
    if name != "messages":
        return turns_of(name, columns[name], "text"), False
    turns = messages(name, columns[name])
    answered = bool(turns) and turns[-1]["role"] == "assistant"
    return turns[:-1] if answered else turns, answered
