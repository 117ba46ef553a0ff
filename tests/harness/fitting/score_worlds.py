"""Score tables of worlds in which the truth is known."""

from dataclasses import dataclass

import numpy as np
from cdr_eval.harness.fitting.compared import Compared
from cdr_eval.harness.statistics.arrays import Codes, Floats
from scipy.special import expit


@dataclass(frozen=True, slots=True)
class World:
    """Checkpoints whose scores are loading · quality + bias · feature + common text likelihood + noise of their own.

    The quality difference of a comparison is normal; the response of higher quality comes first.
    """

    loadings: Floats
    """(K,)"""
    noise: Floats
    """(K,) standard deviation."""
    biases: Floats | float = 0.0
    """(K,) of a feature that has nothing to do with quality."""
    common: float = 3.0
    even: bool = False
    """Whether all quality differences are equally large."""

    def draw(self, items: int, rng: np.random.Generator) -> tuple[Compared, Floats]:
        """Comparisons, one an item, and the feature's difference in each."""
        quality = np.ones(items) if self.even else np.abs(rng.normal(size=items))
        feature = rng.normal(size=items)
        size = (items, len(self.loadings))
        difference = quality[:, None] * self.loadings + feature[:, None] * np.broadcast_to(self.biases, size[1:])
        difference = difference + self.common * rng.normal(size=(items, 1)) + self.noise * rng.normal(size=size)
        return one_an_item(difference), feature


def one_an_item(difference: Floats) -> Compared:
    """Comparisons of as many items."""
    number = np.arange(len(difference), dtype=np.intp)
    return Compared(difference, 2 * number, 2 * number + 1, number, number)


def labelled(difference: Floats, coefficients: Floats, rng: np.random.Generator) -> Compared:
    """Comparisons turned so that the first response is preferred as Bradley-Terry says."""
    right = rng.random(len(difference)) < expit(difference @ coefficients)
    return one_an_item(np.where(right[:, None], difference, -difference))


def all_pairs(checkpoints: int) -> tuple[Codes, Codes]:
    """Strong and weak of each unordered pair, once."""
    return np.tril_indices(checkpoints, -1)


def contrasts(checkpoints: int) -> Floats:
    """(P, K) coefficients of each ordered pair."""
    ends = [(s, w) for s in range(checkpoints) for w in range(checkpoints) if s != w]
    unit = np.eye(checkpoints)
    return np.stack([unit[s] - unit[w] for s, w in ends])
