"""How accuracy goes with alignment gap over pairs of checkpoints, and how sure that is.

Pairs share checkpoints, so pairs are not independent and no interval or test here treats them as such:
intervals leave out checkpoints, tests permute checkpoint labels. Shapes: n checkpoints, P pairs, S scopes,
R resamples. Accuracies are in [0, 1], gaps in benchmark points.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..statistics.arrays import Codes, Floats, chunks
from ..statistics.correlation import (
    PERMUTED,
    RESAMPLED,
    ordinal_codes,
    pearson_permuted,
    pearson_resampled,
    pearson_rows,
    ratio,
    spearman_permuted,
)
from ..statistics.intervals import fisher_interval, jackknife_interval, percentile_interval
from .checkpoint_pairs import Pairs, leave_one_out, pair_weights

METHODS: Final = ("pearson", "spearman", "kendall")
CHUNK: Final = 500
"""Rows worked on at once: what keeps 21 checkpoints' pairs in the cache."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """Values with intervals and p-values, arrays of one shape; NaN where undefined."""

    value: Floats
    low: Floats
    high: Floats
    p_permutation: Floats
    p_naive: Floats


def resampled_correlations(pairs: Pairs, counts: NDArray[np.int64]) -> Floats:
    """Pearson, Spearman and Kendall of gap and accuracy among drawn checkpoints: (3, R, S)."""
    pairs = pairs.only(pairs.chosen(pairs.gaps(pairs.score)))
    gap = pairs.gaps(pairs.score)
    if not len(gap):
        return np.full((len(METHODS), len(counts), len(pairs.accuracy)), np.nan)
    weights = pair_weights(pairs, counts)
    gap_codes, accuracy_codes = ordinal_codes(gap), ordinal_codes(pairs.accuracy)
    ranked = [RESAMPLED[m](gap_codes, accuracy_codes, weights) for m in METHODS[1:]]
    return np.stack([pearson_resampled(gap, pairs.accuracy, weights), *ranked])


def permuted_correlations(pairs: Pairs, permuted: Codes) -> Floats:
    """Pearson, Spearman and Kendall with the scores permuted over the checkpoints: (3, R, S)."""
    gaps = pairs.gaps(pairs.score[permuted])
    if not gaps.size:
        return np.full((len(METHODS), len(permuted), len(pairs.accuracy)), np.nan)
    chosen, gap_codes = pairs.chosen(gaps), pairs.gap_codes(permuted)
    accuracy_codes = ordinal_codes(pairs.accuracy)

    def rows(chunk: slice) -> Floats:
        ranked = [PERMUTED[m](gap_codes[chunk], accuracy_codes, chosen[chunk]) for m in METHODS[1:]]
        return np.stack([pearson_permuted(gaps[chunk], pairs.accuracy, chosen[chunk]), *ranked])

    return np.concatenate([rows(chunk) for chunk in chunks(len(permuted), CHUNK)], axis=1)


def correlate(pairs: Pairs, permuted: Codes, exact: bool) -> Estimates:
    """The three correlations of gap and accuracy, arrays (3, S).

    Interval: checkpoints left out one at a time, Fisher's scale, Student's t with checkpoints less families as
    degrees of freedom; of seven constructions measured (benchmarks/results/gap_simulation.md) the one that covers.
    p_permutation: quadratic assignment procedure, two-sided. p_naive: SciPy's test, which takes pairs for
    independent.
    """
    size = len(pairs.score)
    value = resampled_correlations(pairs, np.ones((1, size), dtype=np.int64))[:, 0]
    left_out = resampled_correlations(pairs, leave_one_out(size))
    low, high = fisher_interval(value, left_out.swapaxes(0, 1), pairs.freedom)
    p = permutation_p_value(value, permuted_correlations(pairs, permuted).swapaxes(0, 1), exact)
    return Estimates(value, low, high, p, naive_p_values(pairs, value))


def permutation_p_value(value: Floats, permuted: Floats, exact: bool) -> Floats:
    """Two-sided p of `value` (...) among `permuted` (R, ...); random permutations count the observed one.

    A permutation that leaves the statistic undefined counts as extreme.
    """
    extreme = (~(np.abs(permuted) < np.abs(value) - 1e-9)).sum(axis=0)
    p = extreme / len(permuted) if exact else (1 + extreme) / (1 + len(permuted))
    return np.where(np.isnan(value), np.nan, p)


def naive_p_values(pairs: Pairs, value: Floats) -> Floats:
    """p of the three ordinary tests, which take pairs for independent: (3, S), NaN where `value` is."""
    from scipy import stats  # half a second, which only a grid needs

    tests: tuple[Any, ...] = (stats.pearsonr, stats.spearmanr, stats.kendalltau)
    gap = pairs.gaps(pairs.score)
    chosen = pairs.chosen(gap)
    x, y = gap[chosen], pairs.accuracy[:, chosen]
    ranked_x, ranked_y = ordinal_codes(x), ordinal_codes(y)
    p = np.full_like(value, np.nan)
    for m, s in zip(*np.nonzero(~np.isnan(value)), strict=True) if len(x) >= 3 else ():
        p[m, s] = tests[m](*((x, y[s]) if m == 0 else (ranked_x, ranked_y[s]))).pvalue
    return p


def sizes_shuffled(pairs: Pairs, shuffles: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Pearson and Spearman that the signs of the gaps alone yield: mean and central 95% range, each (2, S).

    Gap sizes are shuffled over the unordered pairs of a family and signs kept, mirror images together.
    """
    gap, size = pairs.gaps(pairs.score), len(pairs.score)
    ends = np.minimum(pairs.strong, pairs.weak) * size + np.maximum(pairs.strong, pairs.weak)
    keys, first, mirror = np.unique(ends, return_index=True, return_inverse=True)
    apart = keys // size != keys % size
    order = np.tile(np.arange(len(keys)), (shuffles, 1))
    for code in np.unique(pairs.family):
        block = np.flatnonzero(apart & (pairs.family[keys // size] == code))
        order[:, block] = rng.permuted(order[:, block], axis=1)
    sizes = np.abs(gap)[first]
    codes = ordinal_codes(np.append(sizes, 0.0))[:-1]
    null = np.concatenate([_signed(pairs, sizes, codes, order[c][:, mirror]) for c in chunks(shuffles, CHUNK)])
    return (null.mean(axis=0), *percentile_interval(null))


def _signed(pairs: Pairs, sizes: Floats, codes: Codes, order: Codes) -> Floats:
    """Pearson and Spearman with the sizes taken in `order` (R, P) and the pairs' own signs: (R, 2, S)."""
    sign = np.sign(pairs.gaps(pairs.score))
    everything = np.ones(order.shape, dtype=bool)
    signed_codes = (sign * codes[order]).astype(np.intp) + int(codes.max(initial=0))
    ranked = spearman_permuted(signed_codes, ordinal_codes(pairs.accuracy), everything)
    return np.stack([pearson_permuted(sign * sizes[order], pairs.accuracy, everything), ranked], axis=1)


def fixed_correlations(pairs: Pairs, member: int, role: str) -> tuple[int, Estimates] | None:
    """How many pairs have one checkpoint as the fixed strong or weak one, and their correlations (3, S).

    The interval leaves out the other checkpoints one at a time. None with fewer than three of them.
    """
    fixed, free = (pairs.strong, pairs.weak) if role == "strong" else (pairs.weak, pairs.strong)
    rows = pairs.only((fixed == member) & (free != member))
    gap, n = rows.gaps(rows.score), len(rows.strong)
    if n < 3:
        return None
    gap_codes, accuracy_codes = ordinal_codes(gap), ordinal_codes(rows.accuracy)

    def values(weights: Floats) -> Floats:
        ranked = [RESAMPLED[m](gap_codes, accuracy_codes, weights) for m in METHODS[1:]]
        return np.stack([pearson_resampled(gap, rows.accuracy, weights), *ranked], axis=1)

    value = values(np.ones((1, n)))[0]
    low, high = fisher_interval(value, values(leave_one_out(n).astype(np.float64)), n - 1)
    undefined = np.full_like(value, np.nan)
    return n, Estimates(value, low, high, undefined, undefined)


def mean_fixed_correlation(pairs: Pairs, role: str, permuted: Codes, exact: bool) -> Estimates:
    """Pearson's r averaged over the checkpoints held fixed in a role: arrays (S,).

    "The better model wins" adds nothing here: it compares gaps against one and the same opponent.
    """
    size = len(pairs.score)
    value = _mean_fixed(pairs, role, np.ones((1, size), dtype=np.int64))[0]
    low, high = fisher_interval(value, _mean_fixed(pairs, role, leave_one_out(size)), pairs.freedom)
    total, defined = np.zeros((len(permuted), len(pairs.accuracy))), np.zeros((1, len(pairs.accuracy)))
    for rows in _fixed_members(pairs, role):
        gaps = rows.gaps(rows.score[permuted])
        r = pearson_permuted(gaps, rows.accuracy, np.ones(gaps.shape, dtype=bool))
        total += np.nan_to_num(r)
        defined = defined + ~np.isnan(r)
    p = permutation_p_value(value, ratio(total, defined), exact)
    return Estimates(value, low, high, p, np.full_like(value, np.nan))


def _mean_fixed(pairs: Pairs, role: str, counts: NDArray[np.int64]) -> Floats:
    """Mean over the counted checkpoints of the correlation against each of them as the fixed one: (R, S)."""
    total = np.zeros((len(counts), len(pairs.accuracy)))
    defined = np.zeros_like(total)
    for rows in _fixed_members(pairs, role):
        fixed, free = (rows.strong, rows.weak) if role == "strong" else (rows.weak, rows.strong)
        r = pearson_resampled(rows.gaps(rows.score), rows.accuracy, counts[:, free].astype(np.float64))
        times = counts[:, fixed[:1]]
        total += times * np.nan_to_num(r)
        defined += times * ~np.isnan(r)
    return ratio(total, defined)


def _fixed_members(pairs: Pairs, role: str) -> Iterator[Pairs]:
    """For each checkpoint its pairs with others in which it plays the role, where there are three or more."""
    fixed = pairs.strong if role == "strong" else pairs.weak
    for member in range(len(pairs.score)):
        rows = pairs.only((fixed == member) & (pairs.strong != pairs.weak))
        if len(rows.strong) >= 3:
            yield rows


def correlation_difference(pairs: Pairs, other_score: Floats) -> Estimates:
    """Pearson's r with this benchmark's gaps less that with another's, same checkpoints: arrays (S,).

    The interval leaves out checkpoints one at a time.
    """
    other = replace(pairs, score=other_score)

    def difference(counts: NDArray[np.int64]) -> Floats:
        return _pearson(pairs, counts) - _pearson(other, counts)

    size = len(pairs.score)
    value = difference(np.ones((1, size), dtype=np.int64))[0]
    low, high = jackknife_interval(value, difference(leave_one_out(size)), pairs.freedom)
    undefined = np.full_like(value, np.nan)
    return Estimates(value, low, high, undefined, undefined)


def noise_split(pairs: Pairs, item_accuracy: NDArray[np.float32], counts: NDArray[np.int64]) -> Floats:
    """Variance of Pearson's r that comes from items and from checkpoints: (2, S).

    A bootstrap over items nested in one over checkpoints: each drawn set of checkpoints (counts, (R, n)) is
    met by two resamples of the items (item_accuracy, (item resamples, S, P)). Half of their squared difference
    estimates the items' variance, their covariance over the draws that of the checkpoints.
    """
    chosen = pairs.chosen(pairs.gaps(pairs.score))
    kept, drawn = pairs.only(chosen), item_accuracy[:, :, chosen]
    if chosen.sum() < 3:
        return np.full((2, len(pairs.accuracy)), np.nan)
    gap = kept.gaps(kept.score)
    first, second = np.empty((2, len(counts), len(pairs.accuracy)))
    met = np.arange(len(counts)) % len(drawn)
    met_next = (met + 1) % len(drawn)
    for c in chunks(len(counts), CHUNK):
        weights = pair_weights(kept, counts[c])
        for s in range(len(pairs.accuracy)):
            first[c, s] = pearson_rows(gap, drawn[met[c], s].astype(np.float64), weights)
            second[c, s] = pearson_rows(gap, drawn[met_next[c], s].astype(np.float64), weights)
    from_items = _mean((first - second) ** 2) / 2
    from_checkpoints = _mean((first - _mean(first)) * (second - _mean(second)))
    return np.stack([from_items, np.maximum(from_checkpoints, 0)])


def _pearson(pairs: Pairs, counts: NDArray[np.int64]) -> Floats:
    pairs = pairs.only(pairs.chosen(pairs.gaps(pairs.score)))
    if not len(pairs.strong):
        return np.full((len(counts), len(pairs.accuracy)), np.nan)
    return pearson_resampled(pairs.gaps(pairs.score), pairs.accuracy, pair_weights(pairs, counts))


def _mean(values: Floats) -> Floats:
    """Mean along the first axis of the defined values, NaN where none is."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0).astype(np.float64))
