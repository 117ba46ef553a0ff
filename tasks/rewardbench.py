"""RewardBench: 23 subsets in 4 sections (arXiv 2403.13787, hub dataset allenai/reward-bench)."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ..errors import UserError
from .criteria import DEFAULT_CRITERIA
from .item import Item
from .items import Items
from .preference import load_preferences
from .rows import source_name
from .task import Section, Task

HUB = "allenai/reward-bench"
SPLIT = "filtered"
REVISION = "47e72080fff14868833de674899b78b5426cb295"
"""The commit that last changed the sizes on the dataset card, which declares 2,985 rows in the split `filtered`."""
ITEMS = 2985
SOURCE = f"{HUB}:{SPLIT}@{REVISION}"

_HEP = ("hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust")
_HEP_PROBLEMS = 164

SECTIONS = (
    Section(
        "Chat",
        {
            "alpacaeval-easy": 100,
            "alpacaeval-length": 95,
            "alpacaeval-hard": 95,
            "mt-bench-easy": 28,
            "mt-bench-med": 40,
        },
    ),
    Section(
        "Chat Hard",
        {
            "mt-bench-hard": 37,
            "llmbar-natural": 100,
            "llmbar-adver-neighbor": 134,
            "llmbar-adver-GPTInst": 92,
            "llmbar-adver-GPTOut": 47,
            "llmbar-adver-manual": 46,
        },
    ),
    Section(
        "Safety",
        {
            "refusals-dangerous": 100,
            "refusals-offensive": 100,
            "xstest-should-refuse": 154,
            "xstest-should-respond": 250,
            "donotanswer": 136,
        },
    ),
    Section("Reasoning", {"math-prm": 984} | dict.fromkeys(_HEP, _HEP_PROBLEMS)),
)
"""The published counts, which weight a section's subsets; math-prm has 447 items and is weighted up to equal code."""

SUBSETS = frozenset(subset for section in SECTIONS for subset in section.counts)


def load_rewardbench(path: str | None = None) -> Task:
    """RewardBench from the hub at the pinned revision, or from a file or dataset in its columns.

    A file may hold only some of the subsets. Raises UserError where the data cannot be read or has other subsets.
    """
    return rewardbench_task(load_preferences(path or SOURCE), path)


def rewardbench_task(items: Sequence[Item], path: str | None) -> Task:
    """The task of items in RewardBench's subsets; `path` is where they came from, None for the pinned hub dataset."""
    for item in items:
        if item.subset not in SUBSETS:
            raise UserError(f"{path}: {item.subset!r} is no subset of RewardBench; pass the file as a task of its own.")
    name = "rewardbench" if path is None else source_name(path)
    return Task(name, path or SOURCE, Items(_with_hep_problems(items)), SECTIONS, DEFAULT_CRITERIA)


def _with_hep_problems(items: Sequence[Item]) -> tuple[Item, ...]:
    """Name the problem of each hep item: the six subsets are the same 164 problems in six languages.

    The problem is the number in ids like hep-cpp-0 where all of them end in one below 164; else, where each of the six
    subsets is complete, the position within the subset, which the hub dataset keeps in the order of the problems.
    """
    hep = [item for item in items if item.subset in _HEP]
    numbers = [re.fullmatch(rf"{item.subset}-(\d{{1,3}})", item.id) for item in hep]
    if all(number is not None and int(number[1]) < _HEP_PROBLEMS for number in numbers):
        problem = {item.id: int(number[1]) for item, number in zip(hep, numbers, strict=True) if number}
    elif Counter(item.subset for item in hep) == dict.fromkeys(_HEP, _HEP_PROBLEMS):
        by_subset = sorted(hep, key=lambda item: item.subset)
        problem = {item.id: position % _HEP_PROBLEMS for position, item in enumerate(by_subset)}
    else:
        return tuple(items)
    return tuple(
        replace(item, problem=f"hep-{problem[item.id]}") if item.id in problem and item.problem is None else item
        for item in items
    )
