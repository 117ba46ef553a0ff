"""A checkpoint to be scored in another process, of this machine or another."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...model_registry.checkpoint_files import LocalCheckpoint, localise_again
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

    def open(self) -> Callable[[WorkUnit], tuple[NDArray[np.float64], ScorerReport]]:
        """Load the checkpoint; the function returned gives a unit's log-probabilities and what the scorer said."""
        scorer = ThisProcess(self.settings).open(self.local)

        def answer(unit: WorkUnit) -> tuple[NDArray[np.float64], ScorerReport]:
            scored = score_unit(scorer, unit)
            return scored.logprobs, scored.report

        return answer
