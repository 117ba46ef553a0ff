"""Reading preference data in the shapes that trainers read, and writing them as one: prompt and answers as turns."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from ...errors import UserError
from ...tasks.preference import Turn
from ...tasks.rows import Row, read_rows

_COLUMNS = ("prompt", "chosen", "rejected", "completion", "label")
_ROLES = {"system", "user", "assistant"}


@dataclass(frozen=True, slots=True)
class PreferenceRows:
    """Rows of a preference data set."""

    rows: tuple[dict[str, Any], ...]
    """{"prompt", "chosen", "rejected", "weight"} of pairs, {"prompt", "completion", "label"} of single answers."""
    paired: bool
    content_hash: str
    """SHA-256 of the rows, weights included."""
    mean_weight: float
    notes: tuple[str, ...]


def read_preferences(source: str, weights: str | None = None, *, normalise: bool = False) -> PreferenceRows:
    """Read a file, a hub dataset, or the folder of one (its `data/train-*.parquet`).

    Shapes: prompt (text or turns) with chosen and rejected as text, as message lists or as whole conversations; these
    conversations alone; or prompt, completion and a Boolean label. `weights` names the column of the pairs' weights.

    Raises UserError for the first row that is not of such a shape, and for weights that cannot be.
    """
    rows: list[dict[str, Any]] = []
    unused = False
    for row in _source_rows(source, (*_COLUMNS, "weight", *([weights] if weights else []))):
        pair = _row(row)
        if "chosen" in pair:
            pair["weight"] = _weight(row, weights)
        unused = unused or (weights is None and row.columns.get("weight") not in (None, 1, 1.0))
        rows.append(pair)
    if not rows:
        raise UserError(f"{source} holds no rows: give a data set with at least one pair.")
    paired = "chosen" in rows[0]
    if any(("chosen" in row) != paired for row in rows):
        raise UserError(f"{source} mixes pairs with single answers: split it into two files.")
    if weights is not None and not paired:
        raise UserError("Weights belong to pairs, and these rows are single answers: leave --weights out.")
    mean = sum(row["weight"] for row in rows) / len(rows) if paired else 1.0
    if mean == 0:
        raise UserError(f"Every weight in the column {weights!r} is 0: nothing would be learned; name another column.")
    if normalise and paired:
        for row in rows:
            row["weight"] /= mean
    notes = ["The column `weight` is not used; pass --weights weight to use it."] if unused else []
    return PreferenceRows(tuple(rows), paired, _content_hash(rows), mean, tuple(notes))


def prompt_hash(turns: Sequence[Turn]) -> str:
    """SHA-256 of a prompt's turns: what tells one prompt from another across data sets."""
    return sha256(json.dumps([[turn["role"], turn["content"]] for turn in turns]).encode()).hexdigest()


def _source_rows(source: str, columns: Sequence[str]) -> Iterator[Row]:
    folder = Path(source)
    if not folder.is_dir():
        yield from read_rows(source, columns)
        return
    files = sorted(folder.glob("data/train-*.parquet"))
    if not files:
        raise UserError(f"{folder} holds no data/train-*.parquet: pass a folder that `annotate` wrote, or a file.")
    for file in files:
        yield from read_rows(str(file), columns)


def _row(row: Row) -> dict[str, Any]:
    columns = row.columns
    if "completion" in columns and "label" in columns:
        prompt = _turns(row, "prompt", columns.get("prompt"), "user")
        if not isinstance(columns["label"], bool):
            raise UserError(f"{row.where}: `label` must be true or false; mend or remove the row.")
        answer = _turns(row, "completion", columns["completion"], "assistant")
        return {"prompt": _asked(row, prompt), "completion": answer, "label": columns["label"]}
    for name in ("chosen", "rejected"):
        if columns.get(name) is None:
            there = ", ".join(f"`{column[:40]}`" for column in list(columns)[:20]) or "none"
            raise UserError(f"{row.where}: there is no column `{name}`; rename one of those that are there ({there}).")
    chosen = _turns(row, "chosen", columns["chosen"], "assistant")
    rejected = _turns(row, "rejected", columns["rejected"], "assistant")
    before = chosen[:-1]
    if before != rejected[:-1]:
        raise UserError(f"{row.where}: `chosen` and `rejected` answer different prompts; remove the row.")
    prompt = before or _turns(row, "prompt", columns.get("prompt"), "user")
    for name, messages in (("chosen", chosen), ("rejected", rejected)):
        if not messages or messages[-1]["role"] != "assistant" or not messages[-1]["content"].strip():
            raise UserError(f"{row.where}: `{name}` must end with an answer of the assistant; mend or remove the row.")
    if chosen[-1]["content"] == rejected[-1]["content"]:
        raise UserError(f"{row.where}: `chosen` and `rejected` are equal; remove the row.")
    return {"prompt": _asked(row, prompt), "chosen": chosen[-1:], "rejected": rejected[-1:]}


def _turns(row: Row, name: str, value: object, role: str) -> list[Turn]:
    """A text as one turn of the role, or a list of turns as it is."""
    if isinstance(value, str):
        return [Turn(role=role, content=value)]
    turns: list[Turn] = []
    for message in cast(list[Any], value) if isinstance(value, list) else [None]:
        fields = cast(dict[str, Any], message) if isinstance(message, dict) else {}
        if fields.get("role") not in _ROLES or not isinstance(fields.get("content"), str):
            raise UserError(
                f"{row.where}: `{name}` must be a text or turns {{role, content}} with the roles system, user and "
                "assistant; mend or remove the row."
            )
        turns.append(Turn(role=fields["role"], content=fields["content"]))
    return turns


def _asked(row: Row, prompt: list[Turn]) -> list[Turn]:
    if not prompt or prompt[-1]["role"] != "user" or not prompt[-1]["content"].strip():
        raise UserError(
            f"{row.where}: the prompt must end with a turn of the user that is not empty; mend or remove the row."
        )
    return prompt


def _weight(row: Row, column: str | None) -> float:
    if column is None:
        return 1.0
    if column not in row.columns:
        numbers = [name for name, value in row.columns.items() if isinstance(value, int | float)]
        raise UserError(
            f"{row.where}: there is no column {column!r} of weights; "
            f"columns with numbers are {', '.join(numbers) or 'none'}."
        )
    value = row.columns[column]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UserError(f"{row.where}: the weight {value!r} must be a number of 0 or more; mend or remove the row.")
    return float(value)


def _content_hash(rows: Sequence[dict[str, Any]]) -> str:
    digest = sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
