"""Workers on a Ray cluster: each holds one job's checkpoint, has a few units in flight, and is replaced when lost."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...errors import UserError
from ..scoring.load_options import LoadOptions
from .ray_cluster import RayCluster, import_ray, machine_problem, set_threads, versions, worker_ask
from .this_process import free_memory
from .unit_queue import Job, Jobs, QueuedJob, QueuedUnit, UnitQueue

IN_FLIGHT = 2
"""Units of a worker at a time: while one is answered the next is there."""
MOST_LOSSES = 3
"""A unit that so many workers were lost with is the reason, or its checkpoint is."""
LOST_SECONDS = 60.0
"""How long a run waits for a machine when the cluster has none left that a worker fits on."""
BUSY_SECONDS = 1800.0
"""How long it waits while others use all of the cluster."""
_LOOK_SECONDS = 2.0
_PASSED_ON = ("HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM")


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A job cannot be done, for a reason that a user can mend."""

    sentence: str


class Worker:
    """A process on some machine; holds the job that it was asked last."""

    def __init__(self, expected: Mapping[str, str], load: LoadOptions, cpus: int) -> None:
        self._problem = machine_problem(expected, load)
        self._held: tuple[int, Any] | None = None
        set_threads(cpus)

    def problem(self) -> str | None:
        """Why it cannot work, as a sentence."""
        return self._problem

    def answer(self, number: int, job: list[Any], unit: Any) -> Any:
        """The answer of the job of this number, which is in Ray's store; a `_Refusal` for a UserError."""
        try:
            if self._held is None or self._held[0] != number:
                self._held = None
                free_memory()
                asked: Job = import_ray().get(job[0])
                self._held = number, asked.here().open()
            return self._held[1](unit)
        except UserError as error:
            return _Refusal(str(error))
        except (RuntimeError, MemoryError) as error:
            from ..scoring.memory import is_out_of_memory, out_of_memory

            if not is_out_of_memory(error):
                raise
            return _Refusal(out_of_memory("it"))


@dataclass(slots=True, eq=False)
class _Hired:
    """A worker as the driver knows it."""

    actor: Any
    ready: bool = False
    held: QueuedJob | None = None
    flights: int = 0


_Flight = tuple[_Hired, QueuedUnit | None]
"""Whose call it is, and the unit; None for the first question, whether it can work."""


class RayPool:
    """Does the units of jobs on the workers of a cluster. Raises UserError for what a user can mend."""

    def __init__(self, cluster: RayCluster, load: LoadOptions) -> None:
        self._ray, self._cluster, self._ask = cluster.ray, cluster, worker_ask(load)
        self.load = load
        self._workers: list[_Hired] = []
        self._flights: dict[Any, _Flight] = {}
        self._places: dict[QueuedJob, tuple[int, Any]] = {}
        """Each job's number and its place in Ray's store."""
        self._numbers = self._failed_starts = 0
        self._room, self._looked, self._alive = 0, 0.0, 0.0
        self.most = 0
        """Most workers at a time so far."""

    @property
    def status(self) -> str:
        """How many workers there are, in words."""
        ready = sum(worker.ready for worker in self._workers)
        coming = len(self._workers) - ready
        return f"{ready} workers" + (f", {coming} waiting for a place" if coming else "")

    @property
    def place(self) -> str:
        """The same of the whole run, for its record."""
        return f"Ray, {self.most} workers at most" if self.most else "Ray, no worker needed"

    def run(self, jobs: Jobs) -> Iterator[tuple[Job, Any, Any]]:
        """(job, unit, answer) as they come.

        A job that is refused is named at once, the others go on, and at the end the refusals are raised.
        """
        queue = UnitQueue(jobs)
        refused: dict[str, str] = {}
        self._alive = time.monotonic()
        try:
            while self._hire(queue) or any(unit for _, unit in self._flights.values()):
                self._hand_out(queue)
                self._check_alive()
                for flight in self._done():
                    worker, unit = self._flights.pop(flight)
                    answer = self._landed(flight, worker, unit, queue)
                    if unit is None or unit.job.dropped or answer is None:
                        continue
                    if isinstance(answer, _Refusal):
                        refused[unit.job.job.name] = answer.sentence
                        unit.job.drop()
                        print(f"{unit.job.job.name}: {answer.sentence}", file=sys.stderr)
                    else:
                        yield unit.job.job, unit.unit, answer
        except BaseException:
            self.release()
            raise
        self._places.clear()
        if refused:
            raise UserError(" ".join(f"{name}: {sentence}" for name, sentence in refused.items()))

    def release(self) -> None:
        """End all workers."""
        for worker in self._workers:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(worker.actor, no_restart=True)
        self._workers, self._flights = [], {}
        self._places.clear()

    def _done(self) -> list[Any]:
        """Calls that have come back; waits a little for the first."""
        if not self._flights:
            time.sleep(_LOOK_SECONDS)
            return []
        done, _ = self._ray.wait(list(self._flights), num_returns=1, timeout=_LOOK_SECONDS)
        return done

    def _hire(self, queue: UnitQueue) -> int:
        """Start as many workers as there are units and places for; returns how many units wait."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._room, self._looked = self._cluster.room(self._ask), time.monotonic()
        waiting = queue.wait(max(1, self._room))
        for _ in range(min(waiting, self._room) - len(self._workers)):
            self._workers.append(worker := _Hired(self._start()))
            self._flights[worker.actor.problem.remote()] = worker, None
        return waiting

    def _start(self) -> Any:
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        threads = {"OMP_NUM_THREADS": str(self._ask.cpus)} if not self._ask.gpus else {}
        actor = self._ray.remote(Worker).options(
            num_cpus=self._ask.cpus,
            num_gpus=self._ask.gpus,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": {**passed, **threads}},
        )
        return actor.remote(versions(), self.load, self._ask.cpus)

    def _hand_out(self, queue: UnitQueue) -> None:
        """Give each worker that has few units the next ones."""
        held = Counter(worker.held for worker in self._workers if worker.held is not None)
        for _ in range(IN_FLIGHT):
            for worker in self._workers:
                if not worker.ready or worker.flights >= IN_FLIGHT:
                    continue
                unit = queue.next(worker.held, worker.flights == 0, held)
                if unit is not None:
                    if unit.job is not worker.held:
                        held.subtract([worker.held] if worker.held is not None else [])
                        held[unit.job] += 1
                    self._send(worker, unit)

    def _send(self, worker: _Hired, unit: QueuedUnit) -> None:
        worker.held = unit.job
        worker.flights += 1
        if unit.job not in self._places:
            self._numbers += 1
            self._places[unit.job] = self._numbers, self._ray.put(unit.job.job)
        number, place = self._places[unit.job]
        self._flights[worker.actor.answer.remote(number, [place], unit.unit)] = worker, unit

    def _landed(self, flight: Any, worker: _Hired, unit: QueuedUnit | None, queue: UnitQueue) -> Any:
        """A call's answer; None where the worker was lost, whose unit then comes again."""
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(flight)
        except errors.RayTaskError as error:
            raise error.as_instanceof_cause() from error
        except errors.RayError as error:
            self._lost(worker)
            if unit is None:
                self._failed_starts += 1
                if self._failed_starts < MOST_LOSSES:
                    return None
                raise UserError(f"Workers do not start on the Ray cluster: {_cause(error)}.") from error
            queue.put_back(unit)
            if unit.losses < MOST_LOSSES:
                return None
            return _Refusal(
                f"{MOST_LOSSES} workers were lost with one and the same unit, the last because {_cause(error)}; most "
                "often memory ran out: lower --batch-tokens or give workers more."
            )
        self._alive = time.monotonic()
        if unit is None:
            if answer is not None:
                raise UserError(answer)
            worker.ready, self._failed_starts = True, 0
            self.most = max(self.most, sum(each.ready for each in self._workers))
        else:
            worker.flights -= 1
        return answer

    def _lost(self, worker: _Hired) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(worker.actor, no_restart=True)
        self._looked = 0.0

    def _check_alive(self) -> None:
        """Raise UserError where nobody has answered for long and nobody is there who will."""
        if any(worker.ready for worker in self._workers):
            return
        now = time.monotonic()
        patience = BUSY_SECONDS if self._room else LOST_SECONDS if self.most else 0.0
        if now - self._alive >= patience:
            what = f"that has {self._ask} is" if patience else f"has {self._ask}"
            lasting = f" {'free' if self._room else 'left'} for {patience:.0f} seconds" if patience else ""
            raise UserError(
                f"No machine of the Ray cluster {what}{lasting}: add one with `ray start` and run the same command "
                "again, which keeps every score written so far."
            )


def _cause(error: BaseException) -> str:
    """What Ray says of a worker's end, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    missing = next((line for line in lines if "No module named" in line), None)
    told = missing or next((line for line in lines if "because" in line), lines[-1] if lines else type(error).__name__)
    return told[:300].rstrip(".")
