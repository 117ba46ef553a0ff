"""Executes a plan, one checkpoint in memory at a time, writing scores to the store as they come."""

import gc
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import numpy as np
import torch
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
from ..scoring.protocol import Scorer, ScoringRequest
from .claims import Claims
from .plan import CheckpointPlan
from .store import ScoreStore

CHUNK_SECONDS = 20.0
"""A killed run loses at most what was scored since the last chunk was written, and the unit in flight."""
POLL_SECONDS = 1.0
"""How often a run that waits for others looks at what they have scored."""
UNIT_TOKENS = {"cpu": 8_192, "accelerator": 131_072}
"""Tokens scored in one go: some passes of the fast scorer, so that little is lost and prefixes are seldom repeated."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


@dataclass
class Runner:
    """Scores what the store lacks, together with whatever other processes run over the same store.

    `open_scorer` makes a scorer for a checkpoint; it is called only where something is missing.
    """

    store: ScoreStore
    open_scorer: Callable[[LocalCheckpoint], Scorer]
    unit_tokens: int
    quiet: bool
    notes: list[str] = field(default_factory=list[str], init=False)
    """What the scorers had to say, one sentence each."""
    scored: dict[str, int] = field(default_factory=dict[str, int], init=False)
    """Responses scored in this run, by checkpoint (none for what the store had)."""

    def run(self, plans: Sequence[CheckpointPlan]) -> None:
        """Score every missing request of every plan, checkpoint by checkpoint.

        Checkpoints that other processes score are left to them and looked at again at the end.
        """
        todo = [plan for plan in plans if plan.missing(self.store)]
        if not todo:
            return
        claims = Claims(self.store.folder)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), disable=self.quiet) as progress:
            total = self._missing(todo)
            overall = progress.add_task(f"checkpoints: {len(todo)}", total=total)
            while todo := [
                plan
                for plan, following in zip(todo, [*todo[1:], None], strict=True)
                if not self._finish(plan, following, claims, progress, overall)
            ]:
                owners = sorted({claims.owner(plan.local.weights) for plan in todo})
                progress.update(overall, description=f"checkpoints: {len(todo)}, scored by {', '.join(owners)}")
                time.sleep(POLL_SECONDS)
                if self.store.refresh():
                    progress.update(overall, completed=total - self._missing(todo))

    def _finish(
        self,
        plan: CheckpointPlan,
        following: CheckpointPlan | None,
        claims: Claims,
        progress: Progress,
        overall: TaskID,
    ) -> bool:
        """Score what is missing of a plan unless another process does; returns whether nothing is missing any more."""
        claim = claims.take(plan.local.weights)
        if claim is None:
            return False
        with closing(claim):
            self.store.refresh()
            missing = len(plan.missing(self.store))
            if missing:
                bar = progress.add_task(plan.local.name, total=missing)
                scorer = self.open_scorer(plan.local)
                if following is not None:
                    Thread(target=_read_ahead, args=(following.local.path,), daemon=True).start()
                with closing(self.score(plan, scorer)) as batches:
                    for done in batches:
                        progress.advance(bar, done)
                        progress.advance(overall, done)
                        if not claim.held():
                            break
                self.take_notes(plan.local, scorer)
                del scorer, batches
                _free_memory()
        return not plan.missing(self.store)

    def take_notes(self, local: LocalCheckpoint, scorer: Scorer) -> None:
        """Keep what a checkpoint's scorer had to say."""
        self.notes += [f"{local.name}: {note}" for note in scorer.notes]

    def score(self, plan: CheckpointPlan, scorer: Scorer) -> Generator[int]:
        """Score and store what the store lacks of a plan; yields how many were scored since the last yield.

        The plan is cut into the same units whatever the store already has, and a unit is scored in one go, so that a
        run that was interrupted and continued gives the same bits as one that was not.
        """
        missing = plan.missing(self.store)
        chunk: dict[bytes, tuple[float, int]] = {}
        written = time.monotonic()
        try:
            for unit in work_units(plan.requests(), self.unit_tokens):
                keys = [key for key in unit if key in missing]
                values = np.zeros(len(keys))
                for batch, logprobs in scorer.score([missing[key] for key in keys]) if keys else ():
                    values[batch] = logprobs
                    yield len(batch)
                lengths = [len(missing[key].scored) for key in keys]
                chunk |= dict(zip(keys, zip(values.tolist(), lengths, strict=True), strict=True))
                self.scored[plan.local.name] = self.scored.get(plan.local.name, 0) + len(keys)
                if time.monotonic() - written > CHUNK_SECONDS:
                    self._write(plan.local, chunk)
                    chunk, written = {}, time.monotonic()
        finally:
            self._write(plan.local, chunk)

    def _write(self, local: LocalCheckpoint, chunk: dict[bytes, tuple[float, int]]) -> None:
        if chunk:
            values, lengths = zip(*chunk.values(), strict=True)
            self.store.append(list(chunk), values, lengths, local.name)

    def _missing(self, plans: Sequence[CheckpointPlan]) -> int:
        return sum(len(plan.missing(self.store)) for plan in plans)


def _read_ahead(folder: Path) -> None:
    """Bring the next checkpoint's weights from the disk into the system's cache while another one is scored."""
    for file in folder.glob("*.safetensors"):
        with suppress(OSError), file.open("rb") as stream:
            while stream.read(1 << 24):
                pass


def unit_tokens(device: str) -> int:
    """Tokens of a unit on a device."""
    return UNIT_TOKENS["cpu" if device == "cpu" else "accelerator"]


def work_units(requests: dict[bytes, ScoringRequest], tokens: int) -> Iterator[list[bytes]]:
    """Cut requests, sorted so that neighbours share prefixes, into runs of about so many tokens."""
    unit: list[bytes] = []
    size = 0
    before: tuple[int, ...] = ()
    for key in sorted(requests, key=lambda key: (requests[key].token_ids, key)):
        ids = requests[key].token_ids
        shared = next(
            (i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), min(len(before), len(ids))
        )
        if unit and size + len(ids) - shared > tokens:
            yield unit
            unit, size, shared = [], 0, 0
        unit.append(key)
        size += len(ids) - shared
        before = ids
    if unit:
        yield unit


def _free_memory() -> None:
    """Let the checkpoint just scored go before the next one is loaded."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
