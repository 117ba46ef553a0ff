"""Which unit goes to whom, without any worker."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cdr_eval.harness.running.unit_queue import QueuedJob, UnitQueue
from hypothesis import given
from hypothesis import strategies as st


@dataclass(frozen=True)
class Named:
    name: str

    def here(self) -> "Named":
        return self

    def open(self) -> Callable[[Any], Any]:
        return lambda unit: unit


def jobs(sizes: list[int]) -> Iterator[tuple[Named, Iterator[tuple[str, int]]]]:
    for number, size in enumerate(sizes):
        yield Named(str(number)), iter([(str(number), unit) for unit in range(size)])


@given(
    sizes=st.lists(st.integers(0, 6), max_size=5),
    workers=st.integers(1, 4),
    lost=st.sets(st.integers(0, 20)),
    choice=st.randoms(),
)
def test_each_unit_is_answered_once_by_workers_that_change_jobs_only_when_idle(
    sizes: list[int], workers: int, lost: set[int], choice: Any
):
    queue = UnitQueue(jobs(sizes))
    held: list[QueuedJob | None] = [None] * workers
    flights: list[list[Any]] = [[] for _ in range(workers)]
    answered: list[tuple[str, int]] = []
    step = 0
    while queue.wait(workers) or any(flights):
        for number in range(workers):
            counted = Counter(job for job in held if job is not None)
            unit = queue.next(held[number], not flights[number], counted)
            if unit is not None:
                assert held[number] in (None, unit.job) or not flights[number]
                held[number] = unit.job
                flights[number].append(unit)
        number = choice.choice([n for n in range(workers) if flights[n]])
        step += 1
        if step in lost:
            for unit in flights[number]:
                queue.put_back(unit)
            held[number], flights[number] = None, []
        else:
            answered.append(flights[number].pop(0).unit)
    assert sorted(answered) == [(str(job), unit) for job, size in enumerate(sizes) for unit in range(size)]


def test_two_workers_take_two_jobs_and_then_share_the_longer_one():
    queue = UnitQueue(jobs([1, 4]))
    first = queue.next(None, True, Counter())
    assert first is not None
    second = queue.next(None, True, Counter({first.job: 1}))
    assert second is not None
    assert (first.unit, second.unit) == (("0", 0), ("1", 0))
    counted = Counter({first.job: 1, second.job: 1})
    assert queue.next(first.job, False, counted) is None
    third = queue.next(first.job, True, counted)
    assert third is not None
    assert third.unit == ("1", 1)


def test_what_waits_is_spread_over_the_jobs_and_those_without_units_are_passed_over():
    queue = UnitQueue(jobs([0, 3, 0, 3]))
    assert queue.wait(2) == 2
    assert queue.wait(1) == 2
    one = queue.next(None, True, Counter())
    assert one is not None
    other = queue.next(None, True, Counter({one.job: 1}))
    assert other is not None
    assert {one.unit[0], other.unit[0]} == {"1", "3"}


def test_units_of_a_dropped_job_do_not_come_back():
    queue = UnitQueue(jobs([3]))
    unit = queue.next(None, True, Counter())
    assert unit is not None
    unit.job.drop()
    queue.put_back(unit)
    assert queue.wait(5) == 0
