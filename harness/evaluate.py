"""evaluate_pair and evaluate_grid: plan, score, combine and measure, in that order.

What can be checked without torch is checked before it is imported.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError, UserError
from ..model_registry.registry import Registry, load_registry
from .annotators import AnnotatorRow, annotator_rewards, open_annotators
from .check_quantised import FullWeights, full_weights, rounding_table
from .comparisons import Comparison, grid_of, pair_of, without
from .fitted import FittedRow, fitted_rewards, open_fitted
from .options import Options, paths
from .question import Question, TaskLike, ask, asked_of, has_labels
from .rewards import reward_rows

if TYPE_CHECKING:
    from ..reports.run_format.results import RunResult
    from .running.scoring_run import GroupScores
    from .session import Session
    from .tables.sample import Label

T = TypeVar("T")


def evaluate_pair(
    strong: str,
    weak: str | None = None,
    *,
    task: TaskLike = None,
    variants: str | Sequence[str] = "all",
    registry: str | Path | Sequence[str | Path] = (),
    options: Options | None = None,
) -> "RunResult":
    """Score one pair of checkpoints and measure every reward variant asked for.

    Args:
        strong, weak: registry names, hub ids or local folders; without `weak`, the base of the adapter `strong`.
        task: a benchmark's name, a file, a hub dataset, a task, or rows: dictionaries, a DataFrame or a
            datasets.Dataset; None takes the family's default.
        variants: the name of a reward variant or several, or "all".
        registry: a registry file, or several, merged over the built-in one.
        options: how to run.

    Raises UserError for everything that the caller can mend.
    """
    known = load_registry(paths(registry))
    return evaluate("pair", pair_of(strong, weak, known), task, _names(variants), known, options or Options())


def evaluate_grid(
    *,
    family: str | None = None,
    models: str | Sequence[str] = (),
    include_self: bool = True,
    task: TaskLike = None,
    variants: str | Sequence[str] = "vanilla",
    registry: str | Path | Sequence[str | Path] = (),
    options: Options | None = None,
) -> "RunResult":
    """Score every checkpoint of a family (or of the models named) once, and measure all of its ordered pairs.

    Without a family or models: the families of the registry files, or the minilab's where there are none.
    The other arguments and the errors are those of `evaluate_pair`.
    """
    files = paths(registry)
    known = load_registry(files)
    comparisons = grid_of(family, _names(models), include_self, known, files)
    return evaluate("grid", comparisons, task, _names(variants), known, options or Options())


def _names(names: str | Sequence[str]) -> Sequence[str]:
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else names


def evaluate(
    kind: Literal["pair", "grid"],
    comparisons: Sequence[Comparison],
    task: TaskLike,
    variants: Sequence[str],
    registry: Registry,
    options: Options,
) -> "RunResult":
    """Score and measure the pairs of some comparisons; see `evaluate_pair`."""
    (result,) = evaluate_tasks(kind, comparisons, [task], variants, registry, options)
    return result


def evaluate_tasks(
    kind: Literal["pair", "grid"],
    comparisons: Sequence[Comparison],
    tasks: Sequence[TaskLike],
    variants: Sequence[str],
    registry: Registry,
    options: Options,
) -> "list[RunResult]":
    """One run for each task, all in one pass over each checkpoint; see `evaluate_pair`."""
    questions = ask_tasks(tasks, variants, comparisons, registry, options, labelled=kind == "pair")
    return evaluate_questions(kind, comparisons, questions, registry, options)


def ask_tasks(
    tasks: Sequence[TaskLike],
    variants: Sequence[str],
    comparisons: Sequence[Comparison],
    registry: Registry,
    options: Options,
    *,
    labelled: bool,
) -> list[Question]:
    """A question for each task; `labelled`: one without any label will not do. Raises UserError."""
    if options.tokens and options.scorer.startswith("lm-eval"):
        raise UserError("--tokens asks the checkpoints themselves; leave --scorer lm-eval or --tokens out.")
    if options.tokens and options.tensor_parallel > 1:
        raise UserError("--tokens opens each checkpoint in one process; leave --tensor-parallel or --tokens out.")
    if (options.tokens or options.annotators) and options.executor is not None:
        from .executors import this_process

        this_process(options)  # a device that this machine lacks is to be said before everything is scored
    questions = [ask(task, variants, comparisons, registry, options, labelled=labelled) for task in tasks]
    _check_names([question.task.name for question in questions])
    blind = next((question.task.name for question in questions if not has_labels(question.task)), None)
    if options.tokens and blind is not None:
        raise UserError(f"--tokens is for items that few pairs get right, and {blind} has no labels: leave it out.")
    return questions


def evaluate_questions(
    kind: Literal["pair", "grid"],
    comparisons: Sequence[Comparison],
    questions: Sequence[Question],
    registry: Registry,
    options: Options,
) -> "list[RunResult]":
    """One run for each question, all in one pass over each checkpoint; see `evaluate_pair`."""
    if kind == "grid":
        _check_estimable(comparisons, questions, options)
    names = [checkpoint.name for comparison in comparisons for checkpoint in comparison.checkpoints]
    annotators = [
        open_annotators(options.annotators, question.task.items, names=names, allow_overlap=options.allow_overlap)
        for question in questions
    ]
    others = [*names, *(row.info["name"] for rows in annotators for row in rows)]
    fitted = [open_fitted(options.fitted, question, registry, options, others) for question in questions]
    asked = [asked_of(kind, question, comparisons, registry, options) for question in questions]
    return _going_on(
        kind,
        comparisons,
        lambda kept, left_out: _run(kind, kept, questions, asked, annotators, fitted, registry, options, left_out),
    )


def _check_estimable(comparisons: Sequence[Comparison], questions: Sequence[Question], options: Options) -> None:
    """Raise UserError where a question is about items without labels, and agreement cannot answer it."""
    without = [question for question in questions if options.ignore_labels or not has_labels(question.task)]
    if without:
        from .tables.unlabelled import check_estimable

        for question in without:
            check_estimable(question, [pair for comparison in comparisons for pair in comparison.pairs])


def _going_on(
    kind: Literal["pair", "grid"],
    comparisons: Sequence[Comparison],
    run: Callable[[Sequence[Comparison], dict[str, str]], T],
) -> T:
    """`run`, of a grid again without each checkpoint that does not load, as long as a pair is left.

    It is given the comparisons that are left, and the checkpoints left out, each with why.
    """
    left_out: dict[str, str] = {}
    while True:
        try:
            return run(comparisons, left_out)
        except CheckpointError as error:
            kept = without(comparisons, error.checkpoint)
            if kind == "pair" or kept is None:
                raise
            comparisons = kept
            left_out[error.checkpoint] = str(error)


def _run(
    kind: Literal["pair", "grid"],
    comparisons: Sequence[Comparison],
    questions: Sequence[Question],
    asked: Sequence[Mapping[str, Any]],
    annotators: Sequence[Sequence[AnnotatorRow]],
    fitted: Sequence[Sequence[FittedRow]],
    registry: Registry,
    options: Options,
    left_out: Mapping[str, str],
) -> "list[RunResult]":
    """`left_out` are checkpoints that could not be loaded, each with why, `asked` what each question was with them.

    Raises CheckpointError for another that cannot be loaded.
    """
    from .executors import open_executor
    from .session import open_sessions

    full = full_weights(comparisons, registry, options) if options.check_quantised else None
    started = time.monotonic()
    with open_executor(options) as executor:
        sessions = open_sessions(questions, comparisons, registry, options, executor)
        results: list[RunResult] = []
        for session, whole, heads, combined in zip(sessions, asked, annotators, fitted, strict=True):
            result = _measured(kind, session, whole, heads, combined, options, started, full, left_out)
            results.append(result)
            started = time.monotonic()
        return results


def _check_names(names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"Two of the tasks are called {twice}: name each once, or rename a file.")


def _measured(
    kind: Literal["pair", "grid"],
    session: "Session",
    asked: Mapping[str, Any],
    annotators: Sequence[AnnotatorRow],
    fitted: Sequence[FittedRow],
    options: Options,
    started: float,
    full: FullWeights | None,
    left_out: Mapping[str, str],
) -> "RunResult":
    """The answers to one session's question, and all that is measured on them."""
    from .running.scoring_run import score
    from .tables.run_record import RunFacts
    from .tables.run_result import run_result

    question, registry = session.question, session.registry
    scored = score(session.groups, session.router, session.planner, session.runner)
    labels, rows = reward_rows(scored, question)
    combined, more = fitted_rewards(fitted, registry, options, lambda: session.runner.executor)
    session.runner.executor.release()
    judged, notes = annotator_rewards(annotators, question.task.items, options.device)
    facts = RunFacts(
        kind=kind,
        question=question,
        scored=scored,
        registry=registry,
        options=options,
        asked=asked,
        load=session.load,
        scorer=session.runner.settings.kind,
        executor=session.runner.executor.place,
        responses_scored=session.runner.scored,
        trials={name: report.trial for name, report in session.runner.reports.items() if report.trial},
        notes=[*session.notes(), *notes, *more],
        left_out=left_out,
        seconds=time.monotonic() - started,
        annotators=[annotator.info for annotator in annotators],
        fitted=[row.info for row in fitted],
    )
    beside = [row.label for row in (*annotators, *fitted)]
    result = run_result(facts, [*labels, *beside], np.vstack([rows, judged, *combined]))
    if full is not None:
        rounding = rounding_table(labels, rows, question, full, registry, options)
        result = replace(result, tables={**result.tables, "rounding": rounding})
    if options.tokens:
        return _with_tokens(result, session, scored, dict(zip(labels, rows, strict=True)), options)
    return result


def _with_tokens(
    result: "RunResult",
    session: "Session",
    scored: "Sequence[GroupScores]",
    rewards: "Mapping[Label, NDArray[np.float64]]",
    options: Options,
) -> "RunResult":
    """The result with what each token earned of the items that the fewest pairs get right."""
    from .executors import this_process
    from .running.token_rewards import token_rewards

    load = this_process(options).settings.load
    first = session.question.variants[0].name
    rows = [k for k, (strong, weak, variant) in enumerate(rewards) if variant == first and strong != weak]
    margins = result.margins["margin"].to_numpy().reshape(-1, len(session.question.task.items))
    items = hardest(margins[rows or [0]], options.tokens)
    question, planner = session.question, session.planner
    table, note = token_rewards(scored, question, planner, load, rewards, items, mean=options.mean)
    return replace(
        result, run={**result.run, "notes": [*result.run["notes"], note]}, tables={**result.tables, "tokens": table}
    )


def hardest(margins: NDArray[np.float64], count: int) -> list[int]:
    """`count` items, of margins (pairs, items), that the fewest pairs get right, then those of the lowest mean margin.

    Items that no pair scored are left out.
    """
    scored = ~np.isnan(margins)
    total = np.where(scored, margins, 0.0).sum(axis=0)
    order = np.lexsort((total / np.maximum(1, scored.sum(axis=0)), (margins > 0).sum(axis=0)))
    return [item for item in order.tolist() if scored[:, item].any()][:count]


def score_shard(
    kind: Literal["pair", "grid"],
    comparisons: Sequence[Comparison],
    tasks: Sequence[TaskLike],
    variants: Sequence[str],
    registry: Registry,
    options: Options,
    shard: tuple[int, int],
) -> tuple[list[str], dict[str, str]]:
    """Score shard (i, n) of each task into the store and stop there; returns its checkpoints and those left out.

    Parts are dealt over the checkpoints that load, so that shards which meet a broken one deal otherwise than those
    which don't; what none of them scored is left to the run that writes the report. Raises UserError.
    """
    questions = ask_tasks(tasks, variants, comparisons, registry, options, labelled=kind == "pair")
    if kind == "grid":
        _check_estimable(comparisons, questions, options)

    def run(kept: Sequence[Comparison], left_out: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        from .executors import open_executor
        from .running import scoring_run
        from .session import open_session

        scored: dict[str, None] = {}
        with open_executor(options) as executor:
            for question in questions:
                session = open_session(question, kept, registry, options, executor)
                names = scoring_run.score_shard(session.groups, session.router, session.planner, session.runner, *shard)
                scored |= dict.fromkeys(names)
        return list(scored), left_out

    return _going_on(kind, comparisons, run)
