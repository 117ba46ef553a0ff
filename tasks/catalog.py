"""Finding a task by its name or its file, and listing the tasks there are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .benchmarks.load import benchmark_task, recognise
from .benchmarks.schema import Benchmark, benchmarks, load_benchmark
from .criteria import DEFAULT_CRITERIA
from .items import Items
from .reading.guess import guess_layout, parse_named
from .reading.in_memory import NAME, rows_at_hand
from .reading.items import Reading, read_plain, sample_of
from .reading.rows import is_source, open_rows, source_name
from .task import BEST, PAIRWISE, Rule, Section, Task

if TYPE_CHECKING:
    import pandas as pd

MINILAB = "minilab"


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What `cdr-eval tasks` shows of a built-in task."""

    name: str
    description: str
    source: str
    sections: tuple[Section, ...]
    items: int
    """Published number of rows."""
    responses: str
    rule: str
    chance: float
    licence: str

    @property
    def subsets(self) -> Mapping[str, int]:
        """Every subset with its weight."""
        return {subset: count for section in self.sections for subset, count in section.counts.items()}


def load_task(spec: str, *, columns: Sequence[str] = (), strict: bool = False) -> Task:
    """The task of a built-in name, `NAME:FILE`, a benchmark file (YAML), a file, a folder or a hub dataset.

    `columns` are `role=column` pairs that say which columns hold what; `strict` stops at the first row that cannot be
    used. A bare file whose columns are those of one benchmark alone is scored under its rules, any other without
    sections. Raises UserError for a name that does not exist and for data that cannot be read.
    """
    named = parse_named(columns)
    if spec == MINILAB:
        from .minilab.world import load_minilab

        return load_minilab()
    benchmark, local = find_benchmark(spec)
    if benchmark is not None:
        if named:
            raise UserError(f"--columns is for files of your own: {benchmark.name} says its columns itself.")
        return benchmark_task(benchmark, local, strict=strict)
    if not is_source(spec):
        names = (*benchmarks(), MINILAB)
        near = get_close_matches(spec, names) or ["a name that `cdr-eval tasks` lists"]
        raise UserError(f"There is no task {spec!r}: use {' or '.join(near)}, or the path of a preference file.")
    if not named and (found := recognise(sample_of(open_rows(spec)))) is not None:
        task = benchmark_task(found, spec, strict=False, recognised=True)
        if "unknown subset" not in task.reading.reasons:
            return benchmark_task(found, spec, strict=True, recognised=True) if strict else task
    reading = read_plain(spec, named, strict=strict)
    return _plain_task(spec, reading)


def task_of_rows(
    rows: "Iterable[Mapping[str, Any]] | pd.DataFrame", *, columns: Sequence[str] = (), strict: bool = False
) -> Task:
    """The task of rows that the caller holds: dictionaries, a DataFrame, or a datasets.Dataset; see `load_task`."""
    opened = rows_at_hand(rows)
    layout = guess_layout(sample_of(opened), parse_named(columns))
    return _plain_task(NAME, Reading(NAME, layout, opened, strict=strict))


def find_benchmark(spec: str) -> tuple[Benchmark | None, str | None]:
    """The benchmark that a name, `NAME:FILE` or a YAML file means, and the local copy that is named with it."""
    name, _, local = spec.partition(":")
    found = benchmarks().get(name)
    if found is None and name.endswith((".yaml", ".yml")):
        found = load_benchmark(Path(name))
    if found is not None and local and not is_source(local):
        raise UserError(f"There is no file {local}: check the path after {name}:.")
    return found, (local or None) if found is not None else None


def missing_subsets(task: Task) -> list[str]:
    """The subsets of the task's sections that have no item, in the order of the sections."""
    there = set(task.items.subsets)
    return [subset for section in task.sections for subset in section.counts if subset not in there]


def task_list() -> tuple[TaskInfo, ...]:
    """The built-in tasks."""
    from .minilab.world import load_minilab

    task = load_minilab()
    about = "a synthetic world with known preferences, in miniature"
    minilab = TaskInfo(
        MINILAB, about, task.source, task.sections, len(task.items), "2", rule_name(BEST), 0.5, "Apache-2.0"
    )
    return (minilab, *map(benchmark_info, benchmarks().values()))


def benchmark_info(benchmark: Benchmark) -> TaskInfo:
    """What is shown of a benchmark."""
    sources = [source.spec or str(source.page) for source in benchmark.source]
    return TaskInfo(
        benchmark.name,
        benchmark.title,
        ", ".join(sources),
        benchmark.task_sections,
        benchmark.rows,
        benchmark.responses,
        rule_name(benchmark.rule.rule),
        benchmark.chance,
        benchmark.licence,
    )


def rule_name(rule: Rule) -> str:
    """A rule in a word or two."""
    more = rule.level or (f"{rule.k or 'all'}" if rule.name == "best-of" else "")
    return f"{rule.name} {more}".strip()


def _plain_task(spec: str, reading: Reading) -> Task:
    """A task without sections: the best response where grades are right and wrong, else every graded comparison."""
    items = Items(reading)
    binary = {0.0, 1.0}
    grades = set(items.grades[items.grades == items.grades].tolist())
    rule = BEST if grades <= binary else PAIRWISE
    return Task(source_name(spec), spec, items, (), DEFAULT_CRITERIA, rule, reading=reading.notes)
