"""What a run asks, checked before anything heavy is imported."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import numpy as np

from ..errors import UserError
from ..model_registry.registry import Registry
from ..model_registry.schema import Family
from ..tasks.catalog import MINILAB, load_task, task_of_rows
from ..tasks.criteria import DEFAULT_CRITERIA, Criteria, load_criteria
from ..tasks.minilab.world import CRITERIA as MINILAB_CRITERIA
from ..tasks.task import Official, Task, by_official_rules, limited
from ..tasks.variants import Variant, declare_variants, select_variants
from .comparisons import Comparison
from .fitted_file import read_fitted
from .options import Options
from .rendering.groups import given_template
from .rules import check_rules
from .tuning.overlap import read_record

if TYPE_CHECKING:
    import pandas as pd

TaskLike: TypeAlias = "str | os.PathLike[str] | Task | Iterable[Mapping[str, Any]] | pd.DataFrame | None"
"""A benchmark's name, a file, a hub dataset; a task; rows as dictionaries, a DataFrame or a datasets.Dataset."""


_DECISIVE: Final = (
    *("dtype", "quantise", "scorer", "max_length", "protocol", "mean", "router", "seed", "ignore_labels"),
    *("resamples", "benchmark", "score_source"),
)
"""Options that decide numbers by themselves. Others do by items or files, tokens and check_quantised only add tables,
and the rest is how the work is done (device, batches, executor, store, progress)."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every checkpoint."""

    task: Task
    criteria: Criteria
    variants: tuple[Variant, ...]
    cut: Official = field(default_factory=Official)
    """To how many tokens conversations are cut, and where; by default to what the models read."""


def ask(
    task: TaskLike,
    variants: Sequence[str],
    comparisons: Sequence[Comparison],
    registry: Registry,
    options: Options,
    *,
    labelled: bool = True,
) -> Question:
    """The question of a run; no task: that of the first family. `labelled`: one without any label will not do.

    Raises UserError.
    """
    _check_benchmark(options, registry)
    family = comparisons[0].family
    if task is None:
        task = family.default_task if family else "rewardbench"
    whole = _opened(task, options)
    asked = limited(by_official_rules(whole) if options.protocol == "official" else whole, options.limit, options.seed)
    if has_labels(asked):
        check_rules(asked)
    elif labelled:
        raise UserError(
            f"{asked.name} has no labels, which this needs: `cdr-eval grid` estimates accuracies without any, and "
            "`cdr-eval annotate` makes labels."
        )
    own = own_criteria(family) if asked.criteria == DEFAULT_CRITERIA else asked.criteria
    asked = replace(asked, criteria=options.criteria or own)
    criteria = load_criteria(asked.criteria)
    cut = asked.official if options.protocol == "official" else Official()
    return Question(asked, criteria, select_variants(variants, declare_variants(criteria)), cut)


def own_criteria(family: Family | None) -> Path:
    """Criteria in words that a family's checkpoints know: those of the minilab's world, or the general ones."""
    return MINILAB_CRITERIA if family is not None and family.default_task == MINILAB else DEFAULT_CRITERIA


def has_labels(task: Task) -> bool:
    """Whether any response has a grade."""
    return not np.isnan(task.items.grades).all()


def _opened(task: "TaskLike", options: Options) -> Task:
    if isinstance(task, Task):
        return task
    if isinstance(task, str | os.PathLike):
        return load_task(os.fspath(task), columns=options.columns, strict=options.strict)
    return task_of_rows(cast(Any, task), columns=options.columns, strict=options.strict)


def asked_of(
    kind: str, question: Question, comparisons: Sequence[Comparison], registry: Registry, options: Options
) -> dict[str, Any]:
    """All that decides a run's numbers, as run.json will say it: an earlier run that was asked the same is known by it.

    Of items and files it is what they hold; of checkpoints where they are, since they may change while one trains.
    Raises UserError for a file that cannot be read.
    """
    task, template = question.task, given_template(options)
    heads = {folder.resolve().name: json.dumps(read_record(folder)) for folder in options.annotators}
    return {
        "kind": kind,
        "task": {"name": task.name, "content_hash": task.items.content_hash},
        "rules": _digest(json.dumps(_rules(task))),
        "checkpoints": [[[c.name, c.model, c.revision] for c in comparison.checkpoints] for comparison in comparisons],
        "registry": _digest(json.dumps([_entries(one, registry, options.score_source) for one in comparisons])),
        "self_pairs": any(strong == weak for comparison in comparisons for strong, weak in comparison.pairs),
        "variants": [variant.name for variant in question.variants],
        "criteria": criteria_hash(question),
        "chat_template": template and _digest(template[0]),
        "annotators": {name: _digest(record) for name, record in heads.items()},
        "fitted": [_digest(read_fitted(path).text()) for path in options.fitted],
        **{name: getattr(options, name) for name in _DECISIVE},
    }


def _rules(task: Task) -> list[Any]:
    """What gives the task's items their credits and adds them up."""
    levels = {name: asdict(rule) for name, rule in task.levels.items()}
    return [[asdict(section) for section in task.sections], asdict(task.rule), levels, task.styles, task.overall]


def _entries(comparison: Comparison, registry: Registry, source: str | None) -> list[Any]:
    """What the registry says of a comparison's family and checkpoints that decides numbers."""
    family, names = comparison.family, [checkpoint.name for checkpoint in comparison.checkpoints]
    of_family, of_each = {"chat_template", "end_of_turn", "default_benchmark"}, {"stage", "objective", "trained_from"}
    return [
        family and family.model_dump(include=of_family),
        [checkpoint.model_dump(include={*of_each, "parameters"}) for checkpoint in comparison.checkpoints],
        [[(b, s.value, s.source) for b, s in registry.used_scores(name, source, names).items()] for name in names],
    ]


def criteria_hash(question: Question) -> str:
    """SHA-256 of the criteria file of a run."""
    return sha256(question.task.criteria.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _check_benchmark(options: Options, registry: Registry) -> None:
    if options.score_source is not None and options.score_source not in registry.sources:
        raise UserError(f"There is no score source {options.score_source!r}; use one of {', '.join(registry.sources)}.")
    if options.benchmark is not None and options.benchmark not in registry.benchmarks():
        raise UserError(
            f"No checkpoint has a score on {options.benchmark!r}; use one of {', '.join(registry.benchmarks())}."
        )
