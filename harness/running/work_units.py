"""Work units: the requests of one checkpoint that are scored in one go. They travel: data in, floats out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...model_registry.checkpoint_files import LocalCheckpoint
from ..scoring.loading import LoadOptions
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

    @property
    def unit_tokens(self) -> int:
        """Tokens of a work unit on the settings' device."""
        return UNIT_TOKENS["cpu" if self.load.device == "cpu" else "accelerator"]

    def keys(self, local: LocalCheckpoint) -> ScoreKeys:
        """What makes the keys of a checkpoint's scores."""
        return ScoreKeys(local.weights, self.load.dtype, self.kind)


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


class Executor(Protocol):
    """Scores units somewhere: in this process, or in many."""

    def score(self, local: LocalCheckpoint, units: Iterator[WorkUnit], following: Path | None) -> Iterator[ScoredUnit]:
        """Answer units as they are done, in any order; several may be taken before one is answered.

        Nothing is opened before the first unit comes. `following` is the folder of the checkpoint that comes next.
        """
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
