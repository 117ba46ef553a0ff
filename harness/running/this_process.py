"""Scoring in this process, one checkpoint in memory at a time."""

import gc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread

import numpy as np
import torch

from ...model_registry.checkpoint_files import LocalCheckpoint
from ..scoring.opening import scorer_opener
from ..scoring.protocol import Scorer
from ..scoring.shared_prefix import SharedPrefixScorer
from .work_units import ScoredUnit, ScorerReport, ScorerSettings, WorkUnit


@dataclass(frozen=True, slots=True)
class ThisProcess:
    """See `Executor`."""

    settings: ScorerSettings

    def open(self, local: LocalCheckpoint) -> Scorer:
        """The checkpoint's scorer. Raises UserError where it does not load."""
        s = self.settings
        return scorer_opener(s.scorer, s.load, s.batch_tokens, s.max_length)[1](local)

    def score(self, local: LocalCheckpoint, units: Iterator[WorkUnit], following: Path | None) -> Iterator[ScoredUnit]:
        """See `Executor.score`."""
        first = next(units, None)
        if first is None:
            return
        scorer = self.open(local)
        if following is not None:
            Thread(target=_read_ahead, args=(following,), daemon=True).start()
        try:
            yield score_unit(scorer, first)
            for unit in units:
                yield score_unit(scorer, unit)
        finally:
            del scorer
            _free_memory()


def score_unit(scorer: Scorer, unit: WorkUnit) -> ScoredUnit:
    """All of a unit's log-probabilities, and what the scorer has had to say."""
    values = np.zeros(len(unit.requests))
    for batch, logprobs in scorer.score(unit.requests.unpacked()):
        values[batch] = logprobs
    trial = asdict(scorer.trial) if isinstance(scorer, SharedPrefixScorer) else {}
    return ScoredUnit(unit, values, ScorerReport(list(scorer.notes), trial))


def _read_ahead(folder: Path) -> None:
    """Bring the next checkpoint's weights from the disk into the system's cache while another one is scored."""
    for file in folder.glob("*.safetensors"):
        with suppress(OSError), file.open("rb") as stream:
            while stream.read(1 << 24):
                pass


def _free_memory() -> None:
    """Let the checkpoint just scored go before the next one is loaded."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
