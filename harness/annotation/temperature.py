"""From margins to confidences and weights: C = 2σ(m / τ) − 1 (CW-PO, arXiv 2603.04968, with a temperature).

A sum of log-ratios over a response is tens of nats, where the paper's margins are logits of preference: without τ,
C is 1 everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from ...errors import UserError
from ..statistics.arrays import Codes, Estimate, Floats
from ..statistics.confidence import calibration, folds_of, inverse_temperature, separates
from .settings import Weights


@dataclass(frozen=True, slots=True)
class Temperature:
    """τ in nats, and how it was had."""

    value: float
    source: str
    calibrated: bool
    """Whether labels decided it."""
    error: Estimate | None = None
    """Expected calibration error of the labelled pairs, each judged with the τ of the other folds."""
    pairs: int = 0
    """Labelled pairs that it was fitted on."""


def confidence(margin: Floats, temperature: float) -> Floats:
    """C of margins (P,) of 0 or more: 0 to 1."""
    return 2 * expit(margin / temperature) - 1


def weight_of(kind: Weights, clip: float) -> Callable[[Floats, float], Floats]:
    """Weights (P,) of margins and a temperature: 1, C, σ(m/τ), or min(clip · m/τ, 1)."""
    functions: dict[Weights, Callable[[Floats, float], Floats]] = {
        "none": lambda margin, _: np.ones_like(margin),
        "confidence": confidence,
        "sigmoid": lambda margin, temperature: expit(margin / temperature),
        "clip": lambda margin, temperature: np.minimum(clip * margin / temperature, 1.0),
    }
    return functions[kind]


def auto_temperature(margin: Floats) -> Temperature:
    """The τ at which the mean confidence of margins (P,), all above 0, is one half."""
    margin = np.maximum(margin, 1e-290)
    ends = np.log([margin.min() / 100, margin.max() * 100])  # where all confidences are next to 1, and to 0

    def excess(logarithm: float) -> float:
        with np.errstate(over="ignore"):
            return float(confidence(margin, float(np.exp(logarithm))).mean()) - 0.5

    value = float(np.exp(brentq(excess, *ends, xtol=1e-12)))
    return Temperature(value, "auto: mean confidence one half, uncalibrated", calibrated=False)


def fitted_temperature(margin: Floats, cluster: Codes, seed: int, source: str) -> Temperature:
    """Maximum likelihood of P(right) = σ(|m| / τ) on labelled pairs: margins (P,), positive where the label agrees.

    Raises UserError where larger margins are no more often right, or all are: neither is a temperature.
    """
    inverse = inverse_temperature(margin)
    if inverse == 0:
        raise UserError(
            f"By the labels of {source} larger margins are no more often right, so that no temperature fits: pass "
            "another file, or --temperature auto."
        )
    if separates(margin, inverse):
        raise UserError(
            f"The margins separate right from wrong on the {len(margin):,} labelled pairs of {source}, so that the "
            "likeliest temperature is 0: pass more of them, or --temperature auto."
        )
    folds = folds_of(cluster, np.random.default_rng(seed))
    error = calibration(margin, cluster, folds).error
    return Temperature(1 / inverse, f"fit: maximum likelihood on {source}", True, error, len(margin))
