"""Bootstrap over items: how often each item is drawn, clusters kept whole, strata kept at their size."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def resample_weights(
    clusters: ArrayLike, strata: ArrayLike, resamples: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Multiplicities of items in a stratified cluster bootstrap, shape (resamples, items).

    `clusters` and `strata` hold one label an item. A cluster is drawn whole. Its stratum is the set of
    strata that its items cover (a problem asked in six subsets forms a stratum with the other problems
    asked in those six), and clusters are drawn with replacement within their stratum, as many as it has.
    A stratum of one cluster is therefore the same in every resample.
    """
    cluster, stratum = _codes(clusters), _codes(strata)
    weights = np.empty((resamples, len(cluster)), dtype=np.float32)
    for members in clusters_by_stratum(cluster, stratum):
        local = np.full(cluster.max() + 1, -1)
        local[members] = np.arange(len(members))
        items = np.flatnonzero(local[cluster] >= 0)
        draws = draw_counts(len(members), resamples, rng)
        weights[:, items] = draws[:, local[cluster[items]]]
    return weights


def draw_counts(size: int, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each of `size` things comes up in `size` draws with replacement, (resamples, size)."""
    drawn = rng.integers(size, size=(resamples, size))
    drawn += np.arange(resamples)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size)


def clusters_by_stratum(cluster: NDArray[np.intp], stratum: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The clusters (codes) of each stratum, a cluster's stratum being the set of codes that it covers."""
    covered: dict[int, set[int]] = {}
    for c, s in zip(cluster.tolist(), stratum.tolist(), strict=True):
        covered.setdefault(c, set()).add(s)
    groups: dict[frozenset[int], list[int]] = {}
    for c in sorted(covered):
        groups.setdefault(frozenset(covered[c]), []).append(c)
    return [np.asarray(members, dtype=np.intp) for members in groups.values()]


def _codes(labels: ArrayLike) -> NDArray[np.intp]:
    """Labels as the codes 0, 1, ... in order of first appearance."""
    values: Sequence[Hashable] = np.asarray(labels).tolist()
    seen: dict[Hashable, int] = {}
    return np.asarray([seen.setdefault(v, len(seen)) for v in values], dtype=np.intp)
