"""Scoring with a model that is spread over several processes of this machine."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from transformers import AutoConfig

from ...errors import UserError
from ...model_registry.checkpoint_files import LocalCheckpoint
from .rank_group import OutOfMemory, RankGroup, RankLostError
from .scoring_job import ScoringJob
from .store import ScorerReport
from .work_units import CheckpointWork, ScoredUnit, ScorerSettings, WorkUnit

_HEADS = {"num_attention_heads": "attention heads", "num_key_value_heads": "key-value heads"}


class TensorParallel:
    """See `Executor`: the model's layers are cut as transformers plans it; ranks compute the same passes together.

    A rank that runs out of memory would leave the others waiting, so that all are started again with half the tokens.
    """

    status = ""

    def __init__(self, settings: ScorerSettings) -> None:
        self.settings = settings
        self._count = settings.load.tensor_parallel
        self._group = RankGroup(self._count, settings.load.device)
        self._notes: list[str] = []

    @property
    def place(self) -> str:
        """How many processes share a model."""
        return f"each model over {self._count} processes"

    def run(self, work: Iterator[CheckpointWork]) -> Iterator[ScoredUnit]:
        """See `Executor.run`."""
        try:
            for asked in work:
                first = next(asked.units, None)
                if first is not None:
                    check_divides(asked.local, self._count, self.settings.load.trust_remote_code)
                    yield from self._scored(asked, first)
        finally:
            self.release()

    def release(self) -> None:
        """See `Executor.release`."""
        self._group.close()

    def _scored(self, asked: CheckpointWork, first: WorkUnit) -> Iterator[ScoredUnit]:
        self._notes = []
        settings = self.settings
        try:
            self._open(ScoringJob(settings, asked.local))
            unit: WorkUnit | None = first
            while unit is not None:
                answer = self._group.answer(unit)
                if isinstance(answer, OutOfMemory):
                    settings = self._halved(settings, answer.tokens)
                    self._group.close()
                    self._open(ScoringJob(settings, asked.local))
                    continue
                logprobs, report = answer
                yield ScoredUnit(unit, logprobs, ScorerReport([*report.notes, *self._notes], report.trial))
                unit = next(asked.units, None)
        except RankLostError as error:
            raise UserError(
                f"One of the {self._count} processes that share {asked.local.name} was lost: {error}; run the same "
                "command again, which keeps every score written so far."
            ) from error

    def _open(self, job: ScoringJob) -> None:
        if self._group.open(job) is not None:
            raise UserError(f"Memory runs out while {job.name} is opened: pass a larger --tensor-parallel.")

    def _halved(self, settings: ScorerSettings, tokens: int | None) -> ScorerSettings:
        """The same with half the tokens of a pass. Raises UserError where they cannot be halved."""
        if tokens is None or tokens == 1:
            what = "with one sequence" if tokens is None else "at one token"
            raise UserError(f"Memory runs out {what} a forward pass: pass a larger --tensor-parallel.")
        self._notes.append(f"Memory ran out at {tokens} tokens a forward pass; it went on with {tokens // 2}.")
        return replace(settings, batch_tokens=tokens // 2)


def check_divides(local: LocalCheckpoint, count: int, trust_remote_code: bool) -> None:
    """Raise UserError where transformers cannot spread a checkpoint evenly over so many processes."""
    auto: Any = AutoConfig
    whole: Any = auto.from_pretrained(local.path, trust_remote_code=trust_remote_code)
    config = whole.get_text_config()
    if not getattr(config, "base_model_tp_plan", None):
        raise UserError(
            f"transformers has no plan for spreading {local.name} ({config.model_type}): leave --tensor-parallel out."
        )
    for name, told in _HEADS.items():
        heads = getattr(config, name, None) or count
        if heads % count:
            raise UserError(
                f"{local.name} has {heads} {told}, which {count} processes cannot share evenly: pass a "
                f"--tensor-parallel that divides {heads}."
            )
