"""evaluate_pair and evaluate_grid: plan, score, combine and measure, in that order."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ..errors import UserError
from ..model_registry.checkpoint_files import find_checkpoint
from ..model_registry.registry import Registry, load_registry
from ..model_registry.schema import Checkpoint, Family
from ..reports.run_format.results import RunResult
from ..tasks.catalog import load_task
from ..tasks.criteria import load_criteria
from ..tasks.task import limited
from ..tasks.variants import Role, declare_variants, select_variants
from .options import Options, default_store
from .rendering.groups import Group, common_family, open_group
from .rewards import ScoreMatrix, margins, rewards
from .running.plan import BlockRenderer
from .running.runner import Runner, unit_tokens
from .running.scoring_run import GroupScores, Planner, Question
from .running.store import ScoreStore
from .scoring.loading import LoadOptions, load_options
from .scoring.opening import scorer_opener
from .statistics.metrics import Floats
from .tables.accuracy import Label, accuracy_table, comparison_table, draw_sample
from .tables.analysis import grid_analyses, pair_analyses
from .tables.run_record import RunFacts, items_table, pairs_table, run_record


@dataclass(frozen=True, slots=True)
class Comparison:
    """Checkpoints whose ordered pairs are to be scored."""

    checkpoints: tuple[Checkpoint, ...]
    pairs: tuple[tuple[str, str], ...]
    """Names of (strong, weak)."""
    family: Family | None


@dataclass(frozen=True, slots=True)
class Session:
    """Everything a run needs, opened and checked before the first forward pass."""

    registry: Registry
    question: Question
    groups: tuple[Group, ...]
    router: Group | None
    planner: Planner
    runner: Runner
    load: LoadOptions

    def store_notes(self) -> list[str]:
        """What a reader must know about the score store."""
        damaged = self.planner.store.damaged
        if not damaged:
            return []
        return [f"{len(damaged)} damaged chunks of the score store were set aside and their scores computed again."]


def evaluate_pair(
    strong: str,
    weak: str,
    *,
    task: str | None = None,
    variants: Sequence[str] = ("all",),
    registry: Sequence[Path] = (),
    options: Options | None = None,
) -> RunResult:
    """Score one pair of checkpoints and measure every reward variant asked for.

    Args:
        strong, weak: registry names, hub ids or local folders.
        task: "rewardbench", "minilab", or a preference file; None takes the family's default.
        variants: names of reward variants, or "all".
        registry: registry files merged over the built-in one.
        options: how to run.

    Raises UserError for everything that the caller can mend.
    """
    known = load_registry(registry)
    comparison = pair_of(strong, weak, known)
    return _evaluate("pair", [comparison], task, variants, known, options or Options())


def evaluate_grid(
    *,
    family: str | None = None,
    models: Sequence[str] = (),
    include_self: bool = True,
    task: str | None = None,
    variants: Sequence[str] = ("vanilla",),
    registry: Sequence[Path] = (),
    options: Options | None = None,
) -> RunResult:
    """Score every checkpoint of a family (or of the models named) once, and measure all of its ordered pairs.

    Without a family or models: the families of the registry files, or the minilab's where there are none.
    The other arguments and the errors are those of `evaluate_pair`.
    """
    known = load_registry(registry)
    comparisons = grid_of(family, models, include_self, known, registry)
    return _evaluate("grid", comparisons, task, variants, known, options or Options())


def pair_of(strong: str, weak: str, registry: Registry) -> Comparison:
    """The comparison of one pair."""
    first, second = find_checkpoint(strong, registry), find_checkpoint(weak, registry)
    checkpoints = _distinct([first, second])
    return Comparison(checkpoints, ((first.name, second.name),), common_family(checkpoints, registry))


def grid_of(
    family: str | None, models: Sequence[str], include_self: bool, registry: Registry, files: Sequence[Path]
) -> list[Comparison]:
    """The comparisons of a grid, one for each family."""
    if family is not None and models:
        raise UserError("Pass either --family or --models, not both.")
    if models:
        checkpoints = _distinct([find_checkpoint(name, registry) for name in models])
        families = [(checkpoints, common_family(checkpoints, registry))]
    else:
        names = [family] if family is not None else default_families(registry, files)
        families = [(registry.members(name), registry.family(name)) for name in names]
    names = [checkpoint.name for checkpoints, _ in families for checkpoint in checkpoints]
    shared = sorted({name for name in names if names.count(name) > 1})
    if shared:
        raise UserError(f"{shared[0]} is in several of the families; run them one at a time with --family.")
    return [Comparison(c, _ordered_pairs(c, include_self), f) for c, f in families]


def _distinct(checkpoints: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
    """Each checkpoint once; UserError where two have the same name."""
    by_name: dict[str, Checkpoint] = {}
    for checkpoint in checkpoints:
        other = by_name.setdefault(checkpoint.name, checkpoint)
        if other != checkpoint:
            raise UserError(
                f"{other.model} and {checkpoint.model} have the same name; "
                "give them names of their own in a registry file."
            )
    return tuple(by_name.values())


def default_families(registry: Registry, files: Sequence[Path]) -> list[str]:
    """The families that the user's registry files declare, or else the minilab."""
    built_in = load_registry().families
    own = [name for name, family in registry.families.items() if built_in.get(name) != family]
    if files and not own:
        raise UserError(f"{files[0]} declares no family of checkpoints; add one, or pass --models or --family.")
    return own or ["minilab"]


def open_session(
    comparisons: Sequence[Comparison],
    task: str | None,
    variants: Sequence[str],
    registry: Registry,
    options: Options,
) -> Session:
    """Check and open all that a run needs; no model is loaded yet. Raises UserError."""
    if options.score_source is not None and options.score_source not in registry.sources:
        raise UserError(f"There is no score source {options.score_source!r}; use one of {', '.join(registry.sources)}.")
    if options.benchmark is not None and options.benchmark not in registry.benchmarks():
        raise UserError(
            f"No checkpoint has a score on {options.benchmark!r}; use one of {', '.join(registry.benchmarks())}."
        )
    family = comparisons[0].family
    spec = task or (family.default_task if family else "rewardbench")
    asked = limited(load_task(spec), options.limit)
    criteria = load_criteria(options.criteria or asked.criteria)
    question = Question(asked, criteria, select_variants(variants, declare_variants(criteria)))
    load = load_options(options.device, options.dtype, options.trust_remote_code, options.allow_pickle)
    groups = tuple(open_group(c.checkpoints, c.pairs, c.family, registry, options, load) for c in comparisons)
    router: Group | None = None
    if options.router is not None and any(variant.uses_router for variant in question.variants):
        checkpoint = find_checkpoint(options.router, registry)
        router = open_group([checkpoint], [], common_family([checkpoint], registry), registry, options, load)
    store = ScoreStore(options.store or default_store())
    kind, opener = scorer_opener(options.scorer, load, options.batch_tokens, options.max_length)
    blocks = BlockRenderer(asked.items, criteria, options.seed, options.quiet)
    planner = Planner(question, blocks, store, load.dtype, kind, options.mean)
    return Session(
        registry,
        question,
        groups,
        router,
        planner,
        Runner(store, opener, unit_tokens(load.device), options.quiet),
        load,
    )


def score_shard(
    comparisons: Sequence[Comparison],
    task: str | None,
    variants: Sequence[str],
    registry: Registry,
    options: Options,
    shard: tuple[int, int],
) -> list[str]:
    """Score the checkpoints of shard (i, n) into the store and stop there; returns their names. Raises UserError."""
    session = open_session(comparisons, task, variants, registry, options)
    return session.planner.score_shard(session.groups, session.router, session.runner, *shard)


def _ordered_pairs(checkpoints: Sequence[Checkpoint], include_self: bool) -> tuple[tuple[str, str], ...]:
    names = [checkpoint.name for checkpoint in checkpoints]
    return tuple((s, w) for s in names for w in names if include_self or s != w)


def _evaluate(
    kind: Literal["pair", "grid"],
    comparisons: Sequence[Comparison],
    task: str | None,
    variants: Sequence[str],
    registry: Registry,
    options: Options,
) -> RunResult:
    started = time.monotonic()
    session = open_session(comparisons, task, variants, registry, options)
    scored = session.planner.score(session.groups, session.router, session.runner)
    labels, rows = margin_rows(scored, session.question)
    rng = np.random.default_rng(options.seed)
    items = session.question.task.items
    sample = draw_sample(items, session.question.task.sections, options.resamples, rng)
    accuracy = accuracy_table(labels, rows, sample)
    facts = RunFacts(
        kind=kind,
        question=session.question,
        scored=scored,
        registry=registry,
        options=options,
        load=session.load,
        scorer=session.planner.scorer,
        responses_scored=session.runner.scored,
        notes=[*session.runner.notes, *session.store_notes()],
        seconds=time.monotonic() - started,
    )
    tables = {
        "items": items_table(session.question, scored),
        "margins": margins_table(labels, rows, [item.id for item in items]),
        "accuracy": accuracy,
        "comparisons": comparison_table(labels, rows, against_vanilla(labels), sample, rng),
    }
    if kind == "pair":
        tables |= pair_analyses(labels, rows, sample, options.seed)
    else:
        tables |= {"pairs": pairs_table(accuracy, facts), **grid_analyses(facts, labels, rows, sample)}
    return RunResult(run_record(facts, int((rows == 0).sum())), tables)


def margin_rows(scored: Sequence[GroupScores], question: Question) -> tuple[list[Label], Floats]:
    """Labels and margins (rows, items) of every pair and variant; a variant of one checkpoint comes once for each."""
    labels: dict[Label, Floats] = {}
    for group in scored:
        for strong, weak in group.group.pairs:
            for variant in question.variants:
                label = (strong, weak if variant.uses_weak else "", variant.name)
                if label not in labels:
                    roles: Mapping[Role, Mapping[str, ScoreMatrix]]
                    roles = {"strong": group.scores[strong], "weak": group.scores[weak]}
                    labels[label] = margins(rewards(variant, roles, group.routes[strong]))
    return list(labels), np.stack(list(labels.values()))


def margins_table(labels: Sequence[Label], rows: Floats, items: Sequence[str]) -> pd.DataFrame:
    """The tidy table of margins."""
    names = pd.DataFrame(labels, columns=pd.Index(["strong", "weak", "variant"])).astype("category")
    table = names.loc[names.index.repeat(len(items))].reset_index(drop=True)
    table["item"] = pd.Categorical(list(items) * len(labels), categories=list(items))
    table["margin"] = rows.ravel()
    return table


def against_vanilla(labels: Sequence[Label]) -> list[tuple[int, int]]:
    """Row numbers (variant, vanilla) of each variant and of vanilla on the same pair.

    A variant of one checkpoint stands beside vanilla where there is only one pair.
    """
    vanilla = {(strong, weak): row for row, (strong, weak, name) in enumerate(labels) if name == "vanilla"}
    if len(vanilla) == 1:
        vanilla.update({(strong, ""): row for (strong, _), row in vanilla.items()})
    return [
        (row, vanilla[strong, weak])
        for row, (strong, weak, name) in enumerate(labels)
        if name != "vanilla" and (strong, weak) in vanilla
    ]
