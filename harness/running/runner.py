"""Scores what the store lacks, part by part, together with whatever other processes run over the same store."""

import hashlib
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ...model_registry.checkpoint_files import LocalCheckpoint
from ..rendering.chat import ChatRenderer
from .answers import Answers
from .claims import Claim, Claims
from .parts import Part, PartRenderer, RenderedPart
from .store import ScorerReport, ScoreStore
from .work_units import CheckpointWork, Executor, ScoredUnit, ScorerSettings, WorkUnit, cut_units

CHUNK_SECONDS = 20.0
"""A killed run loses at most what was scored since the last chunk was written, and the units in flight."""
POLL_SECONDS = 1.0
"""How often a run that waits for others looks at what they have scored."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointPlan:
    """Everything that one checkpoint is asked."""

    local: LocalCheckpoint
    renderer: ChatRenderer
    parts: Sequence[Part]

    @property
    def size(self) -> int:
        """Conversations of all parts."""
        return sum(part.size for part in self.parts)


@dataclass(slots=True, eq=False)
class _Job:
    """A part whose missing scores this process computes."""

    local: LocalCheckpoint
    part: Part
    rendered: RenderedPart
    keys: list[bytes | None]
    answers: Answers
    """Where its answers go."""
    claim: Claim
    waiting: int
    """Units that are not answered yet."""
    shown: int = 0
    """Conversations that the progress bar counts already."""
    chunk: dict[bytes, tuple[float, int]] = field(default_factory=dict[bytes, tuple[float, int]])
    """Key → log-probability and scored tokens, not in the store yet."""
    report: ScorerReport = field(default_factory=ScorerReport)
    """What their scorers had to say, of which there may be one a worker."""
    written: float = field(default_factory=time.monotonic)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


class _Status(ProgressColumn):
    def __init__(self, executor: Executor) -> None:
        super().__init__()
        self._executor = executor

    def render(self, task: Task) -> Text:  # noqa: ARG002
        return Text(self._executor.status)


class Runner:
    """Answers plans out of the store, scoring what it lacks.

    A part is scored by whichever process claims it; parts that others have claimed are looked at again at the end.
    """

    def __init__(
        self,
        store: ScoreStore,
        renderer: PartRenderer,
        settings: ScorerSettings,
        executor: Executor,
        mean: bool = False,
        quiet: bool = True,
    ) -> None:
        self.store, self.renderer, self.settings, self.executor = store, renderer, settings, executor
        self.mean, self.quiet = mean, quiet
        self.scored: dict[str, int] = {}
        """Responses scored in this run, by checkpoint (none for what the store had)."""
        self.reports: dict[str, ScorerReport] = {}
        """What the scorers had to say, in this run or in those that filled the store, by checkpoint."""
        self._jobs: dict[int, _Job] = {}
        self._numbers = count()
        self._claims = Claims(store.folder)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            _Status(executor),
            console=Console(stderr=True),
            transient=True,
            disable=quiet,
        )
        self._bar = TaskID(0)

    def run(self, plans: Sequence[CheckpointPlan]) -> list[Answers]:
        """The answers to each plan.

        Raises UserError where a checkpoint does not load or the store cannot be written.
        """
        criteria, items = self.renderer.criteria, self.renderer.items
        labels = len(criteria.router.labels) if criteria.router else 0
        answers = [Answers(len(items), len(items.chars), labels) for _ in plans]
        todo = {number: list(plan.parts) for number, plan in enumerate(plans)}
        with self._progress:
            self._bar = self._progress.add_task("", total=sum(plan.size for plan in plans))
            self._pass(plans, todo, answers)
            while any(todo.values()):
                self._wait(plans, todo)
                self._pass(plans, todo, answers)
            self._progress.remove_task(self._bar)
        for plan in plans:
            self.reports[plan.local.name] = self.store.report(self.settings.keys(plan.local).identity)
        return answers

    def keys(self, local: LocalCheckpoint, rendered: RenderedPart) -> list[bytes | None]:
        """The store's key of each conversation; None where the response does not fit."""
        requests = rendered.requests
        keys = self.settings.keys(local).keys(requests.token_ids, requests.scored, requests.offsets)
        return [key if fits else None for key, fits in zip(keys, (rendered.lengths > 0).tolist(), strict=True)]

    def _next(self, plans: Sequence[CheckpointPlan], coming: Collection[int], held: str | None) -> int | None:
        """The plan to take up: best one whose model is in memory, then one that others are not at, then the first."""

        def order(number: int) -> tuple[bool, int, int]:
            plan = plans[number]
            return plan.local.whole.weights != held, self._scored_by_others(plan), number

        return min(coming, key=order, default=None)

    def _scored_by_others(self, plan: CheckpointPlan) -> int:
        return sum(name.startswith(plan.local.weights[:32]) for name in self._claims.living())

    def _wait(self, plans: Sequence[CheckpointPlan], todo: dict[int, list[Part]]) -> None:
        self.executor.release()  # whoever scores them may need what this process holds
        names = [plans[number].local.name for number, parts in todo.items() if parts]
        owners = sorted({self._claims.owner(name) for name in self._claims.living()})
        told = f"{', '.join(names)}, scored by {', '.join(owners)}"
        self._progress.update(self._bar, description=told)
        time.sleep(POLL_SECONDS)
        self.store.refresh()

    def _pass(self, plans: Sequence[CheckpointPlan], todo: dict[int, list[Part]], answers: Sequence[Answers]) -> None:
        """Answer the parts of `todo`, by plan; what is left there are those that other processes are scoring."""
        try:
            for scored in self.executor.run(self._work(plans, todo, answers)):
                self._take(scored)
        finally:
            with ExitStack() as claims:  # a full disk must not keep one
                for job in self._jobs.values():
                    claims.callback(job.claim.close)
                for job in self._jobs.values():
                    self._write(job)
            self._jobs.clear()

    def _work(
        self, plans: Sequence[CheckpointPlan], todo: dict[int, list[Part]], answers: Sequence[Answers]
    ) -> Iterator[CheckpointWork]:
        """The plans that have parts to do, those of one base together, those first that fewer others score."""
        coming = {number for number, parts in todo.items() if parts}
        asked = len(coming)
        number = self._next(plans, coming, None)
        while number is not None:
            coming.remove(number)
            plan, parts, todo[number] = plans[number], todo[number], []
            after = self._next(plans, coming, plan.local.whole.weights)
            following = plans[after].local if after is not None else None
            told = f"{plan.local.name} ({asked - len(coming)}/{asked})"
            self._progress.update(self._bar, description=told)
            yield CheckpointWork(plan.local, self._units(plan, parts, answers[number], todo[number]), following)
            number = after

    def _units(
        self, plan: CheckpointPlan, parts: Sequence[Part], answers: Answers, left: list[Part]
    ) -> Iterator[WorkUnit]:
        """The units of the parts that this process can claim; the others are added to `left`."""
        for part in parts:
            rendered = self.renderer.render(plan.renderer, part)
            keys = self.keys(plan.local, rendered)
            with ExitStack() as unfiled:
                claim = self._claims.take(claim_name(plan.local, keys)) if self.missing(keys) else None
                if claim is not None:
                    unfiled.callback(claim.close)
                    self.store.refresh()
                if not self.missing(keys):
                    self._collect(part, rendered, keys, answers, shown=0)
                    continue
                if claim is None:
                    left.append(part)
                    continue
                number = next(self._numbers)
                units = list(self._missing_units(number, rendered, keys))
                self._jobs[number] = _Job(plan.local, part, rendered, keys, answers, claim, len(units))
                unfiled.pop_all()
            for unit in units:
                if not claim.held():
                    left.append(part)
                    break
                yield unit

    def missing(self, keys: Sequence[bytes | None]) -> set[bytes]:
        """The distinct keys whose scores the store lacks."""
        wanted = list(dict.fromkeys(key for key in keys if key is not None))
        _, found = self.store.lookup(wanted)
        return {key for key, there in zip(wanted, found, strict=True) if not there}

    def _missing_units(self, part: int, rendered: RenderedPart, keys: Sequence[bytes | None]) -> Iterator[WorkUnit]:
        missing = self.missing(keys)
        for unit in distinct_units(rendered, keys, self.settings.unit_tokens):
            wanted = [i for i in unit if keys[i] in missing]
            if wanted:
                yield WorkUnit(part, np.array(wanted), rendered.requests.take(wanted))

    def _take(self, scored: ScoredUnit) -> None:
        """Keep a unit's answer; with the last one of a part, give the part's answers and let its claim go."""
        job = self._jobs[scored.unit.part]
        conversations: list[int] = scored.unit.conversations.tolist()
        for i, value in zip(conversations, scored.logprobs.tolist(), strict=True):
            key = job.keys[i]
            assert key is not None
            job.chunk[key] = (value, int(job.rendered.lengths[i]))
        job.report = job.report.joined(scored.report)
        count = len(scored.logprobs)
        self.scored[job.local.name] = self.scored.get(job.local.name, 0) + count
        job.shown += count
        self._progress.advance(self._bar, count)
        job.waiting -= 1
        if not job.waiting or time.monotonic() - job.written > CHUNK_SECONDS:
            self._write(job)
        if not job.waiting:
            del self._jobs[scored.unit.part]
            job.claim.close()
            self._collect(job.part, job.rendered, job.keys, job.answers, job.shown)

    def _write(self, job: _Job) -> None:
        if job.chunk:
            self.store.add_report(self.settings.keys(job.local).identity, job.report)
            values, lengths = zip(*job.chunk.values(), strict=True)
            self.store.append(list(job.chunk), values, lengths, job.local.name)
        job.chunk, job.written = {}, time.monotonic()

    def _collect(
        self, part: Part, rendered: RenderedPart, keys: Sequence[bytes | None], answers: Answers, shown: int
    ) -> None:
        values, _ = self.store.lookup([key or bytes(16) for key in keys])
        unscored = np.array([key is None for key in keys])
        answers.take(part, rendered, np.where(unscored, np.nan, values), self.mean)
        self._progress.advance(self._bar, part.size - shown)


def distinct_units(rendered: RenderedPart, keys: Sequence[bytes | None], tokens: int) -> Iterator[list[int]]:
    """The units that a part is cut into: indices of its conversations, each distinct request once."""
    first: dict[bytes, int] = {}
    for index, key in enumerate(keys):
        if key is not None:
            first.setdefault(key, index)
    return cut_units(rendered.requests, list(first.values()), tokens)


def claim_name(local: LocalCheckpoint, keys: Sequence[bytes | None]) -> str:
    """What a part of a checkpoint is claimed by: equal for all processes that ask the same."""
    digest = hashlib.blake2b(b"".join(key or bytes(16) for key in keys), digest_size=16)
    return f"{local.weights[:32]}-{digest.hexdigest()}"
