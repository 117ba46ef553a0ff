"""Finding a task by its name or its file, and listing the tasks there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..errors import UserError
from .criteria import DEFAULT_CRITERIA
from .items import Items
from .preference import load_preferences
from .rewardbench import ITEMS, SECTIONS, SOURCE, SUBSETS, load_rewardbench, rewardbench_task
from .rows import source_name
from .task import Section, Task

_NAMES = ("rewardbench", "minilab")


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What `cdr-eval tasks` shows of a built-in task."""

    name: str
    description: str
    source: str
    sections: tuple[Section, ...]
    items: int

    @property
    def subsets(self) -> Mapping[str, int]:
        """Every subset with its weight."""
        return {subset: count for section in self.sections for subset, count in section.counts.items()}


def load_task(spec: str) -> Task:
    """The task of a built-in name, a preference file or a hub dataset.

    Items whose subsets are all RewardBench's are scored in its sections; other items have no sections.
    Raises UserError for a name that does not exist and for data that cannot be read.
    """
    if spec == "rewardbench":
        return load_rewardbench()
    if spec == "minilab":
        from .minilab.world import load_minilab

        return load_minilab()
    if Path(spec).suffix == "" and "/" not in spec and not Path(spec).exists():
        near = get_close_matches(spec, _NAMES) or _NAMES
        raise UserError(f"There is no task {spec!r}: use {' or '.join(near)}, or the path of a preference file.")
    items = load_preferences(spec)
    if all(item.subset in SUBSETS for item in items):
        return rewardbench_task(items, spec)
    return Task(source_name(spec), spec, Items(items), (), DEFAULT_CRITERIA)


def missing_subsets(task: Task) -> list[str]:
    """The subsets of the task's sections that have no item, in the order of the sections."""
    there = set(task.items.subsets)
    return [subset for section in task.sections for subset in section.counts if subset not in there]


def task_list() -> tuple[TaskInfo, ...]:
    """The built-in tasks."""
    from .minilab.world import load_minilab

    minilab = load_minilab()
    return (
        TaskInfo(
            "minilab",
            "a synthetic world with known preferences, in miniature",
            minilab.source,
            minilab.sections,
            len(minilab.items),
        ),
        TaskInfo("rewardbench", "RewardBench, the filtered set of the hub", SOURCE, SECTIONS, ITEMS),
    )
