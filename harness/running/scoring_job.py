"""A checkpoint to be scored in another process, of this machine or another."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...model_registry.checkpoint_files import LocalCheckpoint, localise_again
from ..scoring.protocol import Scorer
from .store import ScorerReport
from .this_process import ThisProcess, score_unit
from .work_units import ScorerSettings, WorkUnit


@dataclass(frozen=True, slots=True)
class ScoringJob:
    """See `Job`: a checkpoint and how it is scored."""

    settings: ScorerSettings
    local: LocalCheckpoint

    @property
    def name(self) -> str:
        """The checkpoint's."""
        return self.local.name

    def here(self) -> "ScoringJob":
        """The same with this machine's files."""
        load = self.settings.load
        return replace(self, local=localise_again(self.local, load.allow_pickle, load.trust_remote_code))

    def open(self) -> "OpenScorer":
        """Load the checkpoint."""
        return OpenScorer(ThisProcess(self.settings).open(self.local))


@dataclass(frozen=True, slots=True)
class OpenScorer:
    """A checkpoint in memory: from a unit to its log-probabilities and what the scorer said."""

    scorer: Scorer

    def __call__(self, unit: WorkUnit) -> tuple[NDArray[np.float64], ScorerReport]:
        """Score one unit."""
        scored = score_unit(self.scorer, unit)
        return scored.logprobs, scored.report

    @property
    def batch_tokens(self) -> int | None:
        """Most tokens of a pass; None where the scorer reads sequences one at a time."""
        return getattr(self.scorer, "batch_tokens", None)
