"""Which unit a worker gets next: the units of several jobs, for workers that each hold one job at a time."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol


class Job(Protocol):
    """What a worker opens once and then asks unit after unit. It travels: plain data, as its units and answers are."""

    @property
    def name(self) -> str:
        """The checkpoint's."""
        ...

    def here(self) -> "Job":
        """The same with the files of the machine that this runs on. Raises UserError where they are not there."""
        ...

    def open(self) -> Callable[[Any], Any]:
        """From a unit to its answer. Raises UserError where it does not open."""
        ...


Jobs = Iterable[tuple[Job, Iterator[Any]]]


class QueuedJob:
    """A job under way."""

    def __init__(self, job: Job, units: Iterator[Any]) -> None:
        self.job = job
        self.waiting: deque[QueuedUnit] = deque()
        self.dropped = False
        """Whether what is left of it is not wanted any more."""
        self._units = units

    def draw(self) -> bool:
        """Let one more unit wait; False where the job has no more."""
        for unit in self._units:
            self.waiting.append(QueuedUnit(self, unit))
            return True
        return False

    def take(self) -> "QueuedUnit | None":
        """The next unit, those first that came back."""
        return self.waiting.popleft() if self.waiting or self.draw() else None

    def drop(self) -> None:
        """Forget the units that nobody has yet."""
        self.dropped = True
        self.waiting.clear()
        self._units = iter(())


@dataclass(slots=True, eq=False)
class QueuedUnit:
    """A unit of a job."""

    job: QueuedJob
    unit: Any
    losses: int = 0
    """Workers that were lost while they had it."""


class UnitQueue:
    """The units of jobs, drawn as workers need them."""

    def __init__(self, jobs: Jobs) -> None:
        self._coming = iter(jobs)
        self._open: list[QueuedJob] = []

    def wait(self, count: int) -> int:
        """Let up to so many units wait, spread over the jobs; returns how many do."""
        drawn = True
        while drawn and self._waiting() < count:
            by_need = sorted(self._open, key=lambda job: len(job.waiting))
            drawn = self._begin() or any(job.draw() for job in by_need)
        return self._waiting()

    def next(self, held: QueuedJob | None, idle: bool, workers: Counter[QueuedJob]) -> QueuedUnit | None:
        """The next unit for a worker that holds a job: of that job, or of another one if the worker is idle.

        Of others, a job that no worker holds comes first, then the one that the fewest hold (`workers`).
        """
        unit = held.take() if held is not None else None
        if unit is not None or not idle:
            return unit
        if all(workers[job] for job in self._open):
            self._begin()
        others = sorted(self._open, key=lambda job: workers[job])
        return next((unit for job in others if (unit := job.take()) is not None), None)

    def put_back(self, unit: QueuedUnit) -> None:
        """A unit whose worker was lost comes first again."""
        unit.losses += 1
        if not unit.job.dropped:
            unit.job.waiting.appendleft(unit)

    def _waiting(self) -> int:
        return sum(len(job.waiting) for job in self._open)

    def _begin(self) -> bool:
        """Start the next job that has a unit at all."""
        for job, units in self._coming:
            queued = QueuedJob(job, units)
            if queued.draw():
                self._open.append(queued)
                return True
        return False
