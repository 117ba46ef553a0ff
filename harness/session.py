"""Everything that a run needs, opened and checked before the first forward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..model_registry.checkpoint_files import find_checkpoint
from ..model_registry.registry import Registry
from .comparisons import Comparison
from .executors import check_executor, check_whole, this_process
from .options import Options, default_store
from .question import Question
from .rendering.groups import Group, open_group
from .running.parts import PartRenderer
from .running.planner import Planner
from .running.runner import CheckpointPlan, Runner
from .running.scoring_run import checkpoint_plans, routing_plans
from .running.store import ScoreStore
from .running.this_process import ThisProcess
from .running.work_units import Executor
from .scoring.completions_server import read_urls
from .scoring.load_options import LoadOptions, check_device
from .scoring.opening import scorer_kind


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
    executor: Callable[[], Executor] | None = None,
) -> Session:
    """Check and open all that a run needs; no model is loaded yet. Sessions may share an executor. Raises UserError.

    `executor` gives it when all else is checked; without one it is this process, whatever the options say.
    """
    check_device(options.device)
    check_executor(options)
    scorer_kind(options.scorer, served=bool(options.urls), quantise=options.quantise)
    cut = question.cut
    checkpoint = find_checkpoint(options.router, registry) if options.router is not None else None
    groups = tuple(open_group(c.checkpoints, c.pairs, c.family, registry, options, cut) for c in comparisons)
    router: Group | None = None
    if checkpoint is not None and any(variant.uses_router for variant in question.variants):
        router = open_group([checkpoint], [], registry.common_family([checkpoint]), registry, options, cut)
    asked = [group for group in (*groups, router) if group is not None]
    found = [member.local for group in asked for member in group.members]
    read_urls(options.urls, [local.name for local in found])
    if options.tensor_parallel > 1:
        check_whole(found)
    opened = executor() if executor is not None else this_process(options)
    renderer = PartRenderer(question.task.items, question.criteria, options.seed, options.quiet)
    store = ScoreStore(options.store or default_store())
    runner = Runner(store, renderer, opened.settings, opened, options.mean, options.quiet)
    return Session(registry, question, groups, router, Planner(question, renderer), runner, opened.settings.load)


def open_sessions(
    questions: Sequence[Question],
    comparisons: Sequence[Comparison],
    registry: Registry,
    options: Options,
    executor: Callable[[], Executor],
) -> list[Session]:
    """A session for each question. Those of several fill the store first, each checkpoint opened once for all.

    Where a router is asked, what it answers decides on the questions, so that a checkpoint is opened once for each.
    """
    sessions = [open_session(question, comparisons, registry, options, executor) for question in questions]
    opened = sessions[0].runner.executor
    if len(sessions) == 1 or not isinstance(opened, ThisProcess):
        return sessions
    opened.keep = True
    _fill([(s, plan) for s in sessions for plan in routing_plans(s.groups, s.router, s.planner)])
    _fill([(s, plan) for s in sessions for plan in checkpoint_plans(s.groups, s.router, s.planner, s.runner)])
    opened.release()
    return sessions


def _fill(plans: Sequence[tuple[Session, CheckpointPlan]]) -> None:
    """Score plans into the store, those of one checkpoint after one another, and its adapters' after a base's."""
    models = [*dict.fromkeys(plan.local.whole.weights for _, plan in plans)]
    names = [*dict.fromkeys(plan.local.name for _, plan in plans)]
    for session, plan in sorted(
        plans, key=lambda asked: (models.index(asked[1].local.whole.weights), names.index(asked[1].local.name))
    ):
        session.runner.run([plan])
