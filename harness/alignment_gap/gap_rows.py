"""One row of gap_analysis.csv, and the draws that its intervals and tests share."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..statistics.arrays import Codes
from .checkpoint_pairs import checkpoint_draws, checkpoint_permutations
from .gap_correlation import Estimates

GAP_COLUMNS: Final = [
    *("pair_set", "family", "scope", "benchmark", "statistic"),
    *("value", "ci_low", "ci_high", "p_permutation", "p_naive"),
]
Row = list[object]


@dataclass(frozen=True, slots=True)
class Cell:
    """What a statistic is of: the first labels of its row."""

    pair_set: str
    family: str
    scope: str
    benchmark: str

    def row(
        self,
        statistic: str,
        value: float,
        low: float = np.nan,
        high: float = np.nan,
        p_permutation: float = np.nan,
        p_naive: float = np.nan,
    ) -> Row:
        """The statistic's row, in the order of GAP_COLUMNS."""
        labels = [self.pair_set, self.family, self.scope, self.benchmark, statistic]
        return [*labels, *(float(number) for number in (value, low, high, p_permutation, p_naive))]

    def estimate(self, statistic: str, estimates: Estimates, at: tuple[int, ...]) -> Row:
        """The row of one entry of an array of estimates."""
        e = estimates
        numbers = (e.value[at], e.low[at], e.high[at], e.p_permutation[at], e.p_naive[at])
        return self.row(statistic, *(float(number) for number in numbers))


@dataclass(frozen=True, slots=True)
class Draws:
    """Resamples and permutations of a frame's checkpoints."""

    counts: NDArray[np.int64]
    """(R, n): how often each checkpoint is drawn."""
    permuted: Codes
    """(permutations, n)"""
    exact: bool
    """Whether the permutations are all there are."""


def draw(family: Codes, resamples: int, rng: np.random.Generator) -> Draws:
    """Resamples and permutations of checkpoints within families (n,)."""
    return Draws(checkpoint_draws(family, resamples, rng), *checkpoint_permutations(family, resamples, rng))
