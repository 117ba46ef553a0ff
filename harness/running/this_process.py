"""Scoring in this process, one checkpoint in memory at a time."""

import gc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Thread

import numpy as np

from ...errors import CheckpointError
from ...model_registry.checkpoint_files import LocalCheckpoint
from ..scoring.open_models import OpenModels
from ..scoring.opening import scorer_opener
from ..scoring.protocol import Scorer
from .work_units import CheckpointWork, ScoredUnit, ScorerReport, ScorerSettings, WorkUnit


@dataclass(slots=True)
class ThisProcess:
    """See `Executor`."""

    settings: ScorerSettings
    keep: bool = False
    """Leave a checkpoint open until another one is asked, or `release` is called."""
    status: str = ""
    place: str = "this process"
    _opened: tuple[tuple[str, str], Scorer] | None = None
    _models: OpenModels = field(default_factory=OpenModels)

    def run(self, work: Iterator[CheckpointWork]) -> Iterator[ScoredUnit]:
        """See `Executor.run`: one checkpoint after another."""
        for asked in work:
            yield from self.score(asked.local, asked.units, asked.following)

    def open(self, local: LocalCheckpoint) -> Scorer:
        """The checkpoint's scorer. Raises UserError where it does not load."""
        s = self.settings
        return scorer_opener(s.scorer, s.load, s.batch_tokens, s.max_length, self._models, s.urls)[1](local)

    def score(
        self, local: LocalCheckpoint, units: Iterator[WorkUnit], following: LocalCheckpoint | None
    ) -> Iterator[ScoredUnit]:
        """Answer one checkpoint's units; the model stays where `following`, the next one, is another adapter on it."""
        try:
            for unit in units:
                yield score_unit(self._scorer(local, following), unit)
        except (RuntimeError, MemoryError) as error:
            from ..scoring.memory import is_out_of_memory, out_of_memory

            if not is_out_of_memory(error):
                raise
            raise CheckpointError(local.name, out_of_memory(local.name)) from error
        finally:
            if not self.keep:
                if self._models.serves(following):
                    self._opened = None
                else:
                    self.release()

    def _scorer(self, local: LocalCheckpoint, following: LocalCheckpoint | None) -> Scorer:
        """The checkpoint's scorer, opened with its first unit."""
        name = (local.name, local.weights)
        if self._opened is None or self._opened[0] != name:
            self._opened = None
            self._opened = (name, self.open(local))
            if following is not None and not self._models.serves(following):
                Thread(target=_read_ahead, args=(following.whole.path,), daemon=True).start()
        return self._opened[1]

    def release(self) -> None:
        """Let the checkpoint go that is open, before the next one is loaded."""
        if self._opened is not None or self._models.held:
            self._opened = None
            self._models.release()


def free_memory() -> None:
    """Give back what no model uses any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def score_unit(scorer: Scorer, unit: WorkUnit) -> ScoredUnit:
    """All of a unit's log-probabilities, and what the scorer has had to say."""
    from ..scoring.shared_prefix import SharedPrefixScorer

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
