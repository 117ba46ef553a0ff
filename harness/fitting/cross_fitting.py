"""What fits are worth on items that they have not seen: out-of-fold rewards, and the learning curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from ..statistics.arrays import Codes, Estimate, Floats, Mask
from ..statistics.credits import credit
from ..statistics.intervals import Z
from .bradley_terry import fit, folds_of
from .compared import Compared
from .sparse import forward_order, sizes_enough, terms_of

SIZES: Final = (20, 50, 100, 200, 400, 800, 1600)
"""Labelled items of the learning curve."""
SPLITS: Final = 20
FITTED, PAIR, DIFFERENCE = "fitted", "pair", "difference"


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a reward can be made of."""

    owner: Codes
    """(K,) the checkpoint of each term."""
    contrasts: Floats
    """(P, K) the coefficients of each pair that may be chosen instead: 1 for strong, −1 for weak."""


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Coefficients by which each item is judged, fitted on the other folds: (folds, K) each."""

    fold: Codes
    """(n,) of each item."""
    fitted: Floats
    sparse: Mapping[int, Floats]
    """By the number of checkpoints, from 2 on; the last is as many as there are, in the sparse fit's order."""
    pair: Floats
    """Of the pair that is best on the other folds."""
    chosen: Codes
    """(folds,) which pair that is."""

    def rewards(self, coefficients: Floats, scores: Floats, owners: Codes) -> Floats:
        """(R,) of scores (K, R): each response by the coefficients (folds, K) of its item's fold."""
        return np.einsum("rk,kr->r", coefficients[self.fold[owners]], scores)


def out_of_fold(data: Compared, clusters: Codes, candidates: Candidates, most: int, seed: int) -> OutOfFold:
    """Fit on all folds but one in turn; `clusters` (n,) of all items, `most` checkpoints of a sparse fit.

    Raises ValueError as `fit` does.
    """
    fold, compared = np.zeros_like(clusters), np.isin(clusters, data.cluster)
    fold[compared] = folds_of(clusters[compared], seed)  # every fold has some to judge
    numbers = np.unique(fold)
    rows: list[tuple[Floats, list[Floats], int]] = []
    for number in numbers:
        train = data.of(fold[data.item] != number)
        sparse = _sparse_fits(train, candidates.owner, most, seed)
        rows.append((fit(train, seed).coefficients, sparse, best_pair(train, candidates.contrasts)))
    fitted, sparse, chosen = zip(*rows, strict=True)
    pair = np.array(chosen, dtype=np.intp)
    by_size = {size + 2: np.stack(parts) for size, parts in enumerate(zip(*sparse, strict=True))}
    place = np.searchsorted(numbers, fold)
    return OutOfFold(place, np.stack(fitted), by_size, candidates.contrasts[pair], pair)


def chosen_sizes(
    data: Compared, found: OutOfFold, candidates: Candidates, most: int, share: float, seed: int
) -> list[int]:
    """For each fold the checkpoints of the first sparse fit that has `share` of the longest one's gain over the pair.

    The gains are those on the other folds, each judged by what the rest of these make, so that no label of a fold has a
    say in the size that judges it. Raises ValueError as `fit` does.
    """
    fold, sizes = found.fold[data.item], list(found.sparse)
    credits = np.full((len(found.fitted), 1 + len(sizes), len(fold)), np.nan)
    for one, other in combinations(range(len(found.fitted)), 2):
        rest = data.of((fold != one) & (fold != other))
        pair = candidates.contrasts[best_pair(rest, candidates.contrasts)]
        rewards = np.stack([pair, *_sparse_fits(rest, candidates.owner, most, seed)])
        for own, judged in ((one, fold == other), (other, fold == one)):
            credits[own][:, judged] = credit(rewards @ data.difference[judged].T)
    chosen: list[int] = []
    for own, by_size in enumerate(credits):
        mean = by_size[:, fold != own] @ data.weight[fold != own]
        chosen.append(sizes[sizes_enough(mean[1:] - mean[0], share)])
    return chosen


def _sparse_fits(data: Compared, owner: Codes, most: int, seed: int) -> list[Floats]:
    """Coefficients (K,) of the fits of the first 2, 3, ... `most` checkpoints in the order of these comparisons."""
    order = forward_order(data, owner, most)
    return [fit(data, seed, terms_of(owner, order[:size])).coefficients for size in range(2, len(order) + 1)]


def best_pair(data: Compared, contrasts: Floats) -> int:
    """The pair of the highest accuracy on some comparisons; of equals the first."""
    return int((data.weight @ credit(data.difference @ contrasts.T)).argmax())


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy on the items left out, of rewards made with so many labelled items."""

    labels: int
    reward: str
    """FITTED, PAIR, or the DIFFERENCE of the two on the same items."""
    n: int
    """Items judged, in some split at least."""
    accuracy: Estimate


def learning_curve(
    data: Compared, contrasts: Floats, seed: int, sizes: Sequence[int] = SIZES, splits: int = SPLITS
) -> list[CurvePoint]:
    """The fit and the pair that is best on the same labels, by labels; at least as many items are left to judge.

    Intervals are about rewards made with so many labels of the same kind, whichever, on all items of that kind. A size
    for which a split has fewer than two clusters to fit, or to judge, is left out.
    """
    items = len(np.unique(data.item))
    points: list[CurvePoint] = []
    for size in (size for size in sizes if 2 * size <= items):
        trains = [drawn_items(data, size, np.random.default_rng(seed + number)) for number in range(splits)]
        if min(len(np.unique(data.cluster[side])) for train in trains for side in (train, ~train)) < 2:
            continue
        drawn = [_judged(data, contrasts, train, seed + number) for number, train in enumerate(trains)]
        parts = {FITTED: [row[0] for row in drawn], PAIR: [row[1] for row in drawn]}
        parts[DIFFERENCE] = [a - b for a, b in zip(parts[FITTED], parts[PAIR], strict=True)]
        points += [_point(size, name, np.stack(rows), data) for name, rows in parts.items()]
    return points


def _judged(data: Compared, contrasts: Floats, train: Mask, seed: int) -> tuple[Floats, Floats]:
    """Credits (C,) of the fit and of the pair, NaN where a comparison served to make them: `train` (C,)."""
    some, rest = data.of(train), data.difference[~train]
    rewards = (fit(some, seed).coefficients, contrasts[best_pair(some, contrasts)])
    credits = np.full((2, len(train)), np.nan)
    credits[:, ~train] = [credit(rest @ reward) for reward in rewards]
    return credits[0], credits[1]


def drawn_items(data: Compared, size: int, rng: np.random.Generator) -> Mask:
    """(C,) the comparisons of randomly drawn clusters that have `size` items or a few more."""
    names, first = np.unique(data.item, return_index=True)
    of_item = data.cluster[first]
    order = rng.permutation(np.unique(of_item))
    counts = np.array([(of_item == name).sum() for name in order]) if len(order) < len(names) else np.ones(len(order))
    taken = order[: int(np.searchsorted(np.cumsum(counts), size)) + 1]
    return np.isin(data.cluster, taken)


def _point(size: int, name: str, credits: Floats, data: Compared) -> CurvePoint:
    """The mean over splits of credits (splits, C), NaN where a comparison served to make the reward."""
    seen = ~np.isnan(credits).all(axis=0)
    credits, weight, cluster = credits[:, seen], data.weight[seen], data.cluster[seen]
    judged = ~np.isnan(credits)
    value = float(np.mean(np.where(judged, credits, 0.0) @ weight / (judged @ weight)))
    error = Z * float(np.sqrt(variance_of_mean(credits, weight, cluster)))
    n, least = len(np.unique(data.item[seen])), -1.0 if name == DIFFERENCE else 0.0
    return CurvePoint(size, name, n, Estimate(value, max(value - error, least), min(value + error, 1.0)))


def variance_of_mean(credits: Floats, weight: Floats, cluster: Codes) -> float:
    """Of the mean over splits of credits (splits, C), NaN where a comparison served to make the reward.

    It differs by which items judge and by which were labelled. The first is the variance between clusters of credits
    averaged over splits. For the second these averages are taken off; how far the splits' means then differ, less what
    the noise within clusters makes of them, is the variance τ² between rewards made on labels drawn from this table. A
    mean over all draws of k of n items varies between tables by k/n of the variance between rewards at most (Hoeffding
    1948), which is τ² / (1 − k/n): by τ² k / (n − k).
    """
    judged = ~np.isnan(credits)
    known = np.where(judged, credits, 0.0)
    mean, share = known.sum(axis=0) / judged.sum(axis=0), weight / weight.sum()
    between_items = (np.bincount(cluster, share * (mean - share @ mean)) ** 2).sum()
    rest, total = np.where(judged, known - mean, 0.0), judged @ weight
    by_split = rest @ weight / total
    left = np.where(judged, rest - by_split[:, None], 0.0) * weight / total[:, None]
    noise = np.mean([(np.bincount(cluster, row) ** 2).sum() for row in left])
    spread, splits = float(by_split.var(ddof=1)), len(credits)
    labelled = float((~judged @ weight / total).mean())
    return float(between_items + max(spread - noise, 0.0) * labelled + spread / splits)
