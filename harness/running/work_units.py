"""Work units: the requests of one checkpoint that are scored in one go. They travel: data in, floats out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...model_registry.checkpoint_files import LocalCheckpoint
from ..scoring.load_options import LoadOptions
from .packed import PackedRequests
from .store import ScoreKeys, ScorerReport

UNIT_TOKENS = {"cpu": 8_192, "accelerator": 131_072}
"""Tokens scored in one go: some passes of the fast scorer, so that little is lost and prefixes are seldom repeated."""


@dataclass(frozen=True, slots=True)
class ScorerSettings:
    """What opens a scorer for a checkpoint, on whatever machine has its files."""

    scorer: str
    """Its name and arguments, as on the command line."""
    kind: str
    """Part of every score's key."""
    load: LoadOptions
    batch_tokens: int | None
    max_length: int | None
    urls: Mapping[str, str] = field(default_factory=dict[str, str])
    """Checkpoint → the address of its server, where servers are asked."""

    @property
    def unit_tokens(self) -> int:
        """Tokens of a work unit on the settings' device."""
        return UNIT_TOKENS["cpu" if self.load.device == "cpu" else "accelerator"]

    def keys(self, local: LocalCheckpoint) -> ScoreKeys:
        """What makes the keys of a checkpoint's scores."""
        return ScoreKeys(local.weights, self.load.numbers, self.kind)


@dataclass(frozen=True, slots=True, eq=False)
class WorkUnit:
    """A unit of a part; its requests are cut whatever the store has, so that a continued run gives the same bits."""

    part: int
    """The number that the runner knows the part by."""
    conversations: NDArray[np.intp]
    """The part's conversations that it answers."""
    requests: PackedRequests


@dataclass(frozen=True, slots=True, eq=False)
class ScoredUnit:
    """A unit's answer."""

    unit: WorkUnit
    logprobs: NDArray[np.float64]
    report: ScorerReport
    """What the scorer has had to say so far; kept before the scores are, so that nobody finds them without it."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointWork:
    """What one checkpoint is asked in a pass."""

    local: LocalCheckpoint
    units: Iterator[WorkUnit]
    """Rendered and claimed as they are taken; none where the store has everything."""
    following: LocalCheckpoint | None
    """The checkpoint that comes next."""


class Executor(Protocol):
    """Scores units somewhere: in this process, or on many machines."""

    @property
    def settings(self) -> ScorerSettings:
        """How checkpoints are opened."""
        ...

    @property
    def status(self) -> str:
        """What to show beside progress, such as how many workers there are."""
        ...

    @property
    def place(self) -> str:
        """Where units were scored so far, as the run record tells it."""
        ...

    def run(self, work: Iterator[CheckpointWork]) -> Iterator[ScoredUnit]:
        """Answer all units as they are done, in any order; several may be taken before one is answered.

        Nothing is opened for a checkpoint before its first unit comes. Raises UserError where a checkpoint does not
        open; what else is under way on other machines is finished first.
        """
        ...

    def release(self) -> None:
        """Let go of what is open, for others to use; the next unit opens it again."""
        ...


def cut_units(requests: PackedRequests, wanted: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Cut requests, sorted so that neighbours share prefixes, into runs of about so many tokens.

    `wanted` are the indices of distinct requests; a shared prefix counts once in each run.
    """
    unit: list[int] = []
    size = 0
    before = np.empty(0, dtype=np.int32)
    for index in sorted(wanted, key=lambda i: (requests.tokens(i).astype(">i4").tobytes(), i)):
        ids = requests.tokens(index)
        common = min(len(before), len(ids))
        differing = np.flatnonzero(before[:common] != ids[:common])
        shared = int(differing[0]) if len(differing) else common
        if unit and size + len(ids) - shared > tokens:
            yield unit
            unit, size, shared = [], 0, 0
        unit.append(index)
        size += len(ids) - shared
        before = ids
    if unit:
        yield unit
