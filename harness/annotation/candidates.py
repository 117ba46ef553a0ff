"""The prompts that are annotated, and what is known of their responses before any of them has a reward."""

from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...errors import UserError
from ...tasks.item import Item, prompt_hash
from ...tasks.items import Items
from ...tasks.reading.columns import Grades, Layout, maybe
from ...tasks.reading.guess import guess_layout, parse_named
from ...tasks.reading.items import Reading, sample_of
from ...tasks.reading.rows import Row, Wanted, open_rows, source_name
from ...tasks.task import PAIRWISE, Task, limited
from ..options import Asking
from ..statistics.arrays import Codes, Floats, Mask

CUT = "length"
"""The finish reason of a response that its length limit cut."""
SEEN = "the annotator was trained on it"
Judge = Callable[[Item], tuple[float, ...]]
"""Gives every response of an item a grade."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """n prompts with R responses, flat in the order of the prompts, none of them empty."""

    task: Task
    """Its items' grades are the labels, where there are any."""
    rewards: Floats | None
    """(R,) where a column of the source holds them."""
    numbers: Codes
    """(R,) which of its row's responses each is, from 0."""
    first: Codes
    """(R,) the place of the response that stands for all of the same text and prompt."""
    cut: Mask
    """(R,) whether the length limit cut it, and every other of the same text."""
    prompt_ids: tuple[str, ...]
    """(n,) SHA-256 of the prompt."""
    labels: str
    """Where the grades come from."""
    rows: int
    """Responses of the source, empty ones and those of dropped prompts among them."""
    empty: int
    """Empty responses, which are left out."""
    dropped: tuple[tuple[str, str], ...] = field(default=())
    """(prompt, reason) of what became no item."""

    @property
    def items(self) -> Items:
        """The prompts."""
        return self.task.items

    @property
    def distinct(self) -> Mask:
        """(R,) the responses that stand for their text."""
        return self.first == np.arange(len(self.first))


def read_candidates(
    source: str,
    asking: Asking,
    *,
    scores: str | None = None,
    judge: Judge | None = None,
    seen: Collection[str] = (),
) -> Candidates:
    """Read prompts with N responses each from a file, a folder or the hub.

    Args:
        asking: `columns`, `strict`, `limit` and `seed` of it are used.
        scores: the column of the responses' rewards, where they are known; labels are then the judge's alone.
        judge: grades the responses instead of the source's own labels.
        seen: hashes of the prompts that an annotator was trained on and so may not label.

    Raises UserError for a source without responses, or without two different ones for any prompt.
    """
    rows = open_rows(source)
    reading = Reading(source, _layout(source, rows, asking, scores), rows, strict=asking.strict, unlabelled=True)
    whole = Task(source_name(source), source, Items(reading), (), Path(), PAIRWISE)
    task = limited(whole, asking.limit, asking.seed)
    found = _Gathered(scores is not None, judge, frozenset(seen))
    items = Items(found.kept(task.items))
    task = replace(task, items=items, reading=replace(reading.notes, duplicates=0))
    left_out = [(f"{Path(row.file).name}:{row.line}", row.reason) for row in reading.notes.left_out]
    first = np.array(found.first, dtype=np.intp)
    cut = np.array(found.cut, dtype=bool)
    if not len(items) and any(reason == SEEN for _, reason in found.dropped):
        raise UserError(
            f"The annotator was trained on every prompt of {source}: pass others, or --allow-overlap to insist."
        )
    _check_distinct(source, items, first)
    return Candidates(
        task,
        np.array(found.rewards) if scores is not None else None,
        np.array(found.numbers, dtype=np.intp),
        first,
        cut,
        tuple(found.prompt_ids),
        "the judge of the minilab's world" if judge else f"the grades of {source}",
        found.responses,
        found.empty,
        (*left_out, *found.dropped),
    )


def _layout(source: str, rows: Callable[[Wanted], Iterator[Row]], asking: Asking, scores: str | None) -> Layout:
    """The columns of the source; UserError where none holds responses or the rewards asked for."""
    sample = sample_of(rows)
    layout = guess_layout(sample, parse_named(asking.columns))
    columns = list(sample[0]) if sample else list[str]()
    there = ", ".join(f"`{name[:40]}`" for name in columns[:20]) or "none"
    if not layout.responses and not {"chosen", "rejected"} & set(columns):
        raise UserError(
            f"{source} has no column of responses: rename the one that holds them to `responses` (there are {there})."
        )
    if scores is None:
        return layout
    inside = layout.responses[0].partition("[].")[0] + "[]." if layout.responses else ""
    path = next((p for p in (scores, inside + scores) if sample and maybe(sample[0], p) is not None), None)
    if path is None:
        raise UserError(f"{source} has no column {scores!r} of scores: name one of {there}.")
    unknown = {"ranks": None, "best": None, "winner": None, "preference": None, "pairs": None}
    return layout.model_copy(update={**unknown, "grades": Grades(column=(path,))})


@dataclass(slots=True)
class _Gathered:
    """What is noted of each item while it goes by."""

    rewarded: bool
    judge: Judge | None
    seen: frozenset[str]
    rewards: "array[float]" = field(default_factory=lambda: array("d"))
    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    first: "array[int]" = field(default_factory=lambda: array("q"))
    cut: "array[int]" = field(default_factory=lambda: array("b"))
    prompt_ids: list[str] = field(default_factory=list[str])
    dropped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    responses: int = 0
    empty: int = 0

    def kept(self, items: Sequence[Item]) -> Iterator[Item]:
        """The items with two responses that are not empty, without the empty ones."""
        for item in items:
            full = [place for place, text in enumerate(item.responses) if text.strip()]
            self.responses += len(item.responses)
            self.empty += len(item.responses) - len(full)
            if len(full) < 2:
                self.dropped.append((item.id, "fewer than two responses that are not empty"))
                continue
            if prompt_hash(item.prompt) in self.seen:
                self.dropped.append((item.id, SEEN))
                continue
            yield self._noted(item, full)

    def _noted(self, item: Item, full: list[int]) -> Item:
        texts = [item.responses[place] for place in full]
        ended = [item.finish[place] if item.finish else "" for place in full]
        whole = {text for text, reason in zip(texts, ended, strict=True) if reason != CUT}
        start = len(self.numbers)
        of_text: dict[str, int] = {}
        for place, (text, reason) in enumerate(zip(texts, ended, strict=True)):
            if reason != CUT or text not in whole:
                of_text.setdefault(text, start + place)
        self.numbers.extend(full)
        self.first.extend(of_text[text] for text in texts)
        self.cut.extend(text not in whole for text in texts)
        self.prompt_ids.append(prompt_hash(item.prompt))
        grades = tuple(item.grades[place] for place in full) if item.grades else ()
        if self.rewarded:
            self.rewards.extend(grades or [float("nan")] * len(full))
            grades = ()
        item = replace(item, responses=tuple(texts), grades=grades, finish=tuple(ended), pairs=(), styles=())
        return replace(item, grades=self.judge(item)) if self.judge else item


def _check_distinct(source: str, items: Items, first: Codes) -> None:
    if not len(items):
        raise UserError(f"{source} has no prompt with two responses that are not empty: sample more of them.")
    distinct = np.add.reduceat(first == np.arange(len(first)), items.offsets[:-1])
    if distinct.max() < 2:
        raise UserError(
            f"{source} has no prompt with two different responses: sample more of them, or at a higher --temperature."
        )
