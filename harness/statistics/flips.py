"""What rounding of weights does to margins: how often it turns their sign, and how often it should by its size."""

from dataclasses import dataclass

import numpy as np

from .arrays import Floats
from .intervals import wilson


@dataclass(frozen=True, slots=True)
class Flips:
    """Margins of a reward with rounded weights against those with the full ones."""

    n: int
    """Items that both scored."""
    flipped: float
    """Share of them whose margins differ in sign."""
    ci_low: float
    ci_high: float
    """Ends of Wilson's 95% interval of that share, items taken as independent."""
    predicted: float
    """arctan(noise / spread) / π: P(sign(m + e) ≠ sign(m)) of independent normal m and e with mean 0."""
    noise: float
    """Standard deviation of rounded margin − full margin."""
    spread: float
    """Standard deviation of the full margins."""


def flips(rounded: Floats, full: Floats) -> Flips:
    """Compare the margins (n,) of the same items; NaN is an unscored one."""
    both = np.isfinite(rounded) & np.isfinite(full)
    ours, theirs = rounded[both], full[both]
    n = len(ours)
    if n == 0:
        return Flips(0, *(float("nan"),) * 6)
    share = float((np.sign(ours) != np.sign(theirs)).mean())
    noise, spread = (float(np.std(values, ddof=1)) if n > 1 else float("nan") for values in (ours - theirs, theirs))
    return Flips(n, share, *wilson(share, n), float(np.arctan2(noise, spread) / np.pi), noise, spread)
