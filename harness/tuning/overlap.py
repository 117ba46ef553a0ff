"""Which prompts an annotator has seen: those it was trained on it may not label."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ...tasks.item import prompt_hash
from ...tasks.items import Items

RECORD = "annotator.json"


def is_training_prompt(prompt: str, share: float) -> bool:
    """Whether a prompt, by its hash, falls into the share of prompts that an annotator is trained on."""
    return int(prompt[:8], 16) < share * 2**32


def read_record(folder: Path) -> dict[str, Any]:
    """annotator.json of a folder that `annotator train` wrote. Raises UserError."""
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} holds no {RECORD}: pass a folder that `cdr-eval annotator train` wrote.") from error


def seen(record: Mapping[str, Any], items: Items) -> NDArray[np.bool_]:
    """(n,) the items whose prompt the annotator was trained on."""
    known = set(record["training_prompts"])
    return np.array([prompt_hash(item.prompt) in known for item in items], dtype=np.bool_)


def check_overlap(record: Mapping[str, Any], items: Items, *, allow: bool) -> list[str]:
    """A note where the annotator has seen prompts of the items; UserError unless that is allowed."""
    count = int(seen(record, items).sum())
    if not count:
        return []
    told = f"{count:,} of {len(items):,} prompts are among those that the annotator was trained on"
    if not allow:
        raise UserError(
            f"{told}, and its rewards there say nothing about others: leave them out, or pass --allow-overlap."
        )
    return [f"{told} (--allow-overlap)."]
