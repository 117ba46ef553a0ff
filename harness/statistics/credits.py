"""What a benchmark's rule gives each item for the rewards of its responses, and what it gives a random order.

Shapes: n items, R responses in all, flat in the order of the items; rewards (rows, R), NaN where unscored. Credits
are (rows, n), NaN where a response that the rule needs is unscored. `graded` are the responses whose grade is not
NaN, `acceptable` those of them whose grade is the highest of their item, `others` the rest. Sources: RewardBench 2
(rewardbench/utils.py), RM-Bench (scripts/utils.py), RewardMATH, Preference Proxy Evaluations (best of k).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .arrays import Codes, Floats, Mask

Level = str
"""Which comparisons of a matrix count: "" all; "hard", "normal", "easy"; or "i>j", right in style i and wrong in j."""
TIES_DRAWS: Final = 4096


@dataclass(frozen=True)
class Responses:
    """What is known of the responses of n items: plain arrays."""

    counts: Codes
    """(n,) responses of each item, 1 or more."""
    grades: Floats
    """(R,) higher is better, equal is a tie, NaN: not to be compared."""
    styles: Codes
    """(R,) a number for each style, where a rule goes by style."""
    groups: tuple[str, ...]
    """(n,) empty where an item belongs to none."""
    roles: tuple[str, ...]
    """(n,) what an item is in its group: "ref" or "tied"."""
    pairs: Mapping[int, tuple[tuple[int, int], ...]]
    """Item → the comparisons that count, as places within the item, where not all do."""

    @cached_property
    def starts(self) -> Codes:
        """(n,) where each item's responses start."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def owners(self) -> Codes:
        """(R,) the item of each response."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def graded(self) -> Mask:
        """(R,)"""
        return ~np.isnan(self.grades)

    @cached_property
    def acceptable(self) -> Mask:
        """(R,)"""
        grade = np.where(self.graded, self.grades, -np.inf)
        return self.graded & (grade == np.maximum.reduceat(grade, self.starts)[self.owners])

    @cached_property
    def others(self) -> Mask:
        """(R,)"""
        return self.graded & ~self.acceptable

    def sums(self, values: NDArray[Any]) -> Floats:
        """(n,) sums over the responses of each item, of a mask or numbers (R,)."""
        return np.add.reduceat(values, self.starts, dtype=np.float64)

    def of_items(self, items: Codes) -> tuple["Responses", Codes]:
        """The responses of some items, given in increasing order, and their places among all."""
        chosen: list[int] = items.tolist()
        number = {item: k for k, item in enumerate(chosen)}
        inside = np.isin(self.owners, items)
        left = Responses(
            self.counts[items],
            self.grades[inside],
            self.styles[inside],
            tuple(self.groups[i] for i in number),
            tuple(self.roles[i] for i in number),
            {number[i]: pairs for i, pairs in self.pairs.items() if i in number},
        )
        return left, np.flatnonzero(inside)


def credit(margin: Floats, tie: float = 0.5) -> Floats:
    """1 for a margin above 0, 0 for one below, `tie` for none, NaN for an unscored item."""
    right = (np.sign(margin) + 1) / 2
    return right if tie == 0.5 else np.where(margin == 0, tie, right)


def best(rewards: Floats, responses: Responses) -> Floats:
    """The share of acceptable ones among the graded responses of highest reward."""
    r = responses
    tied = (rewards == _largest(rewards, r.graded, r)[:, r.owners]) & r.graded
    right = np.add.reduceat(tied & r.acceptable, r.starts, axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return right / np.add.reduceat(tied, r.starts, axis=1, dtype=np.float64)


def strict(rewards: Floats, responses: Responses, tie: float) -> Floats:
    """1 where every acceptable response has a higher reward than every other, `tie` where the closest two tie."""
    r = responses
    return credit(-_largest(-rewards, r.acceptable, r) - _largest(rewards, r.others, r), tie)


def mrr(rewards: Floats, responses: Responses) -> Floats:
    """1 / (1 + how many others have at least the reward of the best acceptable response); a tie ranks them first."""
    r = responses
    best_right = _largest(rewards, r.acceptable, r)[:, r.owners]
    above = np.add.reduceat((rewards >= best_right) & r.others, r.starts, axis=1, dtype=np.float64)
    needed = np.add.reduceat(np.isnan(rewards) & r.graded, r.starts, axis=1) > 0
    return np.where(needed, np.nan, 1 / (1 + above))


def mrr_chance(responses: Responses) -> Floats:
    """Σ_k P(k others stand above the best acceptable one) / (1 + k), P by falling factorials of random orders."""
    right, wrong = responses.sums(responses.acceptable), responses.sums(responses.others)
    result, top = np.zeros(len(right)), np.ones(len(right))
    for k in range(int(wrong.max(initial=0)) + 1):
        following = top * np.clip(wrong - k, 0, None) / np.maximum(wrong + right - k, 1)
        result += (top - following) / (1 + k)
        top = following
    return result


def pairwise(rewards: Floats, responses: Responses, tie: float) -> Floats:
    """Mean over the comparisons that count: 1 where the better response has the higher reward, `tie` at a tie."""
    return _compared(rewards, responses, tie, "")


def matrix(rewards: Floats, responses: Responses, level: Level, tie: float) -> Floats:
    """Mean over the comparisons of a level: a better response of a plainer style (hard), of the same, of a richer one.

    The empty level takes all. Styles are numbered from plain to rich.
    """
    return _compared(rewards, responses, tie, level)


def best_of(rewards: Floats, responses: Responses, k: int) -> Floats:
    """The expected grade of the response of highest reward among k drawn at random without replacement.

    Σ_j g_(j) C(N - j, k - 1) / C(N, k) with responses sorted by falling reward, grades averaged over tied ones. k = 0,
    or more than an item has, takes all. Raises ValueError for grades outside [0, 1].
    """
    if out_of_range(responses).any():
        raise ValueError("best_of takes grades from 0 to 1")
    kept, item = np.flatnonzero(responses.graded), responses.owners[responses.graded]
    n, weights = len(responses.counts), _order_weights(responses.sums(responses.graded), k)
    credits = np.empty((len(rewards), n))
    for row, reward in enumerate(rewards[:, kept]):
        order = np.lexsort((-reward, item))
        ordered, grade = reward[order], responses.grades[kept[order]]
        run = np.flatnonzero(np.append(True, (item[1:] != item[:-1]) | (ordered[1:] != ordered[:-1])))
        size = np.diff(np.append(run, len(order)))
        expected = np.add.reduceat(weights, run) * np.add.reduceat(grade, run) / size
        credits[row] = np.bincount(item[run], expected, minlength=n)
        credits[row, item[np.isnan(reward)]] = np.nan
    return credits


def ties(rewards: Floats, responses: Responses) -> Floats:
    """RewardBench 2's credit of a group of two items, one with one right answer (ref), one with several (tied).

    gap = min right - max wrong, spread = max right - min right, hard = the smaller gap of the two items:
    0.3 [gap_tied > 0] + 0.3 [gap_ref > 0] + 0.2 [gap_tied > spread_tied] + 0.2 [hard > spread_tied]
    + 0.01 tanh(hard / spread_tied - 1), the last 0 where undefined: from -0.01 to 1.01, as published. Both items of a
    group get its credit.
    """
    r = responses
    lowest = -_largest(-rewards, r.acceptable, r)
    gap, spread = lowest - _largest(rewards, r.others, r), _largest(rewards, r.acceptable, r) - lowest
    ref, tied = groups_of_two(r).T
    hard, apart = np.minimum(gap[:, ref], gap[:, tied]), spread[:, tied]
    with np.errstate(invalid="ignore", divide="ignore"):
        nearness = np.nan_to_num(np.tanh(hard / apart - 1))
    earned = 0.3 * (gap[:, tied] > 0) + 0.3 * (gap[:, ref] > 0)
    earned = earned + 0.2 * (gap[:, tied] > apart) + 0.2 * (hard > apart) + 0.01 * nearness
    credits = np.full(gap.shape, np.nan)
    credits[:, ref] = credits[:, tied] = np.where(np.isnan(hard), np.nan, earned)
    return credits


def best_chance(responses: Responses) -> Floats:
    """|acceptable| / |graded|, (n,)."""
    return responses.sums(responses.acceptable) / responses.sums(responses.graded)


def pairwise_chance(responses: Responses) -> Floats:
    """One half, of `pairwise` and `matrix`: (n,)."""
    return np.full(len(responses.counts), 0.5)


def strict_chance(responses: Responses) -> Floats:
    """1 / C(graded, acceptable), (n,)."""
    right, wrong = responses.sums(responses.acceptable), responses.sums(responses.others)
    most = int(right.max(initial=0))
    steps = np.arange(1, most + 1)
    factors = np.where(steps <= right[:, None], steps / (wrong[:, None] + steps), 1.0)
    return factors.prod(axis=1)


def best_of_chance(responses: Responses) -> Floats:
    """The mean grade, (n,)."""
    return responses.sums(np.where(responses.graded, responses.grades, 0.0)) / responses.sums(responses.graded)


def ties_chance(responses: Responses) -> Floats:
    """The mean credit of TIES_DRAWS draws of independent normal rewards (seed 0), (n,): its terms go by distances,
    so that it has no closed form; the standard error of a group is below 0.01."""
    rng, total = np.random.default_rng(0), np.zeros(len(responses.counts))
    for _ in range(TIES_DRAWS // 64):
        total += ties(rng.normal(size=(64, len(responses.grades))), responses).sum(axis=0)
    return total / TIES_DRAWS


def margins(rewards: Floats, responses: Responses) -> Floats:
    """Reward of the best acceptable response less that of the best other, (rows, n); NaN where a graded one has none.

    Of two responses with grades 1 and 0 the difference of their rewards. Without others it is infinite.
    """
    r = responses
    return _largest(rewards, r.acceptable, r) - _largest(rewards, r.others, r)


def mean_chars(chars: Codes, responses: Responses) -> tuple[Floats, Floats]:
    """Mean characters (n,) of the acceptable responses and of the others, of chars (R,); NaN where there are none."""
    r = responses
    with np.errstate(invalid="ignore"):
        right, wrong = (r.sums(chars * mask) / r.sums(mask) for mask in (r.acceptable, r.others))
    return right, wrong


def without_comparison(responses: Responses, level: Level = "") -> Mask:
    """(n,) items of which no comparison counts: their grades are equal, or not to be compared."""
    compared = np.zeros(len(responses.counts), dtype=bool)
    for _, _, item in comparisons(responses, level):
        compared[item] = True
    return ~compared


def out_of_range(responses: Responses) -> Mask:
    """(n,) items without a grade, or with one outside [0, 1]."""
    wrong = responses.graded & ~((responses.grades >= 0) & (responses.grades <= 1))
    return (responses.sums(wrong) > 0) | (responses.sums(responses.graded) == 0)


def without_partner(responses: Responses) -> Mask:
    """(n,) items that are not one of the two, ref and tied, of a group."""
    alone = np.ones(len(responses.counts), dtype=bool)
    alone[groups_of_two(responses)] = False
    return alone


def groups_of_two(responses: Responses) -> Codes:
    """(groups, 2): the items (ref, tied) of each group that has just these."""
    found: dict[str, list[tuple[str, int]]] = {}
    for item, (group, role) in enumerate(zip(responses.groups, responses.roles, strict=True)):
        if group:
            found.setdefault(group, []).append((role, item))
    pairs = [sorted(members) for members in found.values()]
    kept = [[ref, tied] for (a, ref), (b, tied) in (p for p in pairs if len(p) == 2) if (a, b) == ("ref", "tied")]
    return np.array(kept, dtype=np.intp).reshape(-1, 2)


def _largest(rewards: Floats, mask: Mask, responses: Responses) -> Floats:
    """The largest reward of an item's responses in a mask (R,): (rows, n), NaN where one of them has none."""
    return np.maximum.reduceat(np.where(mask, rewards, -np.inf), responses.starts, axis=1)


def _compared(rewards: Floats, responses: Responses, tie: float, level: Level) -> Floats:
    won = np.zeros((len(rewards), len(responses.counts)))
    total = np.zeros(len(responses.counts))
    for better, worse, item in comparisons(responses, level):
        first = np.flatnonzero(np.append(True, item[1:] != item[:-1]))
        right = credit(rewards[:, better] - rewards[:, worse], tie)
        won[:, item[first]] += np.add.reduceat(right, first, axis=1)
        total[item[first]] += np.diff(np.append(first, len(item)))
    return np.where(total > 0, won / np.maximum(total, 1.0), np.nan)


def comparisons(responses: Responses, level: Level = "") -> Iterator[tuple[Codes, Codes, Codes]]:
    """Places (better, worse) of responses to be compared and their item, (C,) each, by distance within the item."""
    listed = np.zeros(len(responses.counts), dtype=bool)
    listed[list(responses.pairs)] = True
    place = np.flatnonzero(~listed[responses.owners])
    last = (responses.starts + responses.counts)[responses.owners]
    distance = 1
    while len(place := place[place + distance < last[place]]):
        yield from _oriented(place, place + distance, responses, level)
        distance += 1
    starts = responses.starts.tolist()
    chosen = [(starts[i] + a, starts[i] + b) for i in sorted(responses.pairs) for a, b in responses.pairs[i]]
    if chosen:
        a, b = np.array(chosen, dtype=np.intp).T
        yield from _oriented(a, b, responses, level)


def _oriented(a: Codes, b: Codes, responses: Responses, level: Level) -> Iterator[tuple[Codes, Codes, Codes]]:
    """The better of each two first; those with equal grades, without one, or of another level left out."""
    higher = responses.grades[a] > responses.grades[b]
    unequal = higher | (responses.grades[a] < responses.grades[b])
    better, worse = np.where(higher, a, b)[unequal], np.where(higher, b, a)[unequal]
    right, wrong = responses.styles[better], responses.styles[worse]
    if ">" in level:
        style, other = map(int, level.split(">"))
        wanted = (right == style) & (wrong == other)
    else:
        kinds = {"": np.full(right.shape, True), "hard": right < wrong, "normal": right == wrong, "easy": right > wrong}
        wanted = kinds[level]
    if wanted.any():
        yield better[wanted], worse[wanted], responses.owners[better[wanted]]


def _order_weights(counts: Floats, k: int) -> Floats:
    """P(the j-th best of N is the best of k drawn) for every j of every item of N = counts responses, flat."""
    weights = {size: _order_weight(size, min(k or size, size)) for size in set(counts.astype(int).tolist())}
    return np.concatenate([weights[size] for size in counts.astype(int).tolist()])


def _order_weight(size: int, k: int) -> Floats:
    j = np.arange(1, size)
    return np.concatenate([[1.0], np.cumprod((size - j - k + 1).clip(0) / (size - j))]) * (k / size)
