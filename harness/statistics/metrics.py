"""Reward accuracy with intervals, and paired comparisons, on plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ...tasks.task import Section

Floats = NDArray[np.float64]


def credit(margin: Floats) -> Floats:
    """1 for a margin above 0, 0 for one below, one half for a tie, NaN for an unscored item."""
    return np.where(np.isnan(margin), np.nan, (np.sign(margin) + 1) / 2)


def wilson(accuracy: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share of n items (Wilson 1927); NaN for n = 0."""
    if n == 0:
        return float("nan"), float("nan")
    z = float(stats.norm.ppf((1 + level) / 2))
    centre = (accuracy + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def intervals(resampled: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Percentile interval over the last axis; NaN where every resample is NaN."""
    tail = (1 - level) / 2
    defined = np.where(np.isnan(resampled).all(-1, keepdims=True), 0.0, resampled)
    low, high = np.nanquantile(defined, (tail, 1 - tail), axis=-1)
    undefined = np.isnan(resampled).all(-1)
    return np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)


def sign_flip_test(
    contributions: Floats, clusters: ArrayLike, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The sum of paired differences and its two-sided p-value.

    Under the null hypothesis the two sides are exchangeable on every item, so each cluster's difference may change its
    sign. p = (1 + #{|d*| ≥ |d|}) / (1 + permutations) (Phipson & Smyth 2010).

    Args:
        contributions: (items,), each item's weighted difference.
        clusters: (items,), items of one label change sign together.
    """
    _, code = np.unique(np.asarray(clusters), return_inverse=True)
    by_cluster = np.bincount(code, weights=contributions)
    by_cluster = by_cluster[by_cluster != 0].astype(np.float32)
    observed = float(contributions.sum())
    signs = rng.integers(0, 2, size=(permutations, len(by_cluster)), dtype=np.int8).astype(np.float32) * 2 - 1
    extreme = int(np.count_nonzero(np.abs(signs @ by_cluster) >= abs(observed) - 1e-6))
    return observed, (1 + extreme) / (1 + permutations)


@dataclass(frozen=True, slots=True)
class Scopes:
    """How item credits add up to the accuracies of sections and overall.

    Section: Σ accuracy × count / Σ count over its subsets, with the published counts; overall: the plain mean of the
    sections (RewardBench, arXiv 2403.13787). Without sections, overall is the mean over items.
    """

    subsets: NDArray[np.str_]
    """Subset of each item."""
    sections: tuple[Section, ...]

    def present(self) -> list[Section]:
        """The sections that have items."""
        there = set(self.subsets.tolist())
        return [section for section in self.sections if there & section.counts.keys()]

    def items_of(self, scope: str) -> NDArray[np.bool_]:
        """The items that a scope's accuracy rests on."""
        inside = [name for s in self.sections if scope in (s.name, "overall") for name in s.counts]
        return np.isin(self.subsets, inside) if inside else np.ones(len(self.subsets), dtype=bool)

    def missing_subsets(self, scope: str) -> list[str]:
        """The subsets that belong to a scope and have no item."""
        there = set(self.subsets.tolist())
        return [name for s in self.sections if scope in (s.name, "overall") for name in s.counts if name not in there]

    def accuracies(self, credits: Floats, multiplicity: NDArray[np.float32] | None = None) -> dict[str, Floats]:
        """Accuracy of each section that has items, and overall.

        Args:
            credits: (rows, items), NaN for unscored items, which do not count.
            multiplicity: (resamples, items), how often each item counts; None counts each once.

        Returns:
            Scope → (rows,), or (rows, resamples) with a multiplicity; NaN where nothing is scored.
        """
        weights = np.ones((1, credits.shape[1]), dtype=np.float32) if multiplicity is None else multiplicity
        result = {s.name: self._section(s, credits, weights) for s in self.present()}
        parts = [(values, 1.0) for values in result.values()]
        result["overall"] = _weighted_mean(parts) if parts else _mean(credits, weights)
        return result if multiplicity is not None else {name: values[:, 0] for name, values in result.items()}

    def item_weights(self, scored: NDArray[np.bool_]) -> dict[str, Floats]:
        """Weights w of shape (items,) with accuracy = Σ_i w_i · credit_i over the scored items, for each scope."""
        weights: dict[str, Floats] = {}
        for section in self.present():
            weight = np.zeros(len(scored))
            for name, count in section.counts.items():
                items = (self.subsets == name) & scored
                weight[items] = count / max(1, items.sum())
            if weight.any():
                weights[section.name] = weight / weight.sum()
        everything = scored / max(1, scored.sum())
        weights["overall"] = np.mean(list(weights.values()), axis=0) if weights else everything
        return weights

    def _section(self, section: Section, credits: Floats, weights: NDArray[np.float32]) -> Floats:
        parts: list[tuple[Floats, float]] = []
        for name, count in section.counts.items():
            inside = self.subsets == name
            if inside.any():
                parts.append((_mean(credits[:, inside], weights[:, inside]), count))
        return _weighted_mean(parts)


def _mean(credits: Floats, weights: NDArray[np.float32]) -> Floats:
    """Mean credit of the scored items for each row and resample, (rows, resamples)."""
    scored = (~np.isnan(credits)).astype(np.float32)
    won = np.nan_to_num(credits).astype(np.float32) @ weights.T
    with np.errstate(invalid="ignore"):
        return won.astype(np.float64) / (scored @ weights.T)


def _weighted_mean(parts: Sequence[tuple[Floats, float]]) -> Floats:
    """Mean of arrays of one shape, NaN entries left out with their weight; NaN where all are."""
    values = np.stack([values for values, _ in parts])
    weights = np.array([weight for _, weight in parts], dtype=float).reshape(-1, *[1] * (values.ndim - 1))
    weights = np.where(np.isnan(values), 0.0, weights)
    with np.errstate(invalid="ignore"):
        return np.nansum(values * weights, 0) / weights.sum(0)
