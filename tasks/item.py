"""One item: a prompt, N responses, and what is known about them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Self, TypedDict

MAX_RESPONSES = 1024
"""Most responses of an item."""
MAX_TEXT_CHARS = 1_000_000
"""Longest response, and longest prompt over all its turns."""


class Turn(TypedDict):
    """One chat turn, in the shape that transformers' chat templates take."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt with N ≥ 2 responses; grades where they are known."""

    id: str
    """Unique within a task."""
    subset: str
    """Name of the subset that the item belongs to."""
    prompt: tuple[Turn, ...]
    """Chat turns; the last one is the user's."""
    responses: tuple[str, ...]
    """In the order of the file; chosen before rejected."""
    grades: tuple[float, ...] = ()
    """One a response, higher is better, equal is a tie, NaN: not to be compared. Empty: nothing is known."""
    pairs: tuple[tuple[int, int], ...] = ()
    """The comparisons that count, as (index, index); empty: all with unequal grades."""
    styles: tuple[int, ...] = ()
    """One a response where a benchmark's rule goes by style (RM-Bench)."""
    group: str | None = None
    """Items of one group are credited together (the Ties subset of RewardBench 2)."""
    role: str = ""
    """What the item is in its group."""
    problem: str | None = None
    """Items that share a problem are not independent: they are resampled together."""
    finish: tuple[str, ...] = ()
    """Why each response ended, where that is known; "length" is one that was cut."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """For breakdowns (language, models), never for scoring."""

    @classmethod
    def preference(
        cls, id: str, subset: str, prompt: tuple[Turn, ...], chosen: str, rejected: str, problem: str | None = None
    ) -> Self:
        """The item of one chosen and one rejected response: N = 2, grades 1 and 0."""
        return cls(id, subset, prompt, (chosen, rejected), (1.0, 0.0), problem=problem)

    @property
    def is_preference(self) -> bool:
        """Whether the item says no more than which of two responses was chosen."""
        if len(self.responses) != 2:
            return False
        chosen, rejected = self.responses
        return self == Item.preference(self.id, self.subset, self.prompt, chosen, rejected, self.problem)


def prompt_hash(turns: Sequence[Turn]) -> str:
    """SHA-256, in hexadecimal, of a prompt's turns: what tells one prompt from another across data sets."""
    return sha256(json.dumps([[turn["role"], turn["content"]] for turn in turns]).encode()).hexdigest()


def content_hash(items: Iterable[Item]) -> str:
    """SHA-256, in hexadecimal, of the items as canonical JSON, one a line; their order matters.

    A preference item is written with the keys `chosen` and `rejected`, any other with its fields that are not empty.
    """
    digest = sha256()
    for item in items:
        line = json.dumps(_hashed(item), sort_keys=True, separators=(",", ":"))
        digest.update(line.encode("ascii") + b"\n")
    return digest.hexdigest()


def _hashed(item: Item) -> dict[str, Any]:
    if item.is_preference:
        chosen, rejected = item.responses
        values = {"id": item.id, "subset": item.subset, "prompt": item.prompt, "problem": item.problem}
        return {**values, "chosen": chosen, "rejected": rejected}
    empty: tuple[Any, ...] = ((), {}, "", None)
    return {name: value for name, value in asdict(item).items() if value not in empty}
