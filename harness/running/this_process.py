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


@dataclass(slots=True)
class ThisProcess:
    """See `Executor`."""

    settings: ScorerSettings
    keep: bool = False
    """Leave a checkpoint open until another one is asked, or `release` is called."""
    _opened: tuple[tuple[str, str], Scorer] | None = None

    def open(self, local: LocalCheckpoint) -> Scorer:
        """The checkpoint's scorer. Raises UserError where it does not load."""
        s = self.settings
        return scorer_opener(s.scorer, s.load, s.batch_tokens, s.max_length)[1](local)

    def score(self, local: LocalCheckpoint, units: Iterator[WorkUnit], following: Path | None) -> Iterator[ScoredUnit]:
        """See `Executor.score`."""
        first = next(units, None)
        if first is None:
            return
        name = (local.name, local.weights)
        if self._opened is None or self._opened[0] != name:
            self.release()
            self._opened = (name, self.open(local))
        scorer = self._opened[1]
        if following is not None:
            Thread(target=_read_ahead, args=(following,), daemon=True).start()
        try:
            yield score_unit(scorer, first)
            for unit in units:
                yield score_unit(scorer, unit)
        finally:
            del scorer
            if not self.keep:
                self.release()

    def release(self) -> None:
        """Let the checkpoint go that is open, before the next one is loaded."""
        self._opened = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


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
