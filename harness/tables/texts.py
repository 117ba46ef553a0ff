"""The texts of a run's items as tables, chunk by chunk."""

import json
from collections.abc import Callable, Iterator

import pandas as pd

from ...reports.run_format.frames import make_frame
from ...tasks.item import Item, prompt_hash
from ...tasks.items import Items

Frames = Callable[[], Iterator[pd.DataFrame]]


def prompts_stream(items: Items) -> Frames:
    """Every item's prompt."""
    return lambda: (make_frame("prompts", [_prompt(item) for item in chunk]) for chunk in _chunks(items))


def texts_stream(items: Items) -> Frames:
    """Every response with its grade."""
    return lambda: (make_frame("texts", [row for item in chunk for row in _texts(item)]) for chunk in _chunks(items))


def _chunks(items: Items) -> Iterator[tuple[Item, ...]]:
    return (items.chunk(number) for number in range(len(items.chunks)))


def _prompt(item: Item) -> list[object]:
    return [item.id, prompt_hash(item.prompt), item.subset, "", json.dumps(item.prompt, ensure_ascii=False)]


def _texts(item: Item) -> Iterator[list[object]]:
    grades = item.grades or (float("nan"),) * len(item.responses)
    for number, (text, grade) in enumerate(zip(item.responses, grades, strict=True)):
        yield [item.id, number, text, grade]
