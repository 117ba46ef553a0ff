"""What the analyses of a grid take: plain arrays with labels, one reward variant."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..statistics.arrays import Codes, Floats, Mask, chunks
from ..statistics.resampling import Bootstrap
from ..statistics.scopes import Scopes
from .checkpoint_pairs import Pairs

POOLED = "pooled"


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
    credit: Floats
    """(P, items): what each item earns by its rule; NaN = unscored."""
    chance: Floats
    """(items,): what it earns for a random order of its responses."""
    scopes: Scopes
    """How items add up to the accuracies of sections and overall."""
    bootstrap: Bootstrap
    """Of the items: which are drawn together, and the resamples that all intervals share."""

    @property
    def families(self) -> tuple[str, ...]:
        """The families in order of their first pair."""
        return tuple(dict.fromkeys(self.family))

    def names(self, checkpoints: Codes) -> tuple[str, ...]:
        """Names of checkpoints given by number."""
        numbers: list[int] = checkpoints.tolist()
        return tuple(self.checkpoints[i] for i in numbers)


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


def frames(data: GridData, accuracy: "GridAccuracy", scores: Floats) -> list[Frame]:
    """A frame for each family and, with two families or more, one for all pooled.

    A pair of which an accuracy is NaN is left out. `scores` (checkpoints of the grid) with NaN where missing.
    """
    names = data.families
    result = [_frame(data, accuracy, scores, name, (name,)) for name in names]
    if len(names) > 1:
        result.append(_frame(data, accuracy, scores, POOLED, names))
    return result


def _frame(data: GridData, accuracy: "GridAccuracy", scores: Floats, label: str, families: tuple[str, ...]) -> Frame:
    family = np.array([families.index(f) if f in families else -1 for f in data.family], dtype=np.intp)
    inside = family >= 0
    size = len(data.checkpoints)
    ends = np.concatenate([(family * size + end)[inside] for end in (data.strong, data.weak)])
    members = np.unique(ends)
    scored = members[~np.isnan(scores[members % size])]
    usable = inside & (data.strong != data.weak) & ~np.isnan(accuracy.observed).any(axis=0)
    usable &= ~np.isnan(scores[data.strong]) & ~np.isnan(scores[data.weak])
    row = np.flatnonzero(usable)
    strong, weak = (np.searchsorted(scored, (family * size + end)[row]) for end in (data.strong, data.weak))
    pairs = Pairs(scored // size, scores[scored % size], strong, weak, accuracy.observed[:, row], accuracy.chance)
    return Frame(label, pairs, scored % size, row, len(members) - len(scored))


@dataclass(frozen=True, slots=True)
class GridAccuracy:
    """Accuracies of a grid's pairs over S scopes (sections with scored items, then overall), in [0, 1]."""

    scopes: tuple[str, ...]
    items: Floats
    """(S,) items that a scope's accuracy rests on."""
    units: Floats
    """(S, P) clusters of those items of which the pair scored one."""
    chance: Floats
    """(S,) accuracy of rewards that say nothing."""
    observed: Floats
    """(S, P)"""
    resampled: NDArray[np.float32]
    """(R, S, P): the same under each resample of the items."""


def grid_accuracy(data: GridData) -> GridAccuracy:
    """Accuracies of all pairs, observed and resampled over items."""
    observed, by_chance = data.scopes.accuracies(data.credit), data.scopes.accuracies(data.chance[None])
    names = tuple(name for name, values in observed.items() if name == "overall" or not np.isnan(values).all())
    resampled = np.empty((data.bootstrap.resamples, len(names), len(data.credit)), dtype=np.float32)
    for some in chunks(len(data.credit), data.bootstrap.rows_at_once(data.scopes)):
        drawn = data.bootstrap.accuracies(data.credit[some], data.scopes, data.bootstrap.generator(), alike=True)
        for s, name in enumerate(names):
            resampled[:, s, some] = drawn[name].T
    items = np.array([data.scopes.items_of(name).sum() for name in names], dtype=np.float64)
    chance = np.concatenate([by_chance[name] for name in names])
    units = np.stack([_units(data, data.scopes.items_of(name)) for name in names])
    return GridAccuracy(names, items, units, chance, np.stack([observed[name] for name in names]), resampled)


def _units(data: GridData, inside: Mask) -> Floats:
    """(P,) clusters of the items inside of which a pair scored one."""
    items = np.flatnonzero(inside)[np.argsort(data.bootstrap.clusters[inside], kind="stable")]
    clusters = data.bootstrap.clusters[items]
    first = np.flatnonzero(np.append(True, clusters[1:] != clusters[:-1]))
    return np.logical_or.reduceat(~np.isnan(data.credit[:, items]), first, axis=1).sum(axis=1, dtype=np.float64)
