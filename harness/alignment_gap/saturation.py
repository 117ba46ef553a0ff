"""Where more gap stops helping: accuracy as a saturating function of the gap.

a(g) = c + (A - c) (1 - exp(-g / scale)) with c the accuracy of chance, asymptote A in [c, 1], fitted by least squares
to the pairs with a positive gap; 90% of the gain over c is reached at g = scale · ln 10.
Shapes: R resamples, S scopes, P pairs.
"""

from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np
from scipy.optimize import isotonic_regression

from ..statistics.arrays import Floats, chunks
from ..statistics.intervals import percentile_interval

GRID: Final = 160
"""Scales tried, evenly in log; the best is refined with a parabola."""
CHUNK: Final = 500
LEAST_GAPS: Final = 4
"""With fewer distinct gaps than this a curve of two parameters is not asked for."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """The fitted curve of one scope."""

    asymptote: float
    asymptote_low: float
    asymptote_high: float
    gap_at_90: float
    gap_at_90_low: float
    gap_at_90_high: float
    identifiable: bool
    """Whether `gap_at_90` and the upper end of its interval lie within the observed gaps: the data show the bend."""
    fitted: Floats
    """The curve at each pair's gap, (P,), and its interval."""
    low: Floats
    high: Floats
    isotonic: Floats
    """Isotonic regression at each pair's gap, (P,)."""


def saturating_fit(gap: Floats, accuracy: Floats, chance: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Asymptotes and gaps at 90% of it for outcomes (S, P) with chance (S,) under weights (R, P): two arrays (R, S).

    The gain A - c is solved for each scale of a grid and held in [0, 1 - c]; the grid covers gaps at 90% from
    half the smallest gap to ten times the largest. A resample without a pair gives NaN.
    """
    log_90 = np.linspace(log(gap.min() / 2), log(10 * gap.max()), GRID)
    curve = 1 - np.exp(-gap * np.log(10) / np.exp(log_90)[:, None])
    asymptote, reached = np.empty((2, len(weights), len(accuracy)))
    for some in chunks(len(weights), CHUNK):
        w = weights[some]
        size = w @ (curve**2).T
        for s, outcome in enumerate(accuracy - chance[:, None]):
            product = w @ (curve * outcome).T
            gain = np.clip(product / np.where(size > 0, size, 1.0), 0, 1 - chance[s])
            position = _lowest(gain**2 * size - 2 * gain * product)
            best = np.rint(position).astype(np.intp)
            drawn = size[:, 0] > 0
            at_lowest = np.exp(log_90[0] + position * (log_90[1] - log_90[0]))
            reached[some, s] = np.where(drawn, at_lowest, np.nan)
            at_best = np.take_along_axis(gain, best[:, None], axis=1)[:, 0]
            asymptote[some, s] = np.where(drawn, chance[s] + at_best, np.nan)
    return asymptote, reached


def saturation(gap: Floats, accuracy: Floats, chance: Floats, weights: Floats) -> list[Saturation]:
    """The curve for each outcome (S, P) and its chance (S,) with intervals from resampled checkpoints, weights (R, P).

    An empty list with fewer than four distinct gaps. All gaps must be positive.
    """
    if len(np.unique(gap)) < LEAST_GAPS:
        return []
    (values,), (reached,) = saturating_fit(gap, accuracy, chance, np.ones((1, len(gap))))
    drawn_values, drawn_reached = saturating_fit(gap, accuracy, chance, weights)
    value_low, value_high = percentile_interval(drawn_values)
    reached_low, reached_high = percentile_interval(drawn_reached)
    fits: list[Saturation] = []
    for s, outcome in enumerate(accuracy):
        low, high = _band(gap, drawn_values[:, s], drawn_reached[:, s], float(chance[s]))
        bends = values[s] > chance[s] and gap.min() <= reached[s] and reached_high[s] <= gap.max()
        numbers = (values, value_low, value_high, reached, reached_low, reached_high)
        fits.append(
            Saturation(
                *(float(number[s]) if bends else np.nan for number in numbers),
                identifiable=bool(bends),
                fitted=curve_at(gap, values[s], reached[s], float(chance[s])),
                low=low,
                high=high,
                isotonic=isotonic(gap, outcome),
            )
        )
    return fits


def curve_at(gap: Floats, asymptote: Floats, gap_at_90: Floats, chance: float) -> Floats:
    """The curve at gaps (P,) for parameters of any shape that broadcasts with it."""
    return chance + (asymptote - chance) * (1 - np.exp(-gap * np.log(10) / gap_at_90))


def isotonic(gap: Floats, accuracy: Floats) -> Floats:
    """The best never-falling function of the gap by least squares, at each pair's gap; equal gaps are one."""
    _, place, count = np.unique(np.round(gap, 9), return_inverse=True, return_counts=True)
    mean = np.bincount(place, accuracy) / count
    return np.asarray(isotonic_regression(mean, weights=count).x, dtype=np.float64)[place]


def _band(gap: Floats, asymptote: Floats, gap_at_90: Floats, chance: float) -> tuple[Floats, Floats]:
    """Interval of the curve at each gap from resampled parameters (R,): two arrays (P,)."""
    distinct, place = np.unique(gap, return_inverse=True)
    low, high = percentile_interval(curve_at(distinct, asymptote[:, None], gap_at_90[:, None], chance))
    return low[place], high[place]


def _lowest(loss: Floats) -> Floats:
    """Where each row of `loss` (R, GRID) is lowest, between grid points by a parabola: (R,)."""
    best = loss.argmin(axis=1)
    middle = np.clip(best, 1, loss.shape[1] - 2)
    rows = np.arange(len(loss))
    before, at, after = (loss[rows, middle + step] for step in (-1, 0, 1))
    bend = before - 2 * at + after
    step = np.where(bend > 0, 0.5 * (before - after) / np.where(bend > 0, bend, 1.0), 0.0)
    return best + np.where(middle == best, np.clip(step, -0.5, 0.5), 0.0)
