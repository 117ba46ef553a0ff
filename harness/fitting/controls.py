"""Is what pairs agree on a feature of the texts? Each control is one more rater, that prefers more of the feature.

The sign and the size of a difference in a feature may explain how pairs vote. Comparisons are put into bins of equal
size by |difference|, turned so that the first response has more of the feature, and the agreement that the votes' means
in each bin account for is

    g_pq = Σ_bins share_bin · mean_bin(v_p) · mean_bin(v_q),

without the products of a comparison with itself, so that features that say nothing explain nothing on average. The
share explained is 1 − Σ (q_pq − g_pq)² / Σ q_pq², q the agreement E v_p v_q, over pairs that share no checkpoint.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..statistics.arrays import Floats, Mask

BINS: Final = 5
MOST_EXPLAINED: Final = 0.25
"""A control that explains more of the agreement makes an estimate from it worthless."""


@dataclass(frozen=True, slots=True)
class Control:
    """What a feature has to do with the votes."""

    explained: float
    """Share of the agreement."""
    correlation: float
    """Over ordered pairs, of the estimated accuracy with how often a pair prefers more of the feature."""
    n: int
    """Comparisons whose responses differ in it."""


def control(voted: Floats, weight: Floats, feature: Floats, apart: Mask, accuracy: Floats) -> Control:
    """What the difference in a feature (C,) explains of votes (C, P), for estimated accuracies (P,)."""
    differs = feature != 0
    n = int(differs.sum())
    if n < 2 * BINS:
        return Control(0.0, float("nan"), n)
    share = weight / weight.sum()
    agree = (voted.T * share) @ voted
    turned = voted[differs] * np.sign(feature[differs])[:, None]
    by = _by_bins(turned, share[differs], np.abs(feature[differs]))
    left, total = ((((matrix) * apart) ** 2).sum() for matrix in (agree - by, agree))
    more = share[differs] @ turned / share[differs].sum()
    spread = np.sqrt((more**2).sum() * ((accuracy - 0.5) ** 2).sum())
    return Control(
        float(1 - left / total) if total > 0 else 0.0,
        float(more @ (accuracy - 0.5) / spread) if spread > 0 else float("nan"),
        n,
    )


def _by_bins(turned: Floats, share: Floats, size: Floats) -> Floats:
    edges = np.quantile(size, np.linspace(0, 1, BINS + 1)[1:-1])
    bins = np.searchsorted(edges, size)
    found = np.zeros((turned.shape[1],) * 2)
    for number in range(BINS):
        inside = bins == number
        some, own = turned[inside], share[inside]
        rest = own.sum() ** 2 - (own**2).sum()
        if rest > 0:
            sums = own @ some
            found += own.sum() / rest * (np.outer(sums, sums) - (some.T * own**2) @ some)
    return found
