"""Intervals and p-values: of shares, of resamples, of values with one unit left out; at 95% unless said otherwise."""

from typing import Final

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from .arrays import Floats

TAILS: Final = (0.025, 0.975)
Z: Final = float(ndtri(TAILS[1]))
LEAST_UNITS: Final = 5
"""With fewer units to leave out, a jackknife says next to nothing, and nor does a sum over clusters."""
LEAST_ERROR: Final = 1e-12
"""A standard error below is rounding."""


def wilson(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share of n items (Wilson 1927); NaN for n = 0, held to shares within [0, 1]."""
    if n == 0:
        return float("nan"), float("nan")
    z, share = float(ndtri((1 + level) / 2)), min(max(share, 0.0), 1.0)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def telling(error: Floats, units: int) -> Floats:
    """Standard errors (...) from so many units, NaN where they say nothing: of fewer than LEAST_UNITS, and where 0."""
    return np.where((error > LEAST_ERROR) & (units >= LEAST_UNITS), error, np.nan)


def percentile_interval(resampled: Floats, axis: int = 0) -> tuple[Floats, Floats]:
    """The central 95% of `resampled` along an axis, undefined (NaN) resamples left out; NaN where all are."""
    ordered = np.sort(np.moveaxis(resampled, axis, -1), axis=-1)
    return _quantile(ordered, TAILS[0]), _quantile(ordered, TAILS[1])


def jackknife_interval(value: Floats, left_out: Floats, freedom: float) -> tuple[Floats, Floats]:
    """value ± t · jackknife standard error: two arrays shaped like `value` (...).

    `left_out` (n, ...) are the values with one unit left out, `freedom` the degrees of freedom of Student's t
    (infinite: the normal distribution).
    NaN where the value or one of those is undefined, and with fewer than LEAST_UNITS units.
    """
    n = len(left_out)
    if n < LEAST_UNITS or freedom < 1:
        return np.full_like(value, np.nan), np.full_like(value, np.nan)
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    half = (Z if np.isinf(freedom) else float(stdtrit(freedom, TAILS[1]))) * error
    return value - half, value + half


def fisher_interval(value: Floats, left_out: Floats, freedom: float) -> tuple[Floats, Floats]:
    """A jackknife interval of correlations, made on Fisher's scale z = artanh r.

    NaN also where leaving out one unit changes nothing, as at r = 1, which says nothing of what another unit would do.
    """
    z = _fisher(left_out)
    low, high = np.where(np.ptp(z, axis=0) < 1e-9, np.nan, jackknife_interval(_fisher(value), z, freedom))
    return np.tanh(low), np.tanh(high)


def paired_p_value(value: Floats, resampled: Floats, units: Floats) -> Floats:
    """Two-sided p (...) of no difference, from the bootstrap's standard error over the defined resamples (R, ...).

    No less than 2^(1 - units), the least that a sign-flip test of so many independent units can give: where few agree
    the standard error is 0. 1 where no resample is defined.
    """
    error = np.ma.masked_invalid(resampled).std(axis=0).filled(np.inf)
    p = 2 * _normal_cdf(-np.abs(value) / np.maximum(error, LEAST_ERROR))
    return np.minimum(np.maximum(p, np.exp2(1 - units)), 1.0)


def holm_adjusted(p_values: Floats) -> Floats:
    """Holm's step-down adjustment of p-values (m,): the family-wise error is kept."""
    order = np.argsort(p_values)
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def _normal_cdf(z: Floats) -> Floats:
    return np.asarray(ndtr(z), dtype=np.float64)


def _fisher(r: Floats) -> Floats:
    """Fisher's z, finite at r = 1 and -1."""
    return np.arctanh(np.clip(r, -0.9999, 0.9999))


def _quantile(ordered: Floats, probability: float) -> Floats:
    """Linear quantile along the last axis, sorted, of the values that are not NaN."""
    last = (~np.isnan(ordered)).sum(axis=-1) - 1
    position = probability * np.maximum(last, 0)
    low = np.floor(position).astype(np.intp)
    high = np.minimum(low + 1, np.maximum(last, 0))
    at_low, at_high = (np.take_along_axis(ordered, i[..., None], axis=-1)[..., 0] for i in (low, high))
    return at_low + (position - low) * (at_high - at_low)
