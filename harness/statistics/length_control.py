"""How much of a reward's accuracy is taste for length.

One reward's margins (items,), best acceptable response less best other, and length differences (items,), mean of the
acceptable less mean of the others: scored items only, at least one. Which side is called first is arbitrary, so every
item is taken in both orders (margin, difference and label all change sign): means are then 0 and the choice of order
drops out.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit

from .arrays import Codes, Estimate, Floats
from .credits import credit
from .intervals import Z, fisher_interval, telling

PRIOR: Final = 1.0
"""Ridge of the logistic fit, as a prior of variance 1/PRIOR on either coefficient: finite for separated data."""


@dataclass(frozen=True, slots=True)
class LengthControl:
    """What is left of a reward when length is held fixed."""

    correlation: Estimate
    """Of margin with which response is the chosen one."""
    partial_correlation: Estimate
    """The same given the length difference."""
    accuracy: Estimate
    """Accuracy that the logistic fit gives to two responses of equal length."""
    slope: Estimate
    """Logits for one standard deviation of length difference (through tanh): taste for the longer response."""


def length_control(margin: Floats, difference: Floats, cluster: Codes) -> LengthControl:
    """The analyses above with intervals allowing for clusters."""
    spread = float(np.sqrt((difference**2).mean()))
    scaled = difference / spread if spread > 0 else np.zeros_like(margin)
    accuracy, slope = _logistic(credit(margin), np.tanh(scaled), cluster)
    return LengthControl(
        correlation=_jackknifed(margin, np.zeros_like(margin), cluster),
        partial_correlation=_jackknifed(margin, scaled, cluster),
        accuracy=accuracy,
        slope=slope,
    )


def _partial(sums: Floats) -> Floats:
    """Partial correlation of margin m and label 1 given difference d from Σm², Σm, Σd², Σd, Σmd, n on axis 0."""
    mm, m, dd, d, md, n = sums
    given = np.where(dd > 0, dd, 1.0)
    cross, left_m, left_1 = m - md * d / given, mm - md**2 / given, n - d**2 / given
    defined = (left_m > 1e-12 * mm) & (left_1 > 1e-12 * n)
    return np.where(defined, cross / np.sqrt(np.where(defined, left_m * left_1, 1.0)), np.nan)


def _jackknifed(margin: Floats, difference: Floats, cluster: Codes) -> Estimate:
    """The partial correlation, its interval on Fisher's z scale from leaving out one cluster at a time."""
    terms = (margin**2, margin, difference**2, difference, margin * difference, np.ones_like(margin))
    by_cluster = np.stack([np.bincount(cluster, term) for term in terms])[:, np.unique(cluster)]
    total = by_cluster.sum(axis=1)
    value = np.asarray(_partial(total))
    low, high = fisher_interval(value, _partial(total[:, None] - by_cluster), np.inf)
    return Estimate(float(value), float(low), float(high))


def _logistic(right: Floats, length: Floats, cluster: Codes) -> tuple[Estimate, Estimate]:
    """P(right) = σ(α + β length): accuracy σ(α) at equal length, and β (Newton's method, sandwich errors).

    No interval (NaN) where an error says nothing, as that of β with all lengths equal.
    """
    x = np.stack([np.ones_like(length), length], axis=1)
    beta = np.zeros(2)
    for _ in range(30):
        hessian, gradient = _derivatives(x, right, beta)
        step = np.linalg.solve(hessian, gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    hessian = _derivatives(x, right, beta)[0]
    scores = x * (right - expit(x @ beta))[:, None]
    by_cluster = np.stack([np.bincount(cluster, column) for column in scores.T])
    bread = np.linalg.inv(hessian)
    variance = (bread @ by_cluster @ by_cluster.T @ bread).diagonal()
    error = telling(np.sqrt(variance), len(np.unique(cluster)))
    low, high = beta - Z * error, beta + Z * error
    accuracy = Estimate(*(float(expit(float(logits[0]))) for logits in (beta, low, high)))
    return accuracy, Estimate(float(beta[1]), float(low[1]), float(high[1]))


def _derivatives(x: Floats, right: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Negative Hessian (2, 2) and gradient (2,) of the penalised log-likelihood."""
    probability = expit(x @ beta)
    hessian = (x * (probability * (1 - probability))[:, None]).T @ x + PRIOR * np.eye(2)
    return hessian, x.T @ (right - probability) - PRIOR * beta
