"""Everything that a run needs, opened and checked before the first forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..model_registry.checkpoint_files import find_checkpoint
from ..model_registry.registry import Registry
from .comparisons import Comparison
from .options import Options, default_store
from .question import Question
from .rendering.groups import Group, open_group
from .running.parts import PartRenderer
from .running.planner import Planner
from .running.runner import CheckpointPlan, Runner
from .running.scoring_run import checkpoint_plans, routing_plans
from .running.store import ScoreStore
from .running.this_process import ThisProcess
from .running.work_units import Executor, ScorerSettings
from .scoring.loading import LoadOptions, load_options
from .scoring.opening import scorer_opener


@dataclass(frozen=True, slots=True)
class Session:
    """A run that can start."""

    registry: Registry
    question: Question
    groups: tuple[Group, ...]
    router: Group | None
    planner: Planner
    runner: Runner
    load: LoadOptions

    def notes(self) -> list[str]:
        """What a reader must know about scorers and store, once the run is done."""
        notes = [f"{name}: {note}" for name, report in self.runner.reports.items() for note in report.notes]
        damaged = self.runner.store.damaged
        if damaged:
            notes.append(
                f"{len(damaged)} damaged chunks of the score store were set aside and their scores computed again."
            )
        return notes


def open_session(
    question: Question,
    comparisons: Sequence[Comparison],
    registry: Registry,
    options: Options,
    executor: Executor | None = None,
) -> Session:
    """Check and open all that a run needs; no model is loaded yet. Sessions may share an executor. Raises UserError."""
    load = load_options(options.device, options.dtype, options.trust_remote_code, options.allow_pickle)
    cut = question.cut
    groups = tuple(open_group(c.checkpoints, c.pairs, c.family, registry, options, load, cut) for c in comparisons)
    router: Group | None = None
    if options.router is not None and any(variant.uses_router for variant in question.variants):
        checkpoint = find_checkpoint(options.router, registry)
        router = open_group([checkpoint], [], registry.common_family([checkpoint]), registry, options, load, cut)
    kind, _ = scorer_opener(options.scorer, load, options.batch_tokens, options.max_length)
    settings = ScorerSettings(options.scorer, kind, load, options.batch_tokens, options.max_length)
    renderer = PartRenderer(question.task.items, question.criteria, options.seed, options.quiet)
    store = ScoreStore(options.store or default_store())
    runner = Runner(store, renderer, settings, executor or ThisProcess(settings), options.mean, options.quiet)
    return Session(registry, question, groups, router, Planner(question, renderer), runner, load)


def open_sessions(
    questions: Sequence[Question], comparisons: Sequence[Comparison], registry: Registry, options: Options
) -> list[Session]:
    """A session for each question. Those of several fill the store first, each checkpoint opened once for all.

    Where a router is asked, what it answers decides on the questions, so that a checkpoint is opened once for each.
    """
    first = open_session(questions[0], comparisons, registry, options)
    executor = first.runner.executor
    sessions = [first, *(open_session(q, comparisons, registry, options, executor) for q in questions[1:])]
    if len(sessions) == 1 or not isinstance(executor, ThisProcess):
        return sessions
    executor.keep = True
    _fill([(s, plan) for s in sessions for plan in routing_plans(s.groups, s.router, s.planner)])
    _fill([(s, plan) for s in sessions for plan in checkpoint_plans(s.groups, s.router, s.planner, s.runner)])
    executor.release()
    return sessions


def _fill(plans: Sequence[tuple[Session, CheckpointPlan]]) -> None:
    """Score plans into the store, those of one checkpoint after one another."""
    for name in dict.fromkeys(plan.local.name for _, plan in plans):
        for session, plan in plans:
            if plan.local.name == name:
                session.runner.run([plan])
