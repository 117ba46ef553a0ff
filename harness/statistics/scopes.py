"""How the credits of items add up to the accuracies of subsets, sections and overall."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Codes, Floats, Mask

Sections = Mapping[str, Mapping[str, float]]
"""Section → subset → its weight within the section."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """Section: Σ accuracy × weight / Σ weight over its subsets; overall: the plain mean of the sections (RewardBench,
    arXiv 2403.13787). Without sections, overall is the mean over items. What has no scored item is left out."""

    names: tuple[str, ...]
    """The subsets, in order of their first item."""
    subsets: Codes
    """(n,) the subset of each item."""
    sections: Sections
    pooled: bool = False
    """Whether overall is the mean over all items although there are sections."""

    @classmethod
    def of(cls, subsets: Sequence[str], sections: Sections, pooled: bool = False) -> "Scopes":
        """The scopes of items with these subsets."""
        number = {name: k for k, name in enumerate(dict.fromkeys(subsets))}
        return cls(tuple(number), np.array([number[name] for name in subsets], dtype=np.intp), sections, pooled)

    def present(self) -> dict[str, list[tuple[int, float]]]:
        """The sections that have items: name → (subset, weight) of those of their subsets that have items."""
        number = {name: k for k, name in enumerate(self.names)}
        parts = {
            section: [(number[name], weight) for name, weight in weights.items() if name in number]
            for section, weights in self.sections.items()
        }
        return {section: found for section, found in parts.items() if found}

    def items_of(self, scope: str) -> Mask:
        """The items that a section's or the overall accuracy rests on: (n,)."""
        if not self.sections or (self.pooled and scope == "overall"):
            return np.ones(len(self.subsets), dtype=bool)
        inside = [k for name, parts in self.present().items() if scope in (name, "overall") for k, _ in parts]
        return np.isin(self.subsets, inside) if inside else np.ones(len(self.subsets), dtype=bool)

    def missing_subsets(self, scope: str) -> list[str]:
        """The subsets that belong to a scope and have no item."""
        wanted = [name for s, weights in self.sections.items() if scope in (s, "overall") for name in weights]
        return [name for name in wanted if name not in self.names]

    def accuracies(self, credits: Floats) -> dict[str, Floats]:
        """Accuracy (rows,) of each section that has items, and overall, of credits (rows, n); NaN: nothing scored."""
        scored = ~np.isnan(credits)
        values = np.where(scored, credits, 0.0)
        won, count = np.zeros((2, len(self.names), len(credits)))
        for k in range(len(self.names)):
            inside = self.subsets == k
            won[k], count[k] = values[:, inside].sum(axis=1), scored[:, inside].sum(axis=1)
        return self.folded(won, count)

    def folded(self, won: NDArray[Any], count: NDArray[Any]) -> dict[str, Floats]:
        """The same of sums by subset: of credits, and of how many are scored, (subsets, ...) each."""
        result = {
            name: _weighted_mean((_ratio(won[k], count[k]), weight) for k, weight in parts)
            for name, parts in self.present().items()
        }
        everything = _ratio(won.sum(axis=0, dtype=np.float64), count.sum(axis=0, dtype=np.float64))
        of_sections = result and not self.pooled
        result["overall"] = _weighted_mean((v, 1.0) for v in result.values()) if of_sections else everything
        return result

    def item_weights(self, scored: Mask) -> Floats:
        """Weights w (n,) with overall accuracy = Σ_i w_i · credit_i over the scored items."""
        sections: list[Floats] = []
        for parts in self.present().values():
            weight = np.zeros(len(scored))
            for k, share in parts:
                items = (self.subsets == k) & scored
                weight[items] = share / max(1, items.sum())
            if weight.any():
                sections.append(weight / weight.sum())
        if self.present() and not self.pooled:
            return np.mean(sections, axis=0) if sections else np.zeros(len(scored))
        return scored / max(1, scored.sum())


def _ratio(won: NDArray[Any], count: NDArray[Any]) -> Floats:
    with np.errstate(invalid="ignore"):
        return won.astype(np.float64) / count


def _weighted_mean(parts: Iterable[tuple[Floats, float]]) -> Floats:
    """Mean of arrays of one shape, NaN entries left out with their weight; NaN where all are."""
    total, size = np.float64(0), np.float64(0)
    for values, weight in parts:
        defined = ~np.isnan(values)
        total, size = total + np.where(defined, values * weight, 0.0), size + np.where(defined, weight, 0.0)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / size)
