"""Does a reward know when it is right? Accuracy among its most confident items, and calibration of σ(|margin| / τ).

All functions take one reward's margins (items,), best acceptable response less best other: scored items only, at
least one. `right` (items,) are the items' credits. Calibration is of the comparison that the margin is of: right
where it is positive, half right at a tie; |margin| = 0 is then one half whatever a rule's chance is. Intervals allow
for clusters of items (linearised, by clusters) and are at 95%; of other than shares there is none (NaN) with fewer
than LEAST_UNITS clusters, nor where the standard error is 0.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, stdtrit

from .arrays import Codes, Estimate, Floats
from .credits import credit
from .intervals import LEAST_UNITS, TAILS, Z, telling, wilson

FRACTIONS: Final = tuple(round(0.05 * k, 2) for k in range(1, 21))
BINS: Final = 10
FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class SelectionPoint:
    """Accuracy among the `fraction` of items with the largest |margin|."""

    fraction: float
    n: int
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Items of like confidence: bin number k holds confidences in (1/2 + k/20, 1/2 + (k + 1)/20]."""

    bin: int
    n: int
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration with the temperature fitted out of fold."""

    bins: tuple[CalibrationBin, ...]
    temperature: Estimate
    """τ over all items, in nats; infinite where larger margins are no more often right, NaN where all are right."""
    error: Estimate
    """Expected calibration error: Σ n_bin / n |accuracy - confidence|."""
    error_if_calibrated: float
    """What that error would be on average, with these n, if the confidences were true."""


def selection_curve(margin: Floats, right: Floats, cluster: Codes) -> list[SelectionPoint]:
    """Accuracy among the most confident items, for each of FRACTIONS; ties in |margin| keep item order."""
    order = np.argsort(-np.abs(margin), kind="stable")
    right = right[order]
    points: list[SelectionPoint] = []
    for fraction in FRACTIONS:
        n = max(1, round(fraction * len(margin)))
        points.append(SelectionPoint(fraction, n, share(right[:n], cluster[order[:n]])))
    return points


def selection_area(margin: Floats, right: Floats, cluster: Codes) -> Estimate:
    """Area under the selection curve: the mean over k of the accuracy among the k most confident items.

    Its standard error comes from the exact derivative of the area by each item's weight, summed by cluster.
    """
    n = len(margin)
    order = np.argsort(-np.abs(margin), kind="stable")
    right, rank = right[order], np.arange(1, n + 1)
    top = np.cumsum(right) / rank
    tail_inverse = np.cumsum((1 / rank)[::-1])[::-1]
    tail_accuracy = np.cumsum((top / rank)[::-1])[::-1]
    area = float(top.mean())
    influence = (top + right * tail_inverse - tail_accuracy - area) / n
    return _within(area, _clustered_error(influence, cluster[order]))


def share(right: Floats, cluster: Codes) -> Estimate:
    """Mean of credits with Wilson's interval at the effective n that clustering leaves; NaN without values.

    Effective n of m clusters = n (t_{n-1} / t_{m-1})² / max(1, m / (m - 1) · clustered variance of the mean / its
    variance under independence), t Student's quantile (Korn and Graubard 1998): n where each item is a cluster. It is m
    where all values are 0 or all are 1, which says nothing of clusters, and where m < LEAST_UNITS. A mean outside
    [0, 1], which the rule ties can give, is an end of its interval.
    """
    n, clusters = len(right), _count(cluster)
    if not n:
        return Estimate(np.nan, np.nan, np.nan)
    mean = float(right.mean())
    independent = mean * (1 - mean) / n
    effective = float(clusters)
    if independent > 0 and LEAST_UNITS <= clusters < n:
        variance = _clustered_variance((right - mean) / n, cluster) * clusters / (clusters - 1)
        tails = float(stdtrit(n - 1, TAILS[1]) / stdtrit(clusters - 1, TAILS[1]))
        effective = n * tails**2 / max(1.0, variance / independent)
    low, high = wilson(mean, effective)
    return Estimate(mean, min(low, mean), max(high, mean))


def inverse_temperature(margin: Floats) -> float:
    """The maximum-likelihood 1/τ >= 0 of P(right) = σ(|margin| / τ); the largest where the margins separate."""
    size, right = np.abs(margin), credit(margin)
    if not size.any():
        return 0.0
    most = _largest_inverse_temperature(margin)

    def slope(inverse: float) -> float:
        return float(((right - expit(inverse * size)) * size).sum())

    if slope(0.0) <= 0:
        return 0.0
    return most if slope(most) >= 0 else float(brentq(slope, 0.0, most, xtol=1e-9 * most))


def separates(margin: Floats, inverse: float) -> bool:
    """Whether the likeliest 1/τ lies at its cap: all but the smallest margins separate right from wrong."""
    return inverse > 0 and inverse >= _largest_inverse_temperature(margin)


def folds_of(cluster: Codes, rng: np.random.Generator) -> Codes:
    """A fold for each item, clusters kept whole: (items,)."""
    names, place = np.unique(cluster, return_inverse=True)
    return rng.permutation(np.arange(len(names)) % FOLDS)[place]


def calibration(margin: Floats, cluster: Codes, fold: Codes) -> Calibration:
    """Calibration of confidences σ(|margin| / τ), each item's τ fitted on the other folds."""
    confidence = np.empty(len(margin))
    for number in range(FOLDS):
        out = fold == number
        confidence[out] = expit(inverse_temperature(margin[~out]) * np.abs(margin[out]))
    right = credit(margin)
    edges = 0.5 + 0.5 * np.arange(1, BINS) / BINS
    place = np.searchsorted(edges, confidence)
    bins = tuple(
        CalibrationBin(int(k), int(held.sum()), float(confidence[held].mean()), share(right[held], cluster[held]))
        for k in np.unique(place)
        for held in [place == k]
    )
    expected = _error_if_calibrated(confidence, place)
    return Calibration(bins, _temperature(margin, cluster), _error(right - confidence, place, cluster), expected)


def _temperature(margin: Floats, cluster: Codes) -> Estimate:
    """τ over all items; the interval is that of 1/τ (sandwich standard error by clusters), inverted.

    NaN where the margins separate right from wrong.
    """
    inverse, size = inverse_temperature(margin), np.abs(margin)
    if separates(margin, inverse):
        return Estimate(np.nan, np.nan, np.nan)
    probability = expit(inverse * size)
    curvature = float((size**2 * probability * (1 - probability)).sum())
    score = (credit(margin) - probability) * size
    error = _clustered_error(score, cluster) / curvature if curvature > 0 else np.nan
    ends = np.maximum([inverse, inverse + Z * error, inverse - Z * error], 0.0)
    with np.errstate(divide="ignore"):
        return Estimate(*(1 / ends).tolist())


def _error(residual: Floats, place: Codes, cluster: Codes) -> Estimate:
    """ECE of residuals (right - confidence) in bins; interval by its derivative, the bins' signs held."""
    n = len(residual)
    excess = np.bincount(place, residual, minlength=BINS)
    value = float(np.abs(excess).sum() / n)
    return _within(value, _clustered_error((np.sign(excess)[place] * residual - value) / n, cluster))


def _error_if_calibrated(confidence: Floats, place: Codes) -> float:
    """E|N(0, Σ c (1 - c))| / n summed over the bins: the error that chance alone leaves."""
    variance = np.bincount(place, confidence * (1 - confidence), minlength=BINS)
    return float(np.sqrt(2 / np.pi * variance).sum() / len(confidence))


def _largest_inverse_temperature(margin: Floats) -> float:
    """At which all |margin| but the smallest are certain; not all may be 0."""
    size = np.abs(margin)
    return 1e3 / float(np.median(size[size > 0]))


def _within(value: float, error: float) -> Estimate:
    """A share with its interval, which ends at 0 and 1 or at a value outside of them."""
    low, high = np.clip([value - Z * error, value + Z * error], 0.0, 1.0)
    return Estimate(value, float(np.minimum(low, value)), float(np.maximum(high, value)))


def _clustered_error(influence: Floats, cluster: Codes) -> float:
    """Standard error of a statistic from its items' influences, which sum to about 0; NaN where it says nothing."""
    return float(telling(np.sqrt([_clustered_variance(influence, cluster)]), _count(cluster))[0])


def _clustered_variance(influence: Floats, cluster: Codes) -> float:
    return float((np.bincount(cluster, influence) ** 2).sum())


def _count(cluster: Codes) -> int:
    return int(np.count_nonzero(np.bincount(cluster)))
