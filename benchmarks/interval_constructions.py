"""Seven ways to make a 95% interval of a correlation from resampled checkpoints, to be compared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from cdr_eval.harness.statistics.arrays import Floats
from cdr_eval.harness.statistics.intervals import fisher_interval, percentile_interval
from scipy import stats

Ends = tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A correlation (3,) with its bootstrap (R, 3), its jackknife (n, 3), and the degrees of freedom."""

    value: Floats
    resampled: Floats
    left_out: Floats
    freedom: int


def z(r: Floats) -> Floats:
    """Fisher's z, finite at 1."""
    return np.arctanh(np.clip(r, -0.9999, 0.9999))


def fisher(drawn: Drawn, error: Floats, quantile: float) -> Ends:
    """Symmetric interval on Fisher's scale."""
    centre = z(drawn.value)
    return np.tanh(centre - quantile * error), np.tanh(centre + quantile * error)


def jackknife_error(drawn: Drawn) -> Floats:
    """Standard error of Fisher's z with one checkpoint left out at a time."""
    left, n = z(drawn.left_out), len(drawn.left_out)
    return np.sqrt((n - 1) / n * ((left - left.mean(axis=0)) ** 2).sum(axis=0))


def basic(drawn: Drawn) -> Ends:
    """The percentile interval reflected about the value."""
    low, high = percentile_interval(drawn.resampled)
    return 2 * drawn.value - high, 2 * drawn.value - low


def t_quantile(drawn: Drawn) -> float:
    """97.5% quantile of t with checkpoints less families as degrees of freedom."""
    return float(stats.t.ppf(0.975, drawn.freedom))


def bca(drawn: Drawn) -> Ends:
    """Bias-corrected and accelerated (Efron 1987)."""
    known = ~np.isnan(drawn.resampled)
    below = ((drawn.resampled < drawn.value) & known).sum(axis=0) + 0.5 * (drawn.resampled == drawn.value).sum(axis=0)
    count = known.sum(axis=0)
    bias: Floats = np.asarray(stats.norm.ppf(np.clip(below / count, 0.5 / count, 1 - 0.5 / count)), dtype=np.float64)
    deviation = drawn.left_out.mean(axis=0) - drawn.left_out
    acceleration = (deviation**3).sum(axis=0) / (6 * (deviation**2).sum(axis=0) ** 1.5)
    ends: list[Floats] = []
    for quantile in (-1.96, 1.96):
        z = bias + (bias + quantile) / (1 - acceleration * (bias + quantile))
        level: list[float] = np.asarray(stats.norm.cdf(z), dtype=np.float64).tolist()
        ends.append(np.array([float(np.nanquantile(drawn.resampled[:, m], p)) for m, p in enumerate(level)]))
    return ends[0], ends[1]


CONSTRUCTIONS: Final[dict[str, Callable[[Drawn], Ends]]] = {
    "percentile": lambda d: percentile_interval(d.resampled),
    "basic": basic,
    "BCa": bca,
    "z, bootstrap, normal": lambda d: fisher(d, np.nanstd(z(d.resampled), axis=0), 1.96),
    "z, bootstrap, t": lambda d: fisher(d, np.nanstd(z(d.resampled), axis=0), t_quantile(d)),
    "z, jackknife, normal": lambda d: fisher(d, jackknife_error(d), 1.96),
    "z, jackknife, t": lambda d: fisher_interval(d.value, d.left_out, d.freedom),
}
