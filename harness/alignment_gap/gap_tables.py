"""All analyses of a grid as tables: the alignment gap, the choice of a pair, and what single items say."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from ..statistics.arrays import Floats
from .checkpoint_pairs import NO_SELF, POSITIVE, pair_weights
from .choice_tables import (
    CHAIN_COLUMNS,
    EFFECT_COLUMNS,
    chain_rows,
    effect_rows,
    frame_logits,
    recommendation_table,
    share_rows,
)
from .correlation_rows import FIXED_COLUMNS, comparison_rows, correlation_rows, fixed_rows, with_both
from .gap_rows import GAP_COLUMNS, Cell, Draws, Row, draw
from .grid_data import POOLED, Frame, GridAccuracy, GridData, frames, grid_accuracy
from .objective_factor import objective_rows
from .saturation import saturation

SATURATION_COLUMNS: Final = [
    *("family", "scope", "benchmark", "gap", "observed", "fitted", "ci_low", "ci_high", "isotonic")
]


def analyse_grid(data: GridData, *, resamples: int, seed: int) -> dict[str, pd.DataFrame]:
    """Every analysis of a grid, by the stem of the file that it goes to; a table without rows keeps its columns.

    `resamples` is the number of checkpoint resamples, and of permutations where not all are enumerated; item
    resamples are the grid's own. Equal seeds give equal tables.
    """
    accuracy = grid_accuracy(data)
    scores = {name: values for name, values in data.scores.items() if not np.isnan(values).all()}
    unscored = frames(data, accuracy, np.zeros(len(data.checkpoints)))
    gap: list[Row] = []
    fixed: list[Row] = []
    curves: list[Row] = []
    for b, (benchmark, values) in enumerate(scores.items()):
        for f, frame in enumerate(frames(data, accuracy, values)):
            rng = np.random.default_rng([seed, b, f])
            draws = draw(frame.pairs.family, resamples, rng)
            gap += _gap_rows(frame, benchmark, data, accuracy, draws, rng)
            gap += _comparisons(frame, benchmark, scores, accuracy)
            statistics, points = _saturation_rows(frame, benchmark, accuracy, draws)
            gap += statistics
            curves += points
            if frame.family != POOLED:
                fixed += fixed_rows(frame, benchmark, data, accuracy.scopes)
    families = [frame for frame in unscored if frame.family != POOLED]
    for frame in families:
        gap.append(Cell(NO_SELF, frame.family, "overall", "").row("n_pairs", len(frame.row)))
        gap += share_rows(frame, NO_SELF, "", accuracy)
    return {
        "gap_analysis": pd.DataFrame(gap, columns=GAP_COLUMNS),
        "gap_fixed": pd.DataFrame(fixed, columns=FIXED_COLUMNS),
        "effects": _effects_table(data, accuracy, scores, families),
        "chain": pd.DataFrame(
            [row for frame in families for row in chain_rows(frame, data, accuracy)], columns=CHAIN_COLUMNS
        ),
        "saturation": pd.DataFrame(curves, columns=SATURATION_COLUMNS),
        "recommendation": recommendation_table(data, accuracy),
    }


def _gap_rows(
    frame: Frame,
    benchmark: str,
    data: GridData,
    accuracy: GridAccuracy,
    draws: Draws,
    rng: np.random.Generator,
) -> Iterator[Row]:
    yield from correlation_rows(frame, benchmark, accuracy, draws, rng)
    members: list[int] = frame.checkpoint.tolist()
    objectives = [data.objectives[i] for i in members]
    logits = frame_logits(frame, accuracy)
    yield from objective_rows(frame.family, benchmark, frame.pairs, logits, objectives, accuracy.scopes, draws)
    if frame.family != POOLED:
        yield from share_rows(frame, POSITIVE, benchmark, accuracy)


def _comparisons(frame: Frame, benchmark: str, scores: dict[str, Floats], accuracy: GridAccuracy) -> Iterator[Row]:
    """The frame's benchmark against each that comes after it."""
    names = list(scores)
    for other in names[names.index(benchmark) + 1 :]:
        both, values = with_both(frame, scores[other][frame.checkpoint])
        yield from comparison_rows(both, (benchmark, other), values, accuracy.scopes)


def _saturation_rows(frame: Frame, benchmark: str, accuracy: GridAccuracy, draws: Draws) -> tuple[list[Row], list[Row]]:
    """Rows of gap_analysis.csv and of saturation.csv."""
    gap = frame.pairs.gaps(frame.pairs.score)
    pairs = frame.pairs.only(gap > 1e-9)
    gap = gap[gap > 1e-9]
    fits = saturation(gap, pairs.accuracy, pairs.chance, pair_weights(pairs, draws.counts))
    statistics: list[Row] = []
    points: list[Row] = []
    for scope, observed, fit in zip(accuracy.scopes, pairs.accuracy, fits, strict=False):
        cell = Cell(POSITIVE, frame.family, scope, benchmark)
        statistics.append(cell.row("asymptote", fit.asymptote, fit.asymptote_low, fit.asymptote_high))
        statistics.append(cell.row("gap_at_90", fit.gap_at_90, fit.gap_at_90_low, fit.gap_at_90_high))
        statistics.append(cell.row("identifiable", fit.identifiable))
        columns = np.stack([gap, observed, fit.fitted, fit.low, fit.high, fit.isotonic], axis=1)
        for numbers in columns[np.argsort(gap, kind="stable")]:
            point: Row = [frame.family, scope, benchmark, *map(float, numbers)]
            points.append(point)
    return statistics, points


def _effects_table(
    data: GridData, accuracy: GridAccuracy, scores: dict[str, Floats], families: list[Frame]
) -> pd.DataFrame:
    """Effects over the pairs with a positive gap on the first benchmark; over all ordered ones without scores."""
    name = POSITIVE if scores else NO_SELF
    if scores:
        scored = frames(data, accuracy, next(iter(scores.values())))
        families = [frame for frame in scored if frame.family != POOLED]
    rows = [row for frame in families for row in effect_rows(frame, name, data, accuracy)]
    return pd.DataFrame(rows, columns=EFFECT_COLUMNS)
