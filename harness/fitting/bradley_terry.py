"""A reward fitted to comparisons: Bradley-Terry with a ridge, P(y ≻ y′) = σ(Σ_k a_k [L_k(y) − L_k(y′)]).

The coefficients sum to zero, as those of a density ratio do: what all checkpoints say alike of a text, how likely it
is at all, then cancels, and a reward can still be any combination of log-ratios of two checkpoints. With

    z = C x / s,   C = I − 11ᵀ/K,   s² = Σ_c w_c |C x_c|² / (K Σ_c w_c)

of score differences x, b minimises Σ_c w_c log(1 + exp(−b·z_c)) / Σ_c w_c + λ/2 |b|². One s for all terms makes the fit
free of the scores' unit and keeps what is large large. There is no intercept, since the order of two responses means
nothing. (Bradley and Terry 1952; ridge: Schaefer et al. 1984, le Cessie and van Houwelingen 1992.)

The strength λ is the largest whose out-of-fold loss lies within one standard error of the smallest (Breiman et al.
1984). A ridge shrinks margins, so that they are scaled in the end by the one number that makes the out-of-fold
margins most likely (Platt 1999, without intercept): the logit is then that of a probability.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from ..statistics.arrays import Codes, Floats
from ..statistics.intervals import Z
from .compared import FOLDS, Compared

STRENGTHS: Final = tuple(10.0**power for power in np.arange(1.0, -4.1, -0.5))
"""Of the ridge, the strongest first; free of units."""
STEPS: Final = 60
"""Of Newton's method; a ridge needs about eight."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted reward."""

    coefficients: Floats
    """(K,) a_k, per nat; they sum to zero, and are zero of other than `terms`."""
    terms: Codes
    """Those that were fitted."""
    strength: float
    """λ"""
    scale: float
    """By which the ridge's margins are multiplied to be logits."""
    separated: bool
    """Whether every comparison that it was fitted on is ordered rightly."""


def fit(data: Compared, seed: int, terms: Codes | None = None) -> Fit:
    """Fit the coefficients of some terms (all: None), strength and scale by cross-validation over clusters.

    Raises ValueError with fewer than two clusters or terms, or without any difference between the terms.
    """
    chosen: Codes = np.arange(data.difference.shape[1], dtype=np.intp) if terms is None else terms
    z, size = standardised(data.difference[:, chosen], data.weight)
    margins = out_of_fold(z, data.weight, folds_of(data.cluster, seed))
    place = one_standard_error(margins, data.weight, data.cluster)
    inner = path(z, data.weight, STRENGTHS[: place + 1])[-1]
    scale = likeliest_scale(margins[place], data.weight)
    whole = np.zeros(data.difference.shape[1])
    whole[chosen] = inner * scale / size
    return Fit(whole, chosen, STRENGTHS[place], scale, separated=bool((z @ inner > 0).all()))


def coefficient_interval(made: Fit, data: Compared) -> tuple[Floats, Floats]:
    """95% ends (K,) of the coefficients fitted to `data`: of the ridge's own optimum, at this strength and scale."""
    z, size = standardised(data.difference[:, made.terms], data.weight)
    inner = made.coefficients[made.terms] * size / made.scale
    half = np.zeros(data.difference.shape[1])
    half[made.terms] = Z * _errors(z, inner, data.weight, data.cluster, made.strength) * made.scale / size
    return made.coefficients - half, made.coefficients + half


def folds_of(cluster: Codes, seed: int, folds: int = FOLDS) -> Codes:
    """A fold for each comparison, clusters kept whole and folds of like size."""
    names, place = np.unique(cluster, return_inverse=True)
    return np.random.default_rng(seed).permutation(np.arange(len(names)) % folds)[place]


def standardised(difference: Floats, weight: Floats) -> tuple[Floats, float]:
    """z (C, K) and s of the module's equation. Raises ValueError where all terms agree everywhere."""
    if difference.shape[1] < 2 or not len(difference):
        raise ValueError("a fit needs comparisons, and two terms at least")
    centred = difference - difference.mean(axis=1, keepdims=True)
    size = float(np.sqrt((weight @ centred**2).mean() / weight.sum()))
    if size == 0:
        raise ValueError("the terms do not differ")
    return centred / size, size


def path(z: Floats, weight: Floats, strengths: tuple[float, ...] = STRENGTHS) -> Floats:
    """The ridge's coefficients b (strengths, K), each started from the one before."""
    found = np.zeros((len(strengths), z.shape[1]))
    start = np.zeros(z.shape[1])
    for row, strength in enumerate(strengths):
        found[row] = start = ridge(z, weight, strength, start)
    return found


def ridge(z: Floats, weight: Floats, strength: float, start: Floats) -> Floats:
    """b of the module's equation by Newton's method, its steps halved where the loss would rise."""
    share, b = weight / float(np.sum(weight)), start
    loss = _objective(z, share, strength, b)
    for _ in range(STEPS):
        wrong = _sigmoid(-z @ b)
        slope = strength * b - z.T @ (share * wrong)
        curvature = (z.T * (share * wrong * (1 - wrong))) @ z
        step = np.asarray(np.linalg.solve(curvature + strength * np.eye(len(b)), slope), dtype=np.float64)
        size = 1.0
        while (after := _objective(z, share, strength, b - size * step)) > loss and size > 1e-6:
            size /= 2
        b, loss = b - size * step, after
        if np.abs(z @ step).max(initial=0.0) < 1e-8:
            break
    return b


def out_of_fold(z: Floats, weight: Floats, fold: Codes) -> Floats:
    """Margins (strengths, C) of each comparison by the fit on the other folds. Raises ValueError for one fold."""
    if len(np.unique(fold)) < 2:
        raise ValueError("a fit needs two clusters at least")
    margins = np.zeros((len(STRENGTHS), len(z)))
    for number in np.unique(fold):
        out = fold == number
        margins[:, out] = path(z[~out], weight[~out]) @ z[out].T
    return margins


def one_standard_error(margins: Floats, weight: Floats, cluster: Codes) -> int:
    """The strongest ridge (its place) whose loss is within one clustered standard error of the smallest."""
    losses = np.logaddexp(0, -margins)
    means = losses @ weight / weight.sum()
    least = int(means.argmin())
    excess = np.bincount(cluster, weight * (losses[least] - means[least])) / weight.sum()
    return int(np.flatnonzero(means <= means[least] + np.sqrt((excess**2).sum()))[0])


def likeliest_scale(margins: Floats, weight: Floats) -> float:
    """t that makes margins t · m most likely, with Platt's targets (n + 1) / (n + 2) for n items instead of 1.

    These keep it finite where every margin is right. Held to 0.01 to 100; 1 where margins say nothing.
    """
    if not margins.any():
        return 1.0
    items = float(np.sum(weight))
    target = (items + 1) / (items + 2)

    def slope(log_scale: float) -> float:
        return float(np.sum(weight * margins * (_sigmoid(np.exp(log_scale) * margins) - target)))

    low, high = np.log(0.01), np.log(100.0)
    if slope(low) >= 0:
        return 0.01
    return 100.0 if slope(high) <= 0 else float(np.exp(brentq(slope, low, high, xtol=1e-9)))


def _sigmoid(margin: Floats) -> Floats:
    return np.asarray(expit(margin), dtype=np.float64)


def _objective(z: Floats, share: Floats, strength: float, b: Floats) -> float:
    return float(share @ np.logaddexp(0, -z @ b) + strength / 2 * (b @ b))


def _errors(z: Floats, b: Floats, weight: Floats, cluster: Codes, strength: float) -> Floats:
    """Standard errors (K,): the jackknife over clusters, each left out by one step of Newton's method.

    Σ_g d_g d_gᵀ with d_g = (H − H_g)⁻¹ s_g, H the curvature and s_g the slope of a cluster: the sandwich (Liang and
    Zeger 1986) with the correction for leverage (HC3: MacKinnon and White 1985), without which it is too small.
    """
    share = weight / weight.sum()
    wrong = _sigmoid(-z @ b)
    slopes = z * (share * wrong)[:, None] - share[:, None] * strength * b
    heavy = z * np.sqrt(share * wrong * (1 - wrong))[:, None]
    curvature = heavy.T @ heavy + strength * np.eye(len(b))
    order = np.argsort(cluster, kind="stable")
    ends = np.flatnonzero(np.diff(cluster[order])) + 1
    total = np.zeros(len(b))
    for inside in np.split(order, ends):
        own: Floats = heavy[inside]
        slope: Floats = slopes[inside].sum(axis=0)
        total += np.asarray(np.linalg.solve(curvature - own.T @ own, slope), dtype=np.float64) ** 2
    return np.sqrt(total)
