"""From the rewards of a run to its run directory: every table, the large ones as streams."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...reports.run_format.frames import make_frame
from ...reports.run_format.results import RunResult
from ...reports.run_format.run_info import ANNOTATOR, FITTED
from ..question import has_labels
from .accuracy import accuracy_table, comparison_table
from .analysis import grid_analyses, pair_analyses
from .best_of_n import best_of_table
from .run_record import RunFacts, items_table, left_out_table, pairs_table, run_record
from .sample import Label, Sample
from .texts import prompts_stream, texts_stream
from .unlabelled import unlabelled_tables

ROWS_AT_ONCE = 2**18

Frames = Callable[[], Iterator[pd.DataFrame]]


def run_result(facts: RunFacts, labels: Sequence[Label], rewards: NDArray[np.float64]) -> RunResult:
    """The run record and all tables of rewards (rows, R)."""
    question, options = facts.question, facts.options
    if not has_labels(question.task):
        return unlabelled_result(facts, labels, rewards)
    sample = Sample.of(question.task, options.resamples, options.seed)
    margins = sample.margins(rewards)
    accuracy = accuracy_table(labels, rewards, sample)
    tables: dict[str, pd.DataFrame | Frames] = {
        "items": items_table(question, facts.scored, sample.mean_chars),
        "margins": margins_table(labels, margins, question.task.items.ids),
        "rewards": rewards_table(labels, rewards, question.task.items.ids, question.task.items.counts),
        "prompts": prompts_stream(question.task.items),
        "texts": texts_stream(question.task.items),
        "accuracy": accuracy,
        "comparisons": comparison_table(labels, rewards, against_vanilla(labels), sample),
    }
    if question.task.reading.left_out:
        tables["left_out"] = left_out_table(question.task)
    if facts.kind == "pair":
        tables |= pair_analyses(labels, rewards, sample, options.seed)
        picked = best_of_table(labels, rewards, sample.responses, sample.chars, sample.bootstrap)
        tables |= {"best_of": picked} if len(picked) else {}
    else:
        tables |= {"pairs": pairs_table(accuracy, facts), **grid_analyses(facts, labels, rewards, sample)}
    run = run_record(facts, int((margins == 0).sum()))
    found: dict[str, str] = {}
    if options.ignore_labels:
        run["unlabelled"], estimated, found = unlabelled_tables(facts, labels, rewards)
        tables |= estimated
    return RunResult(run, tables, found)


def unlabelled_result(facts: RunFacts, labels: Sequence[Label], rewards: NDArray[np.float64]) -> RunResult:
    """The run record and the tables of a grid on items without labels: no accuracy is measured, all are estimated."""
    question = facts.question
    nothing = np.full(len(question.task.items), np.nan)
    estimated, tables, found = unlabelled_tables(facts, labels, rewards)
    written: dict[str, pd.DataFrame | Frames] = {
        "items": items_table(question, facts.scored, (nothing, nothing)),
        "rewards": rewards_table(labels, rewards, question.task.items.ids, question.task.items.counts),
        "accuracy": make_frame("accuracy", ()),
        "pairs": make_frame("pairs", ()),
        **({"left_out": left_out_table(question.task)} if question.task.reading.left_out else {}),
        **tables,
    }
    return RunResult({**run_record(facts, 0), "unlabelled": estimated}, written, found)


def against_vanilla(labels: Sequence[Label]) -> list[tuple[int, int]]:
    """Row numbers (variant, vanilla) of each variant and of vanilla on the same pair.

    A variant of one checkpoint, an annotator and a fitted reward stand beside vanilla where there is only one pair.
    """
    vanilla = {(strong, weak): row for row, (strong, weak, name) in enumerate(labels) if name == "vanilla"}
    if len(vanilla) == 1:
        ((strong, _), row), *_ = vanilla.items()
        alone = [strong, *(name for name, _, variant in labels if variant in (ANNOTATOR, FITTED))]
        vanilla.update({(name, ""): row for name in alone})
    return [
        (row, vanilla[strong, weak])
        for row, (strong, weak, name) in enumerate(labels)
        if name != "vanilla" and (strong, weak) in vanilla
    ]


def margins_table(labels: Sequence[Label], margins: NDArray[np.float64], ids: Sequence[str]) -> Frames:
    items = pd.Categorical.from_codes(np.arange(len(ids)), categories=pd.Index(ids))
    return lambda: (
        pd.DataFrame({**names, "item": _repeated(items, count), "margin": values})
        for names, count, values in _batches(labels, margins)
    )


def rewards_table(
    labels: Sequence[Label], rewards: NDArray[np.float64], ids: Sequence[str], counts: NDArray[np.intp]
) -> Frames:
    owners = np.repeat(np.arange(len(ids)), counts)
    numbers = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    items = pd.Categorical.from_codes(owners, categories=pd.Index(ids))
    return lambda: (
        pd.DataFrame({"item": _repeated(items, count), "response": np.tile(numbers, count), **names, "reward": values})
        for names, count, values in _batches(labels, rewards)
    )


def _batches(
    labels: Sequence[Label], rows: NDArray[np.float64]
) -> Iterator[tuple[dict[str, Any], int, NDArray[np.float64]]]:
    """Some labels at a time: the columns that name them, how many they are, and their values one after another."""
    size = rows.shape[1]
    step = max(1, ROWS_AT_ONCE // max(size, 1))
    for start in range(0, len(labels), step):
        some = labels[start : start + step]
        columns = zip(("strong", "weak", "variant"), zip(*some, strict=True), strict=True)
        names = {column: pd.Categorical(np.repeat(np.array(values, dtype=object), size)) for column, values in columns}
        yield names, len(some), rows[start : start + step].ravel()


def _repeated(values: Any, count: int) -> Any:
    return pd.Categorical.from_codes(np.tile(values.codes, count), categories=values.categories)
