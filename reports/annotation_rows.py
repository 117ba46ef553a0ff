"""The prompts and responses of an annotation, read from its Parquet tables as far as they are shown."""

# pyright: reportUnknownMemberType=false
# (pyarrow's stubs leave its methods half typed)

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ..errors import UserError
from .run_format.reading import Run

PROMPTS: Final = 100
"""Prompts that the page shows."""
DOTS: Final = 2_000
"""Prompts in the figure of lengths."""


@dataclass(frozen=True, slots=True)
class ReadResponse:
    """A response as the page shows it."""

    text: str
    reward: float | None
    grade: float | None
    length: float
    role: str
    note: str
    """What kept it from being chosen or rejected."""


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """A prompt with its responses, the highest reward first."""

    item: str
    domain: str
    turns: tuple[tuple[str, str], ...]
    responses: tuple[ReadResponse, ...]


def read_prompts(run: Run) -> tuple[tuple[ReadPrompt, ...], int]:
    """Prompts evenly spread over the annotation, and how many there are in all."""
    prompts = _table(run, "prompts")
    total = len(prompts)
    places = sorted({k * total // PROMPTS for k in range(PROMPTS)}) if total > PROMPTS else list(range(total))
    shown: list[Any] = prompts.iloc[places].to_dict("records")
    responses = _table(run, "responses", items=[row["item"] for row in shown])
    by_item = {str(name): rows for name, rows in responses.groupby("item", observed=True)}
    try:
        return tuple(_prompt(row, by_item[row["item"]]) for row in shown), total
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(run.path / "prompts.parquet", error) from error


def read_lengths(run: Run) -> pd.DataFrame:
    """Mean lengths of the chosen and the rejected of prompts with pairs: columns chosen, rejected."""
    rows = _table(run, "responses", columns=["item", "length", "role"])
    chosen, rejected = (
        rows[rows["role"].isin([side, "both"])].groupby("item", observed=True)["length"].mean()
        for side in ("chosen", "rejected")
    )
    both = pd.DataFrame({"chosen": chosen, "rejected": rejected}).dropna()
    return both.iloc[np.unique(np.arange(min(DOTS, len(both))) * len(both) // max(min(DOTS, len(both)), 1))]


def _table(run: Run, stem: str, items: list[str] | None = None, columns: list[str] | None = None) -> pd.DataFrame:
    path = run.path / f"{stem}.parquet"
    try:
        filters: Any = None if items is None else [("item", "in", items)]
        return pq.read_table(path, columns=columns, filters=filters).to_pandas()
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    why = str(error).partition("\n")[0]
    return UserError(
        f"{path} cannot be read ({why}): run the same `cdr-eval annotate` command again to rebuild it from the store."
    )


def _prompt(row: dict[str, Any], responses: pd.DataFrame) -> ReadPrompt:
    turns = tuple((str(turn["role"]), str(turn["content"])) for turn in json.loads(row["prompt"]))
    ordered = responses.sort_values("reward", ascending=False, kind="stable", na_position="last")
    found: list[Any] = ordered.to_dict("records")
    return ReadPrompt(row["item"], row["domain"], turns, tuple(map(_response, found)))


def _response(row: dict[str, Any]) -> ReadResponse:
    notes = [f"the text of response {row['same_as']}"] if row["same_as"] != row["response"] else []
    notes += ["cut at its length limit"] if row["finish"] == "length" else []
    reward, grade = (None if np.isnan(row[name]) else float(row[name]) for name in ("reward", "grade"))
    return ReadResponse(row["text"], reward, grade, float(row["length"]), row["role"], "; ".join(notes))
