"""Which pair to use: the best, those statistically tied with it, and the cheapest of these."""

from dataclasses import dataclass

import numpy as np

from ..statistics.arrays import Codes, Floats, Mask
from ..statistics.intervals import holm_adjusted, paired_p_value


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Pairs from the most accurate down; the arrays (P,) are in that order."""

    order: Codes
    """The pairs' numbers."""
    difference: Floats
    """Accuracy less that of the best."""
    p_value: Floats
    """Of no difference from the best: paired over items, two-sided, not adjusted."""
    tied: Mask
    """Whether the best is not shown to be better: the p-value, adjusted, is 0.05 or more."""
    cheapest: Mask
    """The tied pair with fewest parameters, strong and weak together; the more accurate of equals."""


def recommend(accuracy: Floats, resampled: Floats, parameters: Floats, units: Floats) -> Recommendation:
    """Rank pairs by accuracy (P,), compare each with the best over resampled items (R, P); `units` (P,) are the
    clusters of items that a pair scored.

    `parameters` (P,) is NaN where unknown: such a pair is never named the cheapest. Pairs without an accuracy
    (NaN) are left out. The best is chosen by the data, so its own accuracy is somewhat flattered, and m - 1 comparisons
    with it are chosen among those of any two of m pairs: p-values are adjusted for all m (m - 1) / 2 (Holm among the
    m - 1, times m / 2), so that of equal pairs one is called worse in 5% of cases at most.
    """
    scored = np.flatnonzero(~np.isnan(accuracy))
    order = scored[np.argsort(-accuracy[scored], kind="stable")]
    difference = accuracy[order] - accuracy[order[:1]]
    both = np.minimum(units[order], units[order[:1]])
    p = paired_p_value(difference, resampled[:, order] - resampled[:, order[:1]], both)
    tied = holm_adjusted(p[1:]) * len(order) / 2 >= 0.05
    tied = np.concatenate([np.ones(min(1, len(order)), dtype=bool), tied])
    cost = np.where(tied & ~np.isnan(parameters[order]), parameters[order], np.inf)
    cheapest = np.zeros(len(order), dtype=bool)
    if np.isfinite(cost).any():
        cheapest[cost.argmin()] = True
    return Recommendation(order, difference, p, tied, cheapest)
