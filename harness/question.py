"""What a run asks, checked before anything heavy is imported."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import UserError
from ..model_registry.registry import Registry
from ..tasks.catalog import load_task
from ..tasks.criteria import Criteria, load_criteria
from ..tasks.task import Official, Task, by_official_rules, limited
from ..tasks.variants import Variant, declare_variants, select_variants
from .comparisons import Comparison
from .options import Options
from .tables.rules import check_rules


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every checkpoint."""

    task: Task
    criteria: Criteria
    variants: tuple[Variant, ...]
    cut: Official = field(default_factory=Official)
    """To how many tokens conversations are cut, and where; by default to what the models read."""


def ask(
    task: str | Task | None,
    variants: Sequence[str],
    comparisons: Sequence[Comparison],
    registry: Registry,
    options: Options,
) -> Question:
    """The question of a run; no task: that of the first family. Raises UserError."""
    _check_benchmark(options, registry)
    if task is None:
        family = comparisons[0].family
        task = family.default_task if family else "rewardbench"
    whole = load_task(task, columns=options.columns, strict=options.strict) if isinstance(task, str) else task
    asked = limited(by_official_rules(whole) if options.protocol == "official" else whole, options.limit)
    check_rules(asked)
    criteria = load_criteria(options.criteria or asked.criteria)
    cut = asked.official if options.protocol == "official" else Official()
    return Question(asked, criteria, select_variants(variants, declare_variants(criteria)), cut)


def _check_benchmark(options: Options, registry: Registry) -> None:
    if options.score_source is not None and options.score_source not in registry.sources:
        raise UserError(f"There is no score source {options.score_source!r}; use one of {', '.join(registry.sources)}.")
    if options.benchmark is not None and options.benchmark not in registry.benchmarks():
        raise UserError(
            f"No checkpoint has a score on {options.benchmark!r}; use one of {', '.join(registry.benchmarks())}."
        )
