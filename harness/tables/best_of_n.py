"""Best of N as a table: the grade of the response that a reward picks, as there are more to pick from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..statistics.arrays import Codes, Floats
from ..statistics.credits import Responses, best_of
from ..statistics.resampling import Bootstrap, mean_intervals
from .sample import Label

BEST_OF_COLUMNS = ["strong", "weak", "variant", "k", "n", "grade", "ci_low", "ci_high"]
BASELINES = ("random", "longest", "oracle")
"""Rewards of no checkpoint: equal for all, the number of characters, the grade itself."""
MOST = 16
"""Above it k goes by powers of two."""


def best_of_table(
    labels: Sequence[Label], rewards: Floats, responses: Responses, chars: Codes, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Expected grade of the best of k random responses, for every reward (rows, R) and k, with BASELINES beside.

    Intervals are percentiles of the bootstrap over prompts. Only prompts of which every response has a grade
    and all of the rewards count, so that every row is over the same ones (a reward that has no whole prompt is left
    out); one with fewer than k responses gives all of its. Empty where none of them has more than two responses.
    """
    most = int(responses.counts.max(initial=0))
    missing = np.add.reduceat(np.isnan(rewards) | ~responses.graded, responses.starts, axis=1)
    kept = np.flatnonzero((missing == 0).any(axis=1))
    rewards, labels = rewards[kept], [labels[row] for row in kept.tolist()]
    whole = (missing[kept] == 0).all(axis=0)
    if most <= 2 or not len(kept) or not whole.any():
        return pd.DataFrame(columns=pd.Index(BEST_OF_COLUMNS))
    low, high = np.nanmin(responses.grades), np.nanmax(responses.grades)
    scale = float(high - low) or 1.0
    within = np.where(responses.graded, (responses.grades - low) / scale, 0.0)
    scaled = Responses(responses.counts, within, responses.styles, responses.groups, responses.roles, {})
    baselines = np.stack([np.zeros(len(within)), chars.astype(np.float64), within])
    every = np.concatenate([rewards, baselines])
    names = [*labels, *(("", "", name) for name in BASELINES)]
    ks = sizes(most)
    credits = [low + scale * np.where(whole, best_of(every, scaled, k), np.nan) for k in ks]
    found = mean_intervals(np.stack(credits, axis=1).reshape(-1, len(whole)), bootstrap)
    keys = [(*name, k) for name in names for k in ks]
    rows = [[*key, n, value, *interval] for key, (n, value, interval) in zip(keys, found, strict=True)]
    return pd.DataFrame(rows, columns=pd.Index(BEST_OF_COLUMNS))


def sizes(most: int) -> list[int]:
    """The k that are tabulated."""
    if most <= MOST:
        return list(range(1, most + 1))
    return [*(2**power for power in range((most - 1).bit_length())), most]
