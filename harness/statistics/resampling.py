"""Bootstrap over items: clusters drawn whole, strata kept at their size, drawn anew wherever it is needed.

Nothing here holds items × resamples: each pass draws the same resamples from the seed, some at a time, and keeps
only sums by subset.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .arrays import Codes, Floats, chunks, one_thread
from .intervals import percentile_interval
from .scopes import Scopes

DRAWS_AT_ONCE: Final = 2**20
MANY: Final = 4096
"""Clusters of a stratum from which on it is asked whether they are of few kinds, which are drawn much faster."""
LEAST_CLUSTERS: Final = 10
"""Of a stratum: m clusters drawn from themselves show (m - 1) / m of their variance, and one by itself none."""
BYTES_AT_ONCE: Final = 2**27
"""Of the sums of resampled credits: bounds the rows that are resampled at once."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A stratified cluster bootstrap of n items.

    A cluster's stratum is the set of subsets that its items cover (a problem asked in six subsets forms a stratum with
    the other problems asked in those six). Strata of fewer than LEAST_CLUSTERS are pooled into one. Clusters are drawn
    with replacement within their stratum, as many as it has.
    """

    clusters: Codes
    """(n,) items with one number are drawn together."""
    strata: tuple[Codes, ...]
    """The clusters of each stratum, in order of their first item; those of the pooled one come last."""
    resamples: int
    seed: int

    @classmethod
    def of(cls, clusters: Codes, subsets: Codes, resamples: int, seed: int) -> "Bootstrap":
        """The bootstrap of items with these clusters and subsets (n,)."""
        covered: dict[int, set[int]] = {}
        for cluster, subset in zip(clusters.tolist(), subsets.tolist(), strict=True):
            covered.setdefault(cluster, set()).add(subset)
        groups: dict[frozenset[int], list[int]] = {}
        for cluster, found in covered.items():
            groups.setdefault(frozenset(found), []).append(cluster)
        strata = [members for members in groups.values() if len(members) >= LEAST_CLUSTERS]
        few = [cluster for cluster, found in covered.items() if len(groups[frozenset(found)]) < LEAST_CLUSTERS]
        strata += [few] if few else []
        return cls(clusters, tuple(np.array(members, dtype=np.intp) for members in strata), resamples, seed)

    def generator(self) -> np.random.Generator:
        """The generator that a pass over all resamples draws from; after the pass it is free for further draws."""
        return np.random.default_rng(self.seed)

    def accuracies(
        self, credits: Floats, scopes: Scopes, rng: np.random.Generator, *, alike: bool = False
    ) -> dict[str, Floats]:
        """Accuracy (rows, resamples) of each section that has items, and overall, of credits (rows, n).

        Draws from `rng` what a whole pass draws; take no more rows than `rows_at_once` says. Rows of one call are drawn
        together; `alike` makes those of several calls, too, where generators start alike.
        """
        with one_thread():
            return scopes.folded(*self.sums(credits, scopes, rng, alike=alike))

    def rows_at_once(self, scopes: Scopes) -> int:
        """How many rows can be resampled at once."""
        numbers = 3 * len(scopes.names) + 4 * (len(scopes.present()) + 1)
        return max(1, BYTES_AT_ONCE // (8 * numbers * max(self.resamples, 1)))

    def sums(
        self, credits: Floats, scopes: Scopes, rng: np.random.Generator, *, alike: bool = False
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Sums of drawn credits and numbers of drawn scored items by subset: (subsets, rows, resamples) each."""
        scored = ~np.isnan(credits)
        if (scored == scored[:1]).all():
            scored = scored[:1]
        values, rows = np.where(scored, credits, 0.0), len(credits)
        exact = len(self.clusters) < 2**22 and not np.any((2 * values) % 1)  # sums of halves are whole in float32
        kind = np.float32 if exact else np.float64
        sums = np.zeros((len(scopes.names), rows + len(scored), self.resamples), dtype=kind)
        stratum = np.empty(int(self.clusters.max(initial=-1)) + 1, dtype=np.intp)
        place = np.empty_like(stratum)
        for number, members in enumerate(self.strata):
            stratum[members], place[members] = number, np.arange(len(members))
        of_item = place[self.clusters]
        for number, members in enumerate(self.strata):
            items = np.flatnonzero(stratum[self.clusters] == number)
            items = items[np.argsort(of_item[items], kind="stable")]
            covered = np.unique(scopes.subsets[items])
            within = [items[scopes.subsets[items] == k] for k in covered]
            each = [_by_cluster(values, scored, inside, of_item[inside], len(members)) for inside in within]
            stacked = np.stack(each).astype(kind)
            kinds, of_kind = (stacked, None) if alike else _kinds(stacked)
            for drawn, counts in _draws(len(members), self.resamples, rng, of_kind):
                sums[covered, :, drawn] += kinds @ counts.astype(kind).T
        return sums[:, :rows], sums[:, rows:]


def draw_counts(size: int, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each of `size` things comes up in `size` draws with replacement, (resamples, size)."""
    drawn = rng.integers(size, size=(resamples, size))
    drawn += np.arange(resamples)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size)


def _draws(
    size: int, resamples: int, rng: np.random.Generator, of_kind: NDArray[np.intp] | None
) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """`draw_counts` some resamples at a time: which, and their counts. The draws are those of one call.

    Counts of kinds where there are kinds, so many things of each: they follow a multinomial distribution.
    """
    for drawn in chunks(resamples, DRAWS_AT_ONCE // size):
        count = drawn.stop - drawn.start
        yield drawn, draw_counts(size, count, rng) if of_kind is None else rng.multinomial(size, of_kind / size, count)


def _kinds(clusters: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp] | None]:
    """Many clusters (subsets, rows, clusters) of few kinds: (subsets, rows, kinds), and how many there are of each."""
    size = clusters.shape[-1]
    if size < MANY:
        return clusters, None
    kinds, of_kind = np.unique(clusters.reshape(-1, size), axis=1, return_counts=True)
    if len(of_kind) > size // 16:
        return clusters, None
    return kinds.reshape(*clusters.shape[:2], -1), of_kind


def _by_cluster(values: Floats, scored: NDArray[np.bool_], items: Codes, place: Codes, size: int) -> Floats:
    """Sums over each of `size` clusters of items that are sorted by it, of values and of scored: (both rows, size)."""
    first = np.flatnonzero(np.append(True, place[1:] != place[:-1]))
    sums = np.zeros((len(values) + len(scored), size))
    for part, rows in ((values, slice(len(values))), (scored, slice(len(values), None))):
        sums[rows, place[first]] = np.add.reduceat(part[:, items], first, axis=1, dtype=float)
    return sums


def mean_intervals(values: Floats, bootstrap: Bootstrap) -> list[tuple[int, float, tuple[float, float]]]:
    """For each row of values (rows, n), NaN where there is none: how many, their mean, and its 95% interval."""
    scopes = Scopes.of(["all"] * values.shape[1], {})
    known = ~np.isnan(values)
    result: list[tuple[int, float, tuple[float, float]]] = []
    for some in chunks(len(values), bootstrap.rows_at_once(scopes)):
        drawn = bootstrap.accuracies(values[some], scopes, bootstrap.generator())["overall"]
        observed = scopes.accuracies(values[some])["overall"]
        low, high = percentile_interval(drawn, axis=1)
        counts = known[some].sum(axis=1).tolist()
        ends = zip(low.tolist(), high.tolist(), strict=True)
        result += zip(counts, observed.tolist(), ends, strict=True)
    return result
