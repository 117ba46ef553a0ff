"""In words, what a benchmark is and what a task's source was understood as."""

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import shorten, wrap

import numpy as np

from ...tasks.benchmarks.schema import Benchmark
from ...tasks.catalog import benchmark_info, rule_name
from ...tasks.item import Item
from ...tasks.task import Task

WIDTH = 80
EXAMPLES = 3
MOST_SUBSETS = 30


def benchmark_lines(benchmark: Benchmark) -> Iterator[str]:
    """A benchmark as its file states it."""
    info, official = benchmark_info(benchmark), benchmark.official
    yield f"{benchmark.title} ({benchmark.name}), {benchmark.licence}"
    yield from wrap(benchmark.about, WIDTH)
    yield from _field("source", info.source if len(info.source) < 400 else f"{info.source[:200]} ...")
    yield from _field("cite", benchmark.citation)
    yield from _field("rule", f"{info.rule}; a random order earns {benchmark.chance:.2g}")
    if benchmark.levels:
        yield from _field("also", ", ".join(f"{n} ({rule_name(r.rule)})" for n, r in benchmark.levels.items()))
    published = [f"a tie earns {official.tie:g}"] if official.tie is not None else []
    published += [f"texts are cut at {official.max_tokens:,} tokens"] if official.max_tokens else []
    if published:
        yield from _field("official", " and ".join(published) + ", as --protocol official does")
    for section in info.sections:
        counts = section.counts.items()
        text = ", ".join(f"{name} {count}" for name, count in list(counts)[:MOST_SUBSETS])
        more = f" and {len(counts) - MOST_SUBSETS} more" if len(counts) > MOST_SUBSETS else ""
        yield from _field(section.name, text + more)


def task_lines(task: Task) -> Iterator[str]:
    """What was understood of a task's rows, and examples."""
    items, notes = task.items, task.reading
    graded = int(np.isin(np.arange(len(items)), items.owners[~np.isnan(items.grades)]).sum())
    yield from _field("taken for", notes.taken_for or task.source)
    rows = f"{notes.rows:,} rows, " if notes.rows else ""
    yield from _field("items", f"{rows}{len(items):,} items, {graded:,} of them with labels")
    yield from _field(
        "responses", _counted(items.counts.tolist()) + f"; {notes.duplicates:,} stand twice in their item"
    )
    yield from _field("problems", f"{len(set(items.clusters)):,}, which are resampled together")
    yield from _field("rule", rule_name(task.rule))
    subsets = Counter(items.subsets)
    more = f" and {len(subsets) - MOST_SUBSETS:,} more" if len(subsets) > MOST_SUBSETS else ""
    names = ", ".join(f"{name} {count:,}" for name, count in list(subsets.items())[:MOST_SUBSETS])
    yield from _field("subsets", names + more)
    low, middle, high = np.quantile(items.chars, [0.05, 0.5, 0.95])
    yield from _field("length", f"{middle:,.0f} characters a response (5 % below {low:,.0f}, 5 % above {high:,.0f})")
    for remark in notes.remarks:
        yield from _field("note", remark)
    if notes.passed_over:
        yield from _field("note", f"{notes.passed_over:,} rows are not asked for.")
    for reason, count in notes.reasons.items():
        first = next(row for row in notes.left_out if row.reason == reason)
        yield from _field(
            "left out", f"{count:,} for {reason}; the first: {first.file}, {first.line}: {first.sentence}"
        )
    for number in sorted({round(k * (len(items) - 1) / (EXAMPLES - 1)) for k in range(EXAMPLES)}):
        yield ""
        yield from _example(items[number])


def _example(item: Item) -> Iterator[str]:
    yield f"{item.id} ({item.subset})"
    *before, last = item.prompt
    turns = f" (turn {len(before) + 1})" if before else ""
    yield from _field("  prompt", shorten(last["content"], 150, placeholder=" ...") + turns)
    for index, response in enumerate(item.responses[:4]):
        grade = f"{item.grades[index]:g}" if item.grades else "?"
        yield from _field(f"  {grade}", shorten(response, 150, placeholder=" ..."))
    if len(item.responses) > 4:
        yield f"  and {len(item.responses) - 4} more responses"


def _counted(values: Sequence[int]) -> str:
    counts = sorted(Counter(values).items())
    if len(counts) > 6:
        return f"{counts[0][0]} to {counts[-1][0]} an item"
    return ", ".join(f"{n} in {count:,} items" for n, count in counts)


def _field(name: str, text: str) -> Iterator[str]:
    """A name and its text, wrapped under itself."""
    lines = wrap(text, WIDTH - 12) or [""]
    yield f"{name:<11} {lines[0]}".rstrip()
    yield from (" " * 12 + line for line in lines[1:])
