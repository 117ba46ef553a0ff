"""Ordered pairs of checkpoints: the three sets that are analysed, and their resampling and permutation.

Shapes: n checkpoints, P pairs, S scopes, R resamples. Accuracies are in [0, 1], gaps in benchmark points.
"""

from dataclasses import dataclass, replace
from itertools import permutations, product
from math import factorial, prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..statistics.arrays import Codes, Floats, Mask
from ..statistics.correlation import ordinal_codes
from ..statistics.resampling import draw_counts

ALL_ORDERED: Final = "all ordered"
NO_SELF: Final = "ordered, no self"
POSITIVE: Final = "positive gap"
PAIR_SETS: Final = (ALL_ORDERED, NO_SELF, POSITIVE)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Ordered pairs of checkpoints with their accuracies; strong and weak are checkpoint numbers."""

    family: Codes
    """(n,) families as numbers; a pair lies within one family."""
    score: Floats
    """(n,) benchmark scores, none missing."""
    strong: Codes
    weak: Codes
    accuracy: Floats
    """(S, P), none missing."""
    chance: Floats
    """(S,) accuracy of rewards that say nothing."""
    positive_only: bool = False
    """Whether only the pairs with a positive gap count (which these are, a permutation changes)."""

    @property
    def freedom(self) -> int:
        """Degrees of freedom of statistics over the checkpoints: checkpoints less families."""
        return len(self.family) - len(np.unique(self.family))

    def gaps(self, scores: Floats) -> Floats:
        """Score of strong minus score of weak, (..., P), of scores (..., n)."""
        return scores[..., self.strong] - scores[..., self.weak]

    def gap_codes(self, permuted: Codes) -> Codes:
        """The gaps as ordinal codes when scores are permuted over the checkpoints, (R, P)."""
        codes = ordinal_codes(self.score[:, None] - self.score[None, :])
        return codes[permuted[:, self.strong], permuted[:, self.weak]]

    def chosen(self, gaps: Floats) -> Mask:
        """Which pairs count, given the gaps: shaped like `gaps`."""
        return gaps > 1e-9 if self.positive_only else np.ones(gaps.shape, dtype=bool)

    def only(self, keep: Mask) -> "Pairs":
        """The pairs chosen by a mask (P,)."""
        return replace(self, strong=self.strong[keep], weak=self.weak[keep], accuracy=self.accuracy[:, keep])


def pair_set(pairs: Pairs, name: str) -> Pairs:
    """One of PAIR_SETS. A self-pair has gap 0 and the accuracy of chance by definition, scored or not."""
    apart = pairs.only(pairs.strong != pairs.weak)
    if name == POSITIVE:
        return replace(apart, positive_only=True)
    if name == NO_SELF:
        return apart
    every = np.arange(len(pairs.score))
    by_chance = np.broadcast_to(pairs.chance[:, None], (len(pairs.chance), len(every)))
    return replace(
        apart,
        strong=np.concatenate([apart.strong, every]),
        weak=np.concatenate([apart.weak, every]),
        accuracy=np.hstack([apart.accuracy, by_chance]),
    )


def restrict(pairs: Pairs, keep: Mask) -> Pairs:
    """The pairs among the checkpoints chosen by a mask (n,), checkpoints renumbered."""
    number = np.cumsum(keep) - 1
    left = pairs.only(keep[pairs.strong] & keep[pairs.weak])
    return replace(
        left,
        family=pairs.family[keep],
        score=pairs.score[keep],
        strong=number[left.strong],
        weak=number[left.weak],
    )


def checkpoint_draws(family: Codes, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each checkpoint is drawn, families kept at their size: (R, n)."""
    counts = np.zeros((resamples, len(family)), dtype=np.int64)
    for code in np.unique(family):
        members = np.flatnonzero(family == code)
        counts[:, members] = draw_counts(len(members), resamples, rng)
    return counts


def leave_one_out(size: int) -> NDArray[np.int64]:
    """The draws of a jackknife: row k leaves unit k out, (size, size)."""
    return 1 - np.eye(size, dtype=np.int64)


def pair_weights(pairs: Pairs, counts: NDArray[np.int64]) -> Floats:
    """How often each pair occurs among drawn checkpoints: (R, P) of counts (R, n).

    A pair of distinct checkpoints occurs once for each choice of copies. Two copies of one checkpoint make
    no pair: a self-pair, where the set has them, occurs once a copy.
    """
    self_pair = pairs.strong == pairs.weak
    weights = counts[:, pairs.strong] * np.where(self_pair, 1, counts[:, pairs.weak])
    return (weights * pairs.chosen(pairs.gaps(pairs.score))).astype(np.float64)


def checkpoint_permutations(family: Codes, limit: int, rng: np.random.Generator) -> tuple[Codes, bool]:
    """Permutations of checkpoints within families, (R, n), and whether they are all there are.

    All of them (the identity first) where there are at most `limit`, else `limit` drawn at random.
    """
    groups = [np.flatnonzero(family == code) for code in np.unique(family)]
    exact = prod(factorial(len(group)) for group in groups) <= limit
    if exact:
        combined = product(*(permutations(group) for group in groups))
        rows = np.array([[i for group in choice for i in group] for choice in combined], dtype=np.intp)
        permuted = np.empty_like(rows)
        permuted[:, rows[0].astype(np.intp)] = rows
        return permuted, True
    permuted = np.empty((limit, len(family)), dtype=np.intp)
    for group in groups:
        permuted[:, group] = rng.permuted(np.tile(group, (limit, 1)), axis=1)
    return permuted, False
