"""evaluate_pair and evaluate_grid: plan, score, combine and measure, in that order.

What can be checked without torch is checked before it is imported.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..model_registry.registry import Registry, load_registry
from ..tasks.conditioning import Conditioning
from ..tasks.task import Task
from ..tasks.variants import Role
from .annotators import AnnotatorRow, annotator_rewards, open_annotators
from .comparisons import Comparison, grid_of, pair_of
from .options import Options
from .question import Question, ask
from .rewards import Scores, rewards

if TYPE_CHECKING:
    from ..reports.run_format.results import RunResult
    from .running.scoring_run import GroupScores
    from .session import Session
    from .tables.sample import Label


def evaluate_pair(
    strong: str,
    weak: str,
    *,
    task: str | Task | None = None,
    variants: Sequence[str] = ("all",),
    registry: Sequence[Path] = (),
    options: Options | None = None,
) -> "RunResult":
    """Score one pair of checkpoints and measure every reward variant asked for.

    Args:
        strong, weak: registry names, hub ids or local folders.
        task: a benchmark's name, a file, a hub dataset, or a task; None takes the family's default.
        variants: names of reward variants, or "all".
        registry: registry files merged over the built-in one.
        options: how to run.

    Raises UserError for everything that the caller can mend.
    """
    known = load_registry(registry)
    return evaluate("pair", pair_of(strong, weak, known), task, variants, known, options or Options())


def evaluate_grid(
    *,
    family: str | None = None,
    models: Sequence[str] = (),
    include_self: bool = True,
    task: str | Task | None = None,
    variants: Sequence[str] = ("vanilla",),
    registry: Sequence[Path] = (),
    options: Options | None = None,
) -> "RunResult":
    """Score every checkpoint of a family (or of the models named) once, and measure all of its ordered pairs.

    Without a family or models: the families of the registry files, or the minilab's where there are none.
    The other arguments and the errors are those of `evaluate_pair`.
    """
    known = load_registry(registry)
    comparisons = grid_of(family, models, include_self, known, registry)
    return evaluate("grid", comparisons, task, variants, known, options or Options())


def evaluate(
    kind: Literal["pair", "grid"],
    comparisons: Sequence[Comparison],
    task: str | Task | None,
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
    tasks: Sequence[str | Task | None],
    variants: Sequence[str],
    registry: Registry,
    options: Options,
) -> "list[RunResult]":
    """One run for each task, all in one pass over each checkpoint; see `evaluate_pair`."""
    questions = [ask(task, variants, comparisons, registry, options) for task in tasks]
    _check_names([question.task.name for question in questions])
    names = [checkpoint.name for comparison in comparisons for checkpoint in comparison.checkpoints]
    annotators = [
        open_annotators(options.annotators, question.task.items, names=names, allow_overlap=options.allow_overlap)
        for question in questions
    ]
    from .session import open_sessions

    started = time.monotonic()
    sessions = open_sessions(questions, comparisons, registry, options)
    results: list[RunResult] = []
    for session, of_task in zip(sessions, annotators, strict=True):
        results.append(_measured(kind, session, of_task, options, started))
        started = time.monotonic()
    return results


def _check_names(names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"Two of the tasks are called {twice}: name each once, or rename a file.")


def _measured(
    kind: Literal["pair", "grid"],
    session: "Session",
    annotators: Sequence[AnnotatorRow],
    options: Options,
    started: float,
) -> "RunResult":
    """The answers to one session's question, and all that is measured on them."""
    from .running.scoring_run import score
    from .tables.run_record import RunFacts
    from .tables.run_result import run_result

    question, registry = session.question, session.registry
    scored = score(session.groups, session.router, session.planner, session.runner)
    labels, rows = reward_rows(scored, question)
    judged, notes = annotator_rewards(annotators, question.task.items, session.load.device)
    facts = RunFacts(
        kind=kind,
        question=question,
        scored=scored,
        registry=registry,
        options=options,
        load=session.load,
        scorer=session.runner.settings.kind,
        responses_scored=session.runner.scored,
        trials={name: report.trial for name, report in session.runner.reports.items() if report.trial},
        notes=[*session.notes(), *notes],
        seconds=time.monotonic() - started,
        annotators=[annotator.info for annotator in annotators],
    )
    return run_result(facts, [*labels, *(annotator.label for annotator in annotators)], np.vstack([rows, judged]))


def score_shard(
    comparisons: Sequence[Comparison],
    tasks: Sequence[str | Task | None],
    variants: Sequence[str],
    registry: Registry,
    options: Options,
    shard: tuple[int, int],
) -> list[str]:
    """Score shard (i, n) of each task into the store and stop there; returns its checkpoints. Raises UserError."""
    questions = [ask(task, variants, comparisons, registry, options) for task in tasks]
    from .running import scoring_run
    from .session import open_session

    scored: dict[str, None] = {}
    for question in questions:
        session = open_session(question, comparisons, registry, options)
        names = scoring_run.score_shard(session.groups, session.router, session.planner, session.runner, *shard)
        scored |= dict.fromkeys(names)
    return list(scored)


def reward_rows(scored: "Sequence[GroupScores]", question: Question) -> "tuple[list[Label], NDArray[np.float64]]":
    """Labels and rewards (rows, R) of every pair and variant; a variant of one checkpoint comes once for each."""
    owners = question.task.items.owners
    found: dict[Label, NDArray[np.float64]] = {}
    for group in scored:
        for strong, weak in group.group.pairs:
            for variant in question.variants:
                label = (strong, weak if variant.uses_weak else "", variant.name)
                if label not in found:
                    roles: Mapping[Role, Mapping[Conditioning, Scores]]
                    roles = {"strong": group.scores[strong], "weak": group.scores[weak]}
                    found[label] = rewards(variant, roles, group.routes[strong], owners)
    return list(found), np.stack(list(found.values()))
