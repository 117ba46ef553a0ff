"""What the analyses of a grid take: plain arrays with labels, one reward variant."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..statistics.metrics import Scopes, credit
from .checkpoint_pairs import Pairs

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
POOLED = "pooled"


@dataclass(frozen=True, slots=True)
class MarginData:
    """Margins of rewards with what the analyses of single items need; a row is a pair under a variant."""

    strong: tuple[str, ...]
    weak: tuple[str, ...]
    """Empty where the variant uses one model."""
    variant: tuple[str, ...]
    margin: Floats
    """(rows, items): reward of chosen minus reward of rejected; NaN = unscored."""
    clusters: NDArray[np.str_]
    """(items,): items that share a label are not independent of each other."""
    length_difference: NDArray[np.int64]
    """(items,) characters of chosen minus characters of rejected."""


@dataclass(frozen=True, slots=True)
class GridData:
    """A grid of pairs under one variant."""

    variant: str
    checkpoints: tuple[str, ...]
    objectives: tuple[str | None, ...]
    trained_from: tuple[str | None, ...]
    parameters: tuple[int | None, ...]
    scores: Mapping[str, Floats]
    """Benchmark to its scores by checkpoint, NaN where missing."""
    strong: Codes
    """(P,) numbers of checkpoints; self-pairs may or may not be among the pairs."""
    weak: Codes
    family: tuple[str, ...]
    """(P,) the family that a pair is taken within."""
    margin: Floats
    """(P, items): as in MarginData."""
    clusters: NDArray[np.str_]
    length_difference: NDArray[np.int64]
    scopes: Scopes
    """How items add up to the accuracies of sections and overall."""
    multiplicity: NDArray[np.float32]
    """(R, items): how often a resample of the items draws each of them."""

    @property
    def families(self) -> tuple[str, ...]:
        """The families in order of their first pair."""
        return tuple(dict.fromkeys(self.family))

    def names(self, checkpoints: Codes) -> tuple[str, ...]:
        """Names of checkpoints given by number."""
        numbers: list[int] = checkpoints.tolist()
        return tuple(self.checkpoints[i] for i in numbers)

    def margins(self) -> MarginData:
        """The margins of the pairs of two different checkpoints."""
        rows = np.flatnonzero(self.strong != self.weak)
        return MarginData(
            strong=self.names(self.strong[rows]),
            weak=self.names(self.weak[rows]),
            variant=(self.variant,) * len(rows),
            margin=self.margin[rows],
            clusters=self.clusters,
            length_difference=self.length_difference,
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """The pairs of some families, between different checkpoints that have what an analysis needs."""

    family: str
    """The family's name, or "pooled"."""
    pairs: Pairs
    checkpoint: Codes
    """(n,) the grid's number of each checkpoint; one in two families stands twice."""
    row: Codes
    """(P,) the grid's number of each pair."""
    left_out: int
    """Checkpoints without a score of the benchmark."""


def frames(data: GridData, accuracy: Floats, scores: Floats) -> list[Frame]:
    """A frame for each family and, with two families or more, one for all pooled.

    `accuracy` (S, pairs of the grid); a pair of which one is NaN is left out. `scores` (checkpoints of the grid)
    with NaN where missing.
    """
    names = data.families
    result = [_frame(data, accuracy, scores, name, (name,)) for name in names]
    if len(names) > 1:
        result.append(_frame(data, accuracy, scores, POOLED, names))
    return result


def _frame(data: GridData, accuracy: Floats, scores: Floats, label: str, families: tuple[str, ...]) -> Frame:
    family = np.array([families.index(f) if f in families else -1 for f in data.family], dtype=np.intp)
    inside = family >= 0
    size = len(data.checkpoints)
    ends = np.concatenate([(family * size + end)[inside] for end in (data.strong, data.weak)])
    members = np.unique(ends)
    scored = members[~np.isnan(scores[members % size])]
    usable = inside & (data.strong != data.weak) & ~np.isnan(accuracy).any(axis=0)
    usable &= ~np.isnan(scores[data.strong]) & ~np.isnan(scores[data.weak])
    row = np.flatnonzero(usable)
    strong, weak = (np.searchsorted(scored, (family * size + end)[row]) for end in (data.strong, data.weak))
    pairs = Pairs(scored // size, scores[scored % size], strong, weak, accuracy[:, row])
    return Frame(label, pairs, scored % size, row, len(members) - len(scored))


@dataclass(frozen=True, slots=True)
class GridAccuracy:
    """Accuracies of a grid's pairs over S scopes (sections with scored items, then overall), in [0, 1]."""

    scopes: tuple[str, ...]
    items: Floats
    """(S,) items that a scope's accuracy rests on."""
    observed: Floats
    """(S, P)"""
    resampled: NDArray[np.float32]
    """(R, S, P): the same under each resample of the items."""


PAIRS_AT_ONCE = 32
"""Pairs resampled at once: bounds the memory beside the result."""


def grid_accuracy(data: GridData) -> GridAccuracy:
    """Accuracies of all pairs, observed and resampled over items."""
    credits = credit(data.margin)
    observed = data.scopes.accuracies(credits)
    names = tuple(name for name, values in observed.items() if name == "overall" or not np.isnan(values).all())
    resampled = np.empty((len(data.multiplicity), len(names), len(credits)), dtype=np.float32)
    for start in range(0, len(credits), PAIRS_AT_ONCE):
        pairs = slice(start, start + PAIRS_AT_ONCE)
        drawn = data.scopes.accuracies(credits[pairs], data.multiplicity)
        for s, name in enumerate(names):
            resampled[:, s, pairs] = drawn[name].T
    items = np.array([data.scopes.items_of(name).sum() for name in names], dtype=np.float64)
    return GridAccuracy(names, items, np.stack([observed[name] for name in names]), resampled)
