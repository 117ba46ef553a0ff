"""Scoring on Ray: the driver renders, claims and writes the store; workers hold a checkpoint and return floats."""

from collections.abc import Iterator

from .ray_pool import RayPool
from .scoring_job import ScoringJob
from .unit_queue import Jobs
from .work_units import CheckpointWork, ScoredUnit, ScorerSettings


class RayWorkers:
    """See `Executor`."""

    def __init__(self, settings: ScorerSettings, pool: RayPool) -> None:
        self.settings, self._pool = settings, pool

    @property
    def status(self) -> str:
        """How many workers there are."""
        return self._pool.status

    @property
    def place(self) -> str:
        """How many workers there were."""
        return self._pool.place

    def run(self, work: Iterator[CheckpointWork]) -> Iterator[ScoredUnit]:
        """See `Executor.run`."""
        jobs: Jobs = ((ScoringJob(self.settings, asked.local), asked.units) for asked in work)
        for _, unit, (logprobs, report) in self._pool.run(jobs):
            yield ScoredUnit(unit, logprobs, report)

    def release(self) -> None:
        """See `Executor.release`."""
        self._pool.release()
