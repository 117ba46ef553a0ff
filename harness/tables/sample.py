"""A task's items as the arrays that statistics take, with the resamples that all of a run's intervals share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...tasks.task import Task
from ..rules import VALUES_AT_ONCE, Ruled, by_one_rule, chance_of, responses_of, ruled
from ..statistics import credits as rules
from ..statistics.arrays import Codes, Floats, Mask, chunks
from ..statistics.credits import Responses
from ..statistics.resampling import Bootstrap
from ..statistics.scopes import Scopes

Label = tuple[str, str, str]
"""Strong checkpoint, weak checkpoint (empty where the variant uses none), variant."""


@dataclass(frozen=True, slots=True)
class Credits:
    """Credits by the rule of each item, and what they would be by another view on ties."""

    value: Floats
    """(rows, n), NaN: unscored."""
    lost: Floats
    """The same if every tie were lost."""
    tied: Mask
    """Which rest on a tie."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rewards (rows, R) of all responses, NaN where unscored, become credits and margins (rows, n) of items here."""

    responses: Responses
    chars: Codes
    """(R,) characters of each response."""
    scopes: Scopes
    bootstrap: Bootstrap
    """Items that share a problem share a cluster; clusters are numbered in the order of their labels."""
    rules: tuple[Ruled, ...]
    """The items of each rule."""
    levels: Mapping[str, Ruled]
    """All items by the rule of each further level."""

    @classmethod
    def of(cls, task: Task, resamples: int, seed: int) -> "Sample":
        """The arrays of a task's items; bootstrap resamples are stratified by subset and clustered by problem."""
        items, responses = task.items, responses_of(task.items)
        scopes = Scopes.of(
            items.subsets, {section.name: section.counts for section in task.sections}, task.overall == "items"
        )
        number = {label: k for k, label in enumerate(sorted(set(items.clusters)))}
        clusters = np.array([number[label] for label in items.clusters], dtype=np.intp)
        levels = {name: by_one_rule(rule, responses) for name, rule in task.levels.items()}
        bootstrap = Bootstrap.of(clusters, scopes.subsets, resamples, seed)
        chars = items.chars.astype(np.intp)
        return cls(responses, chars, scopes, bootstrap, ruled(task, responses), levels)

    @property
    def clusters(self) -> Codes:
        """(n,) items of one number are not independent of each other."""
        return self.bootstrap.clusters

    def margins(self, rewards: Floats, rows: Sequence[int] | Codes | None = None) -> Floats:
        """Reward of the best acceptable response less that of the best other, (rows, n), of some rows or all."""
        return self._by_rows(lambda some: rules.margins(some, self.responses), rewards, rows)

    def credits(self, rewards: Floats, rows: Sequence[int] | Codes | None = None) -> Floats:
        """What each item earns by its rule, (rows, n), of some rows or all."""

        def work(some: Floats) -> Floats:
            result = np.empty((len(some), len(self.clusters)))
            for part in self.rules:
                result[:, part.items] = part.credits(some)
            return result

        return self._by_rows(work, rewards, rows)

    def with_ties(self, rewards: Floats, level: str | None = None) -> Credits:
        """Credits, by the items' own rules or that of a level, and what rests on ties in them."""
        shape = (len(rewards), len(self.clusters))
        found = Credits(np.empty(shape), np.empty(shape), np.empty(shape, dtype=bool))
        for part in self.rules if level is None else (self.levels[level],):
            for some in chunks(len(rewards), VALUES_AT_ONCE // max(rewards.shape[1], 1)):
                value = part.credits(rewards[some])
                lost, tied = part.ties(rewards[some], value)
                found.value[some, part.items], found.lost[some, part.items] = value, lost
                found.tied[some, part.items] = tied
        return found

    def chance(self, level: str | None = None) -> Floats:
        """The expected credit (n,) of each item for a random order of its responses."""
        result = np.empty(len(self.clusters))
        for part in self.rules if level is None else (self.levels[level],):
            result[part.items] = chance_of(part.rule, part.responses)
        return result

    @property
    def length_difference(self) -> Floats:
        """Mean characters of the acceptable responses less those of the others, (n,)."""
        right, wrong = self.mean_chars
        return right - wrong

    @property
    def mean_chars(self) -> tuple[Floats, Floats]:
        """Mean characters of the acceptable responses and of the others, (n,) each."""
        return rules.mean_chars(self.chars, self.responses)

    def _by_rows(self, work: Callable[[Floats], Floats], rewards: Floats, rows: Sequence[int] | Codes | None) -> Floats:
        """`work` on some rows at a time."""
        chosen = np.arange(len(rewards)) if rows is None else np.asarray(rows, dtype=np.intp)
        result = np.empty((len(chosen), len(self.clusters)))
        for some in chunks(len(chosen), VALUES_AT_ONCE // max(rewards.shape[1], 1)):
            result[some] = work(rewards[chosen[some]])
        return result
