"""Reading preference data in whatever shape it comes, and writing it as one: prompt and answers as turns."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...tasks.item import Item, Turn
from ...tasks.reading.columns import Layout
from ...tasks.reading.guess import guess_layout
from ...tasks.reading.items import Reading, check_prompt, sample_of
from ...tasks.reading.notes import RowError
from ...tasks.reading.responses import prompt_turns
from ...tasks.reading.rows import Row, Wanted, open_rows
from ...tasks.reading.turns import messages

_TRAIN = "data/train-*"
"""The files of a data set's folder that are for training."""
_WEIGHT = "weight"
_SINGLE = ("prompt", "completion", "label")


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
    """Read a file, a hub dataset, or a folder (of a data set with data/train-*.parquet, that split alone).

    Rows are those that any task may have, with two responses of which one is preferred, or prompt, completion and a
    Boolean label. Rows that are no pair are left out and counted. `weights` names the column of the pairs' weights.

    Raises UserError for a source of which too many rows are no pairs, and for weights that cannot be.
    """
    folder = Path(source)
    rows_of = open_rows(source, _TRAIN if (folder / "data").is_dir() else "")
    sample = sample_of(rows_of)
    paired = not (sample and {"completion", "label"} <= sample[0].keys())
    if weights is not None and not paired:
        raise UserError("Weights belong to pairs, and these rows are single answers: leave --weights out.")
    if weights is not None and sample and all(weights not in columns for columns in sample):
        numbers = [name for name, value in sample[0].items() if type(value) in (int, float)]
        known = f"; its columns of numbers are {', '.join(numbers)}" if numbers else ", nor any other column of numbers"
        raise UserError(f"{source} has no column {weights!r} of weights{known}.")
    notes: list[str] = []
    if not paired:
        rows = [_single(row) for row in rows_of(_SINGLE)]
        return PreferenceRows(tuple(rows), False, _content_hash(rows), 1.0, ())
    rows = list(_pairs(source, rows_of, guess_layout(sample, {}), weights, notes))
    if weights is None and any(columns.get(_WEIGHT) not in (None, 1, 1.0) for columns in sample):
        notes.append("The column `weight` is not used; pass --weights weight to use it.")
    mean = float(np.mean([row[_WEIGHT] for row in rows]))
    if mean == 0:
        raise UserError(f"Every weight in the column {weights!r} is 0: nothing would be learned; name another column.")
    if normalise:
        for row in rows:
            row[_WEIGHT] /= mean
    return PreferenceRows(tuple(rows), True, _content_hash(rows), mean, tuple(notes))


def _pairs(
    source: str,
    rows_of: Callable[[Wanted], Iterator[Row]],
    layout: Layout,
    weights: str | None,
    notes: list[str],
) -> Iterator[dict[str, Any]]:
    """The pairs; what was left out is added to the notes."""
    labels = {} if weights is None else {_WEIGHT: weights}
    # Several pairs may have one id; the row's number tells a faulty one.
    reading = Reading(source, layout.model_copy(update={"id": (), "labels": labels}), rows_of)
    for item in reading:
        yield {**_pair(source, item), _WEIGHT: 1.0 if weights is None else _weight(source, item)}
    told = ", ".join(f"{reason} {count:,}" for reason, count in reading.notes.reasons.items())
    if told:
        notes.append(f"{len(reading.notes.left_out):,} rows of {reading.notes.rows:,} were left out: {told}.")


def _pair(source: str, item: Item) -> dict[str, Any]:
    if len(item.responses) != 2 or not item.grades:
        raise UserError(
            f"{source}, row {item.id}: {len(item.responses)} responses without a chosen and a rejected one; "
            "pass pairs, with the columns `prompt`, `chosen` and `rejected`."
        )
    best = int(item.grades[1] > item.grades[0])
    chosen, rejected = ([Turn(role="assistant", content=item.responses[place])] for place in (best, 1 - best))
    return {"prompt": list(item.prompt), "chosen": chosen, "rejected": rejected}


def _weight(source: str, item: Item) -> float:
    text = item.labels.get(_WEIGHT, "none")
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight) or weight < 0:
        raise UserError(
            f"{source}, row {item.id}: the weight {text} must be a number of 0 or more; mend or remove the row."
        )
    return weight


def _single(row: Row) -> dict[str, Any]:
    try:
        if row.fault is not None:
            raise row.fault
        return _labelled(row.columns)
    except RowError as fault:
        raise UserError(f"{row.where}: {fault}.") from fault


def _labelled(columns: Mapping[str, Any]) -> dict[str, Any]:
    prompt, completion, label = prompt_turns(columns, Layout(), ("prompt",)), columns["completion"], columns["label"]
    check_prompt(prompt)
    if isinstance(completion, str):
        completion = [Turn(role="assistant", content=completion)]
    answer = messages("completion", completion)
    if len(answer) != 1 or answer[0]["role"] != "assistant" or not answer[0]["content"].strip():
        raise RowError("wrong type", "`completion` must be one answer that is not empty; mend or remove the row")
    if not isinstance(label, bool):
        raise RowError("wrong type", "`label` must be true or false; mend or remove the row")
    return {"prompt": list(prompt), "completion": list(answer), "label": label}


def _content_hash(rows: Sequence[dict[str, Any]]) -> str:
    digest = sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
