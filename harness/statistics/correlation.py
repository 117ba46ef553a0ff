"""Pearson, Spearman and Kendall correlations of many resamples or permutations at once.

Shapes: R rows (resamples or permutations), P observations, S outcomes (scopes).
A weight says how often an observation occurs: whole numbers are bootstrap multiplicities, 0 and 1 choose.
Where one side has no spread the correlation is undefined: NaN, without a warning.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .arrays import Codes, Floats, chunks

ROUNDING: Final = 1e-13
"""A variance below this share of the whole data's mean square is rounding, not spread."""
MANY_ROWS: Final = 1000
FEW_ROWS: Final = 400
"""Rows worked on at once: many for one large product of matrices, few for what should stay in the cache."""


def ratio(numerator: Floats, denominator: Floats, floor: float = 0.0) -> Floats:
    """numerator / denominator, NaN where the denominator does not exceed `floor`."""
    defined = denominator > floor
    return np.where(defined, numerator / np.where(defined, denominator, 1.0), np.nan)


def ordinal_codes(values: Floats) -> Codes:
    """Values as 0, 1, ... in increasing order over the whole array, ties alike.

    Compared at 12 digits, so that gaps that are equal but for rounding stay ties.
    """
    scale = float(np.abs(values).max(initial=0)) or 1.0
    rounded: Floats = np.round(values / scale, 12) + 0.0
    return np.unique(rounded, return_inverse=True)[1].reshape(values.shape)


def pearson_resampled(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Pearson's r of x (P,) with each outcome y (S, P) under weights (R, P): shape (R, S)."""
    x, y = _centred(x), _centred(y)
    total, sum_x, sum_xx = weights.sum(axis=1), weights @ x, weights @ x**2
    moments = (sum_x[:, None], weights @ y.T, sum_xx[:, None], weights @ (y**2).T, weights @ (x * y).T)
    return _from_moments(total[:, None], *moments, np.mean(x**2), (y**2).mean(axis=1))


def pearson_permuted(x: Floats, y: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Pearson's r of rows x (R, P) with outcomes y (S, P) among the chosen observations (R, P): (R, S)."""
    x, y, w = x - x.mean(), _centred(y), chosen.astype(np.float64)
    wx = w * x
    moments = (wx.sum(axis=1)[:, None], w @ y.T, (wx * x).sum(axis=1)[:, None], w @ (y**2).T, wx @ y.T)
    return _from_moments(w.sum(axis=1)[:, None], *moments, np.mean(x**2), (y**2).mean(axis=1))


def pearson_rows(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Pearson's r along the last axis of arrays that broadcast to (R, P): shape (R,), NaN for a row with one."""
    x, y = x - np.nanmean(x), y - np.nanmean(y)
    wx, wy = weights * x, weights * y
    moments = (wx.sum(-1), wy.sum(-1), (wx * x).sum(-1), (wy * y).sum(-1), (wx * y).sum(-1))
    return _from_moments(weights.sum(-1), *moments, np.nanmean(x**2), np.nanmean(y**2))


def spearman_resampled(x: Codes, y: Codes, weights: Floats) -> Floats:
    """Spearman's rho of ordinal codes x (P,) and y (S, P) under weights (R, P): shape (R, S).

    The midrank of p, less its mean, is half of Σ_q w_q sign(x_p - x_q): one product of matrices.
    """
    signs = np.stack([_signs(row) for row in (x, *y)])
    rho = np.empty((len(weights), len(y)))
    for rows in chunks(len(weights), MANY_ROWS):
        w = weights[rows]
        ranks = _products(w.astype(np.float32), signs).astype(np.float64)
        rho[rows] = np.stack([_rank_correlation(ranks[:, 0], ranks[:, 1 + s], w) for s in range(len(y))], axis=1)
    return rho


def spearman_permuted(x: Codes, y: Codes, chosen: NDArray[np.bool_]) -> Floats:
    """Spearman's rho of rows x (R, P) with y (S, P) among the chosen observations (R, P): (R, S)."""
    w = chosen.astype(np.float64)
    half = w.sum(axis=1, keepdims=True) / 2
    rank_x = _midranks(x, w) - half
    rows = slice(1 if chosen.all() else None)  # where all are chosen, the ranks of y are the same in each row
    return np.stack([_rank_correlation(rank_x, _midranks(row, w[rows]) - half[rows], w) for row in y], 1)


def kendall_resampled(x: Codes, y: Codes, weights: Floats) -> Floats:
    """Kendall's tau-b of ordinal codes x (P,) and y (S, P) under weights (R, P): shape (R, S).

    Σ_pq w_p w_q sign(x_p - x_q) sign(y_p - y_q) over the geometric mean of the same sums with |sign|: each a
    quadratic form, exact in float32 while the squared sum of the weights is below 2^24.
    """
    sign_x, signs_y = _signs(x), np.stack([_signs(row) for row in y])
    forms = np.concatenate([sign_x * signs_y, np.abs(signs_y), np.abs(sign_x)[None]])
    tau = np.empty((len(weights), len(y)))
    for rows in chunks(len(weights), MANY_ROWS):
        w = weights[rows].astype(np.float32)
        sums = (_products(w, forms) * w[:, None, :]).sum(axis=2, dtype=np.float64)
        tau[rows] = ratio(sums[:, : len(y)], np.sqrt(sums[:, len(y) : -1] * sums[:, -1:]), floor=0.5)
    return tau


def kendall_permuted(x: Codes, y: Codes, chosen: NDArray[np.bool_]) -> Floats:
    """Kendall's tau-b of rows x (R, P) with y (S, P) among the chosen observations (R, P): (R, S).

    In the order of x, then of y, the discordant pairs are the inversions of y (Knight, 1966).
    """
    bits = int(y.max(initial=0) + 1).bit_length()
    kind = np.int32 if (int(x.max(initial=0)) + 1) << bits < 2**31 else np.int64
    first, second = x.astype(kind) << bits, y.astype(kind)
    parts = [_kendall_permuted(first[rows], second, chosen[rows], bits) for rows in chunks(len(x), FEW_ROWS)]
    return np.concatenate(parts)


def _kendall_permuted(x: NDArray[Any], y: NDArray[Any], chosen: NDArray[np.bool_], bits: int) -> Floats:
    """`bits` hold a code of y, and x has as many zeros at its end: together they are sorted as one number."""
    count = chosen.sum(axis=1)[:, None]
    most = int(count.max(initial=0))
    if not most:
        return np.full((len(x), len(y)), np.nan)
    rows = np.where(chosen[:, None], x[:, None] | y, np.iinfo(x.dtype).max)  # the others go to the end, all alike
    rows.sort(axis=2)
    rows = rows[:, :, :most]
    second = (rows & ((1 << bits) - 1)).astype(np.int16 if bits < 16 else np.int32)
    discordant = _inversions(np.ascontiguousarray(second.reshape(-1, most).T)).reshape(len(x), -1)
    pairs, others = _choose_two(count), _choose_two(most - count)
    tied_x, tied_y, tied = (_ties(values) - others for values in (rows >> bits, np.sort(second, axis=2), rows))
    balance = pairs - tied_x - tied_y + tied - 2 * discordant
    return ratio(balance, np.sqrt((pairs - tied_x) * (pairs - tied_y)), floor=0.5)


def _inversions(values: NDArray[Any]) -> Floats:
    """Of each column of (P, N): pairs in which the later one is smaller."""
    found, smaller = np.zeros(values.shape[1]), np.empty(values.shape, dtype=np.bool_)
    for p in range(len(values) - 1):
        after = np.less(values[p + 1 :], values[p], out=smaller[p + 1 :]).view(np.uint8)
        for block in chunks(len(after), 255):  # no sum of so few overflows
            found += np.add.reduce(after[block], axis=0, dtype=np.uint8)
    return found


def _ties(values: NDArray[Any]) -> Floats:
    """Pairs of equal values along the last axis, along which they are sorted."""
    place = np.arange(1, values.shape[-1], dtype=np.int32)
    start = (values[..., 1:] != values[..., :-1]) * place
    np.maximum.accumulate(start, axis=-1, out=start)
    return (place.sum() - start.sum(axis=-1)).astype(np.float64)


def _choose_two(count: NDArray[np.intp]) -> Floats:
    return count * (count - 1) / 2


RESAMPLED: Final[dict[str, Callable[[Codes, Codes, Floats], Floats]]] = {
    "spearman": spearman_resampled,
    "kendall": kendall_resampled,
}
PERMUTED: Final[dict[str, Callable[[Codes, Codes, NDArray[np.bool_]], Floats]]] = {
    "spearman": spearman_permuted,
    "kendall": kendall_permuted,
}


def _centred(values: Floats) -> Floats:
    return values - values.mean(axis=-1, keepdims=True)


def _from_moments(
    total: Floats,
    sum_x: Floats,
    sum_y: Floats,
    sum_xx: Floats,
    sum_yy: Floats,
    sum_xy: Floats,
    size_x: Floats | np.floating,
    size_y: Floats | np.floating,
) -> Floats:
    """Pearson's r from weighted sums; `size` is the mean square of the whole data, the scale of rounding."""
    n = np.maximum(total, 1.0)
    var_x, var_y = sum_xx / n - (sum_x / n) ** 2, sum_yy / n - (sum_y / n) ** 2
    flat = (var_x <= ROUNDING * size_x) | (var_y <= ROUNDING * size_y)
    spread = np.sqrt(np.where(flat, 0.0, var_x * var_y))
    return np.clip(ratio(sum_xy / n - sum_x * sum_y / n**2, spread), -1, 1)


def _rank_correlation(rank_x: Floats, rank_y: Floats, weights: Floats) -> Floats:
    """Pearson's r of ranks that have mean 0 under the weights, shape (R,)."""
    wx = weights * rank_x
    xx, yy = (wx * rank_x).sum(axis=1), (weights * rank_y**2).sum(axis=1)
    return np.clip(ratio((wx * rank_y).sum(axis=1), np.sqrt(xx * yy)), -1, 1)


def _midranks(codes: Codes, weights: Floats) -> Floats:
    """The weight below each observation and half the weight of its ties: (R, P) of codes (P,) or (R, P)."""
    rows, kinds = len(weights), int(codes.max(initial=0)) + 1
    flat = np.arange(rows)[:, None] * kinds + codes
    weight = np.bincount(flat.ravel(), weights.ravel(), minlength=rows * kinds).reshape(rows, kinds)
    middle: Floats = weight.cumsum(axis=1) - weight / 2
    return middle.ravel()[flat]


def _signs(codes: Codes) -> NDArray[np.float32]:
    return np.sign(codes[:, None] - codes[None, :]).astype(np.float32)


def _products(w: NDArray[np.float32], matrices: NDArray[np.float32]) -> NDArray[np.float32]:
    """w (R, P) times each of K matrices (K, P, P), in one product: (R, K, P)."""
    count, size, _ = matrices.shape
    return (w @ matrices.swapaxes(0, 1).reshape(size, count * size)).reshape(len(w), count, size)
