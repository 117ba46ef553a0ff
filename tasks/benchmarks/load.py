"""A benchmark's task, from the published data or a local copy; and which benchmark's a bare file is."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from ...errors import UserError
from ..criteria import DEFAULT_CRITERIA
from ..items import Items
from ..reading.columns import maybe
from ..reading.items import DEFAULT_SUBSET, Reading
from ..reading.rows import Row, Wanted, open_rows, source_name
from ..task import Task
from .schema import Benchmark, Parallel, benchmarks


def benchmark_task(
    benchmark: Benchmark, local: str | None = None, *, strict: bool = False, recognised: bool = False
) -> Task:
    """The task of a benchmark; `local` is a copy of its data to be read in place of the published ones.

    Raises UserError where the data cannot be read.
    """
    specs = [local] if local is not None else [source.spec for source in benchmark.source]
    if not all(specs):
        raise UserError(
            f"The data of {benchmark.name} are not on the hub: fetch them from {benchmark.source[0].page} and pass"
            f" {benchmark.name}:FILE."
        )
    reading = Reading(
        local or ", ".join(specs), benchmark.columns, _rows(specs, benchmark), benchmark.filter, strict,
        f"{benchmark.title} ({benchmark.name}){', by its columns' if recognised else ''}",
    )  # fmt: skip
    items = reading.whole_groups(Items(reading))
    if benchmark.parallel is not None:
        items = with_parallel_problems(items, benchmark.parallel)
    return Task(
        name=benchmark.name if local is None else source_name(local),
        source=local or ", ".join(specs),
        items=items,
        sections=benchmark.task_sections,
        criteria=DEFAULT_CRITERIA,
        rule=benchmark.rule.rule,
        levels=benchmark.task_levels,
        styles=benchmark.styles,
        overall=benchmark.overall,
        official=benchmark.task_official,
        reading=replace(reading.notes, remarks=_remarks(benchmark, local, reading.notes.rows)),
    )


def recognise(sample: Sequence[Mapping[str, Any]]) -> Benchmark | None:
    """The one benchmark whose columns the rows have; None where there is none, or more than one."""
    found = [benchmark for benchmark in benchmarks().values() if sample and _fits(benchmark, sample)]
    return found[0] if len(found) == 1 else None


def with_parallel_problems(items: Items, parallel: Parallel) -> Items:
    """Name the problem of each item of subsets that are the same problems over again.

    The problem is the number in ids like hep-cpp-0 where all of them end in one below the number of problems; else,
    where each of the subsets is complete, the position within the subset, which then is in the order of the problems.
    """
    inside = [
        (name, subset) for name, subset in zip(items.ids, items.subsets, strict=True) if subset in parallel.subsets
    ]
    numbers = [re.fullmatch(rf"{re.escape(subset)}-(\d{{1,9}})", name) for name, subset in inside]
    if inside and all(number is not None and int(number[1]) < parallel.problems for number in numbers):
        problem = {name: int(number[1]) for (name, _), number in zip(inside, numbers, strict=True) if number}
    elif Counter(subset for _, subset in inside) == dict.fromkeys(parallel.subsets, parallel.problems):
        seen: Counter[str] = Counter()
        problem = {}
        for name, subset in inside:
            problem[name] = seen[subset]
            seen[subset] += 1
    else:
        return items
    return Items(
        replace(item, problem=f"{parallel.name}-{problem[item.id]}")
        if item.id in problem and item.problem is None
        else item
        for item in items
    )


def _rows(specs: Sequence[str], benchmark: Benchmark) -> Any:
    """The rows of all sources, one after the other."""
    readers = [open_rows(spec, benchmark.source[0].files) for spec in specs]

    def rows(wanted: Wanted) -> Iterator[Row]:
        return chain.from_iterable(reader(wanted) for reader in readers)

    return rows


def _fits(benchmark: Benchmark, sample: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all rows have the columns and values by which the benchmark is known, and subsets of its sections."""
    if not benchmark.recognise:
        return False
    known = benchmark.filter.subsets
    for row in sample:
        for column, value in benchmark.recognise.items():
            found = maybe(row, column)
            if (column not in row and found is None) or (value is not None and str(found) != value):
                return False
        parts = [maybe(row, path) for path in benchmark.columns.subset]
        subset = DEFAULT_SUBSET if any(part is None for part in parts) else "/".join(map(str, parts))
        if known and subset not in known:
            return False
    return True


def _remarks(benchmark: Benchmark, local: str | None, rows: int) -> tuple[str, ...]:
    remarks: list[str] = []
    if rows != benchmark.rows:
        remarks.append(f"The data have {rows:,} rows; {benchmark.title} was published with {benchmark.rows:,}.")
    if local is None and any(source.revision is None for source in benchmark.source):
        remarks.append(f"The revision of {benchmark.title} is not pinned: these are the newest data of the hub.")
    return tuple(remarks)
