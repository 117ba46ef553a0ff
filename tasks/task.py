"""A task: items, the sections and the rule that they are scored by, and the criteria that go with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import UserError
from .items import Items
from .reading.notes import ReadingNotes


@dataclass(frozen=True, slots=True)
class Rule:
    """How the rewards of an item's responses become a credit in [0, 1]; the formulas are in `statistics.credits`."""

    name: Literal["best", "pairwise", "strict", "matrix", "best-of", "ties", "mrr"]
    level: str = ""
    """Of the matrix rule: the cells that count; empty for all, hard, normal, easy, or "i>j" for one pair of styles."""
    k: int = 0
    """Of the best-of rule: how many random responses the best is picked from; 0 for all."""
    tie: float = 0.5
    """What a tied comparison earns under pairwise, strict and matrix; many official rules say 0, which under best, too,
    means that a tie is lost, where it is shared otherwise."""
    every: bool = False
    """Of the pairwise rule: all comparisons of unequal grades, whatever `pairs` an item lists (per-prompt AUC)."""


BEST = Rule("best")
PAIRWISE = Rule("pairwise")


@dataclass(frozen=True, slots=True)
class Section:
    """A weighted group of subsets."""

    name: str
    counts: Mapping[str, int]
    """Subset name to its weight within the section (RewardBench: the published counts)."""
    rule: Rule = BEST


@dataclass(frozen=True, slots=True)
class Official:
    """Where a benchmark's published protocol differs from what is done without being asked."""

    tie: float | None = None
    """What a tied comparison earns there; None: the same."""
    max_tokens: int | None = None
    """Conversations are cut to so many tokens; None: not at all."""
    cut: Literal["left", "right"] = "right"
    """The side that loses tokens."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a run asks of every checkpoint."""

    name: str
    source: str
    """Where the items came from: a path, or a hub dataset with its revision."""
    items: Items
    sections: tuple[Section, ...]
    """Empty for a plain preference file: overall is then the mean credit over all items."""
    criteria: Path
    """The criteria file that the task's conditioned variants use unless the user passes another."""
    rule: Rule = BEST
    """Of the items that belong to no section."""
    levels: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    """Further accuracies over all sections, each by a rule of its own (RM-Bench: Hard, Normal, Easy)."""
    styles: tuple[str, ...] = ()
    """Names of the responses' styles; every pair of them is a level, `style_level`."""
    overall: Literal["sections", "items"] = "sections"
    """Where there are sections: whether overall is their plain mean or the mean over all items."""
    official: Official = field(default_factory=Official)
    reading: ReadingNotes = field(default_factory=ReadingNotes)
    """What became of the source's rows."""
    limited: bool = False
    """Whether a limit left items out."""

    def section_of(self, subset: str) -> str | None:
        """The section that a subset belongs to, None where the task has no sections."""
        return next((s.name for s in self.sections if subset in s.counts), None)


def by_official_rules(task: Task) -> Task:
    """The task with ties as its publication counts them. Raises UserError where it publishes nothing that differs."""
    tie = task.official.tie
    if task.official == Official():
        raise UserError(f"{task.name} has no published protocol that differs from ours: leave --protocol out.")
    if tie is None:
        return task
    return replace(
        task,
        sections=tuple(replace(section, rule=replace(section.rule, tie=tie)) for section in task.sections),
        rule=replace(task.rule, tie=tie),
        levels={name: replace(rule, tie=tie) for name, rule in task.levels.items()},
    )


def style_level(right: str, wrong: str) -> str:
    """The level at which acceptable responses of one style are compared with the others of another."""
    return f"{right} over {wrong}"


def limited(task: Task, limit: int | None, seed: int) -> Task:
    """The task with only `limit` items in their order: of every subset its share, drawn at random by the seed.

    Shares are rounded down; what is left goes to the largest remainders. The items of a group, which are credited
    together, are drawn together, so that a share may be missed by less than a group. Raises UserError for a limit that
    leaves no item.
    """
    total = len(task.items)
    if limit is not None and limit < 1:
        raise UserError(f"A limit of {limit} leaves no item; pass 1 or more.")
    if limit is None or limit >= total:
        return task
    units: dict[str, list[list[int]]] = {}
    of_group: dict[str, list[int]] = {}
    for place, (subset, group) in enumerate(zip(task.items.subsets, task.items.groups, strict=True)):
        if group in of_group:
            of_group[group].append(place)
            continue
        units.setdefault(subset, []).append([place])
        if group:
            of_group[group] = units[subset][-1]
    sizes = {subset: sum(map(len, found)) for subset, found in units.items()}
    taken = {subset: limit * size // total for subset, size in sizes.items()}
    by_remainder = sorted(units, key=lambda subset: -(limit * sizes[subset] % total))
    for subset in by_remainder[: limit - sum(taken.values())]:
        taken[subset] += 1
    rng = np.random.default_rng(seed)
    kept = sorted(place for subset, found in units.items() for place in _drawn(found, taken[subset], rng))
    if not kept:
        raise UserError(f"A limit of {limit} leaves no item, since those of a group stay together; pass more.")
    return replace(task, items=Items(task.items[place] for place in kept), limited=True)


def _drawn(units: Sequence[Sequence[int]], most: int, rng: np.random.Generator) -> list[int]:
    """Places of whole units in random order, each taken that still fits."""
    drawn: list[int] = []
    order: list[int] = rng.permutation(len(units)).tolist()
    for number in order:
        if len(drawn) + len(units[number]) <= most:
            drawn += units[number]
    return drawn
