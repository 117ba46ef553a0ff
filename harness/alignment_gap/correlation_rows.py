"""Rows of gap_analysis.csv on correlation of gap and accuracy, and the table of correlations with one side fixed."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from ..statistics.arrays import Floats
from .checkpoint_pairs import ALL_ORDERED, NO_SELF, PAIR_SETS, POSITIVE, Pairs, pair_set, restrict
from .gap_correlation import (
    METHODS,
    correlate,
    correlation_difference,
    fixed_correlations,
    mean_fixed_correlation,
    noise_split,
    sizes_shuffled,
)
from .gap_rows import Cell, Draws, Row
from .grid_data import Frame, GridAccuracy, GridData

FIXED_COLUMNS: Final = [
    *("family", "scope", "benchmark", "role", "checkpoint", "statistic"),
    *("n", "value", "ci_low", "ci_high"),
]
ROLES: Final = ("strong", "weak")


def correlation_rows(
    frame: Frame, benchmark: str, accuracy: GridAccuracy, draws: Draws, rng: np.random.Generator
) -> Iterator[Row]:
    """Correlations over the three sets of pairs, what of them the signs alone give, and where noise comes from."""
    for name in PAIR_SETS:
        pairs = pair_set(frame.pairs, name)
        yield from _count_rows(Cell(name, frame.family, "overall", benchmark), frame, pairs, draws)
        if not len(frame.row):
            continue
        estimates = correlate(pairs, draws.permuted, draws.exact)
        for s, scope in enumerate(accuracy.scopes):
            for m, method in enumerate(METHODS):
                yield Cell(name, frame.family, scope, benchmark).estimate(method, estimates, (m, s))
        if name != POSITIVE:
            yield from _sign_rows(pairs, name, frame, benchmark, accuracy, len(draws.counts), rng)
        if name != ALL_ORDERED:
            yield from _noise_rows(pairs, name, frame, benchmark, accuracy, draws)
    for role in ROLES if len(frame.row) else ():
        pairs = pair_set(frame.pairs, NO_SELF)
        estimates = mean_fixed_correlation(pairs, role, draws.permuted, draws.exact)
        for s, scope in enumerate(accuracy.scopes):
            yield Cell(NO_SELF, frame.family, scope, benchmark).estimate(f"pearson_{role}_fixed", estimates, (s,))


def _count_rows(cell: Cell, frame: Frame, pairs: Pairs, draws: Draws) -> Iterator[Row]:
    yield cell.row("n_pairs", pairs.chosen(pairs.gaps(pairs.score)).sum())
    yield cell.row("n_checkpoints", len(frame.checkpoint))
    yield cell.row("n_left_out", frame.left_out)
    yield cell.row("permutations", len(draws.permuted))
    yield cell.row("permutations_exact", draws.exact)


def _sign_rows(
    pairs: Pairs,
    name: str,
    frame: Frame,
    benchmark: str,
    accuracy: GridAccuracy,
    shuffles: int,
    rng: np.random.Generator,
) -> Iterator[Row]:
    mean, low, high = sizes_shuffled(pairs, shuffles, rng)
    for s, scope in enumerate(accuracy.scopes):
        for m, method in enumerate(METHODS[:2]):
            cell = Cell(name, frame.family, scope, benchmark)
            yield cell.row(f"{method}_sizes_shuffled", mean[m, s], low[m, s], high[m, s])


def _noise_rows(
    pairs: Pairs, name: str, frame: Frame, benchmark: str, accuracy: GridAccuracy, draws: Draws
) -> Iterator[Row]:
    from_items, from_checkpoints = noise_split(pairs, accuracy.resampled[:, :, frame.row], draws.counts)
    for s, scope in enumerate(accuracy.scopes):
        cell = Cell(name, frame.family, scope, benchmark)
        total = from_items[s] + from_checkpoints[s]
        for source, part in (("item", from_items[s]), ("checkpoint", from_checkpoints[s])):
            yield cell.row(f"pearson_sd_{source}s", np.sqrt(part))
            yield cell.row(f"pearson_{source}_share", part / total if total > 0 else np.nan)


def comparison_rows(frame: Frame, benchmarks: tuple[str, str], other: Floats, scopes: tuple[str, ...]) -> Iterator[Row]:
    """How much better the frame's benchmark correlates with accuracy than another, checkpoints that have both.

    `other` (n,) are the other benchmark's scores of the frame's checkpoints, none missing.
    """
    for name in PAIR_SETS if len(frame.row) else ():
        pairs = pair_set(frame.pairs, name)
        estimates = correlation_difference(pairs, other)
        count = pairs.chosen(pairs.gaps(pairs.score)).sum()
        yield Cell(name, frame.family, "overall", " - ".join(benchmarks)).row("n_pairs", count)
        for s, scope in enumerate(scopes):
            cell = Cell(name, frame.family, scope, " - ".join(benchmarks))
            yield cell.estimate("pearson_difference", estimates, (s,))


def with_both(frame: Frame, other: Floats) -> tuple[Frame, Floats]:
    """The frame without the checkpoints that the other benchmark (n,) has no score of, and its scores."""
    both = ~np.isnan(other)
    inside = both[frame.pairs.strong] & both[frame.pairs.weak]
    left = replace(frame, pairs=restrict(frame.pairs, both), checkpoint=frame.checkpoint[both], row=frame.row[inside])
    return left, other[both]


def fixed_rows(frame: Frame, benchmark: str, data: GridData, scopes: tuple[str, ...]) -> Iterator[Row]:
    """Correlations against each checkpoint held fixed in each role; none where fewer than three others are."""
    for role in ROLES:
        for member, checkpoint in enumerate(data.names(frame.checkpoint)):
            found = fixed_correlations(frame.pairs, member, role)
            if found is None:
                continue
            n, estimates = found
            for s, scope in enumerate(scopes):
                for m, method in enumerate(METHODS):
                    numbers = (estimates.value[m, s], estimates.low[m, s], estimates.high[m, s])
                    labels = [frame.family, scope, benchmark, role, checkpoint, method]
                    yield [*labels, n, *map(float, numbers)]
