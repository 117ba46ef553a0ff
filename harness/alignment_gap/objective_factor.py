"""The training objective as a factor beside the gap: rows of gap_analysis.csv."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..statistics.arrays import Codes, Floats
from ..statistics.intervals import jackknife_interval
from .checkpoint_pairs import NO_SELF, Pairs, leave_one_out, pair_weights
from .gap_correlation import permutation_p_value
from .gap_rows import Cell, Draws, Row
from .pair_effects import factor_beside_gap, permuted_partial_correlations

LIKELIHOOD_LIKE: Final = frozenset({"cpo", "orpo", "rrhf", "slic-hf", "simpo"})
"""Objectives without a reference model: what they raise is a likelihood, not a density ratio."""
REFERENCE_BASED: Final = frozenset({"dpo", "ipo", "kto", "rdpo", "robust-dpo", "ppo", "hinge"})
"""`hinge` is SLiC's hinge on the log-ratio to a reference, as TRL trains it; SLiC-HF itself has none."""


@dataclass(frozen=True, slots=True)
class ObjectiveEffect:
    """Arrays (S,): logits beside the gap, and shares of the variance that the gap leaves."""

    slope: Floats
    """Logits a benchmark point, with the class of objective held fixed; then its interval."""
    slope_low: Floats
    slope_high: Floats
    effect: Floats
    """Logits that a likelihood-like strong has over a reference-based one; then interval and p."""
    effect_low: Floats
    effect_high: Floats
    effect_p: Floats


def objective_rows(
    family: str,
    benchmark: str,
    pairs: Pairs,
    logits: Floats,
    objectives: list[str | None],
    scopes: tuple[str, ...],
    draws: Draws,
) -> Iterator[Row]:
    """Whether likelihood-like objectives break the trend, and what the objective explains beside the gap.

    `pairs` are ordered, without self-pairs; `objectives` are those of the pairs' n checkpoints. No rows where the
    checkpoints lack one of the two classes, or where objectives are so many that they stand for checkpoints.
    """
    if not len(pairs.strong):
        return
    cells = [Cell(NO_SELF, family, scope, benchmark) for scope in scopes]
    classes = _classes(objectives)
    if {0, 1} <= set(classes.tolist()):
        found = _class_effect(pairs, logits, classes, draws)
        for s, cell in enumerate(cells):
            yield cell.row("gap_slope", found.slope[s], found.slope_low[s], found.slope_high[s])
            numbers = (found.effect[s], found.effect_low[s], found.effect_high[s], found.effect_p[s])
            yield cell.row("likelihood_like_effect", *(float(number) for number in numbers))
    labels = np.unique([objective or "" for objective in objectives], return_inverse=True)[1]
    if 1 < labels.max() + 1 < len(labels) - len(np.unique(pairs.family)):
        share, p = _share(pairs, logits, labels, draws)
        for s, cell in enumerate(cells):
            yield cell.row("objective_share", share[s], p_permutation=p[s])


def _classes(objectives: list[str | None]) -> Codes:
    """0 reference-based, 1 likelihood-like, 2 everything else (base and fine-tuned models)."""
    kinds = [1 if o in LIKELIHOOD_LIKE else 0 if o in REFERENCE_BASED else 2 for o in objectives]
    return np.array(kinds, dtype=np.intp)


def _class_effect(pairs: Pairs, logits: Floats, classes: Codes, draws: Draws) -> ObjectiveEffect:
    gap = pairs.gaps(pairs.score)

    def slopes(weights: Floats) -> Floats:
        return factor_beside_gap(gap, logits, pairs.strong, pairs.weak, classes[None], weights)[0][:, :, :2]

    value = slopes(np.ones((1, len(gap))))[0]
    left_out = slopes(pair_weights(pairs, leave_one_out(len(pairs.score))))
    low, high = jackknife_interval(value, left_out, pairs.freedom)
    other = (classes == 2).astype(np.float64)[:, None]
    likelihood_like = (classes == 1).astype(np.float64)
    r = permuted_partial_correlations(pairs, logits, likelihood_like, other, draws.permuted)
    p = permutation_p_value(r[0], r[1:], draws.exact)
    return ObjectiveEffect(value[:, 0], low[:, 0], high[:, 0], value[:, 1], low[:, 1], high[:, 1], p)


def _share(pairs: Pairs, logits: Floats, labels: Codes, draws: Draws) -> tuple[Floats, Floats]:
    """Share (S,) of the variance left by the gap that the objectives explain, and its p: labels permuted."""
    gap, even = pairs.gaps(pairs.score), np.ones((1, len(pairs.strong)))
    permuted = np.vstack([labels, labels[draws.permuted]])
    share = factor_beside_gap(gap, logits, pairs.strong, pairs.weak, permuted, even)[1]
    return share[0], permutation_p_value(share[0], share[1:], draws.exact)
