"""Rules that know nothing of what was asked: how far do length and keywords alone get on the minilab's items?"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ...tasks.item import Item
from ...tasks.minilab.world import TEST_SEED, preference_items

TRAIN_SHARE = 5.0
"""Training items for the bag of words, as a multiple of the test items."""
_PENALTY = 1e-3


def measure_baselines() -> dict[str, float]:
    """Accuracy (per cent, a tie counts half) on the test items of three rules:

    the longer response, the shorter one, and a logistic regression on the difference of the responses' word counts,
    trained on training items.
    """
    train, test = preference_items("train", TEST_SEED, TRAIN_SHARE), preference_items("test", TEST_SEED)
    longer = np.array([len(item.responses[0]) - len(item.responses[1]) for item in test], dtype=np.float64)
    words = sorted({word for item in (*train, *test) for text in item.responses for word in _words(text)})
    weights = _fit(_differences(train, words))
    return {
        "longer": _accuracy(longer),
        "shorter": _accuracy(-longer),
        "bag of words": _accuracy(_differences(test, words) @ weights),
    }


def _fit(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights w that minimise mean log(1 + exp(−d·w)) + penalty·|w|², d = chosen − rejected."""

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = differences @ weights
        slope = -differences.T @ (1 / (1 + np.exp(margins))) / len(margins)
        return float(np.logaddexp(0, -margins).mean() + _PENALTY * weights @ weights), slope + 2 * _PENALTY * weights

    return minimize(loss, np.zeros(differences.shape[1]), jac=True, method="L-BFGS-B").x


def _differences(items: Sequence[Item], words: Sequence[str]) -> NDArray[np.float64]:
    column = {word: number for number, word in enumerate(words)}
    rows = np.zeros((len(items), len(words)))
    for row, item in zip(rows, items, strict=True):
        for text, sign in zip(item.responses, (1, -1), strict=True):
            for word, count in Counter(_words(text)).items():
                row[column[word]] += sign * count
    return rows


def _accuracy(margins: NDArray[np.float64]) -> float:
    return round(100 * float(((margins > 0) + 0.5 * (margins == 0)).mean()), 1)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|[0-9]+|[^a-z0-9 ]", text)
