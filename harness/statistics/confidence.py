"""Does a reward know when it is right? Accuracy among its most confident items, and calibration of σ(|margin| / τ).

All functions take one reward's margins (items,), best acceptable response less best other: scored items only, at
least one. `right` (items,) are the items' credits. Calibration is of the comparison that the margin is of: right
where it is positive, half right at a tie; |margin| = 0 is then one half whatever a rule's chance is. Intervals allow
for clusters of items (linearised, by clusters) and are at 95%.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from .arrays import Codes, Estimate, Floats
from .credits import credit
from .intervals import Z, wilson

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
    error = _clustered_error(influence, cluster[order])
    low, high = max(area - Z * error, 0.0), min(area + Z * error, 1.0)
    return Estimate(area, min(low, area), max(high, area))


def share(right: Floats, cluster: Codes) -> Estimate:
    """Mean of credits with Wilson's interval at the effective n that clustering leaves; NaN without values.

    Effective n = n / max(1, clustered variance of the mean / its variance under independence); where all values are 0
    or all are 1, which says nothing of clusters, their number. A mean outside [0, 1], which the rule ties can give, is
    an end of its interval.
    """
    n, clusters = len(right), np.count_nonzero(np.bincount(cluster))
    if not n:
        return Estimate(np.nan, np.nan, np.nan)
    mean = float(right.mean())
    independent = mean * (1 - mean) / n
    effective = float(clusters)
    if independent > 0 and clusters < n:
        effective = n / max(1.0, _clustered_error((right - mean) / n, cluster) ** 2 / independent)
    low, high = wilson(mean, effective)
    return Estimate(mean, min(low, mean), max(high, mean))


def inverse_temperature(margin: Floats) -> float:
    """The maximum-likelihood 1/τ >= 0 of P(right) = σ(|margin| / τ); the largest where the margins separate."""
    size, right = np.abs(margin), credit(margin)
    if not size.any():
        return 0.0
    most = largest_inverse_temperature(margin)

    def slope(inverse: float) -> float:
        return float(((right - expit(inverse * size)) * size).sum())

    if slope(0.0) <= 0:
        return 0.0
    return most if slope(most) >= 0 else float(brentq(slope, 0.0, most, xtol=1e-9 * most))


def largest_inverse_temperature(margin: Floats) -> float:
    """At which all |margin| but the smallest are certain; not all may be 0."""
    size = np.abs(margin)
    return 1e3 / float(np.median(size[size > 0]))


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

    NaN where 1/τ reaches its cap: margins that separate right from wrong only say that τ is small.
    """
    inverse, size = inverse_temperature(margin), np.abs(margin)
    if inverse > 0 and inverse >= largest_inverse_temperature(size):
        return Estimate(np.nan, np.nan, np.nan)
    probability = expit(inverse * size)
    curvature = float((size**2 * probability * (1 - probability)).sum())
    score = (credit(margin) - probability) * size
    error = _clustered_error(score, cluster) / curvature if curvature > 0 else 0.0
    low, high = inverse - Z * error, inverse + Z * error
    return Estimate(*(1 / end if end > 0 else np.inf for end in (inverse, high, low)))


def _error(residual: Floats, place: Codes, cluster: Codes) -> Estimate:
    """ECE of residuals (right - confidence) in bins; interval by its derivative, the bins' signs held."""
    n = len(residual)
    excess = np.bincount(place, residual, minlength=BINS)
    value = float(np.abs(excess).sum() / n)
    error = _clustered_error((np.sign(excess)[place] * residual - value) / n, cluster)
    return Estimate(value, max(value - Z * error, 0.0), min(value + Z * error, 1.0))


def _error_if_calibrated(confidence: Floats, place: Codes) -> float:
    """E|N(0, Σ c (1 - c))| / n summed over the bins: the error that chance alone leaves."""
    variance = np.bincount(place, confidence * (1 - confidence), minlength=BINS)
    return float(np.sqrt(2 / np.pi * variance).sum() / len(confidence))


def _clustered_error(influence: Floats, cluster: Codes) -> float:
    """Standard error of a statistic from its items' influences, which sum to about 0."""
    return float(np.sqrt((np.bincount(cluster, influence) ** 2).sum()))
