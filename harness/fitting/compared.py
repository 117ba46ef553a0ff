"""Two responses at a time: what checkpoints say of their difference, and how much each comparison counts."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ..statistics.arrays import Codes, Floats, Mask
from ..statistics.credits import Responses, comparisons

FOLDS: Final = 5
"""Of clusters, by which strengths are chosen and fits are judged."""
MOST_COMPARISONS: Final = 12
"""Of one item; of more as many are drawn, since those of one prompt repeat each other."""


@dataclass(frozen=True, slots=True)
class Compared:
    """C comparisons of two responses of one item, in terms of K scores."""

    difference: Floats
    """(C, K) score of the first response less that of the second, for each term; finite."""
    first: Codes
    """(C,) the first response's place among all; where labels are known the better one."""
    second: Codes
    """(C,)"""
    item: Codes
    """(C,)"""
    cluster: Codes
    """(C,) comparisons of one number are not independent of each other."""

    @property
    def weight(self) -> Floats:
        """(C,) 1 / comparisons of the same item, so that each prompt counts once."""
        return 1.0 / np.bincount(self.item)[self.item]

    def of(self, chosen: Mask) -> "Compared":
        """Some of the comparisons."""
        codes = (self.first[chosen], self.second[chosen], self.item[chosen], self.cluster[chosen])
        return Compared(self.difference[chosen], *codes)


def compared(scores: Floats, responses: Responses, clusters: Codes, seed: int) -> tuple[Compared, int]:
    """The comparisons of unequal grades, better response first, of scores (K, R); and how many items have none.

    `clusters` (n,). An item with a missing score loses the comparisons concerned.
    """
    found = list(comparisons(responses))
    nothing = np.zeros(0, dtype=np.intp)
    better, worse, item = (np.concatenate([nothing, *(part[k] for part in found)]) for k in range(3))
    first, second, of_item = _thinned(better, worse, item, seed)
    made = _made(scores, first, second, of_item, clusters)
    return made, len(responses.counts) - len(np.unique(made.item))


def unlabelled(scores: Floats, responses: Responses, clusters: Codes, seed: int) -> tuple[Compared, int]:
    """As `compared`, of any two responses, whatever is known of them: which is the first says nothing of them."""
    place = np.arange(len(responses.grades)) - responses.starts[responses.owners]
    return compared(scores, replace(responses, grades=-place.astype(np.float64), pairs={}), clusters, seed)


def _made(scores: Floats, first: Codes, second: Codes, item: Codes, clusters: Codes) -> Compared:
    difference = (scores[:, first] - scores[:, second]).T
    whole = Compared(difference, first, second, item, clusters[item])
    return whole.of(np.asarray(np.isfinite(difference).all(axis=1)))


def _thinned(first: Codes, second: Codes, item: Codes, seed: int) -> tuple[Codes, Codes, Codes]:
    """At most MOST_COMPARISONS of an item, drawn; sorted by item."""
    order = np.lexsort((np.random.default_rng(seed).random(len(item)), item))
    ordered = item[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    kept = np.sort(order[rank < MOST_COMPARISONS])
    kept = kept[np.argsort(item[kept], kind="stable")]
    return first[kept], second[kept], item[kept]
