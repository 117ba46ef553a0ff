"""Tables on the choice of a pair: effects of strong and weak, the iterative-DPO question, the recommendation."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from ..statistics.arrays import Codes, Floats
from ..statistics.intervals import percentile_interval
from .chain import ChainLink, chain_links, paired_difference
from .checkpoint_pairs import POSITIVE
from .gap_rows import Cell, Row
from .grid_data import Frame, GridAccuracy, GridData
from .pair_effects import PairEffects, empirical_logit, pair_effects
from .recommend import recommend

EFFECT_COLUMNS: Final = ["family", "scope", "role", "checkpoint", "objective", "effect", "ci_low", "ci_high"]
CHAIN_COLUMNS: Final = [
    *("family", "scope", "checkpoint", "reference", "weak", "relation", "accuracy", "ci_low", "ci_high"),
    *("difference", "diff_low", "diff_high", "p_value"),
]
RECOMMENDATION_COLUMNS: Final = [
    *("scope", "name", "rank", "strong", "weak", "variant", "accuracy", "ci_low", "ci_high"),
    *("difference_from_best", "p_value", "tied", "parameters", "cheapest"),
]


def frame_logits(frame: Frame, accuracy: GridAccuracy) -> Floats:
    """Logits of the frame's pairs, (S, P), by the number of items in each scope."""
    return empirical_logit(frame.pairs.accuracy, accuracy.items[:, None])


def _fit(frame: Frame, name: str, accuracy: GridAccuracy) -> tuple[PairEffects, PairEffects] | None:
    """Effects over a set of the frame's pairs, observed and for every resample of the items."""
    keep = np.ones(len(frame.row), dtype=bool)
    if name == POSITIVE:
        keep = frame.pairs.gaps(frame.pairs.score) > 1e-9
    if keep.sum() < 3:
        return None
    pairs, items = frame.pairs.only(keep), accuracy.items[:, None]
    drawn = accuracy.resampled[:, :, frame.row[keep]].astype(np.float64)
    observed = pair_effects(pairs.strong, pairs.weak, empirical_logit(pairs.accuracy, items))
    return observed, pair_effects(pairs.strong, pairs.weak, empirical_logit(drawn, items))


def share_rows(frame: Frame, name: str, benchmark: str, accuracy: GridAccuracy) -> Iterator[Row]:
    """Shares of variance of strong, weak and the rest: rows of gap_analysis.csv, intervals over items.

    Resampled items add noise that counts as left over; the basic interval (Davison and Hinkley 1997) reflects
    the resamples about the value and so corrects for it.
    """
    fitted = _fit(frame, name, accuracy)
    if fitted is None:
        return
    observed, drawn = fitted
    low, high = percentile_interval(drawn.shares)
    for s, scope in enumerate(accuracy.scopes):
        for k, part in enumerate(("strong", "weak", "left_over")):
            value = float(observed.shares[s, k])
            ends = np.clip([2 * value - high[s, k], 2 * value - low[s, k]], 0, 1)
            cell = Cell(name, frame.family, scope, benchmark)
            yield cell.row(f"{part}_share", value, float(ends[0]), float(ends[1]))


def effect_rows(frame: Frame, name: str, data: GridData, accuracy: GridAccuracy) -> Iterator[Row]:
    """Each checkpoint's effect as strong and as weak, in logits, with intervals over items."""
    fitted = _fit(frame, name, accuracy)
    if fitted is None:
        return
    observed, drawn = fitted
    for role, members, values, resampled in (
        ("strong", observed.strong_members, observed.strong, drawn.strong),
        ("weak", observed.weak_members, observed.weak, drawn.weak),
    ):
        low, high = percentile_interval(resampled)
        numbers: list[int] = frame.checkpoint[members].tolist()
        for s, scope in enumerate(accuracy.scopes):
            for k, number in enumerate(numbers):
                labels = [frame.family, scope, role, data.checkpoints[number], data.objectives[number] or ""]
                yield [*labels, float(values[s, k]), float(low[s, k]), float(high[s, k])]


def chain_rows(frame: Frame, data: GridData, accuracy: GridAccuracy) -> Iterator[Row]:
    """Each checkpoint over its own reference and over the ancestors of that, with paired differences.

    difference = accuracy over the weaker one - accuracy over the reference.
    """
    number = {name: i for i, name in enumerate(data.checkpoints)}
    parents = [number.get(name) if name else None for name in data.trained_from]
    ends = zip(frame.checkpoint[frame.pairs.strong], frame.checkpoint[frame.pairs.weak], strict=True)
    row_of = {(int(s), int(w)): int(row) for (s, w), row in zip(ends, frame.row, strict=True)}
    for link in chain_links(parents):
        row, own = (row_of.get((link.checkpoint, weak)) for weak in (link.weak, link.reference))
        if row is not None and own is not None:
            yield from _link_rows(link, row, own, frame.family, data, accuracy)


def _link_rows(
    link: ChainLink, row: int, own: int, family: str, data: GridData, accuracy: GridAccuracy
) -> Iterator[Row]:
    observed, drawn = accuracy.observed, accuracy.resampled.astype(np.float64, copy=False)
    low, high = percentile_interval(drawn[:, :, row])
    difference = np.full((4, len(accuracy.scopes)), np.nan)
    if row != own:
        units = accuracy.units[:, [row, own]].min(axis=1)
        difference = paired_difference(observed[:, row], observed[:, own], drawn[:, :, row], drawn[:, :, own], units)
    names = [data.checkpoints[i] for i in (link.checkpoint, link.reference, link.weak)]
    relation = "own reference" if row == own else "weaker"
    for s, scope in enumerate(accuracy.scopes):
        numbers = (observed[s, row], low[s], high[s], *difference[:, s])
        yield [family, scope, *names, relation, *map(float, numbers)]


def recommendation_table(data: GridData, accuracy: GridAccuracy) -> pd.DataFrame:
    """All pairs of two checkpoints ranked in every scope; a pair that two families share is named once."""
    ends = [tuple(end) for end in np.stack([data.strong, data.weak], axis=1).tolist()]
    first = {end: row for row, end in reversed(list(enumerate(ends))) if end[0] != end[1]}
    rows = np.array(sorted(first.values()), dtype=np.intp)
    size = np.array([np.nan if p is None else p for p in data.parameters], dtype=np.float64)
    table: list[Row] = []
    for s, scope in enumerate(accuracy.scopes):
        table += _ranked(scope, s, rows, size[data.strong[rows]] + size[data.weak[rows]], data, accuracy)
    return pd.DataFrame(table, columns=RECOMMENDATION_COLUMNS)


def _ranked(
    scope: str, s: int, rows: Codes, parameters: Floats, data: GridData, accuracy: GridAccuracy
) -> Iterator[Row]:
    drawn = accuracy.resampled[:, s, rows].astype(np.float64)
    value = accuracy.observed[s, rows]
    low, high = percentile_interval(drawn)
    found = recommend(value, drawn, parameters, accuracy.units[s, rows])
    kind = "overall" if scope == "overall" else "section"
    for rank, pair in enumerate(found.order.tolist()):
        ends = data.names(np.array([data.strong[rows[pair]], data.weak[rows[pair]]]))
        numbers = (value[pair], low[pair], high[pair], found.difference[rank], found.p_value[rank])
        marks = [bool(found.tied[rank]), float(parameters[pair]), bool(found.cheapest[rank])]
        yield [kind, scope, rank + 1, *ends, data.variant, *map(float, numbers), *marks]
