"""Rewards of few checkpoints: each pass over a checkpoint costs, so that they are added one by one.

Forward selection: from the two checkpoints whose fit loses least, always add the one whose terms lower the penalised
loss most. The order of a fold is found on that fold's other items, so that what each size earns is honest.
"""

from collections.abc import Iterable
from itertools import combinations
from typing import Final

import numpy as np

from ..statistics.arrays import Codes, Floats
from .bradley_terry import ridge, standardised
from .compared import Compared

PREVIEW: Final = 0.03
"""The ridge's strength while checkpoints are compared with each other."""


def forward_order(data: Compared, owner: Codes, most: int) -> list[int]:
    """Checkpoints in the order in which they are taken, at most `most`; `owner` (K,) is the checkpoint of each term.

    The first two are the best pair. Raises ValueError with fewer than two checkpoints.
    """
    everyone = np.unique(owner).tolist()
    chosen = list(min(combinations(everyone, 2), key=lambda pair: _loss(data, owner, pair)))
    while len(chosen) < min(most, len(everyone)):
        left = [one for one in everyone if one not in chosen]
        chosen.append(min(left, key=lambda one: _loss(data, owner, [*chosen, one])))
    return chosen


def terms_of(owner: Codes, checkpoints: Iterable[int]) -> Codes:
    """The terms of some checkpoints."""
    return np.flatnonzero(np.isin(owner, list(checkpoints)))


def sizes_enough(gain: Floats, share: float) -> int:
    """The first place of a path's accuracies (less those of one pair) at which `share` of the last gain is reached.

    The last place where nothing is gained at all.
    """
    return len(gain) - 1 if gain[-1] <= 0 else int(np.flatnonzero(gain >= share * gain[-1])[0])


def _loss(data: Compared, owner: Codes, checkpoints: Iterable[int]) -> float:
    difference = data.difference[:, terms_of(owner, checkpoints)]
    try:
        z, _ = standardised(difference, data.weight)
    except ValueError:
        return float("inf")
    nothing = np.zeros(len(terms_of(owner, checkpoints)))
    losses = np.logaddexp(0, -z @ ridge(z, data.weight, PREVIEW, nothing))
    return float(data.weight @ losses) / float(np.sum(data.weight))
